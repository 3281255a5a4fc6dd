"""Repeated measurements of wall and CPU time, interleaved, and their summaries."""

import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

WARM_UP_TURNS = 3
"""Turns that are not counted: caches fill, and libraries allocate what they keep."""


_Case = TypeVar("_Case")
_Round = TypeVar("_Round")


@dataclass(frozen=True, slots=True)
class StepCost:
    """Time that a step took.

    Attributes:
        wall_s: Elapsed time.
        cpu_s: User and system time of the whole process, all threads included.
    """

    wall_s: float
    cpu_s: float


Step = Callable[[int], StepCost]
"""Does the work of one turn, whose number it gets, and returns what that cost."""


def timed(work: Callable[[int], object], *, calls: int = 1) -> Step:
    """Return a step that times a function.

    Args:
        work: Called with the number of the turn.
        calls: Calls of each turn; the cost is that of one. For functions that take only microseconds.
    """

    def step(turn: int) -> StepCost:
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        for _ in range(calls):
            work(turn)
        cpu_s, wall_s = time.process_time() - cpu_started_s, time.perf_counter() - started_s
        return StepCost(wall_s / calls, cpu_s / calls)

    return step


def alternate(cases: Sequence[_Case], rounds: int) -> Iterator[_Case]:
    """Yield all cases once in each round, in an order that is reversed from round to round.

    A machine that becomes slower does so for all cases, and no case always follows the same one.
    """
    for at in range(rounds):
        yield from cases if at % 2 == 0 else cases[::-1]


def sample(steps: Mapping[str, Step], *, turns: int, warm_up: int = WARM_UP_TURNS) -> dict[str, list[StepCost]]:
    """Return the costs of each step, one for each turn.

    In each turn all steps run once, in the order of `alternate`. So the costs of a turn can be divided by each other.

    Args:
        steps: Steps by name.
        turns: Number of turns that count.
        warm_up: Number of turns before them.
    """
    costs: dict[str, list[StepCost]] = {name: [] for name in steps}
    for at, name in enumerate(alternate(list(steps), warm_up + turns)):
        turn = at // len(steps)
        cost = steps[name](turn)
        if turn >= warm_up:
            costs[name].append(cost)
    return costs


@dataclass(frozen=True, slots=True)
class Summary:
    """Median and spread of samples, in their unit.

    Attributes:
        median: Median.
        lower_quartile: 25th percentile.
        upper_quartile: 75th percentile.
        p99: 99th percentile.
        count: Number of samples.
    """

    median: float
    lower_quartile: float
    upper_quartile: float
    p99: float
    count: int

    @property
    def relative_spread(self) -> float:
        """Half the distance between the quartiles, as a share of the median; 0 if the median is 0."""
        return 0.0 if self.median == 0 else (self.upper_quartile - self.lower_quartile) / 2 / self.median


def summarise(samples: Sequence[float]) -> Summary:
    """Return median and spread; quantiles between two samples are interpolated.

    Raises:
        ValueError: There are no samples.
    """
    if not samples:
        raise ValueError("there are no samples to summarise")
    lower, median, upper, p99 = np.quantile(samples, (0.25, 0.5, 0.75, 0.99)).tolist()
    return Summary(median, lower, upper, p99, len(samples))


def median_of(rounds: Iterable[_Round], read: Callable[[_Round], float]) -> float:
    """Return the median of what `read` returns for each round.

    Raises:
        statistics.StatisticsError: There are no rounds.
    """
    return statistics.median(map(read, rounds))


def median_ratio(samples: Sequence[float], baseline: Sequence[float]) -> float:
    """Return the median of the ratios to a baseline, turn by turn; of the medians if the numbers of turns differ.

    Raises:
        ValueError: There are no samples, or a baseline that is not positive.
    """
    if not samples or not baseline or min(baseline) <= 0:
        raise ValueError("a ratio needs samples, and a baseline above zero")
    if len(samples) == len(baseline):
        return float(np.median(np.divide(samples, baseline)))
    return float(np.median(samples) / np.median(baseline))


def thin_out(samples: Sequence[float], limit: int) -> list[float]:
    """Return at most `limit` samples, evenly spaced over the run."""
    if len(samples) <= limit:
        return list(samples)
    return [samples[index] for index in np.linspace(0, len(samples) - 1, limit).round().astype(int)]
