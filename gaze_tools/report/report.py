"""`gaze report`: what a viewer looked at, as one HTML page with its pictures and the trace of every frame.

The numbers are computed afresh from the session's records and the maps in the store, by the code that makes the
function's results; where the session's own result says something else, the page says so.
"""

import base64
import contextlib
import csv
import html
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from func.adapters.model_file import load_gaze_model
from func.adapters.saliency_store import MongoSaliencyMaps
from func.adapters.session_api import HttpSessionStore
from func.session.attention_score import (
    DEFAULT_FPS,
    GazeAccuracy,
    SessionNumbers,
    find_accuracy,
    find_video_frame,
    score_gazes,
)
from func.session.frame_record import read_calibration_session, read_camera, read_screen, read_viewport
from func.session.gaze_track import Records, find_gazes, find_video_frames, read_records
from func.session.viewer_calibration import calibrate_session
from gaze_core.attention import Attention, Estimate
from gaze_core.errors import SaliencyMapNotFoundError, SessionNotFoundError
from gaze_core.events import find_fixations_by_dispersion
from gaze_core.gaze import direction_to, screen_to_video
from gaze_core.ports import GazeModel, SaliencyMaps, Session, SessionStore
from gaze_core.saliency import blur_sigma_px
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import GazePoint, SaliencyMap, Screen, Validity, Viewport
from gaze_tools.report import plots
from gaze_tools.saliency.commands import (
    TIMEOUT_S,
    console,
    database_option,
    mongo_uri_option,
    read_video_frames,
    said_plainly,
)
from models import GAZE_MODEL_PATH

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


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One frame of the trace; `COLUMNS` says what each value means. None where there is none."""

    frame_number: int
    time_s: float
    video_frame: int
    status: str
    gaze_x: float | None = None
    gaze_y: float | None = None
    video_x: float | None = None
    video_y: float | None = None
    hit: int | None = None
    rank: float | None = None
    nss: float | None = None
    chance: float | None = None
    shuffled: float | None = None
    fixation: int | None = None
    distance_mm: float | None = None


@dataclass(frozen=True, slots=True)
class ScreenFixation:
    """The gaze rests on a place of the screen.

    Attributes:
        onset_s: Position in the video.
        duration_s: Up to its last sample.
        x: On the screen, normalised.
        y: Likewise.
    """

    onset_s: float
    duration_s: float
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a session.

    Attributes:
        session_id: Of the session.
        video_id: What was watched.
        rows: A row for each expected frame, by frame number.
        attention: Statistics of the scored frames; None without one.
        at_accuracy: Those on maps blurred to the gaze's accuracy, likewise; None too when it is not known.
        accuracy: How far off the gaze usually is; None when not known.
        fixations: In the order of time; None when the records do not say where the eyes were.
        maps_digest: Of the maps in the store.
        fps: Of the video, as the maps' facts say.
        stored_result: What the session says of itself; None before it is complete.
        screen: The viewer's.
        viewport: Where the video lies on it.
        notes: What a reader should know.
    """

    session_id: str
    video_id: str
    rows: tuple[TraceRow, ...]
    attention: Attention | None
    at_accuracy: Attention | None
    accuracy: GazeAccuracy | None
    fixations: tuple[ScreenFixation, ...] | None
    maps_digest: str | None
    fps: float | None
    stored_result: Mapping[str, Any] | None
    screen: Screen = field(default_factory=Screen)
    viewport: Viewport = field(default_factory=Viewport)
    notes: tuple[str, ...] = ()

    @property
    def statuses(self) -> Counter[str]:
        """How many frames have which status."""
        return Counter(row.status for row in self.rows)

    @property
    def coverage(self) -> float:
        """Share of the expected frames that were scored."""
        return self.statuses["scored"] / len(self.rows) if self.rows else 0.0


@click.command("report")
@click.argument("session_id")
@click.option(
    "--session-api", envvar="SESSION_API_URL", required=True, show_envvar=True, help="Address of the session API."
)
@click.option(
    "--video", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The video, for key frames."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write to.")
@click.option(
    "--gaze-model",
    envvar="GAZE_MODEL",
    type=click.Path(path_type=Path),
    default=GAZE_MODEL_PATH,
    help="For sessions with a calibration.  [default: the packaged one]",
)
@mongo_uri_option
@database_option
def report_command(
    *, session_id: str, session_api: str, video: Path | None, out: Path, gaze_model: Path, mongo_uri: str, database: str
) -> None:
    """Write what the viewer of SESSION_ID looked at: report.html, its pictures, trace.csv and trace.json."""
    with said_plainly():
        sessions = HttpSessionStore(session_api, timeout_s=TIMEOUT_S, retries=2)
        maps = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        session = sessions.get_session(session_id)
        notes: list[str] = []
        gazes, accuracy = read_gazes(session, sessions, lambda: load_gaze_model(gaze_model), notes)
        report = examine_session(session, maps, gazes, notes, accuracy=accuracy)
        page = write_report(report, maps, out, video=video)
        console.print(f"[green]{page}")


