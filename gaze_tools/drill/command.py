"""The command `gaze drill`."""

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import requests

import func
from gaze_tools.client import encode_jpeg
from gaze_tools.command_line import console
from gaze_tools.drill.observation import (
    Samples,
    Sight,
    find_growth,
    join,
    list_conditions,
    list_trouble,
    read_events,
    read_samples,
)
from gaze_tools.drill.scenes import FRAMES, SCENES, Fault
from gaze_tools.drill.stack import SETTINGS, DrillStack
from gaze_tools.drill.viewer import DrillViewer
from gaze_tools.markdown import replace_section
from gaze_tools.sample_clip import SAMPLE, read_frames, seed_sample_maps
from gaze_tools.stack.processes import find_free_port

_HEADING = (
    "what is broken",
    "frames",
    "last frame",
    "log",
    "metrics that grow",
    "conditions of alerts",
    "what to do",
)
_MISSING_MODEL = "/nowhere/gaze_model.joblib"


@click.command()
@click.option(
    "--write",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Markdown file whose section `drill` gets the table.",
)
def drill(write: Path | None) -> None:
    """Break one thing after another, and show what an operator sees.

    Starts the local stack with short timeouts, and ends with status 1 if a frame or a result is lost.
    """
    images = [encode_jpeg(frame) for frame in itertools.islice(read_frames(str(SAMPLE / "clip.mp4"), FRAMES), FRAMES)]
    rows, lost = [], 0
    with tempfile.TemporaryDirectory(prefix="drill-") as folder, DrillStack(Path(folder)) as stack:
        seed_sample_maps(stack.upstream, FRAMES)
        for scene in SCENES:
            console.print(f"[bold]{scene.name}[/bold] …")
            viewer = DrillViewer(stack.url, images)
            seen, recovery_s = play(stack, scene, viewer)
            rows.append(describe(scene.name, seen, scene.advice))
            _print(seen)
            missing = count_lost(stack, viewer)
            lost += missing
            console.print(f"  recovered after {recovery_s:.1f} s; frames and results lost: {missing}\n")
        console.print("[bold]Model file missing[/bold] …")
        status, line = start_without_model(stack)
        console.print(f"  the process ends with status {status}: {line}\n")
        rows.append(describe_missing_model(status, line))
    if write is not None:
        lines = (_HEADING, ("---",) * len(_HEADING), *rows)
        table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        write.write_text(replace_section(write.read_text(encoding="utf-8"), "drill", table), encoding="utf-8")
    console.print(f"Everything has recovered; frames and results lost: {lost}.")
    if lost:
        sys.exit(1)


def play(stack: DrillStack, scene: Fault, viewer: DrillViewer) -> tuple[Sight, float]:
    """Return what was seen during a fault, and the seconds until every request was answered with 200 after it.

    Raises:
        TimeoutError: Something still fails a minute after the end of the fault.
    """
    numbers = range(1, viewer.frame_count + 1)
    half = viewer.frame_count // 2
    viewer.send_frames(numbers[:half])
    before, offset = _read_metrics(stack), stack.log_path.stat().st_size
    last_frame = None
    with scene.breaks(stack):
        frames = viewer.send_frames([*numbers[half:]] * scene.repeats, at_once=scene.at_once)
        if scene.ends_session:
            last_frame = viewer.send_last_frame()
        growth = find_growth(before, _read_metrics(stack))
        events = read_events(stack.log_path, offset)
    recovery_s = viewer.recover()
    seen = Sight(tuple(sorted(set(frames))), last_frame, events, list_trouble(growth), list_conditions(growth))
    return seen, recovery_s


def count_lost(stack: DrillStack, viewer: DrillViewer) -> int:
    """Return how many frames are not in the session, and how many results were not delivered exactly once."""
    answer = requests.get(f"{stack.upstream.session_api_url}/get_session/{viewer.session_id}", timeout=10)
    stored = answer.json()["components"]["gaze_tracking"]
    lost = sum(str(number) not in stored for number in viewer.acknowledged)
    results = requests.get(f"{stack.upstream.aggregator_url}/results", timeout=10).json()["deliveries"]
    ours = [each for each in results if each["session_id"] == viewer.session_id]
    return lost + (len(ours) != 1 or ours[0]["final_score"] != viewer.final_score)


def start_without_model(stack: DrillStack) -> tuple[int, str]:
    """Start a function whose model file is missing; return its exit status and the last line of its log."""
    command = [
        str(Path(sys.executable).with_name("functions-framework")),
        f"--source={Path(func.__file__).with_name('main.py')}",
        *("--target=handle", "--host=127.0.0.1", f"--port={find_free_port()}"),
    ]
    environment = {**os.environ, **stack.upstream.environment(), **SETTINGS, "GAZE_MODEL": _MISSING_MODEL}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, (done.stdout + done.stderr).strip().splitlines()[-1]


def describe(name: str, seen: Sight, advice: str) -> tuple[str, ...]:
    """Return a row of the table."""
    last_frame = () if seen.last_frame is None else (seen.last_frame,)
    return (
        name,
        join(seen.frames),
        join(last_frame),
        join(seen.events),
        join(seen.metrics, code=True),
        join(seen.conditions),
        advice,
    )


def describe_missing_model(status: int, line: str) -> tuple[str, ...]:
    """Return the row of the table about a process that cannot start."""
    event = "cannot start" if '"event": "cannot start"' in line else "?"
    sight = f"the process ends with status {status}, and the pod goes to `CrashLoopBackOff`"
    advice = "Read `detail` in the last line of `kubectl logs --previous`; roll back, or mount the file."
    return ("Model file missing", "–", "–", event, sight, "the rollout does not progress", advice)


def _read_metrics(stack: DrillStack) -> Samples:
    return read_samples(requests.get(f"{stack.url}/metrics", timeout=10).text)


def _print(seen: Sight) -> None:
    for name, values in (
        ("frames", seen.frames),
        ("last frame", () if seen.last_frame is None else (seen.last_frame,)),
        ("log", seen.events),
        ("metrics", seen.metrics),
        ("alerts", seen.conditions),
    ):
        if values:
            console.print(f"  {name}: {', '.join(map(str, values))}", markup=False, highlight=False)
