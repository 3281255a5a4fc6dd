"""What is done with a valid request once its body is there. Everything here blocks and runs in a stage's threads."""

import contextlib
from dataclasses import dataclass
from typing import Any

from func.bootstrap import Application
from func.session.frame_record import FrameRecord, digest_image, make_record, read_record, stack_measured
from func.session.viewing import require_viewing
from func.web.answer_warnings import warn_of_expired_session, warn_of_repeat
from func.web.images import decode_image
from func.web.metrics import Metrics
from func.web.schemas import FrameMetadata, answer_frame, can_answer
from gaze_core.detector import GazeDetector
from gaze_core.errors import GazeError
from gaze_core.types import GazePoint


@dataclass(frozen=True, slots=True)
class FrameWork:
    """The steps of one frame: find its detector, look at the image, store the record.

    Attributes:
        application: What it is done with.
        metrics: Counts and times the steps.
        max_pixels: Largest image.
        metadata: The request.
        viewing_start_ms: When the viewing started, if a token says so.
        warnings: Warnings about the request, for the answer.
    """

    application: Application
    metrics: Metrics
    max_pixels: int
    metadata: FrameMetadata
    viewing_start_ms: int | None
    warnings: tuple[str, ...]

    def find_detector(self) -> GazeDetector:
        """Return the session's detector; reads a calibration when the request names one."""
        metadata = self.metadata
        return self.application.detectors.get_or_create_gaze_detector(
            metadata.session_id,
            screen=None if metadata.screen is None else metadata.screen.to_screen(),
            camera=None if metadata.camera is None else metadata.camera.to_camera(),
            calibration_session=metadata.calibration_session,
        )

    def detect(self, detector: GazeDetector, image: bytes) -> dict[str, Any]:
        """Return the record of an image."""
        metadata = self.metadata
        with self.metrics.time_stage("decode"):
            frame = decode_image(image, max_pixels=self.max_pixels)
        with self.metrics.time_stage("detect"):
            sample = detector.process_single_frame(frame)
        self.metrics.count_frame(sample.validity)
        return make_record(
            sample,
            timestamp_ms=metadata.timestamp_ms,
            video_time_ms=metadata.video_time_ms,
            target=metadata.calibration_target,
            calibration_use=metadata.calibration_use,
            setup=metadata.describe_setup(),
            image_digest=digest_image(image),
            viewing_start_ms=self.viewing_start_ms,
        )

    def store(self, detector: GazeDetector, record: dict[str, Any]) -> dict[str, Any]:
        """Store a record; return the answer that the stored one gives.

        When the frame number was there before, that is the first frame's record, so that a repeated or retried request
        is answered as the first one was.
        """
        metadata, sessions = self.metadata, self.application.sessions
        with self.metrics.time_stage("store"):
            update = sessions.update_session(
                metadata.session_id,
                metadata.frame_number,
                record,
                ip_address=metadata.ip_address,
                video_id=metadata.video_id,
            )
        stored = update.stored.get(str(metadata.frame_number), record)
        require_viewing(stored, self.viewing_start_ms)
        if not can_answer(stored):  # somebody else's record, in another format
            stored = record
        setup = metadata.describe_setup()
        if setup and metadata.frame_number == 1 and "1" in update.written:
            # For readers of the session as a whole. Scoring does not need them: each record has its own.
            with contextlib.suppress(GazeError):
                sessions.store_settings(metadata.session_id, setup)
        corrected, calibrated = None, None
        if metadata.calibration_session is not None:
            corrected = _correct(detector, read_record(stored))
            calibrated = corrected is not None
        return answer_frame(
            metadata.session_id,
            metadata.frame_number,
            stored,
            corrected=corrected,
            calibrated=calibrated,
            warnings=[
                *self.warnings,
                *warn_of_repeat(metadata.frame_number, record, stored),
                *warn_of_expired_session(update.earlier_expired_at),
            ],
        )


def _correct(detector: GazeDetector, record: FrameRecord | None) -> GazePoint | None:
    """Return what the detector's calibration makes of a stored frame; None without a correction or a gaze."""
    if detector.calibration is None or detector.calibration.correction is None or record is None:
        return None
    if record.gaze is None or record.measured is None:
        return None
    (gaze,) = detector.locate(*stack_measured([record.measured]))
    return gaze
