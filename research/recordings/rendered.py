"""Render the images of a recording into its folder."""

import csv
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import cv2

from research.rendering.identity import Identity
from research.rendering.photograph import photograph
from research.rendering.renderer import Renderer
from research.rendering.scene import Scene


def render_recording(
    folder: Path,
    description: Mapping[str, Any],
    planned: Iterable[tuple[str, tuple[float, float], Scene]],
    identity: Identity,
    *,
    jpeg_quality: int,
) -> None:
    """Write a recording as docs/recordings.md describes it: `recording.json`, `targets.csv` and the images.

    Args:
        folder: Folder of the recording, which is created if it is missing.
        description: Content of `recording.json`.
        planned: Phase, target (normalised to the screen) and scene of each frame in order.
        identity: The rendered person.
        jpeg_quality: Quality of the images, 0 to 100.

    Raises:
        OSError: A file cannot be written.
    """
    (folder / "frames").mkdir(parents=True, exist_ok=True)
    (folder / "recording.json").write_text(json.dumps(description, indent=2) + "\n")
    options = [cv2.IMWRITE_JPEG_QUALITY, jpeg_quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    with (folder / "targets.csv").open("w", newline="") as file, Renderer() as renderer:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("frame", "x", "y", "phase"))
        for number, (phase, target, scene) in enumerate(planned, start=1):
            name = f"{number:04d}.jpg"
            image = photograph(renderer, scene, identity)[..., ::-1]
            _, data = cv2.imencode(".jpg", image, options)
            (folder / "frames" / name).write_bytes(data.tobytes())
            rows.writerow((name, *target, phase))
