"""Complete a session: wait for late frames, score the session, store the result, deliver it.

The work is split into steps, so that a waiting last frame blocks neither a thread nor a scoring place:

    begin ──▶ Wait ⇄ Wait ──▶ Score ──▶ Wait ──▶ Done

A result is stored before it is delivered, and the first stored result stays. The request that stored it delivers it. A
request that finds a stored result without a delivery mark delivers it again with the same idempotency key. So a result
is delivered at least once, even if processes are killed, and a repeated last frame changes nothing. An empty session
has no result: its last frame is answered, but nothing is stored or delivered.
"""

import contextlib
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, assert_never

from func.session.result import SessionResult, read_result
from func.session.session_score import SessionScorer
from func.session.steps import (
    AwaitDelivery,
    AwaitFrames,
    Deliver,
    Done,
    LastFrame,
    MissingSession,
    Outcome,
    Score,
    Step,
    Wait,
)
from func.session.viewing import keep_viewing, require_viewing
from gaze_core.errors import GazeError, ResultSinkError, SessionExpiredError, SessionNotFoundError
from gaze_core.ports import ResultSink, Session, SessionStore

__all__ = ["Completer", "CompletionObserver", "Done", "LastFrame", "Outcome", "Score", "Step", "Wait", "complete"]


class CompletionObserver(Protocol):
    """Counts results and times steps. In the long run, as many results are delivered as are stored."""

    def count_result_stored(self) -> None:
        """Count a stored result."""

    def count_result_delivered(self) -> None:
        """Count a delivered result."""

    def time_stage(self, stage: str) -> contextlib.AbstractContextManager[object]:
        """Return a context manager that times a step: `read_session`, `calculate`, `store_result` or `deliver`."""
        ...


