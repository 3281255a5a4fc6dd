"""Whether two benchmark reports differ by more than noise.

Consecutive samples resemble each other, because other work comes and goes. So each number is reduced to medians of
blocks of consecutive samples, and these are compared with the Mann-Whitney test. A number that has a baseline in both
reports is divided by it first, turn by turn, which removes the machine's speed. As many numbers are tested at once, the
p-values are adjusted by Holm's method: if nothing changed, the probability of any reported change is at most `alpha`.
A difference below a minimum is no change, however certain: it also comes from how a process happens to lie in memory.

Source: Mann and Whitney, Annals of Mathematical Statistics 18, 1947; Holm, Scandinavian Journal of Statistics 6, 1979.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from gaze_tools.bench.machine import list_differences
from gaze_tools.bench.results import BenchNumber, BenchReport

ALPHA = 0.05
"""Probability of any reported change if nothing changed."""

MIN_EFFECT = 0.05
"""Relative change of the median from which on a change counts."""

MIN_SHARE = 0.001
"""Change of a ratio to a baseline from which on it counts: steps of microseconds depend on what the caches hold."""

BLOCKS = 20
"""Number of blocks whose medians are compared."""


class Verdict(StrEnum):
    """What became of a number."""

    BETTER = "better"
    WORSE = "worse"
    NO_CHANGE = "no change"
    TOO_FEW_SAMPLES = "too few samples"
    BUSY = "wall time of a busy machine"
    REFERENCE = "reference"
    """It measures the machine or another program."""


@dataclass(frozen=True, slots=True)
class Change:
    """Change of one number.

    Attributes:
        section: Section of the number.
        name: Name of the step.
        quantity: What was measured; `× BASELINE` if relative to a baseline.
        before: Median before.
        after: Median after.
        p: Adjusted p-value; 1 if it was not tested.
        verdict: What this means.
    """

    section: str
    name: str
    quantity: str
    before: float
    after: float
    p: float
    verdict: Verdict

    @property
    def effect(self) -> float:
        """Relative change of the median."""
        return self.after / self.before - 1


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Result of a comparison.

    Attributes:
        changes: Change of each number that both reports have.
        only_before: Section, name and quantity of numbers that only the first report has.
        only_after: The same for the second report.
        warnings: Reasons for which the comparison may mislead, in sentences.
    """

    changes: tuple[Change, ...]
    only_before: tuple[tuple[str, str, str], ...]
    only_after: tuple[tuple[str, str, str], ...]
    warnings: tuple[str, ...]

    def find(self, *verdicts: Verdict) -> list[Change]:
        """Return the changes with one of these verdicts."""
        return [change for change in self.changes if change.verdict in verdicts]


@dataclass(frozen=True, slots=True)
class _Pair:
    number: BenchNumber
    quantity: str
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    is_ratio: bool = False

    @property
    def effect(self) -> float:
        return float(np.median(self.after) / np.median(self.before)) - 1

    @property
    def is_negligible(self) -> bool:
        return self.is_ratio and bool(abs(np.median(self.after) - np.median(self.before)) < MIN_SHARE)


def compare_reports(
    before: BenchReport, after: BenchReport, *, alpha: float = ALPHA, min_effect: float = MIN_EFFECT
) -> RunComparison:
    """Return what changed between two reports.

    Args:
        before: First report.
        after: Second report.
        alpha: Probability of any reported change if nothing changed.
        min_effect: Relative change of the median from which on a change counts.
    """
    found = {number.key: number for number in after.numbers}
    pairs = [_pair_up(before, number, after, found[number.key]) for number in before.numbers if number.key in found]
    pairs = [pair for pair in pairs if np.median(pair.before) > 0]
    is_busy = before.machine.was_busy or after.machine.was_busy
    untested: dict[int, Verdict] = {}
    for at, pair in enumerate(pairs):
        if pair.number.is_reference:
            untested[at] = Verdict.REFERENCE
        elif is_busy and pair.number.quantity.is_wall:
            untested[at] = Verdict.BUSY
        elif _smallest_p(len(pair.before), len(pair.after)) > alpha / len(pairs):
            untested[at] = Verdict.TOO_FEW_SAMPLES
    tested = [at for at in range(len(pairs)) if at not in untested]
    p_values = adjust_holm([_test(pairs[at].before, pairs[at].after) for at in tested])
    p_by_pair = dict(zip(tested, p_values, strict=True))
    changes = tuple(
        _judge(pair, p_by_pair.get(at, 1.0), untested.get(at), alpha=alpha, min_effect=min_effect)
        for at, pair in enumerate(pairs)
    )
    keys = {number.key for number in before.numbers}
    return RunComparison(
        changes=changes,
        only_before=tuple(number.key for number in before.numbers if number.key not in found),
        only_after=tuple(key for key in found if key not in keys),
        warnings=tuple(_list_warnings(before, after)),
    )


def adjust_holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for the number of tests, in the same order."""
    adjusted = [1.0] * len(p_values)
    largest = 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = largest
    return adjusted


def block_medians(samples: Sequence[float], blocks: int = BLOCKS) -> NDArray[np.float64]:
    """Return the medians of blocks of consecutive samples; the samples themselves if there are fewer than two each."""
    values = np.asarray(samples, dtype=np.float64)
    if len(values) < 2 * blocks:
        return values
    return np.array([np.median(block) for block in np.array_split(values, blocks)])


def _pair_up(before: BenchReport, number: BenchNumber, after: BenchReport, other: BenchNumber) -> _Pair:
    """Return the samples to compare: relative to the first baseline that both reports have, turn by turn."""
    for name in number.baselines:
        baselines = [report.find(number.section, name, number.quantity) for report in (before, after)]
        ratios = [
            block_medians(np.divide(each.samples, baseline.samples).tolist())
            for each, baseline in zip((number, other), baselines, strict=True)
            if baseline is not None and len(each.samples) == len(baseline.samples) and min(baseline.samples) > 0
        ]
        if len(ratios) == 2:
            return _Pair(number, f"{number.quantity} × {name}", ratios[0], ratios[1], is_ratio=True)
    return _Pair(number, number.quantity.value, block_medians(number.samples), block_medians(other.samples))


def _smallest_p(count: int, other_count: int) -> float:
    """Return the smallest p-value that the two-sided test can have."""
    return 2 / math.comb(count + other_count, count)


def _test(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    if np.unique(np.concatenate([before, after])).size == 1:
        return 1.0
    return float(mannwhitneyu(before, after, alternative="two-sided").pvalue)


def _judge(pair: _Pair, p: float, untested: Verdict | None, *, alpha: float, min_effect: float) -> Change:
    if untested is not None:
        verdict = untested
    elif p >= alpha or abs(pair.effect) < min_effect or pair.is_negligible:
        verdict = Verdict.NO_CHANGE
    else:
        verdict = Verdict.BETTER if (pair.effect > 0) == pair.number.more_is_better else Verdict.WORSE
    return Change(
        section=pair.number.section,
        name=pair.number.name,
        quantity=pair.quantity,
        before=float(np.median(pair.before)),
        after=float(np.median(pair.after)),
        p=p,
        verdict=verdict,
    )


def _list_warnings(before: BenchReport, after: BenchReport) -> list[str]:
    warnings = []
    if differences := list_differences(before.machine, after.machine):
        warnings.append(
            f"The machines or their software differ ({'; '.join(differences)}): only ratios to a baseline compare."
        )
    warnings += [
        f"The machine was busy when {report.name} was measured ({report.machine.load}): wall times are not judged."
        for report in (before, after)
        if report.machine.was_busy
    ]
    return warnings
