"""Says how far rendered people are from real ones, in what can be measured on any video of a face.

    python -m research.realism CLIP [CLIP …] [--table …] [--calibration-table …] [--out FOLDER] [--truth] [--page …]

Ratios are held against the training table, jitter against the frames of one dot of the calibration table, where the
eyes rest on one place while the head sways a little. With `--truth` the landmarks of rendered people are held against
the scenes they were rendered from. Writes `realism.json` and `realism.png`; of a real person only numbers are kept.
"""

import argparse
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
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
from research.dataset.table import CALIBRATION_TABLE_PATH, TRAINING_TABLE_PATH, LandmarkTable, load_table
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
    measure_turning_deg,
)
from research.realism.measures import iris_size_px
from research.realism.plot import draw
from research.realism.spread import Spread
from research.realism.truth import LEVER_MM, SOURCES, ErrorBudget, measure_errors

FEWEST_ON_END = 5
"""Faces that are seen for fewer frames on end are taken for something else."""


@dataclass(frozen=True, slots=True)
class Report:
    """How real and rendered people differ.

    Attributes:
        clips: Name, digest, frames and so on of each.
        takes: Number of each clip's take; clips that show the same have the same number.
        rendered: How many people and pictures there were.
        comparisons: By the names of `QUANTITIES`.
        scatters: Of `difference_x` and `difference_y`.
        jitters: By the names of `TRACKED`.
        lags: How many frames each clip's head takes to move as far as a rendered one does from frame to frame.
        width_mm: Of the eyes, if irises are 11.7 mm across, median of each clip.
        rendered_width_mm: Likewise of rendered people.
        turning_deg: How much rendered eyes truly turn in their heads from frame to frame, measured as the jitter is,
            across and up; None without a calibration table.
        truth: Of the landmarks' errors; None unless asked for.
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
    turning_deg: tuple[float, float] | None
    truth: tuple[ErrorBudget, ...] | None


def read_clip(path: Path, landmarker: FaceLandmarker) -> Clip:
    """Return the faces of a video.

    Raises:
        OSError: It cannot be read.
        ValueError: There is no face in it for a while.
    """
    points_px: list[NDArray[np.float64]] = []
    frames: list[int] = []
    is_frontal: list[bool] = []
    pictures, size_px = 0, (0, 0)
    for number, picture in enumerate(_read_pictures(path)):
        pictures, size_px = number + 1, (picture.shape[1], picture.shape[0])
        face = max(landmarker.detect(picture), key=lambda found: found.area_px, default=None)
        if face is None:
            continue
        pose = estimate_head_pose(face)
        points_px.append(face.points[:, :2] * size_px)
        frames.append(number)
        is_frontal.append(max(abs(pose.pitch_deg), abs(pose.yaw_deg)) <= FRONTAL_DEG)
    shown = np.array(frames, dtype=np.int64)
    run = np.cumsum(np.diff(shown, prepend=-2) > 1)
    lasts = np.bincount(run)[run] >= FEWEST_ON_END if len(run) else np.empty(0, dtype=np.bool_)
    if not lasts.any():
        raise ValueError(f"{path.name} shows no face")
    one = np.zeros(int(lasts.sum()), dtype=np.int64)
    faces = Faces(np.array(points_px)[lasts], np.array(is_frontal)[lasts], person=one, sequence=one, frame=shown[lasts])
    return Clip(path.name, hashlib.sha256(path.read_bytes()).hexdigest(), pictures, size_px, faces)


def _read_pictures(path: Path) -> Iterator[Frame]:
    """Yield the pictures of a video, RGB."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise OSError(f"cannot open {path.name}")
        while True:
            was_read, picture = capture.read()
            if not was_read:
                return
            yield np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)
    finally:
        capture.release()


