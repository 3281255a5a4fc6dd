"""Comparison of rendered people with real ones in videos of faces with unknown gaze.

Ratios are compared with the training table, and jitter with the fixations of the calibration table, during which the
head sways a little. The landmarks of rendered people can also be compared with the scenes behind their images.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from gaze_core.gaze import EYE_ROTATION_TO_IRIS_MM
from gaze_core.head_pose import estimate_head_pose
from gaze_core.ports import FaceLandmarker
from gaze_core.types import Frame
from models import FACE_LANDMARKER_PATH
from research.dataset.table import LandmarkTable
from research.markdown import make_table
from research.realism.compare import QUANTITIES, Comparison, Scatter, compare, compare_scatter
from research.realism.faces import (
    FRONTAL_DEG,
    TOWARDS_CAMERA_DEG,
    Clip,
    Faces,
    faces_of,
    find_takes,
    measure_open,
    width_mm,
)
from research.realism.jitter import (
    IN_DEGREES,
    SAME_SIZE,
    TRACKED,
    Jitter,
    compare_jitter,
    match_lags,
    measure_rotation_deg,
)
from research.realism.measures import iris_size_px
from research.realism.spread import Spread
from research.realism.truth import LEVER_MM, SOURCES, ErrorBudget, measure_errors

MIN_CONSECUTIVE_FRAMES = 5
"""Faces in fewer consecutive frames are treated as false detections."""


@dataclass(frozen=True, slots=True)
class RealismReport:
    """Differences between real and rendered people.

    Attributes:
        clips: Description of each clip.
        takes: Number of each clip's take; clips of the same take share a number.
        rendered: Numbers of rendered people and images.
        comparisons: Comparisons by the names of `QUANTITIES`.
        scatters: Scatter of `difference_x` and `difference_y`.
        jitters: Jitter by the names of `TRACKED`.
        lags: Lag of each clip, from `match_lags`.
        width_mm: Median width of the eyes in each clip, assuming irises of 11.7 mm.
        rendered_width_mm: Median width of rendered eyes, assuming irises of 11.7 mm.
        rotation_deg: True horizontal and vertical rotation of rendered eyes between frames, computed like the jitter;
            None without a calibration table.
        truth: Sources of the landmarks' errors; None without `--truth`.
    """

    clips: tuple[dict[str, Any], ...]
    takes: tuple[int, ...]
    rendered: dict[str, int]
    comparisons: dict[str, Comparison]
    scatters: dict[str, Scatter]
    jitters: dict[str, Jitter]
    lags: tuple[int | None, ...]
    width_mm: tuple[float, ...]
    rendered_width_mm: float
    rotation_deg: tuple[float, float] | None
    truth: tuple[ErrorBudget, ...] | None


def read_clip(path: Path, landmarker: FaceLandmarker) -> Clip:
    """Return the faces of a video.

    Raises:
        OSError: The video cannot be read.
        ValueError: No face is visible in enough consecutive frames.
    """
    points_px: list[NDArray[np.float64]] = []
    frames: list[int] = []
    is_frontal: list[bool] = []
    count, size_px = 0, (0, 0)
    for number, image in enumerate(_read_frames(path)):
        count, size_px = number + 1, (image.shape[1], image.shape[0])
        face = max(landmarker.detect(image), key=lambda found: found.area_px, default=None)
        if face is None:
            continue
        pose = estimate_head_pose(face)
        points_px.append(face.points[:, :2] * size_px)
        frames.append(number)
        is_frontal.append(max(abs(pose.pitch_deg), abs(pose.yaw_deg)) <= FRONTAL_DEG)
    shown = np.array(frames, dtype=np.int64)
    run = np.cumsum(np.diff(shown, prepend=-2) > 1)
    lasts = np.bincount(run)[run] >= MIN_CONSECUTIVE_FRAMES if len(run) else np.empty(0, dtype=np.bool_)
    if not lasts.any():
        raise ValueError(f"no face found in {path.name}")
    one = np.zeros(int(lasts.sum()), dtype=np.int64)
    faces = Faces(np.array(points_px)[lasts], np.array(is_frontal)[lasts], person=one, sequence=one, frame=shown[lasts])
    return Clip(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), count, size_px, faces)


def _read_frames(path: Path) -> Iterator[Frame]:
    """Yield the frames of a video, RGB."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise OSError(f"cannot open {path.name}")
        while True:
            was_read, image = capture.read()
            if not was_read:
                return
            yield np.ascontiguousarray(image[..., ::-1], dtype=np.uint8)
    finally:
        capture.release()


