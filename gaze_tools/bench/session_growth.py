"""The command `gaze bench growth`: how costs grow with sessions, frames and maps."""

import itertools
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import requests

from func.adapters.model_onnx import load_onnx_model
from func.adapters.session_api import COMPONENT, HttpSessionStore
from func.bootstrap import create_face_landmarker
from func.detectors import Detectors
from func.session.frame_record import read_record
from func.settings import read_settings
from gaze_core.saliency import calc
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.output import report_options, save_and_print
from gaze_tools.bench.results import BenchNumber, BenchReport, MeasuredQuantity, make_report, to_numbers
from gaze_tools.bench.sampling import StepCost, sample, timed
from gaze_tools.bench.server import read_cpu_s
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

FRAMES = (1, 10, 100, 1_000, 10_000, 100_000)
SESSIONS = (1, 10, 100, 1_000)
STORED_PARTS = (100, 300, 1_000)
MAP_WIDTHS_PX = (32, 64, 128, 256, 480, 960, 1920)
"""Widths of 16:9 maps, up to that of the video itself."""

BLOCK, PARTS_BLOCK = 50, 20
"""Session updates of one sample: CPU time of other processes has steps of 10 ms. Few where each stores another part."""

FUNCTION, SERVICES = "function", "session API and database"
PARTS, ALIVE, IN_SESSION, MAP = "parts stored", "sessions alive", "frames in the session", "pixels of the map"

_ADDRESS, _VIDEO_ID = "192.0.2.1", "bench"
_FRAMES_PER_PUT = 2000
_FRAMES_PER_PART = 100
"""Frames that the session API stores in one document."""

RECORD: dict[str, Any] = {
    "gaze": [0.512345, 0.487654],
    "validity": "ok",
    "features": [0.012345, 0.123456, -0.987654, 1.234567, -2.345678, 0.345678, 571.234],
    "origin_mm": [1.234, 98.765, 571.234],
    "distance_mm": 571.234,
    "eye_openness": [0.31234, 0.32345],
    "timestamp_ms": None,
    "video_time_ms": 1234.567,
    "target": None,
    "head_pose_deg": {"pitch": 1.234, "yaw": -2.345, "roll": 0.345},
}
"""Record of a frame, as the function stores it."""


@dataclass(frozen=True, slots=True)
class GrowthCurve:
    """Median CPU time against a size.

    Attributes:
        size_name: What grows.
        series: Who spends the time.
        sizes: Sizes, ascending.
        cpu_ms: Median CPU time at each size.
    """

    size_name: str
    series: str
    sizes: tuple[int, ...]
    cpu_ms: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """Slope in the doubly logarithmic plot: 0 means constant, 1 in proportion to the size."""
        return float(np.polyfit(np.log(self.sizes), np.log(np.maximum(self.cpu_ms, 1e-9)), 1)[0])


def measure_growth(
    upstream: UpstreamServices, *, blocks: int, frames: Sequence[int] = FRAMES, sessions: Sequence[int] = SESSIONS
) -> list[BenchNumber]:
    """Return the costs at each size.

    Args:
        upstream: Running services.
        blocks: Samples of each size.
        frames: Numbers of frames in the session that is updated.
        sessions: Numbers of sessions that take turns.
    """
    # Parts first, while no others are stored: their number is what counts.
    return [
        *measure_stored_parts(upstream, [size for size in STORED_PARTS if size <= max(sessions)], blocks),
        *measure_sessions_alive(upstream, sessions, blocks),
        *measure_frames_in_session(upstream, frames, blocks),
        *measure_map_sizes(10 * blocks),
    ]


