"""Memory of the function under bursts of large frames: `python -m gaze_tools.bench.burst_memory`.

The memory limits of the manifests come from these numbers.
"""

import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path

import click
import cv2
import numpy as np

from gaze_core.types import Frame
from gaze_tools.bench.frames import encode_jpeg
from gaze_tools.bench.request import ENGINES, SentBody, list_settings, make_frames, name_session, post_frame, send_json
from gaze_tools.bench.server import ROOT
from gaze_tools.bench.start import FIRST_FRAME_TIMEOUT_S, FunctionMemory, list_processes, read_memory
from gaze_tools.bench.tables import make_table, print_wide
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services
from gaze_tools.stack.processes import find_free_port, run_process

WARM_UP_FRAMES = 60
REPEATS = 3
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Burst:
    """Frames that are sent at the same time.

    Attributes:
        frames: How many.
        width_px: Width of each.
        height_px: Height of each.
        noise: Standard deviation of the noise in grey levels; it makes the file larger.
    """

    frames: int
    width_px: int
    height_px: int
    noise: float

    def __str__(self) -> str:
        return f"{self.frames} × {self.width_px}×{self.height_px}"


BURSTS = (
    Burst(40, 1280, 720, 3),
    Burst(300, 1280, 720, 3),
    Burst(40, 3840, 2160, 3),
    Burst(40, 3840, 2160, 14),
)


@dataclass(frozen=True, slots=True)
class BurstMemory:
    """Memory after a burst.

    Attributes:
        name: The burst, with the size of a file.
        answered: Frames that got 200; the others were refused.
        memory: Memory afterwards.
        peak_rss: Highest resident set of the largest process since its start, bytes.
    """

    name: str
    answered: int
    memory: FunctionMemory
    peak_rss: int

    @property
    def peak(self) -> int:
        """Peak of all processes, bytes: that of the largest one, and what the others and their shared pages add."""
        return self.peak_rss - self.memory.worker_pss + self.memory.total_pss


def make_sent(frame: Frame, burst: Burst) -> tuple[SentBody, int]:
    """Return what is sent for each frame of a burst, and the size of its file in bytes."""
    large = cv2.resize(frame, (burst.width_px, burst.height_px), interpolation=cv2.INTER_CUBIC)
    noise = np.random.default_rng(1).normal(0, burst.noise, large.shape)
    jpeg = encode_jpeg(np.clip(large + noise, 0, 255).astype(np.uint8))
    return send_json(jpeg), len(jpeg)


def measure_bursts(
    engine: str, landmarkers: int, upstream: UpstreamServices, log_dir: Path, bursts: Sequence[Burst] = BURSTS
) -> Iterator[BurstMemory]:
    """Start a function, and yield its memory at rest and after each kind of burst, which is sent `REPEATS` times.

    Args:
        engine: Landmark engine.
        landmarkers: Value of `LANDMARKERS`.
        upstream: Running services.
        log_dir: Directory for logs.
        bursts: What to send.

    Raises:
        RuntimeError: The function did not answer.
    """
    port = find_free_port()
    command = [
        str(Path(sys.executable).with_name("functions-framework")),
        f"--source={ROOT / 'func' / 'main.py'}",
        "--target=handle",
        "--host=127.0.0.1",
        f"--port={port}",
    ]
    environment = {
        **os.environ,
        **upstream.environment(),
        **list_settings(engine, ROOT),
        "PYTHONPATH": str(ROOT),
        "LOG_LEVEL": "WARNING",
        "LANDMARKERS": str(landmarkers),
    }
    frame, bodies = make_frames()
    with run_process(command, log_path=log_dir / f"{engine}-{landmarkers}.log", environment=environment) as process:
        _wait_for_answer(port, bodies["face"])
        session = name_session()
        answered = [_post(port, bodies["face"], session, number) for number in range(1, WARM_UP_FRAMES + 1)]
        yield _read("at rest", answered.count(HTTPStatus.OK), process.pid)
        for burst in bursts:
            sent, size = make_sent(frame, burst)
            statuses: Counter[int] = Counter()
            with ThreadPoolExecutor(burst.frames) as pool:
                for _ in range(REPEATS):
                    sessions = [f"{name_session()}-{number}" for number in range(burst.frames)]
                    statuses.update(pool.map(lambda name, body=sent: _post(port, body, name, 1), sessions))
            yield _read(f"{REPEATS} × {burst}, {size // 1000} kB", statuses[HTTPStatus.OK], process.pid)


def read_peak_rss(process_id: int) -> int:
    """Return the highest resident set of the largest process among a process and its children, bytes."""
    texts = (Path("/proc", str(each), "status").read_text() for each in list_processes(process_id))
    return max(
        1024 * int(found[1]) for text in texts if (found := re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE))
    )


def _read(name: str, answered: int, process_id: int) -> BurstMemory:
    return BurstMemory(name, answered, read_memory(process_id), read_peak_rss(process_id))


def _post(port: int, sent: SentBody, session: str, number: int) -> int:
    try:
        return post_frame(port, sent.make_body(session, number), sent.content_type)
    except (OSError, HTTPException):
        return 0


def _wait_for_answer(port: int, sent: SentBody) -> None:
    end_s = time.monotonic() + FIRST_FRAME_TIMEOUT_S
    while _post(port, sent, name_session(), 1) != HTTPStatus.OK:
        if time.monotonic() > end_s:
            raise RuntimeError("the function did not answer a frame")
        time.sleep(0.1)


@click.command
@click.option("--engine", "engines", multiple=True, type=click.Choice(ENGINES), default=ENGINES, show_default=True)
@click.option("--landmarkers", "counts", multiple=True, type=click.IntRange(1), default=(1, 2, 4), show_default=True)
def main(engines: tuple[str, ...], counts: tuple[int, ...]) -> None:
    """Measure the memory of the function under bursts of large frames, in MiB."""
    table = make_table(
        "Memory, MiB",
        "engine",
        "landmarkers",
        "burst",
        "answered",
        "PSS after",
        "peak RSS",
        "peak of all",
        text_columns=3,
    )
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        for engine in engines:
            for count in counts:
                for found in measure_bursts(engine, count, upstream, Path(folder)):
                    sizes = (found.memory.total_pss, found.peak_rss, found.peak)
                    values = (f"{size / _MIB:.0f}" for size in sizes)
                    table.add_row(engine, str(count), found.name, str(found.answered), *values)
    print_wide(table)


if __name__ == "__main__":
    main()
