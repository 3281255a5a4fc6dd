"""The last frame: wait for stragglers, score the whole session, store the result, deliver it.

The result is stored before it is sent, and the first one stored stands. Whoever stored it delivers it; whoever finds it
stored but not marked as delivered delivers it again under the same idempotency key. So a result is delivered at least
once, whichever process dies when, and a repeated last frame changes nothing.

"""

import contextlib
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from func.errors import ScoringBusyError
from func.session.attention_score import find_accuracy, score_gazes
from func.session.expected_frames import ExpectedFrames
from func.session.frame_record import DotUse, FrameRecord, read_calibration_session, read_screen, read_viewport
from func.session.gaze_track import Records, find_gazes, find_video_frames, is_calibration, read_records
from func.session.result import LOST_REASONS, RESULT_VERSION, check_result
from func.session.viewer_calibration import calibrate_session, describe_calibration, validate_session
from func.session.viewing import keep_viewing, require_viewing
from gaze_core.calibration import Calibration
from gaze_core.errors import GazeError, ResultSinkError, SessionNotFoundError
from gaze_core.ports import GazeModel, ResultSink, SaliencyMaps, Session, SessionStore
from gaze_core.types import Validity

WITHHELD = "withheld"
"""Mark of a result that nobody may deliver."""


class Scorer:
    """Turns complete sessions into delivered results."""

    def __init__(
        self,
        sessions: SessionStore,
        maps: SaliencyMaps,
        sink: ResultSink,
        *,
        model: GazeModel,
        smoothing: str = "none",
        accuracy_deg: float | None = None,
        barrier_timeout_s: float = 10.0,
        poll_s: float = 0.2,
        places: int = 2,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._maps = maps
        self._sink = sink
        self._model = model
        self._smoothing = smoothing
        self._accuracy_deg = accuracy_deg
        self._barrier_timeout_s = barrier_timeout_s
        self._poll_s = poll_s
        self._places = threading.BoundedSemaphore(places)
        self._clock = clock
        self._sleep = sleep

    def complete_session(
        self,
        session_id: str,
        *,
        video_id: str,
        ip_address: str,
        frame_number: int,
        has_image: bool,
        total_frames: int | None = None,
        viewing_start_ms: int | None = None,
    ) -> dict[str, Any]:
        """Return the session's result, scoring and delivering it unless that has been done.

        Args:
            session_id: Of the session; one without a frame gives a result that says so.
            video_id: Of the video whose maps count.
            ip_address: Of the viewer, for the aggregator.
            frame_number: Of the last request.
            has_image: Whether that request carried a picture, so that its number counts as a frame's.
            total_frames: How many distinct frames were sent, when the client said so.
            viewing_start_ms: Start of the viewing, from its session token: frames of other viewings under the same id
                do not count. None without tokens.

        Raises:
            ScoringBusyError: As many sessions as allowed are being scored.
            OtherViewingError: The session has the result of another viewing.
            SessionStoreError: The session API failed; its timeout likewise.
            SaliencyStoreError: The saliency store failed; its timeout likewise.
            ResultSinkError: The result is stored but could not be delivered; a repeat delivers it.
        """
        if not self._places.acquire(blocking=False):
            raise ScoringBusyError
        try:
            expected = ExpectedFrames(frame_number, has_image, total_frames, viewing_start_ms)
            session, is_new = self._find_session(session_id, video_id=video_id, ip_address=ip_address)
            session = self._await_frames(keep_viewing(session, viewing_start_ms), expected)
            is_ours = False
            if "result" not in session.settings:
                result = self._score(session, expected, video_id)
                if expected.count_missing(session):
                    # What came while the maps were read was answered 200: it belongs to the score.
                    session = self._read_late(session, expected)
                    if "result" not in session.settings and len(session.frames) > result["frames"]["received"]:
                        result = self._score(session, expected, video_id)
                if is_calibration(read_records(session).values()):
                    # Nobody waits for a score of it, and more dots may follow.
                    return result
                # An hour's frames are not kept while the result goes out.
                session = replace(session, frames={})
                if is_new:
                    # Either no frame ever came, or the session has expired and this is a late repeat: its empty result
                    # must not take the place of the real one at the aggregator.
                    self._sessions.store_settings(session_id, {"result_delivered": WITHHELD})
                update = self._sessions.store_settings(session_id, {"result": result})
                is_ours = "result" in update.written
                session = replace(session, settings={**session.settings, "result": update.stored["result"]})
            final = check_result(session.settings["result"])
            require_viewing(final, viewing_start_ms)
            if not is_new and (is_ours or not self._is_delivered(session)):
                self._deliver(session, final, video_id=video_id, ip_address=ip_address)
            return dict(final)
        finally:
            self._places.release()

    def _find_session(self, session_id: str, *, video_id: str, ip_address: str) -> tuple[Session, bool]:
        """Return the session, and whether it had to be created."""
        try:
            return self._sessions.get_session(session_id), False
        except SessionNotFoundError:
            self._sessions.create_session(session_id, ip_address=ip_address, video_id=video_id)
            return self._sessions.get_session(session_id), True

    def _await_frames(self, session: Session, expected: "ExpectedFrames") -> Session:
        """Return the session once every expected frame is in it, it has a result, or the time is over."""
        deadline = self._clock() + self._barrier_timeout_s
        pause_s = self._poll_s
        while True:
            is_over = self._clock() >= deadline or not session.frames
            if "result" in session.settings or expected.is_met_by(session) or is_over:
                return session
            self._sleep(min(pause_s, max(0.0, deadline - self._clock())))
            started_s = self._clock()
            session = self._read_late(session, expected)
            # A large session is looked at less often: waiting must not cost more than scoring.
            pause_s = max(self._poll_s, 4 * (self._clock() - started_s))

    def _read_late(self, session: Session, expected: "ExpectedFrames") -> Session:
        """Return the session with what has come since it was read; only frames that may be new are read again."""
        first, last = expected.find_range(session)
        later = self._sessions.get_session(session.session_id, first=first, last=last)
        return keep_viewing(replace(later, frames={**session.frames, **later.frames}), expected.viewing_start_ms)

    def _is_delivered(self, session: Session) -> bool:
        """Return whether somebody else has delivered the result, giving whoever stored it time to do so.

        The mark is true after a delivery and false after one that failed; without a mark somebody may be at it.
        """
        deadline = self._clock() + self._barrier_timeout_s
        while True:
            mark = session.settings.get("result_delivered")
            if mark is not None or self._clock() >= deadline:
                return bool(mark)
            self._sleep(self._poll_s)
            # No frame at all, only the keys of the session as a whole.
            session = self._sessions.get_session(session.session_id, first=0, last=0)

    def _deliver(self, session: Session, result: Mapping[str, Any], *, video_id: str, ip_address: str) -> None:
        # One viewing, one key: the gateway uses a session's id again when the viewer comes back after it has expired.
        key = uuid.uuid5(uuid.NAMESPACE_URL, f"{session.session_id}:{session.created_at}")
        try:
            self._sink.send_result(
                result["final_score"],
                # What the session was created with counts, not what its last request says.
                session.video_id or video_id,
                session.ip_address or ip_address,
                session_id=session.session_id,
                score_valid=result["score_valid"],
                coverage=result["coverage"],
                idempotency_key=str(key),
            )
        except ResultSinkError:
            with contextlib.suppress(GazeError):
                self._sessions.store_settings(session.session_id, {"result_delivered": False})
            raise
        self._sessions.store_settings(session.session_id, {"result_delivered": True})

    def _score(self, session: Session, expected: "ExpectedFrames", video_id: str) -> dict[str, Any]:
        """Return the result of a session's frames: see docs/attention-score.md for what each key means."""
        stored = read_records(session)
        records = {number: each for number, each in find_video_frames(stored).items() if expected.counts(number)}
        calibration, told = self._find_calibration(session, stored)
        gazes = find_gazes(session, records, self._model, calibration=calibration, smoothing=self._smoothing)
        valid = {number: gaze for number, gaze in gazes.items() if gaze is not None}
        numbers = score_gazes(
            self._maps,
            session.video_id or video_id,
            valid,
            records,
            screen=read_screen(session),
            viewport=read_viewport(session),
            accuracy=find_accuracy(calibration, self._accuracy_deg),
        )
        attention = numbers.attention
        scored = 0 if attention is None else attention.frames
        lost = Counter({"missing": expected.count_missing(session)})
        lost.update(_reason_lost(record) for record in records.values())
        lost.update(numbers.lost)
        lost[Validity.LOW_QUALITY] += len(gazes) - len(valid)
        reason = numbers.reason if records else "no_frames"
        if is_calibration(stored.values()):
            reason = "calibration_session"
        without_dot = len(records) - sum(expected.counts(number) for number in stored)
        expected_count = expected.count(session) + without_dot
        return {
            "version": RESULT_VERSION,
            "video_id": session.video_id or video_id,
            "score_valid": reason is None,
            "score_invalid_reason": reason,
            "coverage": round(scored / expected_count, 4) if expected_count else 0.0,
            "frames": {
                "expected": expected_count,
                "received": len(records),
                "valid": len(valid),
                "scored": scored,
                "hits": 0 if attention is None else attention.hits,
                "off_video": 0 if attention is None else attention.off_video,
            },
            "lost": {name: lost[name] for name in LOST_REASONS},
            "model_digest": self._model.digest,
            "smoothing": self._smoothing,
            "calibration": told,
            **numbers.result,
            **({} if expected.viewing_start_ms is None else {"viewing_start_ms": expected.viewing_start_ms}),
        }

    def _find_calibration(self, session: Session, records: Records) -> tuple[Calibration | None, dict[str, Any] | None]:
        """Return the session's calibration, read afresh, and what its client is told; None without any dot or wish.

        Raises:
            SessionStoreError: It is there but cannot be read; a repeat loses nothing.
        """
        name = read_calibration_session(session)
        uses = {record.dot_use for record in records.values() if record is not None and record.dot_use is not None}
        calibration, why_not = None, "no_calibration_session"
        if is_calibration(records.values()) and DotUse.FIT in uses:
            calibration = calibrate_session(session, self._model)
        elif name is not None:
            try:
                calibration = calibrate_session(self._sessions.get_session(name), self._model)
            except SessionNotFoundError:
                why_not = "session_not_found"
        elif not uses:
            return None, None
        correction = None if calibration is None else calibration.correction
        checked = validate_session(session, records, correction, self._model)
        return calibration, describe_calibration(calibration, why_not=why_not, checked=checked)


def _reason_lost(record: FrameRecord | None) -> str:
    if record is None:
        return "unreadable"
    return "old_format" if record.validity is None else str(record.validity)
