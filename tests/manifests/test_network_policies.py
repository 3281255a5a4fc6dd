"""Who may reach the function's pods on which port, and where the pods may connect to.

Every source is asked for every port: the tables list the allowed ones, and all others are denied.
"""

import pytest

from tests.manifests.network_policies import Address, Node, Pod, may_enter, may_leave

KNATIVE_LABELS = {
    "serving.knative.dev/service": "gaze-function",
    "serving.knative.dev/configuration": "gaze-function",
    "serving.knative.dev/revision": "gaze-function-00007",
    "app": "gaze-function-00007",
}
"""What Serving writes on every pod. Pods of a plain `func deploy` have nothing else that policies could select."""

NAME = {"app.kubernetes.io/name": "gaze-function"}

KNATIVE_PORTS = {
    8008: "queue-proxy: profiles",
    8012: "queue-proxy: requests",
    8013: "queue-proxy: requests over HTTP/2",
    8022: "queue-proxy: /wait-for-drain",
    8080: "the function, past queue-proxy",
    8112: "queue-proxy: requests over TLS",
    9000: "the function's metrics",
    9090: "queue-proxy: load, for Knative's autoscaler",
    9091: "queue-proxy: metrics of requests",
}
ALL = set(KNATIVE_PORTS)


def serving(component):
    return Pod("knative-serving", {"app": component})


PROMETHEUS = Pod("monitoring", {"app.kubernetes.io/name": "prometheus"})

KNATIVE_SOURCES = {
    "ingress gateway": (Pod("kourier-system", {"app": "3scale-kourier-gateway"}), {8012, 8112}),
    "activator": (serving("activator"), {8012, 8112}),
    "autoscaler": (serving("autoscaler"), {9090}),
    "Prometheus": (PROMETHEUS, {9000, 9091}),
    "kubelet of the node": (Node(), ALL),
    "other pod of knative-serving": (serving("webhook"), set()),
    "other pod of kourier-system": (Pod("kourier-system", {"app": "debug"}), set()),
    "pod of another namespace with the gateway's label": (Pod("default", {"app": "3scale-kourier-gateway"}), set()),
    "pod of the function's namespace": (Pod("gaze", {"app.kubernetes.io/name": "session-service"}), set()),
    "another pod of the function": (Pod("gaze", {**KNATIVE_LABELS, **NAME}), set()),
    "pod of another namespace": (Pod("default"), set()),
    "address outside the cluster": (Address("203.0.113.7"), set()),
}

PLAIN_PORTS = {8080, 9000, 9090}

PLAIN_SOURCES = {
    "gateway in the namespace": (Pod("gaze-hpa", {"gaze-caller": "true"}), {8080}),
    "gateway in its own namespace": (Pod("ingress-nginx", {}, {"gaze-caller": "true"}), {8080}),
    "Prometheus": (PROMETHEUS, {9000}),
    "kubelet of the node": (Node(), PLAIN_PORTS),
    "gateway's address outside the cluster": (Address("203.0.113.7"), {8080}),
    "another address": (Address("198.51.100.200"), set()),
    "pod with the gateway's label in another namespace": (Pod("default", {"gaze-caller": "true"}), set()),
    "pod of the function's namespace": (Pod("gaze-hpa"), set()),
    "another pod of the function": (Pod("gaze-hpa", NAME), set()),
    "pod of another namespace": (Pod("default"), set()),
}

DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
OPENSHIFT_DNS = Pod("openshift-dns", {"dns.operator.openshift.io/daemonset-dns": "default"})
COLLECTOR = Pod("monitoring", {"app.kubernetes.io/name": "opentelemetry-collector"})
SESSION_API, AGGREGATOR, MONGO = Address("192.0.2.10"), Address("192.0.2.20"), Address("198.51.100.3")
NODE_LOCAL_DNS, PROXY, INTERNET = Address("169.254.20.10"), Address("192.0.2.30"), Address("192.0.2.1")

