"""What the overlays render to: reviewed word by word, valid, and true of the code."""

import difflib
import ipaddress
import re

import kubernetes_validate
import pytest
import yaml

from func.adapters.http_client import MAX_PAUSE_S
from func.settings import describe_settings, read_settings
from func.web.handler import Handler
from func.web.last_frames import SCORING_WAIT_S
from func.web.metrics import Metrics
from tests.manifests.conftest import ROOT
from tests.manifests.knative_rules import is_knative

OVERLAYS = ("knative/overlays/dev", "knative/overlays/prod", "k8s-hpa/overlays/dev", "k8s-hpa/overlays/prod")
PAIRS = (
    ("knative/overlays/dev", "k8s-hpa/overlays/dev"),
    ("knative/overlays/prod", "k8s-hpa/overlays/prod"),
)
KUBERNETES = ("1.31", "1.37")
READS_THE_MAPS_S = 60
FASTEST_DETECTION_S = 0.01
PROBES = 8
POLL_CPU_S = 0.00065
"""CPU time in which a waiting last frame reads its session once, measured with 32 of them."""
DRAIN_S = 30
GOLDEN = ROOT / "tests/manifests/golden"


def find_template(manifests):
    """Return the pod template of the function, under Knative and without."""
    key = ("serving.knative.dev/v1", "Service", "gaze-function")
    return manifests.get(key, manifests.get(("apps/v1", "Deployment", "gaze-function")))["spec"]["template"]


def find_container(manifests):
    (container,) = find_template(manifests)["spec"]["containers"]
    return container


def find_environment(manifests):
    """Return what the function's process finds in its environment; a secret's value is its name."""
    container = find_container(manifests)
    environment = {}
    for source in container["envFrom"]:
        environment.update(manifests["v1", "ConfigMap", source["configMapRef"]["name"]]["data"])
    for variable in container["env"]:
        environment[variable["name"]] = variable.get("value") or variable["valueFrom"]["secretKeyRef"]["name"]
    return environment


def find_settings(manifests):
    secrets = {"MONGO_URI": "mongodb://mongo", "SESSION_TOKEN_KEYS": "0123456789abcdef0123456789abcdef"}
    return read_settings({**find_environment(manifests), **secrets})


@pytest.fixture(params=OVERLAYS)
def overlay(request):
    return request.param


@pytest.fixture
def manifests(overlay, render):
    return render(overlay)


def test_it_is_what_was_reviewed(overlay, render_as_text):
    """After a change: render it, read the difference, and commit it with the change.

    `for o in knative/overlays/{dev,prod} k8s-hpa/overlays/{dev,prod}; do kubectl kustomize $o
    > tests/manifests/golden/${o/\\/overlays\\//-}.yaml; done`
    """
    reviewed = (GOLDEN / f"{overlay.replace('/overlays/', '-')}.yaml").read_text()

    assert list(difflib.unified_diff(reviewed.splitlines(), render_as_text(overlay).splitlines(), lineterm="")) == []


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_knows_every_key_of_its_own_kinds(manifests, version):
    for manifest in manifests.values():
        if not is_knative(manifest):
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_key_that_kubernetes_does_not_know_is_refused(render):
    deployment = yaml.safe_load(
        yaml.safe_dump(render("k8s-hpa/overlays/prod")["apps/v1", "Deployment", "gaze-function"])
    )
    deployment["spec"]["template"]["spec"]["containers"][0]["containerConcurrency"] = 8

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)


def test_every_variable_is_one_that_the_function_reads_and_the_required_ones_are_set(manifests):
    known = {setting.variable: setting.default for setting in describe_settings()}

    environment = find_environment(manifests)
    assert environment.keys() <= known.keys()
    assert {name for name, default in known.items() if default == "required"} <= environment.keys()
    find_settings(manifests)


def test_the_probes_ask_paths_that_the_function_serves_on_the_port_of_the_image(manifests):
    container = find_container(manifests)
    served = Handler(find_settings(manifests), Metrics(), None)._routes
    exposed = re.search(r"^EXPOSE (\d+)\nENTRYPOINT \[\"functions-framework", (ROOT / "Dockerfile").read_text(), re.M)

    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"]["path"] in served
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["containerPort"] == int(exposed[1])
    annotations = find_template(manifests)["metadata"]["annotations"]
    assert annotations["prometheus.io/path"] in served
    assert int(annotations["prometheus.io/port"]) == find_settings(manifests).management_port


def test_it_runs_as_the_user_of_the_image(manifests):
    context = find_container(manifests)["securityContext"]

    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in (ROOT / "Dockerfile").read_text()


