"""A deployment that fails, or is interrupted, leaves the traffic with the revisions that served before."""

import signal

import pytest

from gaze_tools.deploy.health import read_log_line
from tests.deploy.conftest import FIRST, NEW, NEWER, SECOND, THIRD, find_overload, find_shares, signal_at
from tests.deploy.rolling import RefusedError

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


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gaze-function cannot start: MONGO_URI must be set", "gaze-function cannot start: MONGO_URI must be set"),
        (
            '{"event": "cannot start", "detail": "gaze-function cannot start: MONGO_URI must be set"}',
            "gaze-function cannot start: MONGO_URI must be set",
        ),
        ('{"event": "process ends", "detail": "out of memory", "trace": "MemoryError"}', "process ends: out of memory"),
        (
            '{"event": "process crashed", "trace": "Fatal Python error: Aborted"}',
            "process crashed: Fatal Python error: Aborted",
        ),
        ('{"event": "Shutting down: Master"}', "Shutting down: Master"),
        ('{"event": "request failed", "detail": ["a"]}', "request failed"),
        ('{"not": "ours"}', '{"not": "ours"}'),
        ("[1]", "[1]"),
        ("{", "{"),
        ("", ""),
    ],
)
def test_the_last_line_of_a_pod_is_plain_words_in_both_formats(line, words):
    assert read_log_line(line) == words


def test_a_crash_is_reported_in_plain_words_if_the_log_is_json(serving, deploy):
    serving.digest, serving.serving.faults = NEW, {NEW: "crash"}
    serving.last_line = '{"event": "cannot start", "detail": "gaze-function cannot start: MONGO_URI must be set"}'

    done = deploy()

    assert "its last line: gaze-function cannot start: MONGO_URI must be set" in done.error
    assert '"event"' not in done.error


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


def test_a_first_deployment_waits_for_the_upstream_services_that_it_brings(cluster, deploy):
    cluster.unreachable = {"saliency_maps"}
    cluster.act_once_at(40, lambda found: found.unreachable.clear())

    done = deploy()

    assert done.status == 0, done.error
    assert done.output.count("cannot reach: saliency_maps; trying again") == 1


def test_an_upstream_service_that_is_away_for_a_moment_does_not_end_it(serving, deploy, monkeypatch):
    serving.digest, read_page, asked = NEW, serving.read_page, []

    def read(pod, path):
        asked.append(path)
        serving.unreachable = {"saliency_maps"} if asked.count("/health/readiness") < 3 else set()
        return read_page(pod, path)

    monkeypatch.setattr(serving, "read_page", read)

    assert deploy().status == 0

    assert asked.count("/health/readiness") == 3


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


INTERRUPTIONS = pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)


def check_given_back(cluster):
    assert find_shares(cluster) == [{FIRST: 100}, {FIRST: 90, SECOND: 10}, {FIRST: 100}]
    assert find_overload(cluster) == []
    assert not [name for kind, _, name in cluster.objects if kind == "leases"]


@INTERRUPTIONS
@pytest.mark.usefixtures("not_under_nohup")
def test_an_interrupted_deployment_gives_the_traffic_back(serving, deploy, number, status):
    serving.digest = NEW
    signal_at(serving, 10, number)

    done = deploy("--steps", "10,100")

    assert done.status == status, done.error
    check_given_back(serving)


@pytest.mark.slow
@INTERRUPTIONS
def test_an_interrupted_process_gives_the_traffic_back(serving, start, number, status):
    serving.digest = NEW
    process = start("--steps", "10,100")
    signal_at(serving, 10, number, process.pid)

    _, error = process.communicate(timeout=100)

    assert process.returncode == status, error
    check_given_back(serving)


@pytest.mark.slow
def test_an_interrupted_deployment_whose_output_nobody_reads_gives_the_traffic_back(serving, start):
    """Ctrl-C in `make deploy | tee log` ends tee, too."""
    serving.digest = NEW
    process = start("--steps", "10,100")

    def close(found):
        if found.serving.find_shares().get(SECOND) == 10 and not process.stdout.closed:
            process.stdout.close()
            process.stderr.close()
            process.send_signal(signal.SIGINT)

    serving.on_tick.append(close)
    status = process.wait(timeout=100)

    assert status == 130
    check_given_back(serving)


def test_pods_that_cannot_be_asked_are_reported(serving, deploy, monkeypatch):
    serving.digest = NEW

    def refuse(*_):
        raise RefusedError("Error from server: error dialing backend: dial tcp 10.0.0.1:10250: i/o timeout")

    monkeypatch.setattr(serving, "read_page", refuse)

    done = deploy()

    assert done.status == 0
    assert "are not checked: Error from server: error dialing backend" in done.output


def test_fewer_pods_than_the_traffic_needs_are_reported(serving, deploy):
    serving.serving.load_pods = 30
    serving.settle(20)
    serving.digest = NEW
    serving.replacements = [('max-scale: "50"', 'max-scale: "20"')]

    done = deploy()

    assert "100 % of the traffic needs 30 pods; max-scale allows 20" in done.output


def test_a_revision_that_is_deleted_during_the_deployment_is_named(serving, deploy):
    serving.digest = NEW

    def delete(found):
        found.serving.configuration["latestCreated"] = ""
        del found.serving.revisions[SECOND]

    serving.act_once_when(
        lambda found: SECOND in found.serving.revisions and found.serving.revisions[SECOND].is_ready,
        lambda found: found.act_once_at(1, delete),
    )

    done = deploy()

    assert done.status == 1
    assert f"something else has deleted revision {SECOND}" in done.error
    assert serving.serving.find_shares() == {FIRST: 100}


def test_a_first_deployment_that_fails_can_be_repeated(cluster, deploy):
    cluster.serving.faults = {cluster.digest: "pull"}
    assert deploy().status == 1
    cluster.serving.faults = {}

    assert deploy().status == 0

    assert cluster.serving.find_shares() == {FIRST: 100}
