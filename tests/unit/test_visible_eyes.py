"""The evidence of an iris in the images of the eyes, on painted eyes."""

import cv2
import numpy as np
import pytest
from pytest import approx

from gaze_core import visible_eye_weights
from gaze_core.eye_images import eye_views
from gaze_core.features import measure_face
from gaze_core.landmarks import LEFT, RIGHT
from gaze_core.visible_eyes import (
    BOTH_COVERED_BELOW,
    COVERED_BELOW,
    FEATURES,
    describe_eyes,
    eye_spreads_deg,
    find_covered_eyes,
    find_iris_evidence,
    has_low_lids,
    look_shut,
    sample_eyes,
)
from tests.fakes.eye_network import make_gazes
from tests.fakes.painted_eyes import make_noise, paint_eyes
from tests.fakes.synthetic_face import make_face, mirror

NOISE = make_noise(np.random.default_rng(1))
BOTH_SEEN, NONE_SEEN = (False, False), (True, True)


def views_of(image, face):
    height, width = image.shape[:2]
    return eye_views(measure_face(face), width, height, 63.0)


def evidence_in(image, face=None, **kwargs):
    face = face or make_face(width_px=image.shape[1], height_px=image.shape[0])
    return find_iris_evidence(image, face, views_of(image, face), **kwargs)


def test_painted_eyes_show_an_iris_and_noise_does_not():
    assert (evidence_in(paint_eyes(NOISE)) > 3).all()
    assert (evidence_in(NOISE) < -0.2).all()


@pytest.mark.parametrize(("side", "seen"), [(LEFT, 0), (RIGHT, 1)])
def test_the_left_eye_comes_first(side, seen):
    evidence = evidence_in(paint_eyes(NOISE, sides=[side]))

    assert evidence[seen] > 3
    assert evidence[1 - seen] < 0


@pytest.mark.parametrize("grey", [0, 20, 128, 255])
def test_a_disc_over_the_eye_hides_the_iris(grey):
    image = paint_eyes(NOISE)
    for x in (289, 351):  # the eyes of make_face(), 20 px wide
        cv2.ellipse(image, (x, 221), (17, 12), 0, 0, 360, (grey, grey, grey), -1)

    assert (evidence_in(image) < -0.5).all()


def test_brightness_does_not_matter():
    image = paint_eyes(NOISE)

    assert evidence_in(image // 2 + 30) == approx(evidence_in(image), abs=1.5)


def test_the_resolution_hardly_matters():
    large = cv2.resize(paint_eyes(NOISE), None, fx=3, fy=3, interpolation=cv2.INTER_LINEAR)

    assert evidence_in(large) == approx(evidence_in(paint_eyes(NOISE)), abs=2.5)


def test_mirroring_the_image_swaps_the_eyes():
    face = make_face(target_mm=(-100.0, 80.0, 0.0), yaw_deg=8)
    image = paint_eyes(NOISE, face)

    swapped = evidence_in(np.ascontiguousarray(image[:, ::-1]), mirror(face))

    assert swapped == approx(evidence_in(image, face)[::-1], abs=0.1)


def test_a_tilted_head_is_sampled_upright():
    level, tilted = make_face(), make_face(roll_deg=30)
    upright = sample_eyes(paint_eyes(NOISE), level, views_of(NOISE, level))
    # The painted almonds do not turn with the head, but the iris stays where it is.
    turned = sample_eyes(paint_eyes(NOISE, tilted), tilted, views_of(NOISE, tilted))

    assert turned[:, 11:13, 17:19] == approx(upright[:, 11:13, 17:19], abs=25)


def test_an_eye_outside_the_image_is_hidden():
    face = make_face(place_mm=(-420, 0, 600))

    assert evidence_in(NOISE, face).min() < 0


def test_there_is_one_weight_for_each_feature():
    face = make_face()

    assert describe_eyes(sample_eyes(NOISE, face, views_of(NOISE, face))).shape == (2, FEATURES)
    assert len(visible_eye_weights.WEIGHTS) == FEATURES


def test_a_network_that_is_unsure_of_an_eye_lowers_the_evidence_of_it():
    image = paint_eyes(NOISE)

    sure, unsure = (evidence_in(image, spread_deg=np.array([4.0, spread])) for spread in (4.0, 16.0))

    assert sure[0] == unsure[0]
    assert unsure[1] < sure[1] - 2


def test_the_spread_of_an_eye_is_the_root_mean_square_of_both_axes():
    gazes = make_gazes()
    gazes.eyes_spread_deg[:] = [[3.0, 4.0], [1.0, 7.0]]

    assert eye_spreads_deg(gazes) == approx([12.5**0.5, 5.0])


SEEN, UNSEEN = BOTH_COVERED_BELOW + 1, min(BOTH_COVERED_BELOW, COVERED_BELOW) - 1


@pytest.mark.parametrize(
    ("evidence", "usable", "covered"),
    [
        ((SEEN, SEEN), (True, True), BOTH_SEEN),
        ((UNSEEN, UNSEEN), (True, True), NONE_SEEN),
        ((UNSEEN, SEEN), (True, True), (True, False)),
        ((SEEN, UNSEEN), (True, True), (False, True)),
        ((SEEN, UNSEEN), (False, True), NONE_SEEN),  # the other eye is shut
        ((UNSEEN, SEEN), (False, True), BOTH_SEEN),  # a shut eye is not covered, but left out anyway
    ],
)
def test_covered_eyes_by_evidence(evidence, usable, covered):
    assert find_covered_eyes(np.array(evidence), usable) == covered


@pytest.mark.parametrize(("most", "shut"), [(2.0, True), (3.0, False)])
def test_low_lids_need_more_evidence(most, shut):
    evidence = np.array([most, most - 0.5])

    assert find_covered_eyes(evidence, (True, True), low_lids=True) == (shut, shut)
    assert find_covered_eyes(evidence, (True, True)) == BOTH_SEEN


@pytest.mark.parametrize(("most", "hidden"), [(0.3, True), (0.7, False)])
def test_half_of_a_unit_of_evidence_in_one_eye_is_enough(most, hidden):
    assert (find_covered_eyes(np.array([most, most - 0.2]), (True, True)) == NONE_SEEN) == hidden


@pytest.mark.parametrize(("least", "hidden"), [(-0.3, True), (0.3, False)])
def test_beside_a_visible_eye_one_without_evidence_is_covered(least, hidden):
    assert find_covered_eyes(np.array([least, 5.0]), (True, True)) == (hidden, False)


@pytest.mark.parametrize(
    ("lid_opening_mm", "low", "shut"), [(3.5, True, True), (4.5, True, False), (6.0, False, False)]
)
def test_lids_are_low_below_a_fifth_of_the_eyes_width_and_shut_below_three_twentieths(lid_opening_mm, low, shut):
    # The eye is 26 mm wide: 0.13, 0.17 and 0.23.
    openness = measure_face(make_face(lid_opening_mm=lid_opening_mm)).eye_openness

    assert (has_low_lids(openness, None), look_shut(openness)) == (low, shut)


@pytest.mark.parametrize(("blinks", "low"), [((0.45, 0.5), True), ((0.35, 0.9), False)])
def test_lids_are_low_if_the_landmarker_sees_both_blink(blinks, low):
    shapes = np.zeros((2, 7))
    shapes[:, 4] = blinks

    assert has_low_lids(measure_face(make_face()).eye_openness, shapes) == low
