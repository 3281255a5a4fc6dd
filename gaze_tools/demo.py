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
from gaze_tools.client import FrameReply, GazeClient, GazeClientError, ViewingSession, make_session_id
from gaze_tools.command_line import console, describe_error, make_progress
from gaze_tools.report.plots import draw_gaze_over_video, draw_trace
from gaze_tools.run.gaze_only import CAMERA_S, run_gaze_only
from gaze_tools.run.viewing import describe_gaze
from gaze_tools.saliency.models.spectral_residual import spectral_residual
from gaze_tools.sample_clip import (
    MAX_CAMERA,
    SAMPLE,
    SAMPLE_VIDEO_ID,
    count_frames,
    read_frames,
    read_truth,
    seed_sample_maps,
)
from gaze_tools.stack.launcher import start_function, start_upstream_services
from gaze_tools.stack.live_gaze import LiveGaze
from gaze_tools.stack.processes import ProcessError
from gaze_tools.stack.session_tokens import LOCAL_ADDRESS, sign_session


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
    help="Video file of a person: gaze, but no score.  [default: the sample clip]",
)
@click.option(
    "--camera",
    type=click.IntRange(0, MAX_CAMERA),
    help=f"Number of a webcam, usually 0: {CAMERA_S:g} s of gaze, but no score.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("out/demo"),
    show_default=True,
    help="Directory for the images and logs.",
)
def demo(video: Path | None, camera: int | None, out: Path) -> None:
    """Stream a clip of a person through the function, and print the score.

    Starts the function and its upstream services on this machine, posts the clip frame by frame over HTTP, and prints
    the score, the latency and the gaze error. With your own video or webcam there is no score, because the film that
    you watched is not known: `gaze run FILM` scores.
    """
    if video is not None and camera is not None:
        raise click.UsageError("--video and --camera exclude each other.")
    source = video if camera is None else camera
    try:
        if source is None:
            run_demo(console, out)
        else:
            run_gaze_only(out, source)
    except (ProcessError, GazeClientError, OSError) as error:
        raise click.ClickException(describe_error(error)) from error


def run_demo(console: Console, out: Path) -> DemoRun:
    """Stream the sample clip through a fresh local stack, print a summary and write images.

    Args:
        console: Console for the output.
        out: Directory for images and logs, created if missing.

    Raises:
        OSError: The sample cannot be read.
        ProcessError: A process of the stack did not start.
        GazeClientError: The function refused a frame, or was unavailable.
    """
    truth = read_truth()
    clip = str(SAMPLE / "clip.mp4")
    frame_count = count_frames(clip)
    console.print(
        f"Streaming {frame_count} frames of a rendered person through the function to a score: about half a minute. "
        "Nothing leaves this machine."
    )
    console.print(f"Starting MongoDB stand-in, session API, aggregator and function (logs in {out}/logs) …")
    started_s = time.monotonic()
    token_key = secrets.token_hex(32)
    with (
        start_upstream_services(out / "logs") as upstream,
        start_function(upstream, out / "logs", settings={"SESSION_TOKEN_KEYS": token_key}) as function_url,
        GazeClient(function_url) as client,
    ):
        seed_sample_maps(upstream, frame_count)
        console.print(f"Ready after {time.monotonic() - started_s:.1f} s; streaming to {function_url}/gaze")
        viewing = client.start_viewing(
            SAMPLE_VIDEO_ID,
            ip_address=LOCAL_ADDRESS,
            session_token=sign_session(token_key, make_session_id(LOCAL_ADDRESS, SAMPLE_VIDEO_ID), SAMPLE_VIDEO_ID),
            screen=truth["screen"],
            camera=truth["camera"],
        )
        run = stream(viewing, read_frames(clip, frame_count), frame_count, Screen(**truth["screen"]))
        # A proxy in the environment cannot reach this machine's loopback interface.
        results = requests.get(f"{upstream.aggregator_url}/results", timeout=10, proxies={"no_proxy": "*"}).json()
        run.received = [entry for entry in results["deliveries"] if entry["video_id"] == SAMPLE_VIDEO_ID]
    print_summary(console, run, truth)
    for image in draw_images(run, truth, out):
        console.print(str(image), style="green", markup=False, highlight=False, soft_wrap=True)
    console.print(
        "The images show the gaze on one frame of the film and its saliency map, and over time. What the score says: "
        "docs/read-the-score.md. Next, your own score in the browser: make serve",
        highlight=False,
    )
    return run


def stream(viewing: ViewingSession, frames: Iterator[NDArray[np.uint8]], frame_count: int, screen: Screen) -> DemoRun:
    """Send every frame, then complete the session; show the frame rate and the gaze meanwhile."""
    run = DemoRun()
    live_gaze = LiveGaze(screen)
    started_s = time.monotonic()
    with make_progress("frames", "rate", "gaze") as progress:
        bar = progress.add_task("frames", total=frame_count, gaze="", rate="")
        for number, frame in enumerate(frames, start=1):
            run.replies[number] = reply = viewing.send(frame)
            rate = f"{number / (time.monotonic() - started_s):.1f} frames/s"
            gaze = live_gaze.update(time.monotonic(), reply)
            progress.update(bar, advance=1, gaze=describe_gaze(gaze, reply.validity), rate=rate)
    run.streaming_s = time.monotonic() - started_s
    run.result = viewing.complete().result
    return run


def print_summary(console: Console, run: DemoRun, truth: dict[str, Any]) -> None:
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
        if result["interval_95"]:
            lowest, highest = result["interval_95"]
            rough = "" if result["interval_reliable"] else " (rough: the film is short)"
            table.add_row("95 % interval", f"{lowest:.1f} to {highest:.1f}{rough}")
    else:
        table.add_row("final score", f"not valid: {result['score_invalid_reason']}")
    for delivery in run.received:
        table.add_row("aggregator received", f"{delivery['final_score']:.2f} for {delivery['video_id']}")
    if not run.received:
        table.add_row("aggregator received", "nothing")
    errors = measure_gaze_errors(run, truth)
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
        found, target = GazePoint(reply.gaze.x, reply.gaze.y), GazePoint(known["x"], known["y"])
        error_deg = visual_angle_deg(
            *(direction_to(point, known["origin_mm"], screen, camera) for point in (found, target))
        )
        error_mm = screen_point_mm(found, screen, camera) - screen_point_mm(target, screen, camera)
        errors.append((float(error_deg), float(np.linalg.norm(error_mm))))
    return errors


def draw_images(run: DemoRun, truth: dict[str, Any], out: Path) -> list[Path]:
    """Draw the gaze over a frame of the sample video and over time; return the files."""
    gazes = {number: reply.body["gaze"] for number, reply in run.replies.items()}
    known = {frame["frame_number"]: (frame["x"], frame["y"]) for frame in truth["frames"]}
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