def make_report(
    clips: Sequence[Clip], table: LandmarkTable, resting: LandmarkTable | None, *, truth_people: int | None
) -> Report:
    """Return how the people of some clips differ from rendered ones.

    Args:
        clips: Of real people.
        table: Of rendered ones, in many poses.
        resting: A calibration table, if there is one.
        truth_people: How many rendered people to hold against the truth; None for not at all.
    """
    takes = find_takes(clips)
    rendered = faces_of(table)
    at_rest = None if resting is None else faces_of(resting)
    lags = match_lags(clips, at_rest)
    return Report(
        clips=tuple(_describe(clip) for clip in clips),
        takes=takes,
        rendered={
            "people": len(np.unique(table.identity)),
            "pictures": len(table),
            "pictures_used": len(measure_open(rendered)[1]),
            "people_at_rest": 0 if resting is None else len(np.unique(resting.identity)),
            "pictures_at_rest": 0 if resting is None else len(resting),
        },
        comparisons=compare(first_of_takes(clips, takes), rendered),
        scatters=compare_scatter([clip.faces for clip in clips], rendered, at_rest),
        jitters=compare_jitter(clips, takes, lags, at_rest),
        lags=lags,
        width_mm=tuple(width_mm(clip.faces) for clip in clips),
        rendered_width_mm=width_mm(rendered if at_rest is None else at_rest),
        turning_deg=None if resting is None else measure_turning_deg(resting),
        truth=None if truth_people is None else measure_errors(table, resting, people=truth_people),
    )


def first_of_takes(clips: Sequence[Clip], takes: Sequence[int]) -> list[Faces]:
    """Return the faces of the first clip of every take."""
    return [clips[takes.index(take)].faces for take in sorted(set(takes))]


def _describe(clip: Clip) -> dict[str, Any]:
    return {
        "name": clip.name,
        "sha256": clip.sha256,
        "size_px": clip.size_px,
        "pictures": clip.pictures,
        "faces": len(clip.faces),
        "faces_used": len(measure_open(clip.faces)[1]),
        "iris_diameter_px": round(float(np.median(iris_size_px(clip.faces.points_px))), 1),
    }


