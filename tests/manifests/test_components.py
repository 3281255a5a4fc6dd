"""Every optional component builds on the overlays that it is for, and says what its name says."""

import kubernetes_validate
import pytest
import yaml

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
    for manifest in manifests.values():
        if is_knative(manifest):
            spec = manifest["spec"]["template"]["spec"]
            for each in BEHIND_FLAGS:
                spec.pop(each, None)
            check_knative(manifest)
        elif not manifest["apiVersion"].startswith("monitoring.coreos.com/"):
            kubernetes_validate.validate(manifest, KUBERNETES[-1], strict=True)


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
def test_lite_needs_half_the_memory_and_the_same_cpu(render, extend, overlay):
    standard, lite = (
        find_container(manifests)["resources"] for manifests in (render(overlay), extend(overlay, "lite"))
    )

    assert [standard[each]["memory"] for each in ("requests", "limits")] == ["512Mi", "1Gi"]
    assert [lite[each]["memory"] for each in ("requests", "limits")] == ["256Mi", "512Mi"]
    assert [standard[each]["cpu"] for each in ("requests", "limits")] == [
        lite[each]["cpu"] for each in ("requests", "limits")
    ]


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
