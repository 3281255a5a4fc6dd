"""Simulated videos with known saliency, and viewers with known behaviour."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Maps = NDArray[np.uint8]  # shape (frames, HEIGHT, WIDTH)
Points = NDArray[np.float64]  # x and y, normalised to the video, shape (frames, 2)

HEIGHT, WIDTH = 24, 32
RATE_HZ = 20
STEP_S = 1 / RATE_HZ

SHOT_S = 4.5
"""Mean length of a shot; Cutting, DeLong and Nothelfer, Attention and the evolution of Hollywood film, Psychological
Science 21, 2010."""

FIXATION_S = 0.3
"""Mean duration of a fixation on scenes; Rayner, Eye movements and attention in reading, scene perception, and visual
search, Quarterly Journal of Experimental Psychology 62, 2009."""

SACCADE_LATENCY_FRAMES = round(0.2 * RATE_HZ)
"""A fixation responds to the frame 0.2 s before."""

ATTENTION_S = 5.0
"""Mean duration of the distracted viewer's periods of watching, and of looking away."""


def make_video(rng: np.random.Generator, frames: int, *, centre_bias: bool) -> Maps:
    """Return the saliency maps of a video: shots of log-normal length with five drifting, pulsing spots each.

    Args:
        rng: Random generator.
        frames: Number of frames.
        centre_bias: Whether spots appear near the centre over a faint central glow, or anywhere.
    """
    times_s = frame_times_s(np.arange(frames))
    lengths_s = _log_normal(rng, SHOT_S, 0.6, int(frames * STEP_S / 2) + 60)
    ends_s = np.cumsum(lengths_s) - rng.uniform(0, 2 * SHOT_S)
    shot, first = _runs(np.searchsorted(ends_s, times_s, side="right"))
    age_s = (times_s - times_s[first][shot])[:, None]
    size = (len(first), 5)
    centres = rng.normal(0.5, 0.17, (*size, 2)) if centre_bias else rng.uniform(0, 1, (*size, 2))
    centres = np.clip(centres, 0.02, 0.98)
    speeds_per_s = rng.normal(0, 0.04, (*size, 2))
    widths = _log_normal(rng, 0.075, 0.35, size)
    heights, pulses_hz, phases = rng.uniform(0.3, 1, size), rng.uniform(0.1, 0.5, size), rng.uniform(0, 2 * np.pi, size)
    positions = _reflect(centres[shot] + speeds_per_s[shot] * age_s[:, :, None])
    strength = heights[shot] * (1 + 0.4 * np.sin(2 * np.pi * pulses_hz[shot] * age_s + phases[shot]))
    columns, rows = (np.arange(WIDTH) + 0.5) / WIDTH, (np.arange(HEIGHT) + 0.5) / HEIGHT
    across = _bell(columns, positions[..., 0, None], widths[shot][..., None]).astype(np.float32)
    down = _bell(rows, positions[..., 1, None], 1.5 * widths[shot][..., None]) * strength[..., None]
    maps = np.matmul(down.astype(np.float32).transpose(0, 2, 1), across)
    if centre_bias:
        maps += 0.25 * np.outer(_bell(rows, 0.5, 0.3), _bell(columns, 0.5, 0.22)).astype(np.float32)
    return np.asarray(maps * (255 / maps.max(axis=(1, 2), keepdims=True)), dtype=np.uint8)


