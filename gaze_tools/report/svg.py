"""Figures as SVG: text stays text, colours follow the reader's light or dark mode, nothing is loaded from elsewhere."""

import base64
import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH = 600.0
"""Width of a figure in its own units."""

TEXT = 27.0
"""Room for a line of text: on a phone the text is larger in relation to the figure."""

LETTER = 13.5
"""Width of a letter on a phone."""

_NAMESPACE = "http://www.w3.org/2000/svg"
_JPEG_QUALITY = 85
_SHORT_LABEL = 13
"""Most letters of a label of which three fit side by side on a phone."""

STYLE = """
.chart { --ink: #16211f; --quiet: #53615e; --line: #c9d2ce; --ground: #f1f4f2; --gaze: #c2303f; --chance: #53615e;
  --scored: #16806f; --eyes_closed: #d9822b; --low_quality: #c4553a; --no_face: #7d4f92; --missing: #8a949e;
  --no_map: #3c73bd; --bad_map: #2f4b7c; --no_time: #a3417f; --old_format: #7b5d52; --unreadable: #444c55;
  display: block; width: 100%; height: auto; font-family: system-ui, sans-serif; }
.chart text { fill: var(--ink); font-size: 13px; }
.chart .axis { stroke: var(--line); stroke-width: 1; }
.chart .ground { fill: var(--ground); stroke: var(--quiet); stroke-width: 1; }
.chart .viewport { fill: none; stroke: var(--quiet); stroke-width: 1.5; stroke-dasharray: 2 4; }
.chart .band { fill: var(--gaze); fill-opacity: .16; }
.chart .track { fill: var(--line); }
.chart .mark { fill: var(--gaze); }
.chart .mean { stroke: var(--gaze); stroke-width: 1.2; }
.chart .score { fill: none; stroke: var(--gaze); stroke-width: 2.5; stroke-linejoin: round; }
.chart .chance { fill: none; stroke: var(--chance); stroke-width: 2; stroke-dasharray: 7 5; }
.chart .path { fill: none; stroke: var(--quiet); stroke-width: 1; }
.chart .fixation { stroke: var(--ink); stroke-width: .8; fill-opacity: .8; }
@media (max-width: 44rem) { .chart text { font-size: 17px; } }
@media (max-width: 34rem) { .chart text { font-size: 22px; } }
@media (max-width: 27rem) { .chart text { font-size: 25px; } }
@media screen and (prefers-color-scheme: dark) {
  .chart { --ink: #e9efed; --quiet: #a7b5b1; --line: #46544f; --ground: #1b2523; --gaze: #ff7b86; --chance: #a7b5b1;
    --scored: #3fbfa8; --eyes_closed: #f4a259; --low_quality: #f08a6c; --no_face: #c79add; --missing: #8b96a1;
    --no_map: #78abec; --bad_map: #8ba3d6; --no_time: #e08cc2; --old_format: #bf9d90; --unreadable: #c9d1d9; }
}
@media (forced-colors: active) {
  .chart { --ink: CanvasText; --quiet: CanvasText; --line: GrayText; --ground: Canvas; --chance: CanvasText; }
}
"""
"""Style of the figures, in the page and in each file."""


