"""Checks of a session API: the result, and what comes after it."""

from gaze_core.errors import SessionNotFoundError, SessionScoredError
from gaze_tools.conformance.checks import Level, NotConformingError, check
from gaze_tools.conformance.kit import Kit
from gaze_tools.conformance.session_basics import demand_answer
from gaze_tools.conformance.values import demand, demand_same, make_record, make_result

_SMALL_BYTES = 400


def make_scored(kit: Kit, suffix: str = "") -> str:
    """Return the id of a session with three frames and a result."""
    session_id = kit.create(suffix)
    kit.store.update_frames(session_id, {number: make_record(number) for number in (1, 2, 3)}, **kit.viewer)
    created_at = kit.store.get_session(session_id).created_at
    kit.store.store_settings(session_id, {"result": make_result(_SMALL_BYTES)}, created_at=created_at)
    return session_id


@check(
    "session.result",
    why="A result is stored before it is delivered, so that it survives the failure of a pod or of the aggregator.",
    section="the-result",
    advice="Accept `created_at` in the update; compare it with the text that GET returned.",
    needs=(
        "session.settings",
        "session.created-at",
    ),
)
def result(kit: Kit) -> str:
    """The result is stored beside the frames, with `created_at` of the session in the update."""
    session = kit.store.get_session(make_scored(kit))
    demand_same({"result": make_result(_SMALL_BYTES)}, session.settings, "settings")
    demand_same({number: make_record(number) for number in (1, 2, 3)}, session.frames, "frames")
    return "stored and read"


@check(
    "session.result-first",
    why="A repeated last frame must return the result that was delivered, not another one.",
    section="the-result",
    advice="`result` is write-once like a frame number.",
    needs=("session.result",),
)
def result_first(kit: Kit) -> str:
    """The first result stays: another one, or the same one again, is answered 200 and ignored."""
    session_id, first = make_scored(kit), make_result(_SMALL_BYTES)
    for repeated in (first, {**first, "final_score": 12.5}):
        demand_answer(kit.put(session_id, {"result": repeated}), 200, "message")
        demand_same(first, kit.store.get_session(session_id).settings.get("result"), "result")
    return "the first one stays"


@check(
    "session.result-size",
    why="The trace of each frame is in it: more than 4 MB for an hour.",
    section="sizes",
    advice="Look for limits on bodies and answers in the service, its store and every proxy on the way.",
    needs=("session.result",),
)
def result_size(kit: Kit) -> str:
    """A result may have megabytes."""
    session_id, large = kit.create(), make_result(kit.effort.result_bytes)
    kit.store.store_settings(session_id, {"result": large})
    demand_same(large, kit.store.get_session(session_id).settings.get("result"), "result")
    sent = max(len(each.sent or b"") for each in kit.log.read())
    return f"{sent / 1e6:.1f} MB"


@check(
    "session.after-result",
    why="Clients repeat frames late. A delivery that is not recorded is sent again with each repeated last frame.",
    section="the-result",
    advice="Refuse only integer keys that are new.",
    needs=(
        "session.result",
        "session.repeat",
    ),
)
def after_result(kit: Kit) -> str:
    """After the result, a frame that is stored gets its 200 again, and `result_delivered` can be stored."""
    session_id = make_scored(kit)
    demand_answer(kit.put(session_id, {"2": make_record(2)}), 200, "message")
    created_at = kit.store.get_session(session_id).created_at
    kit.store.store_settings(session_id, {"result_delivered": True}, created_at=created_at)
    session = kit.store.get_session(session_id)
    demand_same(make_result(_SMALL_BYTES), session.settings.get("result"), "result")
    demand(session.settings.get("result_delivered") is True, "`result_delivered` is not true")
    demand_same({number: make_record(number) for number in (1, 2, 3)}, session.frames, "frames")
    return "200"


@check(
    "session.sealed",
    level=Level.RECOMMENDED,
    why="The frame would not be in the result. From 409, the viewer's page learns that it needs a new session.",
    section="the-result",
    advice="Refuse new integer keys of the component once it has `result`, in the same atomic step as the write.",
    needs=("session.after-result",),
)
def sealed(kit: Kit) -> str:
    """After the result, a new frame is answered 409 with `error` and is not stored."""
    session_id = make_scored(kit)
    try:
        kit.store.update_session(session_id, 4, make_record(4), **kit.viewer)
    except SessionScoredError as error:
        demand(4 not in kit.store.get_session(session_id).frames, "the frame was refused, but it is stored")
        free_in_s = getattr(error, "free_in_s", None)
        return "409" if free_in_s is None else f"409, the id is free in {free_in_s:.0f} s"
    raise NotConformingError("a new frame was accepted after the result")


@check(
    "session.condition",
    level=Level.RECOMMENDED,
    why="This keeps the result of an expired session out of a new one under the same id.",
    section="the-result",
    advice="Compare the texts in the same atomic step as the write.",
    needs=("session.result",),
)
def condition(kit: Kit) -> str:
    """An update with another `created_at` than the session's is answered 404 and changes nothing."""
    session_id = kit.create()
    try:
        kit.store.store_settings(session_id, {"screen": {"width_mm": 1.0}}, created_at="2001-01-01T00:00:00+00:00")
    except SessionNotFoundError:
        demand(not kit.store.get_session(session_id).settings, "the update was refused, but it is stored")
        return "404"
    raise NotConformingError("the update was accepted")
