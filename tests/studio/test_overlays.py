"""Films with the gaze, made in the background."""

import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import av
import pytest
import requests

from gaze_tools.film import read_times
from gaze_tools.report.overlay import find_part
from gaze_tools.sample_clip import SAMPLE
from gaze_tools.stack.processes import find_free_port, run_process
from gaze_tools.studio import overlays
from gaze_tools.studio.films import FilmLibrary
from gaze_tools.studio.gateway import GatewaySetup, make_gateway
from gaze_tools.studio.overlay_marks import find_marks
from gaze_tools.studio.overlays import MAX_KEPT_BYTES, MAX_WAITING, MIN_FREE_BYTES
from gaze_tools.studio.uploads import MAX_FILM_BYTES
from tests.studio.gateway_client import SAMPLE_FRAMES, seed_sample
from tests.studio.kept_session import keep_session
from tests.studio.waiting import wait_until

TIMEOUT_S = 60
until = partial(wait_until, limit_s=TIMEOUT_S)


class Writer:
    """Stands for `write_overlay`: writes a tenth of the film each time a test allows it."""

    def __init__(self):
        self.allowed = threading.Semaphore(0)
        self.lock = threading.Lock()
        self.made, self.running, self.most = [], 0, 0
        self.error = None

    def __call__(self, report, film, times, path, *, on_frame):
        with self.lock:
            self.made.append(report.session_id)
            self.running += 1
            self.most = max(self.most, self.running)
        part = find_part(path)
        try:
            for tenth in range(1, 11):
                assert self.allowed.acquire(timeout=TIMEOUT_S)
                if self.error is not None:
                    raise self.error
                part.write_bytes(b"x" * tenth)
                on_frame(tenth * SAMPLE_FRAMES // 10)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
            with self.lock:
                self.running -= 1

    def allow(self, tenths=10):
        self.allowed.release(tenths)


@pytest.fixture(autouse=True)
def room(monkeypatch):
    """A disk of this machine that is almost full changes nothing."""
    monkeypatch.setattr(overlays, "MIN_FREE_BYTES", 0)


@pytest.fixture
def make_client(mongo_uri, database, tmp_path):
    def make(frames=SAMPLE_FRAMES):
        seed_sample(database, frames)
        setup = GatewaySetup("http://127.0.0.1:9", "http://127.0.0.1:9", mongo_uri, tmp_path)
        return make_gateway(database, setup).test_client()

    return make


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def writer(monkeypatch):
    writer = Writer()
    monkeypatch.setattr(overlays, "write_overlay", writer)
    yield writer
    writer.allow(1000)


@pytest.fixture
def session_id(client, tmp_path):
    return keep_session(tmp_path, "sample")


@pytest.fixture
def directory(session_id, tmp_path):
    return tmp_path / "sessions" / session_id


def get(client, session_id="s"):
    return client.get(f"/api/sessions/{session_id}/overlay").json


def start(client, session_id="s"):
    return client.post(f"/api/sessions/{session_id}/overlay")


def finish(client, session_id="s"):
    """Wait for the end of a computation and return the overlay."""
    until(lambda: get(client, session_id)["state"] != "preparing")
    return get(client, session_id)


def files_of(directory, session_id="s"):
    return sorted(path.name for path in (directory / "sessions" / session_id).iterdir())


def test_an_overlay_that_nobody_asked_for_is_not_made(client, session_id):
    assert get(client)["state"] == "none"
    assert client.get("/api/overlays").json == {"overlays": []}


def test_a_click_starts_it_and_says_which_film_it_is(client, session_id, writer):
    answer = start(client)

    assert answer.status_code == 202
    assert answer.json == {
        "session_id": "s",
        "video_id": "sample",
        "title": "Sample",
        "watched_at": "2026-01-01T00:00:00+00:00",
        "state": "preparing",
        "progress": 0.0,
        "problem": None,
        "reason": None,
    }


def test_progress_is_a_fifth_for_reading_and_the_share_of_written_frames(client, session_id, writer):
    start(client)
    until(lambda: get(client)["progress"] == 0.2)
    writer.allow(3)

    until(lambda: get(client)["progress"] == 0.44)
    assert client.get("/api/overlays").json["overlays"] == [get(client)]


def test_a_second_click_finds_the_same_computation(client, session_id, writer):
    start(client)
    writer.allow(3)
    until(lambda: get(client)["progress"] == 0.44)

    assert start(client).json["progress"] == 0.44
    writer.allow()
    assert finish(client)["state"] == "ready"
    assert start(client).json["state"] == "ready"
    assert writer.made == ["s"]


def test_one_is_made_at_a_time(client, session_id, writer, tmp_path):
    others = [keep_session(tmp_path, "sample", name) for name in ("t", "u")]
    for each in (session_id, *others):
        start(client, each)
    writer.allow(30)

    assert {finish(client, each)["state"] for each in (session_id, *others)} == {"ready"}
    assert (writer.made, writer.most) == (["s", "t", "u"], 1)
    assert [each["session_id"] for each in client.get("/api/overlays").json["overlays"]] == ["u", "t", "s"]


def test_a_cancelled_one_stops_and_leaves_nothing(client, session_id, writer, tmp_path):
    start(client)
    writer.allow(3)
    until(lambda: get(client)["progress"] == 0.44)

    assert client.delete("/api/sessions/s/overlay").status_code == 200
    assert get(client)["state"] == "none"
    writer.allow(1)
    until(lambda: writer.running == 0)
    assert files_of(tmp_path) == ["session.json"]


def test_one_that_is_cancelled_with_the_last_frame_leaves_nothing(client, session_id, tmp_path, monkeypatch):
    has_ended = threading.Event()

    def write(report, film, times, path, *, on_frame):
        client.delete("/api/sessions/s/overlay")
        path.write_bytes(b"x")
        has_ended.set()

    monkeypatch.setattr(overlays, "write_overlay", write)
    start(client)

    assert has_ended.wait(TIMEOUT_S)
    until(lambda: files_of(tmp_path) == ["session.json"])
    assert get(client)["state"] == "none"


def test_one_that_is_cancelled_at_the_end_and_asked_for_again_is_made_again(client, session_id, tmp_path, monkeypatch):
    made = []

    def write(report, film, times, path, *, on_frame):
        made.append(path)
        path.write_bytes(b"x" * len(made))
        if len(made) == 1:
            client.delete("/api/sessions/s/overlay")
            assert start(client).json["state"] == "preparing"

    monkeypatch.setattr(overlays, "write_overlay", write)
    start(client)
    until(lambda: len(made) == 2)

    assert finish(client)["state"] == "ready"
    assert client.get("/api/sessions/s/overlay.mp4").data == b"xx"


def test_an_encoder_may_hold_the_first_frames_back(client, session_id, monkeypatch):
    """With many threads, it holds more of them than are written between two checks of the room."""

    def write(report, film, times, path, *, on_frame):
        on_frame(overlays._FRAMES_BETWEEN_CHECKS)
        path.write_bytes(b"x")

    monkeypatch.setattr(overlays, "write_overlay", write)
    start(client)

    assert finish(client)["state"] == "ready"


def test_the_list_outlives_a_session_that_somebody_deleted(client, directory, writer, tmp_path):
    keep_session(tmp_path, "sample", "t")
    writer.allow(20)
    for each in "st":
        start(client, each)
        finish(client, each)
    shutil.rmtree(directory)

    assert [each["session_id"] for each in client.get("/api/overlays").json["overlays"]] == ["t"]


def test_a_cancelled_one_can_be_made_again(client, session_id, writer):
    start(client)
    writer.allow(3)
    until(lambda: get(client)["progress"] == 0.44)
    client.delete("/api/sessions/s/overlay")
    start(client)
    writer.allow(20)

    assert finish(client)["state"] == "ready"
    assert writer.made == ["s", "s"]


def test_one_that_is_cancelled_while_it_waits_is_never_begun(client, session_id, writer, tmp_path):
    keep_session(tmp_path, "sample", "t")
    start(client)
    until(lambda: writer.made == ["s"])
    start(client, "t")
    client.delete("/api/sessions/t/overlay")
    start(client, "t")
    writer.allow(20)

    assert finish(client, "t")["state"] == "ready"
    assert writer.made == ["s", "t"]


def count_threads():
    return sum(each.name.startswith("overlay") for each in threading.enumerate())


def test_no_number_of_clicks_takes_more_than_one_thread(client, session_id, writer, tmp_path):
    keep_session(tmp_path, "sample", "t")
    start(client)
    until(lambda: writer.made == ["s"])
    threads = count_threads()
    for _ in range(20):
        start(client, "t")
        client.delete("/api/sessions/t/overlay")

    assert count_threads() <= threads


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "full"), "disk_full"),
        (OSError(errno.EIO, "broken"), "unreadable"),
        (RuntimeError("bug"), "overlay_failed"),
    ],
)
def test_a_failed_one_says_why_and_leaves_nothing(client, directory, writer, error, reason):
    writer.error = error
    start(client)
    writer.allow(1)
    failed = finish(client)

    assert (failed["state"], failed["reason"]) == ("failed", reason)
    assert failed["problem"] == overlays._PROBLEMS[reason]
    assert [path.name for path in directory.iterdir()] == ["session.json"]


