"""Checks of a session API: repeated and concurrent updates."""

from functools import partial
from typing import Any

from gaze_core.ports import StoredUpdate
from gaze_tools.conformance.checks import Level, NotApplicableError, NotConformingError, check
from gaze_tools.conformance.kit import Kit
from gaze_tools.conformance.session_basics import demand_answer, store_frames
from gaze_tools.conformance.values import demand, demand_same, make_record

BATCH = 32
"""Frames in one update: the maximum of one request to the function."""


@check(
    "session.repeat",
    why="After a lost answer the function and the gateway repeat the request.",
    section="update-a-session",
    advice="Answer a repetition like the first time. Do not refuse keys that exist.",
    needs=("session.update",),
)
def repeat(kit: Kit) -> str:
    """The same update again is answered 200 and changes nothing."""
    session_id = kit.create()
    for _ in range(3):
        demand_answer(kit.put(session_id, {"5": make_record(5)}), 200, "message")
    demand_same({5: make_record(5)}, kit.store.get_session(session_id).frames, "frames")
    return "3 times 200"


@check(
    "session.first-write",
    why="A page may send another image under a number that was already answered; that answer must stay true.",
    section="update-a-session",
    advice="Write integer keys only if they are new, in one atomic step: HSETNX, $exists, ON CONFLICT DO NOTHING.",
    needs=("session.repeat",),
)
def first_write(kit: Kit) -> str:
    """The first value of a frame number stays: another value is answered 200 and ignored."""
    session_id = kit.create()
    demand_answer(kit.put(session_id, {"5": make_record(5)}), 200, "message")
    demand_answer(kit.put(session_id, {"5": make_record(5, shift=0.25)}), 200, "message")
    demand_same({5: make_record(5)}, kit.store.get_session(session_id).frames, "frames")
    return "the first one stays"


@check(
    "session.stored",
    level=Level.RECOMMENDED,
    why="Without them the function assumes that what it sent is stored: a repeated frame gets another gaze.",
    section="update-a-session",
    advice="Return `stored` for all integer keys and `result` of the update, and in `written` those that were new.",
    needs=("session.repeat",),
)
def stored(kit: Kit) -> str:
    """The answer to an update has `stored`, the values now stored under the sent numbers, and `written`."""
    answer = kit.put(kit.create(), {"5": make_record(5)})
    for key, kind in (("stored", dict), ("written", list)):
        demand(isinstance(answer.body.get(key), kind), f"`{key}` is missing or has another type")
    return "reported"


@check(
    "session.stored-true",
    why="The function answers viewers with `stored`, and delivers the result that it finds there.",
    section="update-a-session",
    advice="Read `stored` from the store after the write, not from the request.",
    needs=("session.first-write", "session.stored"),
)
def stored_true(kit: Kit) -> str:
    """If `stored` and `written` are in the answer, they are true, also where the first value stayed."""
    session_id, first, other = kit.create(), make_record(5), make_record(5, shift=0.25)
    for sent, new in (({"5": first}, [5]), ({"5": other, "6": make_record(6)}, [6])):
        body = kit.put(session_id, sent).body
        if not isinstance(body.get("stored"), dict):
            raise NotApplicableError("the answer has no `stored`")
        demand_same({**sent, "5": first}, body["stored"], "`stored`")
        if isinstance(body.get("written"), list):
            demand(
                [str(key) for key in body["written"]] == [str(key) for key in new],
                f"`written` is {body['written']!r} instead of {new!r}",
            )
    return "true"


@check(
    "session.batch",
    why="The function stores the frames of one request together, and some may be repeated.",
    section="update-a-session",
    advice="Decide key by key. Do not refuse an update because one of its keys exists.",
    needs=(
        "session.first-write",
        "session.merge",
    ),
)
def batch(kit: Kit) -> str:
    """An update may have 32 frames; those that exist keep their value, the others are stored."""
    session_id = kit.create()
    for number in (5, 9):
        kit.store.update_session(session_id, number, make_record(number), **kit.viewer)
    sent = {number: make_record(number, shift=0.25) for number in range(1, BATCH + 1)}
    kit.store.update_frames(session_id, sent, **kit.viewer)
    expected = sent | {number: make_record(number) for number in (5, 9)}
    demand_same(expected, kit.store.get_session(session_id).frames, "frames")
    return f"{BATCH} frames, 2 of them repeated"


