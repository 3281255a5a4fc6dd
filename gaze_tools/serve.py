"""The command `gaze serve`."""

import contextlib
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import click
from pymongo import MongoClient

from func.adapters.saliency_store import read_facts
from gaze_tools.command_line import console, describe_error
from gaze_tools.sample_clip import SAMPLE, SAMPLE_VIDEO_ID, count_frames, seed_sample_maps
from gaze_tools.stack.launcher import UpstreamPorts, UpstreamServices, start_function, start_upstream_services
from gaze_tools.stack.mongo import make_mongo_uri
from gaze_tools.stack.processes import ProcessError, is_port_free
from gaze_tools.studio.launcher import start_studio

LOG_DIR = Path("out/logs")

OFFSETS: Mapping[str, int] = {"function": 0, "session API": 1, "aggregator": 2, "MongoDB stand-in": 3, "studio": 4}
"""Port of each service, above that of the function."""


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535 - max(OFFSETS.values())),
    default=8080,
    show_default=True,
    help="Port of the function on 127.0.0.1. Session API, aggregator, database and studio use the four ports after it; "
    "0 means any free ones.",
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that keeps sessions, results, films and saliency maps; they survive a restart.  [default: none; "
    "all data are deleted at the end]",
)
@click.option(
    "--session-ttl-s",
    type=click.FloatRange(min=1),
    help="Lifetime of a session after its last use, in seconds.  [default: 300]",
)
@click.option(
    "--print-exports",
    is_flag=True,
    help='Only print the addresses as shell commands: eval "$(gaze serve --print-exports)".',
)
def serve(port: int, data: Path | None, session_ttl_s: float | None, print_exports: bool) -> None:
    """Run the function, its upstream services and the studio until Ctrl-C.

    The studio is a page for the browser: watch a film in front of a webcam and get a score.

    Prints the addresses as lines for a shell, so that `gaze saliency`, `gaze session` and `gaze report` find the
    services. The addresses are the same each time. Saliency maps of the video `sample` are stored, so a session on this
    video gets a score.
    """
    if print_exports:
        if not port:
            raise click.UsageError("--print-exports needs fixed ports, so --port cannot be 0.")
        click.echo(format_exports(f"http://127.0.0.1:{port}", _make_services(port)))
        return
    ports = {name: port + offset if port else 0 for name, offset in OFFSETS.items()}
    _require_free(ports)
    signal.signal(signal.SIGTERM, _interrupt)
    console.print(f"Starting MongoDB stand-in, session API, aggregator, function and studio (logs in {LOG_DIR}/) …")
    started_s = time.monotonic()
    try:
        with (
            _open_studio_dir(data) as studio_dir,
            start_upstream_services(
                LOG_DIR,
                data_dir=None if data is None else _make_database_dir(data),
                ports=UpstreamPorts(ports["session API"], ports["aggregator"], ports["MongoDB stand-in"]),
                session_ttl_s=session_ttl_s,
            ) as upstream,
        ):
            _seed_sample(upstream)
            with (
                start_function(upstream, LOG_DIR, port=port) as url,
                start_studio(upstream, url, LOG_DIR, studio_dir, port=ports["studio"]) as studio_url,
            ):
                console.print(f"Ready after {time.monotonic() - started_s:.1f} s. Ctrl-C stops everything.\n")
                # Not through the console, which wraps lines.
                click.echo(f"Open {studio_url}/ to watch a film in front of your webcam and get a score.\n")
                click.echo("For programs, and commands such as `gaze session list`, in another terminal:\n")
                click.echo(format_activation(Path(sys.prefix)) + format_exports(url, upstream))
                kept = "" if data is None else f" Data is kept in {data}."
                console.print(
                    f"\nPost frames to $FUNCTION_URL/gaze with video_id {SAMPLE_VIDEO_ID!r} to get a score. The API is "
                    f"described at $FUNCTION_URL/openapi.json, results are listed at $AGGREGATOR_URL/results.{kept}",
                    highlight=False,
                    markup=False,
                )
                try:
                    signal.pause()
                except KeyboardInterrupt:
                    console.print("Stopping …")
    except (ProcessError, OSError) as error:
        raise click.ClickException(describe_error(error)) from error


def format_exports(function_url: str, upstream: UpstreamServices) -> str:
    """Return the addresses as lines that a POSIX shell takes."""
    variables = {"FUNCTION_URL": function_url, **upstream.environment()}
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def format_activation(prefix: Path) -> str:
    """Return the line that puts `gaze` on the path of a shell; nothing if Python's prefix is no virtual environment."""
    script = prefix / "bin" / "activate"
    return f". {shlex.quote(str(script))}\n" if script.is_file() else ""


def _make_services(port: int) -> UpstreamServices:
    session_api, aggregator = (f"http://127.0.0.1:{port + OFFSETS[name]}" for name in ("session API", "aggregator"))
    return UpstreamServices(make_mongo_uri(port + OFFSETS["MongoDB stand-in"]), session_api, aggregator)


def _require_free(ports: Mapping[str, int]) -> None:
    taken = [f"{port} ({name})" for name, port in ports.items() if port and not is_port_free(port)]
    if taken:
        other = ports["function"] + (1000 if ports["function"] < 60_000 else -1000)
        raise click.ClickException(
            f"Already in use: port {', '.join(taken)}. Is `gaze serve` running already, or still stopping? Otherwise "
            f"choose another start of the five ports, such as --port {other} (make serve PORT={other}); 0 means any "
            "free ones."
        )


@contextlib.contextmanager
def _open_studio_dir(data: Path | None) -> Iterator[Path]:
    """Yield the directory of the studio's films and sessions; without `data` it is removed in the end."""
    if data is not None:
        yield data.absolute() / "studio"
        return
    with tempfile.TemporaryDirectory(prefix="studio-", ignore_cleanup_errors=True) as scratch:
        yield Path(scratch)


def _make_database_dir(data: Path) -> Path:
    """Return the directory of the database, created if missing.

    Raises:
        click.ClickException: It cannot be created.
    """
    database = data.absolute() / "database"
    try:
        database.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"--data {data}: {error.strerror}") from error
    return database


def _seed_sample(upstream: UpstreamServices) -> None:
    """Store the maps of the sample video unless they are there."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(upstream.mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        has_maps = bool(read_facts(client["saliency_db"], SAMPLE_VIDEO_ID).map_count)
    if not has_maps:
        seed_sample_maps(upstream, count_frames(str(SAMPLE / "video.mp4")))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
