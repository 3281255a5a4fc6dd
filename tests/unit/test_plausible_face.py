"""Whether landmarks can be those of a person: drawings and images that are turned."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.features import measure_face
from gaze_core.plausible_face import is_drawn, turn_back
from tests.fakes.synthetic_face import make_face

SHADED = np.random.default_rng(0).integers(90, 160, (480, 640, 3), dtype=np.uint8)


def flatten(share, colour, image=SHADED):
    """Return an image in which the left part of the face, `share` of its width, has one colour."""
    x = make_face().points[:468, 0] * 640
    flat = image.copy()
    flat[:, : int(x.min() + share * np.ptp(x))] = colour
    return flat


def test_skin_that_is_shaded_everywhere_is_not_drawn():
    assert not is_drawn(SHADED, make_face())


@pytest.mark.parametrize(("share", "drawn"), [(0.2, False), (0.5, True), (0.8, True)])
def test_a_face_with_large_areas_of_one_colour_is_drawn(share, drawn):
    assert is_drawn(flatten(share, 230), make_face()) == drawn


@pytest.mark.parametrize(("share", "drawn"), [(0.55, False), (0.8, True)])
def test_overexposed_skin_is_flat_too_so_it_needs_more(share, drawn):
    assert is_drawn(flatten(share, 255), make_face()) == drawn


@pytest.mark.parametrize(("darkness", "drawn"), [(1, True), (4, False)])
def test_a_face_in_the_dark_has_few_levels_but_is_not_drawn(darkness, drawn):
    assert is_drawn(flatten(0.6, 200) // darkness, make_face()) == drawn


def test_a_face_at_the_edge_of_the_image_can_be_judged():
    assert not is_drawn(SHADED, make_face(place_mm=(-300, 0, 600)))


def test_turning_back_a_face_makes_it_upside_down_at_the_opposite_place():
    turned = measure_face(make_face(place_mm=(50, -30, 600), yaw_deg=10))

    found = turn_back(turned)

    assert abs(found.head_pose.roll_deg) == approx(180, abs=0.5)
    assert found.origin_mm == approx(turned.origin_mm * [-1, -1, 1])
    assert found.distance_mm == turned.distance_mm
