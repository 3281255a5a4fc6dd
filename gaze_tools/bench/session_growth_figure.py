"""Figure of the growth curves."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from gaze_tools.bench.session_growth import GrowthCurve

_COLOURS = ("#1b6ca8", "#d1495b", "#66a182")


def draw(curves: Sequence[GrowthCurve], path: Path) -> None:
    """Draw the curves, one panel for each quantity that grows, with doubly logarithmic axes.

    Args:
        curves: Curves to draw.
        path: Image file to write.
    """
    size_names = list(dict.fromkeys(curve.size_name for curve in curves))
    figure = Figure(figsize=(4 * len(size_names), 3.4), layout="constrained")
    panels = figure.subplots(1, len(size_names), squeeze=False)[0]
    for axes, size_name in zip(panels, size_names, strict=True):
        drawn = [curve for curve in curves if curve.size_name == size_name]
        for curve, colour in zip(drawn, _COLOURS, strict=False):
            label = f"{curve.series}, exponent {curve.exponent:.2f}"
            axes.plot(curve.sizes, curve.cpu_ms, marker="o", markersize=4, color=colour, label=label)
        axes.set(xscale="log", yscale="log", xlabel=size_name, ylabel="CPU time, ms")
        low, high = min(min(curve.cpu_ms) for curve in drawn), max(max(curve.cpu_ms) for curve in drawn)
        # At least two decades, so that a constant does not look like noise.
        axes.set_ylim(min(low / 2, high / 100), 3 * high)
        axes.legend(fontsize=7, loc="upper left", frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
