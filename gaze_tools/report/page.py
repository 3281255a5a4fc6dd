"""`gaze report`: what a viewer looked at, as one HTML page with its pictures and the trace of every frame.

The numbers are computed afresh from the session's records and the maps in the store, by the code that makes the
function's results; where the session's own result says something else, the page says so.
"""

import base64
import contextlib
import csv
import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gaze_core.blur import blur_sigma_px
from gaze_core.errors import SaliencyMapNotFoundError
from gaze_core.intervals import Estimate
from gaze_core.ports import SaliencyMaps
from gaze_core.types import SaliencyMap
from gaze_tools.report import plots
from gaze_tools.report.examination import Report, TraceRow
from gaze_tools.saliency.compute import read_video_frames

KEY_FRAMES = 4
KEY_FRAME_WINDOW_S = 15.0
"""Gazes up to so long before and after a key frame are in its heatmap."""

ASSUMED_ACCURACY_DEG = 2.0
"""How wide a gaze is drawn."""

COLUMNS: Mapping[str, str] = {
    "frame_number": "Number of the viewer's picture, from 1.",
    "time_s": "Position in the video: the client's, else frame number and frame rate.",
    "video_frame": "Frame of the video shown then, whose map counts.",
    "status": "scored or why not: missing, no_face, eyes_closed, low_quality, old_format, unreadable, no_map, bad_map.",
    "gaze_x": "Gaze on the screen, 0 at the left edge, 1 at the right; may lie outside.",
    "gaze_y": "The same from the top edge to the bottom.",
    "video_x": "Gaze on the video, likewise.",
    "video_y": "The same from the top edge to the bottom.",
    "hit": "1 when the gaze was in the most salient 30 % of the map, else 0.",
    "rank": "Share of the map less salient than the place looked at (ties half); chance 0.5.",
    "nss": "Saliency at the gaze in standard deviations above the map's mean; chance 0.",
    "chance": "Share of the map that counts as a hit.",
    "shuffled": "Share of this viewer's other gazes that are less salient on this map; chance 0.5.",
    "fixation": "Number of the fixation that the frame belongs to.",
    "distance_mm": "From the camera to the eyes.",
}

_KEY_FRAMES_CAPTION = (
    f"Left: the gaze around that moment, each one drawn {ASSUMED_ACCURACY_DEG:g} degrees wide since a webcam tells no "
    "better. Right: the saliency map of that frame, bright where the picture stands out."
)

_SCORE_CAPTION = (
    "Share of frames whose gaze hit a salient place, as a moving mean; the line and its band are the whole session's "
    "score and 95 % interval, the dashed line what a gaze at random would get."
)

_COVERAGE_CAPTION = (
    "A frame without a usable gaze or without a map leaves the score; where much is lost, read the rest with care."
)

_FIXATIONS_CAPTION = (
    "Places where the gaze rested, larger when for longer, from dark to bright as the video goes on. The frame is the "
    "screen; what lies farther off it is drawn at the edge."
)


