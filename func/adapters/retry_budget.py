"""Limit retries to a share of all calls, so that they cannot double the load on a failing service."""

import threading


class RetryBudget:
    """Token bucket to which each call adds a share of a token, and from which each retry takes one; thread-safe."""

    def __init__(self, *, share: float = 0.2, burst: int = 10) -> None:
        """Start with a full bucket.

        Args:
            share: Retries per call in the long run.
            burst: Capacity of the bucket: maximum number of retries in a burst.
        """
        self._share = share
        self._burst = float(burst)
        self._tokens = self._burst
        self._lock = threading.Lock()

    def record_call(self) -> None:
        """Add the share of a call."""
        with self._lock:
            self._tokens = min(self._burst, self._tokens + self._share)

    def take(self) -> bool:
        """Take a token for a retry and return True; False if there is none left."""
        with self._lock:
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True
