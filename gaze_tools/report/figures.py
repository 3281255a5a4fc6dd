"""The figures of a report."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gaze_core.blur import blur_sigma_px
from gaze_core.errors import SaliencyMapNotFoundError
from gaze_core.ports import SaliencyMaps
from gaze_core.types import SaliencyMap
from gaze_tools.report import plots
from gaze_tools.report.examination import Report
from gaze_tools.report.trace import TraceRow
from gaze_tools.saliency.compute import read_video_frames

KEY_FRAMES = 4
KEY_FRAME_WINDOW_S = 15.0
"""The heatmap of a key frame contains the points of gaze up to this long before and after it."""

ASSUMED_ACCURACY_DEG = 2.0
"""Width at which a point of gaze is drawn."""

_KEY_FRAMES_CAPTION = (
    f"Left: the gaze around that time; each point is drawn {ASSUMED_ACCURACY_DEG:g}° wide, the resolution of a webcam. "
    "Right: the saliency map of that frame, bright where the image stands out."
)

_SCORE_CAPTION = (
    "Moving average of the frames whose gaze hit a salient region. The line with its band is the score of the whole "
    "session with its 95 % interval, the dashed line the chance level."
)

_COVERAGE_CAPTION = (
    "Frames without a usable gaze or without a map do not count in the score; if many are lost, read the other numbers "
    "with care."
)

_FIXATIONS_CAPTION = (
    "Positions where the gaze rested: larger for longer fixations, from dark to bright over time. The frame is the "
    "screen; fixations far outside it are drawn at the edge."
)


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure of the page.

    Attributes:
        title: Heading.
        caption: How to read it.
        path: PNG file.
    """

    title: str
    caption: str
    path: Path


def draw_figures(report: Report, maps: SaliencyMaps, out: Path, *, video: Path | None = None) -> list[ReportFigure]:
    """Draw the figures that a session has data for.

    Args:
        report: Report to draw.
        maps: Store with the saliency maps of the video, for the key frames.
        out: Existing directory for the PNG files.
        video: Video file; None draws key frames on a dark background.

    Raises:
        OSError: A file cannot be written, or the video cannot be read.
        SaliencyStoreError: The store of the maps failed.
    """
    figures: list[ReportFigure] = []
    if not report.rows:
        return figures
    drawn = _draw_key_frames(report, maps, video, out / "key_frames.png")
    if drawn:
        figures.append(ReportFigure("Gaze on the video", _KEY_FRAMES_CAPTION, drawn))
    if report.attention is not None:
        figures.append(ReportFigure("Score over time", _SCORE_CAPTION, _draw_score(report, out / "score.png")))
    figures.append(
        ReportFigure("Scored and lost frames", _COVERAGE_CAPTION, _draw_coverage(report, out / "coverage.png"))
    )
    if report.events.fixations:
        figures.append(ReportFigure("Fixations", _FIXATIONS_CAPTION, _draw_fixations(report, out / "fixations.png")))
    return figures


def _draw_key_frames(report: Report, maps: SaliencyMaps, video: Path | None, path: Path) -> Path | None:
    """Draw the gaze around some moments next to their maps; return None if there is no gaze."""
    gazed = [row for row in report.rows if row.screen_x is not None]
    if not gazed:
        return None
    first_s, last_s = gazed[0].time_s, gazed[-1].time_s
    chosen: dict[int, TraceRow] = {}
    for part in range(KEY_FRAMES):
        moment_s = first_s + (last_s - first_s) * (part + 0.5) / KEY_FRAMES
        row = min(gazed, key=lambda each: abs(each.time_s - moment_s))
        chosen.setdefault(row.video_frame, row)
    found: dict[int, SaliencyMap] = {}
    with contextlib.suppress(SaliencyMapNotFoundError):
        for number, saliency_map in maps.extract_saliencyMap(report.video_id, frame_nums=chosen).maps:
            found[number] = saliency_map  # noqa: PERF403  keeps what was read before an error
    frames = read_video_frames(video, chosen) if video else {}
    distances = [row.distance_mm for row in gazed if row.distance_mm]
    distance_mm = float(np.median(distances)) if distances else 600.0
    window_s = min(KEY_FRAME_WINDOW_S, max(0.5, (last_s - first_s) / KEY_FRAMES / 2))
    moments = []
    for video_frame, row in chosen.items():
        near = [_on_video(each) for each in gazed if abs(each.time_s - row.time_s) <= window_s]
        shape = frames[video_frame].shape[:2] if video_frame in frames else (270, 480)
        screen, viewport = report.setup_of(row.frame_number)
        sigmas = blur_sigma_px(ASSUMED_ACCURACY_DEG, distance_mm, shape, screen=screen, viewport=viewport)
        moments.append(
            plots.KeyFrame(
                title=f"{clock_time(row.time_s)}  gaze ± {window_s:.0f} s" if window_s >= 1 else clock_time(row.time_s),
                frame=frames.get(video_frame),
                saliency_map=found.get(video_frame),
                heat=plots.make_heat(np.array(near), shape, sigmas),
            )
        )
    return plots.draw_key_frames(moments, path=path)


def _draw_score(report: Report, path: Path) -> Path:
    scored = sorted((row for row in report.rows if row.status == "scored"), key=lambda row: row.time_s)
    assert report.attention is not None  # noqa: S101  checked by the caller
    return plots.draw_score_over_time(
        np.array([row.time_s for row in scored]),
        np.array([row.hit for row in scored], dtype=np.float64),
        np.array([row.chance for row in scored], dtype=np.float64),
        mean_percent=report.attention.final_score_percent.value,
        low_percent=report.attention.final_score_percent.low,
        high_percent=report.attention.final_score_percent.high,
        path=path,
    )


def _draw_coverage(report: Report, path: Path) -> Path:
    return plots.draw_coverage(
        np.array([row.time_s for row in report.rows]), [row.status for row in report.rows], path=path
    )


def _draw_fixations(report: Report, path: Path) -> Path:
    fixations = report.events.fixations or ()
    table = np.array([[each.onset_s, each.duration_s, each.x, each.y] for each in fixations])
    shape = report.screen.width_mm / report.screen.height_mm
    views = dict.fromkeys(report.setup_of(row.frame_number)[1] for row in report.rows if row.screen_x is not None)
    viewports = [(view.x, view.y, view.width, view.height) for view in views]
    return plots.draw_fixations(table, shape, viewports, path=path)


def _on_video(row: TraceRow) -> tuple[float, float]:
    assert row.video_x is not None and row.video_y is not None  # noqa: S101, PT018  callers pass rows with a gaze
    return row.video_x, row.video_y


def clock_time(time_s: float) -> str:
    """Return a position in the video as minutes and seconds."""
    return f"{int(time_s // 60)}:{int(time_s % 60):02d}"