def test_a_failed_one_can_be_made_again(client, session_id, writer):
    writer.error = RuntimeError("bug")
    start(client)
    writer.allow(1)
    finish(client)
    writer.error = None
    start(client)
    writer.allow()

    assert finish(client)["state"] == "ready"
    assert get(client)["problem"] is None


def test_a_film_that_was_removed_has_none(client, writer, tmp_path):
    keep_session(tmp_path, "film-gone")
    start(client)

    assert finish(client)["reason"] == "film_gone"
    assert writer.made == []


def test_a_film_that_is_removed_meanwhile_has_none(client, directory, writer, tmp_path, monkeypatch):
    film = tmp_path / "film.mp4"
    film.write_bytes((SAMPLE / "video.mp4").read_bytes())
    monkeypatch.setattr(FilmLibrary, "find_original", lambda _films, _film_id: film)
    start(client)
    writer.allow(9)
    until(lambda: get(client)["progress"] == 0.92)
    film.unlink()
    writer.allow(1)

    assert finish(client)["reason"] == "film_gone"
    assert [path.name for path in directory.iterdir()] == ["session.json"]


def test_a_film_that_is_not_as_long_as_the_maps_has_none(make_client, writer, tmp_path):
    client = make_client(frames=100)
    keep_session(tmp_path, "sample")
    start(client)

    assert finish(client)["reason"] == "other_film"


