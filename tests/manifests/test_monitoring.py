"""Scraping, alerts and dashboard: valid for the programs that read them, and true of the metrics that exist."""

import json
import os
import re
import shutil
import subprocess

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry

from func.web.metrics import Metrics
from tests.manifests.conftest import COMPONENTS, ROOT
from tests.manifests.test_overlays import find_container, find_settings

OVERLAYS = ("knative/overlays/prod", "k8s-hpa/overlays/prod")
RULES = yaml.safe_load((COMPONENTS / "monitoring/prometheus-rule.yaml").read_text())["spec"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((COMPONENTS / "monitoring/dashboard.json").read_text())
CLUSTER_METRICS = {
    f"kube_horizontalpodautoscaler_{name}"
    for name in ("status_current_replicas", "status_desired_replicas", "spec_max_replicas")
}
"""What kube-state-metrics exports about autoscalers."""


def list_queries():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def list_metrics():
    """Return the names of all series that the function exports."""
    metrics = Metrics()
    registry = next(each for each in vars(metrics).values() if isinstance(each, CollectorRegistry))
    of_the_process = re.findall(r"^process_\w+", metrics.render().decode(), re.MULTILINE)
    return {*registry._names_to_collectors, *of_the_process, *CLUSTER_METRICS}


@pytest.mark.parametrize("expression", [*[alert["expr"] for alert in ALERTS], *list_queries()])
def test_every_metric_is_one_that_exists(expression):
    named = set(re.findall(r"\b(?:gaze|kube|process)_\w+\b(?!\")", re.sub(r"\"[^\"]*\"", "", expression)))

    assert named
    assert named <= list_metrics()


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_monitor_scrapes_the_management_port_of_the_function_s_container(extend, overlay):
    manifests = extend(overlay, "monitoring")
    monitor = manifests["monitoring.coreos.com/v1", "PodMonitor", "gaze-function"]["spec"]
    keep, address, _ = monitor["podMetricsEndpoints"][0]["relabelings"]
    port = find_settings(manifests).management_port

    assert re.fullmatch(keep["regex"], find_container(manifests)["name"])
    for pod in ("10.0.0.7:8080", "[fd00::7]:8080"):
        # Prometheus writes ${1} for the group, Python \1.
        moved = re.fullmatch(address["regex"], pod).expand(address["replacement"].replace("${1}", r"\1"))
        assert moved == pod.replace("8080", str(port))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_monitor_selects_the_pods_that_the_policies_select(extend, overlay):
    manifests = extend(overlay, "monitoring")
    policy = manifests["networking.k8s.io/v1", "NetworkPolicy", "gaze-function-ingress"]["spec"]

    assert (
        manifests["monitoring.coreos.com/v1", "PodMonitor", "gaze-function"]["spec"]["selector"]
        == (policy["podSelector"])
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_grafana_s_sidecar_gets_the_dashboard(extend, overlay):
    config = extend(overlay, "monitoring")["v1", "ConfigMap", "gaze-function-dashboard"]

    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["gaze-function.json"]) == DASHBOARD


def find_unknown(ours, theirs, path=""):
    """Return the paths whose values Grafana's own types do not preserve."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        missing = [f"{path}/{key}" for key in ours.keys() - theirs.keys()]
        known = [find_unknown(ours[key], theirs[key], f"{path}/{key}") for key in ours.keys() & theirs.keys()]
        return sorted(missing + [each for some in known for each in some])
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        return [
            each
            for index, pair in enumerate(zip(ours, theirs, strict=True))
            for each in find_unknown(*pair, f"{path}/{index}")
        ]
    return [] if ours == theirs else [path]


def pass_through_grafana_s_types(dashboard):
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def test_grafana_knows_every_field_of_the_dashboard():
    assert find_unknown(DASHBOARD, pass_through_grafana_s_types(DASHBOARD)) == []


def test_a_field_that_grafana_does_not_know_is_found():
    panel = {**DASHBOARD["panels"][0], "colour": "red"}

    assert find_unknown(panel, pass_through_grafana_s_types({"panels": [panel]})["panels"][0]) == ["/colour"]


def test_panels_have_a_unit_and_do_not_overlap():
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for box in [panel["gridPos"]]
        for x in range(box["x"], box["x"] + box["w"])
        for y in range(box["y"], box["y"] + box["h"])
    ]

    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert all(panel["type"] == "row" or panel["fieldConfig"]["defaults"]["unit"] for panel in DASHBOARD["panels"])


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_an_alert_says_what_to_do_and_waits_before_it_fires(alert):
    assert alert["labels"]["severity"] in {"page", "ticket"}
    assert alert["annotations"].keys() == {"summary", "description"}
    assert alert["for"].endswith("m")


def test_every_alert_is_in_the_operator_s_guide():
    guide = (ROOT / "docs/operating.md").read_text()

    assert {alert["alert"] for alert in ALERTS} == set(re.findall(r"^\| `(Gaze\w+)` \|", guide, re.MULTILINE))


@pytest.fixture
def promtool():
    path = shutil.which("promtool")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("promtool is missing: .ci/install debian prometheus")
    return path


@pytest.fixture
def rules(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    shutil.copy(ROOT / "tests/manifests/alert_tests.yaml", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_promtool_accepts_the_rules(promtool, rules):
    done = subprocess.run(
        [promtool, "check", "rules", rules / "rules.yaml"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


@pytest.mark.slow
def test_alerts_fire_when_they_should_and_only_then(promtool, rules):
    done = subprocess.run(
        [promtool, "test", "rules", rules / "alert_tests.yaml"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires():
    tests = yaml.safe_load((ROOT / "tests/manifests/alert_tests.yaml").read_text())["tests"]
    firing = [
        re.search(r'alertname="(\w+)"', case["expr"])[1]
        for test in tests
        for case in test.get("promql_expr_test", [])
        if case["exp_samples"]
    ] + [case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]]

    assert set(firing) == {alert["alert"] for alert in ALERTS}
