"""`gaze bench flame`: record the function under load with py-spy and draw a flame graph."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import click

from gaze_tools.bench.flame_graph import draw, read_stacks, weigh
from gaze_tools.bench.request import ENGINES, SentBody, list_settings, make_frames, send
from gaze_tools.bench.server import ROOT
from gaze_tools.command_line import console
from gaze_tools.stack.launcher import start_function_server, start_upstream_services

WARM_UP_FRAMES = 30
FRAMES_PER_CALL = 10


@click.command()
@click.option("--engine", type=click.Choice(ENGINES), default="litert", show_default=True, help="Landmark engine.")
@click.option("--clients", type=click.IntRange(min=1), default=1, show_default=True, help="Clients that send frames.")
@click.option("--seconds", type=click.IntRange(min=1), default=60, show_default=True, help="Length of the recording.")
@click.option("--rate", type=click.IntRange(1, 1000), default=200, show_default=True, help="Samples a second.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("out/flame.svg"),
    show_default=True,
    help="SVG file to write.",
)
def flame(engine: str, clients: int, seconds: int, rate: int, output: Path) -> None:
    """Draw where the time of a frame goes in the function, as a flame graph.

    Needs root, because the function keeps other users' debuggers out, and py-spy (`pip install '.[bench]'`). The share
    of a thread is its CPU time as the kernel counts it; within a thread, shares are those of the samples in which it
    does not wait. With the engine `mediapipe`, the thread that waits for MediaPipe's own threads looks as if it worked.
    """
    program = find_py_spy()
    sent = make_frames()[1]["face"]
    with tempfile.TemporaryDirectory() as folder, start_upstream_services(Path(folder)) as upstream:
        settings = {**list_settings(engine, ROOT), "LANDMARKERS": str(min(clients, os.cpu_count() or 1))}
        with start_function_server(upstream, Path(folder), name=engine, settings=settings) as server:
            port = int(server.url.rpartition(":")[2])
            send(port, sent, WARM_UP_FRAMES)
            recorded = Path(folder) / "stacks.txt"
            console.print(f"Recording for {seconds} s …")
            worker = find_worker(server.process.pid)
            with keep_sending(port, sent, clients):
                before_s = read_thread_times(worker)
                record(program, worker, recorded, seconds=seconds, rate=rate)
                after_s = read_thread_times(worker)
            stacks = read_stacks(recorded.read_text().splitlines())
    cpu_s = {thread: spent_s - before_s.get(thread, 0.0) for thread, spent_s in after_s.items()}
    load = "one client" if clients == 1 else f"{clients} clients"
    try:
        graph = draw(weigh(stacks, cpu_s), f"Frames of {load}, engine {engine}: where the function's CPU time goes")
    except ValueError as error:
        raise click.ClickException("the function did nothing; record for longer") from error
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(graph, encoding="utf-8")
    console.print(f"{output}: {sum(sum(samples.values()) for samples in stacks.values())} samples")


def find_py_spy() -> str:
    """Return the path of py-spy.

    Raises:
        click.ClickException: It is not installed.
    """
    found = shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if found is None:
        raise click.ClickException("py-spy is not installed: pip install '.[bench]'")
    return found


def find_worker(process_id: int) -> int:
    """Return the process that answers requests: the child of gunicorn's."""
    return int(Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()[0])


def read_thread_times(process_id: int) -> dict[int, float]:
    """Return the CPU time of each running thread of a process by native thread id, in seconds."""
    times_s = {}
    for entry in Path(f"/proc/{process_id}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            values = (entry / "stat").read_text().rpartition(")")[2].split()
            times_s[int(entry.name)] = (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
    return times_s


def record(program: str, process_id: int, output: Path, *, seconds: int, rate: int) -> None:
    """Record the stacks of a process without stopping it: that would move the time of its threads.

    Args:
        program: Path of py-spy.
        process_id: The process.
        output: File to write, in py-spy's format `raw`.
        seconds: Length of the recording.
        rate: Samples a second.

    Raises:
        click.ClickException: py-spy failed, for example because it may not read the process.
    """
    command = [
        program,
        "record",
        "--format=raw",
        "--threads",
        "--nonblocking",
        f"--duration={seconds}",
        f"--rate={rate}",
    ]
    command += [f"--pid={process_id}", f"--output={output}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise click.ClickException(f"py-spy failed, which needs root:\n{(ended.stderr or ended.stdout).strip()}")


@contextlib.contextmanager
def keep_sending(port: int, sent: SentBody, clients: int) -> Iterator[None]:
    """Send frames from several clients, each after the answer to the one before, until the block ends."""
    is_over = threading.Event()

    def send_until_over() -> None:
        while not is_over.is_set():
            send(port, sent, FRAMES_PER_CALL)

    threads = [threading.Thread(target=send_until_over) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
