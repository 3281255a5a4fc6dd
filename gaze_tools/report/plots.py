"""Plots of the gaze alone, without a session."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

Gaze = Mapping[str, float] | None
"""Field `gaze` of a reply: x and y normalised to the screen, or None."""

TRAIL_FRAMES = 10
GAZE_COLOUR, TRUTH_COLOUR = "#d1495b", "#1b998b"


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


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
