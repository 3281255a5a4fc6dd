"""Every optional component builds on the overlays that it is for, and says what its name says."""

from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from func.adapters.otlp_spans import make_span_sink
from func.settings import read_settings
from tests.manifests.conftest import COMPONENTS, ROOT
from tests.manifests.knative_rules import check_knative, is_knative
from tests.manifests.test_overlays import KUBERNETES, find_container, find_environment, find_template

KNATIVE, PLAIN = "knative/overlays/prod", "k8s-hpa/overlays/prod"
BOTH = (KNATIVE, PLAIN)
OVERLAYS = {
    "cluster-local": [KNATIVE],
    "contour": [KNATIVE],
    "image-pull-secret": BOTH,
    "istio": [KNATIVE],
    "lite": BOTH,
    "monitoring": BOTH,
    "node-local-dns": BOTH,
    "openshift-dns": BOTH,
    "outbound-proxy": BOTH,
    "priority-class": BOTH,
    "topology-spread": [KNATIVE],
    "tracing": BOTH,
}
BEHIND_FLAGS = {
    "topologySpreadConstraints": "kubernetes.podspec-topologyspreadconstraints",
    "priorityClassName": "kubernetes.podspec-priorityclassname",
}
"""Fields of a Knative template that Serving rejects without a flag in config-features."""


def test_every_component_is_tested():
    assert {path.name for path in COMPONENTS.iterdir()} == OVERLAYS.keys()


@pytest.mark.parametrize(
    ("component", "overlay"), [(component, overlay) for component, overlays in OVERLAYS.items() for overlay in overlays]
)
def test_a_component_changes_an_overlay_into_valid_manifests(render, extend, component, overlay):
    manifests = extend(overlay, component)

    assert manifests != render(overlay)
    check_manifests(manifests)


@pytest.mark.parametrize("overlay", BOTH)
def test_all_components_for_both_ways_fit_together(extend, overlay):
    components = [name for name, overlays in OVERLAYS.items() if overlays is BOTH]
    manifests = extend(overlay, "+".join(components))

    check_manifests(manifests)
    names = [each["name"] for each in find_container(manifests)["env"]]
    assert {"OUTBOUND_PROXY", "FACE_LANDMARKER", "OTEL_TRACES_SAMPLER", "MONGO_URI"} <= set(names)
    assert len(names) == len(set(names))


def check_manifests(manifests):
    """Validate every manifest of which the kind is known."""
    for manifest in manifests.values():
        if is_knative(manifest):
            spec = manifest["spec"]["template"]["spec"]
            for each in BEHIND_FLAGS:
                spec.pop(each, None)
            check_knative(manifest)
        elif not manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)


COMBINATIONS = [
    (KNATIVE, "lite+monitoring+openshift-dns+istio"),
    (KNATIVE, "istio+openshift-dns+monitoring+lite"),
    (
        KNATIVE,
        "contour+node-local-dns+outbound-proxy+image-pull-secret+priority-class+topology-spread+cluster-local+lite",
    ),
    (PLAIN, "lite+monitoring+openshift-dns+outbound-proxy+image-pull-secret+priority-class"),
    (PLAIN, "node-local-dns+openshift-dns"),
]


@pytest.mark.parametrize(("overlay", "components"), COMBINATIONS)
def test_several_components_make_the_changes_of_each(render, extend, overlay, components):
    def find_fields(manifests):
        return {
            (*key, *path, repr(leaf)) for key, manifest in manifests.items() for path, leaf in flatten_all(manifest)
        }

    plain, together = find_fields(render(overlay)), find_fields(extend(overlay, components))

    for component in components.split("+"):
        assert find_fields(extend(overlay, component)) - plain <= together


