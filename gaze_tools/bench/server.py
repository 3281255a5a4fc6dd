"""`gaze bench server`: frames per second and CPU time per frame of several web servers on this machine."""

import base64
import contextlib
import http.client
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2
from rich.console import Console
from rich.table import Table

import func
from gaze_tools.sample_clip import SAMPLE, read_frames
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services
from gaze_tools.stack.processes import await_ready, find_free_port, run_process

READY_TIMEOUT_S = 60.0
FRAMES_PER_CLIENT = 40

ROOT = Path(func.__file__).parents[1]

against_option = click.option(
    "--against",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    multiple=True,
    help="Another checkout to measure, before this one; may be repeated.",
)

_BIN = Path(sys.executable).parent
FRAMEWORK = [str(_BIN / "functions-framework"), "--source=func/main.py", "--target=handle", "--host=127.0.0.1"]
_ASGI_MAIN = "import os; from func.web.start import start; app = start(os.environ).handler"
_SERVERS = {
    "hypercorn": [sys.executable, "-m", "hypercorn", "--bind", "127.0.0.1:{port}", "asgi_app:app"],
    "uvicorn-h11": [sys.executable, "-m", "uvicorn", "--no-access-log", "--http=h11", "--loop=asyncio"],
    "uvicorn-httptools": [sys.executable, "-m", "uvicorn", "--no-access-log", "--http=httptools", "--loop=uvloop"],
}


@dataclass(slots=True)
class Variant:
    """A server to measure and what was measured, by number of clients."""

    name: str
    folder: Path
    command: list[str]
    settings: dict[str, str] = field(default_factory=dict)
    frames_per_s: dict[int, list[float]] = field(default_factory=dict)
    cpu_ms: dict[int, list[float]] = field(default_factory=dict)


@contextlib.contextmanager
def start_variant(variant: Variant, upstream: UpstreamServices, log_dir: Path) -> Iterator[tuple[int, int]]:
    """Run a server; yield its port and process id."""
    port = find_free_port()
    command = [part.format(port=port) for part in variant.command]
    if command[:1] == FRAMEWORK[:1] or "uvicorn" in command:
        command.append(f"--port={port}")
    log_path = log_dir / f"{variant.name}.log"
    paths = os.pathsep.join([str(variant.folder), str(log_dir), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        **upstream.environment(),
        "PYTHONPATH": paths,
        "LOG_LEVEL": "WARNING",
        "THREADS": "16",
        **variant.settings,
    }
    # The command line of functions-framework names its source relative to the checkout.
    command = [part.replace("func/main.py", str(variant.folder / "func/main.py")) for part in command]
    with run_process(command, log_path=log_path, environment=environment) as process:
        url = f"http://127.0.0.1:{port}/health/readiness"
        await_ready(variant.name, process, url, log_path=log_path, timeout_s=READY_TIMEOUT_S)
        yield port, process.pid


def read_cpu_s(process_id: int) -> float:
    """Return the CPU time of a process and its children, in seconds."""
    total_s = 0.0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            values = entry.read_text().rpartition(")")[2].split()
            if process_id in {int(entry.parent.name), int(values[1])}:
                total_s += (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return total_s


def send_frames(port: int, session_id: str, image: str, count: int, latencies_s: list[float]) -> None:
    """Send frames of one session over one connection, each after the answer to the one before."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    fields = {"session_id": session_id, "video_id": "sample", "ip_address": "198.51.100.1", "last_frame": False}
    for number in range(1, count + 1):
        body = json.dumps({**fields, "frame_number": number, "frame": image})
        started_s = time.perf_counter()
        connection.request("POST", "/gaze", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer = response.read()
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{response.status}: {answer[:200]!r}")
        latencies_s.append(time.perf_counter() - started_s)
    connection.close()


def measure(variant: Variant, port: int, process_id: int, clients: int, image: str) -> None:
    """Send frames from several clients and add what they took to the variant."""
    latencies_s: list[float] = []
    session_id = f"bench-{variant.name}-{time.monotonic_ns()}"
    threads = [
        threading.Thread(target=send_frames, args=(port, f"{session_id}-{at}", image, FRAMES_PER_CLIENT, latencies_s))
        for at in range(clients)
    ]
    cpu_s, started_s = read_cpu_s(process_id), time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - started_s
    if len(latencies_s) != clients * FRAMES_PER_CLIENT:
        raise RuntimeError(f"{variant.name}: a client failed")
    variant.frames_per_s.setdefault(clients, []).append(len(latencies_s) / took_s)
    variant.cpu_ms.setdefault(clients, []).append(1000 * (read_cpu_s(process_id) - cpu_s) / len(latencies_s))


def list_variants(against: Iterable[Path], also: Iterable[str]) -> list[Variant]:
    """Return this checkout under functions-framework after other checkouts, and before other servers."""
    variants = [Variant(path.name, path.resolve(), FRAMEWORK) for path in against]
    variants.append(Variant("functions-framework", ROOT, FRAMEWORK))
    for name in also:
        command = _SERVERS[name]
        variants.append(Variant(name, ROOT, [*command, "asgi_app:app"] if "uvicorn" in name else command))
    return variants


def print_table(variants: list[Variant], client_counts: list[int], rounds: int) -> None:
    """Print medians and their ratios to the first variant's."""
    table = Table(title=f"Medians of {rounds} rounds", title_justify="left")
    for column in ("server", "clients", "frames/s", "ratio", "CPU ms a frame", "ratio"):
        table.add_column(column, justify="left" if column == "server" else "right")
    for clients in client_counts:
        for variant in variants:
            cells = []
            measured: Mapping[int, list[float]]
            for measured, reference in (
                (variant.frames_per_s, variants[0].frames_per_s),
                (variant.cpu_ms, variants[0].cpu_ms),
            ):
                value = statistics.median(measured[clients])
                ratio = statistics.median(
                    mine / theirs for mine, theirs in zip(measured[clients], reference[clients], strict=True)
                )
                cells += [f"{value:.1f}", f"{ratio:.2f}"]
            table.add_row(variant.name, str(clients), *cells)
    Console(width=100).print(table)  # wide enough also where the output is no terminal


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
    client_counts = list(clients or (1, 8))
    variants = list_variants(against, also)
    frame = next(read_frames(str(SAMPLE / "clip.mp4"), 1))
    jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    image = base64.b64encode(jpeg.tobytes()).decode()
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (log_dir / "asgi_app.py").write_text(_ASGI_MAIN)
        upstream = stack.enter_context(start_upstream_services(log_dir))
        running = [stack.enter_context(start_variant(variant, upstream, log_dir)) for variant in variants]
        for variant, (port, _) in zip(variants, running, strict=True):
            send_frames(port, f"warm-{variant.name}", image, 20, [])
        for each_round in range(rounds):
            for count in client_counts:
                order = list(zip(variants, running, strict=True))
                for variant, (port, process_id) in order if each_round % 2 == 0 else reversed(order):
                    measure(variant, port, process_id, count, image)
    print_table(variants, client_counts, rounds)
