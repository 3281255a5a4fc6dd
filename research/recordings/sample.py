"""Render the sample recording on which `research.recordings` is tested.

    python -m research.recordings.sample --out tests/research/recording

A person fixates five calibration targets, shifts in the chair, and fixates six test targets. The person is rendered,
because the repository contains no image of a real person, and is not in the training table, because the seed differs.
The eyes are deliberately unusual: the sample tests the measurement, not the accuracy of the model.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from gaze_core.gaze import point_of_gaze
from research.command_line import Command
from research.recordings.rendered import render_recording
from research.rendering.eye import Kappa
from research.rendering.identity import Identity, sample_identity
from research.rendering.sampling import CALIBRATION_TARGETS, RenderedSession, sample_fixation, sample_session
from research.rendering.scene import Scene

SEED = 2026
IDENTITY_ID, SESSION_ID = 80, 27
"""An ordinary session: no glasses, 52 to 60 cm from a 15.6-inch laptop with a built-in camera, a lit room, images of
640×480. The camera's field of view of 45° differs from the default, so that it matters to know it."""

KAPPA = (Kappa(nasal_deg=11.0, up_deg=-2.5), Kappa(nasal_deg=-1.0, up_deg=-2.5))
"""Angle kappa of the left and the right eye. Any uncalibrated model estimates this person's gaze about 6° too far left
and 4° too high, so that the effect of a calibration is visible."""

ELECTRONS, READ_NOISE, DENOISING = 20_000.0, 3.0, 0.9
"""Daylight: images with little noise make small files."""

FIT_TARGETS, FIT_FRAMES = (4, 0, 2, 6, 8), 6
"""Indices of the calibration targets, the centre and the corners, and the frames per target."""

TEST_TARGETS, TEST_FRAMES = 6, 5
JPEG_QUALITY = 74


def scenes() -> list[tuple[str, Scene]]:
    """Return phase and scene of each frame in order."""
    identity, session = _person(), _session()
    targets = [("calibration", target, FIT_FRAMES) for target in FIT_TARGETS]
    targets += [("test", len(CALIBRATION_TARGETS) + number, TEST_FRAMES) for number in range(TEST_TARGETS)]
    return [
        (phase, sample_fixation(session, identity, target, frame))
        for phase, target, frames in targets
        for frame in range(frames)
    ]


def describe(planned: Sequence[tuple[str, Scene]]) -> dict[str, Any]:
    """Return the content of `recording.json`."""
    session = _session()
    screen, camera = session.screen, session.camera
    return {
        "screen": {
            "width_mm": screen.width_mm,
            "height_mm": screen.height_mm,
            "width_px": screen.width_px,
            "height_px": screen.height_px,
        },
        "camera": {
            "vertical_fov_deg": round(camera.vertical_fov_deg, 2),
            "offset_x_mm": round(camera.offset_x_mm, 1),
            "offset_y_mm": round(camera.offset_y_mm, 1),
            "tilt_deg": round(camera.tilt_deg, 1),
        },
        "distance_mm": round(float(np.median([scene.distance_mm for _, scene in planned])), 1),
    }


def write_recording(folder: Path) -> None:
    """Render the recording into a folder.

    Raises:
        OSError: A file cannot be written.
    """
    planned = scenes()
    frames = [(phase, _find_target(scene), scene) for phase, scene in planned]
    render_recording(folder, describe(planned), frames, _person(), jpeg_quality=JPEG_QUALITY)


def _find_target(scene: Scene) -> tuple[float, float]:
    target = point_of_gaze(scene.direction, scene.origin_mm, scene.screen, scene.camera)
    if target is None:
        raise RuntimeError("every target must lie on the screen")
    return round(target.x, 4), round(target.y, 4)


def _person() -> Identity:
    return replace(sample_identity(IDENTITY_ID, SEED), kappa=KAPPA)


def _session() -> RenderedSession:
    session = sample_session(_person(), SESSION_ID, SEED)
    optics = replace(session.optics, electrons=ELECTRONS, read_noise=READ_NOISE, denoising=DENOISING)
    return replace(session, optics=optics)


@click.command(cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("tests/research/recording"),
    show_default=True,
    help="Folder for the recording.",
)
def main(out: Path) -> None:
    """Render the sample recording on which `research.recordings` is tested."""
    write_recording(out)
    size_mb = sum(path.stat().st_size for path in (out / "frames").iterdir()) / 1e6
    click.echo(f"{out}: {size_mb:.2f} MB of images")


if __name__ == "__main__":
    main()