def make_report(
    clips: Sequence[Clip], table: LandmarkTable, resting: LandmarkTable | None, *, truth_people: int | None
) -> RealismReport:
    """Return the comparison of the people in clips with rendered ones.

    Args:
        clips: Clips of real people.
        table: Table of rendered people in many poses.
        resting: Calibration table; None if there is none.
        truth_people: Number of rendered people to compare with the truth; None to skip this.
    """
    takes = find_takes(clips)
    rendered = faces_of(table)
    at_rest = None if resting is None else faces_of(resting)
    lags = match_lags(clips, at_rest)
    return RealismReport(
        clips=tuple(_describe(clip) for clip in clips),
        takes=takes,
        rendered={
            "people": len(np.unique(table.identity)),
            "images": len(table),
            "images_used": len(measure_open(rendered)[1]),
            "people_at_rest": 0 if resting is None else len(np.unique(resting.identity)),
            "images_at_rest": 0 if resting is None else len(resting),
        },
        comparisons=compare(first_of_takes(clips, takes), rendered),
        scatters=compare_scatter([clip.faces for clip in clips], rendered, at_rest),
        jitters=compare_jitter(clips, takes, lags, at_rest),
        lags=lags,
        width_mm=tuple(width_mm(clip.faces) for clip in clips),
        rendered_width_mm=width_mm(rendered if at_rest is None else at_rest),
        rotation_deg=None if resting is None else measure_rotation_deg(resting),
        truth=None if truth_people is None else measure_errors(table, resting, people=truth_people),
    )


def first_of_takes(clips: Sequence[Clip], takes: Sequence[int]) -> list[Faces]:
    """Return the faces of the first clip of each take."""
    return [clips[takes.index(take)].faces for take in sorted(set(takes))]


def _describe(clip: Clip) -> dict[str, Any]:
    return {
        "name": clip.name,
        "sha256": clip.sha256,
        "size_px": clip.size_px,
        "frames": clip.frames,
        "faces": len(clip.faces),
        "faces_used": len(measure_open(clip.faces)[1]),
        "iris_diameter_px": round(float(np.median(iris_size_px(clip.faces.points_px))), 1),
    }


def describe(report: RealismReport) -> dict[str, str]:
    """Return the tables of docs/realism.md by the names of their blocks, as Markdown."""
    return {
        "realism-clips": _describe_clips(report),
        "realism-ratios": _describe_ratios(report),
        "realism-scatter": _describe_scatter(report),
        "realism-jitter": _describe_jitter(report),
        "realism-jitter-degrees": _describe_jitter(report, in_degrees=True),
    }


def describe_truth(truth: Sequence[ErrorBudget]) -> str:
    """Return the sources of the landmarks' errors, as a Markdown table."""
    columns = ("bias", "between people", "within a person", "unexplained", "at rest")
    rows = []
    for budget in truth:
        values = [budget.bias_mm, budget.between_mm, budget.within_mm, budget.unexplained_mm, budget.rest_mm]
        cells = ["–" if value is None else f"{value:.2f} ({_degrees(value):.1f})" for value in values]
        gain = "–" if budget.gain is None else f"{budget.gain:+.2f}"
        rows.append((SOURCES[budget.source], budget.axis, *cells, gain))
    return make_table(("error", "axis", *(f"{column}, mm (°)" for column in columns), "gain, mm per mm"), rows)


def _describe_clips(report: RealismReport) -> str:
    rows = []
    for clip, take in zip(report.clips, report.takes, strict=True):
        width, height = clip["size_px"]
        rows.append(
            (
                clip["name"],
                str(take + 1),
                f"{width} × {height}",
                str(clip["frames"]),
                str(clip["faces"]),
                str(clip["faces_used"]),
                f"{clip['iris_diameter_px']} px",
            )
        )
    rendered = report.rendered
    rows.append(
        (
            f"rendered, over poses: {rendered['people']} people",
            "–",
            "–",
            "–",
            str(rendered["images"]),
            str(rendered["images_used"]),
            "–",
        )
    )
    rows.append(
        (
            f"rendered, at rest: {rendered['people_at_rest']} people",
            "–",
            "–",
            "–",
            str(rendered["images_at_rest"]),
            "–",
            "–",
        )
    )
    return make_table(("clip", "take", "size", "frames", "faces", "frontal, eyes open", "iris"), rows)


