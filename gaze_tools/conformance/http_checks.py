"""Checks of both services: formats, connections, durations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gaze_tools.conformance.checks import ConformanceCheck, Level, NotConformingError, check
from gaze_tools.conformance.clients import WireAnswer
from gaze_tools.conformance.exchanges import find_percentile
from gaze_tools.conformance.kit import Kit
from gaze_tools.conformance.values import demand, make_record

REQUEST_TIMEOUT_S = 8.0
"""Default of the function's setting: time for a frame with all its calls."""

FIRST_FRAME_CALLS = 3
"""Calls of the session API for a viewer's first frame: update, creation, update."""


@dataclass(frozen=True, slots=True)
class ServiceCalls:
    """Ordinary requests to a service, for checks of what all its answers have in common.

    Attributes:
        service: `session` or `aggregator`.
        needs: Check of the ordinary request.
        make: Sends one ordinary request, with a number that makes it different from others.
    """

    service: str
    needs: str
    make: Callable[[Kit, int], WireAnswer]


def make_http_checks(calls: ServiceCalls) -> tuple[ConformanceCheck, ...]:
    """Return the checks that are the same for both services."""
    service, needs = calls.service, (calls.needs,)

    @check(
        f"{service}.root",
        level=Level.RECOMMENDED,
        why="GET /health/readiness of the function asks for it, and reports the service as unreachable without it.",
        section="answers-and-errors",
        advice="Any status will do, even 404. Check that no proxy on the way swallows unknown paths.",
    )
    def root(kit: Kit) -> str:
        """GET / gets an answer of any status within a second."""
        adapter = kit.store if service == "session" else kit.sink
        demand(adapter.is_reachable(), "no answer within a second")
        return "answered"

    @check(
        f"{service}.content-type",
        level=Level.RECOMMENDED,
        why="The function ignores it, but proxies and other clients do not.",
        section="answers-and-errors",
        advice="Set the header in all answers, errors included.",
        needs=needs,
    )
    def content_type(kit: Kit) -> str:
        """Answers have the content type application/json."""
        found = calls.make(kit, 1).headers.get("Content-Type", "")
        is_json = found.partition(";")[0].strip().lower() == "application/json"
        demand(is_json, f"the content type is {found!r}" if found else "there is no content type")
        return found

    @check(
        f"{service}.keep-alive",
        level=Level.RECOMMENDED,
        why="Otherwise every frame costs a new connection, and with TLS a handshake.",
        section="answers-and-errors",
        advice="Use HTTP/1.1 with Content-Length or chunks, and keep connections open for at least 30 s without use.",
        needs=needs,
    )
    def keep_alive(kit: Kit) -> str:
        """Several requests can use one connection."""
        ports = []
        for number in range(5):
            calls.make(kit, number)
            ports.append(kit.wire.find_port())
        demand(None not in ports, "the service closes the connection after an answer")
        demand(len(set(ports)) == 1, f"5 requests took {len(set(ports))} connections")
        return "5 requests, 1 connection"

    @check(
        f"{service}.latency",
        level=Level.RECOMMENDED,
        why=f"A first frame needs {FIRST_FRAME_CALLS} calls in REQUEST_TIMEOUT_S ({REQUEST_TIMEOUT_S:g} s), each "
        "within HTTP_TIMEOUT_S.",
        section="answers-and-errors",
        advice="Make it faster, or set both to higher values.",
        needs=needs,
    )
    def latency(kit: Kit) -> str:
        """95 of 100 calls, one after another, are answered within the time that the function has for them."""
        for number in range(kit.effort.calls):
            calls.make(kit, number)
        # The first one opens the connection.
        times_s = [each.duration_s for each in kit.log.read()][1:]
        limit_s = min(kit.target.timeout_s, REQUEST_TIMEOUT_S / FIRST_FRAME_CALLS)
        p95_s = find_percentile(times_s, 0.95)
        demand(p95_s <= limit_s, f"the 95th percentile is {p95_s:.2f} s, the limit {limit_s:.2f} s")
        return f"median {1000 * find_percentile(times_s, 0.5):.1f} ms, 95th percentile {1000 * p95_s:.1f} ms"

    @check(
        f"{service}.steady",
        level=Level.RECOMMENDED,
        why="The function repeats such requests twice, but only for a fifth of its calls.",
        section="answers-and-errors",
        advice="Look for crashing workers, connection and rate limits, and idle timeouts below 30 s.",
        needs=needs,
    )
    def steady(kit: Kit) -> str:
        """No request of the run had a broken connection, a timeout, or the answer 429, 502, 503 or 504."""
        for number in range(kit.effort.calls):
            calls.make(kit, number)
        name = "/aggregate" if service == "aggregator" else "session"
        seen = [each for each in kit.run.log.read() if name in each.call]
        failed = [each for each in seen if each.must_be_repeated]
        kinds = sorted({each.failure or f"answered {each.status}" for each in failed})
        demand(not failed, f"{len(failed)} of {len(seen)} requests had to be repeated: {'; '.join(kinds)[:200]}")
        return f"{len(seen)} requests"

    return root, content_type, keep_alive, latency, steady


def demand_refusal(answer: WireAnswer, what: str) -> None:
    """Check that a malformed request is refused as such.

    Raises:
        NotConformingError: It was accepted, or answered with a failure of the server.
    """
    if not 400 <= answer.status < 500:
        raise NotConformingError(f"{what} is answered {answer.status} instead of 400", answer.exchange)


def put_frame(kit: Kit, number: int) -> WireAnswer:
    """Update a session of the check, which is created by the first call."""
    session_id = kit.name_session("-http")
    answer = kit.put(session_id, {str(number): make_record(number)})
    if answer.status == 404:
        kit.make(session_id)
        answer = kit.put(session_id, {str(number): make_record(number)})
    return answer


SESSION_HTTP_CHECKS = make_http_checks(ServiceCalls("session", "session.update", put_frame))


@check(
    "session.malformed",
    level=Level.RECOMMENDED,
    why="The function sends none, but a faulty client should learn that repeating would not help.",
    section="answers-and-errors",
    advice="Answer 400 to anything that is not JSON of the form in the contract.",
    needs=("session.update",),
)
def malformed(kit: Kit) -> str:
    """Malformed requests are answered 4xx, and the service keeps working."""
    session_id = kit.create()
    put = f"/update_session/{session_id}"
    cases: Mapping[str, tuple[str, str, bytes]] = {
        "half of a JSON object": ("PUT", put, b'{"component": "gaze_tracking", "data": {'),
        "a JSON list": ("PUT", put, b"[1, 2]"),
        "a list as `data`": ("PUT", put, b'{"component": "gaze_tracking", "data": [1]}'),
        "an update without `data`": ("PUT", put, b'{"component": "gaze_tracking"}'),
        "a creation that is not JSON": ("POST", "/mk-session", b"session_id=1"),
        "a creation without `session_id`": ("POST", "/mk-session", b'{"video_id": "contents1"}'),
    }
    for what, (method, path, body) in cases.items():
        demand_refusal(kit.wire.call(method, path, raw=body), what)
    kit.store.update_session(session_id, 1, make_record(1), **kit.viewer)
    return f"{len(cases)} malformed requests"
