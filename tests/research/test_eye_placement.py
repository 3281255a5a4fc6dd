import dataclasses

import numpy as np
import pytest
from pytest import approx

from gaze_core.eye_images import eye_views
from gaze_core.head_pose import rotation_matrix
from research.dataset.eye_placement import (
    ERRORS,
    MIRRORED_ERRORS,
    MIRRORED_PREDICTORS,
    PREDICTORS,
    PlacementModel,
    TrueEyes,
    find_errors,
    load_placement_model,
    place_with_errors,
    write_placement_model,
)
from research.dataset.eye_placement_fit import describe, fit_placement

STRAIGHT = TrueEyes(
    rotation=np.eye(3),
    corners_mm=np.array([[31.0, 0.0, 594.0], [-31.0, 0.0, 594.0]]),
    head_deg=np.zeros(3),
    predictors=np.array([1.0, 0, 0, 0, 0, 0, 0, 0, 0]),
    iris_px=10.0,
)
TURNED = dataclasses.replace(STRAIGHT, rotation=rotation_matrix(5.0, -8.0, 3.0), head_deg=np.array([6.0, -12.0, 1.0]))

SOME_ERRORS = np.array([3.0, -2.0, 1.5, 0.8, -0.6, -0.4, 1.1, 0.05, 0.004])


def errors(**changes):
    return np.array([changes.get(name, 0.0) for name in ERRORS])


def model(**changes):
    plain = PlacementModel(
        weights=np.zeros((9, 9)),
        person_covariance=np.zeros((9, 9)),
        frame_correlation=np.eye(9),
        iris_px=np.array([5.0, 20.0]),
        frame_spread=np.zeros((2, 9)),
        degrees_of_freedom=6.0,
        measured_on={},
    )
    return dataclasses.replace(plain, **changes)


@pytest.mark.parametrize("true", [STRAIGHT, TURNED])
def test_a_face_placed_with_errors_is_measured_with_these_errors(true):
    assert find_errors(true, place_with_errors(true, SOME_ERRORS)) == approx(SOME_ERRORS, abs=1e-9)


def test_a_face_without_errors_is_where_the_eyes_are():
    geometry = place_with_errors(STRAIGHT, errors())

    assert geometry.eyes_mm == approx(np.array([[31.0, 0.0, 600.0], [-31.0, 0.0, 600.0]]))
    assert geometry.distance_mm == approx(600.0)
    assert geometry.head_pose.head_rotation == approx(np.eye(3))


def test_an_error_of_1_mm_down_moves_the_eye_1_5_px_up_in_its_image():
    views, moved = (
        eye_views(place_with_errors(STRAIGHT, errors(left_down_mm=mm)), 640, 480, 45.0) for mm in (0.0, 1.0)
    )
    focal_px = 240 / np.tan(np.radians(22.5))
    corner = np.array([320 - 0.5 + focal_px * 31 / 594, 240 - 0.5, 1.0])

    def place(homography):
        x, y, w = homography @ corner
        return x / w, y / w

    assert place(views.homographies[0]) == approx((35.5, 23.5), abs=1e-6)
    assert place(moved.homographies[0])[1] == approx(23.5 - 1.5, abs=0.01)


def test_a_depth_5_percent_too_large_enlarges_the_eye_image_by_5_percent():
    views, further = (
        eye_views(place_with_errors(STRAIGHT, errors(log_depth=depth)), 640, 480, 45.0) for depth in (0.0, np.log(1.05))
    )

    assert further.scales / views.scales == approx(1.05)


def test_mirroring_twice_changes_nothing():
    assert approx(np.eye(len(ERRORS))) == MIRRORED_ERRORS @ MIRRORED_ERRORS
    assert approx(np.ones(len(PREDICTORS))) == MIRRORED_PREDICTORS**2


def test_mirroring_swaps_the_eyes_and_their_directions():
    mirrored = MIRRORED_ERRORS @ errors(yaw_deg=2.0, left_right_mm=1.0, left_down_mm=0.5, log_depth=0.1)

    assert dict(zip(ERRORS, mirrored, strict=True)) == approx(
        dict.fromkeys(ERRORS, 0.0) | {"yaw_deg": -2.0, "right_right_mm": -1.0, "right_down_mm": 0.5, "log_depth": 0.1}
    )


