"""Everything from a film and its viewer to the score, the report and an export of the session, on this machine."""

import contextlib
import json
import re
import secrets
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from pymongo import MongoClient

from func.adapters.saliency_store import MongoSaliencyMaps
from func.adapters.session_api import HttpSessionStore
from func.bootstrap import load_model
from gaze_core.types import Screen
from gaze_tools.client import CalibrationSession, GazeClient, make_session_id
from gaze_tools.command_line import TIMEOUT_S, console, make_progress
from gaze_tools.report.examination import Report, examine_session, read_gazes
from gaze_tools.report.overlay import name_beside
from gaze_tools.report.page import write_report
from gaze_tools.report.plots import draw_trace
from gaze_tools.run.calibration import CalibrationFolder, post_calibration
from gaze_tools.run.clip import ClipFrame
from gaze_tools.run.setup import Setup
from gaze_tools.run.viewing import PostedFrames, place_in_film, post_viewing
from gaze_tools.saliency.compute import Video, compute_maps
from gaze_tools.saliency.models import make_model
from gaze_tools.session.transfer import export_session
from gaze_tools.stack.launcher import UpstreamServices, start_function, start_upstream_services
from gaze_tools.stack.session_tokens import LOCAL_ADDRESS, sign_session
from models import GAZE_MODEL_PATH

SESSION_TTL_S = 6 * 3600.0
"""The session must outlive the longest film and its report."""


@dataclass(frozen=True, slots=True)
class FilmRun:
    """What to run.

    Attributes:
        film: Video that is watched.
        film_s: Its duration.
        model: Name of the saliency model.
        every: Frames from one saliency map to the next.
        open_frames: Returns the frames of the viewer once everything is ready, each with the time since the first one.
        expected: Number of these frames; None if unknown.
        offset_s: Position of the film at the first of them.
        setup: The viewer's screen, camera and position of the film.
        calibration: Calibration; None for none.
        out: Directory for the files.
        overlay: Overlay video that will be written, to which the report links; None for none.
    """

    film: Video
    film_s: float
    model: str
    every: int
    open_frames: Callable[[], Iterable[ClipFrame]]
    expected: int | None
    offset_s: float
    setup: Setup
    calibration: CalibrationFolder | None
    out: Path
    overlay: Path | None = None


@dataclass(frozen=True, slots=True)
class FilmScore:
    """What came of it.

    Attributes:
        result: Result of the session.
        viewing: Frames and replies.
        report: What the report shows.
        files: Files and directories that were written.
    """

    result: dict[str, Any]
    viewing: PostedFrames
    report: Report
    files: tuple[Path, ...]


def run_film(run: FilmRun) -> FilmScore:
    """Make the maps of a film, score its viewer, and write report, result, session and trace.

    Raises:
        OSError: A file cannot be read or written, or the camera failed.
        ProcessError: A process of the stack did not start.
        GazeClientError: The function refused a frame, or was unavailable.
        GazeError: Another part failed.
    """
    logs = run.out / "logs"
    console.print(f"Starting MongoDB stand-in, session API, aggregator and function (logs in {logs}) …", markup=False)
    token_key = secrets.token_hex(32)
    video_id = make_video_id(run.film.path)
    with (
        start_upstream_services(logs, session_ttl_s=SESSION_TTL_S) as upstream,
        start_function(upstream, logs, settings={"SESSION_TOKEN_KEYS": token_key}) as function_url,
        GazeClient(function_url) as client,
    ):
        _make_maps(upstream, run, video_id)
        calibration = None
        if run.calibration is not None:
            calibration_id = f"calibration-{uuid.uuid4()}"
            calibration = client.start_calibration(
                video_id=video_id,
                ip_address=LOCAL_ADDRESS,
                session_id=calibration_id,
                session_token=sign_session(token_key, calibration_id, video_id),
                **run.setup.as_fields(with_viewport=False),
            )
            _calibrate(calibration, run.calibration)
        session = client.start_viewing(
            video_id,
            ip_address=LOCAL_ADDRESS,
            session_token=sign_session(token_key, make_session_id(LOCAL_ADDRESS, video_id), video_id),
            calibration=calibration,
            **run.setup.as_fields(),
        )
        viewing = PostedFrames()
        screen = Screen(**run.setup.screen) if run.setup.screen else None
        frames = run.open_frames()
        with contextlib.closing(place_in_film(frames, viewing, offset_s=run.offset_s, film_s=run.film_s)) as placed:
            post_viewing(session, placed, viewing, screen, expected=run.expected)
        count = len(viewing.replies)
        if not count:
            raise OSError("no frame of the viewer was taken while the film played; check --offset")
        result = session.complete().result
        report, files = _write_files(upstream, session.session_id, viewing, result, run)
    return FilmScore(result, viewing, report, files)


