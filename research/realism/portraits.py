"""Compare rendered people who look into the lens with statistics of real portraits.

    python -m research.realism.portraits [--people 60] [--jobs N] [--page docs/realism.md]

The real side is a file of numbers, `research/tables/real_portraits.json`: means and standard deviations of six sets of
portraits, 589 adults, measured by the same landmarker in the same way. The rendered side is a portrait of each person,
lit from the front and seen through a long lens, as in a studio.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from gaze_core.landmarks import EYE_CORNERS, IRIS, LEFT, RIGHT, Landmarks
from gaze_core.types import Camera
from research.command_line import Command, process_pool
from research.markdown import make_table, replace_block
from research.realism.measures import MIDDLE_LIDS
from research.realism.report import make_landmarker
from research.rendering.identity import Identity, sample_identity
from research.rendering.sampling import NO_TARGET, sample_scene, sample_session
from research.rendering.scene import Scene

if TYPE_CHECKING:
    from gaze_core.ports import FaceLandmarker
    from research.rendering.renderer import Renderer

REAL_PATH = Path(__file__).resolve().parents[1] / "tables" / "real_portraits.json"

SEED = 77
"""Seed of the people; none of them is in a training or test set."""

MEASURES = {
    "iris_above_corners": "iris above the line of the corners / eye width",
    "upper_lid": "upper lid above that line / eye width",
    "lower_lid": "lower lid above that line / eye width",
    "iris_diameter": "iris diameter / eye width",
    "canthal_tilt_deg": "outer corner above the inner one, degrees",
}
"""Measures of an eye by their names in the file, with titles."""

_WIDTH_PX, _HEIGHT_PX, _VERTICAL_FOV_DEG = 960, 720, 20.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """Distribution of a measure over people.

    Attributes:
        mean: Mean.
        deviation: Standard deviation.
    """

    mean: float
    deviation: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.deviation:.3f}"


def measure_portrait(landmarks: Landmarks) -> dict[str, float]:
    """Return the measures of a face by the names of `MEASURES`, mean of both eyes.

    Lengths are in units of the distance between the eye's corners, in the eye's own axes: x along the line through the
    corners, y perpendicular to it, upwards. The tilt is measured against the image's horizontal.
    """
    points_px = landmarks.points[:, :2] * [landmarks.image_width_px, landmarks.image_height_px]
    eyes = []
    for side in (LEFT, RIGHT):
        outer, inner = points_px[list(EYE_CORNERS[side])]
        # The viewer's left eye is on the right of the image.
        start, end = (inner, outer) if side == LEFT else (outer, inner)
        width_px = float(np.linalg.norm(end - start))
        across = (end - start) / width_px
        up = np.array([across[1], -across[0]])
        centre, *rim = points_px[list(IRIS[side])]
        heights = [
            float((point - (start + end) / 2) @ up) / width_px
            for point in (centre, *points_px[list(MIDDLE_LIDS[side])])
        ]
        diameter_px = (np.linalg.norm(rim[0] - rim[2]) + np.linalg.norm(rim[1] - rim[3])) / 2
        tilt_deg = np.degrees(np.arctan2(inner[1] - outer[1], abs(inner[0] - outer[0])))
        eyes.append([*heights, float(diameter_px) / width_px, float(tilt_deg)])
    return dict(zip(MEASURES, np.mean(eyes, axis=0).tolist(), strict=True))


def make_portrait(identity: Identity) -> Scene:
    """Return a scene in which the person looks into the lens of a distant camera; deterministic."""
    session = sample_session(identity, identity.identity_id, SEED)
    scene = sample_scene(session, identity, 0, NO_TARGET)
    rng = np.random.default_rng([SEED, identity.identity_id, 29])
    return replace(
        scene,
        image_width_px=_WIDTH_PX,
        image_height_px=_HEIGHT_PX,
        camera=Camera(vertical_fov_deg=_VERTICAL_FOV_DEG),
        target_mm=(0.0, 0.0, 0.0),
        origin_mm=(0.0, 0.0, float(rng.uniform(800, 1000))),
        pitch_deg=float(rng.normal(0, 3)),
        yaw_deg=0.0,
        roll_deg=0.0,
        openness=float(np.clip(rng.normal(1, 0.05), 0.8, 1.15)),
        expression=(),
        trunk_yaw_deg=0.0,
        wears_glasses=False,
        hand=None,
        lighting=replace(
            scene.lighting,
            key_direction=(float(rng.normal(0, 0.25)), -0.35, -1.0),
            key=(0.5, 0.5, 0.5),
            sky=(0.4, 0.4, 0.4),
            ground=(0.25, 0.25, 0.25),
            screen=(0.05, 0.05, 0.05),
            rim=(0.0, 0.0, 0.0),
        ),
        backdrop=replace(scene.backdrop, brightness=0.5, window=0.0),
        optics=replace(
            scene.optics,
            defocus_px=0.4,
            electrons=20000.0,
            jpeg_quality=92,
            distortion=0.0,
            motion_px=0.0,
            denoising=0.2,
        ),
    )


def measure_rendered(people: int, pool: Executor) -> dict[str, Distribution]:
    """Return the distribution of each measure over rendered people in whose portrait a face was found.

    Args:
        people: Number of people.
        pool: Runs the renderers.

    Raises:
        ValueError: A face was found in none of the portraits.
    """
    found = [measures for measures in pool.map(_measure_person, range(people)) if measures is not None]
    if not found:
        raise ValueError("no face was found in the portraits")
    return {
        name: Distribution(float(np.mean(values)), float(np.std(values)))
        for name in MEASURES
        for values in [[measures[name] for measures in found]]
    }


def describe(real: Mapping[str, Any], rendered: Mapping[str, Distribution], people: int) -> str:
    """Return both sides as a Markdown table: mean ± standard deviation over people.

    Args:
        real: Content of `REAL_PATH`.
        rendered: Result of `measure_rendered`.
        people: Number of rendered people.
    """
    sets: Mapping[str, Mapping[str, Any]] = real["sets"]
    header = ("mean ± standard deviation", f"rendered, {people}", "real, all sets", *map(_title, sets.items()))
    rows: list[Sequence[str]] = [
        (
            title,
            str(rendered[name]),
            str(_pooled([(each["people"], each[name]["mean"], each[name]["sd"]) for each in sets.values()])),
            *(str(Distribution(each[name]["mean"], each[name]["sd"])) for each in sets.values()),
        )
        for name, title in MEASURES.items()
    ]
    return make_table(header, rows)


def _title(entry: tuple[str, Mapping[str, Any]]) -> str:
    name, each = entry
    return f"{name.replace('_', ' ')}, {each['people']}"


def _pooled(groups: Sequence[tuple[int, float, float]]) -> Distribution:
    """Return mean and standard deviation over all people of several groups of (people, mean, deviation)."""
    people, means, deviations = (np.array(column, dtype=np.float64) for column in zip(*groups, strict=True))
    mean = float((people * means).sum() / people.sum())
    variance = float((people * (deviations**2 + (means - mean) ** 2)).sum() / people.sum())
    return Distribution(mean, variance**0.5)


@lru_cache(maxsize=1)
def _workbench() -> "tuple[Renderer, FaceLandmarker]":
    """Return the renderer and the landmarker of this process."""
    from research.rendering.renderer import Renderer  # noqa: PLC0415 - imports OpenGL

    return Renderer(), make_landmarker()


def _measure_person(number: int) -> dict[str, float] | None:
    """Return the measures of one person; None if no face was found."""
    from research.rendering.photograph import photograph  # noqa: PLC0415 - imports OpenGL

    renderer, landmarker = _workbench()
    identity = sample_identity(number, SEED)
    faces = landmarker.detect(photograph(renderer, make_portrait(identity), identity))
    face = max(faces, key=lambda each: each.area_px, default=None)
    return None if face is None else measure_portrait(face)


@click.command(cls=Command)
@click.option("--people", type=click.IntRange(min=1), default=120, show_default=True, help="Number of rendered people.")
@click.option("--jobs", type=click.IntRange(min=1), default=2, show_default=True, help="Number of processes.")
@click.option("--page", type=click.Path(path_type=Path), help="Document whose table is renewed.")
def main(people: int, jobs: int, page: Path | None) -> None:
    """Compare rendered people who look into the lens with statistics of real portraits."""
    with process_pool(jobs) as pool:
        rendered = measure_rendered(people, pool)
    table = describe(json.loads(REAL_PATH.read_text(encoding="utf-8")), rendered, people)
    click.echo(table)
    if page:
        replace_block(page, "portraits", table)


if __name__ == "__main__":
    main()
