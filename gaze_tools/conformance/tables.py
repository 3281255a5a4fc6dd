"""Outcomes on the terminal."""

from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from gaze_tools.conformance.catalogue import CHECKS, CONTRACT
from gaze_tools.conformance.checks import Level
from gaze_tools.conformance.exchanges import CallTimes
from gaze_tools.conformance.runner import CheckOutcome, CheckVerdict

_WIDTH = 120

_MARKS = {
    CheckVerdict.PASSED: ("passed", "green"),
    CheckVerdict.FAILED: ("FAILED", "bold red"),
    CheckVerdict.WARNING: ("warning", "yellow"),
    CheckVerdict.SKIPPED: ("skipped", "dim"),
}


def make_console() -> Console:
    """Return a console for tables, wide enough for them where the output is no terminal."""
    from gaze_tools.command_line import console  # noqa: PLC0415

    return console if console.is_terminal else Console(width=max(console.width, _WIDTH))


def show_catalogue(console: Console) -> None:
    """Print all checks."""
    table = _make_table("check", "level", "what the service does")
    for each in CHECKS:
        table.add_row(each.id, "" if each.level is Level.REQUIRED else each.level.value, each.asserts)
    console.print(table)


def show_outcomes(console: Console, outcomes: Sequence[CheckOutcome]) -> None:
    """Print a table of all outcomes, and after it each failure in detail."""
    table = _make_table("check", "outcome", "seen")
    service = None
    for each in outcomes:
        if each.cause is not None:
            continue
        if service not in {None, each.check.service}:
            table.add_section()
        service = each.check.service
        text, style = _MARKS[each.verdict]
        table.add_row(each.check.id, Text(text, style), Text(each.detail, "dim" if style == "dim" else ""))
    for cause in dict.fromkeys(each.cause for each in outcomes if each.cause is not None):
        names = [each.check.id.partition(".")[2] for each in outcomes if each.cause == cause]
        reason = next(each.detail for each in outcomes if each.cause == cause)
        table.add_row(
            Text(f"{len(names)} more", "dim"), Text("skipped", "dim"), Text(f"{reason}: {', '.join(names)}", "dim")
        )
    console.print(table)
    for each in outcomes:
        if each.verdict in {CheckVerdict.FAILED, CheckVerdict.WARNING}:
            console.print(_describe(each))


def show_times(console: Console, times: Sequence[CallTimes]) -> None:
    """Print the durations of the calls."""
    table = _make_table("call", "requests", "median", "95 %", "99 %", "slowest", numbers=True)
    for each in times:
        durations = (each.p50_ms, each.p95_ms, each.p99_ms, each.slowest_ms)
        table.add_row(each.call, str(each.count), *(f"{duration:.1f} ms" for duration in durations))
    console.print(table)


def _make_table(*columns: str, numbers: bool = False) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and at else "left", overflow="fold")
    return table


def _describe(outcome: CheckOutcome) -> RenderableType:
    each, (_, style) = outcome.check, _MARKS[outcome.verdict]
    rows = Table.grid(padding=(0, 2, 0, 0))
    rows.add_column(style="bold", no_wrap=True)
    rows.add_column(overflow="fold")
    for name, text in (
        ("required" if each.level is Level.REQUIRED else "recommended", each.asserts),
        ("seen", outcome.detail),
        ("why", each.why),
        ("do", each.advice),
        ("contract", f"{CONTRACT}#{each.section}"),
    ):
        rows.add_row(name, Text(text))
    parts: list[RenderableType] = [rows]
    if outcome.exchange is not None:
        evidence = Table.grid(padding=(0, 2, 0, 0))
        evidence.add_column(style="bold", no_wrap=True)
        evidence.add_column(overflow="fold")
        evidence.add_row("request", Text(outcome.exchange.describe_request()))
        evidence.add_row("answer", Text(outcome.exchange.describe_answer()))
        parts += [Text(""), evidence]
    return Panel(Group(*parts), title=Text(each.id, style), title_align="left", border_style=style)
