"""Checks of a session API: create, read and update a session."""

from typing import Any

from gaze_core.errors import SessionNotFoundError
from gaze_tools.conformance.checks import Level, NotConformingError, check
from gaze_tools.conformance.clients import WireAnswer
from gaze_tools.conformance.kit import IP_ADDRESS, Kit
from gaze_tools.conformance.values import demand, demand_same, make_full_record, make_record

FRAMES_PER_PUT = 100
"""Frames in one update of a long session, as `gaze session import` sends them."""


def store_frames(kit: Kit, session_id: str, numbers: range) -> dict[int, Any]:
    """Store full records in large updates, and return them."""
    records = {number: make_full_record(number) for number in numbers}
    for start in range(0, len(numbers), FRAMES_PER_PUT):
        part = {number: records[number] for number in numbers[start : start + FRAMES_PER_PUT]}
        kit.store.update_frames(session_id, part, **kit.viewer)
    return records


def demand_answer(answer: WireAnswer, status: int, key: str) -> None:
    """Check status and format of an answer.

    Raises:
        NotConformingError: Another status, no JSON object, or one without this text.
    """
    if answer.status != status:
        raise NotConformingError(f"the status is {answer.status} instead of {status}", answer.exchange)
    if not answer.is_object:
        raise NotConformingError(f"the answer {status} is not a JSON object", answer.exchange)
    if not isinstance(answer.body.get(key), str):
        raise NotConformingError(f"the answer {status} has no text `{key}`", answer.exchange)


@check(
    "session.create",
    why="The function creates the session of a viewer's first frame, unless the gateway has done so.",
    section="create-a-session",
    advice="Answer 201 and a JSON object with the id. The function follows no redirects and decompresses nothing.",
)
def create(kit: Kit) -> str:
    """POST /mk-session creates a session: 201 with `session_id`."""
    session_id = kit.name_session()
    answer = kit.make(session_id)
    demand_answer(answer, 201, "session_id")
    demand(answer.body["session_id"] == session_id, "`session_id` is not the id that was sent")
    kit.create("-2")
    return "201"


@check(
    "session.read",
    why="The function scores what it reads, and delivers the result for the address and video of the session.",
    section="read-a-session",
    advice="Keep what POST /mk-session sent, and return it as shown in the section.",
    needs=("session.create",),
)
def read(kit: Kit) -> str:
    """GET /get_session/<id> returns the session: id, address, video, creation time and components."""
    session_id = kit.create()
    answer = kit.get(session_id)
    demand_answer(answer, 200, "session_id")
    demand(answer.body["session_id"] == session_id, "`session_id` is another one")
    session = kit.store.get_session(session_id)
    demand(session.ip_address == IP_ADDRESS, f"`ip_address` is {session.ip_address!r} instead of {IP_ADDRESS!r}")
    demand(session.video_id == kit.video_id, f"`video_id` is {session.video_id!r} instead of {kit.video_id!r}")
    demand(session.created_at, "`created_at` is missing, empty or not a text")
    demand(not session.frames, "a new session has frames")
    return f"created_at {session.created_at}"


@check(
    "session.components",
    level=Level.RECOMMENDED,
    why="The function does not use them, but other services (emotions, blinks) share the session.",
    section="read-a-session",
    advice="Return `components` with gaze_tracking, blink_detection and emotion_analysis, empty ones as {}.",
    needs=("session.read",),
)
def components(kit: Kit) -> str:
    """A session that is read as a whole has `last_accessed` and the components of all three services."""
    answer = kit.get(kit.create())
    demand(isinstance(answer.body.get("last_accessed"), str), "`last_accessed` is missing or not a text")
    found = answer.body.get("components")
    for name in ("gaze_tracking", "blink_detection", "emotion_analysis"):
        demand(isinstance(found, dict) and isinstance(found.get(name), dict), f"the component {name} is missing")
    return "three components"


