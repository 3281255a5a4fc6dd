"""How often a deployment looks at the cluster, and how it is interrupted."""

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

from gaze_tools.deploy.kubectl import DeployError
from gaze_tools.deploy.lock import DeployLock

SLICE_S = 0.2
"""Longest sleep before a signal is noticed."""


class InterruptedDeployError(DeployError):
    """SIGINT, SIGTERM or SIGHUP arrived."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by {signal.Signals(number).name}")
        self.status = 128 + number


class Interruption:
    """Notes SIGINT, SIGTERM and SIGHUP (a closed terminal), so that no call of kubectl is cut off in the middle."""

    def __init__(self) -> None:
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Handle the signals from now on; nohup's choice to ignore SIGHUP stays."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
            numbers.append(signal.SIGHUP)
        self._before = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(self, *_: object) -> None:
        """Handle them as before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Raise if a signal has arrived.

        Raises:
            InterruptedDeployError: Once for each signal.
        """
        if (number := self._signal) is not None:
            self._signal = None
            raise InterruptedDeployError(number)

    def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            InterruptedDeployError: A signal arrived.
        """
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            time.sleep(min(rest, SLICE_S))
            self.check()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._signal = number


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of a deployment, counted in polls so that a slow cluster gets more time."""

    poll_s: float
    step_polls: int
    """Polls for which each step is watched."""
    grace_polls: int
    """Polls in a row after which a failure that may pass counts."""
    timeout_polls: int
    """Polls after which pods that are not ready count as failed."""


class Polling:
    """Waits between looks at the cluster, keeps the lock, and ends when a signal arrives."""

    def __init__(self, pace: Pace, interruption: Interruption, lock: DeployLock) -> None:
        self.pace = pace
        self.interruption = interruption
        self._lock = lock

    def count(self, polls: int) -> Iterator[int]:
        """Yield 0, 1, … `polls` - 1, with a pause after each.

        Raises:
            InterruptedDeployError: A signal arrived.
            LockLostError: Another deployment has taken the lock.
        """
        for number in range(polls):
            self.interruption.check()
            self._lock.renew()
            yield number
            self.interruption.sleep(self.pace.poll_s)
