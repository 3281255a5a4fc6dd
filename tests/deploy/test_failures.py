"""A deployment that fails, or is interrupted, leaves the traffic with the revisions that served before."""

import signal
from datetime import UTC, datetime, timedelta

import pytest

from gaze_tools.deploy import lock
from tests.deploy.conftest import FIRST, NEW, NEWER, SECOND, THIRD, find_overload, find_shares, signal_at

NEVER_MOVED = [{FIRST: 100}]
BACK_FROM_10 = [{FIRST: 100}, {FIRST: 99, SECOND: 1}, {FIRST: 90, SECOND: 10}, {FIRST: 100}]
BACK_FROM_50 = [*BACK_FROM_10[:3], {FIRST: 50, SECOND: 50}, {FIRST: 100}]
BACK_FROM_1 = [*BACK_FROM_10[:2], {FIRST: 100}]


@pytest.mark.parametrize(
    ("fault", "reason", "history"),
    [
        ("pull", "ImagePullBackOff", NEVER_MOVED),
        ("no such image", "ContainerMissing", NEVER_MOVED),
        ("crash", "its last line: gaze-function cannot start: MONGO_URI is not set", NEVER_MOVED),
        ("unready at 10 %", "is not ready any more", BACK_FROM_10),
        ("restarts at 50 %", "restarted", BACK_FROM_50),
    ],
)
def test_a_faulty_image_does_not_keep_any_traffic(serving, deploy, fault, reason, history):
    serving.digest, serving.serving.faults = NEW, {NEW: fault}

    done = deploy()

    assert done.status == 1
    assert reason in done.error
    assert find_shares(serving) == history
    assert find_overload(serving) == []


def test_a_failed_pull_ends_early(serving, deploy):
    serving.digest, serving.serving.faults = NEW, {NEW: "pull"}

    deploy()

    assert len(serving.serving.history) < 30  # the timeout is 80 polls


def test_a_registry_that_fails_once_is_given_time(serving, deploy):
    serving.digest, serving.serving.faults = NEW, {NEW: "slow registry"}

    assert deploy().status == 0


def test_a_failed_revision_that_recovers_later_gets_nothing(serving, deploy):
    serving.digest, serving.serving.faults = NEW, {NEW: "pull"}
    deploy()

    serving.serving.faults = {}
    serving.settle()

    assert serving.serving.revisions[SECOND].is_ready
    assert find_shares(serving) == NEVER_MOVED


def test_after_a_failure_the_next_deployment_succeeds(serving, deploy):
    serving.digest, serving.serving.faults = NEW, {NEW: "pull"}
    deploy()
    serving.digest = NEWER

    assert deploy().status == 0

    assert serving.serving.find_shares() == {THIRD: 100}
    assert find_overload(serving) == []
    assert SECOND not in serving.serving.revisions


def test_without_room_for_the_pods_a_step_is_not_taken(serving, deploy):
    serving.serving.load_pods = 30
    serving.settle(20)
    serving.serving.history.clear()
    serving.digest, serving.serving.faults = NEW, {NEW: "no room"}

    done = deploy()

    assert done.status == 1
    assert f"{SECOND} has 3 of the 15 pods that 50 % of the traffic needs" in done.error
    assert "Insufficient cpu" in done.error
    assert find_shares(serving) == BACK_FROM_10
    assert find_overload(serving) == []


def test_errors_end_the_rollout_at_the_first_step(serving, deploy):
    serving.digest, serving.failing_images = NEW, {NEW}

    done = deploy()

    assert done.status == 1
    assert "requests to /gaze failed" in done.error
    assert find_shares(serving) == BACK_FROM_1


def test_a_revision_that_cannot_reach_an_upstream_service_gets_nothing(serving, deploy):
    serving.digest, serving.unreachable = NEW, {"saliency_maps"}

    done = deploy()

    assert done.status == 1
    assert "cannot reach: saliency_maps" in done.error
    assert find_shares(serving) == NEVER_MOVED


def test_it_gets_the_traffic_if_that_is_wanted(serving, deploy):
    serving.digest, serving.unreachable = NEW, {"saliency_maps"}

    assert deploy("--allow-unreachable").status == 0

    assert serving.serving.find_shares() == {SECOND: 100}


def test_at_most_three_pods_are_asked_for_their_errors(serving, deploy):
    serving.serving.load_pods = 30
    serving.settle(20)
    serving.digest = NEW

    deploy()

    asked = {line.split()[1] for line in serving.log if line.startswith("exec") and line.endswith("/metrics")}
    assert asked == {f"{SECOND}-pod-{number}" for number in ("1", "2", "3", "10", "11")}


