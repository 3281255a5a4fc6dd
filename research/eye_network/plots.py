"""Figures about the eye network, drawn with matplotlib; equal numbers give equal files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#7a8691"
"""Colours of Okabe and Ito's palette, distinguishable with any colour vision."""

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "gaze-function",
}


def draw_spreads(spread: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw predicted against real spread of one eye and of both.

    Args:
        spread: `spread` of `measures.summarise`.
        path: SVG file to write.

    Raises:
        OSError: The file cannot be written.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        for axes, (name, title) in zip(
            figure.subplots(1, 2, sharex=True, sharey=True),
            (("one_eye", "one eye"), ("both", "both eyes")),
            strict=True,
        ):
            drawn = [value for axis in spread[name] for key in ("predicted_deg", "real_deg") for value in axis[key]]
            limits = (0, max(drawn) * 1.05)
            axes.plot(limits, limits, color=GREY, linewidth=0.8)
            for axis, label, colour in zip(spread[name], ("horizontal", "vertical"), (BLUE, ORANGE), strict=True):
                axes.plot(axis["predicted_deg"], axis["real_deg"], "o-", color=colour, markersize=4, label=label)
            axes.set_title(title)
            axes.set_xlabel("predicted standard deviation, degrees")
        figure.axes[0].set_ylabel("root mean square error, degrees")
        figure.axes[0].legend(frameon=False)
        save(figure, path)


def draw_curve(curve: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw the error on the selection people over the training.

    Args:
        curve: Measurements with `step`, `both_deg` and `eye_deg`.
        path: SVG file to write.

    Raises:
        OSError: The file cannot be written.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(5, 3.2), layout="constrained")
        axes = figure.subplots()
        steps = [point["step"] for point in curve]
        for name, label, colour in (("eye_deg", "one eye", ORANGE), ("both_deg", "both eyes", BLUE)):
            axes.plot(steps, [point[name] for point in curve], color=colour, label=label)
        axes.set_xlabel("steps")
        axes.set_ylabel("mean error on selection people, degrees")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as SVG without a date."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
