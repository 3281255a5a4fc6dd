"""Does the attention score mean what it says? Viewers whose behaviour is known watch videos whose saliency is known.

`python -m research.attention_simulation` lets many simulated viewers watch many simulated videos, scores them with
the shipped code and writes the tables of `docs/attention-score.md` and its picture. A run is one video with one viewer
of each kind; its first 10, 30 and 120 s are the shorter sessions.

What the interval is meant to hold is the long-run score of this viewer with videos of this kind: what the score would
become if the viewing went on for ever. Both the viewer's choices and the video's course are chance then. It is measured
as the mean over all runs of the longest session. How often the interval holds the mean over repeated viewings of the
very same video is measured beside it.
"""

import argparse
from pathlib import Path

from research.attention_simulation.page import render, write_page
from research.attention_simulation.plot import draw
from research.attention_simulation.runs import simulate


def main() -> None:
    """Run the simulation and renew the page and its picture."""
    parser = argparse.ArgumentParser(
        prog="python -m research.attention_simulation",
        description="Simulate viewers and report how far the attention score holds.",
    )
    parser.add_argument("--runs", type=int, default=100, help="videos of each kind; the page was made with 1000")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--out", type=Path, default=Path("docs"), help="where attention-score.md lies")
    arguments = parser.parse_args()
    outcomes = simulate(arguments.runs, jobs=arguments.jobs)
    section = render(outcomes, f"python -m research.attention_simulation --runs {arguments.runs}")
    print(section)
    write_page(arguments.out / "attention-score.md", section)
    draw(outcomes, arguments.out / "attention-score.png")


if __name__ == "__main__":
    main()
