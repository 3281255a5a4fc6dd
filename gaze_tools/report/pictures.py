"""The figures of a report with images of the video: heat map and key frames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.types import SaliencyMap
from gaze_tools.report.heat import HeatMap
from gaze_tools.report.svg import TEXT, WIDTH, Svg, colours_of, hex_colours

MAX_HEIGHT = 540.0
"""Height of the heat map in a figure; a taller video is drawn narrower."""

WORKING_PX = 640
"""Longer side of the images in a figure."""

_GAP = 12.0
_PALETTE = cv2.COLORMAP_PLASMA


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrame:
    """A video frame with the gaze around it.

    Attributes:
        title: Title above the frame.
        frame: RGB image, shape (height, width, 3); None without a video.
        saliency_map: Saliency map of the frame; None if there is none.
        heat: Heat map of the gaze.
    """

    title: str
    frame: NDArray[np.uint8] | None
    saliency_map: SaliencyMap | None
    heat: HeatMap


def working_shape(aspect: float) -> tuple[int, int]:
    """Return height and width of the images of a video, given its width over its height."""
    if aspect >= 1:
        return max(1, round(WORKING_PX / aspect)), WORKING_PX
    return WORKING_PX, max(1, round(WORKING_PX * aspect))


def draw_heat_map(heat: HeatMap, frame: NDArray[np.uint8] | None, aspect: float) -> Svg:
    """Draw the heat map of a session over a frame of its video, with its scale.

    Args:
        heat: Heat map.
        frame: RGB image, shape (height, width, 3); None draws on a dark background.
        aspect: Width of the video over its height.
    """
    width, height = _fit(aspect, WIDTH, MAX_HEIGHT)
    most = float(heat.density.max())
    row, column = divmod(int(heat.density.argmax()), heat.density.shape[1])
    described = (
        f"{heat.on_video_s:.1f} s of gaze. Most of it is {100 * (column + 0.5) / heat.density.shape[1]:.0f} % from the "
        f"left and {100 * (row + 0.5) / heat.density.shape[0]:.0f} % from the top of the video: {_number(most)} s per "
        "square degree."
    )
    svg = Svg("heat_map", "Heat map of the session", described, height + 80)
    svg.image(_lay_over(frame, heat), ((WIDTH - width) / 2, 0, width, height))
    colours = hex_colours(np.linspace(0, 1, 9), _PALETTE)
    svg.scale(height + 6, colours, "0", _number(most), "seconds of gaze per square degree")
    return svg


def draw_key_frames(moments: Sequence[KeyFrame], aspect: float) -> Svg:
    """Draw the gaze over each frame, next to the saliency map.

    Args:
        moments: Key frames, at least one.
        aspect: Width of the video over its height.
    """
    half = (WIDTH - _GAP) / 2
    width, height = _fit(aspect, half, MAX_HEIGHT * 0.6)
    times = ", ".join(moment.title for moment in moments)
    described = f"Each frame with the gaze around it, beside its saliency map: {times}."
    svg = Svg("key_frames", "Gaze on the video", described, len(moments) * (height + TEXT + 2 * _GAP))
    shape = working_shape(aspect)
    top = 0.0
    for moment in moments:
        svg.text(0, top + TEXT, moment.title)
        svg.text(half + _GAP, top + TEXT, "saliency map" if moment.saliency_map is not None else "no saliency map")
        top += TEXT + 0.6 * _GAP
        svg.image(_lay_over(moment.frame, moment.heat), (0, top, width, height))
        if moment.saliency_map is not None:
            values = np.asarray(moment.saliency_map, dtype=np.float64)
            values = values / max(float(values.max()), 1e-12)
            size = (shape[1] // 2 or 1, shape[0] // 2 or 1)
            small = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), dtype=np.float64)
            coloured = colours_of(small, cv2.COLORMAP_INFERNO)
            svg.image(coloured, (half + _GAP, top, width, height))
        top += height + 1.4 * _GAP
    return svg


def _lay_over(frame: NDArray[np.uint8] | None, heat: HeatMap) -> NDArray[np.uint8]:
    """Return the heat map over a grey frame; the frame is grey so that colour represents gaze only."""
    height, width = heat.density.shape
    if frame is None:
        grey = np.full((height, width), 40.0)
    else:
        resized = cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
        grey = np.asarray(cv2.cvtColor(resized, cv2.COLOR_RGB2GRAY), dtype=np.float64)
    values = heat.density / max(float(heat.density.max()), 1e-12)
    share = np.clip(values * 1.4, 0, 0.8)[..., None]
    mixed = grey[..., None] * (1 - share) + colours_of(values, _PALETTE) * share
    return np.asarray(np.rint(mixed), dtype=np.uint8)


def _fit(aspect: float, width: float, height: float) -> tuple[float, float]:
    return (width, width / aspect) if width / aspect <= height else (height * aspect, height)


def _number(value: float) -> str:
    """Return a value with two significant digits."""
    if value <= 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(value)))
    return f"{value:.{digits}f}"
