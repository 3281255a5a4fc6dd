"""A calibration from a folder of docs/recordings.md: images of the viewer, each with the target that was fixated."""

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gaze_tools.client import CalibrationSession
from gaze_tools.run.setup import Setup

COLUMNS = ("frame", "x", "y", "phase")
PHASES = ("calibration", "test")
MIN_TARGETS = 5


@dataclass(frozen=True, slots=True)
class CalibrationImage:
    """One image.

    Attributes:
        path: JPEG, PNG or WebP.
        target: Fixated target, normalised to the screen.
    """

    path: Path
    target: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CalibrationFolder:
    """Images of a viewer who fixates known targets.

    Attributes:
        images: Images of the phase `calibration`, in the order of `targets.csv`.
        setup: Screen and camera that `recording.json` describes.
        has_unused_distance: Whether `recording.json` has a distance, but no field of view.
    """

    images: tuple[CalibrationImage, ...]
    setup: Setup
    has_unused_distance: bool

    @property
    def targets(self) -> int:
        """Number of calibration targets."""
        return len({(round(x, 3), round(y, 3)) for x, y in (each.target for each in self.images)})


def read_calibration(folder: Path) -> CalibrationFolder:
    """Return the images of a folder, without reading them.

    Raises:
        OSError: A file is missing.
        ValueError: A file is malformed, or there are too few calibration targets.
    """
    targets = folder / "targets.csv"
    with targets.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"{targets}, line 1: the column {missing[0]} is missing; docs/recordings.md describes it")
        rows = [_read_row(row, folder, f"{targets}, line {reader.line_num}") for row in reader]
        images = tuple(image for image in rows if image is not None)
    described = _read_description(folder / "recording.json")
    setup = Setup(described.get("screen") or {}, described.get("camera") or {})
    try:
        setup.check()
    except (ValueError, TypeError) as error:
        raise ValueError(f"{folder / 'recording.json'}: {error}") from error
    found = CalibrationFolder(images, setup, "distance_mm" in described and "vertical_fov_deg" not in setup.camera)
    if found.targets < MIN_TARGETS:
        raise ValueError(f"{targets} has {found.targets} calibration targets; a calibration needs {MIN_TARGETS}")
    return found


def _read_row(row: dict[str, str | None], folder: Path, where: str) -> CalibrationImage | None:
    """Return the image of a row; None for one that only tests."""
    name, phase = (row["frame"] or "").strip(), (row["phase"] or "").strip()
    path = folder / "frames" / name
    if not name or Path(name).name != name or not path.is_file():
        raise ValueError(f"{where}: {name!r} is not a file in {folder / 'frames'}")
    if phase not in PHASES:
        raise ValueError(f"{where}: phase must be {' or '.join(PHASES)}, not {phase!r}")
    try:
        x, y = float(row["x"] or ""), float(row["y"] or "")
    except ValueError:
        x = y = -1.0
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise ValueError(f"{where}: x and y must be numbers from 0 to 1, shares of the screen")
    return CalibrationImage(path, (x, y)) if phase == "calibration" else None


def _read_description(path: Path) -> dict[str, dict[str, object]]:
    try:
        described = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON") from error
    if not isinstance(described, dict) or not all(
        isinstance(described.get(name, {}), dict) for name in ("screen", "camera")
    ):
        raise ValueError(f"{path} must be an object, and so must its screen and camera")
    return described


def post_calibration(
    calibration: CalibrationSession, folder: CalibrationFolder, on_image: Callable[[], object] = lambda: None
) -> int:
    """Post the images as a calibration; return how many have a usable gaze.

    Args:
        calibration: Session with the screen and camera of the images.
        folder: Images.
        on_image: Called after each image.

    Raises:
        GazeClientError: The function refused an image, or was unavailable.
        OSError: An image cannot be read.
        ValueError: No image has a usable gaze.
    """
    valid = 0
    for each in folder.images:
        valid += calibration.measure(each.target, [each.path.read_bytes()]).usable
        on_image()
    if not valid:
        raise ValueError("no image of the calibration shows a usable gaze")
    return valid
