"""What a session's records and the maps of its video say about the viewer."""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

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
from func.session.result import SessionResult, read_result
from func.session.viewer_calibration import calibrate_session
from gaze_core.attention import Attention
from gaze_core.errors import SaliencyMapNotFoundError, SessionNotFoundError, SessionStoreError
from gaze_core.fixations import find_fixations
from gaze_core.gaze import direction_to, screen_to_video
from gaze_core.ports import GazeModel, SaliencyMaps, Session, SessionStore
from gaze_core.smoothing import smooth_zero_lag
from gaze_core.types import GazePoint, Screen, Validity, Viewport

MAX_MISSING = 1_000_000


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
    stored_result: SessionResult | None
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
    result = _result(session)
    name, smoothing = read_calibration_session(session), "none" if result is None else result.smoothing
    usual_deg = _usual_accuracy_deg(result)
    if name is None and smoothing == "none":
        stored: dict[int, GazePoint | None] = {
            number: each.gaze for number, each in records.items() if each is not None and each.gaze is not None
        }
        return stored, find_accuracy(None, usual_deg)
    model, calibration = load_model(), None
    if result is not None and result.model_digest not in (None, model.digest):
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
        kind = "the same maps as" if stored.maps_digest == digest else "other maps than"
        notes.append(f"The session's own result is {stored.final_score}, with {kind} those in the store now.")
    return Report(
        session_id=session.session_id,
        video_id=session.video_id,
        rows=tuple(rows),
        attention=attention,
        at_accuracy=numbers.attention_at_accuracy,
        accuracy=accuracy,
        fixations=fixations,
        maps_digest=digest,
        fps=fps,
        stored_result=stored,
        screen=screen,
        viewport=viewport,
        notes=tuple(notes),
    )


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
    result = _result(session)
    missing = 0 if result is None else min(result.lost.missing, MAX_MISSING)
    gaps = sorted(set(range(1, max(received, default=0) + missing + 1)) - set(session.frames)) if missing else []
    return sorted(received | set(gaps[:missing]))


def _result(session: Session) -> SessionResult | None:
    """Return the session's own result; None before it is complete and when the result is malformed."""
    with contextlib.suppress(SessionStoreError):
        return read_result(session.settings.get("result"))
    return None


def _agrees(attention: Attention, stored: SessionResult) -> bool:
    return abs(attention.final_score_percent.value - stored.final_score) <= 0.01


def _usual_accuracy_deg(result: SessionResult | None) -> float | None:
    """Return the angular error that the settings of the scoring said; None when they were not used."""
    at_accuracy = None if result is None else result.at_accuracy
    return at_accuracy.accuracy_deg if at_accuracy is not None and at_accuracy.source == "setting" else None


def _add_trace(rows: Sequence[TraceRow], numbers: SessionNumbers) -> list[TraceRow]:
    """Return the rows with what the maps say of each frame."""
    told, trace = list(rows), numbers.trace
    places = {} if trace is None else {number: place for place, number in enumerate(trace.frame_number)}
    for index, row in enumerate(rows):
        place = places.get(row.frame_number)
        if row.frame_number in numbers.bad_maps:
            told[index] = replace(row, status="bad_map")
        elif trace is not None and place is not None and trace.hit[place] is not None:
            values = {name: getattr(trace, name)[place] for name in ("hit", "rank", "nss", "chance", "shuffled")}
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
        gaze_x_deg, gaze_y_deg = direction.tolist()
        samples.setdefault(row.time_s, (place, (gaze_x_deg, gaze_y_deg)))
    if not samples:
        return rows, None
    times = np.array(sorted(samples))
    places = [samples[time_s][0] for time_s in times.tolist()]
    gaze_deg = smooth_zero_lag(times, np.array([samples[time_s][1] for time_s in times.tolist()]))
    numbered = list(rows)
    fixations = []
    for number, fixation in enumerate(find_fixations(times, gaze_deg), start=1):
        first = int(np.searchsorted(times, fixation.onset_s - 1e-6))
        last = int(np.searchsorted(times, fixation.onset_s + fixation.duration_s + 1e-6))
        members = places[first:last]
        for place in members:
            numbered[place] = replace(numbered[place], fixation=number)
        x, y = np.mean([[rows[place].gaze_x or 0.0, rows[place].gaze_y or 0.0] for place in members], axis=0)
        fixations.append(ScreenFixation(fixation.onset_s, fixation.duration_s, float(x), float(y)))
    return numbered, tuple(fixations)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.floating) or not math.isfinite(value):
        return None
    return float(value)