@check(
    "session.create-again",
    why="Gateway and function both create sessions, and a lost answer is repeated. Frames must survive that.",
    section="create-a-session",
    advice="Insert only if the id is new, in one atomic step: SET … NX, INSERT … ON CONFLICT DO NOTHING.",
    needs=("session.created-at",),
)
def create_again(kit: Kit) -> str:
    """POST /mk-session for a session that exists changes nothing: 200 with `message`."""
    session_id = kit.create()
    kit.store.update_session(session_id, 1, make_record(1), **kit.viewer)
    before = kit.store.get_session(session_id)
    again = {"session_id": session_id, "ip_address": "192.0.2.2", "video_id": f"{kit.video_id}-other"}
    demand_answer(kit.wire.call("POST", "/mk-session", again), 200, "message")
    after = kit.store.get_session(session_id)
    demand_same(before.frames, after.frames, "frames after the second creation")
    demand(
        (before.ip_address, before.video_id, before.created_at) == (after.ip_address, after.video_id, after.created_at),
        "the second creation replaced address, video or creation time",
    )
    return "200, nothing changed"


@check(
    "session.created-at",
    why="It distinguishes two viewings under one id: it is part of the result's idempotency key.",
    section="read-a-session",
    advice="Store the creation time as text when the session is created, and return exactly that text.",
    needs=("session.read", "session.update"),
)
def created_at(kit: Kit) -> str:
    """`created_at` stays the same in all reads of a session, whatever is written in between."""
    session_id = kit.create()
    first = kit.store.get_session(session_id).created_at
    kit.store.update_session(session_id, 1, make_record(1), **kit.viewer)
    kit.store.store_settings(session_id, {"screen": {"width_mm": 344.0}})
    for _ in range(3):
        later = kit.store.get_session(session_id, first=0, last=0).created_at
        demand(later == first, f"`created_at` was {first!r} and is {later!r}")
    return first


@check(
    "session.unknown",
    why="The function learns from 404 that a session is new or has expired. It treats any other status as a failure.",
    section="answers-and-errors",
    advice='Answer 404 and {"error": "Session Not Found"}, also behind an API gateway or ingress.',
    needs=("session.read",),
)
def unknown(kit: Kit) -> str:
    """GET of an unknown session is answered 404 with `error`."""
    session_id = kit.name_session()
    demand_answer(kit.get(session_id), 404, "error")
    demand_answer(kit.get(session_id, "?component=gaze_tracking&to=4999"), 404, "error")
    return "404"


@check(
    "session.update",
    why="The answer 200 to a viewer's frame promises that it is stored.",
    section="update-a-session",
    advice="Merge `data.components.gaze_tracking` into the component, and answer only once it is stored.",
    needs=("session.read",),
)
def update(kit: Kit) -> str:
    """PUT /update_session/<id> stores a frame: 200 with `message`, and the next read returns it."""
    session_id = kit.create()
    answer = kit.put(session_id, {"17": make_record(17)})
    demand_answer(answer, 200, "message")
    found = kit.store.get_session(session_id).frames
    demand_same({17: make_record(17)}, found, "frames")
    return "stored and read"


@check(
    "session.update-unknown",
    why="The function then creates the session with its address and video, and repeats the update.",
    section="answers-and-errors",
    advice="Do not create sessions on PUT: they would lack address and video.",
    needs=(
        "session.unknown",
        "session.update",
    ),
)
def update_unknown(kit: Kit) -> str:
    """PUT to an unknown session is answered 404 with `error` and creates nothing."""
    session_id = kit.name_session()
    demand_answer(kit.put(session_id, {"1": make_record(1)}), 404, "error")
    demand_answer(kit.get(session_id), 404, "error")
    return "404"


@check(
    "session.first-frame",
    why="Gateways need not create sessions: the function tries an update, creates the session and updates again.",
    section="update-a-session",
    advice="See session.update-unknown and session.create.",
    needs=("session.update", "session.update-unknown"),
)
def first_frame(kit: Kit) -> str:
    """A frame of an unknown session leads to a session with that frame, address and video."""
    session_id = kit.name_session()
    kit.store.update_session(session_id, 3, make_record(3), **kit.viewer)
    session = kit.store.get_session(session_id)
    demand_same({3: make_record(3)}, session.frames, "frames")
    demand((session.ip_address, session.video_id) == (IP_ADDRESS, kit.video_id), "address or video are other ones")
    return "404, 201, 200"


