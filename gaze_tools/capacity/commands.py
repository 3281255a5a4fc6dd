"""`gaze capacity`: what an audience needs, and what happens while it arrives."""

import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from gaze_tools.capacity.assumptions import Assumptions, list_origins
from gaze_tools.capacity.document import CROWD, DOCUMENT, write_document
from gaze_tools.capacity.simulation import PLATFORMS, Crowd, simulate
from gaze_tools.capacity.tables import (
    tabulate_assumptions,
    tabulate_comparison,
    tabulate_crowd,
    tabulate_function,
    tabulate_upstream,
    tabulate_viewer,
)
from gaze_tools.command_line import Group
from gaze_tools.markdown import MarkdownTable


@click.group(cls=Group)
def capacity() -> None:
    """Compute the pods, cores and storage that an audience needs.

    Every number is an assumption with an option of its own; `gaze capacity assumptions` lists them with their sources.
    """


def assumption_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each assumption; the command receives one argument `assumptions`."""
    names = [entry.name for entry in fields(Assumptions)]

    def run(**options: Any) -> None:  # noqa: ANN401  click checks their types
        command(assumptions=Assumptions(**{name: options.pop(name) for name in names}), **options)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__dict__.update(command.__dict__)
    for name, value, origin in reversed(list_origins(Assumptions())):
        flag = f"--{name.replace('_', '-')}"
        run = click.option(
            flag,
            name,
            type=type(value),
            default=value,
            show_default=True,
            help=f"{origin.meaning[0].upper()}{origin.meaning[1:]}.",
        )(run)
    return run


def crowd_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a crowd; the command receives one argument `crowd`."""

    def run(viewers: float, ramp_s: float, hold_s: float, **options: Any) -> None:  # noqa: ANN401
        command(crowd=Crowd(viewers=viewers, ramp_s=ramp_s, hold_s=hold_s), **options)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__dict__.update(command.__dict__)
    for name, default, meaning in (
        ("hold_s", CROWD.hold_s, "Time for which all of them watch."),
        ("ramp_s", CROWD.ramp_s, "Time in which they arrive, and leave."),
        ("viewers", CROWD.viewers, "Viewers at the peak."),
    ):
        run = click.option(f"--{name.replace('_', '-')}", name, default=default, show_default=True, help=meaning)(run)
    return run


def show(*tables: MarkdownTable) -> None:
    """Print tables as Markdown."""
    click.echo("\n\n".join(table.render() for table in tables))


@capacity.command()
@click.option("--platform", type=click.Choice(list(PLATFORMS)), default="knative", show_default=True)
@crowd_options
@assumption_options
def crowd(*, assumptions: Assumptions, crowd: Crowd, platform: str) -> None:
    """Simulate an audience that arrives, watches and leaves, minute by minute."""
    simulation = simulate(assumptions, crowd, PLATFORMS[platform])
    show(tabulate_viewer(assumptions), tabulate_crowd(simulation))
    click.echo(
        f"\npeak pods {simulation.peak_pods:,}; 503 per 100 frames {simulation.refused_percent:.1f}; "
        f"lost {simulation.lost_percent:.1f} %; pod hours {simulation.pod_hours:,.1f}"
    )


@capacity.command()
@crowd_options
@assumption_options
def compare(*, assumptions: Assumptions, crowd: Crowd) -> None:
    """Simulate the same audience under other settings."""
    show(tabulate_comparison(assumptions, crowd))


@capacity.command()
@assumption_options
def sweep(*, assumptions: Assumptions) -> None:
    """Show what 10 to 1,000,000 viewers need, upstream services included."""
    show(tabulate_function(assumptions), tabulate_upstream(assumptions))


@capacity.command("assumptions")
@assumption_options
def list_assumptions(*, assumptions: Assumptions) -> None:
    """List every number that the plan rests on, with its source."""
    show(tabulate_assumptions(assumptions))


@capacity.command()
@click.option("--load-s", default=10.0, show_default=True, help="Length of each measured load.")
@click.option(
    "--logs",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/capacity"),
    show_default=True,
    help="Directory for the logs of the measured processes.",
)
@assumption_options
def measure(*, assumptions: Assumptions, load_s: float, logs: Path) -> None:
    """Load two real functions on this machine and compare with the formulas."""
    from gaze_tools.capacity.measurement import measure_stack  # noqa: PLC0415  starts the whole stack
    from gaze_tools.capacity.measurement_tables import tabulate_checks, tabulate_measurement  # noqa: PLC0415

    measurement = measure_stack(logs, assumptions, duration_s=load_s)
    cores = len(os.sched_getaffinity(0))
    show(tabulate_measurement(measurement), tabulate_checks(measurement, cores=cores))


@capacity.command()
def document() -> None:
    """Rewrite the tables and the plot of docs/capacity.md, except those of `measure`."""
    write_document(DOCUMENT)