PROD_TARGETS = {
    ("cluster DNS", 53, "UDP"): (DNS, True),
    ("cluster DNS", 53, "TCP"): (DNS, True),
    ("cluster DNS", 443, "TCP"): (DNS, False),
    ("another pod of kube-system", 53, "UDP"): (Pod("kube-system"), False),
    ("session API", 443, "TCP"): (SESSION_API, True),
    ("session API", 22, "TCP"): (SESSION_API, False),
    ("aggregator", 443, "TCP"): (AGGREGATOR, True),
    ("MongoDB", 27017, "TCP"): (MONGO, True),
    ("MongoDB", 443, "TCP"): (MONGO, False),
    ("the internet", 443, "TCP"): (INTERNET, False),
    ("the cloud's metadata service", 80, "TCP"): (Address("169.254.169.254"), False),
    ("node-local DNS, without its component", 53, "UDP"): (NODE_LOCAL_DNS, False),
    ("OpenShift's DNS, without its component", 5353, "UDP"): (OPENSHIFT_DNS, False),
    ("proxy, without its component", 3128, "TCP"): (PROXY, False),
    ("collector of traces, without its component", 4318, "TCP"): (COLLECTOR, False),
    ("Kubernetes API", 443, "TCP"): (Address("10.96.0.1"), False),
    ("a pod of the namespace", 8080, "TCP"): (Pod("gaze"), False),
}

FUNCTIONS = {
    "knative": Pod("gaze", {**KNATIVE_LABELS, **NAME}),
    "knative, deployed by func alone": Pod("gaze", KNATIVE_LABELS),
    "k8s-hpa": Pod("gaze-hpa", NAME),
}


def find_overlay(platform, overlay="prod"):
    return f"{platform.split(',')[0]}/overlays/{overlay}"


def find_policies(manifests):
    return [manifest for (_, kind, _), manifest in manifests.items() if kind == "NetworkPolicy"]


@pytest.mark.parametrize("overlay", ["prod", "dev"])
@pytest.mark.parametrize("platform", ["knative", "knative, deployed by func alone"])
@pytest.mark.parametrize(("source", "allowed"), KNATIVE_SOURCES.values(), ids=KNATIVE_SOURCES)
def test_who_reaches_a_pod_under_knative(render, platform, overlay, source, allowed):
    policies = find_policies(render(find_overlay(platform, overlay)))

    assert {port for port in KNATIVE_PORTS if may_enter(policies, source, FUNCTIONS[platform], port)} == allowed


@pytest.mark.parametrize(("source", "allowed"), PLAIN_SOURCES.values(), ids=PLAIN_SOURCES)
def test_who_reaches_a_pod_without_knative(render, source, allowed):
    policies = find_policies(render("k8s-hpa/overlays/prod"))

    assert {port for port in PLAIN_PORTS if may_enter(policies, source, FUNCTIONS["k8s-hpa"], port)} == allowed


@pytest.mark.parametrize(
    ("source", "allowed"),
    [(Pod("default"), {8080}), (Address("198.51.100.200"), {8080}), (PROMETHEUS, {8080, 9000})],
    ids=["any pod", "any address", "Prometheus"],
)
def test_for_development_anybody_may_send_frames_but_not_read_metrics(render, source, allowed):
    policies = find_policies(render("k8s-hpa/overlays/dev"))

    assert {port for port in PLAIN_PORTS if may_enter(policies, source, FUNCTIONS["k8s-hpa"], port)} == allowed


@pytest.mark.parametrize("platform", FUNCTIONS)
@pytest.mark.parametrize(
    ("way", "is_allowed"),
    [((target, port, protocol), is_allowed) for (_, port, protocol), (target, is_allowed) in PROD_TARGETS.items()],
    ids=["-".join(map(str, key)) for key in PROD_TARGETS],
)
def test_where_a_pod_may_connect_to(render, platform, way, is_allowed):
    policies = find_policies(render(find_overlay(platform)))

    assert may_leave(policies, FUNCTIONS[platform], *way) is is_allowed


