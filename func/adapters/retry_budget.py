"""How many calls may be repeated: a share of all calls, so that retries never double the load on a failing service."""

import threading


class RetryBudget:
    """A token bucket; safe to use from several threads. Every call adds a share of a token, every retry takes one."""

    def __init__(self, *, share: float = 0.2, burst: int = 10) -> None:
        """Start with a full bucket.

        Args:
            share: Retries allowed for each call in the long run.
            burst: Retries allowed at once, and the size of the bucket.
        """
        self._share = share
        self._burst = float(burst)
        self._tokens = self._burst
        self._lock = threading.Lock()

    def record_call(self) -> None:
        """Add what a new call is worth."""
        with self._lock:
            self._tokens = min(self._burst, self._tokens + self._share)

    def take(self) -> bool:
        """Take a token for a retry; False when there is none left."""
        with self._lock:
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True
