"""The generated tables and the plot of docs/capacity.md."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.simulation import KNATIVE_PLATFORM, Crowd, simulate
from gaze_tools.capacity.tables import (
    UNBOUNDED_PODS,
    tabulate_assumptions,
    tabulate_comparison,
    tabulate_crowd,
    tabulate_function,
    tabulate_upstream,
    tabulate_viewer,
)
from gaze_tools.markdown import MarkdownTable, replace_section

DOCUMENT = Path(__file__).parents[2] / "docs" / "capacity.md"
CROWD = Crowd(viewers=1000)
SECTIONS: dict[str, Callable[[], MarkdownTable]] = {
    "assumptions": lambda: tabulate_assumptions(Assumptions()),
    "viewer": lambda: tabulate_viewer(Assumptions()),
    "function": lambda: tabulate_function(Assumptions()),
    "upstream": lambda: tabulate_upstream(Assumptions()),
    "crowd": lambda: tabulate_crowd(
        simulate(replace(Assumptions(), max_pods=UNBOUNDED_PODS), CROWD, KNATIVE_PLATFORM), every_s=120
    ),
    "compare": lambda: tabulate_comparison(Assumptions(), CROWD),
}


def write_document(path: Path) -> None:
    """Rewrite the generated tables of the page, and its plot."""
    from gaze_tools.capacity.plot import draw  # noqa: PLC0415  matplotlib takes a second to load

    path.write_text(render(path.read_text()))
    draw(Assumptions(), path.with_suffix(".png"))


def render(page: str) -> str:
    """Return the page with freshly computed tables.

    Raises:
        ValueError: The page lacks a section.
    """
    for name, tabulate in SECTIONS.items():
        page = replace_section(page, name, tabulate().render())
    return page
