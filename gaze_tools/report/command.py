"""The command `gaze report`."""

from pathlib import Path

import click

from func.adapters.saliency_store import MongoSaliencyMaps
from func.adapters.session_api import HttpSessionStore
from func.bootstrap import load_model
from func.errors import SettingsError
from func.model_paths import parse_sha256, require_digest
from gaze_core.errors import SessionNotFoundError
from gaze_core.ports import Session, SessionReader
from gaze_tools.command_line import (
    TIMEOUT_S,
    check_session_api,
    console,
    database_option,
    make_progress,
    mongo_uri_option,
    translated_errors,
)
from gaze_tools.film import read_times
from gaze_tools.film_times import FilmTimes
from gaze_tools.report.examination import Report, examine_session, read_gazes
from gaze_tools.report.overlay import check_film_fits, check_overlay_path, name_beside, write_overlay
from gaze_tools.report.page import write_report
from gaze_tools.report.progress import LateProgress, WatchedMaps
from gaze_tools.saliency.connection import check_connection
from gaze_tools.session.api import SessionApi, describe_missing, is_session_id
from gaze_tools.session.export_file import ExportedSessions, is_export
from models import GAZE_MODEL_PATH


def _parse_digest(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else parse_sha256(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _find_session(session_id: str, session_api: str | None) -> tuple[SessionReader, Session]:
    """Return a session from an export or the session API, and where to find its calibration.

    Raises:
        click.ClickException: There is no such session.
    """
    if is_export(Path(session_id)):
        exported = ExportedSessions(Path(session_id))
        return exported, exported.get_session(exported.header.session_id)
    if Path(session_id).is_file() or not is_session_id(session_id):
        raise click.ClickException(f"{session_id} is neither a session id nor a file of `gaze session export`")
    if session_api is None:
        raise click.UsageError("A session id needs the option '--session-api' (env var: 'SESSION_API_URL').")
    store = HttpSessionStore(session_api, timeout_s=TIMEOUT_S, retries=2)
    try:
        return store, store.get_session(session_id)
    except SessionNotFoundError as error:
        raise click.ClickException(describe_missing(error, SessionApi(session_api))) from error


@click.command()
@click.argument("session_id", metavar="SESSION_ID|FILE")
@click.option(
    "--session-api",
    envvar="SESSION_API_URL",
    callback=check_session_api,
    show_envvar=True,
    help="Address of the session API; not needed for a FILE.",
)
@click.option(
    "--video",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Video that was watched, shown behind the gaze.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Directory to write to.")
@click.option(
    "--overlay",
    type=click.Path(path_type=Path),
    help="Also write the video with the gaze on it to this .mp4 file; needs --video.",
)
@click.option(
    "--gaze-model",
    envvar="GAZE_MODEL",
    type=click.Path(path_type=Path),
    default=GAZE_MODEL_PATH,
    help="Gaze model for sessions with a calibration.  [default: the packaged model]",
)
@click.option(
    "--gaze-model-sha256",
    envvar="GAZE_MODEL_SHA256",
    callback=_parse_digest,
    help="SHA-256 of the gaze model, required for any but the packaged model.",
)
@mongo_uri_option
@database_option
def report(
    *,
    session_id: str,
    session_api: str | None,
    video: Path | None,
    out: Path,
    overlay: Path | None,
    gaze_model: Path,
    gaze_model_sha256: str | None,
    mongo_uri: str,
    database: str,
) -> None:
    """Write a report of what the viewer of SESSION_ID looked at.

    Writes report.html with its figures, every frame as trace.csv and trace.json, and all fixations, saccades and blinks
    as CSV files. The session must still be in the session API, unless you name a FILE of `gaze session export` instead
    of its id.
    """
    if overlay is not None and video is None:
        raise click.UsageError("--overlay needs the video that was watched: add --video FILE.")
    try:
        require_digest("GAZE_MODEL", gaze_model, gaze_model_sha256)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    times = None
    with translated_errors():
        if overlay is not None and video is not None:
            check_overlay_path(overlay, sources=[video, Path(session_id)], made=out)
            times = read_times(video)
    check_connection(mongo_uri)
    with translated_errors():
        sessions, session = _find_session(session_id, session_api)
        maps = MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
        notes: list[str] = []
        gazes, accuracy = read_gazes(session, sessions, lambda: load_model(gaze_model, sha256=gaze_model_sha256), notes)
        with LateProgress("frames") as progress:
            watched = WatchedMaps(maps, progress.update)
            examined = examine_session(session, watched, gazes, notes, accuracy=accuracy)
        if times is not None:
            check_film_fits(examined, times)
        page = write_report(examined, maps, out, video=video, overlay=name_beside(overlay, out))
        console.print(str(page), style="green", markup=False, highlight=False, soft_wrap=True)
        if overlay is not None and video is not None and times is not None:
            show_overlay(examined, video, times, overlay)


def show_overlay(report: Report, film: Path, times: FilmTimes, path: Path) -> None:
    """Write an overlay video, and show how far it is and what is missing.

    Raises:
        OSError: The film cannot be read, or the file not written.
        ValueError: The film is not as long as the maps.
    """
    with make_progress("overlay") as progress:
        bar = progress.add_task("", total=times.starts_s.size)
        overlay = write_overlay(
            report, film, times, path, on_frame=lambda number: progress.update(bar, completed=number)
        )
    if overlay.sound_left_out is not None:
        console.print(f"Sound was left out: {overlay.sound_left_out}.")
    if report.film_s is None:
        console.print("The length of the film could not be checked, because the video has no maps.")
    console.print(str(path), style="green", markup=False, highlight=False, soft_wrap=True)
