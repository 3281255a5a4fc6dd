"""The command `gaze bench frame`."""

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from func.adapters.session_api import HttpSessionStore
from func.session.frame_record import read_record
from gaze_tools.bench.eyetrax import (
    ENVIRONMENT,
    EyetraxUnavailableError,
    install_eyetrax,
    is_installed,
    run_eyetrax,
)
from gaze_tools.bench.frame_stages import BASELINES, FrameParts, list_baselines, list_stages, load_parts
from gaze_tools.bench.frames import SIZES, load_frames
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.names import name_frame
from gaze_tools.bench.output import report_options, save_and_print
from gaze_tools.bench.results import BenchNumber, make_report, to_numbers
from gaze_tools.bench.sampling import sample
from gaze_tools.command_line import console, without_native_output
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

DISTINCT_FRAMES = 8


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=100, show_default=True, help="Runs of each step.")
@click.option("--eyetrax/--no-eyetrax", default=True, show_default=True, help="Measure EyeTrax, too.")
@report_options("frame")
def frame(repeats: int, *, eyetrax: bool, name: str, output: Path) -> None:
    """Time the stages of one frame.

    Measures both engines and both formats of the gaze model, in three sizes, in turns with baselines on the same
    frames: the bare networks, MediaPipe's landmarker by its public API, and EyeTrax.
    """
    python, skipped = prepare_eyetrax() if eyetrax else (None, [])
    machine = read_machine_facts()
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        numbers, missing = measure_frames(upstream, repeats=repeats, eyetrax=python)
    save_and_print(make_report(name, machine, numbers, skipped + missing), output)


def prepare_eyetrax() -> tuple[Path | None, list[str]]:
    """Return the Python of EyeTrax's environment, and what is wrong if there is none.

    To be called before anything loads MediaPipe, which cuts this process off from the network.
    """
    if not is_installed():
        console.print(f"Installing EyeTrax in {ENVIRONMENT} (0.7 GB) …", highlight=False, markup=False)
    try:
        return install_eyetrax(), []
    except EyetraxUnavailableError as error:
        console.print(str(error), highlight=False, markup=False)
        return None, [str(error)]


@without_native_output()
def measure_frames(
    upstream: UpstreamServices,
    *,
    repeats: int,
    eyetrax: Path | None,
    sizes: Iterable[tuple[int, int]] = SIZES,
) -> tuple[list[BenchNumber], list[str]]:
    """Return the costs of the stages of a frame, and what could not be measured.

    Args:
        upstream: Running services, for the session update.
        repeats: Runs of each step.
        eyetrax: Python of an environment with EyeTrax; None without it.
        sizes: Width and height of the frames.
    """
    parts = load_parts()
    skipped = list(parts.missing)
    sessions = HttpSessionStore(upstream.session_api_url, timeout_s=30, retries=0, read_frame=read_record)
    numbers = []
    for size in sizes:
        try:
            numbers += _measure_size(parts, sessions, size, repeats, eyetrax)
        except EyetraxUnavailableError as error:
            skipped.append(str(error))
            eyetrax = None
            numbers += _measure_size(parts, sessions, size, repeats, None)
    return numbers, skipped


def _measure_size(
    parts: FrameParts, sessions: HttpSessionStore, size: tuple[int, int], repeats: int, python: Path | None
) -> list[BenchNumber]:
    frames = load_frames(size, DISTINCT_FRAMES)
    with contextlib.ExitStack() as stack:
        eyetrax = None
        if python is not None:
            eyetrax = stack.enter_context(run_eyetrax(python, parts.bundle, [frame.jpeg for frame in frames]))
        steps = list_baselines(parts, frames, eyetrax) | list_stages(parts, frames, sessions)
        return to_numbers(name_frame(size), sample(steps, turns=repeats), BASELINES)
