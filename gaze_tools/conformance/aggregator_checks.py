"""Checks of a result aggregator."""

import json
import re
import time
import uuid
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gaze_tools.conformance.checks import Level, NotApplicableError, NotConformingError, check
from gaze_tools.conformance.clients import ServiceTarget, Wire, WireAnswer
from gaze_tools.conformance.exchanges import WireExchange
from gaze_tools.conformance.http_checks import ServiceCalls, demand_refusal, make_http_checks
from gaze_tools.conformance.kit import IP_ADDRESS, PREFIX, Kit
from gaze_tools.conformance.values import demand

_PATH = "/aggregate"
_LATE_S = 1.0
"""Time that an aggregator may take to list what it has accepted."""


def _make_body(kit: Kit, viewer: str, **changes: object) -> dict[str, Any]:
    """Return the fields of the original contract for a viewer of the check."""
    body = {
        "video_id": f"{kit.video_id}-{viewer}",
        "final_score": 63.21,
        "ip_address": IP_ADDRESS,
        "model_type": "gaze",
    }
    return body | changes


def _send(kit: Kit, video_id: str, *, score: float = 63.21, key: str, **changes: Any) -> None:  # noqa: ANN401
    options: dict[str, Any] = {"session_id": f"{PREFIX}-{kit.run.run_id}", "score_valid": True, "coverage": 0.975}
    options |= changes
    address = options.pop("ip_address", IP_ADDRESS)
    kit.sink.send_result(score, video_id, address, idempotency_key=key, **options)


def _make_key() -> str:
    return str(uuid.uuid4())


@check(
    "aggregator.accept",
    why="The function treats anything else as a failure, and delivers again when the last frame is repeated.",
    section="deliver-a-result",
    advice="Answer 200, not 201 or 202, once the score is stored. The function follows no redirects.",
)
def accept(kit: Kit) -> str:
    """POST /aggregate with the four original fields is answered 200 with `"status": "success"`."""
    answer = kit.wire.call("POST", _PATH, _make_body(kit, "accept"), key=_make_key())
    if answer.status != 200:
        raise NotConformingError(f"the status is {answer.status} instead of 200", answer.exchange)
    demand(answer.is_object, "the answer is not a JSON object")
    demand(answer.body.get("status") == "success", f"`status` is {answer.body.get('status')!r} instead of 'success'")
    return "200"


@check(
    "aggregator.delivery",
    why="The function always sends them.",
    section="deliver-a-result",
    advice="Ignore fields and headers that you do not use.",
    needs=("aggregator.accept",),
)
def delivery(kit: Kit) -> str:
    """The function's delivery is accepted, with `session_id`, `score_valid`, `coverage` and Idempotency-Key."""
    _send(kit, f"{kit.video_id}-delivery", key=_make_key())
    return "accepted"


@check(
    "aggregator.scores",
    why="Viewers who never look at the salient places score 0; a score without usable frames is 0 and not valid.",
    section="deliver-a-result",
    advice="Do not treat 0, 0.0 or false as a missing value.",
    needs=("aggregator.delivery",),
)
def scores(kit: Kit) -> str:
    """Scores from 0 to 100 are accepted, with and without decimals, also those that are not valid."""
    values: tuple[float, ...] = (0.0, 0, 0.01, 33.333333333333336, 100, 100.0)
    for number, value in enumerate(values):
        is_valid = value > 0
        _send(
            kit,
            f"{kit.video_id}-score-{number}",
            score=value,
            key=_make_key(),
            score_valid=is_valid,
            coverage=0.5 if is_valid else 0.0,
        )
    return f"{len(values)} scores"


@check(
    "aggregator.viewers",
    why="The gateway may send a pseudonym as `ip_address`; the function passes it on as it is.",
    section="deliver-a-result",
    advice="Do not parse the address.",
    needs=("aggregator.delivery",),
)
def viewers(kit: Kit) -> str:
    """Addresses of any form are accepted: IPv6, pseudonyms, other scripts; video ids with dots and hyphens."""
    addresses = ("2001:db8::7", "viewer-3f2c9a52", "참가자 7", "x" * 64)
    for number, address in enumerate(addresses):
        _send(kit, f"{kit.video_id}.viewers_{number}-v1.2", key=_make_key(), ip_address=address)
    return f"{len(addresses)} addresses"


@check(
    "aggregator.repeat",
    why="After a lost answer the function delivers again. A conflict would end every later last frame with 502.",
    section="deliver-a-result",
    advice="Answer a known key like the first time, not with 409.",
    needs=("aggregator.delivery",),
)
def repeat_delivery(kit: Kit) -> str:
    """The same delivery again, with the same idempotency key, is answered 200 with `success`."""
    key = _make_key()
    for _ in range(3):
        _send(kit, f"{kit.video_id}-repeat", key=key)
    return "3 times 200"


