"""Show what the length of a film does to a score: the table and the figure of docs/read-the-score.md.

    python -m research.attention_simulation.reading [--runs 500] [--jobs 1] [--out docs]

The simulated viewers and films are those of `python -m research.attention_simulation`, both kinds of films together.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import click
import numpy as np
from matplotlib.figure import Figure

from research.attention_simulation.runs import DURATIONS_S, simulate_run
from research.attention_simulation.viewers import VIEWERS, Floats
from research.command_line import Command, make_progress, process_pool
from research.markdown import make_table, replace_block

CHANCE_PERCENT = 30.0
EXAMPLE_RUN = 1
"""The film of the figure: the first one for which no lag is estimated, which takes longest."""

COLOURS = {"above chance": "#1b7f4d", "not distinguishable from chance": "#777777", "below chance": "#b3362b"}
"""Colour of each verdict."""

_NAMES = ("follows the film", "looks anywhere", "stares at the centre", "looks away half of the time")


@dataclass(frozen=True, slots=True, eq=False)
class ScoredViewings:
    """Scores of simulated viewings and their intervals in percent, shape (runs, viewers, durations) each.

    The bounds are NaN where a viewing has no interval.
    """

    score: Floats
    low: Floats
    high: Floats


@click.command(cls=Command)
@click.option("--runs", type=click.IntRange(min=2), default=500, show_default=True, help="Films of each kind.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("docs"),
    show_default=True,
    help="Folder of read-the-score.md, whose table and figure are renewed.",
)
def main(runs: int, jobs: int, out: Path) -> None:
    """Show what the length of a film does to a score."""
    with make_progress() as progress, process_pool(jobs) as pool:
        kinds = [
            score_viewings(
                list(
                    progress.track(pool.map(partial(_simulate, bias), range(runs), chunksize=8), runs, description=name)
                )
            )
            for name, bias in (("centre-biased films", True), ("other films", False))
        ]
    table = describe_lengths(kinds)
    click.echo(table)
    replace_block(out / "read-the-score.md", "lengths", table)
    example, _ = simulate_run(EXAMPLE_RUN, centre_bias=True, durations_s=DURATIONS_S)
    draw_example(score_viewings([example])).savefig(out / "read-the-score.png", dpi=110, metadata={"Software": None})


def score_viewings(tables: list[Floats]) -> ScoredViewings:
    """Return the scores in the tables of `simulate_run`."""
    score, low, high = np.moveaxis(np.stack(tables)[:, :, :, 0, :3], -1, 0)
    return ScoredViewings(score, low, high)


def describe_lengths(kinds: list[ScoredViewings]) -> str:
    """Return the table of intervals and differences by length of the film.

    Args:
        kinds: Viewings of each kind of film. Differences are those between consecutive films of one kind.
    """
    follows, wanders = 0, 1
    low, high = (np.concatenate([getattr(each, name) for each in kinds]) for name in ("low", "high"))
    differences = np.abs(np.concatenate([np.diff(each.score[:, follows], axis=0) for each in kinds]))
    # The rule of docs/read-the-score.md ("Compare two viewings"); pairs without an interval are no different.
    halves = [(each.high[:, follows] - each.low[:, follows]) / 2 for each in kinds]
    limits = np.concatenate([np.hypot(half[1:], half[:-1]) for half in halves])
    deviation = np.sqrt(np.mean([each.score[:, follows].var(axis=0, ddof=1) for each in kinds], axis=0))
    rows = [
        (
            f"{duration_s} s",
            f"± {np.nanmedian(high[:, follows, row] - low[:, follows, row]) / 2:.0f}",
            f"{100 * np.mean(low[:, follows, row] > CHANCE_PERCENT):.0f}",
            f"{100 * np.mean(low[:, wanders, row] > CHANCE_PERCENT):.0f}",
            f"{deviation[row]:.1f}",
            f"{np.percentile(differences[:, row], 95):.0f}",
            f"{100 * np.mean(differences[:, row] > limits[:, row]):.1f}",
        )
        for row, duration_s in enumerate(DURATIONS_S)
    ]
    return make_table(
        (
            "film",
            "interval, points",
            "shown above chance: follows, %",
            "looks anywhere, %",
            "standard deviation, points",
            "95 % of differences below, points",
            "taken for different, %",
        ),
        rows,
    )


def judge(low: float, high: float) -> str:
    """Return the verdict on a score; NaN bounds mean that there is no interval."""
    if low > CHANCE_PERCENT:
        return "above chance"
    return "below chance" if high < CHANCE_PERCENT else "not distinguishable from chance"


def draw_example(viewings: ScoredViewings) -> Figure:
    """Draw the score of each viewer of one film, for each length."""
    figure = Figure(figsize=(10, 2.7), layout="constrained")
    panels = figure.subplots(1, len(DURATIONS_S), sharey=True)
    verdicts = set()
    for row, (axes, duration_s) in enumerate(zip(panels, DURATIONS_S, strict=True)):
        axes.axvline(CHANCE_PERCENT, color="black", linewidth=1)
        for viewer in range(len(VIEWERS)):
            score, low, high = (float(each[0, viewer, row]) for each in (viewings.score, viewings.low, viewings.high))
            verdict = judge(low, high)
            colour = COLOURS[verdict]
            verdicts.add(verdict)
            axes.plot([low, high], [viewer, viewer], color=colour, linewidth=6, alpha=0.35, solid_capstyle="butt")
            axes.plot(score, viewer, "o", color=colour, clip_on=False)
        axes.set_title(f"the first {duration_s} s" if row < len(DURATIONS_S) - 1 else f"{duration_s} s", fontsize=10)
        axes.set_xlim(0, 100)
        axes.set_xticks(range(0, 101, 20))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(VIEWERS)), _NAMES)
    panels[0].set_ylim(len(VIEWERS) - 0.5, -0.5)
    shown = [name for name in COLOURS if name in verdicts]
    handles = [panels[0].plot([], [], "o", color=COLOURS[name], label=name)[0] for name in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def _simulate(centre_bias: bool, run: int) -> Floats:
    table, _ = simulate_run(run, centre_bias=centre_bias, durations_s=DURATIONS_S)
    return table


if __name__ == "__main__":
    main()
