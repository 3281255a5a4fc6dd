"""Options and output that the commands of `gaze bench` share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gaze_tools.bench.rendering import print_report, render_markdown
from gaze_tools.bench.results import BenchReport, write_report
from gaze_tools.command_line import console

_Function = TypeVar("_Function", bound=Callable[..., Any])


def report_options(name: str) -> Callable[[_Function], _Function]:
    """Return a decorator that adds `--name` and `--output`.

    Args:
        name: Default name of the report.
    """

    def decorate(function: _Function) -> _Function:
        named = click.option("--name", default=name, show_default=True, help="Name of the report's files.")
        folder = click.option(
            "--output",
            type=click.Path(file_okay=False, path_type=Path),
            default=Path("out/bench"),
            show_default=True,
            help="Directory for the report, as JSON and Markdown.",
        )
        return named(folder(function))

    return decorate


def save_and_print(report: BenchReport, folder: Path) -> Path:
    """Write a report as JSON and Markdown, print its tables, and return the JSON file."""
    path = folder / f"{report.name}.json"
    write_report(report, path)
    path.with_suffix(".md").write_text(render_markdown(report))
    print_report(report)
    console.print(f"Wrote {path} and {path.with_suffix('.md').name}.", highlight=False, markup=False)
    return path
