"""What adapters report about calls to upstream services, for metrics."""

from collections.abc import Callable
from typing import Protocol


class UpstreamObserver(Protocol):
    """Counts and times calls to upstream services: `session_api`, `aggregator` and `saliency_store`; thread-safe."""

    def observe_call(self, service: str, duration_s: float) -> None:
        """Report a call with all its retries, whatever its outcome."""

    def count_retry(self, service: str) -> None:
        """Report a further attempt."""

    def count_upstream_error(self, service: str, kind: str) -> None:
        """Report a failed attempt: `failed`, `timeout`, `busy`, `denied`, or `circuit_open` if it was not made."""

    def watch_circuit(self, service: str, is_open: Callable[[], bool]) -> None:
        """Use `is_open` for the state of the circuit breaker of a service."""


class Unobserved:
    """Reports nothing."""

    def observe_call(self, service: str, duration_s: float) -> None:
        """Ignore a call."""

    def count_retry(self, service: str) -> None:
        """Ignore a further attempt."""

    def count_upstream_error(self, service: str, kind: str) -> None:
        """Ignore a failed attempt."""

    def watch_circuit(self, service: str, is_open: Callable[[], bool]) -> None:
        """Ignore the circuit breaker."""
