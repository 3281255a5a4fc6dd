"""Films with the gaze that were asked for, but not finished when the studio ended."""

import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from gaze_tools.sample_clip import SAMPLE
from gaze_tools.studio import overlay_marks, overlays
from gaze_tools.studio.kept import OVERLAY, KeptSessions
from gaze_tools.studio.overlay_marks import MARK, OverlayMark, find_marks, remove_mark, write_mark
from gaze_tools.studio.overlays import Overlays
from gaze_tools.studio.removal import remove_overlays
from tests.studio.kept_session import keep_session
from tests.studio.waiting import wait_until

until = partial(wait_until, limit_s=60)


class KilledError(BaseException):
    """Stands for the end of the process: nothing is noted or tidied up any more."""


class Films:
    """Stands for the films of the studio; there is only the sample."""

    def find_title(self, video_id):
        return "Sample"

    def find_original(self, video_id):
        return SAMPLE / "video.mp4"


class Kept(KeptSessions):
    """Sessions whose reports need no database."""

    def examine(self, session_id, *, with_scores=True):
        return SimpleNamespace(session_id=session_id)


class Studio:
    """A studio that can be killed and started again on the same directory, in one process."""

    def __init__(self, directory):
        self.directory = directory
        self.made, self.kills, self.fails = [], set(), set()
        self.during = lambda session_id: None
        self.is_killed = False

    def start(self):
        """Start it; it makes overlays until it comes to one that kills it."""
        self.is_killed = False
        kept = Kept(self.directory, "http://127.0.0.1:9", "mongodb://127.0.0.1:9")
        self.overlays = Overlays(kept, Films())

    def stop(self):
        """Ask it to stop, as SIGTERM does; its threads run on for a moment."""
        self.overlays.note_stop()

    def write(self, report, film, times, path, *, on_frame):
        self.made.append(report.session_id)
        self.during(report.session_id)
        if report.session_id in self.fails:
            raise ValueError("no film")
        if report.session_id in self.kills:
            self.is_killed = True
            raise KilledError
        path.write_bytes(b"film")

    def keep(self, *session_ids):
        for session_id in session_ids:
            keep_session(self.directory, "sample", session_id)

    def place(self, session_id):
        return self.directory / "sessions" / session_id

    def leave(self, *marks):
        """Leave sessions whose overlays an earlier process did not finish."""
        for mark in marks:
            self.keep(mark.session_id)
            write_mark(self.place(mark.session_id), mark)

    def marks(self):
        return [(mark.session_id, mark.starts) for mark in find_marks(self.directory / "sessions")]

    def finish(self, *session_ids):
        until(lambda: all(self.overlays.get(each).state != "preparing" for each in session_ids))
        return [self.overlays.get(each).state for each in session_ids]


@pytest.fixture
def studio(tmp_path, monkeypatch):
    studio = Studio(tmp_path)
    monkeypatch.setattr(overlays, "write_overlay", studio.write)
    monkeypatch.setattr(overlays, "check_film_fits", lambda report, times: None)
    return studio


class TestMarks:
    def test_a_mark_is_read_as_it_was_written(self, tmp_path):
        (tmp_path / "s").mkdir()
        write_mark(tmp_path / "s", OverlayMark("s", 3, 1))

        assert find_marks(tmp_path) == [OverlayMark("s", 3, 1)]

    def test_they_come_in_the_order_in_which_they_were_asked_for(self, tmp_path):
        for session_id, number in [("a", 3), ("b", 12), ("c", 2)]:
            (tmp_path / session_id).mkdir()
            write_mark(tmp_path / session_id, OverlayMark(session_id, number))

        assert [mark.session_id for mark in find_marks(tmp_path)] == ["c", "a", "b"]

    @pytest.mark.parametrize(("starts", "given_up"), [(0, False), (1, False), (2, True)])
    def test_two_starts_are_enough(self, starts, given_up):
        assert OverlayMark("s", 1, starts).is_given_up is given_up

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\xff",
            b"[]",
            b"[" * 100_000,
            b'{"session_id": "s"}',
            b'{"session_id": "s", "number": "1", "starts": 0}',
        ],
        ids=["empty", "not UTF-8", "a list", "deep", "incomplete", "of another type"],
    )
    def test_a_damaged_one_is_removed(self, tmp_path, content):
        (tmp_path / "s").mkdir()
        (tmp_path / "s" / MARK).write_bytes(content)

        assert find_marks(tmp_path) == []
        assert list((tmp_path / "s").iterdir()) == []

    def test_one_that_was_not_written_to_its_end_is_removed(self, tmp_path, monkeypatch):
        """As of a process that was killed: it removes nothing."""
        (tmp_path / "s").mkdir()
        with monkeypatch.context() as killed:
            killed.setattr(Path, "replace", lambda path, target: None)
            killed.setattr(Path, "unlink", lambda path, missing_ok=False: None)
            write_mark(tmp_path / "s", OverlayMark("s", 1))
        assert len(list((tmp_path / "s").iterdir())) == 1

        assert find_marks(tmp_path) == []
        assert list((tmp_path / "s").iterdir()) == []

    def test_one_that_cannot_be_written_leaves_none(self, tmp_path, monkeypatch):
        write_mark(tmp_path, OverlayMark("s", 1))

        def refuse(path, content):
            raise OSError("no space")

        monkeypatch.setattr(overlay_marks, "replace_file", refuse)

        assert not write_mark(tmp_path, OverlayMark("s", 1, 1))
        assert list(tmp_path.iterdir()) == []

    def test_a_missing_one_can_be_removed(self, tmp_path):
        remove_mark(tmp_path)

        assert list(tmp_path.iterdir()) == []


