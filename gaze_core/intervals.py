"""Confidence intervals for means of autocorrelated series, by block bootstrap.

Consecutive frames resemble each other, so an interval for independent samples would be too narrow.
`docs/attention-score.md` shows by simulation how often these intervals cover the true value.
"""

import math
from dataclasses import dataclass

import numpy as np

from gaze_core.types import Floats

NOMINAL_STEP_S = 0.05
"""Time between frames when there are too few to measure it: 20 frames per second."""

BLOCK_FACTOR = 6.0
"""Block length relative to that of Politis and White. Theirs minimises the error of the variance; good coverage needs
longer blocks (Sun, Phillips and Jin, Econometrica 76, 2008), which the simulation confirms."""

MIN_INTERVAL_FRAMES = 20
"""With fewer frames there is no interval."""

RELIABLE_FROM_S = 120.0
"""Scored time from which the simulation finds the intervals correct."""

RELIABLE_FROM_S_NEAR_LIMITS = 300.0
"""The same for score and lift with under 10 % hits or misses, which come in few bouts."""

RELIABLE_EFFECTIVE_SAMPLES = 10.0
"""Fewest effective samples of a reliable interval. A stricter limit would prefer sessions whose autocorrelation is
underestimated by chance, and whose intervals are therefore too narrow."""

NORMAL_QUANTILE_975 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over the frames of a session with its 95 % interval.

    Attributes:
        value: Mean.
        low: Lower end of the interval; None with too few frames or without variation.
        high: Upper end of the interval; None with too few frames or without variation.
        frames: Number of frames in the mean.
        effective_samples: Equivalent number of independent frames; None without an interval.
        block_s: Length of the bootstrap blocks; None without an interval.
        interval_reliable: Whether intervals of sessions like this one cover 95 % in simulation.
    """

    value: float
    low: float | None
    high: float | None
    frames: int
    effective_samples: float | None
    block_s: float | None
    interval_reliable: bool


def median_step_s(times_s: Floats) -> float:
    """Return the median time between frames, from ascending times; `NOMINAL_STEP_S` for a single frame."""
    steps = np.diff(times_s)
    steps = steps[steps > 0]
    return float(np.median(steps)) if steps.size else NOMINAL_STEP_S


def mean_interval(
    values: Floats,
    step_s: float,
    *,
    unit: float = 1.0,
    proportion: float | None = None,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate:
    """Return the mean of an autocorrelated series with a 95 % interval by block bootstrap.

    Blocks are circular (Politis and Romano, 1992); their length is `block_length` times `BLOCK_FACTOR`, at most a
    quarter of the series. The bootstrap variance of a mean has a closed form, so nothing is drawn at random: it is the
    variance over all n circular blocks, divided by 1 - length / n because the blocks share the mean of the series. The
    interval uses Student's distribution with 1.5 n / length - 1 degrees of freedom, as for overlapping blocks. For a
    proportion it is computed on the logit scale, so that it stays within 0 and 1 and is longer towards 0.5.

    Args:
        values: Series in order of time, at least one value, shape (n,).
        step_s: Time between values.
        unit: Factor for all results.
        proportion: Share of hits, if the values derive from hits; selects the logit scale. For 0 and 1 there is no
            interval.
        limits: Lower and upper limit of the interval, in the unit of the values.
    """
    count = values.size
    mean = float(values.mean())
    variance = float(((values - mean) ** 2).mean())
    if count < MIN_INTERVAL_FRAMES or float(np.ptp(values)) < 1e-9 or proportion in (0.0, 1.0):
        return Estimate(unit * mean, None, None, count, None, None, interval_reliable=False)
    length = min(math.ceil(BLOCK_FACTOR * block_length(values)), count // 4)
    standard_error = _block_standard_error(values, length)
    half_width = student_quantile_975(1.5 * count / length - 1) * standard_error
    if proportion is not None:
        odds = proportion / (1 - proportion)
        stretch = math.exp(min(half_width / (proportion * (1 - proportion)), 500.0))
        low = mean - proportion + odds / stretch / (1 + odds / stretch)
        high = mean - proportion + odds * stretch / (1 + odds * stretch)
    else:
        low, high = max(mean - half_width, limits[0]), min(mean + half_width, limits[1])
    is_near_limit = proportion is not None and not 0.1 <= proportion <= 0.9
    reliable_from_s = RELIABLE_FROM_S_NEAR_LIMITS if is_near_limit else RELIABLE_FROM_S
    effective = min(variance / standard_error**2, float(count)) if standard_error > 0 else float(count)
    return Estimate(
        value=unit * mean,
        low=unit * low,
        high=unit * high,
        frames=count,
        effective_samples=effective,
        block_s=length * step_s,
        interval_reliable=count * step_s >= reliable_from_s - step_s and effective >= RELIABLE_EFFECTIVE_SAMPLES,
    )


def block_length(values: Floats) -> float:
    """Return the block length, in frames, that minimises the error of the variance by circular block bootstrap.

    Uses the autocovariances up to twice the lag after which the correlations stay insignificant.

    Args:
        values: Series in order of time, not all equal, shape (n,).

    Source: Politis and White, Automatic block-length selection for the dependent bootstrap, Econometric Reviews 23,
    2004, as corrected by Patton, Politis and White, Econometric Reviews 28, 2009.
    """
    count = values.size
    run = max(5, math.ceil(math.sqrt(math.log10(count))))
    longest_lag = min(math.ceil(math.sqrt(count)) + run, count - 1)
    covariances = _autocovariances(values, min(2 * longest_lag, count - 1))
    is_small = np.abs(covariances[1 : longest_lag + 1]) < 2 * math.sqrt(math.log10(count) / count) * covariances[0]
    # The lag before the first run of small correlations, or the last lag with a large one if there is no run.
    is_run = np.convolve(is_small, np.ones(run), mode="valid") > run - 0.5 if longest_lag >= run else is_small[:0]
    last_lag = int(is_run.argmax()) if is_run.any() else int(np.flatnonzero(~is_small).max(initial=0)) + 1
    last_lag = max(1, last_lag)
    lags = np.arange(1, min(2 * last_lag, covariances.size - 1) + 1)
    # Flat-top window; Politis and Romano, 1995.
    window = np.minimum(1.0, 2 * (1 - lags / (2 * last_lag)))
    spectrum = covariances[0] + 2 * float((window * covariances[lags]).sum())
    slope = 2 * float((window * lags * covariances[lags]).sum())
    if spectrum <= 0:
        return float(last_lag)
    return max(1.0, math.cbrt(1.5 * (slope / spectrum) ** 2 * count))


def student_quantile_975(degrees_of_freedom: float) -> float:
    """Return the 97.5 % quantile of Student's distribution, within 0.2 % for 3 degrees of freedom or more.

    Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
    """
    z, v = NORMAL_QUANTILE_975, degrees_of_freedom
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4)
    )


def _autocovariances(values: Floats, longest_lag: int) -> Floats:
    deviations = values - values.mean()
    size = 1 << (2 * values.size - 1).bit_length()
    transform = np.fft.rfft(deviations, size)
    products: Floats = np.fft.irfft(transform * transform.conj(), size)[: longest_lag + 1]
    return products / values.size


def _block_standard_error(values: Floats, length: int) -> float:
    """Return the standard error of the mean from all circular blocks of a length shorter than the series."""
    count = values.size
    deviations = values - values.mean()
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([deviations, deviations[:length]]))])
    blocks = sums[length : length + count] - sums[:count]
    return math.sqrt(float((blocks**2).mean()) / (length * count * (1 - length / count)))
