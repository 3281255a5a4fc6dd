"""Checks of a session API: the lifetime of sessions."""

import time
from dataclasses import dataclass

from gaze_core.errors import SessionNotFoundError
from gaze_core.ports import Session
from gaze_tools.conformance.checks import Level, NotApplicableError, NotConformingError, check
from gaze_tools.conformance.kit import Kit
from gaze_tools.conformance.session_results import make_scored
from gaze_tools.conformance.values import demand, make_record

_MARGIN_S = 1.0
"""Sessions may expire a little late."""


def _find_ttl_s(kit: Kit) -> float | None:
    session_id = kit.create("-ttl")
    kit.store.update_session(session_id, 1, make_record(1), **kit.viewer)
    kit.store.get_session(session_id)
    return kit.store.ttl_s


def _require_short_life(kit: Kit, times: float) -> float:
    """Return the lifetime of sessions if this many of them may be waited for."""
    ttl_s = _find_ttl_s(kit) or kit.run.ttl_s
    if ttl_s is None:
        raise NotApplicableError("the service does not report its `ttl_s`: add --ttl-s with the lifetime of a session")
    needed_s = times * ttl_s + _MARGIN_S
    if kit.run.wait_s < needed_s:
        raise NotApplicableError(
            f"sessions live {ttl_s:g} s: add --wait-s {needed_s:.0f} to wait for the expiry of one"
        )
    return ttl_s


@check(
    "session.lifetime",
    level=Level.RECOMMENDED,
    why="The function reports it in its readiness, and learns from it that the service remembers expired sessions.",
    section="lifetime",
    advice="Send `ttl_s`, a positive number of seconds, in answers to PUT and to GET with `component`.",
    needs=("session.update",),
)
def lifetime(kit: Kit) -> str:
    """Answers report the lifetime of a session after its last use as `ttl_s`."""
    ttl_s = _find_ttl_s(kit)
    if ttl_s is None:
        raise NotConformingError("no answer has a positive number `ttl_s`")
    return f"{ttl_s:g} s"


@dataclass(frozen=True, slots=True)
class _Expired:
    """What was seen of a session that expired: the error of the read, and the session created after it."""

    error: SessionNotFoundError
    first: Session
    second: Session


def _let_expire(kit: Kit, ttl_s: float) -> _Expired:
    session_id = kit.create()
    kit.store.update_session(session_id, 1, make_record(1), **kit.viewer)
    first = kit.store.get_session(session_id)
    time.sleep(ttl_s + _MARGIN_S)
    try:
        kit.store.get_session(session_id)
    except SessionNotFoundError as error:
        kit.store.update_session(session_id, 2, make_record(2), **kit.viewer)
        return _Expired(error, first, kit.store.get_session(session_id))
    raise NotConformingError(f"a session could be read {_MARGIN_S:g} s after the end of its lifetime of {ttl_s:g} s")


@check(
    "session.expiry",
    why="Viewers may come back under the same id, and old frames must not count in the new viewing.",
    section="lifetime",
    advice="Delete all parts of a session together; take `created_at` from a clock with fractions of a second.",
    needs=("session.first-frame",),
)
def expiry(kit: Kit) -> str:
    """An expired session is answered 404, and its id starts empty with another `created_at`."""
    ttl_s = _require_short_life(kit, 1)
    seen = _let_expire(kit, ttl_s)
    demand(set(seen.second.frames) == {2}, f"the new session has the frames {sorted(seen.second.frames)}, sent was 2")
    demand(seen.second.created_at != seen.first.created_at, "the new session has the `created_at` of the expired one")
    return f"after {ttl_s:g} s"


@check(
    "session.remembered",
    level=Level.RECOMMENDED,
    why="The function can then distinguish an expired session from one that never existed, and warn of lost frames.",
    section="lifetime",
    advice="Keep the time of expiry for some hours; send `expired_at`, later `earlier_expired_at`.",
    needs=("session.expiry",),
)
def remembered(kit: Kit) -> str:
    """A 404 for an expired session says when it expired, and so does the next session under its id."""
    seen = _let_expire(kit, _require_short_life(kit, 1))
    demand(seen.error.expired_at, "the 404 has no text `expired_at`")
    demand(seen.second.earlier_expired_at, "the next session has no text `earlier_expired_at`")
    return f"expired at {seen.error.expired_at}"


@check(
    "session.kept-alive",
    why="A film may last longer than a session lives, and a calibration is only read meanwhile.",
    section="lifetime",
    advice="Count the lifetime from the last use. Reads are uses.",
    needs=("session.first-frame",),
)
def kept_alive(kit: Kit) -> str:
    """A session lives as long as it keeps being updated or read."""
    ttl_s = _require_short_life(kit, 2)
    updated, read = kit.create("-updated"), kit.create("-read")
    kit.store.update_session(read, 1, make_record(1), **kit.viewer)
    started_s = time.monotonic()
    for number in range(1, 9):
        kit.store.update_session(updated, number, make_record(number), **kit.viewer)
        kit.store.get_session(read)
        # A slow service leaves less of the pause.
        time.sleep(max(0.0, started_s + number * ttl_s / 4 - time.monotonic()))
    found = kit.store.get_session(updated, first=1, last=8).frames
    demand(len(found) == 8, f"{len(found)} of 8 frames are left in the session that was updated every {ttl_s / 4:g} s")
    demand(len(kit.store.get_session(read).frames) == 1, "the session that was only read has lost its frame")
    return f"{2 * ttl_s:g} s"


@check(
    "session.scored-expiry",
    level=Level.RECOMMENDED,
    why="A page that goes on sending after the result would keep its viewer's id from becoming free.",
    section="the-result",
    advice="Prolong the session only with reads and with updates that are accepted.",
    needs=("session.sealed", "session.expiry"),
)
def scored_expiry(kit: Kit) -> str:
    """A new frame that is refused after the result does not prolong the session."""
    ttl_s = _require_short_life(kit, 1)
    session_id = make_scored(kit)
    ends_at_s, refusals = time.monotonic() + ttl_s + _MARGIN_S, 0
    while (left_s := ends_at_s - time.monotonic()) > 0:
        refusals += kit.put(session_id, {"4": make_record(4)}).status == 409
        time.sleep(min(ttl_s / 4, left_s))
    status = kit.get(session_id).status
    demand(
        status == 404, f"after {refusals} refused frames, the session lived longer than {ttl_s:g} s after its last use"
    )
    return f"{refusals} refused frames"