@check(
    "session.concurrent-frames",
    why="A viewer sends 20 frames a second, and any pod stores any of them: their updates overlap all the time.",
    section="concurrency",
    advice="Read-modify-write loses updates. Write each key separately (hash field, row, $set), or compare and set.",
    needs=("session.merge",),
)
def concurrent_frames(kit: Kit) -> str:
    """Concurrent updates of one session with different frames all take effect."""
    session_id, numbers = kit.create(), range(1, kit.effort.updates + 1)
    # The longer the session, the longer it takes to read it and to write it back.
    store_frames(kit, session_id, _list_earlier(kit))
    kit.at_once(
        [partial(kit.store.update_session, session_id, number, make_record(number), **kit.viewer) for number in numbers]
    )
    found = kit.store.get_session(session_id, last=len(numbers)).frames
    found = {number: found[number] for number in found if number in numbers}
    lost = [number for number in numbers if number not in found]
    demand(not lost, f"{len(lost)} of {len(numbers)} frames are lost though all were answered 200: {_list(lost)}")
    demand_same({number: make_record(number) for number in numbers}, found, "frames")
    return f"{len(numbers)} updates by {kit.effort.threads} clients"


def _list_earlier(kit: Kit) -> range:
    """Return the numbers of the frames that a session has before concurrent updates."""
    return range(kit.effort.updates + 1, kit.effort.updates + kit.effort.earlier_frames + 1)


@check(
    "session.concurrent-components",
    why="Other services (emotions, blinks) write to the same session at the same time.",
    section="concurrency",
    advice="See session.concurrent-frames: a write must not overwrite what another service has written.",
    needs=("session.concurrent-frames",),
)
def concurrent_components(kit: Kit) -> str:
    """Concurrent updates of different components of one session all take effect."""
    session_id, names = kit.create(), ("gaze_tracking", "blink_detection", "emotion_analysis")
    numbers = range(1, kit.effort.updates // len(names) + 1)
    store_frames(kit, session_id, _list_earlier(kit))
    kit.at_once(
        [
            partial(kit.put_component, session_id, name, {str(number): {"value": number}})
            for number in numbers
            for name in names
        ]
    )
    found = kit.get(session_id).body.get("components")
    for name in names:
        values = found.get(name) if isinstance(found, dict) else None
        values = values if isinstance(values, dict) else {}
        lost = [number for number in numbers if str(number) not in values]
        demand(not lost, f"{name} has lost {len(lost)} of {len(numbers)} values: {_list(lost)}")
    return f"{len(numbers)} updates of each of {len(names)} components"


@check(
    "session.concurrent-start",
    why="The first frames of a viewer reach several pods, and each of these creates the session.",
    section="concurrency",
    advice="Creation must not replace a session that another request has just created: see session.create-again.",
    needs=(
        "session.first-frame",
        "session.create-again",
        "session.concurrent-frames",
    ),
)
def concurrent_start(kit: Kit) -> str:
    """The first frames of a session that several clients create at once are all kept."""
    clients = range(1, kit.effort.threads + 1)
    for turn in range(kit.effort.rounds):
        session_id = kit.name_session(f"-{turn}")
        kit.at_once(
            [
                partial(kit.store.update_session, session_id, number, make_record(number), **kit.viewer)
                for number in clients
            ]
        )
        found = kit.store.get_session(session_id).frames
        lost = [number for number in clients if number not in found]
        demand(not lost, f"{len(lost)} of {len(clients)} first frames are lost though all were answered 200")
    return f"{kit.effort.rounds} sessions, {len(clients)} clients each"


@check(
    "session.concurrent-same",
    why="Two pods may complete a session at once. Both must deliver the same score.",
    section="concurrency",
    advice="Decide the winner in the store, not in the process; read `stored` afterwards.",
    needs=(
        "session.first-write",
        "session.result-first",
        "session.concurrent-frames",
    ),
)
def concurrent_same(kit: Kit) -> str:
    """Of concurrent different values for one frame, or for the result, one stays, and every answer names it."""
    for turn in range(kit.effort.rounds):
        session_id = kit.create(f"-{turn}")
        shifts = [0.01 * client for client in range(kit.effort.threads)]
        frame_updates = kit.at_once(
            [
                partial(kit.store.update_session, session_id, 1, make_record(1, shift=shift), **kit.viewer)
                for shift in shifts
            ]
        )
        result_updates = kit.at_once(
            [partial(kit.store.store_settings, session_id, {"result": {"final_score": shift}}) for shift in shifts]
        )
        session = kit.store.get_session(session_id)
        _demand_one_winner(kit, frame_updates, "1", session.frames.get(1))
        _demand_one_winner(kit, result_updates, "result", session.settings.get("result"))
    return f"{kit.effort.rounds} times {len(shifts)} clients"


def _demand_one_winner(kit: Kit, updates: list[StoredUpdate], key: str, final: Any) -> None:  # noqa: ANN401  JSON
    demand(final is not None, f"nothing is stored under {key!r}")
    if not any(b'"stored"' in each.received for each in kit.log.read() if each.method == "PUT"):
        return
    others = sum(update.stored[key] != final for update in updates)
    demand(others == 0, f"{others} of {len(updates)} answers name another value of {key!r} than the one that stayed")
    writers = sum(key in update.written for update in updates)
    if writers != 1:
        raise NotConformingError(f"{writers} of {len(updates)} answers say that they wrote {key!r}")


def _list(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown}, …" if len(numbers) > 5 else shown