def make_video_id(film: Path) -> str:
    """Return a valid video id from a file name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", film.stem).strip("-")[:100] or "film"


def _make_maps(upstream: UpstreamServices, run: FilmRun, video_id: str) -> None:
    client: MongoClient[dict[str, Any]]
    with MongoClient(upstream.mongo_uri, serverSelectionTimeoutMS=10_000) as client, make_progress("maps") as progress:
        bar = progress.add_task("", total=run.film.stated_frames)
        done = compute_maps(
            client["saliency_db"],
            video_id,
            run.film,
            make_model(run.model),
            every=run.every,
            on_frame=lambda number, _made: progress.update(
                bar, completed=number, total=max(run.film.stated_frames, number)
            ),
        )
        progress.update(bar, total=done.frames, completed=done.frames)


def _calibrate(calibration: CalibrationSession, folder: CalibrationFolder) -> None:
    with make_progress("calibration") as progress:
        bar = progress.add_task("", total=len(folder.images))
        valid = post_calibration(calibration, folder, lambda: progress.update(bar, advance=1))
    console.print(f"Calibration: {folder.targets} targets, {valid} of {len(folder.images)} images with a usable gaze.")


def count_down(seconds: int, film_s: float) -> None:
    """Count down to the start of the film in the viewer's own player."""
    console.print(
        f"Open the film in your player, paused at its beginning. Start it when this says “now”; then look at the film "
        f"for {film_s:.0f} s. You react about a quarter of a second late, and so does the webcam: --offset corrects it."
    )
    for left in range(seconds, 0, -1):
        console.print(f"{left} …")
        time.sleep(1)
    console.print("[bold]now")


def _write_files(
    upstream: UpstreamServices, session_id: str, viewing: PostedFrames, result: dict[str, Any], run: FilmRun
) -> tuple[Report, tuple[Path, ...]]:
    store = HttpSessionStore(upstream.session_api_url, timeout_s=TIMEOUT_S, retries=2)
    maps = MongoSaliencyMaps(upstream.mongo_uri, timeout_s=TIMEOUT_S)
    session = store.get_session(session_id)
    notes: list[str] = []
    gazes, accuracy = read_gazes(session, store, lambda: load_model(GAZE_MODEL_PATH), notes)
    report = examine_session(session, maps, gazes, notes, accuracy=accuracy)
    page = write_report(report, maps, run.out, video=run.film.path, overlay=name_beside(run.overlay, run.out))
    result_path, session_path = run.out / "result.json", run.out / "session.json"
    result_path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    export_session(session_id, session_path, store, maps)
    replies = {number: reply.body["gaze"] for number, reply in viewing.replies.items()}
    trace = draw_trace(replies, {}, path=run.out / "gaze_over_time.png")
    return report, (page, result_path, session_path, run.out / "trace.csv", trace)


def make_out_dir(out: Path | None, *, overwrite: bool) -> Path:
    """Create the directory for the files, which is new or empty unless it may be overwritten, and return it.

    Args:
        out: Directory; None makes a new one with date and time in its name, also if another run starts in this second.
        overwrite: Whether the directory may contain files.

    Raises:
        click.ClickException: It is not empty.
        OSError: It cannot be created.
    """
    if out is not None:
        check_out_dir(out, overwrite=overwrite)
        out.mkdir(parents=True, exist_ok=True)
        return out
    made = first = Path("out") / f"run-{datetime.now(UTC).astimezone():%Y%m%d-%H%M%S}"
    number = 1
    while True:
        try:
            made.mkdir(parents=True)
        except FileExistsError:
            number += 1
            made = first.with_name(f"{first.name}-{number}")
        else:
            return made


def check_out_dir(out: Path | None, *, overwrite: bool) -> None:
    """Raise `click.ClickException` if a directory for the files has any and may not be overwritten."""
    if out is not None and out.is_dir() and any(out.iterdir()) and not overwrite:
        raise click.ClickException(f"{out} is not empty; choose another directory with --out, or add --overwrite")
