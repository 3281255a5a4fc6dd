"""Revisions whose deployment failed, or that were rolled back, are nothing to go back to."""

import signal

import pytest

from tests.deploy.conftest import FIRST, NEW, NEWER, SECOND, THIRD, find_shares, signal_at

FOURTH = "gaze-function-00004"
NEWEST = "sha256:" + "d" * 64


@pytest.fixture
def after_a_failure(serving, deploy):
    """Return the cluster after a deployment whose pods are ready, but answer with 500, and then a good one."""
    serving.digest, serving.failing_images = NEW, {NEW}
    assert deploy().status == 1
    assert serving.serving.revisions[SECOND].is_ready
    serving.digest = NEWER
    assert deploy().status == 0
    return serving


def test_the_next_deployment_deletes_a_failed_revision_that_is_ready(after_a_failure):
    assert sorted(after_a_failure.serving.revisions) == [FIRST, THIRD]


def test_a_rollback_does_not_go_to_a_failed_revision(serving, deploy):
    serving.digest, serving.failing_images = NEW, {NEW}
    deploy()
    serving.digest = NEWER
    serving.act_once_at(1, lambda found: setattr(found, "forbidden", ("delete revisions",)))
    assert deploy().status == 0
    assert SECOND in serving.serving.revisions
    serving.forbidden = ()

    assert deploy("--rollback").status == 0

    assert serving.serving.find_shares() == {FIRST: 100}


def test_an_interrupted_revision_counts_as_failed(serving, deploy):
    serving.digest = NEW
    signal_at(serving, 10, signal.SIGTERM)

    assert deploy("--steps", "10,100").status == 128 + signal.SIGTERM

    assert serving.serving.revisions[SECOND].annotations["gaze-function/unwanted"] == "failed"


def test_a_failed_revision_that_is_deployed_again_with_success_is_kept(serving, deploy):
    serving.digest, serving.failing_images = NEW, {NEW}
    deploy()
    serving.failing_images = set()
    assert deploy().status == 0

    assert "gaze-function/unwanted" not in serving.serving.revisions[SECOND].annotations
    serving.digest = NEWER
    deploy()
    assert deploy("--rollback").status == 0
    assert serving.serving.find_shares() == {SECOND: 100}


def test_a_second_rollback_does_not_return_to_the_revision_that_the_first_one_left(serving, deploy):
    for digest in (NEW, NEWER):
        serving.digest = digest
        assert deploy("--steps", "100").status == 0
    assert deploy("--rollback").status == 0
    serving.digest = NEWEST
    assert deploy("--steps", "100").status == 0
    assert sorted(serving.serving.revisions) == [FIRST, SECOND, FOURTH]

    assert deploy("--rollback").status == 0

    assert find_shares(serving)[-1] == {SECOND: 100}


def test_a_revision_that_served_is_kept_even_if_it_is_not_ready_for_a_moment(serving, deploy):
    serving.digest = NEW

    def fail(found):
        found.serving.revisions[FIRST].is_ready = False
        found.serving.revisions[FIRST].failure = ("ProgressDeadlineExceeded", "no room")
        found.serving.revisions[FIRST].pods = []

    serving.act_once_when(lambda found: found.serving.find_shares() == {SECOND: 100}, fail)
    serving.on_tick.append(lambda found: found.serving.find_shares() == {SECOND: 100} and fail(found))

    assert deploy().status == 0

    assert sorted(serving.serving.revisions) == [FIRST, SECOND]
