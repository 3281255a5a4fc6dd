import os

import numpy as np
import pytest
from pytest import approx

from research.rendering.assets import CACHE, ENVIRONMENT_VARIABLE
from research.rendering.eye import fick_rotation
from research.rendering.head import build_head
from research.rendering.identity import sample_identity

pytestmark = pytest.mark.skipif(
    ENVIRONMENT_VARIABLE not in os.environ and not (CACHE / "mpfb2").is_dir(),
    reason="the head's data are not here; `make dataset` downloads them",
)


@pytest.fixture(scope="module", params=[0, 3, 11])
def head(request):
    return build_head(sample_identity(request.param, seed=1))


def eyes(left_deg=0.0, up_deg=0.0):
    return np.stack([fick_rotation(left_deg, up_deg)] * 2)


def margin_mm(head, openness=1.0, up_deg=0.0):
    """Return the heights of the upper and the lower margin above the left pupil, mid-lid, mm."""
    fine, _ = head.pose(eyes(up_deg=up_deg), openness, {})
    rig, ring = head.lids[0], head.topology.lids[0].middle
    places = fine[ring] - rig.centre_mm
    central = np.abs(places[:, 0]) < 3.5
    return -places[central, 1].min(), -places[central, 1].max()


def test_the_eyes_lie_as_far_apart_as_the_identity_says(head):
    left, right = head.eyes_mm

    assert left - right == approx([head.identity.ipd_mm, 0.0, 0.0])


def test_open_lids_leave_a_fissure_of_natural_height(head):
    upper, lower = margin_mm(head)

    assert 5.0 < upper - lower < 13.5


def test_the_fissure_is_as_wide_as_the_identity_says(head):
    fine, _ = head.pose(eyes(), 1.0, {})
    width = np.ptp(fine[head.topology.lids[0].middle][:, 0])

    assert width == approx(head.identity.lids.fissure_width_mm, abs=0.5)


def test_shut_lids_meet(head):
    upper, lower = margin_mm(head, openness=0.0)

    assert upper - lower < 1.5  # the margins' own thickness


def test_the_upper_lid_follows_the_eye_down_and_the_lower_one_less(head):
    (upper, lower), (upper_down, lower_down) = margin_mm(head), margin_mm(head, up_deg=-20.0)

    assert upper - upper_down > 2.0
    assert 0.3 < lower - lower_down < upper - upper_down


@pytest.mark.parametrize("openness", [1.0, 0.5, 0.0])
def test_no_skin_of_the_lids_enters_the_globe(head, openness):
    fine, _ = head.pose(eyes(left_deg=15.0, up_deg=-10.0), openness, {})
    for rig, rings in zip(head.lids, head.topology.lids, strict=True):
        distance = np.linalg.norm(fine[rings.outer] - rig.centre_mm, axis=1)

        assert distance.min() > head.identity.eyeball.sclera_radius_mm


def test_an_identity_is_the_same_for_the_same_number():
    assert sample_identity(7, seed=1) == sample_identity(7, seed=1)
    assert sample_identity(7, seed=1) != sample_identity(8, seed=1)


def test_kappa_has_the_spread_of_real_people():
    people = [sample_identity(number, seed=1) for number in range(400)]
    nasal = [person.kappa[0].nasal_deg for person in people]
    up = [person.kappa[0].up_deg for person in people]

    assert np.mean(nasal) == approx(4.7, abs=0.4)
    assert np.mean(up) == approx(1.5, abs=0.3)
    assert np.std(nasal) > 1.5
    assert np.std(up) > 1.0


def test_people_have_the_size_spread_of_real_people():
    people = [sample_identity(number, seed=1) for number in range(400)]

    assert np.mean([person.ipd_mm for person in people]) == approx(63.0, abs=0.6)
    assert np.std([person.ipd_mm for person in people]) == approx(3.5, abs=0.5)
    assert np.mean([person.eyeball.iris_diameter_mm for person in people]) == approx(11.7, abs=0.1)
