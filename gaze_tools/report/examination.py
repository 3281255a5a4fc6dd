"""What a session's records and the saliency maps of its video reveal about the viewer."""

import contextlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from func.session.attention_score import DEFAULT_FPS, GazeAccuracy, find_accuracy, score_gazes
from func.session.frame_record import read_calibration_session, read_camera, read_record, read_screen, read_viewport
from func.session.gaze_track import find_gazes, find_times_s, find_video_frames, move_to_setup, read_records
from func.session.result import SessionResult, read_result
from func.session.viewer_calibration import find_viewer_calibration
from gaze_core.attention import Attention
from gaze_core.errors import SaliencyMapNotFoundError, SessionStoreError
from gaze_core.ports import GazeModel, SaliencyMaps, Session, SessionReader
from gaze_core.types import GazePoint, Screen, Viewport
from gaze_core.video_times import VideoTimes
from gaze_tools.report.eye_events import EyeEvents, find_events
from gaze_tools.report.trace import TraceRow, add_scores, make_rows

MAX_MISSING = 1_000_000
"""Limit on the missing frames that are listed."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything a report shows of a session.

    Attributes:
        session_id: Session id.
        video_id: Video that was watched.
        rows: One row for each expected frame, by frame number.
        attention: Statistics of the scored frames; None if there are none.
        at_accuracy: Statistics on maps blurred to the accuracy of the gaze; None if the accuracy is unknown.
        accuracy: Accuracy of the gaze; None if unknown.
        events: Fixations, saccades and blinks.
        maps_digest: Digest of the maps in the store.
        fps: Frame rate of the video, stored with its maps.
        film_frames: Number of frames of the video, stored with its maps; None if unknown.
        film_s: Duration of the video, stored with its maps; None if unknown.
        film_times: Presentation times of the video, stored with its maps.
        held_s: Time for which a map is used.
        stored_result: Result stored in the session; None before the session is complete.
        screen: The viewer's screen.
        viewport: Position of the video on the screen.
        setups: Screen and viewport of each frame, by frame number.
        notes: Remarks for the reader.
    """

    session_id: str
    video_id: str
    rows: tuple[TraceRow, ...]
    attention: Attention | None
    at_accuracy: Attention | None
    accuracy: GazeAccuracy | None
    events: EyeEvents
    maps_digest: str | None
    fps: float | None
    stored_result: SessionResult | None
    screen: Screen = field(default_factory=Screen)
    viewport: Viewport = field(default_factory=Viewport)
    setups: Mapping[int, tuple[Screen, Viewport]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    film_frames: int | None = None
    film_s: float | None = None
    held_s: float = 0.0
    film_times: VideoTimes = field(default_factory=VideoTimes)

    @property
    def statuses(self) -> Counter[str]:
        """Number of frames by status."""
        return Counter(row.status for row in self.rows)

    @property
    def coverage(self) -> float:
        """Share of the expected frames that were scored."""
        return self.statuses["scored"] / len(self.rows) if self.rows else 0.0

    def setup_of(self, frame_number: int) -> tuple[Screen, Viewport]:
        """Return the screen and viewport of a frame."""
        return self.setups.get(frame_number, (self.screen, self.viewport))


def read_gazes(
    session: Session, sessions: SessionReader, load_model: Callable[[], GazeModel], notes: list[str]
) -> tuple[dict[int, GazePoint | None], GazeAccuracy | None]:
    """Return the point of gaze of each frame, calibrated and smoothed as for the session's result, and its accuracy.

    The accuracy is that measured in the calibration, otherwise that in the result.

    Args:
        session: Session to report on.
        sessions: Source of the session of its calibration.
        load_model: Loads the gaze model; called only if the stored gaze is not the scored one.
        notes: Remarks for the reader are appended here.

    Raises:
        ModelError: The model is needed and cannot be loaded.
        SessionStoreError: The session API failed.
    """
    session = _parse(session)
    stored_records = read_records(session)
    records = find_video_frames(stored_records)
    result = _read_result(session)
    name, smoothing = read_calibration_session(session), "none" if result is None else result.smoothing
    usual_deg = _usual_accuracy_deg(result)
    if name is None and smoothing == "none":
        stored: dict[int, GazePoint | None] = {
            number: each.gaze for number, each in records.items() if each is not None and each.gaze is not None
        }
        return stored | move_to_setup(session, records), find_accuracy(None, usual_deg)
    model = load_model()
    if result is not None and result.model_digest not in (None, model.digest):
        notes.append("The gaze was recomputed with another model than the one that scored the session.")
    viewer = find_viewer_calibration(session, stored_records, model, sessions)
    if viewer.summary is not None and viewer.summary.reason == "session_not_found":
        notes.append("The calibration session no longer exists; the gaze is uncalibrated.")
    gazes = find_gazes(
        session,
        records,
        model,
        calibration=viewer.calibration,
        smoothing=smoothing,
        drift=viewer.drift,
        times_s=find_times_s(stored_records),
    )
    return gazes, find_accuracy(viewer.calibration, usual_deg)


def examine_session(
    session: Session,
    maps: SaliencyMaps,
    gazes: Mapping[int, GazePoint | None],
    notes: Sequence[str] = (),
    *,
    accuracy: GazeAccuracy | None = None,
    with_scores: bool = True,
) -> Report:
    """Score a session and find its eye events.

    Args:
        session: Session to report on.
        maps: Store with the saliency maps of its video.
        gazes: Points of gaze from `read_gazes`.
        notes: Remarks for the reader so far.
        accuracy: Accuracy from `read_gazes`.
        with_scores: Whether the gaze is scored, which takes most of the time; an overlay video does not need it.

    Raises:
        SaliencyStoreError: The store of the maps failed.
    """
    notes, parsed = list(notes), _parse(session)
    screen, viewport, stored = read_screen(parsed), read_viewport(parsed), _read_result(session)
    records = {number: each for number, each in find_video_frames(read_records(parsed)).items() if number >= 1}
    times, digest = VideoTimes(), None
    with contextlib.suppress(SaliencyMapNotFoundError):
        facts = maps.extract_saliencyMap(session.video_id)
        times, digest = facts.times, facts.digest
    valid = {number: gaze for number, gaze in gazes.items() if gaze is not None and number in records}
    scored = valid if with_scores else {}
    numbers = score_gazes(maps, session.video_id, scored, records, screen=screen, viewport=viewport, accuracy=accuracy)
    attention = numbers.attention
    missing = 0 if stored is None else min(stored.lost.missing, MAX_MISSING)
    rows = make_rows(session, records, valid, viewport, times, missing=missing)
    rows, events = find_events(add_scores(rows, numbers), session, records, screen=screen, camera=read_camera(parsed))
    if events.fixations is None and any(row.screen_x is not None for row in rows):
        notes.append("The records lack the position of the eyes, so there are no fixations and saccades.")
    setups = {
        number: (each.screen or screen, each.viewport or viewport)
        for number, each in records.items()
        if each is not None
    }
    if len(set(setups.values())) > 1:
        notes.append("Screen or viewport changed during the session; each frame is scored with its own.")
    if stored is not None and not stored.score_valid and stored.score_invalid_reason is not None:
        notes.append(f"The score is not valid: {stored.score_invalid_reason.replace('_', ' ')}.")
    notes += [] if stored is None else [f"{each.frames} frames: {each.detail}." for each in stored.warnings]
    if stored is None:
        notes.append("The session is not complete: it has no stored result yet.")
    elif attention is not None and not _agrees(attention, stored):
        kind = "the same maps as" if stored.maps_digest == digest else "other maps than"
        notes.append(f"The stored result is {stored.final_score}, computed with {kind} those in the store now.")
    elif attention is None and stored.score_valid and digest is None:
        notes.append(f"The stored result is {stored.final_score}, computed with maps that have been removed since.")
    return Report(
        session_id=session.session_id,
        video_id=session.video_id,
        rows=tuple(rows),
        attention=attention,
        at_accuracy=numbers.attention_at_accuracy,
        accuracy=accuracy,
        events=events,
        maps_digest=digest,
        fps=times.fps,
        stored_result=stored,
        screen=screen,
        viewport=viewport,
        setups=setups,
        notes=tuple(notes),
        film_frames=times.frame_count if times.starts_s is None else times.starts_s.size,
        film_s=times.end_s,
        held_s=times.held_every / (times.fps or DEFAULT_FPS),
        film_times=times,
    )


def _parse(session: Session) -> Session:
    """Return a session whose records are parsed once for all readers; those of an unknown format stay as they are."""
    return replace(session, frames={number: read_record(value) or value for number, value in session.frames.items()})


def _read_result(session: Session) -> SessionResult | None:
    """Return the stored result; None before the session is complete and if the result is malformed."""
    with contextlib.suppress(SessionStoreError):
        return read_result(session.settings.get("result"))
    return None


def _agrees(attention: Attention, stored: SessionResult) -> bool:
    return abs(attention.final_score_percent.value - stored.final_score) <= 0.01


def _usual_accuracy_deg(result: SessionResult | None) -> float | None:
    """Return the angular error from the settings of the scoring; None if they were not used."""
    at_accuracy = None if result is None else result.at_accuracy
    return at_accuracy.accuracy_deg if at_accuracy is not None and at_accuracy.source == "setting" else None
