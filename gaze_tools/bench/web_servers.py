"""`gaze bench server`: frames per second and CPU time per frame of several web servers on this machine."""

import contextlib
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from gaze_tools.bench.frames import load_frames
from gaze_tools.bench.load import LOAD_SIZE, LoadRound, send_load
from gaze_tools.bench.sampling import alternate, median_ratio
from gaze_tools.bench.server import Variant, against_option, start_variant
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import start_upstream_services

FRAMES_PER_CLIENT = 40

_ASGI_MAIN = "import os; from func.web.start import start; app = start(os.environ).handler"
_UVICORN = (sys.executable, "-m", "uvicorn", "--no-access-log", "--port={port}")
_SERVERS = {
    "hypercorn": (sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:{port}", "asgi_app:app"),
    "uvicorn-h11": (*_UVICORN, "--http=h11", "--loop=asyncio", "asgi_app:app"),
    "uvicorn-httptools": (*_UVICORN, "--http=httptools", "--loop=uvloop", "asgi_app:app"),
}


@click.command()
@against_option
@click.option(
    "--also", type=click.Choice(sorted(_SERVERS)), multiple=True, help="Another server to measure; may be repeated."
)
@click.option(
    "--clients",
    type=click.IntRange(min=1),
    multiple=True,
    help="Number of concurrent clients; may be repeated.  [default: 1, 8]",
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Measurements of each server.")
def server(against: tuple[Path, ...], also: tuple[str, ...], clients: tuple[int, ...], rounds: int) -> None:
    """Compare web servers of the function: frames per second and CPU time per frame.

    Measures this checkout under functions-framework. All servers share one set of upstream services and take turns, so
    that a machine that becomes slower does so for all. CPU time is that of the server's processes alone. The first
    server is the reference of the ratios.
    """
    frames = load_frames(LOAD_SIZE, 1)
    variants = [
        *(Variant(path.name, path.resolve()) for path in against),
        Variant("functions-framework"),
        *(Variant(name, command=_SERVERS[name]) for name in also),
    ]
    cases = [(count, variant.name) for count in clients or (1, 8) for variant in variants]
    found: dict[tuple[int, str], list[LoadRound]] = {case: [] for case in cases}
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (log_dir / "asgi_app.py").write_text(_ASGI_MAIN)
        upstream = stack.enter_context(start_upstream_services(log_dir))
        running = {variant.name: stack.enter_context(start_variant(variant, upstream, log_dir)) for variant in variants}
        for each in running.values():
            send_load([each], frames, clients=1, frames=20)
        for count, name in alternate(cases, rounds):
            sent = send_load([running[name]], frames, clients=count, frames=count * FRAMES_PER_CLIENT)
            found[count, name].append(sent)
    _print(found, variants[0].name, rounds)


def _print(found: Mapping[tuple[int, str], Sequence[LoadRound]], reference: str, rounds: int) -> None:
    """Print medians and their ratios to the reference's."""
    columns = ("server", "clients", "frames/s", "ratio", "CPU ms a frame", "ratio")
    table = make_table(f"Medians of {rounds} rounds", *columns)
    for (clients, name), mine in found.items():
        cells = []
        for read in (lambda each: each.frames_per_s, lambda each: each.cpu_ms):
            values, references = [*map(read, mine)], [*map(read, found[clients, reference])]
            cells += [f"{statistics.median(values):.1f}", f"{median_ratio(values, references):.2f}"]
        table.add_row(name, str(clients), *cells)
    print_wide(table)
