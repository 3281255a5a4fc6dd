"""Validate the attention score with simulated viewers and videos.

    python -m research.attention_simulation [--runs 1000] [--jobs 1] [--out docs]

Simulated viewers with known behaviour watch simulated videos with known saliency, the shipped code scores them, and the
command renews the tables and the figure of docs/attention-score.md. A run is one video with one viewer of each kind;
its first 10, 30 and 120 s are the shorter sessions.

The interval should contain the long-run score of a viewer with videos of a kind: the score of an infinitely long
viewing, in which both the viewer's choices and the video are random. It is measured as the mean over all runs of the
longest session. The coverage of the mean over repeated viewings of one video is measured, too.
"""

from pathlib import Path

import click

from research.attention_simulation.page import describe
from research.attention_simulation.plot import draw
from research.attention_simulation.runs import simulate
from research.command_line import Command
from research.markdown import replace_block


@click.command(cls=Command)
@click.option(
    "--runs",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Videos of each kind; the document uses 1000.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Number of processes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("docs"),
    show_default=True,
    help="Folder of attention-score.md, whose tables and figure are renewed.",
)
def main(runs: int, jobs: int, out: Path) -> None:
    """Validate the attention score with simulated viewers and videos."""
    outcomes = simulate(runs, jobs=jobs)
    tables = describe(outcomes)
    click.echo("\n\n".join(tables.values()))
    for name, text in tables.items():
        replace_block(out / "attention-score.md", name, text)
    draw(outcomes, out / "attention-score.png")


if __name__ == "__main__":
    main()
