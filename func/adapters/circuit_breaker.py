"""Stop calls to a service that keeps failing, and send single probes until it has recovered."""

# Why not pybreaker: it holds its lock during a call, so calls would wait for each other.

import logging
import threading
import time
from collections.abc import Callable

from func.log_lines import Event

_log = logging.getLogger(__name__)


class CircuitOpenError(Exception):
    """The service was not called, because it failed too often recently."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"not called again for {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class CircuitBreaker:
    """Counts consecutive failures of one service; thread-safe.

    Closed: all calls are allowed. Open, after `failures` consecutive failures: no call is allowed. Half-open, `pause_s`
    later: one call is allowed as a probe. If it succeeds, the circuit closes; if it fails, the circuit opens again.
    """

    def __init__(
        self,
        service: str,
        *,
        failures: int = 5,
        pause_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start closed.

        Args:
            service: Name of the service in the log.
            failures: Number of consecutive failures that open the circuit.
            pause_s: Time before the next probe.
            clock: Monotonic clock in seconds.
        """
        self._service = service
        self._max_failures = failures
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._probe_at_s: float | None = None
        """Time of the next probe; None while closed."""
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether all calls except probes are refused."""
        return self._probe_at_s is not None

    def admit(self) -> bool:
        """Allow a call, whose outcome must be recorded, and return whether it is the probe.

        Raises:
            CircuitOpenError: The call is not allowed.
        """
        with self._lock:
            if self._probe_at_s is None:
                return False
            wait_s = self._probe_at_s - self._clock()
            if wait_s > 0 or self._is_probing:
                raise CircuitOpenError(wait_s if wait_s > 0 else self._pause_s)
            self._is_probing = True
            return True

    def record(self, *, failed: bool | None, is_probe: bool) -> None:
        """Record the outcome of a call.

        Args:
            failed: Whether the call failed; None if it says nothing about the service.
            is_probe: Return value of `admit`.
        """
        with self._lock:
            if is_probe:
                self._is_probing = False
            if failed is None:
                return
            if not failed:
                if self._probe_at_s is not None:
                    _log.warning(Event("circuit closed", service=self._service))
                self._failures, self._probe_at_s = 0, None
                return
            self._failures += 1
            if is_probe:
                self._probe_at_s = self._clock() + self._pause_s
            elif self._probe_at_s is None and self._failures >= self._max_failures:
                self._probe_at_s = self._clock() + self._pause_s
                _log.warning(Event("circuit opened", service=self._service, failures=self._failures))
