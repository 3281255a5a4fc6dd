"""The messages of `.ci/install`."""

import subprocess
from pathlib import Path

import pytest

INSTALL = Path(__file__).parents[2] / ".ci" / "install"


def make_python(directory: Path, pip_status: str) -> Path:
    """Write a `python` whose call of pip exits with the status that a shell computes from its arguments."""
    python = directory / "python"
    python.write_text(f"#!/bin/sh\nexit {pip_status}\n", encoding="utf-8")
    python.chmod(0o755)
    return python


def install(python: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [INSTALL, "python", python, "serve,tools"], capture_output=True, text=True, timeout=30, check=False
    )


# mediapipe is the last argument of the second call only.
@pytest.mark.parametrize(
    "pip_status", ["1", "$(case $* in (*mediapipe) echo 1 ;; (*) echo 0 ;; esac)"], ids=["packages", "mediapipe"]
)
def test_a_failed_installation_names_the_network_and_the_disk(tmp_path, pip_status):
    done = install(make_python(tmp_path, pip_status))

    assert done.returncode == 1
    assert "Can this machine reach PyPI" in done.stderr
    assert "space on the disk" in done.stderr


def test_a_successful_installation_says_nothing_of_the_network(tmp_path):
    done = install(make_python(tmp_path, "0"))

    assert done.returncode == 0
    assert done.stderr == ""