class TestDisk:
    def test_an_overlay_of_the_largest_film_has_room(self):
        assert MAX_KEPT_BYTES == 4 * MAX_FILM_BYTES == 8 * 2**30
        assert MIN_FREE_BYTES == 512 * 2**20
        assert MAX_WAITING == 4

    def test_an_overlay_never_takes_the_last_room(self, client, session_id, writer, tmp_path, monkeypatch):
        monkeypatch.setattr(overlays, "MIN_FREE_BYTES", 2**80)
        start(client)
        writer.allow()

        assert finish(client)["reason"] == "disk_full"
        assert files_of(tmp_path) == ["session.json"]

    def test_an_overlay_that_grows_too_large_is_given_up(self, client, session_id, writer, tmp_path, monkeypatch):
        monkeypatch.setattr(overlays, "MAX_KEPT_BYTES", 4)
        start(client)
        writer.allow()

        assert finish(client)["reason"] == "too_large"
        assert files_of(tmp_path) == ["session.json"]

    def test_the_oldest_make_room_for_a_new_one(self, client, session_id, writer, tmp_path, monkeypatch):
        monkeypatch.setattr(overlays, "MAX_KEPT_BYTES", 25)  # each has 10
        writer.allow(30)
        for age_s, each in ((30, session_id), (20, keep_session(tmp_path, "sample", "t"))):
            start(client, each)
            assert finish(client, each)["state"] == "ready"
            os.utime(tmp_path / "sessions" / each / "overlay.mp4", times=(time.time() - age_s,) * 2)
        start(client, keep_session(tmp_path, "sample", "u"))
        finish(client, "u")
        until(lambda: get(client)["state"] == "none")

        assert [get(client, each)["state"] for each in "tu"] == ["ready", "ready"]
        assert [each["session_id"] for each in client.get("/api/overlays").json["overlays"]] == ["u", "t"]

    def test_what_a_stopped_studio_left_is_removed_and_not_served(self, make_client, tmp_path):
        keep_session(tmp_path, "sample")
        overlay = tmp_path / "sessions" / "s" / "overlay.mp4"
        made = overlays._find_made(overlay)
        for left in (find_part(overlay), made, find_part(made)):
            left.write_bytes(b"half")
        client = make_client()

        assert files_of(tmp_path) == ["session.json"]
        assert get(client)["state"] == "none"