class Completer:
    """Turns complete sessions into delivered results, step by step; thread-safe."""

    def __init__(
        self,
        sessions: SessionStore,
        scorer: SessionScorer,
        sink: ResultSink,
        *,
        observer: CompletionObserver,
        barrier_timeout_s: float = 10.0,
        poll_s: float = 0.2,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to complete sessions.

        Args:
            sessions: Session API.
            scorer: Computes results.
            sink: Result aggregator.
            observer: Counts stored and delivered results.
            barrier_timeout_s: Maximum time that a last frame waits for late frames.
            poll_s: Minimum pause between two reads of the session.
            clock: Monotonic clock in seconds.
        """
        self._sessions = sessions
        self._scorer = scorer
        self._sink = sink
        self._observer = observer
        self._barrier_timeout_s = barrier_timeout_s
        self._poll_s = poll_s
        self._clock = clock

    def begin(self, last: LastFrame) -> Step:
        """Read the session and return the first step; blocks on the session API, never sleeps.

        Raises:
            SessionExpiredError: The session expired, and frames that the request counts on are lost.
            OtherViewingError: The session already has the result of another viewing.
            SessionStoreError: The session API failed or timed out.
        """
        started_s = self._clock()
        session = self._read(last, has_expired=False)
        return self._decide(last, session, started_s, started_s + self._barrier_timeout_s)

    def advance(self, step: Wait | Score) -> Step:
        """Take the next step; blocks on upstream services, never sleeps.

        Raises:
            SessionExpiredError: The session expired, and frames that the request counts on are lost. Nothing is stored
                or delivered.
            OtherViewingError: The session already has the result of another viewing.
            SessionStoreError: The session API failed or timed out.
            SaliencyStoreError: The saliency store failed or timed out.
            ResultSinkError: The result is stored but could not be delivered; repeating the last frame delivers it.
        """
        if isinstance(step, Score):
            return self._score(step)
        match step.then:
            case AwaitFrames(known, deadline_s):
                return self._read_again(step.last, known, deadline_s)
            case AwaitDelivery():
                return self._check_delivery(step.last, step.then)
            case Deliver(session, result, left_out):
                return self._deliver(step.last, session, result, left_out)
            case never:
                assert_never(never)

    def _read_again(self, last: LastFrame, known: Session | MissingSession, deadline_s: float) -> Step:
        started_s = self._clock()
        if isinstance(known, MissingSession):
            return self._decide(last, self._read(last, has_expired=known.has_expired), started_s, deadline_s)
        later = self._read_late(last, known)
        if later is None:
            # Expired, and perhaps replaced by a later session with the same id: forget all frames read so far.
            return self._decide(last, self._read(last, has_expired=True), started_s, deadline_s)
        merged = replace(later, frames={**known.frames, **later.frames})
        return self._decide(last, merged, started_s, deadline_s, is_whole=False)

    def _decide(
        self,
        last: LastFrame,
        found: Session | MissingSession,
        started_s: float,
        deadline_s: float,
        *,
        is_whole: bool = True,
    ) -> Step:
        """Return the step after a read of the session.

        Args:
            last: Last request.
            found: Session as read.
            started_s: Start of the read.
            deadline_s: End of the wait.
            is_whole: Whether all frames have their records; otherwise some are only numbers.
        """
        if isinstance(found, Session) and "result" in found.settings:
            return self._follow_up(last, found)
        score = Score(last, found if is_whole and isinstance(found, Session) else None)
        if isinstance(found, Session) and last.expected.is_met_by(found):
            return score
        now_s = self._clock()
        if now_s < deadline_s:
            # Large sessions are read less often, so that waiting does not cost more than scoring.
            pause_s = min(max(self._poll_s, 4 * (now_s - started_s)), deadline_s - now_s)
            if isinstance(found, Session):
                found = replace(found, frames=dict.fromkeys(found.frames))
            return Wait(pause_s, last, AwaitFrames(found, deadline_s))
        if _has_expired(last, found):
            raise SessionExpiredError(last.session_id)
        if isinstance(found, MissingSession) or not last.expected.has_any(found):
            return Done(self._score_nothing(last, found), Outcome.EMPTY)
        return score

    def _score(self, step: Score) -> Step:
        last = step.last
        session = step.session or self._read(last, has_expired=True)
        if isinstance(session, MissingSession):
            raise SessionExpiredError(last.session_id)
        if "result" in session.settings:
            return self._follow_up(last, session)
        result = self._calculate(last, session)
        if last.expected.count_missing(session):
            # Frames that arrived during scoring were acknowledged, so they belong to the score.
            later = self._read_late(last, session)
            if later is None:
                raise SessionExpiredError(last.session_id)
            if "result" in later.settings:
                return self._follow_up(last, later)
            has_new_frames = not later.frames.keys() <= session.frames.keys()
            session = replace(later, frames={**session.frames, **later.frames})
            if has_new_frames:
                result = self._calculate(last, session)
        if result.is_empty:
            return Done(result, Outcome.EMPTY)
        if result.score_invalid_reason == "calibration_session":
            # It has no score to deliver, and more targets may follow.
            return Done(result, Outcome.CALIBRATION, _warn(session, result))
        return self._store(last, session, result)

    def _calculate(self, last: LastFrame, session: Session) -> SessionResult:
        with self._observer.time_stage("calculate"):
            return self._scorer.score(session, last.expected, last.video_id)

    def _score_nothing(self, last: LastFrame, found: Session | MissingSession) -> SessionResult:
        session = found
        if isinstance(session, MissingSession):
            session = Session(last.session_id, last.ip_address, last.video_id, "", frames={}, settings={})
        return self._scorer.score(replace(session, frames={}), last.expected, last.video_id)

    def _store(self, last: LastFrame, session: Session, result: SessionResult) -> Step:
        left_out = last.expected.count_beyond(session)
        session = replace(session, frames={})
        try:
            with self._observer.time_stage("store_result"):
                update = self._sessions.store_settings(
                    last.session_id, {"result": result.as_json()}, created_at=session.created_at or None
                )
        except SessionNotFoundError as error:
            raise SessionExpiredError(last.session_id) from error
        if "result" in update.written:
            self._observer.count_result_stored()
            return Wait(0.0, last, Deliver(session, read_result(update.stored["result"]), left_out))
        return self._follow_up(last, replace(session, settings={**session.settings, **update.stored}))

    def _follow_up(self, last: LastFrame, session: Session, deadline_s: float | None = None) -> Step:
        """Return the step after a read that found a result in the session."""
        require_viewing(session.settings["result"], last.viewing_start_ms)
        result = read_result(session.settings["result"])
        session = replace(session, frames={})
        mark = session.settings.get("result_delivered")
        # Older versions stored empty results too; delivering one would replace a real result.
        if mark is True or result.is_empty:
            return Done(result, Outcome.REPEATED, _warn(session, result))
        if mark is not None:
            return Wait(0.0, last, Deliver(session, result))
        now_s = self._clock()
        deadline_s = now_s + self._barrier_timeout_s if deadline_s is None else deadline_s
        if now_s >= deadline_s:
            return Wait(0.0, last, Deliver(session, result))
        return Wait(min(self._poll_s, deadline_s - now_s), last, AwaitDelivery(session, result, deadline_s))

    def _check_delivery(self, last: LastFrame, waiting: AwaitDelivery) -> Step:
        session = waiting.session
        try:
            # An empty range of frames: only the settings are needed.
            with self._observer.time_stage("read_session"):
                now = self._sessions.get_session(last.session_id, first=0, last=0)
        except SessionNotFoundError:
            return Wait(0.0, last, Deliver(session, waiting.result))
        if now.created_at != session.created_at or "result" not in now.settings:
            return Wait(0.0, last, Deliver(session, waiting.result))
        return self._follow_up(last, now, waiting.deadline_s)

    def _deliver(self, last: LastFrame, session: Session, result: SessionResult, left_out: int) -> Done:
        # One key for each viewing: a viewer who watches again after the session expired has the same session id.
        key = uuid.uuid5(uuid.NAMESPACE_URL, f"{session.session_id}:{session.created_at}")
        try:
            with self._observer.time_stage("deliver"):
                self._sink.send_result(
                    result.final_score,
                    # The session's own video and address take precedence over those of its last request.
                    session.video_id or last.video_id,
                    session.ip_address or last.ip_address,
                    session_id=session.session_id,
                    score_valid=result.score_valid,
                    coverage=result.coverage,
                    idempotency_key=str(key),
                )
        except ResultSinkError:
            with contextlib.suppress(GazeError):
                self._mark_delivered(session, is_delivered=False)
            raise
        self._observer.count_result_delivered()
        # A session that expired in the meantime needs no mark.
        with contextlib.suppress(SessionNotFoundError):
            self._mark_delivered(session, is_delivered=True)
        return Done(result, Outcome.DELIVERED, _warn(session, result, left_out))

    def _mark_delivered(self, session: Session, *, is_delivered: bool) -> None:
        self._sessions.store_settings(
            session.session_id, {"result_delivered": is_delivered}, created_at=session.created_at or None
        )

    def _read(self, last: LastFrame, *, has_expired: bool) -> Session | MissingSession:
        """Return the session with all frames of the viewing."""
        try:
            with self._observer.time_stage("read_session"):
                session = self._sessions.get_session(last.session_id)
            return keep_viewing(session, last.viewing_start_ms)
        except SessionNotFoundError as error:
            return MissingSession(has_expired or error.expired_at is not None)

    def _read_late(self, last: LastFrame, known: Session) -> Session | None:
        """Return the session with the frames that may be new; None if it expired, even if a later one has its id."""
        first, end = last.expected.find_range(known)
        try:
            with self._observer.time_stage("read_session"):
                later = self._sessions.get_session(last.session_id, first=first, last=end)
        except SessionNotFoundError:
            return None
        return keep_viewing(later, last.viewing_start_ms) if later.created_at == known.created_at else None


def complete(completer: Completer, last: LastFrame, sleep: Callable[[float], None] = time.sleep) -> Done:
    """Complete a session in the calling thread, for benchmarks and tests; the server takes the steps itself.

    Raises:
        GazeError: Any error of `Completer.advance`.
    """
    step = completer.begin(last)
    while not isinstance(step, Done):
        if isinstance(step, Wait) and step.pause_s > 0:
            sleep(step.pause_s)
        step = completer.advance(step)
    return step


def _has_expired(last: LastFrame, found: Session | MissingSession) -> bool:
    """Return whether, at the end of the wait, promised frames are lost because their session expired.

    Our session API remembers expired sessions. With older ones this is a guess: frames were promised, but the session
    is missing, or its only frame is that of the last request, which created the session again.
    """
    promised = last.expected.promised
    if isinstance(found, MissingSession):
        return found.has_expired or promised > 0
    if found.earlier_expired_at is None and found.ttl_s is not None:
        return False
    others = [number for number in found.frames if not (last.has_image and number == last.frame_number)]
    return not others and promised > 1 and (bool(found.frames) or found.earlier_expired_at is not None)


def _warn(session: Session, result: SessionResult, left_out: int = 0) -> tuple[str, ...]:
    warnings = []
    if session.earlier_expired_at is not None and result.lost.missing:
        when = session.earlier_expired_at
        warnings.append(f"an earlier session under this id expired at {when}; the result does not include its frames")
    if left_out:
        warnings.append(
            f"frames numbered beyond the last frame do not count ({left_out} stored); send total_frames to count them"
        )
    calibration = result.calibration
    if calibration is not None and calibration.other_viewer is not None and calibration.other_viewer.suspected:
        warnings.append("the viewer seems to be somebody else than the one who was calibrated; calibrate again")
    mirrored = None if calibration is None else calibration.mirrored
    if mirrored is not None and mirrored.suspected:
        warnings.append(_describe_mirrored(declared=mirrored.declared))
    return tuple(warnings)


def _describe_mirrored(*, declared: bool) -> str:
    problem = "the calibration is not used, because the gaze runs against its targets from left to right: the images"
    if declared:
        return f"{problem} do not seem to be mirrored; calibrate again without camera.mirrored"
    return f"{problem} seem to be mirrored; calibrate again with camera.mirrored: true in every frame, also of viewings"