def describe(report: Report, command: str) -> str:
    """Return the tables of real against rendered people, as Markdown."""
    takes = len(set(report.takes))
    lines = [
        f"*Made by `{command}`.*",
        "",
        "| clip | take | picture | frames | faces | used | iris |",
        "|" + "---|" * 7,
    ]
    for clip, take in zip(report.clips, report.takes, strict=True):
        width, height = clip["size_px"]
        lines.append(
            f"| {clip['name']} | {take + 1} | {width} × {height} | {clip['pictures']} | {clip['faces']} "
            f"| {clip['faces_used']} | {clip['iris_diameter_px']} px |"
        )
    rendered = report.rendered
    persons = (
        f"Real: {takes} take{'s' * (takes > 1)}, so at most as many persons. Rendered: {rendered['people']} people, "
        f"{rendered['pictures_used']} of {rendered['pictures']} pictures (frontal, eyes open); at rest "
        f"{rendered['people_at_rest']} people, {rendered['pictures_at_rest']} pictures."
    )
    spread, near = "median (5–95 %)", f"within {TOWARDS_CAMERA_DEG:g}° of the camera"
    columns = "quantity", f"real: {spread}", f"rendered: {spread}", f"those who look {near}", "real inside", "rank"
    lines += ["", persons, "", "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for name, title in QUANTITIES.items():
        comparison = report.comparisons[name]
        ranks = ", ".join(f"{rank:.0%}" for rank in comparison.rank)
        spreads = comparison.real, comparison.rendered, comparison.towards_camera
        cells = [*map(_spread, spreads), f"{comparison.inside:.0%}", ranks]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", *_scatter_rows(report), "", *_jitter_rows(report), "", *_jitter_rows(report, in_degrees=True)]
    return "\n".join(lines)


def _scatter_rows(report: Report) -> list[str]:
    names = [clip["name"] for clip in report.clips]
    columns = [*(f"real: {name}" for name in names), "rendered, over poses", "rendered, at rest"]
    lines = ["| scatter of left minus right iris | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for name, title in (("difference_x", "across"), ("difference_y", "up")):
        scatter = report.scatters[name]
        values = [*scatter.real, scatter.poses, scatter.rest]
        lines.append(f"| {title} | " + " | ".join(_mm_and_degrees(value) for value in values) + " |")
    return lines


def _jitter_rows(report: Report, *, in_degrees: bool = False) -> list[str]:
    """Return the table of the jitter, in thousandths of the eye's width or, of places, as turns of an eye."""
    columns = [
        f"real: {clip['name']}: next frame" + ("" if lag is None else f" → {lag} frames on")
        for clip, lag in zip(report.clips, report.lags, strict=True)
    ]
    same_size = f"rendered, irises within {SAME_SIZE:.0%} of the first clip's"
    columns += ["encoded otherwise", "rendered: median (5–95 %)", same_size]
    unit = "degrees of gaze" if in_degrees else "10⁻³ eye widths"
    lines = [f"| jitter, {unit} | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    *real, rendered = (
        _degrees_per_thousandth(each) if in_degrees else 1.0 for each in (*report.width_mm, report.rendered_width_mm)
    )
    digits = 2 if in_degrees else 1
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
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if in_degrees and report.turning_deg is not None:
        across, up = report.turning_deg
        lines += [
            "",
            f"Rendered eyes truly turn in their heads meanwhile, measured alike: {across:.2f}° and {up:.2f}°.",
        ]
    return lines


def describe_truth(truth: Sequence[ErrorBudget], command: str) -> str:
    """Return the table of the landmarks' errors, as Markdown."""
    columns = "bias", "between", "within", "not foretold", "at rest"
    lines = [
        f"*Made by `{command}`.*",
        "",
        "| error | axis | " + " | ".join(f"{column}, mm (°)" for column in columns) + " | per mm of the iris's way |",
        "|" + "---|" * (len(columns) + 3),
    ]
    for budget in truth:
        values = [budget.bias_mm, budget.between_mm, budget.within_mm, budget.unforetold_mm, budget.rest_mm]
        cells = ["–" if value is None else f"{value:.2f} ({_degrees(value):.1f})" for value in values]
        cells.append("–" if budget.gain is None else f"{budget.gain:+.2f}")
        lines.append(f"| {SOURCES[budget.source]} | {budget.axis} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _degrees(error_mm: float) -> float:
    return math.degrees(error_mm / LEVER_MM)


def _mm_and_degrees(scatter_mm: float | None) -> str:
    if scatter_mm is None:
        return "–"
    return f"{scatter_mm:.2f} mm ({math.degrees(scatter_mm / EYE_ROTATION_TO_IRIS_MM):.1f}°)"


def _degrees_per_thousandth(eye_width_mm: float) -> float:
    """Return by how much an eye turns whose iris moves by 0.001 of the eye's width."""
    return math.degrees(eye_width_mm / 1000 / EYE_ROTATION_TO_IRIS_MM)


def _number(value: float | None, unit: float, digits: int) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value * unit:.{digits}f}"


def _spread(spread: Spread | None) -> str:
    return "–" if spread is None else f"{spread.median:.3f} ({spread.low:.3f} to {spread.high:.3f})"


def write_section(page: Path, name: str, section: str) -> None:
    """Replace a generated section of a page.

    Raises:
        ValueError: The page has no such section.
    """
    begin, end = f"<!-- {name}: begin -->\n", f"\n<!-- {name}: end -->"
    text = page.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{page.name} has no section {name}")
    page.write_text(text.split(begin)[0] + begin + section + end + text.split(end)[1], encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, print the tables, and write the report and its picture."""
    parser = argparse.ArgumentParser(prog="python -m research.realism", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP", help="a video of one real person")
    parser.add_argument("--table", type=Path, default=TRAINING_TABLE_PATH)
    parser.add_argument("--calibration-table", type=Path, default=CALIBRATION_TABLE_PATH)
    parser.add_argument("--out", type=Path, default=Path("out/realism"), help="folder for realism.json and realism.png")
    parser.add_argument("--truth", action="store_true", help="hold landmarks of rendered people against the truth")
    parser.add_argument("--people", type=int, default=100, help="of each table, at most, for --truth")
    parser.add_argument("--page", type=Path, help="a page whose tables are renewed; realism.png goes beside it too")
    options = parser.parse_args(arguments)
    landmarker = make_landmarker()
    clips = [read_clip(path, landmarker) for path in options.clips]
    table = load_table(options.table)
    resting = load_table(options.calibration_table) if options.calibration_table.is_file() else None
    report = make_report(clips, table, resting, truth_people=options.people if options.truth else None)

    command = "python -m research.realism " + " ".join(path.name for path in options.clips)
    sections = {"realism": describe(report, command)}
    if report.truth is not None:
        sections["truth"] = describe_truth(report.truth, command + " --truth")
    print("\n\n".join(sections.values()))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "realism.json").write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    pictures = [options.out / "realism.png", *([options.page.with_name("realism.png")] if options.page else [])]
    for path in pictures:
        names = [clip.name for clip in clips]
        draw(first_of_takes(clips, report.takes), faces_of(table), report.jitters, names, path)
    for name, section in sections.items() if options.page else ():
        write_section(options.page, name, section)


def make_landmarker() -> FaceLandmarker:
    """Return the landmarker that the tables were made with."""
    return MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
