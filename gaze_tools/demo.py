"""The main job on real input: a clip of a person, frame by frame over HTTP, to a score at the aggregator.

python -m gaze_tools.demo [--video FILE | --camera N] [--out DIR]
"""

import argparse
import contextlib
import itertools
import json
import secrets
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import requests
from numpy.typing import NDArray
from pymongo import MongoClient
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gaze_core.gaze import direction_to, screen_point_mm, visual_angle_deg
from gaze_core.types import Camera, GazePoint, Screen
from gaze_tools.report.plots import draw_gaze_over_video, draw_trace
from gaze_tools.saliency.models.spectral_residual import spectral_residual
from gaze_tools.saliency.seed import seed_saliency_maps
from gaze_tools.stack.gateway import Answer, Gateway, GatewayError
from gaze_tools.stack.launcher import Neighbours, start_function, start_neighbours
from gaze_tools.stack.processes import ProcessError

SAMPLE = Path(__file__).with_name("sample")
SAMPLE_VIDEO_ID = "sample"
CAMERA_FRAMES = 200
MAP_WIDTH_PX, MAP_HEIGHT_PX = 240, 135
"""Size of the demo's saliency maps; the model itself works at a width of 64 pixels."""


@dataclass(slots=True)
class Viewing:
    """What happened while the clip was streamed.

    Attributes:
        answers: By frame number.
        shown_s: How long the streaming took.
        result: The session's result.
        received: What the aggregator says it received for this session.
    """

    answers: dict[int, Answer] = field(default_factory=dict)
    shown_s: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--video", type=Path, help="a video file of a person; without it the sample clip")
    source.add_argument("--camera", type=int, help=f"a webcam's number; {CAMERA_FRAMES} frames are taken")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="where the pictures go")
    arguments = parser.parse_args()
    console = Console()
    try:
        run_demo(console, arguments.out, video=arguments.video, camera=arguments.camera)
    except (ProcessError, GatewayError, OSError) as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        console.print("Stopped.")
        sys.exit(130)


def run_demo(console: Console, out: Path, *, video: Path | None = None, camera: int | None = None) -> Viewing:
    """Stream a clip through a fresh local stack, print the summary and draw the pictures into `out`.

    Args:
        console: Where the summary goes.
        out: A folder, made when missing.
        video: A video file of a person; None means the sample clip.
        camera: A webcam's number instead.

    Raises:
        OSError: The video or the camera cannot be read.
        ProcessError: A process of the stack did not start.
        GatewayError: The function refused a frame or kept failing.
    """
    truth = read_truth() if video is None and camera is None else None
    source: str | int = camera if camera is not None else str(video or SAMPLE / "clip.mp4")
    frame_count = count_frames(source)
    if not frame_count:
        raise OSError(f"{source} holds no frame")
    started = time.monotonic()
    console.print(f"Starting the local stack (logs in {out}/logs) …")
    token_key = secrets.token_hex(32)
    settings = {"SESSION_TOKEN_KEYS": token_key}
    with (
        start_neighbours(out / "logs") as neighbours,
        start_function(neighbours, out / "logs", settings=settings) as function_url,
    ):
        seed_sample_maps(neighbours, frame_count)
        console.print(f"Ready after {time.monotonic() - started:.1f} s; streaming to {function_url}/gaze")
        gateway = Gateway(function_url, video_id=SAMPLE_VIDEO_ID, token_key=token_key.encode())
        viewing = stream(console, gateway, read_frames(source, frame_count), frame_count, truth)
        results = requests.get(f"{neighbours.aggregator_url}/results", timeout=10).json()
        viewing.received = [entry for entry in results["deliveries"] if entry["video_id"] == SAMPLE_VIDEO_ID]
    print_summary(console, viewing, truth)
    if truth is None:
        console.print("The maps are those of the sample video: the score means something only if it was watched.")
    for picture in draw_pictures(viewing, truth, out):
        console.print(f"[green]{picture}")
    return viewing


def read_truth() -> dict[str, Any]:
    """Return what is known of the sample clip: screen, camera and each frame's gaze."""
    truth: dict[str, Any] = json.loads((SAMPLE / "truth.json").read_text())
    return truth


def count_frames(source: str | int) -> int:
    """Return how many frames will be streamed; a webcam never ends, so a fixed number of its own."""
    if isinstance(source, int):
        return CAMERA_FRAMES
    with open_capture(source) as capture:
        return sum(1 for _ in iter(capture.grab, False))


@contextlib.contextmanager
def open_capture(source: str | int) -> Iterator[cv2.VideoCapture]:
    """Open a video file or a webcam.

    Raises:
        OSError: It cannot be opened.
    """
    capture = cv2.VideoCapture(source)
    try:
        if not capture.isOpened():
            raise OSError(f"cannot open {'webcam ' if isinstance(source, int) else ''}{source}")
        yield capture
    finally:
        capture.release()


