"""What all commands of `research` share."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from gaze_core.errors import ModelError
from research.command_line import Command

ROOT = Path(__file__).parents[2]

MODULES = [
    "research.attention_simulation.__main__",
    "research.clip",
    "research.dataset.__main__",
    "research.evaluation.__main__",
    "research.evaluation.calibration_trials",
    "research.realism.__main__",
    "research.realism.causes",
    "research.recordings.sample",
    "research.training.calibration_prior",
    "research.training.eye_region",
    "research.training.train",
    "research.training.viewer_prior",
]

INTERRUPTED = '''
import os, signal, time
from pathlib import Path
import click
from research.command_line import Command, process_pool

def wait(path):
    Path(path).touch()
    time.sleep(300)

@click.command(cls=Command)
@click.argument("path")
def main(path):
    """Wait in a second process."""
    with process_pool(1) as pool:
        pool.submit(wait, path).result()

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # shells ignore it in background jobs
    main()
'''


def fail_with(error):
    @click.command(cls=Command)
    def main():
        """Fail."""
        raise error

    return CliRunner().invoke(main, [])


@pytest.mark.parametrize("module", MODULES)
def test_the_help_of_a_command_explains_every_option(module):
    main = importlib.import_module(module).main

    result = CliRunner().invoke(main, ["--help"])

    assert result.exit_code == 0
    assert "..." not in result.output.replace("[CLIP]...", "")
    assert [option.name for option in main.params if isinstance(option, click.Option) and not option.help] == []


@pytest.mark.parametrize("error", [ModelError("no model"), FileNotFoundError("no model"), ValueError("no model")])
def test_an_expected_error_is_one_line_on_stderr(error):
    result = fail_with(error)

    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "Error: no model\n")


def test_a_bug_keeps_its_traceback():
    assert isinstance(fail_with(KeyError("bug")).exception, KeyError)


def test_ctrl_c_ends_all_processes_without_a_traceback(tmp_path):
    script, running = tmp_path / "interrupted.py", tmp_path / "running"
    script.write_text(INTERRUPTED)
    process = subprocess.Popen(
        [sys.executable, str(script), str(running)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while not running.exists():
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=200)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    assert (process.returncode, errors.strip()) == (1, "Aborted!")
