"""Files of the gateway that have just been removed, or for which the disk has no room."""

import errno
from pathlib import Path

import pytest

from gaze_tools.studio import films, uploads
from gaze_tools.studio.kept import OVERLAY, KeptSessions
from gaze_tools.studio.overlays import Overlays
from tests.studio.kept_session import keep_session

FOUND_BY = [
    ("/api/films/sample/video", (films.FilmLibrary, "find_playable")),
    ("/api/sessions/s/session.json", (KeptSessions, "find_file")),
    ("/api/sessions/s/report.html", (KeptSessions, "find_file")),
    (f"/api/sessions/s/{OVERLAY}", (Overlays, "await_file")),
]
"""Files that may be removed, and the methods that find them."""


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-9"}], ids=["whole", "part"])
@pytest.mark.parametrize(("path", "found_by"), FOUND_BY)
def test_a_file_that_is_removed_just_after_it_was_found_does_not_exist(client, monkeypatch, path, found_by, headers):
    monkeypatch.setattr(*found_by, lambda *_: Path("/nowhere/removed.mp4"))
    answer = client.get(path, headers=headers)

    assert (answer.status_code, answer.json["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("place", "name"), [(uploads.tempfile, "mkstemp"), (films, "replace_file")], ids=["begin", "end"]
)
def test_a_disk_that_is_full_before_or_after_an_upload_is_named(client, video, monkeypatch, place, name):
    def refuse(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(place, name, refuse)
    answer = client.post("/api/films?name=film.mkv", data=video.read_bytes())

    assert (answer.status_code, answer.json["type"]) == (507, "/problems/disk-full")
    assert len(client.get("/api/films").json["films"]) == 1


def test_a_disk_without_room_for_a_report_is_named(client, tmp_path, monkeypatch):
    def refuse(_kept, _session_id, _video, out):
        raise OSError(errno.ENOSPC, "full")

    session_id = keep_session(tmp_path, "sample")
    monkeypatch.setattr(KeptSessions, "_write_report", refuse)
    answer = client.get(f"/api/sessions/{session_id}/report.html")

    assert (answer.status_code, answer.json["type"]) == (507, "/problems/disk-full")
