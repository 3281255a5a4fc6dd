"""`gaze bench request`: CPU time of one frame through the real server, as a ratio to its bare networks."""

import base64
import contextlib
import http.client
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from gaze_core.types import Frame
from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.server import FRAMEWORK, ROOT, Variant, against_option, read_cpu_s, start_variant
from gaze_tools.sample_clip import SAMPLE, read_frames
from gaze_tools.stack.launcher import UpstreamServices, start_upstream_services

ENGINES = ("mediapipe", "litert")
WARM_UP_FRAMES = 30
BARE_RUNS = 10


@dataclass(slots=True)
class MeasuredFunction:
    """A running function and what its frames took, one value for each round.

    Attributes:
        name: Checkout and engine.
        port: Port of the function.
        process_id: Process id of the server.
        cpu_ratios: Function's CPU time of a frame with a face, relative to the bare networks in the same round.
        empty_ratios: The same for frames without a face.
        binary_ratios: The same for frames with a face that are sent as multipart.
        request_ratios: Time from sending a frame to its answer, relative to the bare networks.
    """

    name: str
    port: int
    process_id: int
    cpu_ratios: list[float] = field(default_factory=list)
    empty_ratios: list[float] = field(default_factory=list)
    binary_ratios: list[float] = field(default_factory=list)
    request_ratios: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SentBody:
    """What a client sends: how to make the body of a frame from its session and number, and the content type."""

    make_body: Callable[[str, int], bytes]
    content_type: str


def send_json(jpeg: bytes) -> SentBody:
    """Return the frame as JSON with base64."""
    text = base64.b64encode(jpeg).decode()
    return SentBody(
        lambda session, number: json.dumps({**_fields(session, number), "frame": text}).encode(), "application/json"
    )


def send_multipart(jpeg: bytes) -> SentBody:
    """Return the frame as multipart with a binary image."""
    opening = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'

    def make_body(session: str, number: int) -> bytes:
        metadata = opening % b"metadata" + json.dumps(_fields(session, number)).encode()
        return metadata + b"\r\n" + opening % b"frame" + jpeg + b"\r\n--b--\r\n"

    return SentBody(make_body, "multipart/form-data; boundary=b")


def _fields(session: str, number: int) -> dict[str, object]:
    return {
        "session_id": session,
        "video_id": "sample",
        "ip_address": "198.51.100.1",
        "frame_number": number,
        "last_frame": False,
        "timestamp_ms": 50 * number,
        "video_time_ms": 50 * number,
    }


