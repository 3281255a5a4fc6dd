"""Finished sessions, kept as exports, and their reports. No images are kept."""

import contextlib
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from func.adapters.saliency_store import MongoSaliencyMaps
from func.adapters.session_api import HttpSessionStore
from func.bootstrap import load_model
from gaze_core.errors import GazeError, SessionNotFoundError, SessionStoreError, SessionStoreTimeoutError
from gaze_tools.report.events_list import write_fixation_columns
from gaze_tools.report.examination import Report, examine_session, read_gazes
from gaze_tools.report.page import DATA_FILES, write_report, write_trace
from gaze_tools.session.api import SessionApi, is_session_id
from gaze_tools.session.export_file import ExportedSessions, ExportError, read_head
from gaze_tools.session.transfer import export_session, import_session
from gaze_tools.studio.problems import StudioError, not_found
from gaze_tools.studio.viewings import StartedViewing
from models import GAZE_MODEL_PATH

TIMEOUT_S = 60.0
START_TIMEOUT_S = 8.0
"""Time that the start of a viewing waits for the session API, which needs some milliseconds.

As long as the page waits for an answer to its frames. It says after 3 s that it is waiting, and then repeats the start.
"""

KEEP_S = 6 * 3600.0
"""Minimum lifetime of viewings and calibrations: a viewer may pause a film for longer than an unused session lives."""

TRACES = {"trace.csv", "trace.json"}
"""Files of a session that are made without the report's figures, which take longer."""

OVERLAY = "overlay.mp4"
MAX_LINKED_S = 180.0
"""Longest film whose report links to its overlay. The browser waits for it: about as long as the film, in Full HD."""

FIXATIONS = "fixations.json"
"""Fixations for the page, which needs neither the frames nor their scores."""

FILES = {"session.json", "report.html", FIXATIONS, *DATA_FILES}
"""Files of a session that can be downloaded, beside its overlay."""

