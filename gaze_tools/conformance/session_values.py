"""Checks of a session API: values, ids and sizes."""

from typing import Any

from func.session.frame_record import read_calibration_session, read_record
from gaze_tools.conformance.checks import Level, check
from gaze_tools.conformance.kit import Kit
from gaze_tools.conformance.session_basics import demand_answer, store_frames
from gaze_tools.conformance.values import demand, demand_same, make_full_record, make_record

MAX_ID_CHARACTERS = 128

_SPARSE = (1, 4999, 5000, 20_000, 99_999)


def _demand_kept(kit: Kit, values: dict[str, Any]) -> None:
    """Check that a record and a setting with these values come back unchanged."""
    session_id = kit.create()
    kit.store.update_session(session_id, 1, values, **kit.viewer)
    kit.store.store_settings(session_id, {"later_version": values})
    session = kit.store.get_session(session_id)
    demand_same(values, session.frames.get(1), "record")
    demand_same(values, session.settings.get("later_version"), "setting")


@check(
    "session.numbers",
    why="Calibration and score are computed from stored numbers; the same session must give the same score.",
    section="values",
    advice="Keep values as JSON text, or as 64-bit floats. Neither 32-bit floats nor rounded decimals are enough.",
    needs=("session.unknown-fields",),
)
def numbers(kit: Kit) -> str:
    """Numbers come back with the same value: large, small, with 17 digits, integers to 2^53."""
    values = [0.1, 1 / 3, 2 / 3 * 1e-7, -571.0049999999999, 1e-300, 1.7976931348623157e308, 5e-324, 1e21, 0, -1]
    _demand_kept(kit, {"floats": values, "integers": [2**31, 2**53 - 1, -(2**53) + 1], "time_ms": 1764181234567.125})
    return f"{len(values) + 4} numbers"


@check(
    "session.null",
    why='A frame without a gaze has `"gaze": null`. If the key disappears, the record cannot be read.',
    section="values",
    advice="Do not drop keys with null or empty values when you serialise.",
    needs=("session.unknown-fields",),
)
def null(kit: Kit) -> str:
    """Null, false, 0 and empty texts, lists and objects come back as they were sent."""
    empty: dict[str, Any] = {}
    _demand_kept(
        kit,
        {
            **make_record(1),
            "gaze": None,
            "validity": "no_face",
            "target": None,
            "false": False,
            "zero": 0,
            "text": "",
            "list": [],
            "object": empty,
            "nested": [None, {"null": None}, [], [[None]]],
        },
    )
    return "kept"


@check(
    "session.text",
    why="Names of videos and messages in results are not always ASCII.",
    section="values",
    advice="Store and return UTF-8; accept \\u escapes, also pairs of surrogates.",
    needs=("session.unknown-fields",),
)
def text(kit: Kit) -> str:
    """Texts in any script come back unchanged, as values and as keys."""
    texts = ["주의 집중 점수", "naïve Žluťoučký", "👁️‍🗨️ 𝒢", 'quote " backslash \\ slash /', "a.b$c", " spaces "]
    _demand_kept(kit, {"texts": texts, "keys": dict.fromkeys(texts, 1)})
    return f"{len(texts)} texts"


@check(
    "session.unknown-fields",
    why="Later versions of the function store more, and pods of two versions share a session during an update.",
    section="values",
    advice="Do not map records to a fixed schema; keep them as JSON.",
    needs=("session.merge",),
)
def unknown_fields(kit: Kit) -> str:
    """Fields that no version of the contract names come back unchanged, in records and beside them."""
    deep: Any = "value"
    for _ in range(12):
        deep = {"deeper": [deep]}
    _demand_kept(kit, {**make_record(1), "pupil_mm": [3.25, 3.5], "later": {"a": {"b": [1, {"c": 2}]}}, "deep": deep})
    return "kept"


@check(
    "session.ids",
    why="The function accepts these ids; it sends them percent-encoded in the path, %3A for a colon.",
    section="create-a-session",
    advice="Decode the path. Make sure that no router, proxy or framework changes dots, colons or %3A.",
    needs=("session.update",),
)
def ids(kit: Kit) -> str:
    """Ids may have 128 characters: letters, digits, dot, underscore, colon and hyphen."""
    suffixes = ["-a:b:c", "-a.b..c", "-_", "-.", "-:", "-1e5", "-a.json"]
    room = MAX_ID_CHARACTERS - len(kit.name_session())
    for number, suffix in enumerate([*suffixes, "-" + "x" * (room - 1)], 1):
        session_id = kit.create(suffix)
        kit.store.update_session(session_id, number, make_record(number), **kit.viewer)
        found = kit.store.get_session(session_id)
        demand_same({number: make_record(number)}, found.frames, f"frames of the session {session_id}")
    return f"{len(suffixes) + 1} ids"


@check(
    "session.id-case",
    why="The frames of one viewer must not get into the session of another.",
    section="create-a-session",
    advice="Compare ids byte by byte: a binary collation in SQL databases.",
    needs=("session.update",),
)
def id_case(kit: Kit) -> str:
    """Ids that differ only in upper and lower case are different sessions."""
    lower, upper = kit.create("-abc"), kit.create("-ABC")
    kit.store.update_session(lower, 1, make_record(1), **kit.viewer)
    demand(not kit.store.get_session(upper).frames, f"a frame of {lower} is in the session {upper}")
    return "two sessions"


