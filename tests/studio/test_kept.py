"""What the studio keeps of finished sessions: whole files, for two requests at a time, and the answer to a repeat."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from func.web.schemas import CompletedAnswer
from gaze_core.ports import Session
from gaze_tools.session.export_file import ExportedSessions, ExportHeader, write_export
from gaze_tools.stack.session_api import create_app as create_session_api
from gaze_tools.studio import kept
from gaze_tools.studio.films import FilmLibrary
from tests.adapters.upstream_services import serve
from tests.fakes.report import result_of
from tests.studio.gateway_client import post
from tests.studio.kept_session import keep_session

TIMEOUT_S = 60


@pytest.fixture
def client(make_client):
    return make_client()


def test_two_threads_may_write_the_same_export(tmp_path):
    """As those of two repeats of a last frame: neither may write into the file of the other."""
    path = tmp_path / "session.json"
    both = threading.Barrier(2)
    header = ExportHeader("s", "2026-01-01T00:00:00+00:00", None, has_ip_address=True)

    def write(frames):
        def pages():
            both.wait(TIMEOUT_S)
            yield Session("s", "127.0.0.1", "film", "2026-01-01T00:00:00", dict.fromkeys(range(1, 11), frames), {})
            both.wait(TIMEOUT_S)

        return write_export(path, header, [pages()])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(write, ["a", "b" * 1000])) == [[10], [10]]

    assert len(ExportedSessions(path).get_session("s").frames) == 10
    assert [each.name for each in tmp_path.iterdir()] == ["session.json"]


def test_a_report_that_fails_half_way_is_not_served(client, tmp_path, monkeypatch):
    def fail(report, maps, out, **options):
        (out / "report.html").write_text("<!doctype html><p>half")
        raise OSError("killed")

    keep_session(tmp_path, "sample")
    with monkeypatch.context() as broken:
        broken.setattr(kept, "write_report", fail)
        assert client.get("/api/sessions/s/report.html").status_code == 500

    assert client.get("/api/sessions/s/report.html").text.rstrip().endswith("</html>")


def test_a_film_that_is_removed_while_its_report_waits_is_left_out(client, tmp_path, monkeypatch):
    keep_session(tmp_path, "sample")
    monkeypatch.setattr(FilmLibrary, "find_original", lambda _films, _film_id: tmp_path / "gone.mp4")
    answer = client.get("/api/sessions/s/report.html")

    assert answer.status_code == 200
    assert "overlay.mp4" not in answer.text


def test_what_a_killed_studio_left_of_a_viewer_is_removed(make_client, tmp_path):
    keep_session(tmp_path, "sample")
    keep_session(tmp_path, "calibration", "c", kind="calibrations")
    (tmp_path / "sessions" / "s" / ".session.json.7-7.part").write_text("{")
    (tmp_path / "sessions" / "s" / ".report").mkdir()
    (tmp_path / "sessions" / "s" / ".report" / "trace.csv").write_text("x")
    (tmp_path / "calibrations" / "c" / ".session.json.7.part").write_text("{")
    make_client()

    left = {str(each.relative_to(tmp_path)) for each in tmp_path.glob("*/*/*")}
    assert left == {"sessions/s/session.json", "calibrations/c/session.json"}


def test_a_calibration_is_revived_while_a_report_is_made(make_client, mongo_client, database, tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()
    write_report = kept.write_report

    def write_slowly(*arguments, **options):
        begun.set()
        assert go_on.wait(TIMEOUT_S)
        return write_report(*arguments, **options)

    monkeypatch.setattr(kept, "write_report", write_slowly)
    keep_session(tmp_path, "sample")
    keep_session(tmp_path, "calibration", "c", kind="calibrations")
    sessions = mongo_client[f"{database.name}_sessions"]
    with serve(create_session_api(sessions)) as url, ThreadPoolExecutor() as pool:
        app = make_client(session_api_url=url).application
        report = pool.submit(app.test_client().get, "/api/sessions/s/report.html")
        assert begun.wait(TIMEOUT_S)
        try:
            assert pool.submit(app.test_client().post, "/api/calibrations/c").result(TIMEOUT_S).status_code == 200
        finally:
            go_on.set()
        assert report.result(TIMEOUT_S).status_code == 200


def test_a_damaged_calibration_is_gone_for_good(make_client, mongo_client, database, tmp_path):
    keep_session(tmp_path, "calibration", "c", kind="calibrations")
    path = tmp_path / "calibrations" / "c" / "session.json"
    path.write_bytes(path.read_bytes()[:-2])
    with serve(create_session_api(mongo_client[f"{database.name}_empty"])) as url:
        answer = make_client(session_api_url=url).post("/api/calibrations/c")

    assert (answer.status_code, answer.json["detail"]) == (404, "The calibration is damaged.")


class TestRepeats:
    """A repeat of the last frame, after the session has expired in the session API."""

    @pytest.fixture
    def gone(self, make_client, mongo_client, database):
        with serve(create_session_api(mongo_client[f"{database.name}_empty"])) as url:
            yield make_client(session_api_url=url)

    @pytest.mark.parametrize("kind", ["sessions", "calibrations"])
    def test_it_is_answered_with_the_result_that_is_kept(self, gone, tmp_path, kind):
        result = result_of(63.21)
        keep_session(tmp_path, "sample", "studio-1", settings={"result": result}, kind=kind)
        last = {"session_id": "studio-1", "video_id": "sample", "frame_number": 10, "last_frame": True}
        answer = post(gone, last, b"jpeg")

        assert answer.status_code == 200
        assert CompletedAnswer.model_validate(answer.json).final_score == answer.json["result"]["final_score"] == 63.21

    def test_other_frames_are_refused(self, gone, tmp_path):
        result = result_of(63.21)
        keep_session(tmp_path, "sample", "studio-1", settings={"result": result})

        assert post(gone, {"session_id": "studio-1", "video_id": "sample", "frame_number": 9}, b"x").status_code == 410

    @pytest.mark.parametrize("settings", [{}, {"result": None}])
    def test_without_a_result_it_is_lost(self, gone, tmp_path, settings):
        keep_session(tmp_path, "sample", "studio-1", settings=settings)
        last = {"session_id": "studio-1", "video_id": "sample", "frame_number": 10, "last_frame": True}

        assert post(gone, last, b"jpeg").status_code == 410

    def test_an_id_that_is_none_is_left_to_the_function(self, client):
        last = {"session_id": "studio-/../x", "video_id": "sample", "frame_number": 10, "last_frame": True}

        assert post(client, last, b"jpeg").json["metadata"]["session_id"] == "studio-/../x"