_UNFINISHED = ".report"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that has its result.

    Attributes:
        session_id: Session id.
        is_calibration: Whether it is a calibration, which has no score.
    """

    session_id: str
    is_calibration: bool


@dataclass(frozen=True, slots=True)
class KeptAbout:
    """What a kept session says about itself before its frames.

    Attributes:
        video_id: Film that was watched.
        exported_at: Time at which it was kept, ISO 8601.
    """

    video_id: str
    exported_at: str


class KeptSessions:
    """Finished sessions and calibrations in a directory, one directory for each. Thread-safe.

    Attributes:
        directory: Directory of the finished sessions.

    Args:
        directory: Directory for both.
        session_api_url: Base address of the session API.
        mongo_uri: Address of the MongoDB with the maps.
        database: Its database.
        start_timeout_s: Time that the start of a viewing waits for the session API.
    """

    def __init__(
        self,
        directory: Path,
        session_api_url: str,
        mongo_uri: str,
        *,
        database: str = "saliency_db",
        start_timeout_s: float = START_TIMEOUT_S,
    ) -> None:
        self.directory = directory / "sessions"
        self._calibrations = directory / "calibrations"
        for each in (self.directory, self._calibrations):
            # Other users of the machine have no business here.
            each.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._session_api_url, self._start_timeout_s = session_api_url, start_timeout_s
        self._starts = HttpSessionStore(session_api_url, timeout_s=start_timeout_s, retries=0)
        self._store = HttpSessionStore(session_api_url, timeout_s=TIMEOUT_S, retries=2)
        self._maps = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        self._one_report_at_a_time = threading.Lock()
        self._one_calibration_at_a_time = threading.Lock()
        self._remove_unfinished()

    def reserve(self, viewing: StartedViewing, ip_address: str) -> bool:
        """Create the session of a viewing with a long life; return False if the function has to create it.

        Raises:
            StudioError: The session API does not answer (504). It may create the session later; the same call can be
                repeated.
        """
        api = SessionApi(self._session_api_url, timeout_s=self._start_timeout_s)
        try:
            api.create(viewing.session_id, ip_address=ip_address, video_id=viewing.video_id, keep_s=KEEP_S)
        except SessionStoreTimeoutError as error:
            raise _session_api_hangs() from error
        except SessionStoreError as error:
            _log.warning("a session could not be reserved: %s", type(error).__name__)
            return False
        return True

    def keep(self, ended: EndedSession) -> bool:
        """Write the export of a session; return whether it was written."""
        place = self._calibration(ended.session_id) if ended.is_calibration else self._place(ended.session_id)
        try:
            export_session(ended.session_id, place / "session.json", self._store, self._maps)
        except (GazeError, OSError) as error:
            _log.warning("a finished session could not be kept: %s", type(error).__name__)
            return False
        return True

    def revive_calibration(self, session_id: str) -> None:
        """Put a kept calibration back into the session API if it has expired there.

        Raises:
            StudioError: It no longer exists or is damaged (404), cannot be stored (502), or the session API does not
                answer (504). The page repeats the request after 502 and 504.
        """
        path = self._calibration(session_id) / "session.json"
        with self._one_calibration_at_a_time:
            try:
                with contextlib.suppress(SessionNotFoundError):
                    self._starts.get_session(session_id, first=1, last=1)
                    return
                if not path.is_file():
                    raise not_found("There is no such calibration.")
                import_session(path, SessionApi(self._session_api_url), keep_s=KEEP_S)
            except SessionStoreTimeoutError as error:
                raise _session_api_hangs() from error
            except ExportError as error:
                _log.warning("a kept calibration cannot be read: %s", type(error).__name__)
                raise not_found("The calibration is damaged.") from error
            except (GazeError, ValueError, OSError) as error:
                raise StudioError(
                    502, "session-api-failed", "Session API failed", "The calibration cannot be stored again."
                ) from error

    def list_sessions(self) -> list[dict[str, Any]]:
        """Return the kept sessions, the newest first: `session_id`, `video_id`, `exported_at`, `final_score`."""
        found = []
        for path in self.directory.glob("*/session.json"):
            with contextlib.suppress(OSError, ExportError):
                header, session = read_head(path)
                result = session.settings.get("result") or {}
                found.append(
                    {
                        "session_id": session.session_id,
                        "video_id": session.video_id,
                        "exported_at": header.exported_at,
                        "final_score": result.get("final_score"),
                        "score_valid": result.get("score_valid"),
                    }
                )
        return sorted(found, key=lambda each: str(each["exported_at"]), reverse=True)

    def find_file(self, session_id: str, name: str, video: Path | None) -> Path:
        """Return a file of a kept session; all but the export are made when they are first asked for.

        Args:
            session_id: Session id.
            name: Name of the file, one of `FILES`.
            video: Film, for the report; None draws heat maps on a dark background.

        Raises:
            StudioError: There is no such file or session.
        """
        if name not in FILES:
            raise not_found("There is no such file.")
        place = self.find_place(session_id)
        with self._one_report_at_a_time:
            if not (place / name).is_file():
                with _make_whole(place) as part:
                    if name == FIXATIONS:
                        events = self.examine(session_id, with_scores=False).events
                        write_fixation_columns(events, part / FIXATIONS)
                    elif name in TRACES:
                        write_trace(self.examine(session_id), part)
                    else:
                        self._write_report(session_id, video, part)
        return place / name

    def find_place(self, session_id: str) -> Path:
        """Return the directory of a kept session.

        Raises:
            StudioError: There is no such session.
        """
        place = self._place(session_id)
        if not (place / "session.json").is_file():
            raise not_found("There is no such session.")
        return place

    def read_about(self, session_id: str) -> KeptAbout:
        """Return what a kept session says about itself, without reading its frames.

        Raises:
            StudioError: There is no such session.
        """
        try:
            header, session = read_head(self.find_place(session_id) / "session.json")
        except (OSError, ExportError) as error:
            raise not_found("There is no such session.") from error
        return KeptAbout(session.video_id, header.exported_at)

    def examine(self, session_id: str, *, with_scores: bool = True) -> Report:
        """Return the report on a kept session.

        Args:
            session_id: Session id.
            with_scores: Whether the gaze is scored, which takes most of the time.

        Raises:
            StudioError: There is no such session.
            GazeError: The maps or the gaze model cannot be read.
            OSError: The session cannot be read.
            ValueError: It is damaged.
        """
        exported = ExportedSessions(self.find_place(session_id) / "session.json")
        session = exported.get_session(exported.header.session_id)
        notes: list[str] = []
        gazes, accuracy = read_gazes(session, exported, lambda: load_model(GAZE_MODEL_PATH), notes)
        return examine_session(session, self._maps, gazes, notes, accuracy=accuracy, with_scores=with_scores)

    def find_answer(self, session_id: str) -> dict[str, Any] | None:
        """Return the answer to the last frame of a session that is kept; None if it is not, or has no result."""
        for place in (self._place(session_id), self._calibration(session_id)):
            with contextlib.suppress(OSError, ExportError):
                _, session = read_head(place / "session.json")
                result = session.settings.get("result")
                if session.session_id == session_id and isinstance(result, dict):
                    about = {"status": "success", "message": "Video processing completed", "session_id": session_id}
                    return {**about, "final_score": result.get("final_score"), "result": result}
        return None

    def _write_report(self, session_id: str, video: Path | None, out: Path) -> None:
        report = self.examine(session_id)
        if video is not None and not video.is_file():
            video = None  # it was removed while another report was made
        has_overlay = video is not None and (report.film_s or 0.0) <= MAX_LINKED_S
        write_report(report, self._maps, out, video=video, overlay=OVERLAY if has_overlay else None)

    def _remove_unfinished(self) -> None:
        """Remove what a process left that was killed."""
        for directory in (self.directory, self._calibrations):
            for left in directory.glob("*/.session.json.*.part"):
                left.unlink(missing_ok=True)
            for left in directory.glob(f"*/{_UNFINISHED}"):
                shutil.rmtree(left, ignore_errors=True)

    def _place(self, session_id: str) -> Path:
        return self.directory / _to_name(session_id)

    def _calibration(self, session_id: str) -> Path:
        return self._calibrations / _to_name(session_id)


@contextlib.contextmanager
def _make_whole(place: Path) -> Iterator[Path]:
    """Yield a directory whose files are moved to a place in the end: they are complete or absent."""
    part = place / _UNFINISHED
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700)
    try:
        yield part
        for file in part.iterdir():
            file.replace(place / file.name)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _session_api_hangs() -> StudioError:
    detail = "The session API does not answer; send the same request again."
    return StudioError(504, "session-api-timeout", "Session API timed out", detail)


def _to_name(session_id: str) -> str:
    if not is_session_id(session_id):
        raise not_found("There is no such session.")
    # A colon is not allowed in file names everywhere.
    return session_id.replace(":", "_")


def find_ended(body: bytes) -> EndedSession | None:
    """Return the session that an answer ends; None for any other answer."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    answers = [answer, *(answer.get("frames") or [])] if isinstance(answer, dict) else []
    for each in answers:
        result = each.get("result") if isinstance(each, dict) else None
        session_id = (each.get("session_id") or answer.get("session_id")) if isinstance(result, dict) else None
        if isinstance(result, dict) and isinstance(session_id, str):
            return EndedSession(session_id, result.get("score_invalid_reason") == "calibration_session")
    return None
