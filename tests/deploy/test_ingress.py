"""Serving's status names the new split before the ingress follows it."""

from tests.deploy.conftest import FIRST, NEW, SECOND, find_shares


def test_a_step_fails_while_the_ingress_does_not_follow(serving, deploy):
    serving.digest = NEW
    serving.serving.is_ingress_stuck = lambda shares: shares.get(SECOND) == 10

    done = deploy()

    assert done.status == 1
    assert "the ingress is not ready" in done.error
    assert find_shares(serving)[-1] == {FIRST: 100}


def test_nothing_is_deleted_before_the_ingress_has_left_it(serving, deploy):
    serving.digest = NEW
    serving.serving.is_ingress_stuck = lambda shares: SECOND in shares

    assert deploy("--keep", "0", "--steps", "100").status == 1

    assert FIRST in serving.serving.revisions


def test_it_is_said_if_the_traffic_cannot_be_given_back(serving, deploy):
    serving.digest = NEW
    serving.act_once_when(
        lambda found: found.serving.find_shares().get(SECOND) == 10,
        lambda found: setattr(found.serving, "is_ingress_stuck", lambda _: True),
    )

    done = deploy()

    assert done.status == 1
    assert "the traffic could not be given back" in done.output
