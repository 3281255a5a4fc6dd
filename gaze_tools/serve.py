"""The command `gaze serve`."""

import signal
import time
from pathlib import Path
from types import FrameType

import click

from gaze_tools.command_line import console
from gaze_tools.sample_clip import SAMPLE, SAMPLE_VIDEO_ID, count_frames, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_neighbours
from gaze_tools.stack.processes import ProcessError, is_port_free

LOG_DIR = Path("out/logs")


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of the function on 127.0.0.1; 0 means any free one.",
)
def serve(port: int) -> None:
    """Run the function and its upstream services until Ctrl-C.

    Prints the addresses as lines for a shell, so that `gaze saliency` and `gaze report` find the services. Saliency
    maps of the video `sample` are stored, so a session on this video gets a score.
    """
    if port and not is_port_free(port):
        raise click.ClickException(f"Port {port} is in use. Choose another with PORT=…; 0 means any free port.")
    signal.signal(signal.SIGTERM, _interrupt)
    console.print(f"Starting MongoDB stand-in, session API, aggregator and function (logs in {LOG_DIR}/) …")
    started_s = time.monotonic()
    try:
        with start_neighbours(LOG_DIR) as neighbours:
            seed_sample_maps(neighbours, count_frames(str(SAMPLE / "video.mp4")))
            with start_function(neighbours, LOG_DIR, port=port) as url:
                console.print(f"Ready after {time.monotonic() - started_s:.1f} s. Ctrl-C stops everything.\n")
                lines = [
                    f"export FUNCTION_URL={url}",
                    *(f"export {name}='{value}'" for name, value in neighbours.environment().items()),
                ]
                # Not through the console, which wraps lines.
                click.echo("\n".join(lines))
                console.print(
                    f"\nPost frames to $FUNCTION_URL/gaze with video_id {SAMPLE_VIDEO_ID!r} to get a score; the API is "
                    "described at $FUNCTION_URL/openapi.json, results are listed at $AGGREGATOR_URL/results.",
                    highlight=False,
                )
                try:
                    signal.pause()
                finally:
                    console.print("Stopping …")
    except ProcessError as error:
        raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        return


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
