"""The timeline of a film: when each frame is shown, and whether some are missing."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONSTANT_WITHIN_S = 0.000_501
"""A frame rate is constant if no frame starts further than this from its nominal time; WebM rounds to 1 ms."""

_GAP_FACTOR = 1.5  # steps longer than this many usual steps lack a frame
_MAX_GAP_SHARE = 0.05  # with more long steps than this, the frame rate varies
_LISTED = 5


@dataclass(frozen=True, slots=True, eq=False)
class FilmTimes:
    """When the frames of a film are shown, on the timeline of a browser's `currentTime`.

    Attributes:
        starts_s: Presentation time of each frame, not falling, shape (n,), at least one.
        duration_s: Position at which the film ends, not before the last frame.
        fps: Frame rate; the mean one if it varies.
        is_constant: Whether frame n starts at (n - 1) / fps.
        warnings: Damage and assumptions, one sentence each.
    """

    starts_s: NDArray[np.float64]
    duration_s: float
    fps: float
    is_constant: bool
    warnings: tuple[str, ...] = ()

    @property
    def table_s(self) -> NDArray[np.float64] | None:
        """Presentation times to store; None if the frame rate says it all."""
        return None if self.is_constant else self.starts_s

    def describe(self) -> str:
        """Return the frame rate in words."""
        return describe_rate(self.fps, self.table_s)


def make_times(
    starts_s: NDArray[np.float64],
    *,
    end_s: float | None = None,
    stated_fps: Iterable[float] = (),
    warnings: Iterable[str] = (),
    is_damaged: bool = False,
) -> FilmTimes:
    """Return the timeline for the start of each frame.

    Args:
        starts_s: Presentation time of each frame, not falling, at least one.
        end_s: Position at which the film ends; None means one usual step after the last frame starts.
        stated_fps: Frame rates to try before the mean one; one that explains the times is constant.
        warnings: Warnings so far; those about missing frames are added.
        is_damaged: Whether frames are known to be missing, so that every long step is a gap.

    Raises:
        ValueError: There are no times, they fall, are negative or are not finite.
    """
    if not starts_s.size:
        raise ValueError("there are no times")
    if not np.isfinite(starts_s).all() or starts_s[0] < 0 or (np.diff(starts_s) < 0).any():
        raise ValueError("times must not be negative and must not fall")
    candidates = [fps for fps in stated_fps if 0 < fps < 1000]
    step_s = usual_step_s(starts_s) or (1 / candidates[0] if candidates else 0.04)
    span_s = float(starts_s[-1] - starts_s[0])
    mean_fps = (starts_s.size - 1) / span_s if span_s > 0 else 1 / step_s
    constant = next((fps for fps in (*candidates, mean_fps) if is_constant(starts_s, fps)), None)
    constant = constant or _fit_rate(starts_s)
    gaps = () if constant is not None else find_gaps(starts_s, is_damaged=is_damaged)
    found = [*warnings, *([_describe_gaps(gaps)] if gaps else [])]
    end_s = max(starts_s[-1] + step_s if end_s is None else end_s, float(starts_s[-1]))
    return FilmTimes(starts_s, float(end_s), constant or mean_fps, constant is not None, tuple(found))


def is_constant(starts_s: NDArray[np.float64], fps: float) -> bool:
    """Return whether frame n starts at (n - 1) / fps, to within half a millisecond."""
    nominal_s = np.arange(starts_s.size) / fps
    return bool(np.abs(starts_s - nominal_s).max() <= CONSTANT_WITHIN_S)


def _fit_rate(starts_s: NDArray[np.float64]) -> float | None:
    """Return a rate at which frame n starts at (n - 1) / fps, to within half a millisecond; None if there is none.

    Rounded times of the first and the last frame may give a mean rate that does not explain the others.
    """
    steps = np.arange(1, starts_s.size)
    if not steps.size or starts_s[0] > CONSTANT_WITHIN_S:
        return None
    shortest_s = float(((starts_s[1:] - CONSTANT_WITHIN_S) / steps).max())
    longest_s = float(((starts_s[1:] + CONSTANT_WITHIN_S) / steps).min())
    return 2 / (shortest_s + longest_s) if 0 < shortest_s <= longest_s else None


def usual_step_s(starts_s: NDArray[np.float64]) -> float | None:
    """Return the median time from one frame to the next; None for a single frame or simultaneous ones."""
    if starts_s.size < 2:
        return None
    return float(np.median(np.diff(starts_s))) or None


def find_gaps(starts_s: NDArray[np.float64], *, is_damaged: bool = False) -> tuple[tuple[float, float, int], ...]:
    """Return where frames are missing: start and end of the gap, and the number of frames that would fill it.

    Unless the film is known to be damaged, only a few steps in a hundred may exceed an otherwise regular step. With
    more, the frame rate varies, and nothing is missing.
    """
    step_s = usual_step_s(starts_s)
    if step_s is None:
        return ()
    steps_s = np.diff(starts_s)
    is_long = steps_s > _GAP_FACTOR * step_s
    is_regular = np.abs(steps_s - step_s) <= max(0.002, 0.25 * step_s)
    few = _MAX_GAP_SHARE * steps_s.size
    if not is_damaged and (is_long.sum() > few or (~is_long & ~is_regular).sum() > few):
        return ()
    return tuple(
        (float(starts_s[at] + step_s), float(starts_s[at + 1]), max(1, round(float(steps_s[at] / step_s)) - 1))
        for at in np.flatnonzero(is_long)
    )


def describe_rate(fps: float | None, starts_s: NDArray[np.float64] | None) -> str:
    """Return the frame rate in words, such as `variable frame rate, 5 to 30 frames/s, mean 17.5`."""
    if starts_s is None:
        return "unknown frame rate" if fps is None else f"{_rounded(fps)} frames/s"
    if find_gaps(starts_s):
        return f"{_rounded(1 / (usual_step_s(starts_s) or 1))} frames/s with gaps"
    steps_s = np.diff(starts_s)
    steps_s = steps_s[steps_s > 0]
    if not steps_s.size:
        return "variable frame rate"
    low, high = (_rounded(1 / float(np.quantile(steps_s, share))) for share in (0.98, 0.02))
    if low == high:
        is_late = starts_s[0] > CONSTANT_WITHIN_S
        return f"{low} frames/s" + (f", the first one at {starts_s[0]:.3f} s" if is_late else " with irregular steps")
    mean = _rounded(fps or 1 / float(steps_s.mean()))
    return f"variable frame rate, {low} to {high} frames/s, mean {mean}"


def _describe_gaps(gaps: tuple[tuple[float, float, int], ...]) -> str:
    places = ", ".join(f"{start:.2f}-{end:.2f} s" for start, end, _ in gaps[:_LISTED])
    more = f" and {len(gaps) - _LISTED} more" if len(gaps) > _LISTED else ""
    missing = sum(count for *_, count in gaps)
    frames = "frame is" if missing == 1 else "frames are"
    return f"About {missing} {frames} missing at {places}{more}; all other maps keep their times."


def _rounded(number: float) -> str:
    return f"{round(number, 2):g}"