def write_report(report: Report, maps: SaliencyMaps, out: Path, *, video: Path | None = None) -> Path:
    """Write the page, its pictures and the trace into a folder; return the page.

    Args:
        report: What is known of the session.
        maps: Where the maps are, for the key frames.
        out: The folder, made when missing.
        video: The video's file; without it key frames have a dark ground.

    Raises:
        OSError: The folder cannot be written or the video cannot be read.
        SaliencyStoreError: The store of the maps failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    _write_trace(report, out)
    figures: list[tuple[str, str, Path]] = []
    if report.rows:
        drawn = _draw_key_frames(report, maps, video, out / "key_frames.png")
        if drawn:
            figures.append(("Where the gaze was", _KEY_FRAMES_CAPTION, drawn))
        if report.attention is not None:
            figures.append(("Over time", _SCORE_CAPTION, _draw_score(report, out / "score.png")))
        figures.append(("What became of every frame", _COVERAGE_CAPTION, _draw_coverage(report, out / "coverage.png")))
        if report.fixations:
            figures.append(("Fixations", _FIXATIONS_CAPTION, _draw_fixations(report, out / "fixations.png")))
    page = out / "report.html"
    page.write_text(_render(report, figures), encoding="utf-8")
    return page


def _write_trace(report: Report, out: Path) -> None:
    with (out / "trace.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in report.rows:
            writer.writerow(["" if value is None else value for value in _values(row)])
    frames = [dict(zip(COLUMNS, _values(row), strict=True)) for row in report.rows]
    about = {"session_id": report.session_id, "video_id": report.video_id, "maps_digest": report.maps_digest}
    (out / "trace.json").write_text(
        json.dumps({**about, "columns": dict(COLUMNS), "frames": frames}, allow_nan=False) + "\n", encoding="utf-8"
    )


def _values(row: TraceRow) -> list[Any]:
    return [
        round(value, 6) if isinstance(value, float) else value for value in (getattr(row, name) for name in COLUMNS)
    ]


def _draw_key_frames(report: Report, maps: SaliencyMaps, video: Path | None, path: Path) -> Path | None:
    """Draw the gaze around some moments beside the maps of these; None without a gaze."""
    looked = [row for row in report.rows if row.gaze_x is not None]
    if not looked:
        return None
    first_s, last_s = looked[0].time_s, looked[-1].time_s
    chosen: dict[int, TraceRow] = {}
    for part in range(KEY_FRAMES):
        moment_s = first_s + (last_s - first_s) * (part + 0.5) / KEY_FRAMES
        row = min(looked, key=lambda each: abs(each.time_s - moment_s))
        chosen.setdefault(row.video_frame, row)
    found: dict[int, SaliencyMap] = {}
    with contextlib.suppress(SaliencyMapNotFoundError):
        for number, saliency_map in maps.extract_saliencyMap(report.video_id, frame_nums=chosen).maps:
            found[number] = saliency_map  # noqa: PERF403  what was read before an error counts
    frames = read_video_frames(video, chosen) if video else {}
    distances = [row.distance_mm for row in looked if row.distance_mm]
    distance_mm = float(np.median(distances)) if distances else 600.0
    window_s = min(KEY_FRAME_WINDOW_S, max(0.5, (last_s - first_s) / KEY_FRAMES / 2))
    moments = []
    for video_frame, row in chosen.items():
        near = [_on_video(each) for each in looked if abs(each.time_s - row.time_s) <= window_s]
        shape = frames[video_frame].shape[:2] if video_frame in frames else (270, 480)
        sigmas = blur_sigma_px(ASSUMED_ACCURACY_DEG, distance_mm, shape, screen=report.screen, viewport=report.viewport)
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
    assert report.attention is not None  # noqa: S101  the caller asks
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
    fixations = report.fixations or ()
    table = np.array([[each.onset_s, each.duration_s, each.x, each.y] for each in fixations])
    shape = report.screen.width_mm / report.screen.height_mm
    view = report.viewport
    return plots.draw_fixations(table, shape, (view.x, view.y, view.width, view.height), path=path)


def describe_numbers(report: Report) -> list[tuple[str, str, str]]:
    """Return name, value and one sentence of meaning for each number of a report."""
    numbers: list[tuple[str, str, str]] = []
    attention = report.attention
    if attention is not None:
        numbers += [
            ("Score", _with_interval(attention.final_score_percent, "%", 1), _MEANINGS["score"]),
            ("Chance level", f"{attention.chance_level_percent:.1f} %", _MEANINGS["chance"]),
            ("Lift", _with_interval(attention.lift_points, "points", 1), _MEANINGS["lift"]),
            ("NSS", _with_interval(attention.nss, "", 2), _MEANINGS["nss"]),
            ("AUC", _with_interval(attention.auc, "", 2), _MEANINGS["auc"]),
            ("Shuffled AUC", _with_interval(attention.shuffled_auc, "", 2), _MEANINGS["shuffled_auc"]),
        ]
        if attention.lag is not None:
            numbers.append(("Lag", f"{attention.lag.lag_s:.1f} s", _MEANINGS["lag"]))
        if attention.off_video:
            numbers.append(("Off the video", f"{attention.off_video} frames", _MEANINGS["off_video"]))
    if report.at_accuracy is not None and report.accuracy is not None:
        blurred = f"{_MEANINGS['blurred']} of {report.accuracy.accuracy_deg:.1f}°."
        numbers += [
            ("Score, blurred", _with_interval(report.at_accuracy.final_score_percent, "%", 1), blurred),
            ("Lift, blurred", _with_interval(report.at_accuracy.lift_points, "points", 1), blurred),
            ("Shuffled AUC, blurred", _with_interval(report.at_accuracy.shuffled_auc, "", 2), blurred),
        ]
    scored = f"{report.statuses['scored']} of {len(report.rows)} expected frames could be scored."
    numbers.append(("Coverage", f"{100 * report.coverage:.1f} %", scored))
    if report.fixations:
        median_ms = 1000 * float(np.median([each.duration_s for each in report.fixations]))
        rested = f"The gaze rested so many times, for {median_ms:.0f} ms in the median."
        numbers.append(("Fixations", f"{len(report.fixations)}", rested))
    return numbers


_MEANINGS: Mapping[str, str] = {
    "score": "In so many of the scored frames the gaze was in the most salient 30 % of the picture.",
    "chance": "What a gaze anywhere at random would get on these maps.",
    "lift": "Score minus chance level; above 0 the viewer followed what stands out.",
    "nss": "Saliency at the gaze in standard deviations above the picture's mean; chance is 0.",
    "auc": "How often the place looked at beats any other place; chance is 0.5, the best is 1.",
    "shuffled_auc": "The same against the viewer's own gazes at other moments, so that staring at the middle earns "
    "nothing; chance is 0.5.",
    "lag": "The gaze fits the video best when taken so much later than the picture.",
    "blurred": "The same on maps blurred to the gaze's usual error",
    "off_video": "The gaze was beside the video; these frames count as misses.",
}


def _with_interval(estimate: Estimate | None, unit: str, digits: int) -> str:
    if estimate is None:
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if estimate.low is not None and estimate.high is not None:
        value += f" ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
    return f"{value} {unit}".strip()


def _render(report: Report, figures: Sequence[tuple[str, str, Path]]) -> str:
    notes = list(report.notes)
    attention = report.attention
    if attention is None:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report.statuses.items()) or "no frame at all"
        notes.insert(0, f"There is no score: {reasons}.")
    elif not attention.final_score_percent.interval_reliable:
        notes.append("The session is too short for the intervals in brackets to hold their 95 %.")
    rows = "".join(
        f"<tr><th scope=row>{html.escape(name)}<td class=value>{html.escape(value)}<td>{html.escape(meaning)}</tr>\n"
        for name, value, meaning in describe_numbers(report)
    )
    sections = "".join(
        f"<section><h2>{html.escape(title)}</h2><p>{html.escape(caption)}</p>"
        f'<img alt="{html.escape(title)}" src="data:image/png;base64,'
        f'{base64.b64encode(picture.read_bytes()).decode()}"></section>\n'
        for title, caption, picture in figures
    )
    columns = "".join(
        f"<tr><th scope=row><code>{html.escape(name)}</code><td>{html.escape(meaning)}</tr>\n"
        for name, meaning in COLUMNS.items()
    )
    model = None if report.stored_result is None else report.stored_result.model_digest
    facts = [
        ("Session", report.session_id),
        ("Video", report.video_id),
        ("Maps", report.maps_digest or "nobody wrote down a digest"),
        ("Gaze model", model or "unknown"),
    ]
    about = "".join(f"<dt>{html.escape(name)}<dd>{html.escape(value)}\n" for name, value in facts)
    return _PAGE.format(
        title=html.escape(f"What was looked at in {report.video_id}"),
        about=about,
        notes="".join(f"<p class=note>{html.escape(note)}</p>\n" for note in notes),
        rows=rows,
        sections=sections,
        columns=columns,
    )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 46rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1d2733; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 2rem 0 .25rem; }}
p {{ margin: .25rem 0 .75rem; }}
.note {{ border-left: 4px solid #d1495b; background: #fdf3f4; padding: .5rem .75rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-top: 1px solid #dde3ea; padding: .5rem .75rem .5rem 0; text-align: left; vertical-align: top; }}
th {{ font-weight: 600; }}
.value {{ font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }}
img {{ display: block; width: 100%; height: auto; }}
dl {{ font-size: .85rem; color: #52606d; }}
dt {{ font-weight: 600; }}
dd {{ margin: 0 0 .4rem; overflow-wrap: anywhere; }}
summary {{ cursor: pointer; margin-top: 2rem; }}
@media (max-width: 34rem) {{
  .numbers th, .numbers td {{ display: inline-block; border: 0; padding: 0; }}
  .numbers th {{ margin-right: .75rem; }}
  .numbers td:last-child {{ display: block; color: #52606d; }}
  .numbers tr {{ display: block; border-top: 1px solid #dde3ea; padding: .5rem 0; }}
}}
</style>
<h1>{title}</h1>
{notes}<table class=numbers>
{rows}</table>
{sections}<details><summary>Columns of trace.csv and trace.json</summary>
<table>
{columns}</table></details>
<dl>
{about}</dl>
</html>
"""


def _on_video(row: TraceRow) -> tuple[float, float]:
    assert row.video_x is not None and row.video_y is not None  # noqa: S101, PT018  only rows with a gaze come here
    return row.video_x, row.video_y


def clock_time(time_s: float) -> str:
    """Return a position in a video as minutes and seconds."""
    return f"{int(time_s // 60)}:{int(time_s % 60):02d}"
