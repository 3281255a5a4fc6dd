"""Requests that are sent at fixed times, whether or not earlier ones are answered, and their latencies.

A client that waits for each answer sends nothing while the server is slow, so slow times hardly count ("coordinated
omission"). Here, a latency begins when a request was due, even if it was sent later.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class OpenLoopOutcome:
    """Latencies of requests that were sent at a fixed rate.

    Attributes:
        latencies_s: Time from when each request was due to its answer, in the order in which they were due.
    """

    latencies_s: tuple[float, ...]

    @property
    def median_s(self) -> float:
        """Median latency."""
        return float(np.quantile(self.latencies_s, 0.5))

    @property
    def p99_s(self) -> float:
        """99th percentile of the latencies, interpolated between two of them."""
        return float(np.quantile(self.latencies_s, 0.99))


def send_at_fixed_rate(
    senders: Sequence[Callable[[int], object]],
    *,
    rate_per_s: float,
    count: int,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> OpenLoopOutcome:
    """Send requests at fixed times and return their latencies.

    Args:
        senders: Each sends the request with a number, from 0, and waits for its answer. At most one request is on its
            way in each; a request for which none is free is sent late, which its latency includes.
        rate_per_s: Requests per second.
        count: Number of requests.
        clock: Returns the time in seconds.
        sleep: Waits for a number of seconds.

    Raises:
        ValueError: The rate is not positive.
    """
    if rate_per_s <= 0:
        raise ValueError(f"a rate of {rate_per_s:g} requests per second is not positive")
    latencies_s = [0.0] * count
    numbers, lock = itertools.count(), threading.Lock()
    started_s = clock()

    def work(send: Callable[[int], object]) -> None:
        while True:
            with lock:
                number = next(numbers)
            if number >= count:
                return
            due_s = started_s + number / rate_per_s
            sleep(max(0.0, due_s - clock()))
            send(number)
            latencies_s[number] = clock() - due_s

    with ThreadPoolExecutor(len(senders)) as pool:
        list(pool.map(work, senders))
    return OpenLoopOutcome(tuple(latencies_s))
