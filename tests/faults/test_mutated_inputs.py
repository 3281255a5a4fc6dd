"""Thousands of damaged inputs in one process: it survives, and no input costs much memory or CPU."""

import os
import random

import pytest

from tests.corpus.mutate import mutate
from tests.corpus.probe import measure
from tests.corpus.seeds import FOLDER, make_bodies, make_images, read_seeds

MAX_PEAK_MB = 300
MAX_CPU_S = 1.0
SEEDS = read_seeds()


def damage(count, *, seed, kinds=("image", "json", "multipart")):
    chance = random.Random(seed)
    names = [name for name, (kind, _) in SEEDS.items() if kind in kinds]
    chosen = [chance.choice(names) for _ in range(count)]
    return [(SEEDS[name][0], mutate(chance, name, SEEDS)) for name in chosen]


def test_the_corpus_is_what_its_maker_makes_and_small():
    images = make_images()

    assert set(SEEDS) == set(images) | set(make_bodies(images["baseline.jpg"]))
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 300_000


def test_every_seed_is_accepted():
    assert {cost.status for cost in measure(SEEDS.values())} == {200}


@pytest.mark.parametrize("count", [1500, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_damaged_inputs_stay_within_their_bounds(count):
    costs = measure(damage(count, seed=count))

    assert {cost.status for cost in costs} == {200, 400, 413, 415, 422}
    assert max(cost.peak_mb for cost in costs) < MAX_PEAK_MB
    assert max(cost.cpu_s for cost in costs) < MAX_CPU_S


def test_no_pixel_depends_on_what_the_memory_held_before():
    """The allocator fills memory with another byte each time; what another viewer's image left would be seen."""
    inputs = damage(400, seed=7, kinds=("image",)) + [("image", image) for image in cut_and_closed_jpegs()]

    first, second = (measure(inputs, environ={**os.environ, "MALLOC_PERTURB_": byte}) for byte in ("1", "170"))

    assert [cost.checksum for cost in first] == [cost.checksum for cost in second]
    assert sum(cost.status == 200 for cost in first) > 50


def cut_and_closed_jpegs():
    for name in ("baseline.jpg", "progressive.jpg", "restarts.jpg", "grey.jpg"):
        image = SEEDS[name][1]
        for at in range(image.index(b"\xff\xda"), len(image), 7):
            yield image[:at] + b"\xff\xd9"