def read_gazes(
    session: Session, sessions: SessionStore, load_model: Callable[[], GazeModel], notes: list[str]
) -> tuple[dict[int, GazePoint | None], GazeAccuracy | None]:
    """Return the gaze of each frame that has one, and how far off it is, as the session's result has them.

    The gaze is calibrated and smoothed as it was scored. How far off it is, the calibration says, or else the result.

    Args:
        session: Whose frames count.
        sessions: Where the session of its calibration is.
        load_model: Called only when the stored gaze is not the one that was scored.
        notes: Gains what a reader should know.

    Raises:
        ModelError: The model is needed and cannot be loaded.
        SessionStoreError: The session API failed.
    """
    records = find_video_frames(read_records(session))
    result = _result(session) or {}
    name, smoothing = read_calibration_session(session), str(result.get("smoothing", "none"))
    usual_deg = _usual_accuracy_deg(result)
    if name is None and smoothing == "none":
        stored: dict[int, GazePoint | None] = {
            number: each.gaze for number, each in records.items() if each is not None and each.gaze is not None
        }
        return stored, find_accuracy(None, usual_deg)
    model, calibration = load_model(), None
    if result.get("model_digest") not in (None, model.digest):
        notes.append("The gaze was computed by another model than the one that scored the session.")
    if name is not None:
        try:
            calibration = calibrate_session(sessions.get_session(name), model)
        except SessionNotFoundError:
            notes.append("The session of the calibration is gone; the gaze is uncalibrated.")
    gazes = find_gazes(session, records, model, calibration=calibration, smoothing=smoothing)
    return gazes, find_accuracy(calibration, usual_deg)


