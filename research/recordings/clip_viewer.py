"""Render the person of the sample clip fixating calibration targets.

    python -m research.recordings.clip_viewer --out gaze_tools/sample/recording

Person, screen, camera, light and place are those of `research.clip`, so that the calibration belongs to the clip: nine
targets to calibrate with, and two to test it. The folder is a recording as docs/recordings.md describes it.

Render both again together: hair, skin and clothes change with the renderer.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from gaze_core.gaze import screen_point_mm
from gaze_core.types import GazePoint
from research.clip import CAMERA, IDENTITY_ID, PLACE_MM, SCREEN, SEED, scenes
from research.command_line import Command
from research.recordings.rendered import render_recording
from research.rendering.identity import sample_identity
from research.rendering.scene import Scene

CALIBRATION = (
    *((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)),
    *((0.5, 0.1), (0.5, 0.9), (0.1, 0.5), (0.9, 0.5)),
)
"""The targets of the studio, in its order: five, then four more."""

TEST = ((0.3, 0.35), (0.7, 0.65))
FRAMES = 4
JPEG_QUALITY = 80


def plan_scenes() -> Iterator[tuple[str, tuple[float, float], Scene]]:
    """Yield phase, target and scene of each frame."""
    template = scenes()[0]
    for index, target in enumerate(CALIBRATION + TEST):
        phase = "calibration" if index < len(CALIBRATION) else "test"
        for frame in range(FRAMES):
            rng = np.random.default_rng([SEED, 7, index, frame])
            place = np.array(PLACE_MM) + rng.normal(0, 1.5, 3)
            point = screen_point_mm(GazePoint(*target), SCREEN, CAMERA)
            x, y, z = point - place
            scene = replace(
                template,
                target_mm=(float(point[0]), float(point[1]), float(point[2])),
                origin_mm=(float(place[0]), float(place[1]), float(place[2])),
                pitch_deg=0.3 * math.degrees(math.atan2(-y, -z)) - 2.0 + float(rng.normal(0, 0.3)),
                yaw_deg=0.35 * math.degrees(math.atan2(-x, -z)) + 1.5 + float(rng.normal(0, 0.3)),
                openness=float(np.clip(1 + rng.normal(0, 0.02), 0.9, 1.1)),
                optics=replace(template.optics, seed=1000 + 10 * index + frame),
            )
            yield phase, target, scene


def write_recording(folder: Path) -> None:
    """Render the recording into a folder.

    Raises:
        OSError: A file cannot be written.
    """
    description = {
        "screen": {
            "width_mm": SCREEN.width_mm,
            "height_mm": SCREEN.height_mm,
            "width_px": SCREEN.width_px,
            "height_px": SCREEN.height_px,
        },
        "camera": {
            "vertical_fov_deg": CAMERA.vertical_fov_deg,
            "offset_x_mm": CAMERA.offset_x_mm,
            "offset_y_mm": CAMERA.offset_y_mm,
            "tilt_deg": CAMERA.tilt_deg,
        },
    }
    identity = sample_identity(IDENTITY_ID, SEED)
    render_recording(folder, description, plan_scenes(), identity, jpeg_quality=JPEG_QUALITY)


@click.command(cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("gaze_tools/sample/recording"),
    show_default=True,
    help="Folder for the recording.",
)
def main(out: Path) -> None:
    """Render the person of the sample clip fixating calibration targets."""
    write_recording(out)
    size_mb = sum(path.stat().st_size for path in (out / "frames").iterdir()) / 1e6
    click.echo(f"{out}: {size_mb:.2f} MB of images")


if __name__ == "__main__":
    main()
