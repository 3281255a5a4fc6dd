"""What the frames of a recording show."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from func.errors import RequestError
from func.session.frame_record import FrameRecord, Measured, TargetUse, make_record, read_record
from func.web.images import decode_image
from gaze_core.detector import GazeDetector
from gaze_core.landmarks import Landmarks
from gaze_core.ports import FaceLandmarker
from gaze_core.types import Frame, Validity
from research.recordings.recording import FRAMES, Phase, Recording, Row

MAX_PIXELS = 3840 * 2160
"""Larger pictures are refused, as the service does by default."""


class LookingOnce:
    """A landmarker that remembers what it found, so that a picture can be measured again for another camera."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._landmarker = landmarker
        self._found: dict[bytes, Sequence[Landmarks]] = {}

    def detect(self, frame: Frame) -> Sequence[Landmarks]:
        """Return the faces in a picture."""
        key = hashlib.sha256(repr(frame.shape).encode() + frame.tobytes()).digest()
        if key not in self._found:
            self._found[key] = self._landmarker.detect(frame)
        return self._found[key]

    def largest_faces(self) -> list[Landmarks]:
        """Return the largest face of each picture that has one."""
        return [max(faces, key=lambda face: face.area_px) for faces in self._found.values() if faces]


@dataclass(frozen=True, slots=True, eq=False)
class SeenFrame:
    """A row and what its picture says.

    Attributes:
        row: Which.
        target: Number of its target.
        stored: What the service would keep of it; None for a picture that it would refuse.
        record: The same as the service reads it.
        distance_mm: From the camera to the eyes; None without a face.
        trouble: Why the picture is refused.
    """

    row: Row
    target: int
    stored: dict[str, Any] | None
    record: FrameRecord | None
    distance_mm: float | None
    trouble: str | None

    @property
    def measured(self) -> Measured | None:
        """What it measures; None without a usable gaze."""
        is_valid = self.record is not None and self.record.validity is Validity.OK
        return self.record.measured if is_valid and self.record is not None else None


def look(recording: Recording, detector: GazeDetector) -> list[SeenFrame]:
    """Return what each row's picture says."""
    numbers: dict[tuple[Phase, float, float], int] = {}
    seen = []
    for row in recording.rows:
        # As a calibration tells dots apart.
        place = (row.phase, round(row.target.x, 3), round(row.target.y, 3))
        number = numbers.setdefault(place, len(numbers))
        try:
            frame = decode_image((recording.folder / FRAMES / row.frame).read_bytes(), max_pixels=MAX_PIXELS)
        except RequestError as error:
            seen.append(SeenFrame(row, number, None, None, None, str(error)))
            continue
        sample = detector.process_single_frame(frame)
        stored = make_record(
            sample,
            target=(row.target.x, row.target.y),
            calibration_use=str(TargetUse.FIT if row.phase is Phase.CALIBRATION else TargetUse.VALIDATE),
        )
        seen.append(SeenFrame(row, number, stored, read_record(stored), sample.distance_mm, None))
    return seen