@check(
    "session.merge",
    why="Each update has one frame, or up to 32. A session consists of thousands of updates.",
    section="update-a-session",
    advice="Merge by key at the second level: component, then frame number. Do not replace a component.",
    needs=("session.update",),
)
def merge(kit: Kit) -> str:
    """An update keeps what was stored before: frames, settings and other components."""
    session_id = kit.create()
    others = {"1": {"blink": False}, "rate": 0.25}
    demand_answer(kit.put(session_id, others, component="blink_detection"), 200, "message")
    kit.store.store_settings(session_id, {"screen": {"width_mm": 344.0}})
    for number in (1, 2, 3):
        kit.store.update_session(session_id, number, make_record(number), **kit.viewer)
    session = kit.store.get_session(session_id)
    demand_same({number: make_record(number) for number in (1, 2, 3)}, session.frames, "frames")
    demand_same({"screen": {"width_mm": 344.0}}, session.settings, "settings")
    demand_same(others, _read_component(kit, session_id, "blink_detection"), "blink_detection")
    return "3 frames, 1 setting, 1 other component"


def _read_component(kit: Kit, session_id: str, name: str) -> Any:  # noqa: ANN401  JSON
    found = kit.get(session_id).body.get("components")
    return found.get(name) if isinstance(found, dict) else None


@check(
    "session.settings",
    why="`result_delivered` becomes true after a delivery; `screen` and others belong to the session.",
    section="update-a-session",
    advice="Only integer keys and `result` are write-once.",
    needs=("session.merge",),
)
def settings(kit: Kit) -> str:
    """Keys that are not numbers can be written again; the last value stays."""
    session_id = kit.create()
    kit.store.store_settings(session_id, {"result_delivered": False, "camera": {"tilt_deg": 1.5}})
    kit.store.store_settings(session_id, {"result_delivered": True})
    found = kit.store.get_session(session_id).settings
    demand_same({"result_delivered": True, "camera": {"tilt_deg": 1.5}}, found, "settings")
    return "replaced"


@check(
    "session.fresh-read",
    why="The last frame is scored right after the others were answered. A read from a replica or a cache misses some.",
    section="update-a-session",
    advice="Read from the primary, or write with the acknowledgement of all replicas that are read.",
    needs=("session.update",),
)
def fresh_read(kit: Kit) -> str:
    """A read sees every update that was answered before."""
    session_id = kit.create()
    for number in range(1, 3 * kit.effort.rounds + 1):
        kit.store.update_session(session_id, number, make_record(number), **kit.viewer)
        found = kit.store.get_session(session_id, first=number, last=number).frames
        demand(number in found, f"a read right after the answer to the update lacks frame {number}")
    return f"{3 * kit.effort.rounds} updates, each read at once"


@check(
    "session.removal",
    level=Level.RECOMMENDED,
    why="`gaze session delete` uses it, for viewers who ask for deletion. The function does not.",
    section="optional-calls",
    advice="Answer 200, and then 404 to every call with this id. If you do not offer it, answer 404, 405 or 403.",
    needs=(
        "session.update",
        "session.unknown",
    ),
)
def removal(kit: Kit) -> str:
    """DELETE /sessions/<id>, where it is offered, removes a session."""
    session_id = kit.create()
    answer = kit.wire.call("DELETE", f"/sessions/{session_id}")
    if answer.status in {401, 403, 404, 405, 501}:
        return f"not offered ({answer.status}): sessions expire by themselves"
    demand(answer.status == 200, f"the status is {answer.status} instead of 200")
    try:
        kit.store.get_session(session_id)
    except SessionNotFoundError:
        return "removed"
    raise NotConformingError("a removed session can still be read")
