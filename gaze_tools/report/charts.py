"""The charts of a report: score, lost frames and fixations."""

from collections import Counter
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_tools.report.svg import LETTER, TEXT, WIDTH, Svg, hex_colours, legend_height
from gaze_tools.report.trace import STATUSES

MAX_PATH_FIXATIONS = 150
"""Above this number, lines between fixations are unreadable and left out."""

MAX_DRAWN_FIXATIONS = 1000
"""Only the longest fixations are drawn."""

MAX_VIEWPORTS = 20
"""Maximum number of positions of the video that are drawn."""

OFF_SCREEN = 0.15
"""Maximum distance from the screen, in screen sizes, at which a fixation is drawn."""

_LEFT, _RIGHT = 60.0, WIDTH - 44
_PLOT_HEIGHT = 200.0
_TITLE_GAP = 20.0
_AXES_HEIGHT = TEXT + _TITLE_GAP + _PLOT_HEIGHT + 2 * TEXT + 14
"""Height of a chart with axes below its legend: title, plot, and two lines of text."""

_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def clock_time(time_s: float) -> str:
    """Return a position in the video as minutes and seconds; it may lie just before the start."""
    minutes, seconds = divmod(int(abs(time_s)), 60)
    return f"{'−' if time_s <= -1 else ''}{minutes}:{seconds:02d}"


def draw_score_over_time(
    times_s: NDArray[np.float64],
    hits: NDArray[np.float64],
    chances: NDArray[np.float64],
    *,
    mean_percent: float,
    interval_percent: tuple[float, float] | None,
) -> Svg:
    """Draw moving averages of hits and chance, with the overall mean and its interval.

    Args:
        times_s: Increasing times, shape (n,), at least one.
        hits: 1 for a hit, otherwise 0, shape (n,).
        chances: Fraction of the map that counts as a hit, shape (n,).
        mean_percent: Mean of the hits.
        interval_percent: Bounds of its interval; None without one.
    """
    window_s = float(np.clip((times_s[-1] - times_s[0]) / 20, 1.0, 30.0))
    described = f"Moving average over {window_s:.0f} s. The mean is {mean_percent:.1f} %"
    if interval_percent is not None:
        described += f", its 95 % interval {interval_percent[0]:.1f} to {interval_percent[1]:.1f} %"
    described += f"; chance is {100 * float(chances.mean()):.1f} %."
    entries = [("score", "line", "score"), ("chance", "line", "chance")]
    if interval_percent is not None:
        entries.append(("95 % interval", "area", "band"))
    height = legend_height([label for label, _, _ in entries]) + _AXES_HEIGHT
    svg = Svg("score", "Score over time", described, height)
    top = svg.legend(0, entries) + TEXT
    svg.text(0, top - 4, f"% hits in {window_s:.0f} s")
    axes = _Axes(svg, top + _TITLE_GAP, float(times_s[0]), float(times_s[-1]))
    if interval_percent is not None:
        low, high = (axes.y(value) for value in interval_percent)
        svg.add("rect", class_="band", x=_LEFT, y=high, width=_RIGHT - _LEFT, height=max(1.0, low - high))
    svg.line("mean", (_LEFT, axes.y(mean_percent)), (_RIGHT, axes.y(mean_percent)))
    for class_, values in (("chance", chances), ("score", hits)):
        grid_s, means = _moving_mean(times_s, values, window_s)
        svg.curve(class_, np.column_stack([[axes.x(each) for each in grid_s], [axes.y(100 * each) for each in means]]))
    return svg