def test_those_that_were_not_finished_are_made_in_the_same_order(studio):
    studio.leave(OverlayMark("a", 3), OverlayMark("b", 1, 1), OverlayMark("c", 2))
    studio.start()

    assert studio.finish("a", "b", "c") == ["ready"] * 3
    assert studio.made == ["b", "c", "a"]
    assert studio.marks() == []


def test_the_list_shows_them(studio):
    studio.leave(OverlayMark("a", 1), OverlayMark("b", 2))
    studio.start()
    listed = studio.overlays.list_overlays()

    assert [(each.session_id, each.title) for each in listed] == [("b", "Sample"), ("a", "Sample")]


def test_new_ones_come_after_those_that_were_left(studio):
    studio.leave(OverlayMark("a", 7))
    studio.keep("b")
    studio.start()
    studio.overlays.make("b")
    studio.finish("a", "b")

    assert studio.made == ["a", "b"]


@pytest.fixture
def held(studio):
    """Hold every overlay after its begin until the test ends."""
    end = threading.Event()
    studio.during = lambda session_id: end.wait(60)
    yield
    end.set()


@pytest.mark.usefixtures("held")
class TestHeld:
    def begin(self, studio):
        """Ask for two overlays, of which the first is being made and the second waits."""
        studio.keep("a", "b")
        studio.start()
        studio.overlays.make("a")
        studio.overlays.make("b")
        until(lambda: studio.made)

    def test_one_that_was_begun_and_one_that_waits_are_marked(self, studio):
        self.begin(studio)

        assert studio.marks() == [("a", 1), ("b", 0)]

    @pytest.mark.parametrize(("cancelled", "left"), [("a", [("b", 0)]), ("b", [("a", 1)])])
    def test_a_cancelled_one_is_not_resumed(self, studio, cancelled, left):
        self.begin(studio)
        studio.overlays.remove(cancelled)

        assert studio.marks() == left

    def test_one_in_the_middle_of_which_the_studio_is_stopped_does_not_count_as_begun(self, studio):
        self.begin(studio)
        studio.stop()

        assert studio.marks() == [("a", 0), ("b", 0)]

    def test_only_the_last_start_is_taken_back(self, studio):
        studio.leave(OverlayMark("a", 1, 1))
        studio.start()
        until(lambda: studio.made)
        assert studio.marks() == [("a", 2)]
        studio.stop()

        assert studio.marks() == [("a", 1)]

    def test_one_that_was_cancelled_stays_cancelled_when_the_studio_is_stopped(self, studio):
        self.begin(studio)
        studio.overlays.remove("a")
        studio.stop()

        assert studio.marks() == [("b", 0)]

    def test_one_that_was_cancelled_and_asked_for_again_waits_when_the_studio_is_stopped(self, studio):
        self.begin(studio)
        studio.overlays.remove("a")
        studio.overlays.make("a")
        studio.stop()

        assert studio.marks() == [("b", 0), ("a", 0)]

    def test_one_that_is_begun_after_the_stop_does_not_count_either(self, studio):
        studio.keep("a")
        studio.start()
        studio.stop()
        studio.overlays.make("a")
        until(lambda: studio.made)

        assert studio.marks() == [("a", 0)]