class TestFile:
    def test_a_finished_one_is_there_after_a_restart(self, make_client, client, session_id, writer):
        start(client)
        writer.allow()
        finish(client)

        assert get(make_client())["state"] == "ready"

    def test_it_is_a_download_of_which_parts_can_be_asked_for(self, client, session_id, writer):
        start(client)
        writer.allow()
        finish(client)
        whole = client.get("/api/sessions/s/overlay.mp4")
        part = client.get("/api/sessions/s/overlay.mp4", headers={"Range": "bytes=2-5"})

        assert (whole.status_code, whole.data, whole.content_type) == (200, b"x" * 10, "video/mp4")
        assert whole.headers["Content-Disposition"] == "attachment; filename=overlay.mp4"
        assert (whole.headers["Accept-Ranges"], whole.headers["Cache-Control"]) == ("bytes", "no-store")
        assert (part.status_code, part.data, part.headers["Content-Range"]) == (206, b"xxxx", "bytes 2-5/10")

    def test_that_of_a_short_film_is_made_when_it_is_asked_for(self, client, session_id, writer):
        writer.allow()

        assert client.get("/api/sessions/s/overlay.mp4").data == b"x" * 10

    def test_who_asks_for_the_file_waits_for_the_computation_that_is_running(self, client, session_id, writer):
        start(client)
        writer.allow(3)
        until(lambda: get(client)["progress"] == 0.44)
        threading.Timer(0.1, writer.allow).start()

        assert client.get("/api/sessions/s/overlay.mp4").data == b"x" * 10
        assert writer.made == ["s"]

    def test_nobody_waits_for_ever(self, client, session_id, writer, monkeypatch):
        monkeypatch.setattr(overlays, "WAIT_S", 0.05)
        answer = client.get("/api/sessions/s/overlay.mp4")

        assert (answer.status_code, answer.json["type"]) == (409, "/problems/not-prepared")
        assert get(client)["state"] == "preparing"

    def test_those_who_wait_leave_threads_for_the_frames(self, client, session_id, writer):
        with ThreadPoolExecutor(MAX_WAITING + 1) as pool:
            waiting = [
                pool.submit(client.application.test_client().get, "/api/sessions/s/overlay.mp4")
                for _ in range(MAX_WAITING + 1)
            ]
            until(lambda: any(each.done() for each in waiting))
            refused = [each for each in waiting if each.done()]
            writer.allow()

            assert [each.result().status_code for each in refused] == [409]
            assert sorted(each.result().status_code for each in waiting) == [200] * MAX_WAITING + [409]

    def test_that_of_a_long_film_has_to_be_made_first(self, client, session_id, writer, monkeypatch):
        monkeypatch.setattr(overlays, "MAX_LINKED_S", 9.0)  # the film has 10 s
        answer = client.get("/api/sessions/s/overlay.mp4")

        assert (answer.status_code, answer.json["type"]) == (409, "/problems/not-prepared")
        assert get(client)["state"] == "none"
        start(client)
        writer.allow()
        finish(client)
        assert client.get("/api/sessions/s/overlay.mp4").status_code == 200

    def test_one_that_failed_is_an_error(self, client, session_id, writer):
        writer.error = RuntimeError("bug")
        writer.allow(1)
        answer = client.get("/api/sessions/s/overlay.mp4")

        assert (answer.status_code, answer.json["type"]) == (500, "/problems/no-overlay")

    @pytest.mark.parametrize("path", ["overlay", "overlay.mp4"])
    @pytest.mark.parametrize("method", ["get", "post", "delete"])
    def test_an_unknown_session_has_none(self, client, method, path):
        expected = 404 if path == "overlay" or method == "get" else 405

        assert getattr(client, method)(f"/api/sessions/unknown/{path}").status_code == expected

    def test_it_has_the_frames_of_the_film(self, client, session_id, tmp_path):
        start(client)

        assert finish(client)["state"] == "ready"
        (tmp_path / "overlay.mp4").write_bytes(client.get("/api/sessions/s/overlay.mp4").data)
        assert read_times(tmp_path / "overlay.mp4").starts_s.size == SAMPLE_FRAMES


