"""Rendered people whose eyes can be seen, the examples from which `research.quality.fit` learns."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from func.web.images import decode_image
from gaze_core.types import Frame
from models.atomic_file import open_replacement
from research.command_line import make_progress, process_pool
from research.dataset.plan import source_digest
from research.rendering.identity import sample_identity
from research.rendering.sampling import NO_TARGET, sample_scene, sample_session

if TYPE_CHECKING:
    from research.rendering.renderer import Renderer

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "quality"

MAX_PIXELS = 4096 * 4096

SEED = 12
"""Differs from those of all other sets, so none of these people is in them."""


@dataclass(frozen=True, slots=True, eq=False)
class RenderedFrame:
    """A frame of a rendered person.

    Attributes:
        identity: Number of the person.
        frame: RGB image, shape (height, width, 3).
        vertical_fov_deg: Vertical field of view of the camera.
        openness: How far the lids are open; 0 is shut, 1 ordinary.
        wears_glasses: Whether the person wears glasses.
        pose_deg: True pitch, yaw and roll of the head.
        has_hand: Whether a hand is near the face; it may cover an eye.
    """

    identity: int
    frame: Frame
    vertical_fov_deg: float
    openness: float
    wears_glasses: bool
    pose_deg: tuple[float, float, float]
    has_hand: bool


def render_people(people: int, frames_per_person: int, *, jobs: int, folder: Path = CACHE) -> Path:
    """Render the frames that are missing, each in a session of its own, and return their folder.

    Args:
        people: Number of people.
        frames_per_person: Frames of each person.
        jobs: Number of processes.
        folder: Folder of all sets; each renderer has its own in it.
    """
    into = folder / source_digest()[:16]
    into.mkdir(parents=True, exist_ok=True)
    wanted = [(person, number) for person in range(people) for number in range(frames_per_person)]
    missing = [pair for pair in wanted if not _facts_path(into, *pair).is_file()]
    if missing:
        with make_progress() as progress, process_pool(jobs) as pool:
            bar = progress.add_task("frames", total=len(missing))
            for future in as_completed([pool.submit(_render, into, *pair) for pair in missing]):
                future.result()
                progress.advance(bar)
    return into


def read_people(folder: Path, people: range, frames_per_person: int) -> Iterator[RenderedFrame]:
    """Yield the frames of some people.

    Args:
        folder: Result of `render_people`.
        people: Numbers of the people.
        frames_per_person: Frames of each person.

    Raises:
        OSError: A file is missing.
    """
    for person in people:
        for number in range(frames_per_person):
            path = _facts_path(folder, person, number)
            facts: dict[str, Any] = json.loads(path.read_text())
            frame = decode_image(path.with_suffix(".png").read_bytes(), max_pixels=MAX_PIXELS)
            facts["pose_deg"] = tuple(facts["pose_deg"])
            yield RenderedFrame(identity=person, frame=frame, **facts)


def _facts_path(folder: Path, person: int, number: int) -> Path:
    return folder / f"{person:04d}-{number}.json"


def _render(folder: Path, person: int, number: int) -> None:
    from research.rendering.photograph import photograph  # noqa: PLC0415

    identity = sample_identity(person, SEED)
    scene = sample_scene(sample_session(identity, number, SEED), identity, 0, NO_TARGET)
    image = photograph(_renderer(), scene, identity)[..., ::-1]
    path = _facts_path(folder, person, number)
    _, data = cv2.imencode(".png", image)
    path.with_suffix(".png").write_bytes(data.tobytes())
    facts = {
        "vertical_fov_deg": scene.camera.vertical_fov_deg,
        "openness": scene.openness,
        "wears_glasses": scene.wears_glasses,
        "has_hand": scene.hand is not None,
        "pose_deg": [scene.pitch_deg, scene.yaw_deg, scene.roll_deg],
    }
    with open_replacement(path) as stream:
        stream.write(json.dumps(facts).encode())


@lru_cache(maxsize=1)
def _renderer() -> "Renderer":
    from research.rendering.renderer import Renderer  # noqa: PLC0415

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    return Renderer()
