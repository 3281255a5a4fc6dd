"""Render the eye images on which the eye network is trained.

    python -m research.dataset.eye_images --out .cache/eye_images

Only the region of the eyes is drawn, and the images are placed with the errors of `research.dataset.eye_placement`.
Each person is one shard in a folder of `--out` that is named after the digest of the plan and the renderer's source;
existing shards are reused. `load_eye_images` reads the folder.

A shard has one row for each pair of images: `images` uint8 (n, 2, 48, 72), left eye (mirrored) and right eye as
`gaze_core.eye_images` defines them, grey; `head_deg` float32 (n, 2) measured pitch and yaw of the head; `eyes_deg`
float32 (n, 2, 2) direction from each eye to the target and `both_deg` float32 (n, 2) from the midpoint between them,
all in the measured virtual camera frame; `openness`, `distance_mm`, `iris_px` float32 (n,); `identity`, `session`,
`frame` int32 (n,); `wears_glasses` bool (n,).
"""

import hashlib
import json
import os
from concurrent.futures import as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from func.adapters.eye_network_opencv import BLUR_SIGMA_PX, cut_eye_images
from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX, EyeViews, eye_views
from gaze_core.gaze import gaze_direction
from models.atomic_file import open_replacement
from research.command_line import Command, make_progress, process_pool
from research.dataset.eye_placement import (
    EYE_PLACEMENT_PATH,
    PlacementModel,
    corners_at_rest,
    find_true_eyes,
    load_placement_model,
    place_with_errors,
)
from research.dataset.plan import source_digest
from research.rendering.head import Head
from research.rendering.identity import Identity, sample_identity
from research.rendering.sampling import NO_TARGET, sample_scene, sample_session
from research.rendering.scene import Scene
from research.rendering.topology import Extent
from research.rendering.window import Window

if TYPE_CHECKING:
    from research.rendering.renderer import Renderer

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "eye_images"
PLAN_NAME = "plan.json"

