"""The command `gaze bench document`."""

from pathlib import Path

import click

import func
from gaze_tools.bench.rendering import (
    render_markdown,
    render_table,
    tabulate_shares,
    tabulate_targets,
    without_wall_times,
)
from gaze_tools.bench.results import BenchReport, read_report
from gaze_tools.command_line import translated_errors
from gaze_tools.markdown import replace_section

PAGE = Path(func.__file__).parents[1] / "docs" / "benchmarks.md"


@click.command()
@click.argument(
    "reports", type=click.Path(exists=True, dir_okay=False, path_type=Path), nargs=-1, required=True, metavar="REPORTS"
)
@click.option(
    "--page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=PAGE,
    help="Page to write to.  [default: docs/benchmarks.md]",
)
def document(reports: tuple[Path, ...], page: Path) -> None:
    """Write reports to their sections of docs/benchmarks.md.

    Each report replaces the section with its name; one with targets also those of the targets and of where the time
    goes. Wall times of a busy machine are left out.
    """
    with translated_errors():
        text = page.read_text()
        for path in reports:
            text = write_sections(text, read_report(path))
        page.write_text(text)


def write_sections(text: str, report: BenchReport) -> str:
    """Return a page whose sections contain the tables of a report.

    Raises:
        ValueError: The page lacks the section with the report's name, or one for its other tables.
    """
    shown = without_wall_times(report) if report.machine.was_busy else report
    text = replace_section(text, report.name, render_markdown(shown, with_summary=False))
    for section, table in (("targets", tabulate_targets(shown)), ("shares", tabulate_shares(shown))):
        if table is not None:
            text = replace_section(text, f"{report.name} {section}", f"{render_table(table)}\n")
    return text
