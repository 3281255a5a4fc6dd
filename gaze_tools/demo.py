"""The command `gaze demo`: a clip of a person, frame by frame over HTTP, to a score at the aggregator."""

import secrets
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import requests
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from gaze_core.gaze import direction_to, screen_point_mm, visual_angle_deg
from gaze_core.types import Camera, GazePoint, Screen
from gaze_tools.command_line import console, make_progress
from gaze_tools.report.plots import draw_gaze_over_video, draw_trace
from gaze_tools.saliency.models.spectral_residual import spectral_residual
from gaze_tools.sample_clip import (
    SAMPLE,
    SAMPLE_VIDEO_ID,
    count_frames,
    open_capture,
    read_frames,
    read_truth,
    seed_sample_maps,
)
from gaze_tools.stack.client import FrameReply, GazeClient, GazeClientError
from gaze_tools.stack.launcher import start_function, start_upstream_services
from gaze_tools.stack.live_gaze import LiveGaze
from gaze_tools.stack.processes import ProcessError

CAMERA_FRAMES = 200


@dataclass(slots=True)
class DemoRun:
    """Everything that happened while a clip was streamed.

    Attributes:
        replies: Reply to each frame, by frame number.
        streaming_s: Time from the first frame to the last reply.
        result: Result of the session.
        received: Deliveries that the aggregator received for this session.
    """

    replies: dict[int, FrameReply] = field(default_factory=dict)
    streaming_s: float = 0.0
    result: dict[str, Any] = field(default_factory=dict)
    received: list[dict[str, Any]] = field(default_factory=list)


@click.command()
@click.option(
    "--video",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Video file of a person.  [default: the sample clip]",
)
@click.option(
    "--camera",
    type=click.IntRange(min=0),
    help=f"Number of a webcam, usually 0; the demo takes {CAMERA_FRAMES} frames.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Directory for the images and logs.",
)
def demo(video: Path | None, camera: int | None, out: Path) -> None:
    """Stream a clip of a person through the whole path, to a score.

    Starts the function and its upstream services on this machine, posts the clip frame by frame over HTTP, and prints
    the score, the latency and, for the sample clip, the gaze error.
    """
    if video is not None and camera is not None:
        raise click.UsageError("--video and --camera exclude each other.")
    try:
        run_demo(console, out, video=video, camera=camera)
    except (ProcessError, GazeClientError, OSError) as error:
        raise click.ClickException(str(error)) from error


def run_demo(console: Console, out: Path, *, video: Path | None = None, camera: int | None = None) -> DemoRun:
    """Stream a clip through a fresh local stack, print a summary and write images.

    Args:
        console: Console for the output.
        out: Directory for images and logs, created if missing.
        video: Video file of a person; None means the sample clip.
        camera: Number of a webcam to use instead.

    Raises:
        OSError: The video or the camera cannot be read.
        ProcessError: A process of the stack did not start.
        GazeClientError: The function refused a frame, or failed on every attempt.
    """
    truth = read_truth() if video is None and camera is None else None
    source: str | int = camera if camera is not None else str(video or SAMPLE / "clip.mp4")
    frame_count = _check_source(source)
    viewer = "a person" if truth is None else "a rendered person"
    console.print(
        f"Streaming {frame_count} frames of {viewer} through the function to a score: about half a minute. "
        "Nothing leaves this machine."
    )
    console.print(f"Starting MongoDB stand-in, session API, aggregator and function (logs in {out}/logs) …")
    started_s = time.monotonic()
    token_key = secrets.token_hex(32)
    with (
        start_upstream_services(out / "logs") as upstream,
        start_function(upstream, out / "logs", settings={"SESSION_TOKEN_KEYS": token_key}) as function_url,
    ):
        seed_sample_maps(upstream, frame_count)
        console.print(f"Ready after {time.monotonic() - started_s:.1f} s; streaming to {function_url}/gaze")
        client = GazeClient(function_url, video_id=SAMPLE_VIDEO_ID, token_key=token_key.encode())
        run = stream(client, read_frames(source, frame_count), frame_count, truth)
        results = requests.get(f"{upstream.aggregator_url}/results", timeout=10).json()
        run.received = [entry for entry in results["deliveries"] if entry["video_id"] == SAMPLE_VIDEO_ID]
    print_summary(console, run, truth)
    if truth is None:
        console.print("The score uses the saliency maps of the sample video: it is meaningful only if you watched it.")
    for image in draw_images(run, truth, out):
        console.print(f"[green]{image}")
    return run


