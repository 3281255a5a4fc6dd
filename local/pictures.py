"""Pictures of a viewing, for people to look at."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

Gaze = Mapping[str, float] | None
"""An answer's `gaze`: x and y normalised to the screen, or None."""

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
    """Draw where the viewer looks over a frame of the video and over its saliency map; return `path`.

    Args:
        frame: RGB, shape (height, width, 3); it fills the screen.
        saliency_map: Of that frame, shape (height, width).
        gazes: By frame number; those of the last half second are drawn as a trail.
        frame_number: Of the frame.
        truth: Where the viewer really looks, when that is known.
        path: Of the PNG file.
    """
    height, width = frame.shape[:2]
    trail = [gazes.get(number) for number in range(frame_number - TRAIL_FRAMES, frame_number + 1)]
    seen = np.array([[gaze["x"] * width, gaze["y"] * height] for gaze in trail if gaze])
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    axes = figure.subplots(1, 2)
    for axis, picture, title in ((axes[0], frame, "video"), (axes[1], saliency_map, "saliency map")):
        axis.imshow(picture, cmap="inferno", extent=(0, width, height, 0))
        axis.set_title(f"{title}, frame {frame_number}", loc="left")
        axis.set_axis_off()
        # A gaze beyond the screen's edge still shows, up to a third of the screen away.
        axis.set_xlim(-width / 3, 4 * width / 3)
        axis.set_ylim(4 * height / 3, -height / 3)
        if len(seen):
            axis.plot(seen[:, 0], seen[:, 1], "-", color=GAZE_COLOUR, linewidth=1, alpha=0.6)
            axis.plot(*seen[-1], "o", color=GAZE_COLOUR, markeredgecolor="white", markersize=11, label="estimated gaze")
        if truth:
            x, y = truth[0] * width, truth[1] * height
            axis.plot(x, y, "P", color=TRUTH_COLOUR, markeredgecolor="white", markersize=11, label="true gaze")
    if axes[0].get_legend_handles_labels()[0]:
        axes[0].legend(loc="upper left", framealpha=0.9)
    return _save(figure, path)


def draw_trace(gazes: Mapping[int, Gaze], truth: Mapping[int, tuple[float, float]], *, path: Path) -> Path:
    """Draw x and y of the gaze over the frames, with the truth when it is known; return `path`.

    Frames without a gaze are gaps, shaded.
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


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    return path