def test_errors_follow_pose_person_and_iris_size():
    weights = np.zeros((9, 9))
    weights[PREDICTORS.index("gaze_up"), ERRORS.index("left_down_mm")] = -0.7
    looking_up = dataclasses.replace(STRAIGHT, predictors=np.array([1.0, 0, 0, 0, 0, 2.0, 0, 0, 0]), iris_px=12.5)
    spread = np.array([np.full(9, 1.0), np.full(9, 0.4)])
    rng = np.random.default_rng(1)
    person = errors(left_down_mm=0.3)
    sampled = np.array(
        [model(weights=weights, frame_spread=spread).sample(rng, person, looking_up) for _ in range(4000)]
    )

    assert sampled[:, ERRORS.index("left_down_mm")].mean() == approx(-1.4 + 0.3, abs=0.05)
    assert sampled.std(axis=0) == approx(np.full(9, 0.7), rel=0.12)  # half-way between the two sizes


def test_people_differ_as_their_covariance_says():
    covariance = np.diag(np.arange(9.0))
    covariance[3, 5] = covariance[5, 3] = -2.0
    rng = np.random.default_rng(2)
    people = np.array([model(person_covariance=covariance).sample_person(rng) for _ in range(6000)])

    assert np.cov(people.T) == approx(covariance, abs=0.8)  # 5.5 standard deviations of the largest one


def test_the_fit_finds_the_parts_of_synthetic_errors():
    rng = np.random.default_rng(3)
    identities = np.repeat(np.arange(300.0), 12)
    predictors = rng.normal(0, 1, (len(identities), 9))
    predictors[:, 0] = 1.0
    person = rng.normal(0, 2.0, 300)
    measured = rng.normal(0, 0.5, (len(identities), 9))
    measured[:, 0] += 1.0 - 0.3 * predictors[:, 1] + np.repeat(person, 12)
    fitted = fit_placement(
        measured, predictors, identities, np.full(len(identities), 10.0) + rng.random(len(identities))
    )

    assert fitted.weights[:2, 0] == approx([1.0, -0.3], abs=0.15)
    assert np.sqrt(fitted.person_covariance[0, 0]) == approx(2.0, rel=0.12)
    assert np.sqrt(fitted.person_covariance[4, 4]) < 0.1
    assert fitted.frame_spread[:, 0] == approx(np.full(4, 0.5), rel=0.1)
    assert "3600" in describe(fitted)


def test_the_fit_is_the_same_for_mirror_images():
    rng = np.random.default_rng(4)
    identities = np.repeat(np.arange(20.0), 10)
    predictors, measured = rng.normal(0, 1, (2, 200, 9))
    fitted = fit_placement(measured, predictors, identities, rng.uniform(5, 20, 200))

    assert np.diag(MIRRORED_PREDICTORS) @ fitted.weights @ MIRRORED_ERRORS.T == approx(fitted.weights, abs=1e-9)


def test_a_model_survives_its_file(tmp_path):
    path = tmp_path / "placement.json"
    write_placement_model(model(degrees_of_freedom=5.5, measured_on={"people": 3}), path)

    loaded = load_placement_model(path)

    assert loaded.degrees_of_freedom == 5.5
    assert loaded.measured_on == {"people": 3}
    assert loaded.frame_correlation == approx(np.eye(9))


def test_a_file_for_other_predictors_is_refused(tmp_path):
    path = tmp_path / "placement.json"
    write_placement_model(model(), path)
    path.write_text(path.read_text().replace("gaze_up", "gaze_down"))

    with pytest.raises(ValueError, match="other errors or predictors"):
        load_placement_model(path)


def test_the_measured_model_places_the_corners_within_millimetres():
    measured = load_placement_model()
    spread = np.sqrt(np.diag(measured.person_covariance))[[3, 4, 5, 6]]

    assert measured.measured_on["people"] >= 50
    assert (spread > 0.3).all()
    assert (spread < 2.0).all()
