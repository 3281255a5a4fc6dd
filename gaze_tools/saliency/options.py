"""Options and helpers shared by the commands of `gaze saliency`."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import click
from pymongo.database import Database

from gaze_tools.command_line import INTERRUPTED, console, translated_errors
from gaze_tools.saliency.connection import connect
from gaze_tools.saliency.writer import GRACE_S, ReplacedError, prune


class Size(click.ParamType[tuple[int, int]]):
    """`WxH` in pixels, read as (height, width)."""

    name = "WxH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:  # noqa: ANN401
        """Return height and width."""
        if isinstance(value, tuple):
            return value[0], value[1]
        width, _, height = str(value).lower().replace("×", "x").partition("x")
        if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
            self.fail(f"{value!r} is not a size such as 480x270", param, ctx)
        return int(height), int(width)


grace_option = click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(min=0),
    default=GRACE_S,
    show_default=True,
    help="Time in seconds for which replaced maps are kept for running readers. The command waits for it, then removes "
    "them; after Ctrl-C the next command removes them.",
)

video_id_option = click.option("--video-id", required=True, help="Id of the video that the maps belong to.")


@contextlib.contextmanager
def open_database(mongo_uri: str, database: str) -> Iterator[Database[dict[str, Any]]]:
    """Yield the database with the maps; errors become one line for the user."""
    with translated_errors(), connect(mongo_uri) as client:
        try:
            yield client[database]
        except ReplacedError as error:
            raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def explained_interrupt(consequence: str) -> Iterator[None]:
    """Turn Ctrl-C into one line that says what is left of the work."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"Interrupted. {consequence}", err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def await_grace(maps: Database[dict[str, Any]], video_id: str, grace_s: float) -> None:
    """Wait until replaced maps can be removed, and remove them; Ctrl-C leaves that to the next command."""
    left_s = prune(maps, video_id, grace_s=grace_s)
    try:
        while left_s is not None:
            console.print(f"Removing the replaced maps in {left_s:.0f} s; Ctrl-C leaves that to the next command.")
            time.sleep(left_s)
            left_s = prune(maps, video_id, grace_s=grace_s)
    except KeyboardInterrupt:
        console.print("The next command will remove the replaced maps.")
