"""The numbers of a benchmark, and the JSON file that holds them."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gaze_tools.bench.machine import MachineFacts
from gaze_tools.bench.sampling import StepCost, Summary, median_ratio, summarise, thin_out

FORMAT = 1
"""Version of the file format."""

MAX_SAMPLES = 400
"""Samples that a file keeps of each number."""


class MeasuredQuantity(StrEnum):
    """What a number measures, with its unit."""

    WALL_MS = "wall, ms"
    CPU_MS = "CPU, ms"
    SECONDS = "wall, s"
    CPU_SECONDS = "CPU, s"
    FRAMES_PER_S = "frames/s"
    MEMORY_MB = "memory, MB"
    CPU_RATIO = "ratio of CPU times"
    WALL_RATIO = "ratio of wall times"

    @property
    def is_wall(self) -> bool:
        """Whether it also depends on what else runs on the machine."""
        return self in {
            MeasuredQuantity.WALL_MS,
            MeasuredQuantity.SECONDS,
            MeasuredQuantity.FRAMES_PER_S,
            MeasuredQuantity.WALL_RATIO,
        }


class Limit(BaseModel):
    """Value that a number should reach: at most, or at least.

    Attributes:
        value: The value, in the number's unit.
        is_maximum: Whether the number should be at most the value; otherwise at least.
    """

    model_config = ConfigDict(frozen=True)

    value: float
    is_maximum: bool = True

    def is_reached(self, value: float) -> bool:
        """Return whether a value is within the limit."""
        return value <= self.value if self.is_maximum else value >= self.value


class BenchNumber(BaseModel):
    """One quantity of one step.

    Attributes:
        section: Group of numbers that were measured in turn, such as `frame 640×480`.
        name: Name of the step.
        quantity: What was measured.
        samples: Samples in order of time; those of a section with the same quantity are in step with each other.
        baselines: Names of steps of the same section and quantity that the number is compared with.
        is_reference: Whether it measures the machine or another program, and not this project.
        limit: What the median should reach, of a number that is a target.
    """

    model_config = ConfigDict(frozen=True)

    section: str
    name: str
    quantity: MeasuredQuantity
    samples: tuple[float, ...] = Field(min_length=1)
    baselines: tuple[str, ...] = ()
    is_reference: bool = False
    limit: Limit | None = None

    @property
    def more_is_better(self) -> bool:
        """Whether a larger value is an improvement."""
        if self.limit is not None:
            return not self.limit.is_maximum
        return self.quantity is MeasuredQuantity.FRAMES_PER_S

    @property
    def key(self) -> tuple[str, str, str]:
        """Section, name and quantity, which are unique in a report."""
        return self.section, self.name, self.quantity.value

    def summarise(self) -> Summary:
        """Return median and spread."""
        return summarise(self.samples)


class BenchReport(BaseModel):
    """All numbers of a run.

    Attributes:
        format: Version of the file format.
        name: Name of the run.
        machine: Machine, software and load.
        numbers: The numbers.
        skipped: What could not be measured, and why, in sentences.
    """

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    name: str
    machine: MachineFacts
    numbers: tuple[BenchNumber, ...]
    skipped: tuple[str, ...] = ()

    def find(self, section: str, name: str, quantity: MeasuredQuantity) -> BenchNumber | None:
        """Return a number; None if it was not measured."""
        key = section, name, quantity.value
        return next((number for number in self.numbers if number.key == key), None)

    def is_reached(self, number: BenchNumber) -> bool | None:
        """Return whether the median of a number is within its limit.

        None if it has no limit, or if other work decided about it: it depends on wall time, and the machine was busy.
        """
        if number.limit is None or (number.quantity.is_wall and self.machine.was_busy):
            return None
        return number.limit.is_reached(number.summarise().median)

    def find_ratios(self, number: BenchNumber) -> dict[str, float]:
        """Return the ratios of a number to its baselines, as far as these were measured."""
        baselines = {name: self.find(number.section, name, number.quantity) for name in number.baselines}
        return {
            name: median_ratio(number.samples, baseline.samples)
            for name, baseline in baselines.items()
            if baseline is not None and min(baseline.samples) > 0
        }


def to_numbers(
    section: str, costs: Mapping[str, Sequence[StepCost]], references: Collection[str] = ()
) -> list[BenchNumber]:
    """Return CPU and wall time of the steps of a section, in ms.

    Args:
        section: Name of the section.
        costs: Result of `sample`.
        references: Steps that measure the machine or another program; they are the baselines of all other steps.
    """
    return [
        number
        for name, each in costs.items()
        for quantity in (MeasuredQuantity.CPU_MS, MeasuredQuantity.WALL_MS)
        for number in list_numbers(
            section,
            quantity,
            {name: to_samples(quantity, each)},
            baselines=[reference for reference in references if reference != name],
            are_references=name in references,
        )
    ]


def to_samples(quantity: MeasuredQuantity, costs: Iterable[StepCost]) -> list[float]:
    """Return wall or CPU times in ms."""
    return [1000 * (cost.wall_s if quantity.is_wall else cost.cpu_s) for cost in costs]


def list_numbers(
    section: str,
    quantity: MeasuredQuantity,
    samples: Mapping[str, Sequence[float]],
    *,
    baselines: Sequence[str] = (),
    are_references: bool = False,
) -> list[BenchNumber]:
    """Return a number for each step.

    Args:
        section: Name of the section.
        quantity: What was measured.
        samples: Samples by name of the step.
        baselines: Steps that all are compared with.
        are_references: Whether the steps measure the machine or another program.
    """
    return [
        BenchNumber(
            section=section,
            name=name,
            quantity=quantity,
            samples=tuple(each),
            baselines=tuple(baselines),
            is_reference=are_references,
        )
        for name, each in samples.items()
    ]


def join_numbers(numbers: Iterable[BenchNumber]) -> list[BenchNumber]:
    """Return each number once, with the samples of all numbers that have its section, name and quantity."""
    found: dict[tuple[str, str, str], BenchNumber] = {}
    for number in numbers:
        known = found.get(number.key)
        found[number.key] = (
            number if known is None else known.model_copy(update={"samples": known.samples + number.samples})
        )
    return list(found.values())


def make_report(
    name: str, machine: MachineFacts, numbers: Iterable[BenchNumber], skipped: Iterable[str] = ()
) -> BenchReport:
    """Return the report of a run that has just ended, with all its processes."""
    return BenchReport(name=name, machine=machine.at_end(), numbers=tuple(numbers), skipped=tuple(skipped))


def write_report(report: BenchReport, path: Path) -> None:
    """Write a report as JSON, with medians and ratios for readers of the file, and at most `MAX_SAMPLES` samples."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = report.model_dump(mode="json", exclude={"numbers"})
    document["numbers"] = [_describe(report, number) for number in report.numbers]
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n")


def read_report(path: Path) -> BenchReport:
    """Return the report in a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not a report, or one of another version.
    """
    try:
        report = BenchReport.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "content"
        raise ValueError(f"{path} is not a benchmark report: {field}: {first['msg']}") from error
    if report.format != FORMAT:
        raise ValueError(f"{path} has format {report.format}; this version reads {FORMAT}")
    return report


def _describe(report: BenchReport, number: BenchNumber) -> dict[str, Any]:
    summary = number.summarise()
    described = number.model_dump(mode="json", exclude={"samples"})
    described |= {
        "median": _round(summary.median),
        "quartiles": [_round(summary.lower_quartile), _round(summary.upper_quartile)],
        "p99": _round(summary.p99),
        "count": summary.count,
        "is_reached": report.is_reached(number),
        "ratios": {name: _round(ratio) for name, ratio in report.find_ratios(number).items()},
        "samples": [_round(value) for value in thin_out(number.samples, MAX_SAMPLES)],
    }
    return described


def _round(value: float) -> float:
    """Keep five significant digits: more would only make files longer."""
    return float(f"{value:.5g}")