def _describe_ratios(report: RealismReport) -> str:
    spread = "median (5–95 %)"
    rows = []
    for name, title in QUANTITIES.items():
        comparison = report.comparisons[name]
        spreads = comparison.real, comparison.rendered, comparison.towards_camera
        ranks = ", ".join(f"{rank:.0%}" for rank in comparison.rank)
        rows.append((title, *map(_spread, spreads), f"{comparison.inside:.0%}", ranks))
    header = (
        "quantity",
        f"real: {spread}",
        f"rendered: {spread}",
        f"rendered, gaze within {TOWARDS_CAMERA_DEG:g}° of the camera",
        "real inside",
        "rank",
    )
    return make_table(header, rows)


def _describe_scatter(report: RealismReport) -> str:
    names = [clip["name"] for clip in report.clips]
    rows = []
    for name, title in (("difference_x", "horizontal"), ("difference_y", "vertical")):
        scatter = report.scatters[name]
        rows.append((title, *map(_mm_and_degrees, (*scatter.real, scatter.poses, scatter.rest))))
    header = (
        "scatter of left minus right iris",
        *(f"real: {name}" for name in names),
        "rendered, over poses",
        "rendered, at rest",
    )
    return make_table(header, rows)


def _describe_jitter(report: RealismReport, *, in_degrees: bool = False) -> str:
    """Return the jitter in thousandths of the eye's width or, for positions, as rotations of an eye."""
    clips = [
        f"real: {clip['name']}: next frame" + ("" if lag is None else f" → {lag} frames later")
        for clip, lag in zip(report.clips, report.lags, strict=True)
    ]
    *real, rendered = (
        _degrees_per_thousandth(each) if in_degrees else 1.0 for each in (*report.width_mm, report.rendered_width_mm)
    )
    digits = 2 if in_degrees else 1
    rows = []
    for name, title in TRACKED.items():
        if in_degrees and name not in IN_DEGREES:
            continue
        jitter = report.jitters[name]
        cells = []
        for value, moved, size in zip(jitter.real, jitter.moved, real, strict=True):
            cells.append(_number(value, size, digits) + ("" if moved is None else f" → {_number(moved, size, digits)}"))
        cells.append(_number(jitter.encoding, real[0], digits))
        for spread in (jitter.rendered, jitter.same_size):
            cell = "–"
            if spread is not None:
                median, low, high = (
                    _number(value, rendered, digits) for value in (spread.median, spread.low, spread.high)
                )
                cell = f"{median} ({low}–{high})"
            cells.append(cell)
        rows.append((title, *cells))
    if in_degrees and report.rotation_deg is not None:
        rotations = zip(("horizontal", "vertical"), report.rotation_deg, strict=True)
        empty = ["–"] * (len(clips) + 1)
        rows += [(f"true rotation of the eyes, {axis}", *empty, f"{angle:.2f}", "–") for axis, angle in rotations]
    header = (
        f"jitter, {'degrees of gaze' if in_degrees else '10⁻³ eye widths'}",
        *clips,
        "other encoding",
        "rendered: median (5–95 %)",
        f"rendered, irises within {SAME_SIZE:.0%} of the first clip's",
    )
    return make_table(header, rows)


def _degrees(error_mm: float) -> float:
    return math.degrees(error_mm / LEVER_MM)


def _mm_and_degrees(scatter_mm: float | None) -> str:
    if scatter_mm is None:
        return "–"
    return f"{scatter_mm:.2f} mm ({math.degrees(scatter_mm / EYE_ROTATION_TO_IRIS_MM):.1f}°)"


def _degrees_per_thousandth(eye_width_mm: float) -> float:
    """Return the rotation of an eye whose iris moves by 0.001 of the eye's width."""
    return math.degrees(eye_width_mm / 1000 / EYE_ROTATION_TO_IRIS_MM)


def _number(value: float | None, unit: float, digits: int) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value * unit:.{digits}f}"


def _spread(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:.3f} ({spread.low:.3f} to {spread.high:.3f})"


def make_landmarker() -> FaceLandmarker:
    """Return the landmarker with which the tables were made."""
    return MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
