"""Measurements on synthetic faces with values that can be checked by hand."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.gaze import iris_diameter_px
from gaze_core.landmarks import IRIS, LEFT, RIGHT, Landmarks, eye_aspect_ratio
from research.realism.measures import (
    align,
    eye_width_mm,
    find_open,
    iris_diameters_px,
    iris_size_px,
    jitter,
    measure_ratios,
    movements,
    robust_deviation,
    scatter,
    second_differences,
    track,
)
from tests.fakes.drawn_face import CENTRE_PX, make_points, mirror


def turn(points, angle_deg):
    cosine, sine = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    return (points - CENTRE_PX) @ np.array([[cosine, sine], [-sine, cosine]]) + CENTRE_PX


def ratios_of(points):
    return {name: float(values[0]) for name, values in measure_ratios(points[None]).items()}


def test_the_ratios_of_a_drawn_face():
    assert ratios_of(make_points()) == approx(
        {
            "iris_diameter": 12 / 30,
            "lid_aperture": 9 / 30,
            "inner_corners": 40 / 100,
            "iris_to_iris": 70 / 100,
            "brow_height": 24 / 30,
            "iris_height": 1 / 30,
            "iris_between_lids": 0.5,
            "difference_x": 0.0,
            "difference_y": 0.0,
        }
    )


@pytest.mark.parametrize(
    "change",
    [lambda points: 2.5 * points, lambda points: points - (17.0, 40.0), lambda points: turn(points, 25.0)],
    ids=["a larger image", "elsewhere", "a tilted head"],
)
def test_size_position_and_tilt_change_no_ratio(change):
    face = make_points(l473=(2.0, 1.0), l468=(-1.0, 0.5))

    assert ratios_of(change(face)) == approx(ratios_of(face))


def test_eyes_that_turn_together_do_not_differ():
    ratios = ratios_of(make_points(l473=(3.0, -1.5), l468=(3.0, -1.5)))

    assert (ratios["difference_x"], ratios["difference_y"]) == approx((0.0, 0.0))


def test_a_left_iris_that_is_off_by_a_tenth_of_its_eye_differs_by_a_tenth():
    ratios = ratios_of(make_points(l473=(3.0, -1.5)))

    assert (ratios["difference_x"], ratios["difference_y"]) == approx((0.1, 0.05))


def test_a_mirrored_face_differs_as_much_outwards_and_the_other_way_up():
    ratios = ratios_of(mirror(make_points(l473=(3.0, -1.5))))

    assert (ratios["difference_x"], ratios["difference_y"]) == approx((0.1, -0.05))


def test_iris_and_lids_are_measured_as_the_core_measures_them():
    points = make_points() + np.random.default_rng(0).normal(0, 0.5, (478, 2))
    face = Landmarks(np.column_stack([points / [640, 480], np.zeros(478)]), 640, 480)
    rims = points[None, list(IRIS[LEFT])]

    assert iris_diameters_px(rims)[0] == approx(iris_diameter_px(points[list(IRIS[LEFT])]))
    assert ratios_of(points)["lid_aperture"] == approx(
        (eye_aspect_ratio(face, LEFT) + eye_aspect_ratio(face, RIGHT)) / 2
    )


def test_with_an_iris_of_average_size_the_eyes_width_is_known_in_mm():
    points = make_points()[None]

    assert iris_size_px(points)[0] == approx(12.0)
    assert eye_width_mm(points)[0] == approx(11.7 * 30 / 12)


def test_lids_that_meet_have_no_iris_between_them():
    shut = {f"l{index}": (0.0, 12.0) for index in (386, 159)}

    assert np.isnan(ratios_of(make_points(**shut))["iris_between_lids"])


def test_eyes_count_as_open_by_what_is_usual_for_their_person():
    aperture = np.array([0.30, 0.31, 0.29, 0.10, 0.18, 0.17, 0.18])

    assert find_open(aperture, np.array([0, 0, 0, 0, 1, 1, 1])).tolist() == [True] * 3 + [False] + [True] * 3


def test_scatter_is_within_each_group():
    # Within both groups the pairs differ by 1, 1 and 2.
    values, group = np.array([1.0, 2.0, 3.0, 101.0, 102.0, 103.0]), np.array([0, 0, 0, 1, 1, 1])

    assert scatter(values, group) == approx(1.4826 / 2**0.5)
    assert np.isnan(scatter(values[:2], np.array([0, 1])))


@pytest.mark.parametrize("size", [2, 10, 1000])
def test_a_known_scatter_is_found_in_groups_of_any_size(size):
    group = np.repeat(np.arange(10_000 // size), size)
    values = np.random.default_rng(3).normal(0, 0.7, len(group)) + 5.0 * group

    assert scatter(values, group) == approx(0.7, rel=0.03)


def test_an_outlier_leaves_the_robust_deviation_alone():
    assert robust_deviation(np.array([-1.0, 1.0, -1.0, 1.0, 1000.0])) == approx(1.4826)


def test_a_known_jitter_is_found():
    values = np.random.default_rng(1).normal(0.3, 0.02, (5000, 1))
    frame = np.arange(5000)

    assert jitter(second_differences(values, frame, np.ones(5000, bool))) == approx(0.02, rel=0.05)


def test_an_even_movement_is_no_jitter():
    values = np.linspace(0.0, 5.0, 30)[:, None]

    assert jitter(second_differences(values, np.arange(30), np.ones(30, bool))) == approx(0.0, abs=1e-12)


def test_second_differences_need_three_usable_frames_in_a_row():
    values = np.array([[0.0], [1.0], [4.0], [9.0], [16.0], [30.0], [50.0]])
    frame = np.array([0, 1, 2, 3, 4, 6, 7])
    usable = np.array([True, False, True, True, True, True, True])

    assert second_differences(values, frame, usable).tolist() == [[2.0]]


def test_second_differences_use_the_given_lag():
    values, frame = np.array([[0.0], [5.0], [1.0], [7.0], [4.0]]), np.arange(10, 15)

    assert second_differences(values, frame, np.ones(5, bool), lag=2).tolist() == [[2.0]]
    assert second_differences(values, frame, np.ones(5, bool), lag=3).size == 0


def test_a_face_moves_by_a_tenth_of_its_eyes_width():
    faces = np.stack([make_points() - (0.0, 3.0 * step) for step in range(4)])

    assert movements(faces, np.array([0, 1, 2, 5])) == approx([0.1, 0.1])
    assert movements(faces, np.array([0, 1, 2, 5]), lag=3) == approx([0.1])


def test_alignment_removes_motion_rotation_and_scale():
    still = make_points()
    moving = np.stack([(1 + 0.05 * step) * turn(still, 3.0 * step) + [9.0 * step, -step] for step in range(5)])

    aligned = align(moving)

    assert aligned == approx(np.broadcast_to(aligned[0], aligned.shape))
    assert np.linalg.norm(aligned[0, 263] - aligned[0, 362]) == approx(1.0)


def test_irises_are_tracked_in_eye_widths_to_the_right_and_up():
    faces = [make_points(), make_points(l473=(3.0, -1.5), l468=(3.0, -1.5)), make_points(l473=(6.0, 0.0))]

    tracked = track(np.stack([turn(face, 4.0 * step) for step, face in enumerate(faces)]))

    assert tracked["both_irises_x"][:, 0] == approx([0.0, 0.1, 0.1], abs=1e-9)
    assert tracked["both_irises_y"][:, 0] - tracked["both_irises_y"][0, 0] == approx([0.0, 0.05, 0.0], abs=1e-9)
    assert tracked["difference_x"][:, 0] - tracked["difference_x"][0, 0] == approx([0.0, 0.0, 0.2], abs=1e-9)
    assert np.ptp(tracked["corners_x"], axis=0) == approx([0.0, 0.0], abs=1e-9)


def test_the_jitter_of_noisy_landmarks_is_their_noise_in_eye_widths():
    # 0.3 px of an eye 30 px wide; the fit to 29 fixed landmarks removes nothing of it.
    rng = np.random.default_rng(2)
    faces = np.stack([make_points() for _ in range(2000)])
    faces[:, [468, 473]] += rng.normal(0, 0.3, (2000, 2, 2))

    tracked = track(faces)
    trembling = {
        name: jitter(second_differences(values, np.arange(2000), np.ones(2000, bool)))
        for name, values in tracked.items()
    }

    assert trembling["iris_x"] == approx(0.01, rel=0.06)
    assert trembling["both_irises_y"] == approx(0.01 / 2**0.5, rel=0.06)
    assert trembling["difference_x"] == approx(0.01 * 2**0.5, rel=0.06)
    assert trembling["corners_y"] == approx(0.0, abs=1e-9)