def test_waiting_last_frames_leave_connections_for_all_frames_that_may_wait(manifests):
    """Behind queue-proxy or a gateway all requests come from one address."""
    settings = find_settings(manifests)
    frames = settings.threads + settings.landmarkers * (1 + settings.landmarker_wait_s / FASTEST_DETECTION_S)

    assert frames == 412
    assert settings.max_connections_per_peer >= frames + settings.max_waiting + PROBES


def test_waiting_last_frames_leave_cpu_for_frames(manifests):
    settings = find_settings(manifests)
    request_cores = float(find_container(manifests)["resources"]["requests"]["cpu"])

    assert settings.max_waiting / settings.barrier_poll_s * POLL_CPU_S <= 0.2 * request_cores


def test_each_landmarker_has_a_cpu(manifests):
    assert int(find_container(manifests)["resources"]["limits"]["cpu"]) == find_settings(manifests).landmarkers


def test_the_time_limit_is_above_the_longest_request(render):
    manifests = render("knative/overlays/prod")
    settings = find_settings(manifests)
    longest_s = settings.body_timeout_s + settings.request_timeout_s + settings.last_frame_timeout_s

    assert longest_s == 288
    assert find_template(manifests)["spec"]["timeoutSeconds"] >= longest_s + DRAIN_S


def test_a_last_frame_has_time_for_upstream_services_that_are_slow(render):
    settings = find_settings(render("knative/overlays/prod"))
    call_s = settings.http_timeout_s * (settings.http_retries + 1) + MAX_PAUSE_S * settings.http_retries
    # Two waits, each with a call that outlasts it (2); the calibration read afresh (1); the result stored, sent and
    # marked as sent (3).
    slowest_s = 6 * call_s + 2 * settings.barrier_timeout_s

    assert settings.last_frame_timeout_s >= slowest_s + READS_THE_MAPS_S + SCORING_WAIT_S


def test_a_pod_that_stops_has_time_for_what_it_has_begun(render):
    spec = find_template(render("k8s-hpa/overlays/prod"))["spec"]
    sleep_s = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert spec["terminationGracePeriodSeconds"] >= sleep_s + DRAIN_S
    assert sleep_s + DRAIN_S > 2 * find_settings(render("k8s-hpa/overlays/prod")).barrier_timeout_s + 10


@pytest.mark.parametrize(("knative", "plain"), PAIRS)
def test_without_knative_the_container_is_the_same(render, knative, plain):
    of_knative, of_plain = find_container(render(knative)), find_container(render(plain))

    assert of_plain.keys() - of_knative.keys() == {"lifecycle"}
    assert {key: of_plain[key] for key in of_knative} == of_knative
    assert find_environment(render(plain)) == find_environment(render(knative))


@pytest.mark.parametrize(("knative", "plain"), PAIRS)
def test_without_knative_it_scales_within_the_same_bounds(render, knative, plain):
    annotations = find_template(render(knative))["metadata"]["annotations"]
    scaler = render(plain)["autoscaling/v2", "HorizontalPodAutoscaler", "gaze-function"]["spec"]

    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (
        int(annotations["autoscaling.knative.dev/min-scale"]),
        int(annotations["autoscaling.knative.dev/max-scale"]),
    )
    (metric,) = scaler["metrics"]
    assert metric["resource"] == {
        "name": annotations["autoscaling.knative.dev/metric"],
        "target": {
            "type": "Utilization",
            "averageUtilization": int(annotations["autoscaling.knative.dev/target"]),
        },
    }


def test_an_address_outside_the_cluster_is_a_small_block(manifests):
    policy = manifests["networking.k8s.io/v1", "NetworkPolicy", "gaze-function-egress"]["spec"]
    _dns, *upstream = policy["egress"]

    assert policy["policyTypes"] == ["Egress"]
    assert len(upstream) == 3
    for rule in upstream:
        (peer,), (port,) = rule["to"], rule["ports"]
        if "ipBlock" in peer:
            assert ipaddress.ip_network(peer["ipBlock"]["cidr"]).prefixlen >= 24
        else:
            assert port["port"] in find_ports_behind(manifests, peer["podSelector"]["matchLabels"])


def test_the_load_balancer_and_the_policy_admit_the_same_addresses(render):
    manifests = render("k8s-hpa/overlays/prod")
    service = manifests["v1", "Service", "gaze-function"]["spec"]
    policy = manifests["networking.k8s.io/v1", "NetworkPolicy", "gaze-function-ingress"]["spec"]

    blocks = [peer["ipBlock"]["cidr"] for rule in policy["ingress"] for peer in rule["from"] if "ipBlock" in peer]
    # The policy sees the caller's address only if no node replaces it.
    assert (service["loadBalancerSourceRanges"], service["externalTrafficPolicy"]) == (blocks, "Local")


