"""Plots of saliency maps."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray


def draw_maps(maps: Mapping[int, NDArray[np.generic]], frames: Mapping[int, NDArray[np.uint8]], *, path: Path) -> Path:
    """Draw saliency maps next to their video frames; return `path`.

    Args:
        maps: Maps by frame number, at least one.
        frames: RGB images by frame number; may lack some.
        path: PNG file to write.
    """
    columns = 2 if frames else 1
    figure = Figure(figsize=(3.6 * columns, 2.3 * len(maps)), layout="constrained")
    axes = figure.subplots(len(maps), columns, squeeze=False)
    for row, (number, saliency_map) in zip(axes, sorted(maps.items()), strict=True):
        if frames:
            if number in frames:
                row[0].imshow(frames[number])
                row[0].set_title(f"frame {number}", loc="left")
            row[0].set_axis_off()
        row[-1].imshow(saliency_map, cmap="inferno")
        row[-1].set_title("saliency map" if frames else f"saliency map, frame {number}", loc="left")
        row[-1].set_axis_off()
    figure.savefig(path, dpi=110)
    return path