@check(
    "aggregator.concurrent",
    why="Viewers of one film end at the same time, and two pods may deliver the same result.",
    section="deliver-a-result",
    advice="Treat the second of two concurrent inserts with one key as a repetition.",
    needs=("aggregator.repeat",),
)
def concurrent_deliveries(kit: Kit) -> str:
    """Concurrent deliveries are accepted, both of different viewers and with the same key."""
    key, clients = _make_key(), range(kit.effort.threads)
    kit.at_once([partial(_send, kit, f"{kit.video_id}-concurrent-{client}", key=_make_key()) for client in clients])
    kit.at_once([partial(_send, kit, f"{kit.video_id}-concurrent", key=key) for _ in clients])
    return f"2 times {len(clients)} deliveries"


@check(
    "aggregator.once",
    why="A delivery may be repeated; only the aggregator can make sure that it counts once.",
    section="deliver-a-result",
    advice="Store the key with the score, with a unique index, in the same transaction.",
    needs=("aggregator.concurrent",),
)
def once(kit: Kit) -> str:
    """Deliveries with the same idempotency key take effect once."""
    if kit.run.results_url is None:
        raise NotApplicableError("the contract has no call that reads results: add --results-url, if you have one")
    count = partial(_count_listed, kit, kit.run.results_url)
    single, repeated = (f"{kit.video_id}-{name}" for name in ("single", "repeated"))
    key = _make_key()
    _send(kit, single, key=_make_key())
    for _ in range(2):
        _send(kit, repeated, key=key)
    kit.at_once([partial(_send, kit, repeated, key=key) for _ in range(kit.effort.threads)])
    expected = count(single)
    demand(expected, f"the results at --results-url do not name the video {single}, whose score was accepted")
    found = count(repeated)
    demand(
        found == expected,
        f"the results name the video whose score was sent {2 + kit.effort.threads} times with one key {found} times, "
        f"and the one whose score was sent once {expected} times",
    )
    return f"{2 + kit.effort.threads} deliveries, 1 effect"


def _count_listed(kit: Kit, results_url: str, video_id: str) -> int:
    """Return how often the list of results names a video, in any text format."""
    parts = urlsplit(results_url)
    target = ServiceTarget(
        f"{parts.scheme}://{parts.netloc}", kit.target.timeout_s, kit.target.ca_bundle, kit.target.proxy
    )
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    deadline_s = time.monotonic() + _LATE_S
    while True:
        answer = Wire(target, kit.log).call("GET", path)
        if answer.status != 200:
            raise NotConformingError(f"--results-url is answered {answer.status} instead of 200", answer.exchange)
        found = _count_names(answer.exchange.received, video_id)
        if found or time.monotonic() > deadline_s:
            _forget_others(kit, answer.exchange, video_id)
            return found
        time.sleep(0.1)


def _count_names(text: bytes, video_id: str) -> int:
    return len(re.findall(rb"(?<![\w.-])" + re.escape(video_id.encode()) + rb"(?![\w.-])", text))


def _forget_others(kit: Kit, exchange: WireExchange, video_id: str) -> None:
    """Make a report show the number of results instead of the results of other viewers."""
    found = _count_names(exchange.received, video_id)
    summary = f"(results of others left out; {len(exchange.received)} bytes name {video_id} {found} times)".encode()
    kit.log.add(WireExchange(exchange.method, exchange.path, None, exchange.duration_s, exchange.status, summary))


@check(
    "aggregator.malformed",
    level=Level.RECOMMENDED,
    why="The function sends none, but a faulty client should learn that repeating would not help.",
    section="deliver-a-result",
    advice="Answer 400 to what is not JSON, lacks a field, or has a score outside 0 to 100.",
    needs=("aggregator.accept",),
)
def malformed_delivery(kit: Kit) -> str:
    """Malformed deliveries are answered 4xx with `"status": "error"`."""
    without_score = _make_body(kit, "malformed")
    del without_score["final_score"]
    cases = {
        "half of a JSON object": b'{"video_id": "',
        "a JSON list": b"[1]",
        "a delivery without a score": json.dumps(without_score).encode(),
        "a score of 101": json.dumps(_make_body(kit, "malformed", final_score=101)).encode(),
        "a text as score": json.dumps(_make_body(kit, "malformed", final_score="high")).encode(),
    }
    for what, body in cases.items():
        answer = kit.wire.call("POST", _PATH, raw=body, key=_make_key())
        demand_refusal(answer, what)
        if answer.body.get("status") != "error":
            raise NotConformingError(f"the answer to {what} has no `status` with the text 'error'", answer.exchange)
    return f"{len(cases)} malformed deliveries"


def _post(kit: Kit, number: int) -> WireAnswer:
    return kit.wire.call("POST", _PATH, _make_body(kit, f"http-{number % 2}"), key=f"{kit.video_id}-http-{number % 2}")


AGGREGATOR_HTTP_CHECKS = make_http_checks(ServiceCalls("aggregator", "aggregator.accept", _post))