Shard = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class EyePlan:
    """The eye images to render.

    Attributes:
        people: Number of people.
        images_per_person: Pairs of eye images per person.
        seed: Seed of everything that is sampled.
        held_out: Size of the test group: the last people, excluded from training.
        images_per_session: Maximum pairs of one person in one session.

    Raises:
        ValueError: A number is out of range.
    """

    people: int
    images_per_person: int
    seed: int
    held_out: int
    images_per_session: int = 12

    def __post_init__(self) -> None:
        if min(self.people, self.images_per_person, self.images_per_session) < 1:
            raise ValueError("people, images_per_person and images_per_session must be at least 1")
        if not 0 <= self.held_out < self.people:
            raise ValueError("held_out must be smaller than people")

    @property
    def sessions_per_person(self) -> int:
        """Number of sessions of each person."""
        return -(-self.images_per_person // self.images_per_session)

    @property
    def first_held_out(self) -> int:
        """Number of the first person of the test group."""
        return self.people - self.held_out

    def digest(self) -> str:
        """Return a digest of the plan, the renderer's source and the placement model, 16 hexadecimal digits."""
        placement = hashlib.sha256(EYE_PLACEMENT_PATH.read_bytes()).hexdigest()
        described = json.dumps(
            {"plan": asdict(self), "source": source_digest(), "placement": placement}, sort_keys=True
        )
        return hashlib.sha256(described.encode()).hexdigest()[:16]


@click.command(cls=Command)
@click.option("--people", default=1600, show_default=True, help="Number of people.")
@click.option("--images-per-person", default=36, show_default=True, help="Pairs of eye images per person.")
@click.option("--seed", default=3, show_default=True, help="Random seed of the plan.")
@click.option("--held-out", type=int, help="People in the test group.  [default: a tenth]")
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one per CPU",
    help="Number of processes.",
)
@click.option("--out", type=click.Path(path_type=Path), default=CACHE, help="Folder of the sets.")
def main(*, people: int, images_per_person: int, seed: int, held_out: int | None, jobs: int, out: Path) -> None:
    """Render the eye images on which the eye network is trained.

    Ctrl-C loses only the people being rendered; the same command resumes.
    """
    plan = EyePlan(people, images_per_person, seed, people // 10 if held_out is None else held_out)
    folder = out / plan.digest()
    make_eye_images(plan, folder, jobs=jobs)
    click.echo(f"{people * images_per_person} pairs of eye images of {people} people in {folder}")


def make_eye_images(plan: EyePlan, folder: Path, *, jobs: int) -> None:
    """Render every person whose shard is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_replacement(folder / PLAN_NAME) as stream:
        stream.write(json.dumps(asdict(plan) | {"first_held_out": plan.first_held_out}, indent=1).encode())
    missing = [number for number in range(plan.people) if not shard_path(folder, number).is_file()]
    if not missing:
        return
    with make_progress() as progress, process_pool(jobs) as pool:
        bar = progress.add_task("eye images", total=len(missing) * plan.images_per_person)
        for future in as_completed([pool.submit(make_shard, plan, number, folder) for number in missing]):
            future.result()
            progress.advance(bar, plan.images_per_person)


def shard_path(folder: Path, identity_id: int) -> Path:
    """Return the path of one person's shard."""
    return folder / f"person-{identity_id:05d}.npz"


def make_shard(plan: EyePlan, identity_id: int, folder: Path) -> Path:
    """Render one person's eye images and write the shard atomically."""
    rows = render_person(plan, identity_id, _workbench(), load_placement_model())
    path = shard_path(folder, identity_id)
    with open_replacement(path) as stream:
        np.savez_compressed(stream, **rows)  # type: ignore[arg-type]
    return path


def render_person(plan: EyePlan, identity_id: int, renderer: "Renderer", placement: PlacementModel) -> Shard:
    """Return the rows of one person's shard, by column; deterministic."""
    identity = sample_identity(identity_id, plan.seed)
    rng = np.random.default_rng([plan.seed, identity_id, 31])
    person_errors = placement.sample_person(rng)
    head = renderer.person(identity, Extent.EYES).head
    corners_mm = corners_at_rest(head)
    first_session = identity_id * plan.sessions_per_person
    sessions = [
        sample_session(identity, first_session + number, plan.seed) for number in range(plan.sessions_per_person)
    ]
    rows: list[dict[str, Any]] = []
    for number in range(plan.images_per_person):
        session_in_person, frame = divmod(number, plan.images_per_session)
        session = sessions[session_in_person]
        scene = sample_scene(session, identity, frame, NO_TARGET)
        true = find_true_eyes(scene, head, corners_mm)
        geometry = place_with_errors(true, placement.sample(rng, person_errors, true))
        size = scene.image_width_px, scene.image_height_px
        views = eye_views(geometry, *size, scene.camera.vertical_fov_deg)
        rows.append(
            {
                "images": photograph_eye_images(renderer, scene, identity, views),
                "head_deg": views.head_deg,
                **true_directions(scene, head, views),
                "openness": scene.openness,
                "distance_mm": scene.distance_mm,
                "iris_px": true.iris_px,
                "identity": identity_id,
                "session": session.session_id,
                "frame": frame,
                "wears_glasses": scene.wears_glasses,
            }
        )
    return {name: np.array([row[name] for row in rows], dtype=_DTYPES.get(name, np.float32)) for name in rows[0]}


_DTYPES = {
    "images": np.uint8,
    "identity": np.int32,
    "session": np.int32,
    "frame": np.int32,
    "wears_glasses": np.bool_,
}


def photograph_eye_images(renderer: "Renderer", scene: Scene, identity: Identity, views: EyeViews) -> NDArray[np.uint8]:
    """Return both eye images of a scene, shape (2, 48, 72), as the service would cut them out of the whole image."""
    from research.rendering.photograph import photograph_eyes  # noqa: PLC0415  needs OpenGL

    window = find_window(views, scene)
    frame = photograph_eyes(renderer, scene, identity, window)
    to_image = np.array([[1.0, 0.0, window.left_px], [0.0, 1.0, window.top_px], [0.0, 0.0, 1.0]])
    return cut_eye_images(frame, replace(views, homographies=views.homographies @ to_image))


def find_window(views: EyeViews, scene: Scene) -> Window:
    """Return the part of the image that the eye images show, with a margin, in whole JPEG blocks."""
    corners = np.array(
        [(x, y, 1.0) for x in (-0.5, EYE_IMAGE_WIDTH_PX - 0.5) for y in (-0.5, EYE_IMAGE_HEIGHT_PX - 0.5)]
    )
    in_image = corners @ np.linalg.inv(views.homographies).transpose(0, 2, 1)
    margin = int(np.ceil(4 * BLUR_SIGMA_PX / views.scales.min())) + 2
    window = Window.around((in_image[..., :2] / in_image[..., 2:]).reshape(-1, 2)).padded(margin)
    return window.on_blocks(scene.image_width_px, scene.image_height_px)


def true_directions(scene: Scene, head: Head, views: EyeViews) -> dict[str, NDArray[np.float64]]:
    """Return the true `eyes_deg`, shape (2, 2), and `both_deg`, shape (2,), in the virtual camera frame of views."""
    origin, target = np.array(scene.origin_mm), np.array(scene.target_mm)
    eyes = head.eyes_mm @ scene.head_rotation.T + origin
    return {
        "eyes_deg": gaze_direction((target - eyes) @ views.rotation.T),
        "both_deg": gaze_direction(views.rotation @ (target - origin)),
    }


def load_eye_images(folder: Path) -> tuple[Shard, int]:
    """Return all rows of a set, by column, and the number of the first person of the test group.

    Raises:
        FileNotFoundError: A shard is missing.
    """
    plan = json.loads((folder / PLAN_NAME).read_text())
    parts: dict[str, list[NDArray[Any]]] = {}
    for number in range(plan["people"]):
        with np.load(shard_path(folder, number), allow_pickle=False) as shard:
            for name in shard.files:
                parts.setdefault(name, []).append(shard[name])
    return {name: np.concatenate(values) for name, values in parts.items()}, int(plan["first_held_out"])


@lru_cache(maxsize=1)
def _workbench() -> "Renderer":
    """Return the renderer of this process."""
    os.environ["LP_NUM_THREADS"] = "1"  # the pool of processes provides the parallelism
    import cv2  # noqa: PLC0415

    from research.rendering.renderer import Renderer  # noqa: PLC0415

    cv2.setNumThreads(1)
    return Renderer()


if __name__ == "__main__":
    main()
