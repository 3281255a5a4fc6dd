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


def test_it_makes_an_empty_folder_for_each_of_our_packages():
    made = re.search(r"mkdir -p ((?:[\w/]+[ \\\n]+)+)", DOCKERFILE)[1].replace("\\", " ").split()
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    packages = {folders.get(name, name.replace(".", "/")) for name in PROJECT["tool"]["setuptools"]["packages"]}

    assert {name for name in packages if not any(made_one.startswith(f"{name}/") for made_one in made)} <= set(made)
    assert {name.partition("/")[0] for name in packages} == {name.partition("/")[0] for name in made}


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