def flatten_all(value, path=()):
    """Yield the fields of a manifest with their paths; the place in a list does not count."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from flatten_all(child, (*path, key))
    elif isinstance(value, list):
        for child in value:
            yield from flatten_all(child, (*path, "*"))
    else:
        yield path, value


@pytest.mark.parametrize("component", ["topology-spread", "priority-class"])
def test_a_field_that_serving_rejects_has_its_flag_in_the_cluster_s_patch(extend, component):
    flags = yaml.safe_load((ROOT / "knative/cluster/config-features.yaml").read_text())["data"]

    fields = find_template(extend(KNATIVE, component))["spec"].keys() & BEHIND_FLAGS.keys()
    assert fields
    assert all(flags[BEHIND_FLAGS[each]] == "enabled" for each in fields)
    assert set(flags) == set(BEHIND_FLAGS.values())


def test_knative_spreads_pods_as_plain_kubernetes_does(render, extend):
    constraints = [
        find_template(manifests)["spec"]["topologySpreadConstraints"]
        for manifests in (extend(KNATIVE, "topology-spread"), render(PLAIN))
    ]

    for each in (*constraints[0], *constraints[1]):
        del each["labelSelector"]
    assert constraints[0] == constraints[1]
    assert [each["topologyKey"] for each in constraints[0]] == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


@pytest.mark.parametrize("overlay", BOTH)
def test_viewers_come_before_pods_without_a_priority(extend, overlay):
    manifests = extend(overlay, "priority-class")
    name = find_template(manifests)["spec"]["priorityClassName"]

    assert 0 < manifests["scheduling.k8s.io/v1", "PriorityClass", name]["value"] < 10**9


@pytest.mark.parametrize("overlay", BOTH)
def test_the_service_account_has_the_pull_secret(extend, overlay):
    account = extend(overlay, "image-pull-secret")["v1", "ServiceAccount", "gaze-function"]

    assert account["imagePullSecrets"] == [{"name": "gaze-registry"}]
    assert account["automountServiceAccountToken"] is False


@pytest.mark.parametrize("overlay", BOTH)
def test_the_proxy_s_address_comes_from_a_secret(extend, overlay):
    (variable,) = [
        each for each in find_container(extend(overlay, "outbound-proxy"))["env"] if each["name"] == "OUTBOUND_PROXY"
    ]

    assert variable["valueFrom"]["secretKeyRef"] == {"name": "gaze-outbound-proxy", "key": "OUTBOUND_PROXY"}


@pytest.mark.parametrize("overlay", BOTH)
def test_lite_sets_what_the_lite_image_sets(extend, overlay):
    environment = find_environment(extend(overlay, "lite"))
    variables = {name: environment[name] for name in ("FACE_LANDMARKER", "GAZE_MODEL")}

    dockerfile = (ROOT / "Dockerfile").read_text()
    lite = dockerfile[dockerfile.index(" AS lite\n") : dockerfile.index(" AS func-base\n")]
    assert all(f"{name}={value}" in lite for name, value in variables.items())
    assert read_settings({"MONGO_URI": "mongodb://mongo", "FACE_LANDMARKER": variables["FACE_LANDMARKER"]})


@pytest.mark.parametrize("overlay", BOTH)
def test_lite_needs_less_memory_and_the_same_cpu(render, extend, overlay):
    standard, lite = (
        find_container(manifests)["resources"] for manifests in (render(overlay), extend(overlay, "lite"))
    )

    assert [standard[each]["memory"] for each in ("requests", "limits")] == ["384Mi", "1Gi"]
    assert [lite[each]["memory"] for each in ("requests", "limits")] == ["320Mi", "768Mi"]
    assert [standard[each]["cpu"] for each in ("requests", "limits")] == [
        lite[each]["cpu"] for each in ("requests", "limits")
    ]


@pytest.mark.parametrize("overlay", BOTH)
def test_traces_go_to_a_port_that_the_policy_opens_and_one_request_in_a_hundred_is_traced(extend, overlay):
    manifests = extend(overlay, "tracing")
    environment = find_environment(manifests)
    policy = manifests["networking.k8s.io/v1", "NetworkPolicy", "gaze-function-egress"]["spec"]
    endpoint = urlsplit(environment["OTEL_EXPORTER_OTLP_ENDPOINT"])
    (peer,), (port,) = (policy["egress"][-1][each] for each in ("to", "ports"))

    assert endpoint.hostname.split(".")[1] == peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
    assert (endpoint.scheme, endpoint.port, endpoint.path) == ("http", port["port"], "")
    assert environment["OTEL_TRACES_SAMPLER"] == "parentbased_traceidratio"
    assert environment["OTEL_TRACES_SAMPLER_ARG"] == "0.01"


@pytest.mark.parametrize("overlay", BOTH)
def test_the_function_sends_spans_with_the_environment_of_the_component(extend, overlay, monkeypatch):
    pytest.importorskip("opentelemetry.sdk")
    environment = find_environment(extend(overlay, "tracing"))
    for name, value in environment.items():
        if name.startswith("OTEL_"):
            monkeypatch.setenv(name, value)

    spans = make_span_sink(environment, service="gaze-function", version="1")
    recorded = sum(
        spans.should_record(f"{number << 64 | number * 0x9E3779B97F4A7C15 % 2**64:032x}", None)
        for number in range(1, 10_001)
    )
    spans.close()

    assert 50 < recorded < 150


def test_a_cluster_local_service_has_no_public_route(extend):
    service = extend(KNATIVE, "cluster-local")["serving.knative.dev/v1", "Service", "gaze-function"]

    assert service["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"


def test_as_many_old_revisions_are_kept_as_a_rollback_needs():
    patch = yaml.safe_load((ROOT / "knative/cluster/config-gc.yaml").read_text())["data"]

    # Serving keeps the rest by number only if it keeps none by age.
    assert patch == {
        "retain-since-create-time": "disabled",
        "retain-since-last-active-time": "disabled",
        "min-non-active-revisions": "3",
        "max-non-active-revisions": "3",
    }


def test_the_registry_of_the_overlays_is_not_resolved(render):
    patch = yaml.safe_load((ROOT / "knative/cluster/config-deployment.yaml").read_text())["data"]
    registry = find_container(render(KNATIVE))["image"].split("/")[0]

    assert patch["registries-skipping-tag-resolving"].split(",") == ["kind.local", "ko.local", "dev.local", registry]