def examine_session(
    session: Session,
    maps: SaliencyMaps,
    gazes: Mapping[int, GazePoint | None],
    notes: Sequence[str] = (),
    *,
    accuracy: GazeAccuracy | None = None,
) -> Report:
    """Return what a session's records and the maps of its video say.

    Args:
        session: Whose frames count.
        maps: Of its video.
        gazes: From `read_gazes`.
        notes: What a reader should know already.
        accuracy: How far off the gaze usually is, likewise.

    Raises:
        SaliencyStoreError: The store of the maps failed.
    """
    notes = list(notes)
    screen, viewport, stored = read_screen(session), read_viewport(session), _result(session)
    records = {number: each for number, each in find_video_frames(read_records(session)).items() if number >= 1}
    fps, digest = None, None
    with contextlib.suppress(SaliencyMapNotFoundError):
        facts = maps.extract_saliencyMap(session.video_id)
        fps, digest = facts.fps, facts.digest
    valid = {number: gaze for number, gaze in gazes.items() if gaze is not None and number in records}
    numbers = score_gazes(maps, session.video_id, valid, records, screen=screen, viewport=viewport, accuracy=accuracy)
    attention = numbers.attention
    rows = _add_trace(_make_rows(session, records, valid, viewport, fps), numbers)
    rows, fixations = _find_fixations(rows, session)
    if fixations is None and any(row.gaze_x is not None for row in rows):
        notes.append("The records do not say where the eyes were, so fixations cannot be told.")
    if stored is None:
        notes.append("The session is not complete: it has no result of its own yet.")
    elif attention is not None and not _agrees(attention, stored):
        kind = "the same maps as" if stored.get("maps_digest") == digest else "other maps than"
        notes.append(f"The session's own result is {stored.get('final_score')}, with {kind} those in the store now.")
    return Report(
        session_id=session.session_id,
        video_id=session.video_id,
        rows=tuple(rows),
        attention=attention,
        at_accuracy=numbers.at_accuracy,
        accuracy=accuracy,
        fixations=fixations,
        maps_digest=digest,
        fps=fps,
        stored_result=stored,
        screen=screen,
        viewport=viewport,
        notes=tuple(notes),
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


def _make_rows(
    session: Session, records: Records, gazes: Mapping[int, GazePoint], viewport: Viewport, fps: float | None
) -> list[TraceRow]:
    """Return a row for each frame, without what the maps say."""
    rows = []
    for number in _expected_frames(session, records):
        nominal_s = (number - 1) / (fps or DEFAULT_FPS)
        record = records.get(number)
        if record is None:
            rows.append(TraceRow(number, nominal_s, number, "unreadable" if number in records else "missing"))
            continue
        time_s, video_frame = nominal_s, number
        if record.video_time_ms is not None:
            time_s = record.video_time_ms / 1000
            if fps is not None:
                video_frame = find_video_frame(record.video_time_ms, fps)
        row = TraceRow(number, time_s, video_frame, "old_format" if record.validity is None else str(record.validity))
        gaze = gazes.get(number)
        if gaze is not None:
            point = screen_to_video(gaze, viewport)
            value = session.frames[number]
            row = replace(
                row,
                status="no_map",
                gaze_x=gaze.x,
                gaze_y=gaze.y,
                video_x=point.x,
                video_y=point.y,
                distance_mm=_number(value.get("distance_mm")) if isinstance(value, Mapping) else None,
            )
        elif record.validity is Validity.OK:
            row = replace(row, status=str(Validity.LOW_QUALITY))
        rows.append(row)
    return rows


def _expected_frames(session: Session, records: Records) -> list[int]:
    """Return the numbers of the frames that were to come; gaps count as lost only if the result says so."""
    received = {number for number in records if number >= 1}
    missing = _lost(_result(session), "missing")
    gaps = sorted(set(range(1, max(received, default=0) + missing + 1)) - set(session.frames)) if missing else []
    return sorted(received | set(gaps[:missing]))


def _result(session: Session) -> Mapping[str, Any] | None:
    result = session.settings.get("result")
    return result if isinstance(result, Mapping) else None


def _agrees(attention: Attention, stored: Mapping[str, Any]) -> bool:
    return abs(attention.final_score_percent.value - (_number(stored.get("final_score")) or 0.0)) <= 0.01


def _lost(stored: Mapping[str, Any] | None, reason: str) -> int:
    lost = stored.get("lost") if stored else None
    count = lost.get(reason) if isinstance(lost, Mapping) else None
    return min(count, 1_000_000) if isinstance(count, int) else 0


def _usual_accuracy_deg(result: Mapping[str, Any]) -> float | None:
    """Return how far off the settings of the scoring said that a gaze is; None when they were not asked."""
    told = result.get("at_accuracy")
    return _number(told.get("accuracy_deg")) if isinstance(told, Mapping) and told.get("source") == "setting" else None


def _add_trace(rows: Sequence[TraceRow], numbers: SessionNumbers) -> list[TraceRow]:
    """Return the rows with what the maps say of each frame."""
    told, trace = list(rows), numbers.result["trace"]
    places = {} if trace is None else {number: place for place, number in enumerate(trace["frame_number"])}
    for index, row in enumerate(rows):
        place = places.get(row.frame_number)
        if row.frame_number in numbers.bad_maps:
            told[index] = replace(row, status="bad_map")
        elif place is not None and trace["hit"][place] is not None:
            values = {name: trace[name][place] for name in ("hit", "rank", "nss", "chance", "shuffled")}
            told[index] = replace(row, status="scored", **values)
    return told


def _find_fixations(rows: list[TraceRow], session: Session) -> tuple[list[TraceRow], tuple[ScreenFixation, ...] | None]:
    """Return the rows with the numbers of their fixations, and the fixations."""
    screen, camera = read_screen(session), read_camera(session)
    samples: dict[float, tuple[int, tuple[float, float]]] = {}
    for place, row in enumerate(rows):
        value = session.frames.get(row.frame_number)
        origin = value.get("origin_mm") if isinstance(value, Mapping) else None
        if row.gaze_x is None or row.gaze_y is None or not isinstance(origin, list | tuple) or len(origin) != 3:
            continue
        direction = direction_to(GazePoint(row.gaze_x, row.gaze_y), origin, screen, camera)
        samples.setdefault(row.time_s, (place, (direction.gaze_x_deg, direction.gaze_y_deg)))
    if not samples:
        return rows, None
    times = np.array(sorted(samples))
    places = [samples[time_s][0] for time_s in times.tolist()]
    gaze_deg = smooth_zero_lag(times, np.array([samples[time_s][1] for time_s in times.tolist()]))
    numbered = list(rows)
    fixations = []
    for number, fixation in enumerate(find_fixations_by_dispersion(times, gaze_deg), start=1):
        first = int(np.searchsorted(times, fixation.onset_s - 1e-6))
        last = int(np.searchsorted(times, fixation.onset_s + fixation.duration_s + 1e-6))
        members = places[first:last]
        for place in members:
            numbered[place] = replace(numbered[place], fixation=number)
        x, y = np.mean([[rows[place].gaze_x or 0.0, rows[place].gaze_y or 0.0] for place in members], axis=0)
        fixations.append(ScreenFixation(fixation.onset_s, fixation.duration_s, float(x), float(y)))
    return numbered, tuple(fixations)


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
            if not isinstance(saliency_map, Exception):
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
    model = (report.stored_result or {}).get("model_digest")
    facts = [
        ("Session", report.session_id),
        ("Video", report.video_id),
        ("Maps", report.maps_digest or "nobody wrote down a digest"),
        ("Gaze model", str(model) if model else "unknown"),
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


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not math.isfinite(value):
        return None
    return float(value)


def clock_time(time_s: float) -> str:
    """Return a position in a video as minutes and seconds."""
    return f"{int(time_s // 60)}:{int(time_s % 60):02d}"