def read_frames(source: str | int, limit: int) -> Iterator[NDArray[np.uint8]]:
    """Yield at most `limit` pictures, RGB uint8, shape (height, width, 3)."""
    with open_capture(source) as capture:
        for _ in range(limit):
            ok, frame = capture.read()
            if not ok:
                return
            yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def seed_sample_maps(neighbours: Neighbours, frame_count: int) -> None:
    """Store the sample video's saliency maps, from its start again when the clip is longer than the video."""
    maps = [
        cv2.resize(spectral_residual(frame), (MAP_WIDTH_PX, MAP_HEIGHT_PX), interpolation=cv2.INTER_AREA)
        for frame in read_frames(str(SAMPLE / "video.mp4"), frame_count)
    ]
    numbered = enumerate(itertools.islice(itertools.cycle(maps), frame_count), start=1)
    client: MongoClient[dict[str, Any]]
    with MongoClient(neighbours.mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        seed_saliency_maps(
            client["saliency_db"],
            SAMPLE_VIDEO_ID,
            dict(numbered),
            fps=20.0,
            width=480,
            height=270,
            how="spectral residual (Hou and Zhang 2007)",
        )


def stream(
    console: Console,
    gateway: Gateway,
    frames: Iterator[NDArray[np.uint8]],
    frame_count: int,
    truth: dict[str, Any] | None,
) -> Viewing:
    """Post every frame, then the end; show how fast it goes and where the viewer looks."""
    described = {} if truth is None else {"screen": truth["screen"], "camera": truth["camera"]}
    viewing = Viewing()
    progress = Progress(
        TextColumn("frames"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("gaze {task.fields[gaze]}"),
        TimeRemainingColumn(),
        console=console,
    )
    started = time.monotonic()
    with progress:
        bar = progress.add_task("frames", total=frame_count, gaze="", rate="")
        for number, frame in enumerate(frames, start=1):
            viewing.answers[number] = answer = gateway.post_frame(number, frame, **described)
            rate = f"{number / (time.monotonic() - started):.1f} frames/s"
            progress.update(bar, advance=1, gaze=describe_gaze(answer.body), rate=rate)
    viewing.shown_s = time.monotonic() - started
    count = len(viewing.answers)
    viewing.result = gateway.complete(count + 1, total_frames=count).body["result"]
    return viewing


def describe_gaze(body: dict[str, Any]) -> str:
    """Return an answer's gaze in a few letters."""
    gaze = body.get("gaze")
    return body.get("validity", "") if gaze is None else f"({gaze['x']:+.2f}, {gaze['y']:+.2f})"


def print_summary(console: Console, viewing: Viewing, truth: dict[str, Any] | None) -> None:
    """Print what a user wants to know of a run."""
    result = viewing.result
    latencies = [answer.latency_ms for answer in viewing.answers.values()]
    validities = Counter(answer.body["validity"] for answer in viewing.answers.values())
    lost = {reason: count for reason, count in result["lost"].items() if count}
    table = Table(show_header=False, title="What happened", title_justify="left")
    table.add_row("frames sent", f"{len(latencies)} in {viewing.shown_s:.1f} s")
    table.add_row("valid", f"{validities['ok']}")
    table.add_row("lost", ", ".join(f"{count} {reason}" for reason, count in lost.items()) or "none")
    if len(latencies) > 1:
        p95_ms = statistics.quantiles(latencies, n=20)[-1]
        table.add_row("latency", f"median {statistics.median(latencies):.1f} ms, p95 {p95_ms:.1f} ms")
    if result["score_valid"]:
        chance = f"chance {result['chance_level']:.2f}, coverage {100 * result['coverage']:.1f} %"
        table.add_row("final score", f"{result['final_score']:.2f} of 100 ({chance})")
    else:
        table.add_row("final score", f"not valid: {result['score_invalid_reason']}")
    for delivery in viewing.received:
        table.add_row("aggregator received", f"{delivery['final_score']:.2f} for {delivery['video_id']}")
    if not viewing.received:
        table.add_row("aggregator received", "nothing")
    errors = gaze_errors(viewing, truth) if truth else []
    if errors:
        degrees, millimetres = zip(*errors, strict=True)
        table.add_row(
            "gaze error",
            f"mean {statistics.mean(degrees):.2f}°, median {statistics.median(degrees):.2f}°; "
            f"mean {statistics.mean(millimetres):.0f} mm on the screen ({len(errors)} frames, no calibration)",
        )
    console.print(table)


def gaze_errors(viewing: Viewing, truth: dict[str, Any]) -> list[tuple[float, float]]:
    """Return each valid frame's error against the clip's known gaze: degrees at the eyes, mm on the screen."""
    errors = []
    screen, camera = Screen(**truth["screen"]), Camera(**truth["camera"])
    for known in truth["frames"]:
        answer = viewing.answers.get(known["frame_number"])
        gaze = answer.body["gaze"] if answer else None
        if gaze is None:
            continue
        found, target = GazePoint(gaze["x"], gaze["y"]), GazePoint(known["x"], known["y"])
        degrees = float(
            visual_angle_deg(*(direction_to(point, known["origin_mm"], screen, camera) for point in (found, target)))
        )
        away_mm = screen_point_mm(found, screen, camera) - screen_point_mm(target, screen, camera)
        errors.append((degrees, float(np.linalg.norm(away_mm))))
    return errors


def draw_pictures(viewing: Viewing, truth: dict[str, Any] | None, out: Path) -> list[Path]:
    """Draw the gaze over a frame of the sample video and over time; return the files."""
    gazes = {number: answer.body["gaze"] for number, answer in viewing.answers.items()}
    known = {} if truth is None else {frame["frame_number"]: (frame["x"], frame["y"]) for frame in truth["frames"]}
    frames = list(read_frames(str(SAMPLE / "video.mp4"), len(gazes)))
    shown = max((number for number in gazes if gazes[number] and number <= len(frames)), default=1)
    shown = next((n for n in range(len(frames) // 2, len(frames)) if gazes.get(n)), shown)
    frame = frames[shown - 1]
    out.mkdir(parents=True, exist_ok=True)
    return [
        draw_gaze_over_video(
            frame, spectral_residual(frame), gazes, shown, known.get(shown), path=out / "gaze_over_video.png"
        ),
        draw_trace(gazes, known, path=out / "trace.png"),
    ]


if __name__ == "__main__":
    main()
