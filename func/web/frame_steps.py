"""Steps of one frame: get the detector, detect, store. All of them block and run in the threads of a stage."""

import contextlib
from dataclasses import dataclass
from typing import Any

from func.bootstrap import Application
from func.session.cues import stack_cues
from func.session.frame_record import FrameRecord, digest_image, make_record, read_record
from func.session.measured import stack_measured
from func.session.viewing import require_viewing
from func.tracing import find_trace
from func.web.answer_warnings import warn_of_expired_session, warn_of_other_viewing, warn_of_repeat
from func.web.frame_answers import AnsweredRecord, answer_frame, read_answered
from func.web.images import decode_image
from func.web.metrics import Metrics
from func.web.schemas import FrameMetadata
from gaze_core.detector import GazeDetector
from gaze_core.errors import GazeError
from gaze_core.ports import StoredUpdate
from gaze_core.types import GazePoint, GazeSample


@dataclass(frozen=True, slots=True)
class FrameSteps:
    """Steps of one frame, to be called in order.

    Attributes:
        application: Detectors and session store.
        metrics: Counts and times the steps.
        max_pixels: Maximum width × height of the image.
        metadata: Fields of the request.
        viewing_start_ms: Start of the viewing from the session token, Unix time in ms; None without tokens.
        warnings: Warnings about the request, to be included in the answer.
    """

    application: Application
    metrics: Metrics
    max_pixels: int
    metadata: FrameMetadata
    viewing_start_ms: int | None
    warnings: tuple[str, ...]

    def find_detector(self) -> GazeDetector:
        """Return the detector of the session. Reads the calibration session if the request has one."""
        metadata = self.metadata
        return self.application.detectors.get_or_create_gaze_detector(
            metadata.session_id,
            screen=None if metadata.screen is None else metadata.screen.to_screen(),
            camera=None if metadata.camera is None else metadata.camera.to_camera(),
            calibration_session=metadata.calibration_session,
        )

    def detect(self, detector: GazeDetector, image: bytes) -> dict[str, Any]:
        """Decode an image, detect the gaze and return the frame's record."""
        metadata = self.metadata
        with self.metrics.time_stage("decode"):
            frame = decode_image(image, max_pixels=self.max_pixels)
        with self.metrics.time_stage("detect"):
            sample = detector.process_single_frame(frame)
        self.metrics.count_frame(sample.validity, sample.quality_issues)
        _note_validity(sample)
        if sample.eye_network_failed:
            self.metrics.count_eye_network_failure()
        return make_record(
            sample,
            timestamp_ms=metadata.timestamp_ms,
            video_time_ms=metadata.video_time_ms,
            target=metadata.calibration_target,
            calibration_use=metadata.calibration_use,
            setup=metadata.describe_setup(),
            image_digest=digest_image(image),
            viewing_start_ms=self.viewing_start_ms,
            video_id=metadata.video_id,
        )

    def store(self, detector: GazeDetector, record: dict[str, Any]) -> dict[str, Any]:
        """Store a record and return the answer.

        If the frame number was already stored, the answer describes the stored record, so that a repeated request gets
        the answer of the first one.
        """
        metadata = self.metadata
        with self.metrics.time_stage("store"):
            update = self.application.sessions.update_session(
                metadata.session_id,
                metadata.frame_number,
                record,
                ip_address=metadata.ip_address,
                video_id=metadata.video_id,
            )
        return self.answer(detector, record, update)

    def answer(self, detector: GazeDetector, record: dict[str, Any], update: StoredUpdate) -> dict[str, Any]:
        """Return the answer to a frame that was stored by an update, perhaps with others.

        Raises:
            OtherViewingError: The stored record is that of another viewing.
        """
        metadata, sessions = self.metadata, self.application.sessions
        stored = update.stored.get(str(metadata.frame_number), record)
        require_viewing(stored, self.viewing_start_ms)
        answered = read_answered(stored)
        if answered is None:  # written by another service, in another format
            stored, answered = record, AnsweredRecord.model_validate(record)
        setup = metadata.describe_setup()
        if setup and metadata.frame_number == 1 and "1" in update.written:
            # For other readers of the session. Scoring does not need it: each record has its own setup.
            with contextlib.suppress(GazeError):
                sessions.store_settings(metadata.session_id, setup)
        corrected, calibrated = None, None
        if metadata.calibration_session is not None:
            corrected = _correct(detector, read_record(stored))
            calibrated = corrected is not None
        return answer_frame(
            metadata.session_id,
            metadata.frame_number,
            answered,
            corrected=corrected,
            calibrated=calibrated,
            warnings=[
                *self.warnings,
                *warn_of_repeat(metadata.frame_number, record, stored),
                *warn_of_expired_session(update.earlier_expired_at),
                *warn_of_other_viewing(update, video_id=metadata.video_id, ip_address=metadata.ip_address),
            ],
        )


def _correct(detector: GazeDetector, record: FrameRecord | None) -> GazePoint | None:
    """Return the calibrated point of gaze of a stored frame; None without a calibration or a gaze."""
    if detector.calibration is None or detector.calibration.correction is None or record is None:
        return None
    if record.gaze is None or record.measured is None:
        return None
    (gaze,) = detector.locate(
        *stack_measured([record.measured], detector.estimates), stack_cues([record.measured], detector.estimates)
    )
    return gaze


def _note_validity(sample: GazeSample) -> None:
    """Let the log line of the request have the validity and the issues of its frame, or of each of its frames."""
    trace = find_trace()
    if trace is not None:
        trace.outcome.setdefault("validity", []).append(str(sample.validity))
        if sample.quality_issues:
            trace.outcome.setdefault("issues", []).extend(sample.quality_issues)
