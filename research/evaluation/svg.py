"""Draws figures as SVG, small and crisp, with type that can still be read on a phone.

A drawing is `WIDTH_PX` wide: beside another one on a desk, alone on a phone, hardly scaled on either. Everything it
says is text, so it can be searched, copied and read aloud.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

WIDTH_PX = 420
LEFT_PX, RIGHT_PX = 44.0, 410.0
"""Where the plane of a figure with axes begins and ends."""

TITLE_PX, TEXT_PX, SMALL_PX = 16.0, 13.5, 12.0

INK, MUTED, FAINT, GRID, GROUND = "#1d2733", "#56616d", "#a7b0ba", "#e3e7ec", "#f3f4f6"
BLUE, ORANGE = "#0072b2", "#d55e00"
"""Of Okabe and Ito's palette, told apart whatever one's colour vision."""

RAMP = ("#f4f8fc", "#cfe1f2", "#93c4de", "#4a98c9", "#1c6aaf", "#08306b")
"""From little to much: one hue, ever darker, so that it also survives a black-and-white print."""

_DARK = 0.68
"""From this share of the ramp on, type on it is white."""

Point = tuple[float, float]

KeyKind = Literal["dashed", "ground", "line", "ring", "target", "warning"]


@dataclass(frozen=True, slots=True)
class Bar:
    """A horizontal bar.

    Attributes:
        label: Above it.
        value: How long it is.
        told: The value in words, behind it.
        aside: What is said behind that in small type.
    """

    label: str
    value: float
    told: str
    aside: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Puts values on pixels.

    Attributes:
        low: Value at `from_px`.
        high: Value at `to_px`.
        from_px: May be larger than `to_px`.
        to_px: Likewise.
        is_log: Whether equal ratios, not equal differences, are equally far apart; needs positive values.
    """

    low: float
    high: float
    from_px: float
    to_px: float
    is_log: bool = False

    def px(self, value: float) -> float:
        """Return the place of a value; one beyond the ends is put at the end."""
        low, high = self.low, self.high
        value = min(max(value, low), high)
        if self.is_log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.from_px + share * (self.to_px - self.from_px)


def find_ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Return round values from `low` to `high`, both included where they are round."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    magnitude = 10.0 ** math.floor(math.log10(span / about))
    step = next(magnitude * factor for factor in (1, 2, 5, 10) if span / (magnitude * factor) <= about)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def round_up(value: float) -> float:
    """Return a round number that is at least `value`, for the end of a scale that begins at 0."""
    if value <= 0:
        return 1.0
    ticks = find_ticks(0, value)
    return ticks[-1] if ticks[-1] >= value else round(ticks[-1] + (ticks[1] - ticks[0]), 10)


def find_colour(share: float) -> tuple[str, str]:
    """Return the ramp's colour at a share from 0 to 1, and that of type on it."""
    share = min(max(share, 0.0), 1.0)
    place = share * (len(RAMP) - 1)
    number = min(int(place), len(RAMP) - 2)
    low, high = (bytes.fromhex(colour[1:]) for colour in RAMP[number : number + 2])
    mixed = bytes(round(a + (b - a) * (place - number)) for a, b in zip(low, high, strict=True))
    return f"#{mixed.hex()}", "#ffffff" if share >= _DARK else INK


