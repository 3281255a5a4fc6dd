"""Errors on portraits of people who look into the lens, with a landmarker and a model that know the answer."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from pytest import approx

from gaze_core.types import Camera
from research.evaluation.portraits import Portrait, describe_portraits, measure_portraits
from tests.fakes.eye_network import FakeEyeNetwork, make_gazes
from tests.fakes.recordings import make_pixels
from tests.fakes.synthetic_face import make_face

CAMERA = Camera(vertical_fov_deg=20.0)


FACE = make_face(place_mm=(0.0, 26.2462, 1528.6566), vertical_fov_deg=20.0)


class Landmarker:
    """Finds one face, 1500 mm away on the camera's axis, in every image that is not black."""

    def __init__(self, eye_shapes=None):
        self.eye_shapes = eye_shapes

    def detect(self, frame):
        if not frame.any():
            return []
        return [replace(FACE, eye_shapes=self.eye_shapes)]


class ConstantModel:
    """Predicts the same direction for every face."""

    estimates = ("landmarks",)

    def __init__(self, gaze_x_deg, gaze_y_deg):
        self.direction_deg = (gaze_x_deg, gaze_y_deg)

    def predict(self, features):
        return np.tile(self.direction_deg, (len(features), 1)).astype(float)


def write_image(path, pixels):
    _, data = cv2.imencode(".png", pixels)
    path.write_bytes(data.tobytes())


@pytest.fixture
def folder(tmp_path):
    for number, name in enumerate(("1_neutral.png", "2_neutral.png", "2_smiling.png")):
        write_image(tmp_path / name, make_pixels(number, [FACE]))
    (tmp_path / "list.csv").write_text("file")
    return tmp_path


def measure(folder, gaze_x_deg=0.0, gaze_y_deg=0.0, *, eye_shapes=None, network=None):
    model = ConstantModel(gaze_x_deg, gaze_y_deg)
    return describe_portraits(measure_portraits(folder, Landmarker(eye_shapes), model, CAMERA, network=network))


def portrait(name, **offsets_deg):
    """A portrait of someone who looks straight ahead, with errors (right, up) of some estimates."""
    return Portrait(name, "ok", {each: np.array(offset) for each, offset in offsets_deg.items()}, np.zeros(2))


def test_looking_into_the_lens_from_the_camera_s_axis_is_direction_zero(folder):
    found = measure(folder)["all"]

    assert (found["images"], found["people"], found["valid"]) == (3, 2, 3)
    assert found["estimates"]["model"]["error_deg"]["mean"] == approx(0.0, abs=0.1)


def test_an_estimate_that_is_too_high_is_an_upward_bias(folder):
    found = measure(folder, gaze_y_deg=8.0)["all"]["estimates"]["model"]

    assert found["error_deg"]["mean"] == approx(8.0, abs=0.1)
    assert found["bias"] == {"right_deg": approx(0.0, abs=0.1), "up_deg": approx(8.0, abs=0.1)}
    assert found["standard_deviation"] == {"horizontal_deg": 0.0, "vertical_deg": 0.0}


def test_images_are_grouped_by_the_last_part_of_their_names(folder):
    groups = measure(folder)["groups"]

    assert {name: group["images"] for name, group in groups.items()} == {"neutral": 2, "smiling": 1}


def test_images_without_a_gaze_are_counted_by_reason(folder):
    write_image(folder / "3_neutral.png", np.zeros((480, 640, 3), np.uint8))
    (folder / "4_neutral.jpg").write_bytes(b"not an image")

    found = measure(folder)["all"]

    assert (found["images"], found["valid"], found["share_without_gaze"]) == (5, 3, 0.4)
    assert found["invalid"] == {"no_face": 1, "unreadable": 1}


def test_without_any_gaze_there_is_no_error(tmp_path):
    write_image(tmp_path / "1.png", np.zeros((480, 640, 3), np.uint8))

    found = measure(tmp_path)

    assert (found["all"]["estimates"], found["all"]["correlation_of_errors"]) == ({}, {})
    assert (found["all"]["share_without_gaze"], found["groups"]) == (1.0, {})


def test_estimates_that_do_not_exist_are_not_reported(folder):
    assert list(measure(folder)["all"]["estimates"]) == ["landmarks", "fused", "model"]


def test_every_estimate_is_reported(folder):
    found = measure(folder, eye_shapes=np.zeros((2, 7)), network=FakeEyeNetwork())["all"]["estimates"]

    assert list(found) == [
        *("landmarks", "network", "blendshapes", "fused", "model"),
        *("network, left eye", "network, right eye"),
    ]


def test_the_network_s_direction_is_measured_in_the_camera_frame(folder):
    network = FakeEyeNetwork(make_gazes(both_deg=(3.0, -5.0)))

    found = measure(folder, network=network)["all"]["estimates"]["network"]

    assert found["bias"] == {"right_deg": approx(3.0, abs=0.1), "up_deg": approx(-5.0, abs=0.1)}


def test_each_eye_is_measured_against_its_own_direction_to_the_camera(folder):
    # 31.5 mm beside the axis at 1500 mm are 1.2 degrees: the left eye, at larger x, looks to the right of its axis.
    network = FakeEyeNetwork(make_gazes(left_deg=(1.2, 0.0), right_deg=(-1.2, 4.0)))

    found = measure(folder, network=network)["all"]["estimates"]

    assert found["network, left eye"]["bias"] == {"right_deg": approx(0, abs=0.1), "up_deg": approx(0, abs=0.1)}
    assert found["network, right eye"]["bias"] == {"right_deg": approx(0, abs=0.1), "up_deg": approx(4, abs=0.1)}


def test_the_interval_of_the_mean_resamples_people():
    same_person = [portrait("1_a.jpg", model=(0, 4)), portrait("1_b.jpg", model=(0, 8))]
    two_people = [portrait("1_a.jpg", model=(0, 4)), portrait("2_a.jpg", model=(0, 8))]

    def interval(portraits):
        return describe_portraits(portraits)["all"]["estimates"]["model"]["error_deg"]["mean_95_percent_interval"]

    assert interval(same_person) == approx([6, 6])
    assert interval(two_people) == approx([4, 8])


def test_errors_of_two_estimates_are_correlated_by_axis():
    portraits = [
        portrait("1.jpg", landmarks=(0, 1), blendshapes=(5, 2)),
        portrait("2.jpg", landmarks=(0, 2), blendshapes=(6, 1)),
        portrait("3.jpg", landmarks=(0, 3), blendshapes=(7, 0)),
    ]

    found = describe_portraits(portraits)["all"]["correlation_of_errors"]

    assert found == {"landmarks, blendshapes": {"horizontal": None, "vertical": -1.0}}
