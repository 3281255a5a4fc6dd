"""The figures of a report."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gaze_core.errors import SaliencyMapNotFoundError
from gaze_core.ports import SaliencyMaps
from gaze_core.types import SaliencyMap
from gaze_tools.report import charts, pictures
from gaze_tools.report.charts import clock_time
from gaze_tools.report.examination import Report
from gaze_tools.report.heat import HeatMap, TimedGaze, find_distance_mm, find_durations_s, find_sigma_deg, make_heat
from gaze_tools.report.svg import Svg
from gaze_tools.report.trace import TraceRow
from gaze_tools.saliency.compute import read_video_frames

KEY_FRAMES = 4
KEY_FRAME_WINDOW_S = 15.0
"""The heat map of a key frame contains the points of gaze up to this long before and after it."""

_KEY_FRAMES_CAPTION = (
    "Left: the gaze around that time, drawn as in the heat map, but brightest at the maximum of each frame. Right: the "
    "saliency map of that frame, bright where the image stands out."
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
    "screen, the dotted one the video if it did not fill the screen; fixations far outside are drawn at the edge."
)


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """A figure of the page.

    Attributes:
        title: Heading.
        caption: How to read it.
        svg: The figure.
    """

    title: str
    caption: str
    svg: Svg


def draw_figures(report: Report, maps: SaliencyMaps, *, video: Path | None = None) -> list[ReportFigure]:
    """Draw the figures that a session has data for.

    Args:
        report: Report to draw.
        maps: Store with the saliency maps of the video, for the key frames.
        video: Video file; None draws heat maps on a dark background.

    Raises:
        OSError: The video cannot be read.
        SaliencyStoreError: The store of the maps failed.
    """
    if not report.rows:
        return []
    figures = _draw_pictures(report, maps, video)
    if report.attention is not None:
        figures.append(ReportFigure("Score over time", _SCORE_CAPTION, _draw_score(report)))
    coverage = charts.draw_coverage(np.array([row.time_s for row in report.rows]), [row.status for row in report.rows])
    figures.append(ReportFigure("Scored and lost frames", _COVERAGE_CAPTION, coverage))
    if report.events.fixations:
        caption = _FIXATIONS_CAPTION
        if len(report.events.fixations) > charts.MAX_DRAWN_FIXATIONS:
            caption += f" Only the {charts.MAX_DRAWN_FIXATIONS} longest are drawn."
        figures.append(ReportFigure("Fixations", caption, _draw_fixations(report)))
    return figures


def _draw_pictures(report: Report, maps: SaliencyMaps, video: Path | None) -> list[ReportFigure]:
    """Draw heat map and key frames; neither without a gaze."""
    gazed = [row for row in report.rows if row.screen_x is not None]
    if not gazed:
        return []
    chosen = _choose_key_frames(gazed)
    # The first frame, too, in case that the film has none of the chosen ones.
    frames = read_video_frames(video, {1, *chosen}, report.film_times) if video else {}
    aspect = _find_aspect(report, gazed, frames)
    shape = pictures.working_shape(aspect)
    sigma_deg = find_sigma_deg(None if report.accuracy is None else report.accuracy.accuracy_deg)
    distance_mm, durations_s = find_distance_mm(gazed), find_durations_s(report.rows)

    def heat_of(rows: list[TraceRow]) -> HeatMap:
        found = [TimedGaze.of(row, report.setup_of(row.frame_number), durations_s[row.frame_number]) for row in rows]
        gazes = [each for each in found if each is not None]
        return make_heat(gazes, shape, sigma_deg=sigma_deg, distance_mm=distance_mm)

    figures = []
    heat = heat_of(gazed)
    if heat.on_video_s > 0:
        ground = _choose_ground(chosen, frames)
        caption = _describe_heat(report, heat, None if ground not in frames else chosen.get(ground))
        drawn = pictures.draw_heat_map(heat, frames.get(ground), aspect)
        figures.append(ReportFigure("Heat map of the session", caption, drawn))
    found: dict[int, SaliencyMap] = {}
    with contextlib.suppress(SaliencyMapNotFoundError):
        for number, saliency_map in maps.extract_saliencyMap(report.video_id, frame_nums=chosen).maps:
            found[number] = saliency_map  # noqa: PERF403  keeps what was read before an error
    window_s = min(KEY_FRAME_WINDOW_S, max(0.5, (gazed[-1].time_s - gazed[0].time_s) / KEY_FRAMES / 2))
    moments = [
        pictures.KeyFrame(
            title=f"{clock_time(row.time_s)}  gaze ± {window_s:.0f} s" if window_s >= 1 else clock_time(row.time_s),
            frame=frames.get(video_frame),
            saliency_map=found.get(video_frame),
            heat=heat_of([each for each in gazed if abs(each.time_s - row.time_s) <= window_s]),
        )
        for video_frame, row in chosen.items()
    ]
    figures.append(ReportFigure("Gaze on the video", _KEY_FRAMES_CAPTION, pictures.draw_key_frames(moments, aspect)))
    return figures


def _choose_key_frames(gazed: list[TraceRow]) -> dict[int, TraceRow]:
    """Return rows with a gaze that are spread evenly, by video frame."""
    first_s, last_s = gazed[0].time_s, gazed[-1].time_s
    chosen: dict[int, TraceRow] = {}
    for part in range(KEY_FRAMES):
        moment_s = first_s + (last_s - first_s) * (part + 0.5) / KEY_FRAMES
        row = min(gazed, key=lambda each: abs(each.time_s - moment_s))
        chosen.setdefault(row.video_frame, row)
    return chosen


def _choose_ground(chosen: Mapping[int, TraceRow], frames: Mapping[int, NDArray[np.uint8]]) -> int:
    """Return the key frame with the most contrast, so that a fade to black is not behind a heat map; otherwise 1."""
    found = [number for number in chosen if number in frames]
    return max(found, key=lambda number: float(frames[number].std()), default=1)


def _find_aspect(report: Report, gazed: list[TraceRow], frames: Mapping[int, NDArray[np.uint8]]) -> float:
    """Return the width of the video over its height; without a film, as it was on the screen."""
    for frame in frames.values():
        return float(frame.shape[1]) / float(frame.shape[0])
    screen, viewport = report.setup_of(gazed[0].frame_number)
    return min(max(screen.width_mm * viewport.width / (screen.height_mm * viewport.height), 0.05), 20.0)


def _describe_heat(report: Report, heat: HeatMap, ground: TraceRow | None) -> str:
    if report.accuracy is not None and heat.sigma_deg > 1:
        width = f"{heat.sigma_deg:.1f}°, the error of this gaze of {report.accuracy.accuracy_deg:.1f}° on average"
    else:
        width = "1° of visual angle, about the size of the fovea"
    caption = (
        f"How long the gaze stayed at each place, over the whole session. Each point of gaze is a Gaussian of {width}."
    )
    if heat.off_video_s > 0:
        caption += f" Left out: {heat.off_video_s:.1f} s beside the video."
    if ground is not None:
        caption += f" The image is the video at {clock_time(ground.time_s)}."
    return caption


def _draw_score(report: Report) -> Svg:
    scored = sorted((row for row in report.rows if row.status == "scored"), key=lambda row: row.time_s)
    assert report.attention is not None  # noqa: S101  checked by the caller
    score = report.attention.final_score_percent
    return charts.draw_score_over_time(
        np.array([row.time_s for row in scored]),
        np.array([row.hit for row in scored], dtype=np.float64),
        np.array([row.chance for row in scored], dtype=np.float64),
        mean_percent=score.value,
        interval_percent=None if score.low is None or score.high is None else (score.low, score.high),
    )


def _draw_fixations(report: Report) -> Svg:
    fixations = report.events.fixations or ()
    table = np.array([[each.onset_s, each.duration_s, each.x, each.y] for each in fixations])
    aspect = report.screen.width_mm / report.screen.height_mm
    views = dict.fromkeys(report.setup_of(row.frame_number)[1] for row in report.rows if row.screen_x is not None)
    return charts.draw_fixations(table, aspect, [(view.x, view.y, view.width, view.height) for view in views])
