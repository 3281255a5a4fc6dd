"""`gaze session`: list sessions, keep them in files, put them back, remove them."""

from pathlib import Path
from typing import Any

import click

from func.adapters.saliency_store import MongoSaliencyMaps
from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SessionNotFoundError
from gaze_tools.command_line import TIMEOUT_S, Group, check_session_api, database_option, translated_errors
from gaze_tools.saliency.connection import check_connection
from gaze_tools.session.api import SessionApi, describe_missing, escape_control, is_session_id
from gaze_tools.session.transfer import export_session, import_session

session_api_option = click.option(
    "--session-api",
    envvar="SESSION_API_URL",
    callback=check_session_api,
    required=True,
    show_envvar=True,
    help="Address of the session API.",
)


def _check_new_id(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is not None and not is_session_id(value):
        raise click.BadParameter("must have 1 to 128 letters, digits, . _ : or -, and not be . or ..")
    return value


@click.group(cls=Group)
def session() -> None:
    """List sessions, export them to files, import and delete them.

    Sessions live only 300 s after their last use. An export keeps one for a later `gaze report`.
    """


@session.command("list")
@session_api_option
def list_sessions(session_api: str) -> None:
    """List the live sessions, the most recently used first.

    Columns: session id, video id, frames, age, time left, whether the session is scored and its result delivered.
    """
    with translated_errors():
        sessions = SessionApi(session_api).list_sessions()["sessions"]
    rows = [("SESSION", "VIDEO", "FRAMES", "AGE", "LEFT", "SCORED", "DELIVERED"), *map(_describe, sessions)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _describe(entry: dict[str, Any]) -> tuple[str, ...]:
    return (
        escape_control(str(entry.get("session_id", ""))),
        escape_control(str(entry.get("video_id", ""))),
        str(entry.get("frames", "")),
        f"{float(entry.get('age_s', 0)):.0f} s",
        f"{float(entry.get('left_s', 0)):.0f} s",
        "yes" if entry.get("scored") else "no",
        "yes" if entry.get("delivered") else "no",
    )


@session.command("export")
@click.argument("session_id")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="File to write.  [default: SESSION_ID.json]"
)
@click.option("--overwrite", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--without-ip",
    is_flag=True,
    help="Leave out the viewer's IP address, and replace session ids, from which it can be computed, with random ones.",
)
@session_api_option
@click.option(
    "--mongo-uri",
    envvar="MONGO_URI",
    show_envvar=True,
    help="Address of the MongoDB with the maps, to note which ones.",
)
@database_option
def export(
    *,
    session_id: str,
    out: Path | None,
    overwrite: bool,
    without_ip: bool,
    session_api: str,
    mongo_uri: str | None,
    database: str,
) -> None:
    """Write the session SESSION_ID to a file.

    The file contains every frame, the result, and the calibration sessions that the gaze depends on; of the saliency
    maps only their digest and frame rate. It is personal data: the viewer's gaze and, without --without-ip, the IP
    address. `gaze report FILE` makes the same report from it as from the session.
    """
    path = out or Path(f"{session_id}.json")
    if path.exists() and not overwrite:
        raise click.ClickException(f"{path} exists; choose another file with --out, or add --overwrite")
    if mongo_uri:
        check_connection(mongo_uri)
    maps = None if not mongo_uri else MongoSaliencyMaps(mongo_uri, database=database, timeout_s=TIMEOUT_S)
    with translated_errors():
        store = HttpSessionStore(session_api, timeout_s=TIMEOUT_S, retries=2)
        try:
            done = export_session(session_id, path, store, maps, without_ip=without_ip)
        except SessionNotFoundError as error:
            raise click.ClickException(describe_missing(error, SessionApi(session_api))) from error
    for name in done.missing:
        click.echo(f"The calibration session {name} no longer exists and is not in the file.", err=True)
    with_calibrations = f" and {len(done.calibrations)} calibration sessions" if done.calibrations else ""
    scored = "" if done.has_result else "; it has no result yet"
    renamed = f" as {done.session_id}" if without_ip else ""
    click.echo(f"Wrote {done.frames} frames of {session_id}{renamed}{with_calibrations} to {path}{scored}")


@session.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--ttl", "keep_s", type=click.FloatRange(min=1, max=30 * 24 * 3600), help="Seconds to keep the session at least."
)
@click.option("--as", "session_id", callback=_check_new_id, help="New session id.  [default: that of the export]")
@session_api_option
def import_(file: Path, keep_s: float | None, session_id: str | None, session_api: str) -> None:
    """Store the session of FILE, an export, in a session API.

    Only the session API of this repository follows --ttl; with others, the session gets their usual lifetime.
    """
    with translated_errors():
        done = import_session(file, SessionApi(session_api), keep_s=keep_s, session_id=session_id)
    for name in done.kept:
        click.echo(f"The calibration session {name} exists already and is left as it is.", err=True)
    click.echo(f"Stored {done.frames} frames as session {done.session_id}")


@session.command()
@click.argument("session_id")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@session_api_option
def delete(session_id: str, yes: bool, session_api: str) -> None:
    """Remove the session SESSION_ID with its frames and its result from the session API.

    A result that the aggregator has received stays there.
    """
    if not yes:
        click.confirm(f"Remove the session {session_id}?", abort=True)
    with translated_errors():
        api = SessionApi(session_api)
        try:
            api.remove(session_id)
        except SessionNotFoundError as error:
            raise click.ClickException(describe_missing(error, api)) from error
    click.echo(f"Removed session {session_id}.")
