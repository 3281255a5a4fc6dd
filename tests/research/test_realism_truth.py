"""Errors of landmarks, on landmarks at known distances from the truth."""

import dataclasses
import os

import numpy as np
import pytest
from pytest import approx

from gaze_core.landmarks import EYE_CORNERS, IRIS, LEFT, RIGHT
from research.dataset.table import LandmarkTable
from research.realism.truth import distort, find_components, find_errors, measure_errors
from research.rendering.assets import CACHE, ENVIRONMENT_VARIABLE
from research.rendering.eye import SIDES
from research.rendering.head import build_head
from research.rendering.identity import sample_identity
from research.rendering.sampling import sample_scene, sample_session

needs_heads = pytest.mark.skipif(
    ENVIRONMENT_VARIABLE not in os.environ and not (CACHE / "mpfb2").is_dir(),
    reason="the head's data are not here; `make dataset` downloads them",
)


def test_bias_spread_of_people_and_scatter_are_separated():
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(400), 25)
    values = 1.5 + rng.normal(0, 0.8, 400)[person] + rng.normal(0, 0.5, 10_000)

    assert find_components(values[:, None], person) == approx((1.5, 0.8, 0.5), rel=0.1)


def test_people_who_differ_by_chance_alone_do_not_differ():
    rng = np.random.default_rng(1)

    _, between, within = find_components(rng.normal(0, 0.5, (2000, 1)), np.repeat(np.arange(200), 10))

    assert between < 0.08
    assert within == approx(0.5, rel=0.05)


def test_both_eyes_of_a_person_are_two_of_a_kind():
    bias, between, within = find_components(np.array([[1.0, 3.0], [1.0, 3.0]]), np.array([0, 0]))

    assert (bias, between, within) == approx((2.0, 1.4826, 0.0))


def scene_of(identity_id=3, frame=0, **optics):
    identity = sample_identity(identity_id, 1)
    scene = sample_scene(sample_session(identity, 7, 1), identity, frame, -1)
    return dataclasses.replace(
        scene, image_width_px=640, image_height_px=480, optics=dataclasses.replace(scene.optics, **optics)
    )


def test_the_lens_moves_the_corner_of_an_image_and_not_its_centre():
    # The corner of the distorted image shows a point at 98.8 % of its distance from the centre.
    scene = scene_of(distortion=0.012)

    bent = distort(np.array([[320.0, 240.0], [320 + 0.988 * 320, 240 + 0.988 * 240]]), scene)

    assert bent == approx(np.array([[320.0, 240.0], [640.0, 480.0]]), abs=1e-6)


def make_rows(frames, *, beside_mm=(0.0, 0.0)):
    """Return a table of one person with irises off outwards and upwards, and exact corners."""
    plan = {"seed": 1}
    identity = sample_identity(3, 1)
    head = build_head(identity)
    columns = {field.name: [] for field in dataclasses.fields(LandmarkTable)[:-2]}
    for frame in range(frames):
        scene = sample_scene(sample_session(identity, 7, 1), identity, frame, -1)
        rotations = scene.eye_rotations(head)
        fine_mm, _ = head.pose(rotations, scene.openness, dict(scene.expression))
        landmarks = np.zeros((478, 3))
        for index, side in enumerate((LEFT, RIGHT)):
            limbus = head.eyes_mm[index] + identity.eyeball.limbus_mm * rotations[index][:, 2]
            ring = fine_mm[head.topology.lids[index].middle]
            middle = (ring[ring[:, 0].argmin()] + ring[ring[:, 0].argmax()]) / 2
            in_camera = np.array([limbus, middle]) @ scene.head_rotation.T + scene.origin_mm
            limbus_px, middle_px = distort(scene.project(in_camera), scene)
            depth_mm = (scene.head_rotation @ head.eyes_mm[index])[2] + scene.origin_mm[2]
            right = scene.head_rotation[:2, 0] / np.linalg.norm(scene.head_rotation[:2, 0])
            up = np.array([right[1], -right[0]])
            aside_px = (SIDES[index] * beside_mm[0] * right + beside_mm[1] * up) * scene.focal_px / depth_mm
            size = [scene.image_width_px, scene.image_height_px]
            landmarks[IRIS[side][0], :2] = (limbus_px + aside_px) / size
            landmarks[list(EYE_CORNERS[side]), :2] = middle_px / size
        row = dict.fromkeys(columns, 0.0) | {
            "landmarks": landmarks,
            "image_size_px": (scene.image_width_px, scene.image_height_px),
            "origin_mm": scene.origin_mm,
            "pose_deg": (scene.pitch_deg, scene.yaw_deg, scene.roll_deg),
            "identity": 3,
            "session": 7,
            "frame": frame,
            "target_index": -1,
        }
        for name, values in columns.items():
            values.append(row[name])
    arrays = {name: np.array(values) for name, values in columns.items()}
    return LandmarkTable(first_held_out=4, description={"plan": plan}, **arrays)


@needs_heads
def test_landmarks_in_the_truth_have_no_errors():
    by_source = find_errors(make_rows(8), 1).by_source

    assert by_source["iris"] == approx(np.zeros_like(by_source["iris"]), abs=1e-6)
    assert by_source["corners"] == approx(np.zeros_like(by_source["corners"]), abs=1e-6)


@needs_heads
def test_an_iris_landmark_that_is_off_gives_an_error_of_as_many_mm():
    budget = {
        (each.source, each.axis): each for each in measure_errors(make_rows(8, beside_mm=(0.7, -0.3)), None, people=1)
    }

    assert budget["iris", "x"].bias_mm == approx(0.7)
    assert budget["iris", "y"].bias_mm == approx(-0.3)
    assert budget["iris", "x"].within_mm == approx(0.0, abs=1e-6)
    assert budget["iris", "x"].rest_mm is None
    # Outwards in both eyes cancels in their mean.
    both = budget["both_eyes", "x"].bias_mm
    assert both == approx(
        next(each.bias_mm for each in measure_errors(make_rows(8), None, people=1) if each.source == "both_eyes")
    )


@needs_heads
def test_a_table_of_other_scenes_is_refused():
    table = make_rows(2)
    table.origin_mm[:] += 5.0

    with pytest.raises(ValueError, match="other scenes"):
        find_errors(table, 1)