class Drawing:
    """A figure under construction, under a title that says what one sees.

    Attributes:
        title: Of the figure.
        height_px: Of the figure.
    """

    def __init__(self, title: str, subtitle: str, *, height_px: float) -> None:
        self.title = title
        self.height_px = height_px
        self._parts: list[str] = []
        self.text(10, 23, title, size_px=TITLE_PX, is_bold=True)
        self.text(10, 43, subtitle, size_px=SMALL_PX, colour=MUTED)

    def line(self, start: Point, end: Point, colour: str, *, width_px: float = 1.0, dash: str = "") -> None:
        """Draw a straight line; `dash` as in SVG."""
        along = f"M{_n(start[0])} {_n(start[1])} {_n(end[0])} {_n(end[1])}"
        self._parts.append(f'<path d="{along}" stroke="{colour}" stroke-width="{_n(width_px)}"{_dash(dash)}/>')

    def path(
        self, points: Sequence[Point], colour: str, *, width_px: float = 1.0, opacity: float = 1.0, dash: str = ""
    ) -> None:
        """Draw a line through points."""
        along = " ".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._parts.append(
            f'<path d="M{along}" fill="none" stroke="{colour}" stroke-width="{_n(width_px)}" stroke-linejoin="round"'
            f"{_opacity(opacity)}{_dash(dash)}/>"
        )

    def area(self, points: Sequence[Point], colour: str, *, opacity: float = 1.0) -> None:
        """Fill what the points go round."""
        around = " ".join(f"{_n(x)} {_n(y)}" for x, y in points)
        self._parts.append(f'<path d="M{around}z" fill="{colour}"{_opacity(opacity)}/>')

    def box(
        self,
        corner: Point,
        size: Point,
        fill: str,
        *,
        edge: str = "",
        edge_px: float = 1.0,
        dash: str = "",
        hint: str = "",
    ) -> None:
        """Draw a rectangle from its upper left corner; `hint` shows when one points at it."""
        (x, y), (width, height) = corner, size
        border = f' stroke="{edge}" stroke-width="{_n(edge_px)}"{_dash(dash)}' if edge else ""
        shape = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" fill="{fill}"{border}'
        self._parts.append(_with_hint(shape, "rect", hint))

    def dot(self, place: Point, radius_px: float, colour: str, *, is_hollow: bool = False, hint: str = "") -> None:
        """Draw a disc, or a ring where little is known."""
        looks = f'fill="#fff" stroke="{colour}" stroke-width="2"' if is_hollow else f'fill="{colour}"'
        shape = f'<circle cx="{_n(place[0])}" cy="{_n(place[1])}" r="{_n(radius_px)}" {looks}'
        self._parts.append(_with_hint(shape, "circle", hint))

    def arrow(self, start: Point, end: Point, colour: str, *, width_px: float = 2.0) -> None:
        """Draw an arrow; a very short one is all head."""
        (x1, y1), (x2, y2) = start, end
        length = math.hypot(x2 - x1, y2 - y1)
        if length < 0.5:
            return
        along_x, along_y = (x2 - x1) / length, (y2 - y1) / length
        head = min(8.0, length)
        neck_x, neck_y = x2 - head * along_x, y2 - head * along_y
        half = 0.45 * head
        if length > head:
            self.line(start, (neck_x, neck_y), colour, width_px=width_px)
        corners = [
            (x2, y2),
            (neck_x - half * along_y, neck_y + half * along_x),
            (neck_x + half * along_y, neck_y - half * along_x),
        ]
        self.area(corners, colour)

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size_px: float = TEXT_PX,
        colour: str = INK,
        anchor: str = "start",
        is_bold: bool = False,
        has_halo: bool = False,
        aside: str = "",
    ) -> None:
        """Write a line of text on its baseline; a halo keeps it legible over lines, `aside` follows in small type."""
        weight = ' font-weight="600"' if is_bold else ""
        side = "" if anchor == "start" else f' text-anchor="{anchor}"'
        halo = ' stroke="#fff" stroke-width="3.5" stroke-linejoin="round" paint-order="stroke"' if has_halo else ""
        small = f'dx="2" font-size="{_n(SMALL_PX)}" font-weight="400" fill="{MUTED}"'
        tail = f" <tspan {small}>{escape(aside)}</tspan>" if aside else ""
        self._parts.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size_px)}" fill="{colour}"{weight}{side}{halo}>'
            f"{escape(content)}{tail}</text>"
        )

    def note(self, x: float, y: float, content: str, *, anchor: str = "start") -> None:
        """Write a line of small, muted text."""
        self.text(x, y, content, size_px=SMALL_PX, colour=MUTED, anchor=anchor)

    def axis_up(self, upward: Scale, ticks: Sequence[float] | None = None) -> None:
        """Draw the ticks of a vertical scale and faint lines across."""
        for value in find_ticks(upward.low, upward.high) if ticks is None else ticks:
            y = upward.px(value)
            self.line((LEFT_PX, y), (RIGHT_PX, y), GRID)
            self.note(LEFT_PX - 6, y + 4, tell(value), anchor="end")
        self.line((LEFT_PX, upward.from_px), (RIGHT_PX, upward.from_px), MUTED)

    def tick(self, x: float, y: float, label: str) -> None:
        """Draw a tick of a horizontal scale at a place on it."""
        self.line((x, y), (x, y + 4), MUTED)
        self.note(x, y + 17, label, anchor="middle")

    def label_across(self, y: float, label: str) -> None:
        """Say what a horizontal scale measures."""
        self.note((LEFT_PX + RIGHT_PX) / 2, y, label, anchor="middle")

    def legend(self, y: float, keys: Sequence[tuple[KeyKind, str]]) -> None:
        """Explain in a row what some looks mean."""
        x = LEFT_PX
        for kind, meaning in keys:
            start, end = (x, y - 4), (x + 22, y - 4)
            if kind == "dashed":
                self.line(start, end, MUTED, width_px=1.5, dash="5 4")
            elif kind == "line":
                self.line(start, end, BLUE, width_px=2.5)
            elif kind == "target":
                self.line(start, end, INK, width_px=2, dash="3 3")
            elif kind == "warning":
                self.line(start, end, ORANGE, width_px=1.5)
            elif kind == "ground":
                self.box((x, y - 11), (22, 14), GROUND, edge=GRID)
            else:
                self.dot((x + 15, y - 4), 4.5, FAINT, is_hollow=True)
            self.note(x + 28, y, meaning)
            x += 28 + 6.6 * len(meaning) + 14

    def render(self) -> str:
        """Return the drawing as part of a page."""
        return self._render("")

    def render_file(self) -> str:
        """Return the drawing as a file of its own, on white."""
        size = f' xmlns="http://www.w3.org/2000/svg" width="{WIDTH_PX}" height="{_n(self.height_px)}"'
        return self._render(size) + "\n"

    def _render(self, attributes: str) -> str:
        opening = (
            f'<svg{attributes} viewBox="0 0 {WIDTH_PX} {_n(self.height_px)}" role="group" '
            f'aria-label="{escape(self.title)}" '
            'font-family="system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif">'
        )
        ground = f'<rect width="{WIDTH_PX}" height="{_n(self.height_px)}" fill="#fff"/>'
        return "\n".join([opening, ground, *self._parts, "</svg>"])


