"""Shared by all commands of `gaze`: command groups, options, console, progress bar and error messages.

Importing this module must stay cheap. Commands import what they need when they run, so that `gaze --help` is fast and
Ctrl-C never prints a traceback.
"""

import contextlib
import importlib
import os
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from rich.progress import Progress

TIMEOUT_S = 60.0

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of the signal."""

console = Console()


def find_version() -> str:
    """Return the version of the package; in a checkout that of its files, not that at the time of the installation."""
    from importlib.metadata import version  # noqa: PLC0415

    project = Path(__file__).parents[1] / "pyproject.toml"
    if project.is_file():
        return str(tomllib.loads(project.read_text(encoding="utf-8"))["project"]["version"])
    return version("function")


def describe_error(error: Exception) -> str:
    """Return the message of an expected error; for one of the system, the file and the reason without its number."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def check_session_api(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    """Return the address of a session API. A wrong one is not repeated, because it may contain a password."""
    from func.setting_urls import parse_base_url  # noqa: PLC0415

    try:
        return None if value is None else parse_base_url(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


class MissingAddressError(click.ClickException):
    """The address of MongoDB is missing, which is a wrong use of the command."""

    exit_code = 2


def _require_address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str:
    if not value:
        raise MissingAddressError("Set MONGO_URI to the address of the MongoDB with the maps, or add --mongo-uri.")
    return value


mongo_uri_option = click.option(
    "--mongo-uri",
    envvar="MONGO_URI",
    callback=_require_address,
    show_envvar=True,
    help="Address of the MongoDB with the maps.",
)
database_option = click.option(
    "--database", envvar="MONGO_DATABASE", default="saliency_db", show_default=True, help="Database with the maps."
)


class Group(click.Group):
    """A group whose help lists the first sentence of each command, wrapped instead of cut off."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands and their first sentences."""
        rows = [(name, self.short_help_of(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def short_help_of(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of a command's help."""
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(limit=1000)


class LazyGroup(Group):
    """A group whose commands are imported when they run."""

    def __init__(self, *, lazy_commands: Mapping[str, tuple[str, str]], **attributes: object) -> None:
        """Prepare the group.

        Args:
            lazy_commands: For each command `module:object` and the first sentence of its help.
            **attributes: Arguments of `click.Group`.
        """
        super().__init__(**attributes)  # type: ignore[arg-type]
        self.lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return sorted({*super().list_commands(ctx), *self.lazy_commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None if there is none of this name."""
        if cmd_name not in self.lazy_commands:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.lazy_commands[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{name} is not a command")
        return command

    def short_help_of(self, ctx: click.Context, name: str) -> str:
        """Return the first sentence of a command's help, without importing the command."""
        return self.lazy_commands[name][1] if name in self.lazy_commands else super().short_help_of(ctx, name)


class MainGroup(LazyGroup):
    """The group at the top: Ctrl-C in any of its commands is one line and the exit status that shells expect."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as in click
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(INTERRUPTED)


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn expected errors into one line for the user; MongoDB's own messages may name hosts and are left out.

    Raises:
        click.ClickException: A `GazeError`, `OSError`, `ValueError` or pymongo error occurred.
    """
    from pymongo.errors import PyMongoError  # noqa: PLC0415

    from gaze_core.errors import GazeError  # noqa: PLC0415

    try:
        yield
    except PyMongoError as error:
        raise click.ClickException(f"MongoDB failed: {type(error).__name__}") from error
    except (GazeError, OSError, ValueError) as error:
        raise click.ClickException(describe_error(error)) from error


def make_progress(label: str, *fields: str, console: Console = console) -> "Progress":
    """Return a progress bar with a label, a count, the time left and the task fields to show.

    Args:
        label: Text before the bar.
        *fields: Names of task fields, shown in this order.
        console: Where to draw.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    return Progress(
        TextColumn(label),
        BarColumn(),
        MofNCompleteColumn(),
        *(TextColumn(f"{{task.fields[{name}]}}") for name in fields),
        TimeRemainingColumn(),
        console=console,
    )


@contextlib.contextmanager
def without_native_output() -> Iterator[None]:
    """Drop what C libraries write to stderr: MediaPipe's notes about itself would break a progress bar."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
