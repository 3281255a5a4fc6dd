"""What the project wants to reach, relative to the bare networks where it depends on the machine."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gaze_tools.bench import half_load, start, two_processes
from gaze_tools.bench.names import BARE_NETWORKS, ENGINES, LOAD, name_load
from gaze_tools.bench.results import BenchNumber, Limit, MeasuredQuantity

SECTION = "targets"

MAX_CPU_RATIO: Mapping[str, float] = {"mediapipe": 1.8, "litert": 1.35}
MAX_REQUEST_RATIO: Mapping[str, float] = {"mediapipe": 2.3, "litert": 1.8}
MAX_P99_RATIO = 2.0
MIN_GAIN = 1.85
"""Minimum gain from a second process on a second core: twice the CPU time of a frame with one process, divided by that
with two. Frames per second would also depend on the upstream services and clients, which share the cores."""

MAX_START_CPU_S: Mapping[str, float] = {"mediapipe": 1.4, "litert": 0.9}
MAX_MEMORY_MB: Mapping[str, float] = {"mediapipe": 241, "litert": 157}
"""230 and 150 MiB."""


@dataclass(frozen=True, slots=True)
class Target:
    """A measured number, or its ratio to another one, and what it should reach.

    Attributes:
        name: What it is.
        section: Section of the number.
        step: Step of the number.
        quantity: Quantity of the number.
        limit: What the median should reach.
        baseline: Step that the number is divided by, turn by turn; None for the number itself.
        factor: Factor of the ratio.
    """

    name: str
    section: str
    step: str
    quantity: MeasuredQuantity
    limit: Limit
    baseline: str | None = None
    factor: float = 1.0


def list_targets() -> list[Target]:
    """Return all targets of `gaze bench all`."""
    return [target for engine in ENGINES for target in _list_targets(engine)]


def measure_targets(numbers: Sequence[BenchNumber], targets: Sequence[Target]) -> list[BenchNumber]:
    """Return a number with a limit for each target that was measured.

    Args:
        numbers: All numbers of a run.
        targets: What they should reach.
    """
    found = {number.key: number for number in numbers}
    measured = []
    for target in targets:
        number = found.get((target.section, target.step, target.quantity.value))
        baseline = found.get((target.section, target.baseline or target.step, target.quantity.value))
        if number is None or baseline is None:
            continue
        samples, quantity = np.asarray(number.samples), number.quantity
        if target.baseline is not None:
            samples = target.factor * samples / np.asarray(baseline.samples)
            quantity = MeasuredQuantity.WALL_RATIO if quantity.is_wall else MeasuredQuantity.CPU_RATIO
        measured.append(
            BenchNumber(
                section=SECTION,
                name=target.name,
                quantity=quantity,
                samples=tuple(samples.tolist()),
                limit=target.limit,
            )
        )
    return measured


def _list_targets(engine: str) -> Iterator[Target]:
    one_client = name_load(engine, 1)
    yield Target(
        f"{engine}: CPU time of a frame ÷ bare networks",
        LOAD,
        one_client,
        MeasuredQuantity.CPU_MS,
        Limit(value=MAX_CPU_RATIO[engine]),
        BARE_NETWORKS,
    )
    yield Target(
        f"{engine}: whole request ÷ bare networks",
        LOAD,
        one_client,
        MeasuredQuantity.WALL_MS,
        Limit(value=MAX_REQUEST_RATIO[engine]),
        BARE_NETWORKS,
    )
    yield Target(
        f"{engine}: p99 ÷ median at half load",
        half_load.SECTION,
        half_load.name_p99(engine),
        MeasuredQuantity.WALL_MS,
        Limit(value=MAX_P99_RATIO),
        half_load.name_median(engine),
    )
    yield Target(
        f"{engine}: two processes against one, by CPU time",
        two_processes.SECTION,
        two_processes.name_processes(engine, 1),
        MeasuredQuantity.CPU_MS,
        Limit(value=MIN_GAIN, is_maximum=False),
        two_processes.name_processes(engine, 2),
        factor=2.0,
    )
    yield Target(
        f"{engine}: start to first answered frame",
        start.SECTION,
        engine,
        MeasuredQuantity.CPU_SECONDS,
        Limit(value=MAX_START_CPU_S[engine]),
    )
    yield Target(
        f"{engine}: memory after 200 frames",
        start.SECTION,
        engine,
        MeasuredQuantity.MEMORY_MB,
        Limit(value=MAX_MEMORY_MB[engine]),
    )
