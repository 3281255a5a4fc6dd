"""Measure the causes of landmark jitter on rendered people, by varying one thing at a time.

    python -m research.realism.causes [--people 20] [--page docs/realism.md]

People of the calibration table fixate the central target again. Their frames are rendered with everything that varies
in the table, and with a single cause, such as the camera's noise or the head's position. Where head or lids move, the
camera has no noise and almost no compression, so that the variances of the causes add up.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from gaze_core.ports import FaceLandmarker
from research.command_line import Command
from research.dataset.plan import CALIBRATION_SESSION, FRAMES_PER_TARGET, TARGET_COUNT
from research.markdown import make_table, replace_block
from research.realism.jitter import TRACKED
from research.realism.measures import Floats, find_open, jitter, measure_ratios, second_differences, track
from research.realism.report import make_landmarker
from research.rendering.identity import sample_identity
from research.rendering.sampling import sample_fixation, sample_session
from research.rendering.scene import Optics, Scene

if TYPE_CHECKING:
    from research.rendering.renderer import Renderer

SEED, FIRST = 2, 320
"""Seed and first person of the calibration table."""

CENTRAL_TARGET = TARGET_COUNT // 2


def _as_is(still: Scene, moving: Scene) -> Scene:
    return moving


def _noise(still: Scene, moving: Scene) -> Scene:
    return replace(still, optics=replace(still.optics, seed=moving.optics.seed))


def _camera(still: Scene, moving: Scene) -> Scene:
    return replace(still, optics=moving.optics)


def _position(still: Scene, moving: Scene) -> Scene:
    return replace(still, origin_mm=moving.origin_mm, optics=clean(still.optics))


def _turn(still: Scene, moving: Scene) -> Scene:
    return replace(
        still,
        pitch_deg=moving.pitch_deg,
        yaw_deg=moving.yaw_deg,
        roll_deg=moving.roll_deg,
        optics=clean(still.optics),
    )


def _lids(still: Scene, moving: Scene) -> Scene:
    return replace(still, openness=moving.openness, optics=clean(still.optics))


CAUSES: dict[str, Callable[[Scene, Scene], Scene]] = {
    "everything": _as_is,
    "camera noise": _noise,
    "camera noise, exposure and motion blur": _camera,
    "head position, 1.5 mm": _position,
    "head rotation, 0.4°": _turn,
    "lids": _lids,
}
"""Causes of jitter: each combines a scene at rest with one in which everything has moved."""


def clean(optics: Optics) -> Optics:
    """Return optics without noise and motion blur and with almost no compression."""
    return replace(optics, electrons=1e9, read_noise=0.0, jpeg_quality=100, motion_px=0.0)


def make_fixation(person: int, cause: str) -> Iterator[Scene]:
    """Yield the scenes of one fixation of the central target in which only one cause varies."""
    identity = sample_identity(person, SEED)
    session = sample_session(identity, CALIBRATION_SESSION + person, SEED)
    first = CENTRAL_TARGET * FRAMES_PER_TARGET
    scenes = [sample_fixation(session, identity, CENTRAL_TARGET, first + number) for number in range(FRAMES_PER_TARGET)]
    still = replace(scenes[0], openness=1.0, optics=replace(scenes[0].optics, motion_px=0.0))
    for scene in scenes:
        yield CAUSES[cause](still, scene)


def measure_causes(people: int, renderer: "Renderer", landmarker: FaceLandmarker) -> dict[str, dict[str, float]]:
    """Return the median jitter over people by the names of `CAUSES` and `TRACKED`, thousandths of the eye's width.

    Args:
        people: Number of people, from the first of the calibration table; people with a missed face are skipped.
        renderer: Renderer of the scenes.
        landmarker: Landmarker for the images.
    """
    from research.rendering.photograph import photograph  # noqa: PLC0415 - imports OpenGL

    jitters: dict[str, list[dict[str, float]]] = {cause: [] for cause in CAUSES}
    for person in range(FIRST, FIRST + people):
        identity = sample_identity(person, SEED)
        of_person = {}
        for cause in CAUSES:
            points = []
            for scene in make_fixation(person, cause):
                found = landmarker.detect(photograph(renderer, scene, identity))
                face = max(found, key=lambda each: each.area_px, default=None)
                if face is not None:
                    points.append(face.points[:, :2] * [scene.image_width_px, scene.image_height_px])
            if len(points) == FRAMES_PER_TARGET:
                of_person[cause] = measure_jitters(np.array(points))
        if len(of_person) == len(CAUSES):
            for cause, found_jitters in of_person.items():
                jitters[cause].append(found_jitters)
    return {
        cause: {name: float(np.nanmedian([each[name] for each in of_people])) for name in TRACKED}
        for cause, of_people in jitters.items()
    }


def measure_jitters(points_px: Floats) -> dict[str, float]:
    """Return the jitter of one sequence by the names of `TRACKED`, thousandths of the eye's width."""
    one_group = np.zeros(len(points_px), dtype=np.int64)
    usable = find_open(measure_ratios(points_px)["lid_aperture"], one_group)
    frame = np.arange(len(points_px))
    return {name: 1000 * jitter(second_differences(values, frame, usable)) for name, values in track(points_px).items()}


def describe(causes: dict[str, dict[str, float]]) -> str:
    """Return the jitter by cause, as a Markdown table."""
    return make_table(
        ("jitter, 10⁻³ eye widths", *causes),
        [(title, *(f"{found[name]:.1f}" for found in causes.values())) for name, title in TRACKED.items()],
    )


@click.command(cls=Command)
@click.option("--people", type=click.IntRange(min=1), default=20, show_default=True, help="Number of people.")
@click.option("--page", type=click.Path(path_type=Path), help="Document whose table is renewed.")
def main(people: int, page: Path | None) -> None:
    """Measure the causes of landmark jitter on rendered people, by varying one thing at a time."""
    from research.rendering.renderer import Renderer  # noqa: PLC0415

    table = describe(measure_causes(people, Renderer(), make_landmarker()))
    click.echo(table)
    if page:
        replace_block(page, "causes", table)


if __name__ == "__main__":
    main()
