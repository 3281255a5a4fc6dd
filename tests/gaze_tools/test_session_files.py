"""`gaze session`: a session in a file, back in a session API, and the report on it."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SessionNotFoundError
from gaze_core.ports import Session
from gaze_tools.cli import main
from gaze_tools.session.export_file import (
    ExportedSessions,
    ExportError,
    ExportHeader,
    is_export,
    open_export,
    read_head,
    write_export,
)
from gaze_tools.session.transfer import export_session
from gaze_tools.stack.session_api import create_app
from tests.adapters.upstream_services import serve
from tests.docs.test_links import ROOT
from tests.fakes.report import record
from tests.faults.old_session_service import OldSessionService

HEADER = ExportHeader("s", "2026-01-01T00:00:00+00:00", None, has_ip_address=True)
VIEWER = {"ip_address": "203.0.113.7", "video_id": "v"}
NAMES = (
    *("trace.csv", "trace.json", "fixations.csv", "saccades.csv", "blinks.csv", "report.html"),
    *("score.svg", "key_frames.svg", "heat_map.svg", "coverage.svg", "fixations.svg"),
)


def make(frames, session_id="s", **settings):
    return Session(session_id, "203.0.113.7", "v", "2026-01-01T00:00:00", frames=frames, settings=settings)


class TestFile:
    def test_what_is_written_is_read(self, tmp_path):
        path = tmp_path / "s.json"

        write_export(path, HEADER, [[make({1: {"gaze": [0.1, 0.2]}, 2: None}, screen={"width_mm": 300.0})]])

        exported = ExportedSessions(path)
        assert exported.header == HEADER
        assert exported.get_session("s") == make({1: {"gaze": [0.1, 0.2]}, 2: None}, screen={"width_mm": 300.0})
        assert exported.get_session("s", first=2, last=2).frames == {2: None}

    def test_it_is_one_json_document(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({1: {}, 2: {}})], [make({}, "calibration")]])

        document = json.loads((tmp_path / "s.json").read_text())

        assert (document["format"], document["version"]) == ("gaze-session", 1)
        assert [each["frame_count"] for each in document["sessions"]] == [2, 0]

    def test_a_calibration_is_found_by_its_id(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({1: {}})], [make({7: {}}, "calibration")]])
        exported = ExportedSessions(tmp_path / "s.json")

        assert list(exported.get_session("calibration").frames) == [7]
        with pytest.raises(SessionNotFoundError):
            exported.get_session("earlier")

    def test_its_head_is_the_exported_session_without_frames(self, tmp_path):
        session = make({1: {}, 2: {}}, result={"final_score": 61.0})
        write_export(tmp_path / "s.json", HEADER, [[session], [make({7: {}}, "calibration")]])

        assert read_head(tmp_path / "s.json") == (HEADER, make({}, result={"final_score": 61.0}))

    def test_its_head_is_read_without_the_frames(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({1: {}, 2: {}})]])
        lines = (tmp_path / "s.json").read_text().splitlines(keepends=True)
        (tmp_path / "s.json").write_text("".join([*lines[:2], "no frame"]))

        assert read_head(tmp_path / "s.json")[1].video_id == "v"

    @pytest.mark.parametrize("lines", [[], ["[1]"], ['{"format":"gaze-session","version":2,"sessions":[']])
    def test_another_file_has_no_head(self, tmp_path, lines):
        (tmp_path / "s.json").write_text("\n".join(lines))

        with pytest.raises(ExportError):
            read_head(tmp_path / "s.json")

    def test_an_export_without_a_session_has_no_head(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [])

        with pytest.raises(ExportError, match="contains no session"):
            read_head(tmp_path / "s.json")

    def test_only_the_owner_can_read_it(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({})]])

        assert (tmp_path / "s.json").stat().st_mode & 0o077 == 0

    def test_a_failed_export_leaves_the_earlier_file(self, tmp_path):
        def broken():
            yield make({1: {}})
            raise OSError("the session API is gone")

        write_export(tmp_path / "s.json", HEADER, [[make({})]])
        before = (tmp_path / "s.json").read_bytes()
        with pytest.raises(OSError, match="is gone"):
            write_export(tmp_path / "s.json", HEADER, [broken()])

        assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("s.json", before)]

    @pytest.mark.parametrize("lines", range(1, 7))
    def test_a_truncated_file_is_an_error(self, tmp_path, lines):
        write_export(tmp_path / "s.json", HEADER, [[make({1: {}, 2: {}})]])
        whole = (tmp_path / "s.json").read_text().splitlines(keepends=True)
        assert len(whole) == 6
        (tmp_path / "cut.json").write_text("".join(whole[:lines])[: -1 if lines < 6 else -4])

        with pytest.raises(ExportError, match=r"cut\.json, line"):
            ExportedSessions(tmp_path / "cut.json")

    def test_a_removed_frame_is_noticed(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({1: {}, 2: {}, 3: {}})]])
        lines = (tmp_path / "s.json").read_text().splitlines(keepends=True)
        (tmp_path / "s.json").write_text("".join(lines[:3] + lines[4:]))

        with pytest.raises(ExportError, match="frame_count is not the number of frames above, 2"):
            ExportedSessions(tmp_path / "s.json")

    def test_a_later_version_is_named(self, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({})]])
        text = (tmp_path / "s.json").read_text().replace('"version":1', '"version":2')
        (tmp_path / "s.json").write_text(text)

        with pytest.raises(ExportError, match="has version 2 of the format; this version of gaze reads 1"):
            ExportedSessions(tmp_path / "s.json")

    @pytest.mark.parametrize("text", ["", "{}", "[1]", "not json", '{"format":"other"}'])
    def test_another_file_is_not_an_export(self, tmp_path, text):
        (tmp_path / "other.json").write_text(text)

        assert not is_export(tmp_path / "other.json")
        with pytest.raises(ExportError), open_export(tmp_path / "other.json"):
            pass


@pytest.fixture
def api(database):
    with serve(create_app(database, operator_calls=True)) as url:
        yield url


@pytest.fixture
def gaze(mongo_uri, database, api):
    def run(*arguments, fails=False, session_api=api):
        result = CliRunner().invoke(
            main,
            [str(each) for each in arguments],
            env={"MONGO_URI": mongo_uri, "MONGO_DATABASE": database.name, "SESSION_API_URL": session_api},
        )
        assert (result.exit_code != 0) is fails, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


@pytest.fixture
def watched(api, database):
    """A scored session of 30 frames on a video with maps."""
    import numpy as np

    from gaze_tools.saliency.seed import seed_saliency_maps

    columns = np.tile(np.arange(32, dtype=np.uint8) * 8, (18, 1))
    maps = {number: np.roll(columns, number, axis=1) for number in range(1, 31)}
    seed_saliency_maps(database, "v", maps, fps=20.0, width=64, height=36, how="test")
    store = HttpSessionStore(api, timeout_s=20, retries=0)
    for number in range(1, 31):
        gaze = [0.2 + 0.6 * (number // 10 % 2), 0.5]
        store.update_session("s", number, record(gaze, video_time_ms=50.0 * (number - 1)), **VIEWER)
    store.store_settings("s", {"screen": {"width_mm": 400.0, "height_mm": 225.0}})
    store.store_settings("s", {"result": {"final_score": 30.0, "score_valid": True, "coverage": 1.0}})
    return store


def read_report(folder):
    return {name: (folder / name).read_bytes() for name in NAMES if (folder / name).exists()}


class TestReport:
    @pytest.mark.slow
    @pytest.mark.usefixtures("watched")
    def test_an_export_and_an_import_of_it_give_the_same_report(self, gaze, tmp_path):
        gaze("report", "s", "--out", tmp_path / "live")
        gaze("session", "export", "s", "--out", tmp_path / "s.json")
        gaze("session", "delete", "s", "--yes")
        gaze("report", "s", "--out", tmp_path / "gone", fails=True)

        gaze("report", tmp_path / "s.json", "--out", tmp_path / "file", session_api=None)
        gaze("session", "import", tmp_path / "s.json", "--ttl", "3600")
        gaze("report", "s", "--out", tmp_path / "back")

        assert len(read_report(tmp_path / "live")) == len(NAMES)
        assert read_report(tmp_path / "file") == read_report(tmp_path / "live")
        assert read_report(tmp_path / "back") == read_report(tmp_path / "live")

    def test_an_export_contains_the_session_as_it_was_read(self, gaze, watched, tmp_path):
        before = watched.get_session("s")

        gaze("session", "export", "s", "--out", tmp_path / "s.json")

        found = ExportedSessions(tmp_path / "s.json").get_session("s")
        assert (found.frames, found.settings) == (before.frames, before.settings)

    def test_the_lifetime_of_an_imported_session_is_an_option(self, gaze, tmp_path):
        write_export(tmp_path / "s.json", HEADER, [[make({1: {}}, result={})]])

        gaze("session", "import", tmp_path / "s.json", "--ttl", "3600")

        left_s = int(gaze("session", "list").splitlines()[1].split()[5])
        assert 3000 < left_s <= 3600  # without the option 300

    def test_a_path_that_is_not_an_export_is_said(self, gaze, tmp_path):
        (tmp_path / "s.json").write_text("{}")

        output = gaze("report", tmp_path / "s.json", "--out", tmp_path / "out", fails=True)

        assert "is neither a session id nor a file of `gaze session export`" in " ".join(output.split())

    def test_a_session_id_needs_the_session_api(self, gaze, tmp_path):
        output = gaze("report", "s", "--out", tmp_path / "out", fails=True, session_api=None)

        assert "'--session-api' (env var: 'SESSION_API_URL')" in " ".join(output.split())


class TestExport:
    @pytest.mark.usefixtures("watched")
    def test_frames_result_and_digest_of_the_maps_are_in_the_file(self, gaze, tmp_path, database):
        output = gaze("session", "export", "s", "--out", tmp_path / "s.json")

        assert output == f"Wrote 30 frames of s to {tmp_path / 's.json'}\n"
        document = json.loads((tmp_path / "s.json").read_text())
        assert document["maps"] == {
            "video_id": "v",
            "digest": database["videos"].find_one({"_id": "v"})["digest"],
            "fps": 20.0,
            "held_every": None,
        }
        assert document["sessions"][0]["settings"]["result"]["final_score"] == 30.0
        assert len(document["sessions"][0]["frames"]) == 30

    @pytest.mark.usefixtures("watched")
    def test_an_existing_file_is_kept(self, gaze, tmp_path):
        (tmp_path / "s.json").write_text("mine")

        assert "add --overwrite" in gaze("session", "export", "s", "--out", tmp_path / "s.json", fails=True)

        assert (tmp_path / "s.json").read_text() == "mine"
        gaze("session", "export", "s", "--out", tmp_path / "s.json", "--overwrite")
        assert is_export(tmp_path / "s.json")

    def test_calibration_sessions_come_along(self, gaze, api, tmp_path):
        store = HttpSessionStore(api, timeout_s=20, retries=0)
        store.update_session("too-early", 1, record([0.5, 0.5]), **VIEWER)
        store.update_session("earlier", 1, record([0.5, 0.5], calibration_session="too-early"), **VIEWER)
        store.update_session("calibration", 1, record([0.5, 0.5], calibration_session="earlier"), **VIEWER)
        store.update_session("s", 1, record([0.5, 0.5], calibration_session="calibration"), **VIEWER)
        store.update_session("s", 2, record([0.5, 0.5], calibration_session="expired"), **VIEWER)

        output = gaze("session", "export", "s", "--out", tmp_path / "s.json")

        assert "The calibration session expired no longer exists" in output
        assert "and 2 calibration sessions" in output
        assert list(ExportedSessions(tmp_path / "s.json").get_session("earlier").frames) == [1]
        for name in ("s", "calibration", "earlier", "too-early"):
            gaze("session", "delete", name, "--yes")
        gaze("session", "import", tmp_path / "s.json")
        assert {line.split()[0] for line in gaze("session", "list").splitlines()[1:]} == {"s", "calibration", "earlier"}

    def test_without_the_address_nothing_leads_to_it(self, gaze, api, tmp_path):
        store = HttpSessionStore(api, timeout_s=20, retries=0)
        store.update_session("uuid-cal", 1, record([0.5, 0.5]), **VIEWER)
        store.update_session("uuid-of-address", 1, record([0.5, 0.5], calibration_session="uuid-cal"), **VIEWER)
        store.store_settings("uuid-of-address", {"calibration_session": "uuid-cal"})

        gaze("session", "export", "uuid-of-address", "--out", tmp_path / "s.json", "--without-ip")

        text = (tmp_path / "s.json").read_text()
        assert not [secret for secret in ("203.0.113.7", "uuid-of-address", "uuid-cal") if secret in text]
        exported = ExportedSessions(tmp_path / "s.json")
        session = exported.get_session(exported.header.session_id)
        assert not exported.header.has_ip_address
        assert exported.get_session(session.settings["calibration_session"]).frames[1]["gaze"] == [0.5, 0.5]
        assert session.frames[1]["calibration_session"] == session.settings["calibration_session"]

    def test_an_older_session_api_can_be_exported(self, tmp_path):
        with serve(OldSessionService().app) as url:
            store = HttpSessionStore(url, timeout_s=20, retries=0)
            store.update_session("s", 3, record([0.5, 0.5]), **VIEWER)

            done = export_session("s", tmp_path / "s.json", store)

        assert (done.frames, done.has_result) == (1, False)

    def test_a_session_that_is_not_there_and_how_to_keep_the_next(self, gaze, tmp_path):
        output = " ".join(gaze("session", "export", "s", "--out", tmp_path / "s.json", fails=True).split())

        assert "no session 's' in the session API: the id is unknown, or the session has expired." in output
        assert "Sessions live 300 s after their last use" in output
        assert "gaze session export ID" in output
        assert not (tmp_path / "s.json").exists()

    def test_an_expired_session_is_called_expired(self, gaze, database, tmp_path):
        moments = [datetime.now(UTC)]
        with serve(create_app(database, ttl_s=60.0, clock=lambda: moments[-1])) as url:
            HttpSessionStore(url, timeout_s=20, retries=0).update_session("s", 1, {}, **VIEWER)
            moments.append(moments[0] + timedelta(seconds=61))
            output = gaze("report", "s", "--out", tmp_path / "out", fails=True, session_api=url)

        assert "no session 's' in the session API: it expired at 20" in output
        assert "Sessions live 60 s after their last use" in " ".join(output.split())


class TestImport:
    def test_an_existing_session_is_left_alone(self, gaze, api, tmp_path):
        store = HttpSessionStore(api, timeout_s=20, retries=0)
        store.update_session("s", 1, record([0.1, 0.1]), **VIEWER)
        write_export(tmp_path / "s.json", HEADER, [[make({1: record([0.9, 0.9])})]])

        output = gaze("session", "import", tmp_path / "s.json", fails=True)

        assert "the session 's' exists in the session API; --as ID imports under another id" in output
        assert store.get_session("s").frames[1]["gaze"] == [0.1, 0.1]
        gaze("session", "import", tmp_path / "s.json", "--as", "s-2")
        assert store.get_session("s-2").frames[1]["gaze"] == [0.9, 0.9]

    def test_an_imported_session_is_what_was_exported(self, gaze, api, tmp_path):
        frames = {number: record([0.5, number / 1000]) for number in range(1, 351)}
        settings = {"screen": {"width_mm": 400.0}, "result": {"final_score": 5.0}, "result_delivered": True}
        write_export(tmp_path / "s.json", HEADER, [[make(frames, **settings)]])

        gaze("session", "import", tmp_path / "s.json")

        found = HttpSessionStore(api, timeout_s=20, retries=0).get_session("s")
        assert (found.frames, found.settings, found.ip_address) == (frames, settings, "203.0.113.7")


class TestList:
    @pytest.mark.usefixtures("watched")
    def test_columns(self, gaze):
        heading, row = (line.split() for line in gaze("session", "list").splitlines())

        assert heading == ["SESSION", "VIDEO", "FRAMES", "AGE", "LEFT", "SCORED", "DELIVERED"]
        assert (row[:3], row[-2:]) == (["s", "v", "30"], ["yes", "no"])

    def test_another_session_api_does_not_offer_it(self, gaze):
        with serve(OldSessionService().app) as url:
            output = gaze("session", "list", fails=True, session_api=url)

        assert "this session API does not list sessions" in output

    def test_a_session_api_that_is_not_there(self, gaze):
        output = gaze("session", "list", fails=True, session_api="http://127.0.0.1:9")

        assert output == "Error: session API http://127.0.0.1:9 cannot be reached: ConnectionError\n"


MEMORY = """
import resource, sys
from pathlib import Path
from gaze_core.ports import Session
from gaze_tools.session.export_file import ExportHeader, open_export, write_export

def pages():
    for start in range(1, 100_001, 5000):
        record = {"gaze": [0.5, 0.25], "features": [1 / 7] * 7, "eyes": [1 / 3] * 20}
        frames = {n: {**record, "distance_mm": n / 3} for n in range(start, start + 5000)}
        yield Session("s", "", "v", "", frames=frames, settings={})

path = Path(sys.argv[1])
header = ExportHeader("s", "", None, has_ip_address=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_export(path, header, [pages()])
with open_export(path) as (_, sessions):
    count = sum(1 for each in sessions for _ in each.frames)
print(count, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, path.stat().st_size // 2**20)
"""


@pytest.mark.slow
def test_a_session_of_100000_frames_is_never_in_memory_as_a_whole(tmp_path):
    output = subprocess.check_output(
        [sys.executable, "-c", MEMORY, str(tmp_path / "s.json")], text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    )

    count, grown_mb, size_mb = map(int, output.split())
    assert count == 100_000
    assert size_mb > 40
    assert grown_mb < 40
