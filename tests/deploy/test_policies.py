"""NetworkPolicies while old and new pods serve."""

import pytest

from gaze_tools.deploy.policies import widen
from tests.deploy.conftest import FIRST, NEW, SECOND

EGRESS = ("networkpolicies", "gaze", "gaze-function-egress")
OLD_CIDR, NEW_CIDR = "192.0.2.10/32", "192.0.2.99/32"


def find_addresses(cluster):
    rules = cluster.objects[EGRESS].content["spec"]["egress"]
    return {to["ipBlock"]["cidr"] for rule in rules for to in rule["to"] if "ipBlock" in to} & {OLD_CIDR, NEW_CIDR}


@pytest.fixture
def moved(serving):
    serving.digest = NEW
    serving.replacements = [(OLD_CIDR, NEW_CIDR)]
    return serving


def test_both_addresses_are_allowed_while_both_revisions_serve(moved, deploy):
    seen = {}

    def note(cluster):
        seen[tuple(cluster.serving.find_shares().items())] = find_addresses(cluster)

    moved.on_tick.append(note)

    assert deploy().status == 0

    assert seen[(FIRST, 50), (SECOND, 50)] == {OLD_CIDR, NEW_CIDR}
    assert find_addresses(moved) == {NEW_CIDR}


def test_after_a_failure_only_the_old_address_is_allowed(moved, deploy):
    moved.serving.faults = {NEW: "pull"}

    assert deploy().status == 1

    assert find_addresses(moved) == {OLD_CIDR}


def test_a_direction_that_one_version_does_not_restrict_stays_open():
    old = {"policyTypes": ["Egress"], "egress": [{"to": ["a"]}]}
    new = {"metadata": {"name": "p"}, "spec": {"policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}}

    assert widen(new, old)["spec"] == {"policyTypes": ["Egress"], "egress": [{"to": ["a"]}]}