def _check_source(source: str | int) -> int:
    """Return the number of frames to stream; a webcam has no end, so a fixed number.

    Raises:
        OSError: The source cannot be opened or has no frames.
    """
    if isinstance(source, int):
        with open_capture(source):
            return CAMERA_FRAMES
    frame_count = count_frames(source)
    if not frame_count:
        raise OSError(f"{source} contains no frames")
    return frame_count


def stream(
    client: GazeClient, frames: Iterator[NDArray[np.uint8]], frame_count: int, truth: dict[str, Any] | None
) -> DemoRun:
    """Post every frame, then complete the session; show the frame rate and the gaze meanwhile."""
    described = {} if truth is None else {"screen": truth["screen"], "camera": truth["camera"]}
    run = DemoRun()
    live_gaze = LiveGaze(None if truth is None else Screen(**truth["screen"]))
    started_s = time.monotonic()
    with make_progress("frames", "rate", "gaze") as progress:
        bar = progress.add_task("frames", total=frame_count, gaze="", rate="")
        for number, frame in enumerate(frames, start=1):
            run.replies[number] = reply = client.post_frame(number, frame, **described)
            rate = f"{number / (time.monotonic() - started_s):.1f} frames/s"
            gaze = live_gaze.update(time.monotonic(), reply)
            progress.update(bar, advance=1, gaze=describe_gaze(gaze, reply.validity), rate=rate)
    run.streaming_s = time.monotonic() - started_s
    count = len(run.replies)
    run.result = client.complete(count + 1, total_frames=count).result
    return run


def describe_gaze(gaze: tuple[float, float] | None, validity: str) -> str:
    """Return a point of gaze as text, or why there is none."""
    return validity if gaze is None else f"gaze ({gaze[0]:+.2f}, {gaze[1]:+.2f})"


def print_summary(console: Console, run: DemoRun, truth: dict[str, Any] | None) -> None:
    """Print frames, latency, score and gaze error of a run."""
    result = run.result
    latencies_ms = [reply.latency_ms for reply in run.replies.values()]
    validities = Counter(reply.validity for reply in run.replies.values())
    lost = {reason: count for reason, count in result["lost"].items() if count}
    table = Table(show_header=False, title="Summary", title_justify="left")
    table.add_row("frames sent", f"{len(latencies_ms)} in {run.streaming_s:.1f} s")
    table.add_row("valid", f"{validities['ok']}")
    table.add_row("lost", ", ".join(f"{count} {reason}" for reason, count in lost.items()) or "none")
    if len(latencies_ms) > 1:
        p95_ms = statistics.quantiles(latencies_ms, n=20)[-1]
        table.add_row("latency", f"median {statistics.median(latencies_ms):.1f} ms, p95 {p95_ms:.1f} ms")
    if result["score_valid"]:
        chance = f"chance {result['chance_level']:.2f}, coverage {100 * result['coverage']:.1f} %"
        table.add_row("final score", f"{result['final_score']:.2f} of 100 ({chance})")
    else:
        table.add_row("final score", f"not valid: {result['score_invalid_reason']}")
    for delivery in run.received:
        table.add_row("aggregator received", f"{delivery['final_score']:.2f} for {delivery['video_id']}")
    if not run.received:
        table.add_row("aggregator received", "nothing")
    errors = measure_gaze_errors(run, truth) if truth else []
    if errors:
        errors_deg, errors_mm = zip(*errors, strict=True)
        table.add_row(
            "gaze error",
            f"mean {statistics.mean(errors_deg):.2f}°, median {statistics.median(errors_deg):.2f}°; "
            f"mean {statistics.mean(errors_mm):.0f} mm on the screen ({len(errors)} frames, uncalibrated)",
        )
    console.print(table)


def measure_gaze_errors(run: DemoRun, truth: dict[str, Any]) -> list[tuple[float, float]]:
    """Return the angular error in degrees and the distance on the screen in mm of each valid frame."""
    errors = []
    screen, camera = Screen(**truth["screen"]), Camera(**truth["camera"])
    for known in truth["frames"]:
        reply = run.replies.get(known["frame_number"])
        if reply is None or reply.gaze is None:
            continue
        found, target = GazePoint(*reply.gaze), GazePoint(known["x"], known["y"])
        error_deg = visual_angle_deg(
            *(direction_to(point, known["origin_mm"], screen, camera) for point in (found, target))
        )
        error_mm = screen_point_mm(found, screen, camera) - screen_point_mm(target, screen, camera)
        errors.append((float(error_deg), float(np.linalg.norm(error_mm))))
    return errors


def draw_images(run: DemoRun, truth: dict[str, Any] | None, out: Path) -> list[Path]:
    """Draw the gaze over a frame of the sample video and over time; return the files."""
    gazes = {number: reply.body["gaze"] for number, reply in run.replies.items()}
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
