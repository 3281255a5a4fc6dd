"""The last frame: wait for frames on their way, score the session, store the result, deliver it.

The work comes in steps, so that a last frame that waits holds neither a thread nor a scoring place:

    begin ──▶ Wait ⇄ Wait ──▶ Score ──▶ Wait ──▶ Done

A result is stored before it is delivered, and the first one stored stands. The request that stored it delivers it; a
request that finds it stored but not marked as delivered delivers it again under the same idempotency key. So a result
is delivered at least once, whatever process dies when, and a repeated last frame changes nothing. An empty session has
no result: its last frame is answered, and nothing is stored or delivered.

"""

import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, assert_never

from func.errors import ScoringBusyError
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

PLACE_WAIT_S = 3.0
"""How long `complete` waits for a scoring place."""


class CompletionObserver(Protocol):
    """Counts results; in the long run, as many are delivered as are stored."""

    def count_result_stored(self) -> None:
        """Count a result that was stored."""

    def count_result_delivered(self) -> None:
        """Count a result that was delivered."""


class Completer:
    """Turns complete sessions into delivered results, step by step; safe to use from several threads."""

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
            sessions: The session API.
            scorer: Computes the results.
            sink: The aggregator.
            observer: Counts what is stored and delivered.
            barrier_timeout_s: How long a last frame waits for frames on their way.
            poll_s: Shortest pause between two looks at the session.
            clock: Monotonic, in seconds.
        """
        self._sessions = sessions
        self._scorer = scorer
        self._sink = sink
        self._observer = observer
        self._barrier_timeout_s = barrier_timeout_s
        self._poll_s = poll_s
        self._clock = clock

    def begin(self, last: LastFrame) -> Step:
        """Look at the session; blocks on the session API, never sleeps.

        Raises:
            SessionExpiredError: The session is gone, with frames that the request promises.
            OtherViewingError: The session has the result of another viewing.
            SessionStoreError: The session API failed or timed out.
        """
        started_s = self._clock()
        session = self._read(last, has_expired=False)
        return self._decide(last, session, session, started_s, started_s + self._barrier_timeout_s)

    def advance(self, step: Wait | Score) -> Step:
        """Take the next step; blocks on upstream services, never sleeps.

        Raises:
            SessionExpiredError: The session is gone, with frames that the request promises; nothing is stored,
                sealed or delivered.
            OtherViewingError: The session has the result of another viewing.
            SessionStoreError: The session API failed or timed out.
            SaliencyStoreError: The saliency store failed or timed out.
            ResultSinkError: The result is stored but could not be delivered; a repeat delivers it.
        """
        if isinstance(step, Score):
            return self._score(step)
        match step.then:
            case AwaitFrames(known, deadline_s):
                return self._look_again(step.last, known, deadline_s)
            case AwaitDelivery():
                return self._look_for_delivery(step.last, step.then)
            case Deliver(session, result):
                return self._deliver(step.last, session, result)
            case never:
                assert_never(never)

    def _look_again(self, last: LastFrame, known: Session | MissingSession, deadline_s: float) -> Step:
        started_s = self._clock()
        if isinstance(known, MissingSession):
            session = self._read(last, has_expired=known.has_expired)
            return self._decide(last, session, session, started_s, deadline_s)
        later = self._read_late(last, known)
        if later is None:
            # Gone, or a later session under the same id: nothing that was read belongs to it.
            session = self._read(last, has_expired=True)
            return self._decide(last, session, session, started_s, deadline_s)
        merged = replace(later, frames={**known.frames, **later.frames})
        return self._decide(last, merged, None, started_s, deadline_s)

    def _decide(
        self,
        last: LastFrame,
        found: Session | MissingSession,
        whole: Session | MissingSession | None,
        started_s: float,
        deadline_s: float,
    ) -> Step:
        """Return what follows from what was found.

        Args:
            last: The last request.
            found: The session; its frames may be numbers without their records.
            whole: The session when all of it was read at once.
            started_s: When the reading began.
            deadline_s: When the wait ends.
        """
        if isinstance(found, Session) and "result" in found.settings:
            return self._follow_up(last, found)
        score = Score(last, whole if isinstance(whole, Session) else None)
        if isinstance(found, Session) and last.expected.is_met_by(found):
            return score
        now_s = self._clock()
        if now_s < deadline_s:
            # A large session is read less often: waiting must not cost more than scoring.
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
        result = self._scorer.score(session, last.expected, last.video_id)
        if last.expected.count_missing(session):
            # Frames that came while the maps were read were answered 200: they belong to the score.
            later = self._read_late(last, session)
            if later is None:
                raise SessionExpiredError(last.session_id)
            if "result" in later.settings:
                return self._follow_up(last, later)
            session = replace(later, frames={**session.frames, **later.frames})
            if len(session.frames) > result.frames.received:
                result = self._scorer.score(session, last.expected, last.video_id)
        if result.is_empty:
            return Done(result, Outcome.EMPTY)
        if result.score_invalid_reason == "calibration_session":
            # Its score is of no use, and more targets may follow.
            return Done(result, Outcome.CALIBRATION)
        return self._store(last, replace(session, frames={}), result)

    def _score_nothing(self, last: LastFrame, found: Session | MissingSession) -> SessionResult:
        session = found
        if isinstance(session, MissingSession):
            session = Session(last.session_id, last.ip_address, last.video_id, "", frames={}, settings={})
        return self._scorer.score(replace(session, frames={}), last.expected, last.video_id)

    def _store(self, last: LastFrame, session: Session, result: SessionResult) -> Step:
        try:
            update = self._sessions.store_settings(
                last.session_id, {"result": result.as_json()}, created_at=session.created_at or None
            )
        except SessionNotFoundError as error:
            raise SessionExpiredError(last.session_id) from error
        if "result" in update.written:
            self._observer.count_result_stored()
            return Wait(0.0, last, Deliver(session, read_result(update.stored["result"])))
        return self._follow_up(last, replace(session, settings={**session.settings, **update.stored}))

    def _follow_up(self, last: LastFrame, session: Session, deadline_s: float | None = None) -> Step:
        """Return the step after a result has been found in the session."""
        require_viewing(session.settings["result"], last.viewing_start_ms)
        result = read_result(session.settings["result"])
        session = replace(session, frames={})
        mark = session.settings.get("result_delivered")
        # Older versions stored results of empty sessions; these must not take the place of real ones.
        if mark is True or result.is_empty:
            return Done(result, Outcome.REPEATED, _warn(session, result))
        if mark is not None:
            return Wait(0.0, last, Deliver(session, result))
        now_s = self._clock()
        deadline_s = now_s + self._barrier_timeout_s if deadline_s is None else deadline_s
        if now_s >= deadline_s:
            return Wait(0.0, last, Deliver(session, result))
        return Wait(min(self._poll_s, deadline_s - now_s), last, AwaitDelivery(session, result, deadline_s))

    def _look_for_delivery(self, last: LastFrame, waiting: AwaitDelivery) -> Step:
        session = waiting.session
        try:
            # No frame at all, only the keys of the session as a whole.
            now = self._sessions.get_session(last.session_id, first=0, last=0)
        except SessionNotFoundError:
            return Wait(0.0, last, Deliver(session, waiting.result))
        if now.created_at != session.created_at or "result" not in now.settings:
            return Wait(0.0, last, Deliver(session, waiting.result))
        return self._follow_up(last, now, waiting.deadline_s)

    def _deliver(self, last: LastFrame, session: Session, result: SessionResult) -> Done:
        # One viewing, one key: the gateway uses an id again when the viewer comes back after the session has expired.
        key = uuid.uuid5(uuid.NAMESPACE_URL, f"{session.session_id}:{session.created_at}")
        try:
            self._sink.send_result(
                result.final_score,
                # What the session was created with counts, not what its last request says.
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
        # A session that has expired meanwhile needs no mark.
        with contextlib.suppress(SessionNotFoundError):
            self._mark_delivered(session, is_delivered=True)
        return Done(result, Outcome.DELIVERED, _warn(session, result))

    def _mark_delivered(self, session: Session, *, is_delivered: bool) -> None:
        self._sessions.store_settings(
            session.session_id, {"result_delivered": is_delivered}, created_at=session.created_at or None
        )

    def _read(self, last: LastFrame, *, has_expired: bool) -> Session | MissingSession:
        """Return the session with all its frames."""
        try:
            return keep_viewing(self._sessions.get_session(last.session_id), last.viewing_start_ms)
        except SessionNotFoundError as error:
            return MissingSession(has_expired or error.expired_at is not None)

    def _read_late(self, last: LastFrame, known: Session) -> Session | None:
        """Return the session with the frames that may be new; None when it is gone or a later one has its id."""
        first, end = last.expected.find_range(known)
        try:
            later = self._sessions.get_session(last.session_id, first=first, last=end)
        except SessionNotFoundError:
            return None
        return keep_viewing(later, last.viewing_start_ms) if later.created_at == known.created_at else None


def complete(
    completer: Completer,
    last: LastFrame,
    places: threading.Semaphore,
    sleep: Callable[[float], None] = time.sleep,
    *,
    place_wait_s: float | None = None,
) -> Done:
    """Complete a session in the calling thread; only scoring takes a place.

    Raises:
        ScoringBusyError: No scoring place became free in time.
        GazeError: As `Completer.advance` says.
    """
    step = completer.begin(last)
    while not isinstance(step, Done):
        if isinstance(step, Wait):
            if step.pause_s > 0:
                sleep(step.pause_s)
            step = completer.advance(step)
        elif places.acquire(timeout=PLACE_WAIT_S if place_wait_s is None else place_wait_s):
            try:
                step = completer.advance(step)
            finally:
                places.release()
        else:
            raise ScoringBusyError
    return step


def _has_expired(last: LastFrame, found: Session | MissingSession) -> bool:
    """Return whether frames that the last request promises are gone with their session, at the end of the wait.

    A session API that remembers expired sessions says so. With an older one a session that is not there although
    frames were promised has expired, or none of them has arrived; and so it is when the only frame is that of the last
    request itself, which then has created the session.
    """
    promised = last.expected.promised
    if isinstance(found, MissingSession):
        return found.has_expired or promised > 0
    if found.earlier_expired_at is None and found.ttl_s is not None:
        return False
    others = [number for number in found.frames if not (last.has_image and number == last.frame_number)]
    return not others and promised > 1 and (bool(found.frames) or found.earlier_expired_at is not None)


def _warn(session: Session, result: SessionResult) -> tuple[str, ...]:
    if session.earlier_expired_at is None or not result.lost.missing:
        return ()
    when = session.earlier_expired_at
    return (f"an earlier session under this id expired at {when}; the result is without the frames stored before",)