class Svg:
    """A figure that is `WIDTH` units wide.

    Args:
        name: Name of its file without a suffix; also the prefix of its ids.
        title: Title for screen readers.
        description: What it shows, for screen readers.
        height: Height in the same units.
    """

    def __init__(self, name: str, title: str, description: str, height: float) -> None:
        self.name = name
        self._root = ET.Element(
            "svg",
            {
                "class": "chart",
                "viewBox": f"0 0 {WIDTH:g} {height:.0f}",
                "role": "img",
                "aria-labelledby": f"{name}-title {name}-desc",
            },
        )
        self.text_of("title", title, id=f"{name}-title")
        self.text_of("desc", description, id=f"{name}-desc")

    def add(self, tag: str, **attributes: float | str) -> None:
        """Add an element; an underscore at the end of a name is dropped, others become hyphens."""
        ET.SubElement(self._root, tag, _written(attributes))

    def text_of(self, tag: str, content: str, **attributes: float | str) -> None:
        """Add an element with text."""
        ET.SubElement(self._root, tag, _written(attributes)).text = content

    def text(self, x: float, y: float, content: str, *, anchor: str = "start") -> None:
        """Add a line of text with its baseline at y."""
        self.text_of("text", content, x=x, y=y, text_anchor=anchor)

    def line(self, class_: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Add a line."""
        self.add("line", class_=class_, x1=start[0], y1=start[1], x2=end[0], y2=end[1])

    def curve(self, class_: str, points: NDArray[np.float64]) -> None:
        """Add a line through points, shape (n, 2), with gaps at NaN."""
        parts, is_down = [], False
        for x, y in points.tolist():
            is_known = x == x and y == y  # noqa: PLR0124  NaN
            if is_known:
                parts.append(f"{'L' if is_down else 'M'}{x:.1f} {y:.1f}")
            is_down = is_known
        if parts:
            self.add("path", class_=class_, d="".join(parts))

    def image(self, pixels: NDArray[np.uint8], box: tuple[float, float, float, float]) -> None:
        """Add an RGB image, shape (height, width, 3), in a box of x, y, width and height."""
        x, y, width, height = box
        self.add(
            "image",
            x=x,
            y=y,
            width=width,
            height=height,
            preserveAspectRatio="none",
            href=f"data:image/jpeg;base64,{base64.b64encode(_encode(pixels)).decode()}",
        )

    def scale(self, top: float, colours: Sequence[str], low: str, high: str, unit: str) -> None:
        """Add a colour scale with the values at its ends and its unit."""
        gradient = ET.SubElement(self._root, "linearGradient", {"id": f"{self.name}-scale"})
        for index, colour in enumerate(colours):
            offset = f"{index / (len(colours) - 1):.3f}"
            ET.SubElement(gradient, "stop", {"offset": offset, "stop-color": colour})
        self.text(0, top + 20, unit)
        self.add("rect", class_="axis", x=0.5, y=top + 30, width=WIDTH - 1, height=14, fill=f"url(#{self.name}-scale)")
        self.text(0, top + 67, low)
        self.text(WIDTH, top + 67, high, anchor="end")

    def legend(self, top: float, entries: Sequence[tuple[str, str, str]]) -> float:
        """Add a legend in columns; return the position below it.

        Args:
            top: Its top.
            entries: Label of each entry, `line` or `box`, and the class of the line or the fill of the box.
        """
        columns = _count_columns([label for label, _, _ in entries])
        for index, (label, kind, look) in enumerate(entries):
            row, column = divmod(index, columns)
            x, y = column * WIDTH / columns, top + TEXT * row
            if kind == "line":
                self.line(look, (x, y + 15), (x + 24, y + 15))
            elif kind == "box":
                self.add("rect", x=x, y=y + 8, width=14, height=14, style=f"fill: {look}")
            else:
                self.add("rect", class_=look, x=x, y=y + 8, width=24, height=14)
            self.text(x + (20 if kind == "box" else 30), y + 21, label)
        return top + legend_height([label for label, _, _ in entries])

    def inline(self) -> str:
        """Return the element for a page that has `STYLE`."""
        return ET.tostring(self._root, encoding="unicode")

    def standalone(self) -> str:
        """Return a complete file with its style."""
        style = f"<style>{STYLE} svg {{ background: #fff; }} @media screen and (prefers-color-scheme: dark) "
        style += "{ svg { background: #101615; } }</style>"
        head, _, rest = self.inline().partition(">")
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{head} xmlns="{_NAMESPACE}">{style}{rest}\n'


def legend_height(labels: Sequence[str]) -> float:
    """Return the height of a legend with these labels."""
    return TEXT * math.ceil(len(labels) / _count_columns(labels))


def _count_columns(labels: Sequence[str]) -> int:
    """Return three columns for short labels, two for long ones."""
    return 3 if max(map(len, labels), default=0) <= _SHORT_LABEL else 2


def colours_of(values: NDArray[np.float64], palette: int) -> NDArray[np.uint8]:
    """Return the RGB colours of values from 0 to 1 in one of OpenCV's palettes, shape (…, 3)."""
    levels = np.clip(np.rint(255 * np.nan_to_num(values)), 0, 255).astype(np.uint8)
    flat = cv2.applyColorMap(levels.reshape(-1, 1), palette).reshape(-1, 3)
    return np.ascontiguousarray(flat[:, ::-1]).reshape(*levels.shape, 3).astype(np.uint8)


def hex_colours(values: NDArray[np.float64], palette: int) -> list[str]:
    """Return the colours of values from 0 to 1, shape (n,), as CSS."""
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colours_of(values, palette).tolist()]


def _written(attributes: dict[str, float | str]) -> dict[str, str]:
    return {
        name if name == "preserveAspectRatio" else name.rstrip("_").replace("_", "-"): (
            value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
        )
        for name, value in attributes.items()
    }


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    bgr = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()
