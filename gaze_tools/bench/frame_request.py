"""`gaze bench request`: CPU time of one frame through the real server, as a ratio to its bare networks."""

import contextlib
import statistics
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.request import ENGINES, SentBody, list_settings, make_frames, send
from gaze_tools.bench.sampling import alternate
from gaze_tools.bench.server import ROOT, RunningServer, Variant, against_option, read_cpu_s, start_variant
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import start_upstream_services

WARM_UP_FRAMES = 30
BARE_RUNS = 10


@dataclass(slots=True)
class MeasuredFunction:
    """A running function and what its frames took, one value for each round.

    Attributes:
        server: The function.
        cpu_ratios: Function's CPU time of a frame with a face, relative to the bare networks in the same round.
        empty_ratios: The same for frames without a face.
        binary_ratios: The same for frames with a face that are sent as multipart.
        request_ratios: Wall time from sending a frame to its answer, relative to the CPU time of the bare networks.
    """

    server: RunningServer
    cpu_ratios: list[float] = field(default_factory=list)
    empty_ratios: list[float] = field(default_factory=list)
    binary_ratios: list[float] = field(default_factory=list)
    request_ratios: list[float] = field(default_factory=list)


@click.command()
@against_option
@click.option(
    "--engine", type=click.Choice(ENGINES), multiple=True, help="Landmark engine; may be repeated.  [default: both]"
)
@click.option(
    "--frames",
    type=click.IntRange(min=BARE_RUNS),
    default=100,
    show_default=True,
    help="Frames of each kind and round.",
)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=7, show_default=True, help="Measurements of each function."
)
def request(against: tuple[Path, ...], engine: tuple[str, ...], frames: int, rounds: int) -> None:
    """Measure the CPU time of one frame, from the socket to the answer, as a ratio to its bare networks.

    The function runs under functions-framework with the local upstream services. The networks are the detector, the
    landmark and the blendshape network in LiteRT and the eye network in OpenCV, which run in turns with the frames.
    CPU time is that of the function's processes alone. The engine `litert` comes with the gaze model as ONNX.
    """
    frame, sent = make_frames()
    bare = BareNetworks(frame)
    variants = [
        Variant(f"{folder.name}-{each}", folder, settings=list_settings(each, folder))
        for folder in (*(path.resolve() for path in against), ROOT)
        for each in engine or ENGINES
    ]
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(start_upstream_services(log_dir))
        functions = [
            MeasuredFunction(stack.enter_context(start_variant(variant, upstream, log_dir))) for variant in variants
        ]
        for function in functions:
            for kind in sent.values():
                send(function.server.port, kind, WARM_UP_FRAMES)
        for function in alternate(functions, rounds):
            _measure_round(function, bare, sent, frames)
    _print(functions, bare.measure_cpu_ms(5 * BARE_RUNS), rounds)


def _measure_round(function: MeasuredFunction, bare: BareNetworks, frames: Mapping[str, SentBody], count: int) -> None:
    """Send `count` frames of each kind, and run the bare networks between them."""
    for kind, ratios in (
        ("face", function.cpu_ratios),
        ("multipart", function.binary_ratios),
        ("no face", function.empty_ratios),
    ):
        cpu_s, bare_ms, latencies_s = 0.0, [], []
        # In short turns, so that a machine that becomes slower does so for both.
        for _ in range(max(1, count // BARE_RUNS)):
            started_s = read_cpu_s(function.server.process_id)
            latencies_s += send(function.server.port, frames[kind], BARE_RUNS)
            cpu_s += read_cpu_s(function.server.process_id) - started_s
            bare_ms.append(bare.measure_cpu_ms(BARE_RUNS))
        ratios.append(1000 * cpu_s / len(latencies_s) / statistics.mean(bare_ms))
        if kind == "face":
            function.request_ratios.append(1000 * statistics.median(latencies_s) / statistics.median(bare_ms))


def _print(functions: list[MeasuredFunction], bare_ms: float, rounds: int) -> None:
    """Print the medians of all rounds."""
    title = f"Ratio to the bare networks ({bare_ms:.1f} ms), medians of {rounds} rounds"
    table = make_table(title, "function", "CPU, JSON", "CPU, multipart", "CPU, no face", "request, JSON")
    for function in functions:
        columns = (function.cpu_ratios, function.binary_ratios, function.empty_ratios, function.request_ratios)
        table.add_row(function.server.name, *(f"{statistics.median(values):.2f}" for values in columns))
    print_wide(table)