@pytest.fixture
def quiet(monkeypatch):
    """Let the thread that makes overlays end like one of a killed process: without a word."""
    monkeypatch.setattr(overlays.threading, "excepthook", lambda _: None)


@pytest.mark.usefixtures("quiet")
class TestOneThatKillsTheStudio:
    def killed(self, studio):
        until(lambda: studio.is_killed)

    def test_it_is_begun_twice_and_then_given_up(self, studio):
        studio.keep("a")
        studio.kills = {"a"}
        studio.start()
        studio.overlays.make("a")
        self.killed(studio)
        assert studio.marks() == [("a", 1)]
        studio.start()
        self.killed(studio)
        assert studio.marks() == [("a", 2)]
        studio.start()

        assert (studio.overlays.get("a").state, studio.overlays.get("a").reason) == ("failed", "stopped_twice")
        assert studio.overlays.get("a").problem == "The studio ended twice while it made this film."
        assert studio.made == ["a", "a"]

    def test_those_that_wait_for_it_are_made(self, studio):
        studio.leave(OverlayMark("a", 1, 1), OverlayMark("b", 2))
        studio.kills = {"a"}
        studio.start()
        self.killed(studio)
        assert studio.marks() == [("a", 2), ("b", 0)]
        studio.start()

        assert studio.finish("a", "b") == ["failed", "ready"]
        assert studio.made == ["a", "b"]

    def test_it_is_not_begun_if_that_cannot_be_noted_again(self, studio, monkeypatch):
        studio.leave(OverlayMark("a", 1, 1))
        studio.kills = {"a"}

        def refuse(path, content):
            raise OSError("no space")

        monkeypatch.setattr(overlay_marks, "replace_file", refuse)
        studio.start()
        self.killed(studio)

        assert studio.marks() == []

    def test_it_is_still_given_up_after_another_start(self, studio):
        studio.leave(OverlayMark("a", 1, 2))
        studio.start()
        studio.start()

        assert studio.overlays.get("a").reason == "stopped_twice"

    def test_it_can_be_made_again(self, studio):
        studio.leave(OverlayMark("a", 1, 2))
        studio.start()
        studio.overlays.make("a")

        assert studio.finish("a") == ["ready"]
        assert studio.marks() == []

    def test_it_leaves_the_list_when_it_is_removed(self, studio):
        studio.leave(OverlayMark("a", 1, 2))
        studio.start()
        studio.overlays.remove("a")
        studio.start()

        assert studio.overlays.list_overlays() == []


class RemovedFilm(type(Path())):
    """A film that is removed as soon as it has an overlay, and that with it."""

    def is_file(self):
        if list(self.sessions.glob(f"*/{OVERLAY}")):
            remove_overlays(self.sessions, "sample")
            return False
        return super().is_file()


def test_one_whose_film_was_removed_with_its_overlays_says_so(studio, monkeypatch):
    monkeypatch.setattr(RemovedFilm, "sessions", studio.directory / "sessions", raising=False)
    monkeypatch.setattr(Films, "find_original", lambda films, video_id: RemovedFilm(SAMPLE / "video.mp4"))
    studio.leave(OverlayMark("s", 1))
    studio.start()
    studio.finish("s")

    assert studio.overlays.get("s").reason == "film_gone"


def test_a_failed_one_is_not_resumed(studio):
    studio.keep("a")
    studio.fails = {"a"}
    studio.start()
    studio.overlays.make("a")

    assert studio.finish("a") == ["failed"]
    assert studio.marks() == []


def test_one_that_fails_while_the_studio_is_stopped_is_resumed(studio):
    studio.keep("a")
    studio.fails = {"a"}
    studio.during = lambda session_id: studio.stop()
    studio.start()
    studio.overlays.make("a")

    assert studio.finish("a") == ["failed"]
    assert studio.marks() == [("a", 0)]


def test_one_whose_file_is_there_is_not_made_again(studio):
    studio.leave(OverlayMark("a", 1, 1))
    (studio.place("a") / "overlay.mp4").write_bytes(b"film")
    studio.start()

    assert studio.overlays.get("a").state == "ready"
    assert (studio.made, studio.marks()) == ([], [])


def test_one_whose_session_was_deleted_is_forgotten(studio):
    studio.leave(OverlayMark("a", 1), OverlayMark("b", 2))
    (studio.place("a") / "session.json").unlink()
    studio.start()

    assert studio.finish("b") == ["ready"]
    assert studio.made == ["b"]
