"""Plots of a viewing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

Gaze = Mapping[str, float] | None
"""Field `gaze` of a reply: x and y normalised to the screen, or None."""

TRAIL_FRAMES = 10
GAZE_COLOUR, TRUTH_COLOUR = "#d1495b", "#1b998b"

PAGE_WIDTH, PAGE_DPI = 5.0, 190
"""Width in inches and resolution of a figure in a report; on a phone, a point of its text is about a pixel."""

MAX_PATH_FIXATIONS = 150
"""Above this number, lines between fixations are unreadable and left out."""

MAX_VIEWPORTS = 20
"""Maximum number of positions of the video that are drawn."""

OFF_SCREEN = 0.15
"""Maximum distance from the screen, in screen sizes, at which a fixation is drawn."""

STATUS_COLOURS: Mapping[str, str] = {
    "scored": "#1b998b",
    "eyes_closed": "#f4a259",
    "low_quality": "#e07a5f",
    "no_face": "#9c6fb0",
    "missing": "#b0b7bf",
    "no_map": "#5b8fd1",
    "bad_map": "#2f4b7c",
    "no_time": "#7a5195",
    "old_format": "#8d6e63",
    "unreadable": "#444444",
}
"""Colour of each frame status, in drawing order."""


def draw_gaze_over_video(
    frame: NDArray[np.uint8],
    saliency_map: NDArray[np.float64],
    gazes: Mapping[int, Gaze],
    frame_number: int,
    truth: tuple[float, float] | None,
    *,
    path: Path,
) -> Path:
    """Draw the gaze over a video frame and over its saliency map; return `path`.

    Args:
        frame: RGB image that fills the screen, shape (height, width, 3).
        saliency_map: Saliency map of the frame, shape (height, width).
        gazes: Gaze by frame number; the last half second is drawn as a trail.
        frame_number: Number of the frame.
        truth: True point of gaze; None if unknown.
        path: PNG file to write.
    """
    height, width = frame.shape[:2]
    trail = [gazes.get(number) for number in range(frame_number - TRAIL_FRAMES, frame_number + 1)]
    seen = np.array([[gaze["x"] * width, gaze["y"] * height] for gaze in trail if gaze])
    shown = np.array([[-0.03, -0.03], [1.03, 1.03], *([gaze["x"], gaze["y"]] for gaze in trail if gaze)])
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, image, title in ((axes[0], frame, "video"), (axes[1], saliency_map, "saliency map")):
        axis.imshow(image, cmap="inferno", extent=(0, width, height, 0))
        axis.set_title(f"{title}, frame {frame_number}", loc="left")
        axis.set_axis_off()
        # Points of gaze up to a third of the screen beyond its edge are shown.
        (left, top), (right, bottom) = np.clip([shown.min(axis=0), shown.max(axis=0)], -1 / 3, 4 / 3) * [width, height]
        axis.set_xlim(left, right)
        axis.set_ylim(bottom, top)
        if len(seen):
            axis.plot(seen[:, 0], seen[:, 1], "-", color=GAZE_COLOUR, linewidth=1, alpha=0.6)
            axis.plot(*seen[-1], "o", color=GAZE_COLOUR, markeredgecolor="white", markersize=11, label="estimated gaze")
        if truth:
            x, y = truth[0] * width, truth[1] * height
            axis.plot(x, y, "P", color=TRUTH_COLOUR, markeredgecolor="white", markersize=11, label="true gaze")
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(loc="lower right", framealpha=0.9)
    return _save(figure, path)


def draw_trace(gazes: Mapping[int, Gaze], truth: Mapping[int, tuple[float, float]], *, path: Path) -> Path:
    """Draw x and y of the gaze over frame numbers, with the truth if known; return `path`.

    Frames without a gaze are shaded gaps.
    """
    numbers = np.array(sorted(gazes))
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, key, column in ((axes[0], "x", 0), (axes[1], "y", 1)):
        values = [np.nan if (gaze := gazes[number]) is None else gaze[key] for number in numbers]
        axis.axhspan(0, 1, color="0.95", zorder=0)
        for number in numbers:
            if gazes[number] is None:
                axis.axvspan(number - 0.5, number + 0.5, color="0.8", zorder=1, linewidth=0)
        if truth:
            known = [truth[number][column] if number in truth else np.nan for number in numbers]
            axis.plot(numbers, known, color=TRUTH_COLOUR, linewidth=1.8, label="true gaze")
        axis.plot(numbers, values, color=GAZE_COLOUR, linewidth=1.2, label="estimated gaze")
        axis.set_ylim(-0.5, 1.5)
        axis.set_ylabel(f"{key} on the screen")
    axes[1].invert_yaxis()
    axes[1].set_xlabel("frame (light band: on the screen; grey: no gaze)")
    axes[0].legend(loc="upper right", ncols=2)
    return _save(figure, path)


def draw_gaze_on_screen(gazes: Mapping[int, Gaze], *, path: Path) -> Path:
    """Draw every point of gaze on an empty screen, from dark to bright over time; return `path`."""
    seen = np.array([[gaze["x"], gaze["y"]] for _, gaze in sorted(gazes.items()) if gaze]).reshape(-1, 2)
    figure = Figure(figsize=(8, 4.8), layout="constrained")
    axis = figure.subplots()
    axis.add_patch(Rectangle((0, 0), 1, 1, facecolor="0.95", edgecolor="0.4"))
    # Points of gaze up to a third of the screen beyond its edge are shown.
    shown = np.clip(seen, -1 / 3, 4 / 3)
    axis.plot(shown[:, 0], shown[:, 1], "-", color="0.8", linewidth=0.8, zorder=2)
    axis.scatter(shown[:, 0], shown[:, 1], c=np.arange(len(shown)), cmap="viridis", s=18, zorder=3)
    axis.set_xlim(-0.35, 1.35)
    axis.set_ylim(1.35, -0.35)
    axis.set_aspect(9 / 16)
    axis.set_title("points of gaze on the screen, dark to bright over time", loc="left")
    axis.set_axis_off()
    return _save(figure, path)


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """A video frame with the gaze around it.

    Attributes:
        title: Title above the frame.
        frame: RGB image, shape (height, width, 3); None without a video.
        saliency_map: Saliency map of the frame; None if there is none.
        heat: Heatmap of the gaze, 0 to 1, of the frame's size.
    """

    title: str
    frame: NDArray[np.uint8] | None
    saliency_map: NDArray[np.generic] | None
    heat: NDArray[np.float64]


def make_heat(
    points: NDArray[np.float64], shape: tuple[int, int], sigmas_px: tuple[float, float]
) -> NDArray[np.float64]:
    """Return a heatmap: the sum of a Gaussian around each point, scaled to a maximum of 1.

    Args:
        points: Points normalised to the image, shape (n, 2); those outside are ignored.
        shape: Height and width of the image.
        sigmas_px: Standard deviations in rows and in columns.
    """
    height, width = shape
    counts = np.zeros(shape)
    inside = points[((points >= 0) & (points <= 1)).all(axis=1)]
    columns = np.minimum((inside[:, 0] * width).astype(int), width - 1)
    rows = np.minimum((inside[:, 1] * height).astype(int), height - 1)
    np.add.at(counts, (rows, columns), 1.0)
    blurred = cv2.GaussianBlur(counts, (0, 0), sigmaX=max(sigmas_px[1], 0.5), sigmaY=max(sigmas_px[0], 0.5))
    return np.asarray(blurred / max(float(blurred.max()), 1e-12), dtype=np.float64)


def draw_key_frames(moments: Sequence[KeyFrame], *, path: Path) -> Path:
    """Draw the gaze over each frame, next to the saliency map; return `path`."""
    height, width = moments[0].heat.shape
    figure = Figure(figsize=(PAGE_WIDTH, len(moments) * (PAGE_WIDTH / 2 * height / width + 0.3)), layout="constrained")
    axes = figure.subplots(len(moments), 2, squeeze=False)
    for (left, right), moment in zip(axes, moments, strict=True):
        height, width = moment.heat.shape
        ground = np.full((height, width, 3), 40, dtype=np.uint8) if moment.frame is None else moment.frame
        # Greyscale, so that colour represents gaze only.
        grey = np.repeat(ground.mean(axis=2, keepdims=True) / 255, 3, axis=2)
        colours = colormaps["plasma"](moment.heat)[..., :3]
        share = np.clip(moment.heat * 1.4, 0, 0.8)[..., None]
        left.imshow(grey * (1 - share) + colours * share)
        left.set_title(moment.title, loc="left", fontsize=10)
        if moment.saliency_map is not None:
            right.imshow(moment.saliency_map, cmap="inferno", aspect="auto", extent=(0, width, height, 0))
            right.set_aspect("equal")
            right.set_title("saliency", loc="left", fontsize=10)
        else:
            right.text(0.5, 0.5, "no map", ha="center", va="center", transform=right.transAxes)
        left.set_axis_off()
        right.set_axis_off()
    return _save(figure, path, dots_per_inch=PAGE_DPI)


def draw_score_over_time(
    times_s: NDArray[np.float64],
    hits: NDArray[np.float64],
    chances: NDArray[np.float64],
    *,
    mean_percent: float,
    low_percent: float | None,
    high_percent: float | None,
    path: Path,
) -> Path:
    """Draw moving averages of hits and chance, with the overall mean and its interval; return `path`.

    Args:
        times_s: Increasing times, shape (n,).
        hits: 1 for a hit, otherwise 0, shape (n,).
        chances: Fraction of the map that counts as a hit, shape (n,).
        mean_percent: Mean of the hits.
        low_percent: Lower bound of its interval; None without an interval.
        high_percent: Upper bound of its interval; None without an interval.
        path: PNG file to write.
    """
    window_s = float(np.clip((times_s[-1] - times_s[0]) / 20, 1.0, 30.0))
    figure = Figure(figsize=(PAGE_WIDTH, 3.2), layout="constrained")
    axis = figure.subplots()
    if low_percent is not None and high_percent is not None:
        axis.axhspan(low_percent, high_percent, color=GAZE_COLOUR, alpha=0.15, linewidth=0, label="95 % interval")
    axis.axhline(mean_percent, color=GAZE_COLOUR, linewidth=1, alpha=0.7)
    grid_s, scores = _moving_mean(times_s, hits, window_s)
    axis.plot(grid_s, 100 * scores, color=GAZE_COLOUR, linewidth=1.8, label="score")
    _, chance = _moving_mean(times_s, chances, window_s)
    axis.plot(grid_s, 100 * chance, "--", color="0.35", linewidth=1.5, label="chance")
    axis.set_ylim(-3, 103)
    axis.set_ylabel(f"% hits in {window_s:.0f} s")
    _label_time(axis)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return _save(figure, path, dots_per_inch=PAGE_DPI)


def draw_coverage(times_s: NDArray[np.float64], statuses: Sequence[str], *, path: Path) -> Path:
    """Draw the share of each frame status over time; return `path`."""
    first_s, last_s = float(times_s.min()), float(times_s.max())
    edges = np.linspace(first_s, max(last_s, first_s + 1e-3), min(60, max(2, len(statuses) // 5)) + 1)
    total = np.maximum(np.histogram(times_s, edges)[0], 1)
    figure = Figure(figsize=(PAGE_WIDTH, 3.2), layout="constrained")
    axis = figure.subplots()
    bottom = np.zeros(len(edges) - 1)
    found = set(statuses)
    for status in (*(name for name in STATUS_COLOURS if name in found), *sorted(found - STATUS_COLOURS.keys())):
        chosen = np.array([each == status for each in statuses])
        share = 100 * np.histogram(times_s[chosen], edges)[0] / total
        label = f"{status.replace('_', ' ')} ({int(chosen.sum())})"
        colour = STATUS_COLOURS.get(status, "#000000")
        axis.bar(edges[:-1], share, np.diff(edges), bottom=bottom, align="edge", color=colour, label=label)
        bottom += share
    axis.set_ylim(0, 100)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylabel("% of frames")
    _label_time(axis)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return _save(figure, path, dots_per_inch=PAGE_DPI)


def draw_fixations(
    fixations: NDArray[np.float64], shape: float, viewports: Sequence[tuple[float, float, float, float]], *, path: Path
) -> Path:
    """Draw the fixations on the screen; return `path`.

    Args:
        fixations: Onset and duration in seconds, x and y normalised to the screen, shape (n, 4).
        shape: Aspect ratio of the screen, width over height.
        viewports: x, y, width and height of each position of the video on the screen, normalised.
        path: PNG file to write.
    """
    figure = Figure(figsize=(PAGE_WIDTH, PAGE_WIDTH / shape + 0.5), layout="constrained")
    axis = figure.subplots()
    axis.add_patch(Rectangle((0, 0), shape, 1, facecolor="0.96", edgecolor="0.4"))
    for left, top, width, height in viewports[:MAX_VIEWPORTS]:
        if (left, top, width, height) == (0, 0, 1, 1):
            continue
        axis.add_patch(
            Rectangle((left * shape, top), width * shape, height, fill=False, edgecolor="0.4", linestyle=":")
        )
    x = np.clip(fixations[:, 2], -OFF_SCREEN, 1 + OFF_SCREEN) * shape
    y = np.clip(fixations[:, 3], -OFF_SCREEN, 1 + OFF_SCREEN)
    if len(fixations) <= MAX_PATH_FIXATIONS:
        axis.plot(x, y, "-", color="0.6", linewidth=0.8)
    markers = axis.scatter(
        x, y, s=40 + 400 * np.minimum(fixations[:, 1], 2.0), c=fixations[:, 0], cmap="viridis", alpha=0.75, zorder=3
    )
    axis.set_xlim(min(0.0, float(x.min())) - 0.05, max(shape, float(x.max())) + 0.05)
    axis.set_ylim(max(1.0, float(y.max())) + 0.05, min(0.0, float(y.min())) - 0.05)
    axis.set_aspect("equal")
    axis.set_axis_off()
    figure.colorbar(markers, ax=axis, label="onset, s", shrink=0.8, aspect=30)
    return _save(figure, path, dots_per_inch=PAGE_DPI)


def _moving_mean(
    times_s: NDArray[np.float64], values: NDArray[np.float64], window_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return 400 times and the mean of the values around each; NaN where there are no values."""
    grid_s = np.linspace(times_s[0], times_s[-1], 400)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    first = np.searchsorted(times_s, grid_s - window_s / 2)
    last = np.searchsorted(times_s, grid_s + window_s / 2, side="right")
    count = last - first
    means = np.where(count > 0, (sums[last] - sums[first]) / np.maximum(count, 1), np.nan)
    return grid_s, means


def _label_time(axis: Axes) -> None:
    axis.set_xlabel("position in the video, min:s")
    axis.xaxis.set_major_formatter(lambda value, _position: f"{int(value // 60)}:{int(value % 60):02d}")
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path, *, dots_per_inch: int = 110) -> Path:
    figure.savefig(path, dpi=dots_per_inch)
    return path
