"""The command `gaze bench all`, which `make bench` runs."""

import tempfile
from pathlib import Path

import click

from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frame import measure_frames
from gaze_tools.bench.frame_stages import BARE_NETWORKS
from gaze_tools.bench.frames import SIZES, load_frames
from gaze_tools.bench.load import CLIENTS, FRAMES_PER_ROUND, measure_load, measure_networks
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.output import report_options, save_and_print
from gaze_tools.bench.results import BenchNumber, make_report, to_numbers
from gaze_tools.bench.sampling import StepCost
from gaze_tools.bench.score import score_session, store_calibration, store_maps, store_session
from gaze_tools.bench.start import measure_starts
from gaze_tools.command_line import console
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

SCORED_FRAMES, MAP_EVERY = 600, 5
"""Length of a scored session, and distance between its maps, in frames."""


@click.command("all")
@click.option("--quick", is_flag=True, help="Few samples, the smallest size, few clients: to see that all works.")
@click.option("--eyetrax/--no-eyetrax", default=True, show_default=True, help="Measure EyeTrax, too.")
@report_options("all")
def run_all(*, quick: bool, eyetrax: bool, name: str, output: Path) -> None:
    """Measure everything and write a report.

    The stages of a frame in three sizes, both engines and both formats of the gaze model; the start of the function and
    its memory; the function under load from 1 to 32 clients; the scoring of a short session. All costs have a median
    and a spread, and ratios to baselines of the same run: the bare networks, MediaPipe's landmarker by its public API,
    and EyeTrax, which is installed in `.cache/eyetrax` (half a GB). What cannot be installed is skipped.
    """
    machine = read_machine_facts()
    numbers: list[BenchNumber] = []
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        console.print("Measuring the stages of a frame …")
        found, skipped = measure_frames(
            upstream, repeats=15 if quick else 100, with_eyetrax=eyetrax, sizes=SIZES[:1] if quick else SIZES
        )
        numbers += found
        console.print("Measuring start and memory …")
        numbers += measure_starts(upstream, Path(folder), rounds=1 if quick else 8)
        console.print("Measuring the function under load …")
        numbers += measure_load(
            upstream,
            Path(folder),
            clients=(1, 4) if quick else CLIENTS,
            rounds=2 if quick else 8,
            frames=12 if quick else FRAMES_PER_ROUND,
        )
        console.print("Measuring the scoring of a session …")
        numbers += measure_scoring(upstream, rounds=2 if quick else 20)
    save_and_print(make_report(name, machine, numbers, skipped), output)


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