def repeat_film(source, target, turns):
    """Write a film that shows another one several times, without decoding it."""
    with av.open(str(target), "w") as out:
        stream, shift = None, 0
        for _ in range(turns):
            with av.open(str(source)) as film:
                video = film.streams.video[0]
                stream = stream or out.add_stream_from_template(video)
                step = int(1 / (video.average_rate * video.time_base))
                packets = [packet for packet in film.demux(video) if packet.dts is not None]
                for packet in packets:
                    packet.dts, packet.pts, packet.stream = packet.dts + shift, packet.pts + shift, stream
                    out.mux(packet)
                shift += step * len(packets)
    return target


def is_up(url):
    try:
        return requests.get(f"{url}/films", timeout=10).status_code == 200
    except requests.ConnectionError:
        return False


def list_group(pid):
    """Return the states of the processes that a process has started, and its own."""
    states = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group, *_ = path.read_text().rsplit(")", 1)[1].split()
            states += [state] if int(group) == pid else []
    return states


@pytest.mark.slow
@pytest.mark.parametrize(("number", "starts"), [(signal.SIGTERM, 0), (signal.SIGKILL, 1)])
def test_a_studio_that_is_stopped_in_the_middle_makes_the_film_again(mongo_uri, database, tmp_path, number, starts):
    data = tmp_path / "studio"
    port = find_free_port()
    command = [sys.executable, "-m", "gaze_tools.studio.gateway", "--port", str(port), "--database", database.name]
    command += ["--mongo-uri", mongo_uri, "--maps-uri", mongo_uri, "--data", str(data)]
    command += ["--function-url", "http://127.0.0.1:9", "--session-api-url", "http://127.0.0.1:9"]
    url = f"http://127.0.0.1:{port}/api"
    with run_process(command, log_path=tmp_path / "log") as process:
        until(lambda: is_up(url))
        film = repeat_film(SAMPLE / "video.mp4", tmp_path / "long.mp4", 60)
        film_id = requests.post(f"{url}/films?name=long.mp4", data=film.read_bytes(), timeout=60).json()["film_id"]
        keep_session(data, film_id)
        requests.post(f"{url}/sessions/s/overlay", timeout=60).raise_for_status()
        until(lambda: requests.get(f"{url}/sessions/s/overlay", timeout=60).json()["progress"] > 0.2)
        process.send_signal(number)
        process.wait(30)
        until(lambda: set(list_group(process.pid)) <= {"Z"})
    assert not (data / "sessions" / "s" / "overlay.mp4").exists()
    assert [mark.starts for mark in find_marks(data / "sessions")] == [starts]
    with run_process(command, log_path=tmp_path / "log"):
        until(lambda: is_up(url))
        until(lambda: requests.get(f"{url}/sessions/s/overlay", timeout=60).json()["progress"] > 0)
