"""Small inputs that claim or unfold to gigabytes cost little memory and CPU; each in a process of its own."""

import pytest

from tests.corpus import attacks
from tests.corpus.crowd import measure_crowd
from tests.corpus.probe import measure

MAX_PEAK_MB = 150
MAX_CPU_S = 0.6
TRIES = 5
"""Other load on the machine only adds to the CPU time, so the lowest counts."""
REFUSED = {400, 413, 415, 422}

HARMLESS = {
    "png zTXt inflates to 6 GB",
    "png iCCP inflates to 6 GB",
    "png with 6 MB of EXIF",
    "png animated, 2³¹ frames",
    "png animated, 200 frames",
    "webp lossless, 19,200 groups",
}
"""Answered with their first or only image."""


def assert_bounded(kind, inputs):
    costs = dict(zip(inputs, measure([(kind, make()) for make in inputs.values()]), strict=True))

    assert {name: cost for name, cost in costs.items() if cost.peak_mb > MAX_PEAK_MB} == {}
    cpu_s = {name: cost.cpu_s for name, cost in costs.items()}
    for _ in range(TRIES - 1):
        for name in [name for name in cpu_s if cpu_s[name] > MAX_CPU_S]:
            (cost,) = measure([(kind, inputs[name]())])
            cpu_s[name] = min(cpu_s[name], cost.cpu_s)
    assert {name: each for name, each in cpu_s.items() if each > MAX_CPU_S} == {}
    assert {name for name, cost in costs.items() if cost.status not in REFUSED} == HARMLESS & inputs.keys()


def test_no_image_costs_more_than_its_pixels():
    assert_bounded("image", attacks.IMAGES)


def test_no_json_body_costs_more_than_its_size():
    assert_bounded("json", attacks.JSON)


def test_no_multipart_body_costs_more_than_its_size():
    assert_bounded("multipart", attacks.MULTIPART)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["json of small objects", "json of one string with an emoji", "json of spaced base64"])
def test_eight_of_the_largest_bodies_at_once_stay_under_300_mb(name):
    assert measure_crowd([("json", attacks.JSON[name]())]) < 300


@pytest.mark.slow
@pytest.mark.parametrize("name", ["png of 4 MP inflates to 6 GB", "webp lossless, 19,200 groups"])
def test_eight_images_at_once_stay_under_300_mb(name):
    assert measure_crowd([("json", attacks.as_request(attacks.IMAGES[name]()))]) < 300


@pytest.mark.slow
def test_eight_of_the_largest_honest_images_at_once_stay_under_300_mb():
    images = attacks.largest_honest_images()

    assert measure_crowd([("json", attacks.as_request(image)) for image in images]) < 300
