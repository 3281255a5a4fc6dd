"""What checks work with: clients of the service, ids of sessions, and the size of the checks."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import quote

from func.adapters.aggregator import HttpResultSink
from func.adapters.session_api import COMPONENT, HttpSessionStore
from gaze_tools.conformance.clients import ServiceTarget, Wire, WireAnswer, make_result_sink, make_session_store
from gaze_tools.conformance.exchanges import ExchangeLog

PREFIX = "gaze-conformance"
"""Beginning of every session id and video id of the kit."""

IP_ADDRESS = "192.0.2.1"
"""Address of the viewers of the kit, from the range for documentation."""

CALLS = ("POST /mk-session", "GET /get_session", "PUT /update_session", "POST /aggregate")
"""The calls of the contract."""

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class KitEffort:
    """Size of the checks.

    Attributes:
        threads: Concurrent clients.
        updates: Concurrent updates of one session.
        earlier_frames: Frames of that session before them.
        rounds: Repetitions of a check that only fails sometimes.
        frames: Frames of a long session.
        result_bytes: Size of a large result.
        calls: Calls whose duration is measured.
    """

    threads: int = 16
    updates: int = 96
    earlier_frames: int = 1000
    rounds: int = 10
    frames: int = 4000
    result_bytes: int = 2 * 1024 * 1024
    calls: int = 50


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the kit.

    Attributes:
        run_id: Random text in all its ids.
        effort: Size of the checks.
        wait_s: Longest time to wait for a session to expire; 0 does not wait.
        results_url: URL that lists what the aggregator has stored; None if there is none.
        ttl_s: Lifetime of a session after its last use, for services that do not report it; None if unknown.
        log: All exchanges.
        session_ids: Ids of all sessions that may have been created.
    """

    run_id: str
    effort: KitEffort = field(default_factory=KitEffort)
    wait_s: float = 0.0
    results_url: str | None = None
    ttl_s: float | None = None
    log: ExchangeLog = field(default_factory=ExchangeLog)
    session_ids: list[str] = field(default_factory=list)


def is_own_id(session_id: str) -> bool:
    """Return whether a session was made by the kit."""
    return session_id.startswith(f"{PREFIX}-")


class Kit:
    """Clients and names for one check; each check has its own, so that none depends on another."""

    def __init__(self, target: ServiceTarget, run: Run, name: str) -> None:
        """Prepare a check.

        Args:
            target: The service.
            run: The run that it belongs to.
            name: Name of the check, used in the ids that it makes.
        """
        self.target = target
        self.run = run
        self.effort = run.effort
        self.log = ExchangeLog(run.log)
        self.video_id = f"{PREFIX}-{run.run_id}"
        self._name = name.replace(".", "-")

    @cached_property
    def store(self) -> HttpSessionStore:
        """The function's client of the session API."""
        return make_session_store(self.target, self.log)

    @cached_property
    def sink(self) -> HttpResultSink:
        """The function's client of the aggregator."""
        return make_result_sink(self.target, self.log)

    @cached_property
    def wire(self) -> Wire:
        """A client for any request."""
        return Wire(self.target, self.log)

    @property
    def viewer(self) -> dict[str, str]:
        """Address and video of the sessions."""
        return {"ip_address": IP_ADDRESS, "video_id": self.video_id}

    def name_session(self, suffix: str = "") -> str:
        """Return the id of a session of this check, which is removed after the run."""
        session_id = f"{PREFIX}-{self.run.run_id}-{self._name}{suffix}"
        if session_id not in self.run.session_ids:
            self.run.session_ids.append(session_id)
        return session_id

    def create(self, suffix: str = "") -> str:
        """Create a session and return its id."""
        session_id = self.name_session(suffix)
        self.store.create_session(session_id, **self.viewer)
        return session_id

    def make(self, session_id: str) -> WireAnswer:
        """Send `POST /mk-session`."""
        return self.wire.call("POST", "/mk-session", {"session_id": session_id, **self.viewer})

    def get(self, session_id: str, query: str = "") -> WireAnswer:
        """Send `GET /get_session/<id>`."""
        return self.wire.call("GET", f"/get_session/{quote(session_id, safe='')}{query}")

    def put(
        self, session_id: str, values: Mapping[str, Any], *, component: str = COMPONENT, **condition: str
    ) -> WireAnswer:
        """Send `PUT /update_session/<id>`."""
        body = {"component": component, "data": {"components": {component: values}}, **condition}
        return self.wire.call("PUT", f"/update_session/{quote(session_id, safe='')}", body)

    def put_component(self, session_id: str, component: str, values: Mapping[str, Any]) -> None:
        """Merge values into a component as another service would; may be called from several threads.

        Raises:
            SessionStoreError: The answer is not 200.
        """
        body = {"component": component, "data": {"components": {component: values}}}
        self.store._client.call("PUT", ("update_session", session_id), expected=(200,), payload=body)

    def at_once(self, calls: Sequence[Callable[[], _Result]]) -> list[_Result]:
        """Make calls in parallel, as many at once as there are clients, and return their results in order.

        Raises:
            Exception: The first error of a call, after all of them have ended.
        """
        clients = min(self.effort.threads, len(calls))
        # All clients begin together, so that the first requests really are concurrent.
        barrier, started = threading.Barrier(clients), threading.local()

        def make(call: Callable[[], _Result]) -> _Result:
            if not getattr(started, "yes", False):
                started.yes = True
                barrier.wait(60)
            return call()

        with ThreadPoolExecutor(clients) as pool:
            futures = [pool.submit(make, call) for call in calls]
        return [future.result() for future in futures]
