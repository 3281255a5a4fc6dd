"""An eye image set without a renderer: dark discs that move with the gaze."""

import json
from pathlib import Path

import numpy as np

from research.dataset.eye_images import PLAN_NAME, shard_path
from research.eye_network.image_set import EyeImageSet

PX_PER_DEG = 0.35


def make_eye_images(people=6, pairs_per_person=8, seed=0):
    """Return pairs of discs on a bright ground; the left eye's image is mirrored."""
    rng = np.random.default_rng(seed)
    count = people * pairs_per_person
    both_deg = rng.uniform(-20, 20, (count, 2))
    eyes_deg = np.repeat(both_deg[:, None], 2, axis=1)
    images = np.stack(
        [
            [draw_eye(-right if side == 0 else right, up) for side, (right, up) in enumerate(pair)]
            for pair in eyes_deg.tolist()
        ]
    )
    noise = rng.normal(0, 4, images.shape)
    return EyeImageSet(
        images=np.clip(images + noise, 0, 255).astype(np.uint8),
        head_deg=rng.uniform(-10, 10, (count, 2)),
        eyes_deg=eyes_deg,
        both_deg=both_deg,
        openness=np.ones(count),
        identity=np.repeat(np.arange(people), pairs_per_person),
        wears_glasses=np.arange(count) % 2 == 0,
        distance_mm=np.full(count, 600.0),
        iris_px=np.full(count, 12.0),
    )


def draw_eye(right_deg, up_deg):
    """Return one image, shape (48, 72); the viewer's right is on its left."""
    y, x = np.mgrid[0:48, 0:72] + 0.5
    distance = np.hypot(x - 36 + right_deg * PX_PER_DEG, y - 24 + up_deg * PX_PER_DEG)
    return 190 - 140 / (1 + np.exp((distance - 8) / 0.7))


def write_shards(images: EyeImageSet, folder: Path, held_out=1) -> Path:
    """Write the plan and a shard for each person, and return the folder."""
    folder.mkdir(exist_ok=True)
    people = len(images.people)
    plan = {"people": people, "first_held_out": people - held_out}
    (folder / PLAN_NAME).write_text(json.dumps(plan))
    names = [name for name in EyeImageSet.__slots__ if name != "images"]
    for number in images.people:
        person = images.of(images.identity == number)
        columns = {name: getattr(person, name) for name in names}
        np.savez(shard_path(folder, number), images=person.images, **columns)
    return folder