def draw_coverage(times_s: NDArray[np.float64], statuses: Sequence[str]) -> Svg:
    """Draw the share of each frame status over time.

    Args:
        times_s: Times of the frames, shape (n,), at least one.
        statuses: Their statuses.
    """
    first_s, last_s = float(times_s.min()), float(times_s.max())
    edges = np.linspace(first_s, max(last_s, first_s + 1e-3), min(60, max(2, len(statuses) // 5)) + 1)
    total = np.maximum(np.histogram(times_s, edges)[0], 1)
    counts = Counter(statuses)
    order = [*(name for name in STATUSES if name in counts), *sorted(counts.keys() - set(STATUSES))]
    labels = [f"{status.replace('_', ' ')} ({counts[status]})" for status in order]
    height = legend_height(labels) + _AXES_HEIGHT
    svg = Svg("coverage", "Scored and lost frames over time", f"Number of frames: {', '.join(labels)}.", height)
    colours = [f"var(--{status}, var(--quiet))" for status in order]
    top = svg.legend(0, [(label, "box", colour) for label, colour in zip(labels, colours, strict=True)]) + TEXT
    svg.text(0, top - 4, "% of frames")
    axes = _Axes(svg, top + _TITLE_GAP, first_s, float(edges[-1]))
    bottom = np.zeros(len(edges) - 1)
    names = np.array(statuses)
    for status, colour in zip(order, colours, strict=True):
        share = 100 * np.histogram(times_s[names == status], edges)[0] / total
        # One path for all bars of a status; bars touch each other.
        bars = [
            f"M{axes.x(left):.1f} {axes.y(low):.1f}V{axes.y(low + part):.1f}H{axes.x(right):.1f}V{axes.y(low):.1f}Z"
            for left, right, low, part in zip(edges[:-1], edges[1:], bottom, share, strict=True)
            if part
        ]
        svg.add("path", d="".join(bars), style=f"fill: {colour}", shape_rendering="crispEdges")
        bottom += share
    return svg


def draw_fixations(
    fixations: NDArray[np.float64], aspect: float, viewports: Sequence[tuple[float, float, float, float]]
) -> Svg:
    """Draw the fixations on the screen.

    Args:
        fixations: Onset and duration in seconds, x and y normalised to the screen, shape (n, 4), at least one.
        aspect: Width of the screen over its height.
        viewports: x, y, width and height of each position of the video on the screen, normalised.
    """
    places = np.clip(fixations[:, 2:], -OFF_SCREEN, 1 + OFF_SCREEN)
    (left, upper), (right, lower) = np.minimum(places.min(axis=0), 0), np.maximum(places.max(axis=0), 1)
    # The largest circle is drawn whole; a tall screen is not wider than the page is high.
    margin = 26.0
    width = min((WIDTH - 2 * margin) / (right - left), 520.0 * aspect)
    screen_height = width / aspect
    origin_x, origin_y = margin - left * width, margin - upper * screen_height
    bottom = origin_y + lower * screen_height + margin
    described = f"{len(fixations)} fixations, of which the longest lasted {float(fixations[:, 1].max()):.2f} s."
    svg = Svg("fixations", "Fixations on the screen", described, bottom + 74)
    svg.add("rect", class_="ground", x=origin_x, y=origin_y, width=width, height=screen_height)
    for x, y, view_width, view_height in viewports[:MAX_VIEWPORTS]:
        if (x, y, view_width, view_height) != (0, 0, 1, 1):
            svg.add(
                "rect",
                class_="viewport",
                x=origin_x + x * width,
                y=origin_y + y * screen_height,
                width=view_width * width,
                height=view_height * screen_height,
            )
    points = np.column_stack([origin_x + places[:, 0] * width, origin_y + places[:, 1] * screen_height])
    if len(fixations) <= MAX_PATH_FIXATIONS:
        svg.curve("path", points)
    onsets = fixations[:, 0]
    first_s, last_s = float(onsets.min()), float(onsets.max())
    colours = hex_colours((onsets - first_s) / max(last_s - first_s, 1e-9), cv2.COLORMAP_VIRIDIS)
    longest = np.sort(np.argsort(-fixations[:, 1], kind="stable")[:MAX_DRAWN_FIXATIONS])
    for index in longest.tolist():
        radius = 4 + 15 * min(float(fixations[index, 1]), 2.0) ** 0.5 / 2**0.5
        svg.add("circle", class_="fixation", cx=points[index, 0], cy=points[index, 1], r=radius, fill=colours[index])
    scale = hex_colours(np.linspace(0, 1, 9), cv2.COLORMAP_VIRIDIS)
    svg.scale(bottom, scale, clock_time(first_s), clock_time(last_s), "onset in the video, min:s")
    return svg


class _Axes:
    """Axes of a chart of percentages over the position in the video."""

    def __init__(self, svg: Svg, top: float, first_s: float, last_s: float) -> None:
        self._top, self._first_s, self._span_s = top, first_s, max(last_s - first_s, 1e-3)
        for percent in (0, 25, 50, 75, 100):
            svg.line("axis", (_LEFT, self.y(percent)), (_RIGHT, self.y(percent)))
            if percent % 50 == 0:
                svg.text(_LEFT - 8, self.y(percent) + 5, str(percent), anchor="end")
        # Labels do not touch on a phone.
        most = min(6.0, (_RIGHT - _LEFT) / (LETTER * (len(clock_time(first_s + self._span_s)) + 0.5)))
        step_s = next((step for step in _STEPS_S if self._span_s / step <= most), self._span_s / 5)
        bottom = top + _PLOT_HEIGHT
        for tick in range(int(np.ceil(first_s / step_s)), int(np.floor(last_s / step_s)) + 1):
            x = self.x(tick * step_s)
            svg.line("axis", (x, bottom), (x, bottom + 5))
            svg.text(x, bottom + TEXT + 3, clock_time(tick * step_s), anchor="middle")
        svg.text(_RIGHT, bottom + 2 * TEXT + 6, "position in the video, min:s", anchor="end")

    def x(self, time_s: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * (float(time_s) - self._first_s) / self._span_s

    def y(self, percent: float) -> float:
        return self._top + _PLOT_HEIGHT * (1 - float(percent) / 100)


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