def draw_bars(title: str, subtitle: str, axis: str, bars: Sequence[Bar]) -> Drawing:
    """Return a figure of horizontal bars, each under its label; those below 0 stand out."""
    top, step = 62.0, 40.0
    bottom = top + step * len(bars)
    drawing = Drawing(title, subtitle, height_px=bottom + 50)
    values = [bar.value for bar in bars]
    across = Scale(min(0.0, *values), round_up(max(0.0, *values)), 12, RIGHT_PX - 126)
    for value in find_ticks(across.low, across.high):
        x = across.px(value)
        drawing.line((x, top - 2), (x, bottom), MUTED if value == 0 else GRID)
        drawing.note(x, bottom + 16, tell(value), anchor="middle")
    drawing.note(12, bottom + 37, axis)
    zero = across.px(0)
    for number, bar in enumerate(bars):
        y, end = top + step * number, across.px(bar.value)
        drawing.text(zero + 4, y + 14, bar.label, has_halo=True)
        colour = BLUE if bar.value >= 0 else ORANGE
        drawing.box((min(zero, end), y + 19), (max(abs(end - zero), 1), 15), colour)
        drawing.text(max(zero, end) + 7, y + 31.5, bar.told, is_bold=True, has_halo=True, aside=bar.aside)
    return drawing


def tell(value: float, form: str = "g") -> str:
    """Return a number with a minus sign instead of a hyphen."""
    return f"{value:{form}}".replace("-", "−")


def _n(value: float) -> str:
    return f"{round(value, 1) + 0.0:g}"


def _dash(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""


def _opacity(opacity: float) -> str:
    return f' opacity="{opacity:g}"' if opacity < 1 else ""


def _with_hint(shape: str, name: str, hint: str) -> str:
    return f"{shape}><title>{escape(hint)}</title></{name}>" if hint else f"{shape}/>"