@pytest.mark.parametrize("platform", FUNCTIONS)
@pytest.mark.parametrize(
    ("component", "way", "is_allowed"),
    [
        ("node-local-dns", (NODE_LOCAL_DNS, 53, "UDP"), True),
        ("node-local-dns", (NODE_LOCAL_DNS, 53, "TCP"), True),
        ("node-local-dns", (DNS, 53, "UDP"), True),
        ("node-local-dns", (Address("169.254.169.254"), 80, "TCP"), False),
        ("openshift-dns", (OPENSHIFT_DNS, 5353, "UDP"), True),
        ("openshift-dns", (OPENSHIFT_DNS, 5353, "TCP"), True),
        ("openshift-dns", (DNS, 53, "UDP"), False),
        ("tracing", (COLLECTOR, 4318, "TCP"), True),
        ("tracing", (COLLECTOR, 4317, "TCP"), False),
        ("tracing", (PROMETHEUS, 4318, "TCP"), False),
        ("tracing", (INTERNET, 4318, "TCP"), False),
        ("outbound-proxy", (PROXY, 3128, "TCP"), True),
        ("outbound-proxy", (PROXY, 443, "TCP"), False),
        ("outbound-proxy", (MONGO, 27017, "TCP"), True),
        ("outbound-proxy", (INTERNET, 443, "TCP"), False),
    ],
)
def test_a_component_opens_its_own_way_out(extend, platform, component, way, is_allowed):
    policies = find_policies(extend(find_overlay(platform), component))

    assert may_leave(policies, FUNCTIONS[platform], *way) is is_allowed


@pytest.mark.parametrize(
    ("component", "gateway"),
    [
        ("istio", Pod("istio-system", {"istio": "ingressgateway"})),
        ("contour", Pod("contour-external", {"app": "envoy"})),
        ("contour", Pod("contour-internal", {"app": "envoy"})),
    ],
)
def test_another_networking_layer_takes_the_place_of_kourier(extend, component, gateway):
    policies = find_policies(extend("knative/overlays/prod", component))

    for source, allowed in ((gateway, {8012, 8112}), (KNATIVE_SOURCES["ingress gateway"][0], set())):
        assert {port for port in KNATIVE_PORTS if may_enter(policies, source, FUNCTIONS["knative"], port)} == allowed


@pytest.mark.parametrize("platform", FUNCTIONS)
def test_in_development_every_pod_of_the_function_reaches_mongodb(render, platform):
    policies, function = find_policies(render(find_overlay(platform, "dev"))), FUNCTIONS[platform]
    mongo = Pod(function.namespace, {"app.kubernetes.io/name": "mongo"})

    assert may_leave(policies, function, mongo, 27017)
    assert may_enter(policies, function, mongo, 27017)
    assert not may_enter(policies, Pod(function.namespace), mongo, 27017)


POD = Pod("here", {"app": "it"})
OTHER = Pod("there", {"role": "caller"}, {"team": "a"})


def policy(ingress, selector=None):
    return {
        "metadata": {"namespace": "here"},
        "spec": {"podSelector": selector or {}, "policyTypes": ["Ingress"], "ingress": ingress},
    }


@pytest.mark.parametrize(
    ("rule", "is_allowed"),
    [
        ({}, True),
        ({"from": [{"podSelector": {}}]}, False),
        ({"from": [{"namespaceSelector": {}}]}, True),
        ({"from": [{"namespaceSelector": {"matchLabels": {"team": "a"}}}]}, True),
        ({"from": [{"namespaceSelector": {"matchLabels": {"team": "b"}}}]}, False),
        ({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "caller"}}}]}, True),
        ({"from": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"role": "other"}}}]}, False),
        ({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}]}, True),
        ({"from": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}]}, False),
        ({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}, False),
        ({"ports": [{"port": 80}]}, True),
        ({"ports": [{"port": 81}]}, False),
        ({"ports": [{"port": 70, "endPort": 90}]}, True),
        ({"ports": [{"port": 80, "protocol": "UDP"}]}, False),
    ],
)
def test_the_evaluator_follows_kubernetes(rule, is_allowed):
    assert may_enter([policy([rule])], OTHER, POD, 80) is is_allowed


def test_a_pod_without_a_policy_is_open_and_one_without_rules_is_closed():
    assert may_enter([policy([], selector={"matchLabels": {"app": "another"}})], OTHER, POD, 80)
    assert not may_enter([policy([])], OTHER, POD, 80)


def test_a_block_can_have_exceptions():
    rule = {"from": [{"ipBlock": {"cidr": "192.0.2.0/24", "except": ["192.0.2.128/25"]}}]}

    assert may_enter([policy([rule])], Address("192.0.2.1"), POD, 80)
    assert not may_enter([policy([rule])], Address("192.0.2.200"), POD, 80)
