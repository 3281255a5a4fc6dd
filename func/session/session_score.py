"""The result of a session from its stored frames."""

from collections import Counter
from typing import Any

from func.session.attention_score import find_accuracy, score_gazes
from func.session.expected_frames import ExpectedFrames
from func.session.frame_record import FrameRecord, TargetUse, read_calibration_session, read_screen, read_viewport
from func.session.gaze_track import Records, find_gazes, find_video_frames, is_calibration, read_records
from func.session.result import (
    RESULT_VERSION,
    CalibrationSummary,
    FrameCounts,
    InvalidReason,
    LostFrames,
    SessionResult,
)
from func.session.viewer_calibration import calibrate_session, describe_calibration, validate_session
from gaze_core.calibration import Calibration
from gaze_core.errors import SessionNotFoundError
from gaze_core.ports import GazeModel, SaliencyMaps, Session, SessionStore
from gaze_core.types import Validity


class SessionScorer:
    """Computes results; stores and delivers nothing."""

    def __init__(
        self,
        sessions: SessionStore,
        maps: SaliencyMaps,
        *,
        model: GazeModel,
        smoothing: str = "none",
        accuracy_deg: float | None = None,
    ) -> None:
        """Prepare to score.

        Args:
            sessions: Holds the sessions of calibrations.
            maps: Saliency maps of the videos.
            model: Generic gaze model.
            smoothing: `none` or `zero_lag`.
            accuracy_deg: Usual angular error of an uncalibrated gaze; None when unknown.
        """
        self._sessions = sessions
        self._maps = maps
        self._model = model
        self._smoothing = smoothing
        self._accuracy_deg = accuracy_deg

    def score(self, session: Session, expected: ExpectedFrames, video_id: str) -> SessionResult:
        """Return the result of a session.

        Args:
            session: With all its frames.
            expected: The frames that the last request promises.
            video_id: Of the video, for a session that does not say.

        Raises:
            SessionStoreError: The session API failed or timed out.
            SaliencyStoreError: The saliency store failed or timed out.
        """
        stored = read_records(session)
        records = {number: each for number, each in find_video_frames(stored).items() if expected.counts(number)}
        calibration, summary = self._find_calibration(session, stored)
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
        reason: InvalidReason | None = numbers.reason if records else "no_frames"
        if is_calibration(stored.values()):
            reason = "calibration_session"
        without_target = len(records) - sum(expected.counts(number) for number in stored)
        expected_count = expected.count(session) + without_target
        # Left out without tokens, as before there were any.
        start_ms = expected.viewing_start_ms
        viewing: dict[str, Any] = {} if start_ms is None else {"viewing_start_ms": start_ms}
        return SessionResult(
            version=RESULT_VERSION,
            video_id=session.video_id or video_id,
            score_valid=reason is None,
            score_invalid_reason=reason,
            coverage=round(scored / expected_count, 4) if expected_count else 0.0,
            frames=FrameCounts(
                expected=expected_count,
                received=len(records),
                valid=len(valid),
                scored=scored,
                hits=0 if attention is None else attention.hits,
                off_video=0 if attention is None else attention.off_video,
            ),
            lost=LostFrames(**{name: lost[name] for name in LostFrames.model_fields}),
            model_digest=self._model.digest,
            smoothing=self._smoothing,
            calibration=summary,
            **dict(numbers.statistics),
            maps_digest=numbers.maps_digest,
            at_accuracy=numbers.at_accuracy,
            trace=numbers.trace,
            **viewing,
        )

    def _find_calibration(
        self, session: Session, records: Records
    ) -> tuple[Calibration | None, CalibrationSummary | None]:
        """Return the session's calibration and its summary; None without any calibration target or request for one.

        Raises:
            SessionStoreError: It exists but cannot be read; a repeat loses nothing.
        """
        name = read_calibration_session(session)
        uses = {
            record.target_use for record in records.values() if record is not None and record.target_use is not None
        }
        calibration, why_not = None, "no_calibration_session"
        if is_calibration(records.values()) and TargetUse.FIT in uses:
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
