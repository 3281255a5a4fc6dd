"""Viewings as an API gateway starts them: ids, tokens, and whether their sessions still exist."""

import secrets
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from func.session_token import Viewing, sign_viewing
from gaze_core.errors import SessionNotFoundError, SessionStoreError
from gaze_core.ports import SessionReader
from gaze_tools.studio.problems import StudioError

ID_PREFIX = "studio-"
"""Start of the session ids that the studio makes; clients that post under ids of their own never start with it."""

CHECK_VIDEO_ID = "check"
"""Video id of the check of the viewer's position, whose frames nobody needs later."""

RECHECK_S = 30.0
"""Time after which the session API is asked again whether a session still exists."""

FAILED_S = 5.0
"""Time after which a session API that failed is asked again."""

OPEN_S = 600.0
"""A viewing without a score counts as given up after this time without a frame or a sign of life of its page."""

FORGET_S = 6 * 3600.0
"""It is forgotten after this time without a frame, as its session is, even if its page is still open."""


@dataclass(frozen=True, slots=True)
class StartedViewing:
    """A new viewing.

    Attributes:
        session_id: Session id.
        video_id: Video id.
        session_token: Token for the function; None if it checks none.
    """

    session_id: str
    video_id: str
    session_token: str | None


def start_viewing(
    ip_address: str,
    video_id: str,
    *,
    token_key: bytes | None = None,
    clock: Callable[[], float] = time.time,
    nonce: Callable[[], str] = lambda: secrets.token_hex(16),
) -> StartedViewing:
    """Return a viewing with an id of its own, so that a page that is loaded again never continues an earlier one.

    Args:
        ip_address: Address of the viewer.
        video_id: Video id.
        token_key: Key that signs the session token; None makes none.
        clock: Returns Unix time in seconds.
        nonce: Returns a random text that nobody can guess.
    """
    start_ms = int(1000 * clock())
    session_id = f"{ID_PREFIX}{uuid.uuid5(uuid.NAMESPACE_URL, f'{ip_address}:{video_id}:{start_ms}:{nonce()}')}"
    viewing = Viewing(session_id, ip_address, video_id, start_ms)
    return StartedViewing(session_id, video_id, None if token_key is None else sign_viewing(token_key, viewing))


@dataclass(frozen=True, slots=True)
class _OpenViewing:
    """A viewing without a score.

    Attributes:
        video_id: Video id.
        used_s: Time of its last frame.
        seen_s: Time of the last sign of life of its page, a frame or another one.
        checked_s: Time at which its session was last seen in the session API; None if it was not looked up yet.
        created_at: When that session was created; None if it was not looked up yet.
        is_reserved: Whether the session exists before the first frame.
        is_confirmed: Whether a request that starts it has succeeded.
    """

    video_id: str
    used_s: float
    seen_s: float
    checked_s: float | None = None
    created_at: str | None = None
    is_reserved: bool = True
    is_confirmed: bool = False


