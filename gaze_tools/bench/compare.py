"""The command `gaze bench compare`."""

from collections import Counter
from pathlib import Path

import click

from gaze_tools.bench.comparison import ALPHA, MIN_EFFECT, RunComparison, Verdict, compare_reports
from gaze_tools.bench.rendering import format_value
from gaze_tools.bench.results import read_report
from gaze_tools.bench.tables import find_console, make_table
from gaze_tools.command_line import translated_errors

_File = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("before", type=_File)
@click.argument("after", type=_File)
@click.option(
    "--min-effect",
    type=click.FloatRange(min=0),
    default=MIN_EFFECT,
    show_default=True,
    help="Relative change from which on a change counts.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    default=ALPHA,
    show_default=True,
    help="Probability of any reported change if nothing changed.",
)
@click.option("--all", "show_all", is_flag=True, help="Also list the numbers that did not change.")
@click.option("--fail", is_flag=True, help="Exit with status 1 if a number is worse.")
def compare(before: Path, after: Path, *, min_effect: float, alpha: float, show_all: bool, fail: bool) -> None:
    """Say which numbers changed between the reports BEFORE and AFTER, and which differ only by noise.

    Compares all samples, each divided by its baseline of the same run where there is one (Mann-Whitney test, adjusted
    for the number of tests by Holm's method). Warns if the machines differ or were busy; wall times of a busy machine
    are not judged.
    """
    with translated_errors():
        comparison = compare_reports(read_report(before), read_report(after), alpha=alpha, min_effect=min_effect)
    _print(comparison, show_all=show_all)
    if fail and comparison.find(Verdict.WORSE):
        click.get_current_context().exit(1)


def _print(comparison: RunComparison, *, show_all: bool) -> None:
    wide = find_console()
    for warning in comparison.warnings:
        wide.print(f"Warning: {warning}", highlight=False, markup=False)
    shown = comparison.changes if show_all else comparison.find(Verdict.BETTER, Verdict.WORSE)
    if shown:
        columns = ("section", "step", "quantity", "verdict", "before", "after", "change", "p")
        table = make_table("Changes", *columns, text_columns=4)
        for change in shown:
            table.add_row(
                change.section,
                change.name,
                change.quantity,
                change.verdict.value,
                format_value(change.before),
                format_value(change.after),
                f"{100 * change.effect:+.1f} %",
                f"{change.p:.2g}",
            )
        wide.print(table)
    counts = ", ".join(f"{len(found)} {verdict.value}" for verdict in Verdict if (found := comparison.find(verdict)))
    wide.print(f"{len(comparison.changes)} numbers in both reports: {counts or 'none'}.", highlight=False)
    for label, keys in (("before", comparison.only_before), ("after", comparison.only_after)):
        sections = Counter(section for section, _, _ in keys)
        if sections:
            listed = ", ".join(f"{section} ({count})" for section, count in sections.items())
            wide.print(f"Numbers only {label}: {listed}.", highlight=False, markup=False)
