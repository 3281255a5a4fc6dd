"""Says what makes the landmarks of rendered people tremble, by letting one thing vary at a time.

    python -m research.realism.causes [--people 20] [--page docs/realism.md]

The people of the calibration table look at the middle dot again. Their frames are rendered with everything that varies
in the table, and with nothing but the camera's noise, the head's place and so on. Where the head or the lids move, the
camera has no noise and compresses nothing, so that causes add up as variances.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gaze_core.ports import FaceLandmarker
from research.dataset.plan import CALIBRATION_SESSION, FRAMES_PER_TARGET, TARGET_COUNT
from research.realism.jitter import TRACKED
from research.realism.measures import Floats, find_open, jitter, measure_ratios, second_differences, track
from research.realism.report import make_landmarker, write_section
from research.rendering.identity import sample_identity
from research.rendering.sampling import sample_fixation, sample_session
from research.rendering.scene import Optics, Scene

if TYPE_CHECKING:
    from research.rendering.renderer import Renderer

SEED, FIRST = 2, 320
"""Of the calibration table: its seed and its first person."""

MIDDLE_TARGET = TARGET_COUNT // 2


def _as_is(still: Scene, moving: Scene) -> Scene:
    return moving


def _noise(still: Scene, moving: Scene) -> Scene:
    return replace(still, optics=replace(still.optics, seed=moving.optics.seed))


def _camera(still: Scene, moving: Scene) -> Scene:
    return replace(still, optics=moving.optics)


def _place(still: Scene, moving: Scene) -> Scene:
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
    "the camera's noise": _noise,
    "noise, exposure and motion blur": _camera,
    "the head's place, 1.5 mm": _place,
    "the head's turn, 0.4°": _turn,
    "the lids": _lids,
}
"""What varies: each makes a frame of a resting one and of one in which everything has moved on."""


def clean(optics: Optics) -> Optics:
    """Return a camera without noise that compresses next to nothing and does not blur what moves."""
    return replace(optics, electrons=1e9, read_noise=0.0, jpeg_quality=100, motion_px=0.0)


def make_looks(person: int, cause: str) -> Iterator[Scene]:
    """Yield the frames of one look at the middle dot in which only one cause varies."""
    identity = sample_identity(person, SEED)
    session = sample_session(identity, CALIBRATION_SESSION + person, SEED)
    first = MIDDLE_TARGET * FRAMES_PER_TARGET
    looks = [sample_fixation(session, identity, MIDDLE_TARGET, first + number) for number in range(FRAMES_PER_TARGET)]
    still = replace(looks[0], openness=1.0, optics=replace(looks[0].optics, motion_px=0.0))
    for look in looks:
        yield CAUSES[cause](still, look)


def measure_causes(people: int, renderer: "Renderer", landmarker: FaceLandmarker) -> dict[str, dict[str, float]]:
    """Return the jitter by the names of `CAUSES` and `TRACKED`, thousandths of the eye's width, median over people.

    Args:
        people: How many, from the first of the calibration table on; those whose face is missed once do not count.
        renderer: Draws them.
        landmarker: Finds them.
    """
    from research.rendering.photograph import photograph  # noqa: PLC0415 - brings OpenGL along

    jitters: dict[str, list[dict[str, float]]] = {cause: [] for cause in CAUSES}
    for person in range(FIRST, FIRST + people):
        identity = sample_identity(person, SEED)
        of_person = {}
        for cause in CAUSES:
            points = []
            for scene in make_looks(person, cause):
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
    nobody = np.zeros(len(points_px), dtype=np.int64)
    usable = find_open(measure_ratios(points_px)["lid_aperture"], nobody)
    frame = np.arange(len(points_px))
    return {name: 1000 * jitter(second_differences(values, frame, usable)) for name, values in track(points_px).items()}


def describe(causes: dict[str, dict[str, float]], command: str) -> str:
    """Return the table, as Markdown."""
    lines = [
        f"*Made by `{command}`.*",
        "",
        "| jitter, 10⁻³ eye widths | " + " | ".join(causes) + " |",
        "|" + "---|" * (len(causes) + 1),
    ]
    for name, title in TRACKED.items():
        lines.append(f"| {title} | " + " | ".join(f"{found[name]:.1f}" for found in causes.values()) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Render, measure and print."""
    from research.rendering.renderer import Renderer  # noqa: PLC0415

    parser = argparse.ArgumentParser(
        prog="python -m research.realism.causes", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--page", type=Path, help="a page whose table is renewed")
    options = parser.parse_args(arguments)
    section = describe(
        measure_causes(options.people, Renderer(), make_landmarker()),
        f"python -m research.realism.causes --people {options.people}",
    )
    print(section)
    if options.page:
        write_section(options.page, "causes", section)


if __name__ == "__main__":
    main()