def send(port: int, sent: SentBody, count: int) -> list[float]:
    """Send frames of a new session over one connection, each after the answer to the one before.

    Returns:
        Time of each frame from sending it to its answer, seconds.

    Raises:
        RuntimeError: A frame was refused.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    session = f"bench-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"
    latencies_s = []
    for number in range(1, count + 1):
        body = sent.make_body(session, number)
        started_s = time.perf_counter()
        connection.request("POST", "/gaze", body, {"Content-Type": sent.content_type})
        response = connection.getresponse()
        answer = response.read()
        latencies_s.append(time.perf_counter() - started_s)
        if response.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{response.status}: {answer[:200]!r}")
    connection.close()
    return latencies_s


def post_frame(port: int, body: bytes, content_type: str) -> int:
    """Send one frame over a connection of its own and return the status.

    Raises:
        OSError: The function does not listen yet.
    """
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/gaze", body, {"Content-Type": content_type})
        return connection.getresponse().status


def list_settings(engine: str, folder: Path) -> dict[str, str]:
    """Return the settings of the function for an engine: `litert` comes with the gaze model as ONNX."""
    settings = {"FACE_LANDMARKER": engine, "LANDMARKERS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if engine == "litert":
        settings["GAZE_MODEL"] = str(folder / "models" / "gaze_model.onnx")
    return settings


def measure_round(function: MeasuredFunction, bare: BareNetworks, frames: Mapping[str, SentBody], count: int) -> None:
    """Send `count` frames of each kind, and run the bare networks between them."""
    for kind, ratios in (
        ("face", function.cpu_ratios),
        ("multipart", function.binary_ratios),
        ("no face", function.empty_ratios),
    ):
        cpu_s, bare_ms, latencies_s = 0.0, [], []
        # In short turns, so that a machine that becomes slower does so for both.
        for _ in range(max(1, count // BARE_RUNS)):
            started_s = read_cpu_s(function.process_id)
            latencies_s += send(function.port, frames[kind], BARE_RUNS)
            cpu_s += read_cpu_s(function.process_id) - started_s
            bare_ms.append(bare.measure_cpu_ms(BARE_RUNS))
        ratios.append(1000 * cpu_s / len(latencies_s) / statistics.mean(bare_ms))
        if kind == "face":
            function.request_ratios.append(1000 * statistics.median(latencies_s) / statistics.median(bare_ms))


def print_functions(functions: list[MeasuredFunction], bare_ms: float, rounds: int) -> None:
    """Print the medians of all rounds."""
    table = Table(
        title=f"Ratio to the bare networks ({bare_ms:.1f} ms), medians of {rounds} rounds", title_justify="left"
    )
    for column in ("function", "CPU, JSON", "CPU, multipart", "CPU, no face", "request, JSON"):
        table.add_column(column, justify="left" if column == "function" else "right")
    for function in functions:
        columns = (function.cpu_ratios, function.binary_ratios, function.empty_ratios, function.request_ratios)
        table.add_row(function.name, *(f"{statistics.median(values):.2f}" for values in columns))
    Console(width=110).print(table)


def start_functions(
    stack: contextlib.ExitStack,
    folders: list[Path],
    engines: tuple[str, ...],
    upstream: UpstreamServices,
    log_dir: Path,
) -> list[MeasuredFunction]:
    """Run a function for each checkout and engine until the stack is closed."""
    functions = []
    for folder in folders:
        for engine in engines:
            name = f"{folder.name}-{engine}"
            variant = Variant(name, folder, FRAMEWORK, settings=list_settings(engine, folder))
            functions.append(MeasuredFunction(name, *stack.enter_context(start_variant(variant, upstream, log_dir))))
    return functions


def make_frames() -> tuple[Frame, dict[str, SentBody]]:
    """Return a frame of the sample clip, and the ways in which the function gets it and one without a face."""
    frame = next(read_frames(str(SAMPLE / "clip.mp4"), 1))
    jpeg = encode(frame)
    empty = encode(shuffle_tiles(frame))
    return frame, {"face": send_json(jpeg), "multipart": send_multipart(jpeg), "no face": send_json(empty)}


def shuffle_tiles(frame: Frame, size_px: int = 40) -> Frame:
    """Return the frame with its tiles in another order: as much to decode, and no face."""
    height_px, width_px = frame.shape[:2]
    tiles = frame.reshape(height_px // size_px, size_px, width_px // size_px, size_px, 3).swapaxes(1, 2)
    order = np.random.default_rng(0).permutation(tiles.shape[0] * tiles.shape[1])
    shuffled = tiles.reshape(-1, size_px, size_px, 3)[order].reshape(tiles.shape)
    return np.ascontiguousarray(shuffled.swapaxes(1, 2).reshape(frame.shape))


def encode(frame: Frame) -> bytes:
    """Return a frame as JPEG."""
    return cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()


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
    with contextlib.ExitStack() as stack:
        log_dir = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = stack.enter_context(start_upstream_services(log_dir))
        folders = [*(path.resolve() for path in against), ROOT]
        functions = start_functions(stack, folders, engine or ENGINES, upstream, log_dir)
        for function in functions:
            for kind in sent.values():
                send(function.port, kind, WARM_UP_FRAMES)
        for at in range(rounds):
            for function in functions if at % 2 == 0 else reversed(functions):
                measure_round(function, bare, sent, frames)
    print_functions(functions, bare.measure_cpu_ms(5 * BARE_RUNS), rounds)
