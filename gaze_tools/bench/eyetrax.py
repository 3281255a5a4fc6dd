"""EyeTrax as a baseline, installed in an environment of its own.

EyeTrax (MIT, https://github.com/ck-zhang/EyeTrax) is a webcam eye tracker on the same landmark networks. Its features
are a selection of MediaPipe's landmarks in VIDEO mode, which skips the detector while a face is tracked, for one face
and without blendshapes: less work than this project's, so it is a reference, not a competitor in the same task.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import func
from gaze_tools.bench.sampling import Step, StepCost

REQUIREMENT = "eyetrax==0.4.0"
ENVIRONMENT = Path(func.__file__).parents[1] / ".cache" / "eyetrax"
HEADLESS_OPENCV = "opencv-python-headless==4.11.0.86"
"""The release that EyeTrax chooses, without windows."""

INSTALL_TIMEOUT_S = 600.0

_DONE = "installed"

_WORKER = Path(__file__).with_name("eyetrax_worker.py")


class EyetraxUnavailableError(Exception):
    """EyeTrax cannot be installed or does not run; the message is a sentence."""


def is_installed(folder: Path = ENVIRONMENT) -> bool:
    """Return whether an environment has EyeTrax in the version that is measured."""
    done = folder / _DONE
    return done.exists() and done.read_text() == REQUIREMENT


def install_eyetrax(folder: Path = ENVIRONMENT) -> Path:
    """Return the Python of an environment with EyeTrax, creating it if necessary: 0.7 GB.

    Raises:
        EyetraxUnavailableError: It cannot be installed.
    """
    python = folder / "bin" / "python"
    if is_installed(folder):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([*pip, "install", "--retries", "2", "--timeout", "20", REQUIREMENT])
    # EyeTrax requires two more builds of OpenCV for its windows, which need libraries of a desktop.
    _run([*pip, "uninstall", "--yes", "opencv-python", "opencv-contrib-python"])
    _run([*pip, "install", "--retries", "2", "--timeout", "20", "--no-deps", HEADLESS_OPENCV])
    (folder / _DONE).write_text(REQUIREMENT)
    return python


def _run(command: Sequence[str]) -> None:
    """Run a command of the installation.

    Raises:
        EyetraxUnavailableError: It failed; the message says why in one line.
    """
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise EyetraxUnavailableError(
            f"EyeTrax cannot be installed: it took more than {INSTALL_TIMEOUT_S:.0f} s."
        ) from error
    except subprocess.CalledProcessError as error:
        raise EyetraxUnavailableError(f"EyeTrax cannot be installed: {explain_failure(error.stderr)}") from error
    except OSError as error:
        raise EyetraxUnavailableError(f"EyeTrax cannot be installed: {error}.") from error


def explain_failure(output: str) -> str:
    """Return in one line why pip failed.

    Args:
        output: Its error messages.
    """
    # Its last line then says that there is no such version.
    if "connection broken by" in output:
        return "the package index cannot be reached."
    return (output.strip().splitlines() or ["pip failed."])[-1]


@contextlib.contextmanager
def run_eyetrax(python: Path, bundle: Path, jpegs: Sequence[bytes]) -> Iterator[Step]:
    """Yield a step that lets EyeTrax extract its features from one of the frames.

    Args:
        python: Python of an environment with EyeTrax.
        bundle: Face landmarker bundle.
        jpegs: Frames; turn n uses frame n modulo their number. They are decoded beforehand.

    Raises:
        EyetraxUnavailableError: It does not run, or finds no face.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}.jpg") for number in range(len(jpegs))]
        for path, jpeg in zip(paths, jpegs, strict=True):
            path.write_bytes(jpeg)
        # -P: modules beside the worker must not hide those of the standard library.
        command = [str(python), "-P", str(_WORKER), str(bundle), *map(str, paths)]
        with (
            tempfile.TemporaryFile("w+") as log,
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
        ):
            assert process.stdin is not None  # noqa: S101
            assert process.stdout is not None  # noqa: S101
            try:
                if _read(process.stdout, log)["faces"] < len(jpegs):
                    raise EyetraxUnavailableError("EyeTrax finds no face in some frames.")
                yield _make_step(process.stdin, process.stdout, len(jpegs), log)
            finally:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
                process.terminate()


def _make_step(stdin: IO[str], stdout: IO[str], count: int, log: IO[str]) -> Step:
    def step(turn: int) -> StepCost:
        stdin.write(f"{turn % count}\n")
        stdin.flush()
        answer = _read(stdout, log)
        return StepCost(answer["wall_s"], answer["cpu_s"])

    return step


def _read(stdout: IO[str], log: IO[str]) -> dict[str, Any]:
    line = stdout.readline()
    if not line:
        log.seek(0)
        lines = log.read().strip().splitlines() or ["no output"]
        raise EyetraxUnavailableError(f"EyeTrax does not run: {lines[-1]}")
    answer: dict[str, Any] = json.loads(line)
    return answer
