"""Validate the attention score with simulated viewers and videos.

    python -m research.attention_simulation [--runs 1000] [--jobs 1] [--out docs]

Simulated viewers with known behaviour watch simulated videos with known saliency, the shipped code scores them, and the
command renews the tables and the figure of docs/attention-score.md. A run is one video with one viewer of each kind;
its first 10, 30 and 120 s are the shorter sessions.

The interval should contain the long-run score of a viewer with videos of a kind: the score of an infinitely long
viewing, in which both the viewer's choices and the video are random. It is measured as the mean over all runs of the
longest session. The coverage of the mean over repeated viewings of one video is measured, too.
"""

import argparse
from pathlib import Path

from research.attention_simulation.page import describe
from research.attention_simulation.plot import draw
from research.attention_simulation.runs import simulate
from research.markdown import replace_block


def main() -> None:
    """Run the simulation and renew the document and its figure."""
    parser = argparse.ArgumentParser(
        prog="python -m research.attention_simulation",
        description="Validate the attention score with simulated viewers and videos.",
    )
    parser.add_argument("--runs", type=int, default=100, help="videos of each kind (the document uses 1000)")
    parser.add_argument("--jobs", type=int, default=1, help="number of processes")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of attention-score.md")
    arguments = parser.parse_args()
    outcomes = simulate(arguments.runs, jobs=arguments.jobs)
    tables = describe(outcomes)
    print("\n\n".join(tables.values()))
    for name, text in tables.items():
        replace_block(arguments.out / "attention-score.md", name, text)
    draw(outcomes, arguments.out / "attention-score.png")


if __name__ == "__main__":
    main()
