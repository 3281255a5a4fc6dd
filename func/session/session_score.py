"""Compute the result of a session from its stored frames."""

from collections import Counter
from typing import Any

from func.session.attention_score import find_accuracy, score_gazes
from func.session.changed_viewer import find_changed_viewer
from func.session.expected_frames import ExpectedFrames
from func.session.frame_record import FrameRecord, read_screen, read_viewport
from func.session.gaze_track import (
    Records,
    find_gazes,
    find_times_s,
    find_video_frames,
    is_calibration,
    read_records,
)
from func.session.result import RESULT_VERSION, FrameCounts, LostFrames, SessionResult
from func.session.result_codes import InvalidReason
from func.session.result_warnings import find_warnings
from func.session.score_validity import find_weakness
from func.session.viewer_calibration import find_viewer_calibration
from gaze_core.ports import GazeModel, SaliencyMaps, Session, SessionStore
from gaze_core.types import Validity


class SessionScorer:
    """Computes results of sessions."""

    def __init__(
        self,
        sessions: SessionStore,
        maps: SaliencyMaps,
        *,
        model: GazeModel,
        eye_network_digest: str | None = None,
        smoothing: str = "none",
        accuracy_deg: float | None = None,
    ) -> None:
        """Prepare to score.

        Args:
            sessions: Session API, for calibration sessions.
            maps: Saliency maps of the videos.
            model: Uncalibrated gaze model.
            eye_network_digest: SHA-256 of the eye network's file; None without one.
            smoothing: `none` or `zero_lag`.
            accuracy_deg: Typical angular error of uncalibrated gaze; None if unknown.
        """
        self._sessions = sessions
        self._maps = maps
        self._model = model
        self._eye_network_digest = eye_network_digest
        self._smoothing = smoothing
        self._accuracy_deg = accuracy_deg

    def score(self, session: Session, expected: ExpectedFrames, video_id: str) -> SessionResult:
        """Return the result of a session.

        Args:
            session: Session with all its frames.
            expected: Frames that the last request promises.
            video_id: Video id, used if the session has none.

        Raises:
            SessionStoreError: The session API failed or timed out.
            SaliencyStoreError: The saliency store failed or timed out.
        """
        stored = read_records(session)
        records = {number: each for number, each in find_video_frames(stored).items() if expected.counts(number)}
        viewer = find_viewer_calibration(session, stored, self._model, self._sessions)
        times_s = find_times_s(stored)
        gazes = find_gazes(
            session,
            records,
            self._model,
            calibration=viewer.calibration,
            smoothing=self._smoothing,
            drift=viewer.drift,
            times_s=times_s,
        )
        valid = {number: gaze for number, gaze in gazes.items() if gaze is not None}
        numbers = score_gazes(
            self._maps,
            session.video_id or video_id,
            valid,
            records,
            screen=read_screen(session),
            viewport=read_viewport(session),
            accuracy=find_accuracy(viewer.calibration, self._accuracy_deg),
        )
        attention = numbers.attention
        scored = 0 if attention is None else attention.frames
        lost = Counter({"missing": expected.count_missing(session)})
        lost.update(_find_loss_reason(record) for record in records.values())
        lost.update(numbers.lost)
        lost[Validity.LOW_QUALITY] += len(gazes) - len(valid)
        without_target = len(records) - sum(expected.counts(number) for number in stored)
        expected_count = expected.count(session) + without_target
        usable = len(valid) - len(numbers.untimed)
        reason: InvalidReason | None = numbers.reason or find_weakness(
            attention, usable=usable, expected=expected_count
        )
        if not records:
            reason = "calibration_session" if is_calibration(stored.values()) else "no_frames"
        # Absent without tokens and warnings, so that old results stay the same byte for byte.
        start_ms = expected.viewing_start_ms
        later_parts: dict[str, Any] = {} if start_ms is None else {"viewing_start_ms": start_ms}
        changed = find_changed_viewer(records, times_s, self._model)
        warnings = find_warnings(
            records, numbers, session.video_id or video_id, changed=changed, mirroring=viewer.mirroring_conflict
        )
        if warnings:
            later_parts["warnings"] = warnings
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
                flat_map=0 if attention is None else attention.flat,
            ),
            lost=LostFrames(**{name: lost[name] for name in LostFrames.model_fields}),
            model_digest=self._model.digest,
            eye_network_digest=self._eye_network_digest if _has_network(records) else None,
            smoothing=self._smoothing,
            calibration=viewer.summary,
            **dict(numbers.statistics),
            maps_digest=numbers.maps_digest,
            at_accuracy=numbers.at_accuracy,
            trace=numbers.trace,
            **later_parts,
        )


def _find_loss_reason(record: FrameRecord | None) -> str:
    if record is None:
        return "unreadable"
    return "old_format" if record.validity is None else str(record.validity)


def _has_network(records: Records) -> bool:
    """Return whether the eye network answered in any frame."""
    return any(
        each is not None and each.measured is not None and each.measured.has_network for each in records.values()
    )
