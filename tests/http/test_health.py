"""Liveness, readiness, and when the application is built."""

import multiprocessing
import os
import threading
import time

import pytest

from func.bootstrap import EyeNetworkState, OncePerProcess, UpstreamProbes, build_application
from func.errors import NotReadyError, PartNotLoadedError, UnusableModelError
from func.settings import read_settings
from gaze_core.errors import LandmarkerBusyError, ModelError


def test_liveness_does_not_build_the_application(world):
    world.build_error = AssertionError("liveness must not build the application")

    response = world.client.get("/health/liveness")

    assert (response.status_code, response.get_json()) == (200, {"status": "alive"})


def test_readiness_reports_the_upstream_services(world):
    assert world.client.get("/health/readiness").get_json() == {
        "status": "ready",
        "eye_network": "used",
        "neighbours": {"session_api": "reachable", "saliency_store": "reachable", "aggregator": "reachable"},
        "session_ttl_s": 300.0,
    }


@pytest.mark.parametrize("state", list(EyeNetworkState))
def test_readiness_reports_whether_the_eye_network_is_used(world, state):
    world.eye_network_state = state

    assert world.client.get("/health/readiness").get_json()["eye_network"] == str(state)


def test_readiness_omits_the_session_lifetime_until_it_is_known(world):
    world.sessions.ttl_s = None

    assert "session_ttl_s" not in world.client.get("/health/readiness").get_json()


def test_the_function_is_ready_although_upstream_services_are_down(world):
    world.sessions.is_up = world.maps.is_up = False

    response = world.client.get("/health/readiness")

    assert response.status_code == 200
    assert response.get_json()["neighbours"] == {
        "session_api": "unreachable",
        "saliency_store": "unreachable",
        "aggregator": "reachable",
    }


def test_the_function_is_not_ready_without_a_model(world):
    world.build_error = NotReadyError()

    response = world.client.get("/health/readiness")

    assert (response.status_code, response.content_type) == (503, "application/problem+json")
    assert 5 <= int(response.headers["Retry-After"]) <= 11


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (NotReadyError("/srv/models"), "The models are not loaded."),
        (PartNotLoadedError("eye network"), "The eye network is not loaded: the log says why."),
        (
            UnusableModelError("gaze model", "GAZE_MODEL", "a.joblib does not match a.json", "/srv: no such file"),
            "The gaze model is not loaded: a.joblib does not match a.json.",
        ),
    ],
)
@pytest.mark.parametrize("path", ["/health/readiness", "/gaze"])
def test_a_function_that_is_not_ready_names_the_part_without_paths(world, make_body, path, error, detail):
    world.build_error = error

    response = world.client.get(path) if path != "/gaze" else world.post(make_body())

    assert (response.status_code, response.get_json()["detail"]) == (503, detail)


def test_the_message_of_a_library_is_for_the_operator_and_one_line():
    error = UnusableModelError("gaze model", "GAZE_MODEL", "a.joblib cannot be unpickled", "bad\nbyte " + "x" * 300)

    assert error.line.startswith("GAZE_MODEL cannot be used: a.joblib cannot be unpickled (bad byte xxx")
    assert "\n" not in error.line
    assert len(error.line) < 330


@pytest.mark.parametrize("kind", [MemoryError, OSError, LandmarkerBusyError])
def test_a_failure_that_may_pass_is_not_final(monkeypatch, kind):
    def fail(*_args, **_kwargs):
        raise kind(1)

    monkeypatch.setattr("func.adapters.model_file.load_gaze_model", fail)

    with pytest.raises(PartNotLoadedError) as caught:
        build_application(read_settings({"MONGO_URI": "mongodb://h"}), observer=None)

    assert (type(caught.value), caught.value.part) == (PartNotLoadedError, "gaze model")


def test_upstream_services_are_probed_in_parallel():
    meeting = threading.Barrier(3, timeout=60)

    def probe():
        meeting.wait()
        return True

    probes = UpstreamProbes({"a": probe, "b": probe, "c": probe}, timeout_s=60)

    assert probes.find_states() == {"a": True, "b": True, "c": True}


def test_a_service_that_hangs_or_fails_is_unreachable():
    release = threading.Event()

    def fail():
        raise OSError("down")

    probed = {"hangs": lambda: release.wait(60), "fails": fail, "up": lambda: True}
    probes = UpstreamProbes(probed, timeout_s=0.2, max_age_s=-1)

    # On a busy machine a probe may need more time than it has.
    deadline_s = time.monotonic() + 60
    while (states := probes.find_states()) != {"hangs": False, "fails": False, "up": True}:
        assert time.monotonic() < deadline_s, states
    release.set()


def test_a_hanging_service_is_not_probed_again_until_it_answers():
    release, asked, is_asked = threading.Event(), [], threading.Event()

    def hang():
        asked.append(1)
        is_asked.set()
        return release.wait(60)

    probes = UpstreamProbes({"hangs": hang}, timeout_s=0.05, max_age_s=-1)
    probes.find_states()
    assert is_asked.wait(60)
    probes.find_states()

    assert asked == [1]
    release.set()
    while probes.find_states() != {"hangs": True}:
        time.sleep(0.01)


def test_states_of_upstream_services_are_cached_for_a_few_seconds():
    now_s, asked = [0.0], []
    probes = UpstreamProbes({"a": lambda: not asked.append(1)}, max_age_s=5, clock=lambda: now_s[0])

    probes.find_states()
    now_s[0] = 4.9
    probes.find_states()
    assert asked == [1]
    now_s[0] = 5.1
    probes.find_states()
    assert asked == [1, 1]


def test_concurrent_calls_build_the_application_once():
    built = []

    def build():
        time.sleep(0.05)
        built.append(object())
        return built[-1]

    find = OncePerProcess(build)
    found = []
    threads = [threading.Thread(target=lambda: found.append(find())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(built) == 1
    assert found == built * 8


class Build:
    """Raises the given errors in order, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def __call__(self):
        if self.errors:
            raise self.errors.pop(0)
        return "application"


def test_a_failed_build_is_retried_after_a_second():
    now_s, build = [100.0], Build(ModelError("missing"))
    find = OncePerProcess(build, clock=lambda: now_s[0])

    with pytest.raises(NotReadyError):
        find()
    now_s[0] += 0.9
    with pytest.raises(NotReadyError):
        find()
    now_s[0] += 0.2
    assert find() == "application"


def test_each_kind_of_failed_build_is_logged_once(caplog):
    now_s, build = [0.0], Build(*[ModelError("missing")] * 5, ModelError("another"), ModelError("missing"))
    find = OncePerProcess(build, clock=lambda: now_s[0])

    for _ in range(7):
        now_s[0] += 2
        with pytest.raises(NotReadyError):
            find()

    assert build.errors == []
    assert [str(record.exc_info[1]) for record in caplog.records] == ["missing", "another"]


def test_a_forked_process_builds_its_own_application():
    find = OncePerProcess(os.getpid)
    queue = multiprocessing.get_context("fork").Queue()

    parent_pid = find()
    child = multiprocessing.get_context("fork").Process(target=lambda: queue.put(find()))
    child.start()

    assert parent_pid == os.getpid()
    assert queue.get(timeout=60) == child.pid
    child.join()
