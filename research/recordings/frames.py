"""Measurement of a recording's frames, as the service measures them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from func.errors import RequestError
from func.session.frame_record import FrameRecord, TargetUse, make_record, read_record
from func.session.measured import Measured
from func.web.images import decode_image
from gaze_core.detector import GazeDetector
from gaze_core.landmarks import Landmarks
from gaze_core.ports import EyeNetwork, FaceLandmarker
from gaze_core.types import Frame, Validity
from research.estimates import GazeEstimates, estimate_frame
from research.recordings.recording import FRAMES, Recording, RecordingPhase, Row

MAX_PIXELS = 3840 * 2160
"""Limit for the size of an image, the service's default."""


class CachedLandmarker:
    """A landmarker with a cache, so that images can be measured again for another camera."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._landmarker = landmarker
        self._faces: dict[bytes, Sequence[Landmarks]] = {}

    def detect(self, frame: Frame) -> Sequence[Landmarks]:
        """Return the faces in a frame."""
        key = hashlib.sha256(repr(frame.shape).encode() + frame.tobytes()).digest()
        if key not in self._faces:
            self._faces[key] = self._landmarker.detect(frame)
        return self._faces[key]

    def largest_faces(self) -> list[Landmarks]:
        """Return the largest face of each frame that has one."""
        return [max(faces, key=lambda face: face.area_px) for faces in self._faces.values() if faces]


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredFrame:
    """A row with the measurements of its image.

    Attributes:
        row: Row of `targets.csv`.
        target: Number of its target.
        stored: Record that the service would store; None for an image that it would refuse.
        record: The stored record, parsed.
        distance_mm: Distance from the camera to the eyes; None without a face.
        problem: Why the image is refused.
        estimates: Single estimates of the gaze; None without a usable gaze.
    """

    row: Row
    target: int
    stored: dict[str, Any] | None
    record: FrameRecord | None
    distance_mm: float | None
    problem: str | None
    estimates: GazeEstimates | None = None

    @property
    def measured(self) -> Measured | None:
        """Measurements of the frame; None without a usable gaze."""
        is_valid = self.record is not None and self.record.validity is Validity.OK
        return self.record.measured if is_valid and self.record is not None else None


def measure_frames(
    recording: Recording, detector: GazeDetector, landmarker: CachedLandmarker, *, network: EyeNetwork | None = None
) -> list[MeasuredFrame]:
    """Return the measured frame of each row.

    Args:
        recording: The recording.
        detector: Detector of the recording's person.
        landmarker: Its landmarker.
        network: Eye network; None leaves its estimate out.
    """
    numbers: dict[tuple[RecordingPhase, float, float], int] = {}
    measured = []
    for row in recording.rows:
        # A calibration distinguishes targets in the same way.
        place = (row.phase, round(row.target.x, 3), round(row.target.y, 3))
        number = numbers.setdefault(place, len(numbers))
        try:
            frame = decode_image((recording.folder / FRAMES / row.frame).read_bytes(), max_pixels=MAX_PIXELS)
        except RequestError as error:
            measured.append(MeasuredFrame(row, number, None, None, None, str(error)))
            continue
        sample = detector.process_single_frame(frame)
        stored = make_record(
            sample,
            target=(row.target.x, row.target.y),
            calibration_use=str(TargetUse.FIT if row.phase is RecordingPhase.CALIBRATION else TargetUse.VALIDATE),
        )
        estimates = None
        if sample.direction is not None:
            shown = np.ascontiguousarray(frame[:, ::-1]) if detector.camera.mirrored else frame
            fov_deg = detector.camera.vertical_fov_deg
            estimates = estimate_frame(shown, landmarker, vertical_fov_deg=fov_deg, network=network)
        measured.append(MeasuredFrame(row, number, stored, read_record(stored), sample.distance_mm, None, estimates))
    return measured
