"""The command `gaze bench all`, which `make bench` runs.

Everything is measured in several passes, each with new processes. So a time at which the machine is slow hits a part of
the samples of all numbers, and so does a process that happens to be slow for as long as it runs.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.batch import BATCH_SIZES, measure_batches
from gaze_tools.bench.frame import measure_frames, prepare_eyetrax
from gaze_tools.bench.frames import SIZES, load_frames
from gaze_tools.bench.half_load import measure_half_load
from gaze_tools.bench.load import CLIENTS, FRAMES_PER_ROUND, measure_load, measure_networks
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.names import BARE_NETWORKS
from gaze_tools.bench.output import report_options, save_and_print
from gaze_tools.bench.results import BenchNumber, join_numbers, make_report, to_numbers
from gaze_tools.bench.sampling import StepCost
from gaze_tools.bench.score import score_session, store_calibration, store_maps, store_session
from gaze_tools.bench.start import measure_starts
from gaze_tools.bench.targets import list_targets, measure_targets
from gaze_tools.bench.two_processes import measure_two_processes
from gaze_tools.command_line import console
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

SCORED_FRAMES, MAP_EVERY = 600, 5
"""Length of a scored session, and distance between its maps, in frames."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Attributes:
        passes: Times that everything is measured from the start, each with new processes.
        sizes: Sizes of frames.
        repeats: Runs of each stage of a frame, in a pass.
        starts: Starts of the function with each engine.
        clients: Numbers of clients of the load.
        batch_sizes: Numbers of frames in a request.
        rounds: Measurements of load, batches, processes and half load, in a pass.
        frames: Frames of each measurement.
        half_load_frames: Frames of each measurement at half load.
        scorings: Scored sessions of each kind, in a pass.
    """

    passes: int
    sizes: Sequence[tuple[int, int]]
    repeats: int
    starts: int
    clients: Sequence[int]
    batch_sizes: Sequence[int]
    rounds: int
    frames: int
    half_load_frames: int
    scorings: int


FULL = Effort(
    passes=4,
    sizes=SIZES,
    repeats=30,
    starts=3,
    clients=CLIENTS,
    batch_sizes=BATCH_SIZES,
    rounds=3,
    frames=FRAMES_PER_ROUND,
    half_load_frames=200,
    scorings=5,
)
QUICK = Effort(
    passes=1,
    sizes=SIZES[:1],
    repeats=15,
    starts=1,
    clients=(1, 4),
    batch_sizes=(1, 10),
    rounds=2,
    frames=20,
    half_load_frames=60,
    scorings=2,
)


@click.command("all")
@click.option("--quick", is_flag=True, help="Few samples, the smallest size, few clients: to see that all works.")
@click.option("--eyetrax/--no-eyetrax", default=True, show_default=True, help="Measure EyeTrax, too.")
@report_options("all")
def run_all(*, quick: bool, eyetrax: bool, name: str, output: Path) -> None:
    """Measure everything and write a report.

    The stages of a frame in three sizes, both engines and both formats of the gaze model; the start of the function and
    its memory; the function under load from 1 to 32 clients, with several frames in a request, as two processes, and
    its latency at half load; the scoring of a short session. All costs have a median and a spread, and ratios to
    baselines of the same run: the bare networks, MediaPipe's landmarker by its public API, and EyeTrax, which is
    installed in `.cache/eyetrax` (0.7 GB). What cannot be installed is skipped. The targets come last.
    """
    python, skipped = prepare_eyetrax() if eyetrax else (None, [])
    machine = read_machine_facts()
    effort = QUICK if quick else FULL
    numbers: list[BenchNumber] = []
    for at in range(effort.passes):
        console.print(f"Pass {at + 1} of {effort.passes}", highlight=False)
        with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
            found, missing = _measure_pass(upstream, Path(folder), effort, python)
        numbers += found
        skipped += [sentence for sentence in missing if sentence not in skipped]
    joined = join_numbers(numbers)
    save_and_print(make_report(name, machine, joined + measure_targets(joined, list_targets()), skipped), output)


def _measure_pass(
    upstream: UpstreamServices, log_dir: Path, effort: Effort, eyetrax: Path | None
) -> tuple[list[BenchNumber], list[str]]:
    """Return all numbers of a pass, and what could not be measured."""
    rounds, frames = effort.rounds, effort.frames
    console.print("Stages of a frame …")
    numbers, skipped = measure_frames(upstream, repeats=effort.repeats, eyetrax=eyetrax, sizes=effort.sizes)
    console.print("Start and memory …")
    numbers += measure_starts(upstream, log_dir, rounds=effort.starts)
    console.print("Load …")
    numbers += measure_load(upstream, log_dir, clients=effort.clients, rounds=rounds, frames=frames)
    console.print("Several frames in a request …")
    numbers += measure_batches(upstream, log_dir, sizes=effort.batch_sizes, rounds=rounds, frames=frames)
    console.print("Two processes …")
    found, missing = measure_two_processes(upstream, log_dir, rounds=rounds, frames=frames)
    numbers += found
    console.print("Latency at half load …")
    numbers += measure_half_load(upstream, log_dir, rounds=rounds, frames=effort.half_load_frames)
    console.print("Scoring …")
    numbers += measure_scoring(upstream, rounds=effort.scorings)
    return numbers, skipped + missing


def measure_scoring(upstream: UpstreamServices, *, rounds: int) -> list[BenchNumber]:
    """Return the cost for each frame of scoring a session of `SCORED_FRAMES`, uncalibrated and calibrated.

    The session is read from the session API, scored, stored and delivered in this process, as for a last frame.

    Args:
        upstream: Running services.
        rounds: Sessions of each kind, in turns.
    """
    store_maps(upstream.mongo_uri, SCORED_FRAMES, MAP_EVERY)
    store_calibration(upstream.session_api_url)
    networks = BareNetworks(load_frames(SIZES[0], 1)[0].image)
    found: dict[str, list[StepCost]] = {BARE_NETWORKS: [], "uncalibrated": [], "calibrated": []}
    for turn in range(-1, rounds):
        costs = {BARE_NETWORKS: measure_networks(networks)}
        for kind in ("uncalibrated", "calibrated"):
            session_id, is_calibrated = f"bench-all-{kind}-{turn}", kind == "calibrated"
            store_session(upstream.session_api_url, session_id, SCORED_FRAMES, MAP_EVERY, calibrate=is_calibrated)
            spent = score_session(upstream, SCORED_FRAMES, MAP_EVERY, session_id)
            costs[kind] = StepCost(spent["seconds"] / SCORED_FRAMES, spent["cpu_seconds"] / SCORED_FRAMES)
        if turn >= 0:
            for kind, cost in costs.items():
                found[kind].append(cost)
    return to_numbers(f"scoring of {SCORED_FRAMES} frames, for each frame", found, [BARE_NETWORKS])