@check(
    "session.frame-numbers",
    why="Frames overtake each other in the network, and some are lost.",
    section="update-a-session",
    advice="Frame numbers are keys, not positions. The order in which a read returns them does not matter.",
    needs=("session.merge",),
)
def frame_numbers(kit: Kit) -> str:
    """Frames may come in any order, with gaps, and with numbers of 15 digits."""
    session_id, order = kit.create(), (9, 10, 2, 1, 100, 11, 4321)
    for number in order:
        kit.store.update_session(session_id, number, make_record(number), **kit.viewer)
    demand_same({number: make_record(number) for number in order}, kit.store.get_session(session_id).frames, "frames")
    large = kit.create("-large")
    demand_answer(kit.put(large, {"999999999999999": make_record(1)}), 200, "message")
    demand_answer(kit.get(large), 200, "session_id")
    return f"{len(order) + 1} frames"


@check(
    "session.long",
    why="Ten minutes at 20 frames a second are 12,000 frames of 400 to 900 bytes.",
    section="sizes",
    advice="Look for limits on bodies and answers in the service, its store and every proxy on the way.",
    needs=(
        "session.numbers",
        "session.null",
    ),
)
def long(kit: Kit) -> str:
    """A session with thousands of frames, several megabytes, comes back complete."""
    session_id = kit.create()
    records = store_frames(kit, session_id, range(1, kit.effort.frames + 1))
    found = kit.store.get_session(session_id).frames
    demand(len(found) == len(records), f"{len(found)} of {len(records)} frames came back")
    demand_same(records, found, "frames")
    size = sum(len(each.received) for each in kit.log.read() if each.method == "GET")
    return f"{len(records)} frames, {size / 1e6:.1f} MB"


@check(
    "session.sparse",
    why="The function reads 5,000 numbers at once. If an answer with `to` leaves out later frames, only `next_from` "
    "leads to them.",
    section="read-a-range",
    advice="Either ignore `from` and `to` and return everything, or send the next existing number as `next_from`.",
    needs=("session.frame-numbers",),
)
def sparse(kit: Kit) -> str:
    """All frames are found where their numbers have large gaps, whether reads are in ranges or not."""
    session_id = kit.create()
    for number in _SPARSE:
        kit.store.update_session(session_id, number, make_record(number), **kit.viewer)
    found = kit.store.get_session(session_id).frames
    lost = [number for number in _SPARSE if number not in found]
    demand(not lost, f"a whole read lacks the frames {lost}; frames 1 to 4999 are the first range")
    return f"frames {', '.join(map(str, _SPARSE))}"


@check(
    "session.range",
    level=Level.RECOMMENDED,
    why="Without ranges, each search for late frames transfers the whole session, which is limited to 64 MB.",
    section="read-a-range",
    advice="Send `next_from` in every answer to a request with `to`, null at the end.",
    needs=("session.sparse",),
)
def range_(kit: Kit) -> str:
    """GET with `component`, `from` and `to` returns these frames only, with `next_from`."""
    session_id = kit.create()
    kit.store.update_frames(session_id, {number: make_record(number) for number in range(1, 21)}, **kit.viewer)
    demand_answer(kit.put(session_id, {"1": 1}, component="blink_detection"), 200, "message")
    found = kit.store.get_session(session_id, first=5, last=9).frames
    demand(set(found) >= set(range(5, 10)), f"frames 5 to 9 were asked for, {sorted(found)} came")
    demand(set(found) == set(range(5, 10)), f"frames 5 to 9 were asked for, {len(found)} came")
    answer = kit.get(session_id, "?component=gaze_tracking&to=9")
    demand("next_from" in answer.body, "`next_from` is missing")
    next_from = answer.body["next_from"]
    demand(isinstance(next_from, int) and next_from == 10, f"`next_from` is {next_from!r} instead of 10")
    last = kit.get(session_id, "?component=gaze_tracking&to=4999").body.get("next_from", "missing")
    demand(last is None, f"`next_from` after the last frame is {last!r} instead of null")
    return "frames 5 to 9 of 20"


@check(
    "session.calibration",
    why="Every pod fits the calibration from the records of the calibration session.",
    section="values",
    advice="See session.null, session.numbers and session.unknown-fields.",
    needs=(
        "session.numbers",
        "session.null",
    ),
)
def calibration(kit: Kit) -> str:
    """A calibration session and a viewing that names it come back so that the viewing can be calibrated."""
    targets = [[x, y] for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)]
    records = {
        number: {
            **make_full_record(number),
            "target": targets[number % 9],
            "calibration_use": ("fit", "validate")[number % 2],
        }
        for number in range(1, 91)
    }
    fitted, viewing = kit.create("-fit"), kit.create("-viewing")
    for start in range(1, 91, 30):
        part = {number: records[number] for number in range(start, start + 30)}
        kit.store.update_frames(fitted, part, **kit.viewer)
    kit.store.update_session(viewing, 1, {**make_record(1), "calibration_session": fitted}, **kit.viewer)
    named = read_calibration_session(kit.store.get_session(viewing))
    demand(named == fitted, f"the viewing names {named!r} instead of {fitted!r}")
    found = kit.store.get_session(fitted)
    demand("result" not in found.settings, "the calibration session has a result")
    for number, record in records.items():
        is_same = read_record(found.frames.get(number)) == read_record(record)
        demand(is_same, f"record {number} of the calibration session is read differently than it was written")
    return f"{len(records)} records of {len(targets)} targets"
