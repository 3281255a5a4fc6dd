"""The figure of docs/attention-score.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.attention_simulation.page import CHANCE, name_kind, name_statistic
from research.attention_simulation.runs import DURATIONS_S, STATISTICS, SimulationOutcome
from research.attention_simulation.viewers import VIEWERS


def draw(outcomes: dict[bool, SimulationOutcome], path: Path, *, durations_s: Sequence[int] = DURATIONS_S) -> None:
    """Draw the viewers' scores and the coverage of the intervals."""
    figure = Figure(figsize=(11, 7.4), layout="constrained")
    panels = figure.add_gridspec(2, 1)
    above = panels[0].subgridspec(1, 3)
    below = panels[1].subgridspec(1, 5)
    shown = (("score", "Score, %"), ("lift", "Lift over chance, points"), ("shuffled_auc", "Shuffled AUC"))
    for position, (statistic, title) in enumerate(shown):
        axes = figure.add_subplot(above[position])
        _draw_viewers(axes, outcomes, statistic)
        axes.set_title(f"{title}, after {durations_s[-1]} s", fontsize=10)
    for position, statistic in enumerate(STATISTICS):
        _draw_coverage(figure.add_subplot(below[position]), outcomes, statistic, durations_s)
    figure.savefig(path, dpi=110)


_COLOURS = {True: "#1f5fa8", False: "#d9822b"}
_MARKERS = ("o", "s", "^", "D")


def _draw_viewers(axes: Axes, outcomes: dict[bool, SimulationOutcome], statistic: str) -> None:
    for offset, (centre_bias, outcome) in zip((-0.18, 0.18), outcomes.items(), strict=True):
        values = outcome.values(statistic)[:, :, -1]
        middle, low, high = (np.nanpercentile(values, share, axis=0) for share in (50, 2.5, 97.5))
        places = np.arange(len(VIEWERS)) + offset
        colour = _COLOURS[centre_bias]
        axes.vlines(places, low, high, color=colour, linewidth=5, alpha=0.35)
        axes.plot(places, middle, "o", color=colour, label=f"{name_kind(centre_bias)} videos: median, 95 % of the runs")
        if statistic == "score":
            chances = np.mean(outcome.values("score")[:, :, -1] - outcome.values("lift")[:, :, -1], axis=0)
            axes.hlines(chances, places - 0.15, places + 0.15, color="black", linewidth=1)
    if statistic == "score":
        axes.set_ylim(0, 130)
        axes.set_yticks(range(0, 101, 20))
        axes.legend(fontsize=8, frameon=False, loc="upper left")
    else:
        axes.axhline(CHANCE[statistic], color="black", linewidth=1)
    axes.set_xticks(range(len(VIEWERS)), list(VIEWERS), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_coverage(
    axes: Axes, outcomes: dict[bool, SimulationOutcome], statistic: str, durations_s: Sequence[int]
) -> None:
    axes.axhspan(93, 97, color="#cfe8cf", zorder=0)
    for centre_bias, outcome in outcomes.items():
        for row, (name, marker) in enumerate(zip(VIEWERS, _MARKERS, strict=True)):
            axes.plot(
                durations_s,
                100 * outcome.coverage(statistic)[row],
                marker=marker,
                color=_COLOURS[centre_bias],
                markersize=4,
                linewidth=1,
                alpha=0.85,
                label=name if centre_bias else None,
            )
    axes.set_xscale("log")
    axes.set_xticks(durations_s, [f"{duration_s} s" for duration_s in durations_s], fontsize=8)
    axes.minorticks_off()
    axes.set_ylim(40, 100)
    axes.set_title(f"{name_statistic(statistic)}: holds, %", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    if statistic == STATISTICS[0]:
        axes.legend(fontsize=8, frameon=False, loc="lower right")