class OpenViewings:
    """Viewings that have no score yet. Thread-safe.

    The session API is the only place where frames are kept. If it has lost a session, as after a restart without a data
    directory, the function would create it again with the next frame, and score what came after. So the gateway, which
    creates the sessions of its viewings, refuses frames of those that no longer exist.

    Args:
        sessions: Session API.
        clock: Returns a time in seconds that only grows.
    """

    def __init__(self, sessions: SessionReader, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions, self._clock = sessions, clock
        self._lock = threading.Lock()
        self._open: dict[str, _OpenViewing] = {}
        self._asked: set[str] = set()
        self._failed_s: float | None = None

    def add(self, started: StartedViewing) -> None:
        """Note that a viewing begins; one that is known already is left as it is."""
        now_s = self._clock()
        with self._lock:
            self._open = {name: each for name, each in self._open.items() if now_s - each.used_s < FORGET_S}
            self._open.setdefault(started.session_id, _OpenViewing(started.video_id, now_s, now_s))

    def confirm(self, session_id: str, *, is_reserved: bool) -> None:
        """Note that a request that starts a viewing has succeeded.

        Args:
            session_id: Session id.
            is_reserved: Whether its session exists; otherwise its first frame will create it.
        """
        with self._lock:
            known = self._open.get(session_id)
            if known is not None:
                is_reserved = is_reserved or (known.is_confirmed and known.is_reserved)
                self._open[session_id] = replace(known, is_reserved=is_reserved, is_confirmed=True)

    def give_up(self, session_id: str) -> None:
        """Note that a viewing could not begin, unless a repeat of the same start has succeeded meanwhile."""
        with self._lock:
            known = self._open.get(session_id)
            if known is not None and not known.is_confirmed:
                del self._open[session_id]

    def end(self, session_id: str) -> None:
        """Note that a viewing is scored or lost."""
        with self._lock:
            self._open.pop(session_id, None)

    def is_watched(self, video_id: str) -> bool:
        """Return whether a viewing of a video is in progress or not scored yet."""
        now_s = self._clock()
        with self._lock:
            return any(
                each.video_id == video_id and now_s - each.seen_s < OPEN_S and now_s - each.used_s < FORGET_S
                for each in self._open.values()
            )

    def note_alive(self, session_id: str) -> None:
        """Note that the page of a viewing is open, perhaps with the film paused, so that the film is kept.

        Signs of a viewing that this process does not know do not queue up behind one that waits for the session API.

        Raises:
            StudioError: As `require`, which asks the session API once about a viewing that this process does not know.
        """
        now_s = self._clock()
        with self._lock:
            known = self._open.get(session_id)
            if known is not None:
                self._open[session_id] = replace(known, seen_s=now_s)
            is_asked = session_id in self._asked
        if known is None and not is_asked:
            self.require(session_id)

    def require(self, session_id: str, *, is_last: bool = False) -> None:
        """Check that the earlier frames of a viewing are still stored; ids of other clients are left alone.

        A session API that is slow or fails does not hold up the frames of a viewing that this process has started or
        seen: one request for each viewing waits for it, and the function says what fails.

        Args:
            session_id: Session id.
            is_last: Whether this frame ends the session, so that the session API is always asked.

        Raises:
            StudioError: They are lost (410), or nothing is known about them because the session API failed (502).
        """
        if not session_id.startswith(ID_PREFIX):
            return
        now_s = self._clock()
        with self._lock:
            known = self._open.get(session_id)
            if known is not None:
                self._open[session_id] = known = replace(known, used_s=now_s, seen_s=now_s)
                if not is_last and not self._must_ask(session_id, known, now_s):
                    return
            self._asked.add(session_id)
        try:
            session = self._sessions.get_session(session_id, first=1, last=1)
        except SessionNotFoundError as error:
            if known is not None and not known.is_reserved and known.created_at is None:
                return  # its first frame is about to create it
            raise self._lose(session_id) from error
        except SessionStoreError as error:
            self._failed_s = self._clock()
            if known is not None and not is_last:
                return
            detail = "The session API does not answer; send the same request again."
            raise StudioError(502, "session-api-failed", "Session API failed", detail) from error
        finally:
            with self._lock:
                self._asked.discard(session_id)
        if known is not None and known.created_at not in (None, session.created_at):
            raise self._lose(session_id)
        if "result" in session.settings:
            return
        with self._lock:
            if known is None:
                known = _OpenViewing(session.video_id, now_s, now_s)
            elif session_id not in self._open:
                return  # it was scored meanwhile
            self._open[session_id] = replace(known, checked_s=now_s, created_at=session.created_at)

    def _must_ask(self, session_id: str, known: _OpenViewing, now_s: float) -> bool:
        if session_id in self._asked or (self._failed_s is not None and now_s - self._failed_s < FAILED_S):
            return False
        return known.checked_s is None or now_s - known.checked_s >= RECHECK_S

    def _lose(self, session_id: str) -> StudioError:
        self.end(session_id)
        return StudioError(
            410,
            "session-lost",
            "Session lost",
            "The earlier frames of this session are no longer stored, so it cannot be finished. Start a new one.",
        )
