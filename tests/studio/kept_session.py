"""Finished sessions as the studio keeps them."""

from gaze_core.ports import Session
from gaze_tools.session.export_file import ExportHeader, write_export
from tests.fakes.report import record


def keep_session(directory, video_id, session_id="s", *, settings=None, kind="sessions"):
    """Write a session of ten frames into the studio's directory; return its id."""
    frames = {number: record([0.5, 0.5], video_time_ms=50.0 * number) for number in range(1, 11)}
    session = Session(session_id, "127.0.0.1", video_id, "2026-01-01T00:00:00", frames=frames, settings=settings or {})
    place = directory / kind / session_id
    place.mkdir(parents=True)
    header = ExportHeader(session_id, "2026-01-01T00:00:00+00:00", None, has_ip_address=True)
    write_export(place / "session.json", header, [[session]])
    return session_id
