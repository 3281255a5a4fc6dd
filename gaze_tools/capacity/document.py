"""Renewal of the tables and the plot in docs/capacity.md."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.simulation import KNATIVE_PLATFORM, Crowd, simulate
from gaze_tools.capacity.tables import (
    UNBOUNDED_PODS,
    Table,
    tabulate_assumptions,
    tabulate_comparison,
    tabulate_crowd,
    tabulate_function,
    tabulate_neighbours,
    tabulate_viewer,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "capacity.md"


def write_document(path: Path) -> None:
    """Renew the tables of the document between their marks, and its plot."""
    from gaze_tools.capacity.plot import draw  # noqa: PLC0415 - matplotlib takes a second to load

    path.write_text(renew(path.read_text()))
    draw(Assumptions(), path.with_suffix(".png"))


def renew(text: str) -> str:
    """Return the document with fresh tables.

    Raises:
        ValueError: The marks of a table are missing.
    """
    for name, make in DOCUMENTED.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not (found and closed):
            raise ValueError(f"the document has no place for {name}")
        text = f"{before}{begin}{make().render()}\n{end}{after}"
    return text


CROWD = Crowd(viewers=1000)
DOCUMENTED: dict[str, Callable[[], Table]] = {
    "assumptions": lambda: tabulate_assumptions(Assumptions()),
    "viewer": lambda: tabulate_viewer(Assumptions()),
    "function": lambda: tabulate_function(Assumptions()),
    "neighbours": lambda: tabulate_neighbours(Assumptions()),
    "crowd": lambda: tabulate_crowd(
        simulate(replace(Assumptions(), max_pods=UNBOUNDED_PODS), CROWD, KNATIVE_PLATFORM), every_s=120
    ),
    "compare": lambda: tabulate_comparison(Assumptions(), CROWD),
}
