"""What all commands of `gaze` share: options, the console, error messages."""

import contextlib
from collections.abc import Iterator

import click
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gaze_core.errors import GazeError

TIMEOUT_S = 60.0

console = Console()

mongo_uri_option = click.option(
    "--mongo-uri", envvar="MONGO_URI", required=True, show_envvar=True, help="Address of the MongoDB with the maps."
)
database_option = click.option(
    "--database", envvar="MONGO_DATABASE", default="saliency_db", show_default=True, help="Its database."
)


@contextlib.contextmanager
def said_plainly() -> Iterator[None]:
    """Turn what can go wrong into a line for the user; MongoDB's own messages may name hosts and are left out."""
    try:
        yield
    except PyMongoError as error:
        raise click.ClickException(f"MongoDB failed: {type(error).__name__}") from error
    except (GazeError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def make_progress(what: str) -> Progress:
    """Return a progress bar with a field `rate`."""
    return Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
    )
