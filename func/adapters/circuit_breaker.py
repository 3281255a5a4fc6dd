"""Stop calling a service that keeps failing, and find out with one call at a time whether it has recovered."""

# Not pybreaker (BSD, maintained): its lock is held during a call, so calls would wait for each other.

import logging
import threading
import time
from collections.abc import Callable

_log = logging.getLogger(__name__)


class CircuitOpenError(Exception):
    """The service failed too often just now; it was not called."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"not called again for {retry_after_s:.1f} s")
        self.retry_after_s = retry_after_s


class CircuitBreaker:
    """Counts consecutive failures of one service; safe to use from several threads.

    Closed: every call goes out. Open, after `failures` consecutive failures: none does. Half-open, `pause_s` later: one
    call goes out as a probe; its success closes the circuit, its failure opens it again.
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
            service: Its name in the log.
            failures: Consecutive failures that open the circuit.
            pause_s: How long it stays open before the next probe.
            clock: Monotonic, in seconds.
        """
        self._service = service
        self._max_failures = failures
        self._pause_s = pause_s
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._probe_at_s: float | None = None
        """When the next probe may go out; None while closed."""
        self._is_probing = False

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for probes."""
        return self._probe_at_s is not None

    def admit(self) -> bool:
        """Let a call go out, which must be followed by `record`; return whether it is the probe.

        Raises:
            CircuitOpenError: It may not go out.
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
        """Count the outcome of a call.

        Args:
            failed: None when the call says nothing about the service.
            is_probe: As `admit` returned it.
        """
        with self._lock:
            if is_probe:
                self._is_probing = False
            if failed is None:
                return
            if not failed:
                if self._probe_at_s is not None:
                    _log.warning("%s: circuit closed", self._service)
                self._failures, self._probe_at_s = 0, None
                return
            self._failures += 1
            if is_probe:
                self._probe_at_s = self._clock() + self._pause_s
            elif self._probe_at_s is None and self._failures >= self._max_failures:
                self._probe_at_s = self._clock() + self._pause_s
                _log.warning("%s: circuit opened after %d consecutive failures", self._service, self._failures)
