"""`.ci/deploy --rollback`."""

import pytest

from tests.deploy.conftest import FIRST, NEW, NEWER, SECOND, THIRD, find_overload, find_shares
from tests.deploy.rolling import RefusedError


@pytest.fixture
def three(serving, deploy):
    for digest in (NEW, NEWER):
        serving.digest = digest
        assert deploy("--steps", "100").status == 0
    serving.settle(20)
    serving.serving.history.clear()
    return serving


def test_it_goes_to_the_revision_before(three, deploy):
    done = deploy("--rollback")

    assert done.status == 0, done.error
    assert find_shares(three) == [{THIRD: 100}, {SECOND: 100}]
    assert find_overload(three) == []


def test_it_goes_to_a_named_revision(three, deploy):
    assert deploy("knative/overlays/prod", "--rollback", FIRST).status == 0

    assert find_shares(three) == [{THIRD: 100}, {FIRST: 100}]
    assert find_overload(three) == []


def test_upstream_services_and_errors_do_not_stop_it(three, deploy):
    three.unreachable, three.failing_images = {"saliency_maps"}, {NEW, NEWER}

    assert deploy("--rollback").status == 0

    assert three.serving.find_shares() == {SECOND: 100}


def test_it_stays_there(three, deploy):
    deploy("--rollback")

    three.settle()

    (target,) = three.serving.service["spec"]["traffic"]
    assert target["revisionName"] == SECOND
    assert three.serving.find_shares() == {SECOND: 100}


def test_a_plain_apply_does_not_move_the_pinned_traffic(three, deploy):
    deploy("--rollback")

    with pytest.raises(RefusedError, match="conflict"):
        three.apply_overlay()


def test_the_next_deployment_upgrades_step_by_step_again(three, deploy):
    deploy("--rollback")
    three.serving.history.clear()

    assert deploy("--steps", "10,100").status == 0

    assert find_shares(three) == [{SECOND: 100}, {SECOND: 90, THIRD: 10}, {THIRD: 100}]
    assert find_overload(three) == []


def test_in_the_middle_of_a_rollout_it_goes_to_the_older_one(killed_at_10_percent, deploy):
    assert deploy("--rollback").status == 0

    assert find_shares(killed_at_10_percent) == [{FIRST: 90, SECOND: 10}, {FIRST: 100}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rollback", "gaze-function-00009"], "there is no revision gaze-function-00009"),
        (["--rollback"], "no earlier"),
    ],
)
def test_without_such_a_revision_nothing_changes(serving, deploy, arguments, message):
    done = deploy(*arguments)

    assert done.status == 1
    assert message in done.error
    assert find_shares(serving) == [{FIRST: 100}]


def test_an_overlay_in_the_place_of_a_revision_is_refused(serving, deploy):
    with pytest.raises(SystemExit):
        deploy("--rollback", "knative/overlays/prod")