def test_the_public_service_leads_to_the_port_without_metrics(render):
    manifests = render("k8s-hpa/overlays/prod")
    (port,) = manifests["v1", "Service", "gaze-function"]["spec"]["ports"]
    (container_port,) = find_container(manifests)["ports"]

    assert port["targetPort"] == container_port["name"]
    assert container_port["containerPort"] != find_settings(manifests).management_port


@pytest.mark.parametrize("overlay", ["knative/overlays/prod", "k8s-hpa/overlays/prod"])
def test_the_disruption_budget_covers_the_pods_that_the_policies_cover(render, overlay):
    manifests = render(overlay)
    selector = manifests["policy/v1", "PodDisruptionBudget", "gaze-function"]["spec"]["selector"]
    policies = [manifest for (_, kind, _), manifest in manifests.items() if kind == "NetworkPolicy"]

    assert [policy["spec"]["podSelector"] for policy in policies] == [selector, selector]


def test_the_first_byte_of_an_answer_may_take_as_long_as_the_whole(render):
    spec = find_template(render("knative/overlays/prod"))["spec"]

    assert spec["responseStartTimeoutSeconds"] == spec["timeoutSeconds"]


def test_session_token_keys_come_from_a_secret_that_may_be_missing(manifests):
    (variable,) = [each for each in find_container(manifests)["env"] if each["name"] == "SESSION_TOKEN_KEYS"]

    assert variable["valueFrom"]["secretKeyRef"] == {
        "name": "gaze-session-tokens",
        "key": "SESSION_TOKEN_KEYS",
        "optional": True,
    }


def find_ports_behind(manifests, labels):
    """Return the container ports of the pods that have these labels."""
    for (_, kind, _), manifest in manifests.items():
        if kind in {"Deployment", "StatefulSet"}:
            template = manifest["spec"]["template"]
            if labels.items() <= template["metadata"]["labels"].items():
                return {port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    return set()


@pytest.mark.parametrize("overlay", ["knative/overlays/dev", "k8s-hpa/overlays/dev"])
def test_the_addresses_of_the_dev_overlay_are_services_in_it(render, overlay):
    manifests = render(overlay)
    environment = find_environment(manifests)
    uri = manifests["v1", "Secret", "gaze-mongo"]["data"]["MONGO_URI"]

    services = {name for api, kind, name in manifests if (api, kind) == ("v1", "Service")}
    assert {environment[name].removeprefix("http://") for name in ("SESSION_API_URL", "AGGREGATOR_URL")} <= services
    import base64

    assert base64.b64decode(uri).decode().startswith("mongodb://mongo:27017/")
    assert "mongo" in services


@pytest.mark.parametrize("overlay", ["knative/overlays/prod", "k8s-hpa/overlays/prod"])
def test_production_runs_one_image_by_digest_and_keeps_no_secret(render, overlay):
    manifests = render(overlay)

    assert re.search(r"@sha256:[0-9a-f]{64}$", find_container(manifests)["image"])
    assert not [name for _, kind, name in manifests if kind in {"Secret", "StatefulSet"}]


def test_other_settings_make_another_revision(render):
    names = {find_container(render(overlay))["envFrom"][0]["configMapRef"]["name"] for overlay in OVERLAYS[:2]}

    assert len(names) == 2


def test_every_pod_fits_the_restricted_level(manifests):
    """As the Pod Security Standards have it; the namespace refuses any other pod."""
    assert any(
        manifest["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        for (_, kind, _), manifest in manifests.items()
        if kind == "Namespace"
    )
    for manifest in manifests.values():
        spec = manifest.get("spec", {}).get("template", {}).get("spec")
        if spec is None:
            continue
        for container in spec["containers"]:
            context = {**spec.get("securityContext", {}), **container["securityContext"]}
            assert context["runAsNonRoot"] is True
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()


def test_the_upstream_services_of_the_dev_overlay_are_modules_that_listen_on_the_declared_port(render):
    import importlib.util

    manifests = render("knative/overlays/dev")
    for name in ("session-service", "result-aggregator-service"):
        (container,) = manifests["apps/v1", "Deployment", name]["spec"]["template"]["spec"]["containers"]
        module, *options = container["args"]
        assert importlib.util.find_spec(module)
        assert options == ["--host=0.0.0.0", f"--port={container['ports'][0]['containerPort']}"]