def measure_frames_in_session(upstream: UpstreamServices, sizes: Sequence[int], blocks: int) -> list[BenchNumber]:
    """Return the cost of storing one frame in sessions that already have some; all sizes take turns."""
    store = _open_store(upstream)
    updates: dict[str, Callable[[int], object]] = {}
    for size in sizes:
        # Many short sessions instead of one, so that the updates do not make it much longer.
        names = [f"growth-{size}-{at}" for at in range(max(1, BLOCK // size))]
        for name in names:
            _fill(upstream.session_api_url, name, size)
        updates[str(size)] = _cycle_updates(store, names, size + 1)
    return _measure_updates(upstream, IN_SESSION, updates, blocks)


def measure_sessions_alive(upstream: UpstreamServices, sizes: Sequence[int], blocks: int) -> list[BenchNumber]:
    """Return the cost of a frame's detector and session update while a number of sessions take turns."""
    store = _open_store(upstream)
    settings = read_settings({"MONGO_URI": "mongodb://127.0.0.1"})
    model = load_onnx_model(settings.gaze_model.with_suffix(".onnx"))
    landmarker = create_face_landmarker(settings)
    numbers = []
    names: list[str] = []
    for size in sorted(sizes):
        for at in range(len(names), size):
            names.append(f"growth-alive-{at}")
            _fill(upstream.session_api_url, names[-1], 1)
        detectors = Detectors(landmarker, model, store)
        update = _cycle_updates(store, list(names), 2, detectors)
        numbers += _measure_updates(upstream, ALIVE, {str(size): update}, blocks)
    return numbers


def measure_stored_parts(upstream: UpstreamServices, sizes: Sequence[int], blocks: int) -> list[BenchNumber]:
    """Return the cost of a frame that opens a new part while the session API stores a number of parts.

    The session API stores 100 frames of a session in one part: one frame in 100 opens it.
    """
    store, name = _open_store(upstream), "growth-parts"
    numbers = []
    stored = 0
    for size in sorted(sizes):
        for at in range(stored, size):
            store.update_session(name, at * _FRAMES_PER_PART, RECORD, ip_address=_ADDRESS, video_id=_VIDEO_ID)
        update = _cycle_updates(store, [name], size * _FRAMES_PER_PART, step=_FRAMES_PER_PART)
        numbers += _measure_updates(upstream, PARTS, {str(size): update}, blocks, PARTS_BLOCK)
        stored = size + (blocks + 1) * PARTS_BLOCK
    return numbers


def measure_map_sizes(turns: int) -> list[BenchNumber]:
    """Return the cost of scoring one gaze on maps of several sizes."""
    generator = np.random.default_rng(0)
    steps = {}
    for width in MAP_WIDTHS_PX:
        bytes_map = generator.integers(0, 256, (round(width * 9 / 16), width), dtype=np.uint8)
        float_map = generator.random(bytes_map.shape)
        for kind, each in (("uint8", bytes_map), ("float", float_map)):
            steps[f"{each.size}, {kind}"] = timed(_score_on(each))
    return to_numbers(f"growth: {MAP}", sample(steps, turns=turns))


def list_curves(report: BenchReport) -> list[GrowthCurve]:
    """Return the curves of a report."""
    points: dict[tuple[str, str], dict[int, float]] = {}
    for number in report.numbers:
        section, _, size_name = number.section.partition(": ")
        if section == "growth" and number.quantity is MeasuredQuantity.CPU_MS:
            size, _, series = number.name.partition(", ")
            points.setdefault((size_name, series), {})[int(size)] = number.summarise().median
    return [
        GrowthCurve(*key, tuple(sorted(found)), tuple(found[size] for size in sorted(found)))
        for key, found in points.items()
    ]


@click.command()
@click.option("--blocks", type=click.IntRange(min=1), default=8, show_default=True, help="Samples of each size.")
@click.option(
    "--max-frames", type=click.IntRange(min=10), default=FRAMES[-1], show_default=True, help="Longest session."
)
@click.option(
    "--max-sessions", type=click.IntRange(min=10), default=SESSIONS[-1], show_default=True, help="Most sessions alive."
)
@click.option("--figure", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the curves to this file.")
@report_options("growth")
def growth(*, blocks: int, max_frames: int, max_sessions: int, figure: Path | None, name: str, output: Path) -> None:
    """Measure how costs grow: with frames in a session, sessions alive, and pixels of a saliency map.

    Takes about two minutes, most of it to store the longest session. CPU time is that of this process, which calls the
    session API as the function does, and of session API and database. An exponent of 0 means a constant cost, 1 a cost
    in proportion.
    """
    machine = read_machine_facts()
    frames = [size for size in FRAMES if size <= max_frames]
    sessions = [size for size in SESSIONS if size <= max_sessions]
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        numbers = measure_growth(upstream, blocks=blocks, frames=frames, sessions=sessions)
    report = make_report(name, machine, numbers)
    save_and_print(report, output)
    curves = list_curves(report)
    for curve in curves:
        click.echo(f"{curve.size_name}, {curve.series}: exponent {curve.exponent:.2f}")
    if figure is not None:
        from gaze_tools.bench.session_growth_figure import draw  # noqa: PLC0415  matplotlib takes a second to load

        draw(curves, figure)


def _measure_updates(
    upstream: UpstreamServices,
    size_name: str,
    updates: dict[str, Callable[[int], object]],
    blocks: int,
    block: int = BLOCK,
) -> list[BenchNumber]:
    """Return the cost of updates in blocks; the services' CPU time of a block is read when it ends."""
    pids = [upstream.pids["session_api"], upstream.pids["database"]]
    services: dict[str, list[StepCost]] = {f"{size}, {SERVICES}": [] for size in updates}

    def measure_block(size: str) -> Callable[[int], StepCost]:
        step = timed(updates[size], calls=block)

        def run(turn: int) -> StepCost:
            cpu_s, started_s = sum(map(read_cpu_s, pids)), time.perf_counter()
            cost = step(turn)
            spent_s, wall_s = sum(map(read_cpu_s, pids)) - cpu_s, time.perf_counter() - started_s
            services[f"{size}, {SERVICES}"].append(StepCost(wall_s / block, spent_s / block))
            return cost

        return run

    costs = sample({f"{size}, {FUNCTION}": measure_block(size) for size in updates}, turns=blocks, warm_up=1)
    section = f"growth: {size_name}"
    counted = {name: values[-blocks:] for name, values in services.items()}
    return [
        *to_numbers(section, costs),
        *(n for n in to_numbers(section, counted) if n.quantity is MeasuredQuantity.CPU_MS),
    ]


def _cycle_updates(
    store: HttpSessionStore, names: Sequence[str], first: int, detectors: Detectors | None = None, *, step: int = 1
) -> Callable[[int], object]:
    """Return a function that stores the next frame in the next of the sessions."""
    sessions, turns = itertools.cycle(names), itertools.count()

    def update(_turn: int) -> object:
        name = next(sessions)
        if detectors is not None:
            detectors.get_or_create_gaze_detector(name)
        number = first + step * (next(turns) // len(names))
        return store.update_session(name, number, RECORD, ip_address=_ADDRESS, video_id=_VIDEO_ID)

    return update


def _score_on(saliency_map: Any) -> Callable[[int], object]:  # noqa: ANN401 - bytes or floats
    return lambda _turn: calc([[0.5, 0.5]], saliency_map)


def _open_store(upstream: UpstreamServices) -> HttpSessionStore:
    return HttpSessionStore(upstream.session_api_url, timeout_s=60, retries=0, read_frame=read_record)


def _fill(session_api_url: str, session_id: str, frames: int) -> None:
    """Create a session with a number of frames, numbered from 1."""
    with requests.Session() as http:
        http.trust_env = False
        body = {"session_id": session_id, "ip_address": _ADDRESS, "video_id": _VIDEO_ID}
        http.post(f"{session_api_url}/mk-session", json=body, timeout=60).raise_for_status()
        for first in range(1, frames + 1, _FRAMES_PER_PUT):
            part = {str(number): RECORD for number in range(first, min(first + _FRAMES_PER_PUT, frames + 1))}
            update = {"component": COMPONENT, "data": {"components": {COMPONENT: part}}}
            http.put(f"{session_api_url}/update_session/{session_id}", json=update, timeout=120).raise_for_status()
