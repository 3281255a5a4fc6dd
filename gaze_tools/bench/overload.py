"""`gaze bench overload`: goodput, refusals and health at several multiples of the function's capacity."""

import asyncio
import contextlib
import http
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import click
from rich.table import Table

from gaze_tools.bench.frames import BenchFrame, load_frames
from gaze_tools.bench.load import LOAD_SIZE
from gaze_tools.bench.request import name_session
from gaze_tools.bench.server import RunningServer, Variant, against_option, pinned_to, read_cpu_s, start_variant
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import start_upstream_services

MULTIPLES = (0.8, 1.0, 5.0)
CLIENTS = 8
ANSWER_TIMEOUT_S = 30.0
FILL_S = 3.0
"""Longer than a frame may wait in the queue."""


@dataclass(slots=True)
class OverloadOutcome:
    """What happened to the frames of one load: latencies by status, times of good answers, latencies of probes."""

    by_status: dict[int, list[float]] = field(default_factory=dict)
    good_at_s: list[float] = field(default_factory=list)
    health_s: list[float] = field(default_factory=list)

    def count(self, *statuses: int) -> int:
        """Return the number of answers with one of these statuses."""
        return sum(len(self.by_status.get(status, [])) for status in statuses)


class Generator:
    """Sends frames to one server from one event loop."""

    def __init__(self, port: int, frame: BenchFrame) -> None:
        self._port = port
        self._frame = frame
        self._session_id = name_session()
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._number = 0

    async def send_frame(self, outcome: OverloadOutcome) -> None:
        """Send a frame and note how long the answer took; 0 stands for no answer."""
        self._number += 1
        body = self._frame.make_body(self._session_id, self._number)
        head = b"POST /gaze HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        status = await self._exchange(head % len(body) + body, outcome.by_status)
        if status == http.HTTPStatus.OK:
            outcome.good_at_s.append(time.monotonic())

    async def probe(self, outcome: OverloadOutcome) -> None:
        """Ask for liveness on a new connection and note how long that took."""
        answers: dict[int, list[float]] = {}
        await self._exchange(
            b"GET /health/liveness HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", answers, fresh=True
        )
        outcome.health_s += answers.get(200, [ANSWER_TIMEOUT_S])

    async def _exchange(self, sent: bytes, answers: dict[int, list[float]], *, fresh: bool = False) -> int:
        started_s = time.perf_counter()
        status, writer = 0, None
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                if self._free and not fresh:
                    reader, writer = self._free.pop()
                else:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(sent)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                await reader.readexactly(length)
                status = int(head.split()[1])
                if not fresh and b"connection: close" not in head:
                    self._free.append((reader, writer))
                    writer = None
        answers.setdefault(status, []).append(time.perf_counter() - started_s)
        if writer is not None:
            writer.close()
        return status

    async def measure_capacity(self, seconds: float) -> float:
        """Return the frames a second that clients get that wait for each answer."""
        outcome, until_s = OverloadOutcome(), time.monotonic() + seconds

        async def run() -> None:
            while time.monotonic() < until_s:
                await self.send_frame(outcome)

        await asyncio.gather(*(run() for _ in range(CLIENTS)))
        return outcome.count(200) / seconds

    async def offer(self, frames_per_s: float, seconds: float) -> tuple[OverloadOutcome, float]:
        """Send frames at fixed times and a health probe every fifth of a second; return the outcome and the goodput."""
        outcome = OverloadOutcome()
        begins_s, ends_s = time.monotonic() + FILL_S, time.monotonic() + seconds
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        tasks = []
        sent, probes = 0, 0
        while (now_s := loop.time() - started_s) < seconds:
            while sent < now_s * frames_per_s:
                tasks.append(asyncio.create_task(self.send_frame(outcome)))
                sent += 1
            if probes < now_s * 5:
                tasks.append(asyncio.create_task(self.probe(outcome)))
                probes += 1
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)
        good = sum(begins_s <= each_s < ends_s for each_s in outcome.good_at_s)
        return outcome, good / (ends_s - begins_s)


def describe(sorted_ms: list[float]) -> str:
    """Return median and 95th percentile."""
    if not sorted_ms:
        return "-"
    return f"{sorted_ms[len(sorted_ms) // 2]:.0f}, {sorted_ms[19 * len(sorted_ms) // 20]:.0f}"


async def measure(
    server: RunningServer, frame: BenchFrame, *, multiples: Iterable[float], seconds: float, table: Table
) -> None:
    """Add the rows of a server."""
    for multiple in multiples:
        generator = Generator(server.port, frame)
        cpu_s = [read_cpu_s(server.process_id)]
        before_fps = await generator.measure_capacity(seconds)
        cpu_s.append(read_cpu_s(server.process_id))
        outcome, goodput_fps = await generator.offer(multiple * before_fps, seconds + FILL_S)
        cpu_s.append(read_cpu_s(server.process_id))
        cpu_ratio = (cpu_s[2] - cpu_s[1]) / outcome.count(200) / ((cpu_s[1] - cpu_s[0]) / before_fps / seconds)
        capacity_fps = (before_fps + await generator.measure_capacity(seconds)) / 2
        refused_ms = sorted(1000 * each_s for each_s in outcome.by_status.get(503, []))
        table.add_row(
            server.name,
            f"{multiple:g} ×",
            f"{capacity_fps:.0f}",
            f"{goodput_fps / capacity_fps:.2f}",
            f"{cpu_ratio:.2f}",
            f"{outcome.count(503)}",
            f"{outcome.count(0)}",
            describe(refused_ms),
            f"{1000 * max(outcome.health_s):.0f}",
        )
        await asyncio.sleep(2)


@click.command()
@against_option
@click.option(
    "--multiple",
    type=click.FloatRange(min=0, min_open=True),
    multiple=True,
    help="Offered load, as a multiple of the capacity; may be repeated.  [default: 0.8, 1, 5]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    help="Length of each measurement.",
)
def overload(against: tuple[Path, ...], multiple: tuple[float, ...], seconds: float) -> None:
    """Send more frames than the function can take: goodput, refusals and health.

    Frames are sent at fixed times, whether or not earlier ones are answered, each on a free connection or a new one.
    The capacity is the rate of 8 clients that wait for each answer, measured before and after each load. Goodput is
    the rate of answers with status 200 once the queue is full, relative to the capacity.

    On a machine that is busy with other work, compare CPU instead: the server's CPU time for each answer with status
    200, refusals included, relative to that at capacity.
    """
    variants = [*(Variant(path.name, path.resolve()) for path in against), Variant("functions-framework")]
    (frame,) = load_frames(LOAD_SIZE, 1)
    columns = ("server", "offered", "capacity/s", "goodput", "CPU", "503", "no answer", "503 ms", "health ms")
    table = make_table("Overload", *columns)
    cpus = sorted(os.sched_getaffinity(0))
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        with pinned_to(cpus[:-1] or cpus):  # the last CPU is the generator's
            upstream = stack.enter_context(start_upstream_services(log_dir))
        for variant in variants:
            with contextlib.ExitStack() as running:
                with pinned_to(cpus[:-1] or cpus):
                    server = running.enter_context(start_variant(variant, upstream, log_dir))
                with pinned_to(cpus[-1:]):
                    asyncio.run(measure(server, frame, multiples=multiple or MULTIPLES, seconds=seconds, table=table))
    print_wide(table)
