"""Errors of the gaze of some frames relative to their targets."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.detector import locate_gaze
from gaze_core.gaze import direction_to, visual_angle_deg
from gaze_core.types import Camera, GazePoint, Screen

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class TargetErrors:
    """Errors of the gaze of some frames.

    Attributes:
        target: Number of each frame's target, shape (n,).
        angular_deg: Angle between gaze and target at the midpoint between the eyes, shape (n,).
        offset_deg: Offset of the gaze to the right of and above the target, angles at the eyes, shape (n, 2).
        offset_mm: Offset on the screen; NaN where the gaze points away from the screen's plane, shape (n, 2).
    """

    target: NDArray[np.int64]
    angular_deg: Floats
    offset_deg: Floats
    offset_mm: Floats

    def of(self, rows: NDArray[np.bool_]) -> "TargetErrors":
        """Return the errors of a selection of frames."""
        return TargetErrors(self.target[rows], self.angular_deg[rows], self.offset_deg[rows], self.offset_mm[rows])


def compare_with_targets(
    directions_deg: Floats,
    origin_mm: Floats,
    targets: Sequence[GazePoint],
    numbers: Sequence[int],
    *,
    screen: Screen,
    camera: Camera,
) -> TargetErrors:
    """Return the errors of gaze directions.

    Args:
        directions_deg: Estimated gaze_x and gaze_y, camera frame, shape (n, 2).
        origin_mm: Estimated midpoint between the eyes, where the rays start, shape (n, 3).
        targets: Fixated target of each frame.
        numbers: Number of each frame's target.
        screen: The person's screen.
        camera: The person's camera.
    """
    true = [direction_to(target, origin, screen, camera) for target, origin in zip(targets, origin_mm, strict=True)]
    true_deg = np.array(true).reshape(-1, 2)
    offset_deg = directions_deg - true_deg
    offset_deg[:, 0] *= np.cos(np.radians(true_deg[:, 1]))
    angles_deg = visual_angle_deg(directions_deg, true_deg).tolist()
    points = locate_gaze(directions_deg, origin_mm, screen=screen, camera=camera)
    offset_mm = [
        (math.nan, math.nan)
        if point is None
        else ((point.x - target.x) * screen.width_mm, (target.y - point.y) * screen.height_mm)
        for point, target in zip(points, targets, strict=True)
    ]
    return TargetErrors(
        target=np.array(numbers, dtype=np.int64),
        angular_deg=np.array(angles_deg, dtype=np.float64),
        offset_deg=offset_deg,
        offset_mm=np.array(offset_mm, dtype=np.float64).reshape(-1, 2),
    )


def describe_errors(errors: TargetErrors, screen: Screen) -> dict[str, Any]:
    """Return the report's errors: of single frames, and of each target's median gaze averaged over targets.

    `precision_deg` is the root mean square angle between single frames and the mean of their target; targets with a
    single frame are ignored. Unknown numbers are None.
    """
    px_per_mm = np.array([screen.width_px / screen.width_mm, screen.height_px / screen.height_mm])
    hits = ~np.isnan(errors.offset_mm[:, 0])
    on_screen = errors.of(hits)
    medians_deg = _medians(errors.offset_deg, errors.target)
    medians_mm = _medians(on_screen.offset_mm, on_screen.target)
    right_deg, up_deg = medians_deg.mean(axis=0).tolist() if len(medians_deg) else (None, None)
    return {
        "error_deg": _spread(errors.angular_deg, digits=2),
        "error_mm": _spread(np.linalg.norm(on_screen.offset_mm, axis=1), digits=1),
        "error_px": _spread(np.linalg.norm(on_screen.offset_mm * px_per_mm, axis=1), digits=1),
        "error_of_median_gaze_deg": _mean(np.linalg.norm(medians_deg, axis=1), digits=2),
        "error_of_median_gaze_mm": _mean(np.linalg.norm(medians_mm, axis=1), digits=1),
        "error_of_median_gaze_px": _mean(np.linalg.norm(medians_mm * px_per_mm, axis=1), digits=1),
        "offset_right_deg": _round(right_deg, 2),
        "offset_up_deg": _round(up_deg, 2),
        "precision_deg": _round(_precision_deg(errors), 2),
        "rays_that_miss_the_screen_plane": int((~hits).sum()),
    }


def _medians(values: Floats, target: NDArray[np.int64]) -> Floats:
    """Return the median over each target's frames, shape (targets, 2)."""
    return np.array([np.median(values[target == each], axis=0) for each in np.unique(target)]).reshape(-1, 2)


def _precision_deg(errors: TargetErrors) -> float | None:
    own = [errors.offset_deg[errors.target == each] for each in np.unique(errors.target)]
    squares = [((frames - frames.mean(axis=0)) ** 2).sum(axis=1) for frames in own if len(frames) > 1]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else None


def _spread(values: Floats, *, digits: int) -> dict[str, float | None]:
    if len(values) == 0:
        return {"mean": None, "median": None, "p95": None}
    found = {"mean": values.mean(), "median": np.median(values), "p95": np.percentile(values, 95)}
    return {name: _round(float(value), digits) for name, value in found.items()}


def _mean(values: Floats, *, digits: int) -> float | None:
    return _round(float(values.mean()), digits) if len(values) else None


def median(values: Sequence[float | None]) -> float | None:
    """Return the median of the known values, to one decimal; None without any."""
    known = [value for value in values if value is not None]
    return round(float(np.median(known)), 1) if known else None


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
