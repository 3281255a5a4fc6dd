"""The score on a scale from 0 to 100 %, with its interval and the chance level."""

from gaze_tools.report.svg import LETTER, TEXT, WIDTH, Svg

_LEFT, _RIGHT = 12.0, WIDTH - 12
_MIDDLE = TEXT + 22


def draw_scale(score_percent: float, interval_percent: tuple[float, float] | None, chance_percent: float) -> Svg:
    """Draw the score above the line and the chance level below it, so that their labels never collide.

    Args:
        score_percent: Score.
        interval_percent: Bounds of its interval; None without one.
        chance_percent: Chance level.
    """
    label, described = f"{score_percent:.1f} %", f"Score {score_percent:.1f} %, chance {chance_percent:.1f} %"
    if interval_percent is not None:
        text = ", 95 % interval {:.1f} to {:.1f} %".format(*interval_percent)
        label, described = label + text, described + text
    svg = Svg("scale", "Score", f"{described}.", _MIDDLE + TEXT + 24)
    svg.add("rect", class_="track", x=_LEFT, y=_MIDDLE - 5, width=_RIGHT - _LEFT, height=10, rx=5)
    if interval_percent is not None:
        left, right = map(_at, interval_percent)
        svg.add("rect", class_="band", x=left, y=_MIDDLE - 13, width=max(2.0, right - left), height=26, rx=6)
    chance_label = f"chance {chance_percent:.1f} %"
    chance_x = place_label(_at(chance_percent), chance_label)
    svg.line("chance", (_at(chance_percent), _MIDDLE - 16), (_at(chance_percent), _MIDDLE + 18))
    svg.add("circle", class_="mark", cx=_at(score_percent), cy=_MIDDLE, r=9)
    svg.text(place_label(_at(score_percent), label), TEXT - 4, label, anchor="middle")
    svg.text(chance_x, _MIDDLE + TEXT + 16, chance_label, anchor="middle")
    for x, end, anchor in ((0.0, "0", "start"), (WIDTH, "100", "end")):
        if abs(x - chance_x) > LETTER * (len(chance_label) / 2 + len(end) + 1):
            svg.text(x, _MIDDLE + TEXT + 16, end, anchor=anchor)
    return svg


def place_label(x: float, text: str) -> float:
    """Return the middle of a text that belongs to x and is not cut off at the sides of the figure."""
    half = LETTER * len(text) / 2
    return min(max(x, half), WIDTH - half)


def _at(percent: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * percent / 100