def test_without_the_right_to_look_into_pods_errors_are_not_checked(serving, deploy):
    serving.digest, serving.failing_images, serving.forbidden = NEW, {NEW}, ("exec",)

    done = deploy()

    assert done.status == 0
    assert done.output.count("errors are not checked") == 1


def test_a_secret_that_disappears_during_the_deployment_is_named(serving, deploy):
    serving.digest = NEW
    serving.act_once_at(6, lambda found: found.delete("secrets", "gaze-mongo"))

    done = deploy()

    assert done.status == 1
    assert 'secret "gaze-mongo" not found' in done.error
    assert find_shares(serving) == NEVER_MOVED


def test_a_rotated_secret_reaches_the_new_revision_only(serving, deploy):
    serving.create_secret("gaze-mongo-2")
    serving.replacements = [("name: gaze-mongo\n", "name: gaze-mongo-2\n")]

    assert deploy().status == 0

    assert find_shares(serving)[-1] == {SECOND: 100}
    assert find_overload(serving) == []
    serving.delete("secrets", "gaze-mongo")
    serving.digest = NEW
    assert deploy().status == 0
    assert serving.serving.find_shares() == {THIRD: 100}


def test_pods_are_given_up_again_after_a_failure(serving, deploy):
    serving.digest, serving.serving.faults = NEW, {NEW: "restarts at 50 %"}
    deploy()

    serving.serving.load_pods = 1
    serving.settle()

    assert serving.serving.history[-1].ready == {FIRST: 3, SECOND: 1}


def test_a_change_by_somebody_else_is_left_alone(serving, deploy):
    serving.digest = NEW
    theirs = [{"revisionName": FIRST, "percent": 70}, {"revisionName": SECOND, "percent": 30}]
    serving.act_once_when(
        lambda found: found.serving.find_shares().get(SECOND) == 10, lambda found: found.apply_traffic(theirs)
    )

    done = deploy()

    assert done.status == 1
    assert "something else has changed the Service" in done.error
    serving.settle()
    assert serving.serving.find_shares() == {FIRST: 70, SECOND: 30}


def test_a_second_deployment_is_refused(serving, deploy):
    serving.add_lease("laptop-1", datetime.now(UTC))
    serving.digest = NEW

    done = deploy()

    assert done.status == 1
    assert "another deployment is running: laptop-1" in done.error
    serving.settle()
    assert list(serving.serving.revisions) == [FIRST]


def test_the_lock_of_a_deployment_that_was_killed_ends(serving, deploy):
    serving.add_lease("laptop-1", datetime.now(UTC) - timedelta(seconds=121))
    serving.digest = NEW

    assert deploy().status == 0

    assert not [name for kind, _, name in serving.objects if kind == "leases"]


def test_the_lock_lasts_two_minutes_and_is_renewed_in_time(serving, deploy):
    seen = []

    def note(cluster):
        seen.extend(found.content["spec"] for (kind, _, _), found in cluster.objects.items() if kind == "leases")

    serving.on_tick.append(note)
    deploy()

    assert {spec["leaseDurationSeconds"] for spec in seen} == {120}
    assert lock.RENEW_AFTER_S == 20


def test_a_deployment_that_has_lost_the_lock_stops(serving, deploy, monkeypatch):
    monkeypatch.setattr(lock, "RENEW_AFTER_S", 0)
    serving.digest = NEW
    serving.act_once_when(
        lambda found: found.serving.find_shares().get(SECOND) == 10,
        lambda found: found.add_lease("laptop-2", datetime.now(UTC)),
    )

    done = deploy()

    assert done.status == 1
    assert "another deployment has taken the lock" in done.error
    assert serving.serving.find_shares() == {FIRST: 90, SECOND: 10}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_deployment_gives_the_traffic_back(serving, start, number, status):
    serving.digest = NEW
    process = start("--steps", "10,100")
    signal_at(serving, process, 10, number)

    _, error = process.communicate(timeout=100)

    assert process.returncode == status, error
    assert find_shares(serving) == [{FIRST: 100}, {FIRST: 90, SECOND: 10}, {FIRST: 100}]
    assert find_overload(serving) == []
    assert not [name for kind, _, name in serving.objects if kind == "leases"]


def test_a_first_deployment_that_fails_can_be_repeated(cluster, deploy):
    cluster.serving.faults = {cluster.digest: "pull"}
    assert deploy().status == 1
    cluster.serving.faults = {}

    assert deploy().status == 0

    assert cluster.serving.find_shares() == {FIRST: 100}
