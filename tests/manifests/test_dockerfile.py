"""What can be said of the Dockerfile without building it; tests/image builds it."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from func.adapters.face_landmarker_mediapipe import DEBIAN_PACKAGES
from tests.manifests.conftest import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_hadolint_finds_nothing():
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "")


def test_it_installs_only_what_the_lock_lists():
    installs = re.findall(r"pip install .*?(?:\\\n|$)|\.ci/install \w+", DOCKERFILE)

    assert [line for line in installs if line.startswith("pip")] == [
        "pip install --quiet --no-build-isolation --no-deps --target /opt/function . \\\n"
    ]
    assert {line for line in installs if not line.startswith("pip")} == {".ci/install locked"}


def test_its_context_holds_what_it_copies():
    copied = {
        source for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE) for source in line.split()
    }
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert copied == let_in
    assert all((ROOT / path).exists() for path in copied)


def test_it_installs_the_libraries_that_mediapipe_is_linked_against():
    assert f"--no-install-recommends {' '.join(DEBIAN_PACKAGES)} " in DOCKERFILE


def test_its_base_has_a_python_that_the_project_takes():
    version = re.search(r"^ARG BASE_IMAGE=\S+/python:(\d\.\d+)-slim-bookworm$", DOCKERFILE, re.MULTILINE)[1]

    assert PROJECT["project"]["requires-python"] == ">=3.11,<3.13"
    assert version in {"3.11", "3.12"}


@pytest.mark.parametrize("word", ["HEALTHCHECK", "http://", "https://", "latest", "ADD "])
def test_it_does_without(word):
    assert word not in DOCKERFILE
