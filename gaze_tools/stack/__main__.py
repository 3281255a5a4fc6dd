"""Runs the local stack until Ctrl-C.

python -m gaze_tools.stack
"""

import signal
import sys
from pathlib import Path
from types import FrameType

from rich.console import Console

from gaze_tools.stack.launcher import start_function, start_neighbours
from gaze_tools.stack.processes import ProcessError


def main() -> None:
    """Run everything until Ctrl-C and say where it listens."""
    console = Console()
    signal.signal(signal.SIGTERM, _interrupt)
    log_dir = Path("out/logs")
    try:
        console.print(f"Starting the local stack (logs in {log_dir}/) …")
        with start_neighbours(log_dir) as neighbours, start_function(neighbours, log_dir) as url:
            console.print(f"function     {url}/gaze   (also /health/readiness, /metrics, /openapi.json)")
            console.print(f"session API  {neighbours.session_api_url}")
            console.print(f"aggregator   {neighbours.aggregator_url}/results")
            console.print(f"MongoDB      {neighbours.mongo_uri}")
            console.print("Ctrl-C stops everything.")
            try:
                signal.pause()
            finally:
                console.print("Stopping …")
    except KeyboardInterrupt:
        return
    except ProcessError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        sys.exit(1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
