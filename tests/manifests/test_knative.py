"""The Knative Service follows the allow-list, and the allow-list refuses every trap that is known."""

import copy

import pytest
import yaml

from tests.manifests.conftest import ROOT
from tests.manifests.knative_rules import check_knative, is_knative

OVERLAYS = ("knative/overlays/dev", "knative/overlays/prod")
REMOVED = object()


@pytest.fixture
def service(render):
    return copy.deepcopy(render(OVERLAYS[0])["serving.knative.dev/v1", "Service", "gaze-function"])


def put(manifest, path, value):
    """Set or remove the entry of a manifest that `path` names, `/` between keys, making what is missing on the way."""
    *parents, last = path.split("/")
    for key in parents:
        manifest = manifest[int(key)] if key.isdigit() else manifest.setdefault(key, {})
    if value is REMOVED:
        del manifest[last]
    elif isinstance(manifest, list):
        manifest[int(last)] = value
    else:
        manifest[last] = value


TEMPLATE = "spec/template"
CONTAINER = f"{TEMPLATE}/spec/containers/0"


def scaling(key, value):
    """Return the path and value of a template's annotation about scaling."""

    def change(manifest):
        annotations = manifest["spec"]["template"]["metadata"]["annotations"]
        if value is REMOVED:
            del annotations[f"autoscaling.knative.dev/{key}"]
        else:
            annotations[f"autoscaling.knative.dev/{key}"] = value

    return change


def at(path, value):
    return lambda manifest: put(manifest, path, value)


TRAPS = {
    "class on the Service": (
        at("metadata/annotations", {"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"}),
        "Serving rejects",
    ),
    "no class": (scaling("class", REMOVED), "class"),
    "class of Knative's own autoscaler": (scaling("class", "kpa.autoscaling.knative.dev"), "class"),
    "metric misspelt, accepted and useless": (scaling("metric", "CPU"), "metric"),
    "no target: 80": (scaling("target", REMOVED), "target"),
    "target as a number": (scaling("target", 50), "should be a valid string"),
    "target above a hundred": (scaling("target", "150"), "target"),
    "scale to zero, which this class never does": (scaling("min-scale", "0"), "min-scale"),
    "no upper bound": (scaling("max-scale", REMOVED), "max-scale"),
    "bounds the wrong way round": (scaling("min-scale", "11"), "below min-scale"),
    "window, which also delays scaling up": (scaling("window", "60s"), "window"),
    "annotation misspelt": (scaling("minscale", "1"), "minscale"),
    "no CPU request": (at(f"{CONTAINER}/resources/requests/cpu", REMOVED), r"requests\.cpu"),
    "startup probe without port: hangs for ever": (
        at(f"{CONTAINER}/startupProbe/httpGet/port", REMOVED),
        r"startupProbe\.httpGet\.port",
    ),
    "liveness probe without port": (
        at(f"{CONTAINER}/livenessProbe/httpGet/port", REMOVED),
        r"livenessProbe\.httpGet\.port",
    ),
    "probe of another port": (at(f"{CONTAINER}/readinessProbe/httpGet/port", 8081), "8081"),
    "lifecycle": (at(f"{CONTAINER}/lifecycle", {"preStop": {"sleep": {"seconds": 5}}}), "lifecycle"),
    "terminationGracePeriodSeconds": (
        at(f"{TEMPLATE}/spec/terminationGracePeriodSeconds", 60),
        "terminationGracePeriodSeconds",
    ),
    "port called http": (at(f"{CONTAINER}/ports/0/name", "http"), r"ports\.0\.name"),
    "PORT set": (at(f"{CONTAINER}/env/0", {"name": "PORT", "value": "8080"}), "PORT is Serving's to set"),
    "time limit above the cluster's": (at(f"{TEMPLATE}/spec/timeoutSeconds", 601), "timeoutSeconds"),
    "no word on the first byte: the cluster's 300 s end last frames": (
        at(f"{TEMPLATE}/spec/responseStartTimeoutSeconds", REMOVED),
        "responseStartTimeoutSeconds",
    ),
    "limit in queue-proxy, which last frames could fill": (
        at(f"{TEMPLATE}/spec/containerConcurrency", 40),
        "containerConcurrency",
    ),
    "no word on concurrency: the cluster's default": (
        at(f"{TEMPLATE}/spec/containerConcurrency", REMOVED),
        "containerConcurrency",
    ),
    "affinity, behind a flag": (at(f"{TEMPLATE}/spec/affinity", {}), "affinity"),
    "topology spread, behind a flag": (
        at(f"{TEMPLATE}/spec/topologySpreadConstraints", []),
        "topologySpreadConstraints",
    ),
    "security context of the pod, behind a flag": (
        at(f"{TEMPLATE}/spec/securityContext", {"runAsNonRoot": True}),
        r"template\.spec\.securityContext",
    ),
    "no seccomp profile: a warning": (at(f"{CONTAINER}/securityContext/seccompProfile", REMOVED), "seccompProfile"),
    "replicas, as of a Deployment": (at("spec/replicas", 3), "replicas"),
    "key misspelt": (at(f"{TEMPLATE}/spec/containerConcurency", 8), "containerConcurency"),
}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_the_overlays_make_is_allowed(render, overlay):
    knative = [manifest for manifest in render(overlay).values() if is_knative(manifest)]

    assert [manifest["kind"] for manifest in knative] == ["Service"]
    check_knative(knative[0])


@pytest.mark.parametrize(("change", "message"), TRAPS.values(), ids=TRAPS)
def test_a_trap_is_refused(service, change, message):
    change(service)

    with pytest.raises(ValueError, match=message):
        check_knative(service)


def test_a_kind_without_rules_is_refused():
    with pytest.raises(ValueError, match="no rules for Route"):
        check_knative({"apiVersion": "serving.knative.dev/v1", "kind": "Route"})


def test_the_domain_of_the_example_leads_to_the_service(service):
    claim, mapping = yaml.safe_load_all((ROOT / "knative/cluster/domain-mapping.yaml").read_text())

    check_knative(claim)
    check_knative(mapping)
    assert claim["metadata"]["name"] == mapping["metadata"]["name"]
    assert mapping["spec"]["ref"]["name"] == service["metadata"]["name"]
    assert claim["spec"]["namespace"] == mapping["metadata"]["namespace"] == service["metadata"]["namespace"]


def test_the_optional_patch_of_the_cluster_names_the_class_of_the_service(service):
    patch = yaml.safe_load((ROOT / "knative/cluster/config-autoscaler.yaml").read_text())

    annotations = service["spec"]["template"]["metadata"]["annotations"]
    assert patch == {"data": {"pod-autoscaler-class": annotations["autoscaling.knative.dev/class"]}}
