"""func.yaml follows func's schema, and says what knative/ says wherever it can say it."""

import copy

import pytest
import yaml

from func.settings import describe_settings
from tests.manifests.conftest import ROOT
from tests.manifests.func_yaml_rules import check_func_yaml
from tests.manifests.test_knative import REMOVED, put


@pytest.fixture
def content():
    return yaml.safe_load((ROOT / "func.yaml").read_text())


@pytest.fixture
def service(render):
    return render("knative/base")["serving.knative.dev/v1", "Service", "gaze-function"]


TRAPS = {
    "metric cpu, which func does not know": ("deploy/options/scale/metric", "cpu", "metric"),
    "HPA class as an annotation, which func also puts on the Service": (
        "deploy/annotations",
        {"autoscaling.knative.dev/class": "hpa.autoscaling.knative.dev"},
        "Serving rejects",
    ),
    "created left out": ("created", REMOVED, "created"),
    "key misspelt, which func accepts silently": ("deploy/option", {}, "option"),
    "a Dockerfile, which func never builds": ("build/builder", "docker", "builder"),
    "environment as a mapping": ("run/envs", {"THREADS": "10"}, "envs"),
    "a number as a value": ("run/envs/0/value", 10, "value"),
    "a reference that is none": ("run/envs/0/value", "{{ secret:gaze-mongo }}", "value"),
    "concurrency among the requests": ("deploy/options/resources/requests/concurrency", 0, "concurrency"),
    "a limit in queue-proxy": ("deploy/options/resources/limits/concurrency", 8, "concurrency"),
    "Knative's annotation of the Service": ("deploy/options/scale/window", "60s", "window"),
    "probes of its own": ("deploy/healthEndpoints/startup", "/health/readiness", "startup"),
    "another language": ("runtime", "go", "runtime"),
}


def test_it_is_valid(content):
    assert check_func_yaml(content).name == "gaze-function"


@pytest.mark.parametrize(("path", "value", "message"), TRAPS.values(), ids=TRAPS)
def test_a_trap_is_refused(content, path, value, message):
    broken = copy.deepcopy(content)
    put(broken, path, value)

    with pytest.raises(ValueError, match=message):
        check_func_yaml(broken)


def test_its_environment_is_that_of_the_knative_service(content, render):
    settings = next(manifest for (_, kind, _), manifest in render("knative/base").items() if kind == "ConfigMap")

    environment = {variable["name"]: variable["value"] for variable in content["run"]["envs"]}
    assert environment.pop("MONGO_URI") == "{{ secret:gaze-mongo:MONGO_URI }}"
    assert environment == settings["data"]
    assert environment.keys() <= {setting.variable for setting in describe_settings()}


def test_its_name_namespace_account_and_paths_are_those_of_the_knative_service(content, service):
    spec = service["spec"]["template"]["spec"]
    container = spec["containers"][0]

    assert content["name"] == service["metadata"]["name"]
    assert content["namespace"] == content["deploy"]["namespace"] == service["metadata"]["namespace"]
    assert content["deploy"]["serviceAccountName"] == spec["serviceAccountName"]
    assert content["deploy"]["healthEndpoints"] == {
        "liveness": container["livenessProbe"]["httpGet"]["path"],
        "readiness": container["readinessProbe"]["httpGet"]["path"],
    }


def test_its_pods_have_the_labels_by_which_policies_select_them(content, service):
    labels = {label["key"]: label["value"] for label in content["deploy"]["labels"]}

    assert labels == service["spec"]["template"]["metadata"]["labels"]


def test_its_scale_and_resources_are_those_of_the_knative_service(content, service):
    template = service["spec"]["template"]
    annotations = template["metadata"]["annotations"]
    options = content["deploy"]["options"]

    assert options["scale"] == {
        "min": int(annotations["autoscaling.knative.dev/min-scale"]),
        "max": int(annotations["autoscaling.knative.dev/max-scale"]),
        "target": int(annotations["autoscaling.knative.dev/target"]),
    }
    limits = dict(options["resources"]["limits"])
    assert limits.pop("concurrency") == template["spec"]["containerConcurrency"]
    assert {**options["resources"], "limits": limits} == template["spec"]["containers"][0]["resources"]


def test_the_distribution_and_the_package_have_the_names_that_func_imports():
    from importlib.metadata import distribution

    import func.shim.function

    assert distribution("function").metadata["Name"] == "function"
    assert callable(func.shim.function.new)
