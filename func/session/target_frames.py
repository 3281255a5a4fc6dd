"""Stored frames in which the viewer looked at targets."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from func.session.cues import stack_cues
from func.session.frame_record import TargetUse
from func.session.gaze_track import Records
from func.session.measured import Measured, stack_measured
from gaze_core.detector import predict_directions
from gaze_core.gaze import screen_point_mm
from gaze_core.ports import GazeModel
from gaze_core.targets import HEAD_ANGLES, TargetFrames
from gaze_core.types import Camera, GazePoint, Screen, Validity

MAX_TARGET_FRAMES = 2000
"""Maximum number of frames used for a calibration; those with the lowest frame numbers are used."""


@dataclass(frozen=True, slots=True)
class AtTarget:
    """Usable frame at a target.

    Attributes:
        number: Frame number.
        target: Target that the viewer was asked to look at, normalised to the screen.
        measured: Measurements of the frame.
        screen: Screen of the frame; None without its own.
        camera: Camera of the frame; None without its own.
    """

    number: int
    target: GazePoint
    measured: Measured
    screen: Screen | None = None
    camera: Camera | None = None


def find_targets(records: Records, use: TargetUse) -> list[AtTarget]:
    """Return the usable frames at calibration or validation targets, by frame number."""
    found = [
        AtTarget(number, record.target, record.measured, record.screen, record.camera)
        for number, record in sorted(records.items())
        if record is not None
        and record.validity is Validity.OK
        and record.target_use is use
        and record.target is not None
        and record.measured is not None
    ]
    return found[:MAX_TARGET_FRAMES]


def make_target_frames(
    found: Sequence[AtTarget], model: GazeModel, *, screen: Screen | None = None, camera: Camera | None = None
) -> TargetFrames:
    """Return the frames at targets, with the directions of the current model.

    Each target is placed on the screen, and seen from the camera, of its frame.

    Args:
        found: Frames from `find_targets`.
        model: Uncalibrated model.
        screen: Screen of frames without their own; None for the default.
        camera: Camera of frames without their own; None for the default.
    """
    screen, camera = screen or Screen(), camera or Camera()
    measured = [each.measured for each in found]
    features, origin_mm, openness = stack_measured(measured, model.estimates)
    setups = [(each.target, each.screen or screen, each.camera or camera) for each in found]
    places_mm = {setup: screen_point_mm(*setup) for setup in set(setups)}
    return TargetFrames(
        targets=np.array([(each.target.x, each.target.y) for each in found]).reshape(-1, 2),
        uncalibrated_deg=predict_directions(model, features, openness),
        head_deg=features[:, HEAD_ANGLES],
        origin_mm=origin_mm,
        openness=openness,
        cues=stack_cues(measured, model.estimates),
        targets_mm=np.array([places_mm[setup] for setup in setups]).reshape(-1, 3),
    )


def find_target_frames(
    records: Records,
    use: TargetUse,
    model: GazeModel,
    *,
    screen: Screen | None = None,
    camera: Camera | None = None,
) -> TargetFrames:
    """Return the frames in which the viewer looked at targets, with the directions of the current model.

    Args:
        records: Records of a session, by frame number.
        use: Calibration or validation targets.
        model: Uncalibrated model.
        screen: Screen of frames without their own; None for the default.
        camera: Camera of frames without their own; None for the default.
    """
    return make_target_frames(find_targets(records, use), model, screen=screen, camera=camera)
