"""Shared by all commands of `research`: their class, a pool of processes and a progress bar.

`gaze_tools` has its own: the packages that both may import are the function's, which needs neither click nor rich.
"""

import contextlib
import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gaze_core.errors import GazeError

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


class Command(click.Command):
    """A command that reports expected errors as a message on stderr, with exit status 1."""

    def __init__(self, **attributes: Any) -> None:  # noqa: ANN401  passed to click unchanged
        super().__init__(**{"context_settings": SETTINGS} | attributes)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as in click
        """Run the command.

        Raises:
            click.ClickException: A `GazeError`, `OSError` or `ValueError` occurred.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # click ends silently: the reader of the output has seen enough
        except (GazeError, OSError, ValueError) as error:
            raise click.ClickException(str(error)) from error


@contextlib.contextmanager
def process_pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of spawned processes; on Ctrl-C they end without a traceback, and waiting tasks are cancelled.

    OpenGL, MediaPipe and the locks of running threads do not survive a fork.

    Args:
        processes: Number of processes.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_end_on_interrupt) as pool:
        # The processes inherit the mask, so that Ctrl-C cannot interrupt their imports.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            pool.submit(int)  # starts all processes
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def make_progress(*, is_shown: bool = True) -> Progress:
    """Return a progress bar with a label, a count and the time left, on stderr; only a terminal shows it.

    Args:
        is_shown: Whether to show it at all.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not (is_shown and console.is_terminal),
    )


def _end_on_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
