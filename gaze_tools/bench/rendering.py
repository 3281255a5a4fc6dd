"""Benchmark reports as tables: on the terminal and in Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gaze_tools.bench.results import BenchNumber, BenchReport, MeasuredQuantity
from gaze_tools.bench.shares import find_shares
from gaze_tools.bench.tables import find_console, make_table
from gaze_tools.markdown import MarkdownTable

_UNITS_FIRST = (
    MeasuredQuantity.CPU_MS,
    MeasuredQuantity.WALL_MS,
    MeasuredQuantity.CPU_SECONDS,
    MeasuredQuantity.SECONDS,
    MeasuredQuantity.FRAMES_PER_S,
    MeasuredQuantity.MEMORY_MB,
    MeasuredQuantity.CPU_RATIO,
    MeasuredQuantity.WALL_RATIO,
)


@dataclass(frozen=True, slots=True)
class BenchTable:
    """Table of one section.

    Attributes:
        title: Name of the section, and the number of samples.
        heading: Headings of the columns; all but the first are of numbers.
        rows: One row for each step.
    """

    title: str
    heading: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def list_tables(report: BenchReport) -> list[BenchTable]:
    """Return a table for each section: median and spread of each quantity, and ratios to the baselines."""
    sections: dict[str, list[BenchNumber]] = {}
    for number in report.numbers:
        if number.limit is None:
            sections.setdefault(number.section, []).append(number)
    return [_tabulate(report, section, numbers) for section, numbers in sections.items()]


def list_summaries(report: BenchReport) -> list[BenchTable]:
    """Return where the time goes, and the targets, as far as they were measured."""
    return [table for table in (tabulate_shares(report), tabulate_targets(report)) if table is not None]


def tabulate_targets(report: BenchReport) -> BenchTable | None:
    """Return the targets of a report, what was measured, and whether that is enough; None without targets."""
    rows = []
    for number in report.numbers:
        if number.limit is None:
            continue
        summary, is_reached = number.summarise(), report.is_reached(number)
        missed_by = format_value(abs(summary.median - number.limit.value))
        said = "busy machine" if is_reached is None else "reached" if is_reached else f"missed by {missed_by}"
        limit = f"{'≤' if number.limit.is_maximum else '≥'} {number.limit.value:g}"
        spread = f"{100 * summary.relative_spread:.0f}"
        rows.append((number.name, number.quantity.value, limit, format_value(summary.median), spread, said))
    return (
        BenchTable("targets", ("target", "quantity", "limit", "median", "± %", "result"), tuple(rows)) if rows else None
    )


def tabulate_shares(report: BenchReport) -> BenchTable | None:
    """Return where the CPU time of a frame goes, in percent; None if it was not measured."""
    found = find_shares(report)
    if not found:
        return None
    stages = next(iter(found.values()))
    rows = tuple((stage, *(f"{100 * shares[stage]:.0f}" for shares in found.values())) for stage in stages)
    heading = ("part of the function's CPU time of a frame", *(f"{engine}, %" for engine in found))
    return BenchTable("where the time goes", heading, rows)


def print_report(report: BenchReport) -> None:
    """Print the tables of a report, what was skipped, and whether the machine was busy."""
    wide = find_console()
    for bench_table in [*list_tables(report), *list_summaries(report)]:
        table = make_table(bench_table.title, *bench_table.heading)
        for row in bench_table.rows:
            table.add_row(*row)
        wide.print(table)
    for line in _list_notes(report):
        wide.print(line, highlight=False, markup=False)


def render_markdown(report: BenchReport, *, with_summary: bool = True) -> str:
    """Return the tables of a report and the facts about its machine as Markdown.

    Args:
        report: The report.
        with_summary: Whether to include where the time goes and the targets.
    """
    machine = report.machine
    parts = [
        f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, "
        + ", ".join(f"{name} {version}" for name, version in machine.packages.items())
        + f"; commit {machine.commit or 'unknown'}; {machine.load}."
    ]
    for table in [*list_tables(report), *(list_summaries(report) if with_summary else [])]:
        parts += [f"**{table.title}**", render_table(table)]
    parts += _list_notes(report)
    return "\n\n".join(parts) + "\n"


def render_table(table: BenchTable) -> str:
    """Return a table as Markdown, without its title."""
    return MarkdownTable(table.heading, table.rows).render()


def without_wall_times(report: BenchReport) -> BenchReport:
    """Return a report without the numbers that depend on what else runs on the machine."""
    kept = tuple(number for number in report.numbers if not number.quantity.is_wall)
    return report.model_copy(update={"numbers": kept})


def format_value(value: float) -> str:
    """Return a number with three significant digits, without an exponent."""
    if value == 0:
        return "0"
    exponent = int(f"{value:.2e}".partition("e")[2])
    return f"{value:,.{max(0, 2 - exponent)}f}"


def _tabulate(report: BenchReport, section: str, numbers: Sequence[BenchNumber]) -> BenchTable:
    by_step: dict[str, dict[MeasuredQuantity, BenchNumber]] = {}
    for number in numbers:
        by_step.setdefault(number.name, {})[number.quantity] = number
    quantities = [quantity for quantity in _UNITS_FIRST if any(quantity in step for step in by_step.values())]
    used = {name for number in numbers for name in report.find_ratios(number)}
    baselines = [name for name in by_step if name in used]
    heading = ["step"]
    for quantity in quantities:
        heading += [quantity.value, "± %"]
    heading += [f"× {name}" for name in baselines]
    rows = tuple(
        tuple(_list_cells(report, name, step, quantities=quantities, baselines=baselines))
        for name, step in by_step.items()
    )
    counts = sorted({len(number.samples) for number in numbers})
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return BenchTable(f"{section}, medians of {count}", tuple(heading), rows)


def _list_cells(
    report: BenchReport,
    name: str,
    step: dict[MeasuredQuantity, BenchNumber],
    *,
    quantities: Iterable[MeasuredQuantity],
    baselines: Iterable[str],
) -> Iterator[str]:
    yield name
    for quantity in quantities:
        if quantity not in step:
            yield from ("", "")
            continue
        summary = step[quantity].summarise()
        yield format_value(summary.median)
        yield f"{100 * summary.relative_spread:.0f}"
    # Of the quantity that depends least on other work: CPU time if there is one.
    chosen = next((step[quantity] for quantity in _UNITS_FIRST if quantity in step and step[quantity].baselines), None)
    ratios = {} if chosen is None else report.find_ratios(chosen)
    for baseline in baselines:
        yield f"{ratios[baseline]:.2f}" if baseline in ratios else ""


def _list_notes(report: BenchReport) -> list[str]:
    notes = [f"Skipped: {sentence}" for sentence in report.skipped]
    if report.machine.was_busy:
        notes.append(
            f"Other work kept the machine busy ({report.machine.load}): trust CPU time and its ratios, not wall time."
        )
    return notes
