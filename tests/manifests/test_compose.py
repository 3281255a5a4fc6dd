"""gaze_tools/compose.yaml follows the Compose specification, and runs what the dev overlay runs."""

import json
from importlib.resources import files

import jsonschema
import pytest
import yaml

from func.settings import read_settings
from tests.manifests.conftest import ROOT
from tests.manifests.test_overlays import find_container, find_settings

PATH = ROOT / "gaze_tools/compose.yaml"
COMPOSE = yaml.safe_load(PATH.read_text())
SERVICES = COMPOSE["services"]
SCHEMA = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json").read_text())


def test_it_follows_the_specification():
    jsonschema.validate(COMPOSE, SCHEMA)


def test_a_misspelt_key_is_refused():
    with pytest.raises(jsonschema.ValidationError, match="mem_limits"):
        jsonschema.validate({"services": {"function": {"image": "x", "mem_limits": "1g"}}}, SCHEMA)


def test_it_builds_targets_of_the_dockerfile():
    dockerfile = (ROOT / "Dockerfile").read_text()
    built = [service["build"] for service in SERVICES.values() if "build" in service]

    assert {each["target"] for each in built} == {"function", "upstream"}
    assert all(f" AS {each['target']}\n" in dockerfile for each in built)
    assert {(PATH.parent / each["context"]).resolve() for each in built} == {ROOT}


def test_the_function_has_the_settings_of_the_cluster_except_where_its_services_are(render):
    function = SERVICES["function"]
    lines = (PATH.parent / function["env_file"]).read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    ours, theirs = (
        read_settings({**environment, **function["environment"]}),
        find_settings(render("knative/overlays/dev")),
    )

    elsewhere = {"session_api_url", "aggregator_url", "mongo_uri", "session_token_keys"}
    assert {name for name in ours.__dataclass_fields__ if getattr(ours, name) != getattr(theirs, name)} == elsewhere
    for address in (ours.session_api_url, ours.aggregator_url):
        name, port = address.removeprefix("http://").split(":")
        assert f"--port={port}" in SERVICES[name]["command"]


@pytest.mark.parametrize("name", ["session-service", "result-aggregator-service", "mongo"])
def test_the_other_services_run_as_in_the_dev_overlay(render, name):
    manifests = render("knative/overlays/dev")
    kind = "StatefulSet" if name == "mongo" else "Deployment"
    (container,) = manifests["apps/v1", kind, name]["spec"]["template"]["spec"]["containers"]

    assert SERVICES[name]["command"] == container["args"]
    assert SERVICES[name]["image"].split("/")[-1] == container["image"].split("/")[-1]


def test_the_function_may_use_what_its_pod_may_use(render):
    limits = find_container(render("knative/overlays/dev"))["resources"]["limits"]

    assert (str(SERVICES["function"]["cpus"]), SERVICES["function"]["mem_limit"] + "i") == (
        limits["cpu"],
        limits["memory"].lower(),
    )


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_can_change_its_image_or_gain_rights(name):
    service = SERVICES[name]

    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_only_this_machine_reaches_it():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published == ["127.0.0.1:8080:8080", "127.0.0.1:9000:9000"]