def follow(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who samples most fixations from the map and stays close for some."""
    fixation, first = _fixations(rng, len(maps))
    count = len(first)
    seen = maps[np.maximum(first - SACCADE_LATENCY_FRAMES, 0)].reshape(count, -1)
    cumulated = np.cumsum(seen, axis=1, dtype=np.int64)
    pixel = (cumulated <= rng.uniform(0, 1, (count, 1)) * cumulated[:, -1:]).sum(axis=1)
    inside = rng.uniform(0, 1, (count, 2))
    targets = np.stack([(pixel % WIDTH + inside[:, 0]) / WIDTH, (pixel // WIDTH + inside[:, 1]) / HEIGHT], axis=1)
    elsewhere = rng.uniform(size=count) < 0.15
    targets[elsewhere] = rng.uniform(0, 1, (int(elsewhere.sum()), 2))
    is_new = rng.uniform(size=count) < 0.7
    is_new[0] = True
    targets = targets[np.maximum.accumulate(np.where(is_new, np.arange(count), 0))]
    targets += np.where(is_new[:, None], 0.0, rng.normal(0, 0.05, (count, 2)))
    return _measured(rng, _reflect(targets)[fixation])


def wander(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who fixates random points."""
    fixation, first = _fixations(rng, len(maps))
    return _measured(rng, rng.uniform(0, 1, (len(first), 2))[fixation])


def stare(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who stares at the centre."""
    fixation, first = _fixations(rng, len(maps))
    return _measured(rng, rng.normal(0.5, 0.03, (len(first), 2))[fixation])


def look_away(rng: np.random.Generator, maps: Maps) -> Points:
    """Return the gaze of a viewer who follows the saliency half of the time and otherwise looks off the screen."""
    points = follow(rng, maps)
    frames = len(maps)
    stretches_s = _log_normal(rng, ATTENTION_S, 0.5, int(frames * STEP_S / 2) + 40)
    ends_s = np.cumsum(stretches_s) - rng.uniform(0, 3 * ATTENTION_S)
    stretch = np.searchsorted(ends_s, np.arange(frames) * STEP_S, side="right") + rng.integers(2)
    points[stretch % 2 == 1] = (1.4, 0.5)
    return points


VIEWERS: dict[str, Callable[[np.random.Generator, Maps], Points]] = {
    "follows": follow,
    "random": wander,
    "centre": stare,
    "half away": look_away,
}


def _fixations(rng: np.random.Generator, frames: int) -> tuple[Integers, Integers]:
    """Return the fixation of each frame, and the first frame of each fixation."""
    durations_s = _log_normal(rng, FIXATION_S, 0.45, int(frames * STEP_S * 5) + 40)
    ends_s = np.cumsum(durations_s) - rng.uniform(0, 2 * FIXATION_S)
    return _runs(np.searchsorted(ends_s, np.arange(frames) * STEP_S, side="right"))


def frame_times_s(frames: Integers) -> Floats:
    """Return the times of frames in seconds."""
    return frames.astype(np.float64) * STEP_S


def is_on_video(points: Points) -> NDArray[np.bool_]:
    """Return whether each point lies on the video, shape (frames,)."""
    return np.asarray(np.all((points >= 0) & (points <= 1), axis=1))


def _runs(labels: Integers) -> tuple[Integers, Integers]:
    """Return ascending labels renumbered from 0, and the first index of each."""
    _, first, numbers = np.unique(labels, return_index=True, return_inverse=True)
    return numbers, first


def _log_normal(rng: np.random.Generator, mean: float, sigma: float, size: int | tuple[int, ...]) -> Floats:
    return rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, size)


def _bell(at: Floats, centre: Floats | float, width: Floats | float) -> Floats:
    bell: Floats = np.exp(-0.5 * ((at - centre) / width) ** 2)
    return bell


def _measured(rng: np.random.Generator, points: Points) -> Points:
    """Return gaze with a webcam's scatter, reflected at the edges so that random gaze stays uniform."""
    return _reflect(points + rng.normal(0, 0.015, points.shape))


def _reflect(points: Floats) -> Floats:
    """Return points reflected at the edges of the video."""
    reflected: Floats = 1 - np.abs(1 - np.mod(points, 2))
    return reflected


def find_pixels(points: Points) -> tuple[Integers, Integers]:
    """Return row and column of each point, clipped to the map."""
    columns = np.clip((points[:, 0] * WIDTH).astype(np.int64), 0, WIDTH - 1)
    rows = np.clip((points[:, 1] * HEIGHT).astype(np.int64), 0, HEIGHT - 1)
    return rows, columns
