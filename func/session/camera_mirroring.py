"""`camera.mirrored` of calibrations, and frames that say otherwise."""

from dataclasses import dataclass

from func.session.frame_record import FrameRecord, TargetUse
from func.session.gaze_track import Records, read_records
from func.session.target_frames import find_targets
from gaze_core.ports import Session
from gaze_core.types import Camera, Validity


@dataclass(frozen=True, slots=True)
class MirroringConflict:
    """Frames that turn left and right round compared with their calibration.

    Attributes:
        calibration_is_mirrored: Whether the images of the calibration were declared as mirrored.
        frames: Number of frames with a gaze that say otherwise.
    """

    calibration_is_mirrored: bool
    frames: int


def find_mirroring(calibration: Records) -> bool | None:
    """Return whether most frames at the targets of a calibration were declared as mirrored; None without any.

    A frame without a camera was measured as it is, whatever other frames of its session say.

    Args:
        calibration: Frames of the calibration session.
    """
    cameras = [each.camera for each in find_targets(calibration, TargetUse.FIT)]
    return 2 * sum(_is_mirrored(camera) for camera in cameras) > len(cameras) if cameras else None


def find_mirroring_conflict(calibration: Session, records: Records) -> MirroringConflict | None:
    """Compare `camera.mirrored` of frames with that of their calibration, as `find_mirroring`; None if they agree.

    Args:
        calibration: Calibration session.
        records: Frames that are corrected with it.
    """
    is_mirrored = find_mirroring(read_records(calibration))
    if is_mirrored is None:
        return None
    frames = sum(_has_gaze(each) and _is_mirrored(each.camera) is not is_mirrored for each in records.values() if each)
    return MirroringConflict(is_mirrored, frames) if frames else None


def _is_mirrored(camera: Camera | None) -> bool:
    return (camera or Camera()).mirrored


def _has_gaze(record: FrameRecord) -> bool:
    return record.validity is Validity.OK and record.measured is not None
