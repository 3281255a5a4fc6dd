"""Errors on portraits of people who look into the lens, with a landmarker and a model that know the answer."""

import cv2
import numpy as np
import pytest
from pytest import approx

from gaze_core.types import Camera
from research.evaluation.portraits import describe_portraits, measure_portraits
from tests.fakes.recordings import make_pixels
from tests.fakes.synthetic_face import make_face

CAMERA = Camera(vertical_fov_deg=20.0)


class Landmarker:
    """Finds one face, 1500 mm away on the camera's axis, in every image that is not black."""

    def detect(self, frame):
        return [make_face(place_mm=(0.0, 26.2462, 1528.6566), vertical_fov_deg=20.0)] if frame.any() else []


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
        write_image(tmp_path / name, make_pixels(number))
    (tmp_path / "list.csv").write_text("file")
    return tmp_path


def measure(folder, gaze_x_deg=0.0, gaze_y_deg=0.0):
    return describe_portraits(measure_portraits(folder, Landmarker(), ConstantModel(gaze_x_deg, gaze_y_deg), CAMERA))


def test_looking_into_the_lens_from_the_camera_s_axis_is_direction_zero(folder):
    found = measure(folder)["all"]

    assert (found["images"], found["valid"]) == (3, 3)
    assert found["error_deg"]["mean"] == approx(0.0, abs=0.1)


def test_an_estimate_that_is_too_high_is_an_upward_bias(folder):
    found = measure(folder, gaze_y_deg=8.0)["all"]

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

    assert (found["images"], found["valid"]) == (5, 3)
    assert found["invalid"] == {"no_face": 1, "unreadable": 1}


def test_without_any_gaze_there_is_no_error(tmp_path):
    write_image(tmp_path / "1.png", np.zeros((480, 640, 3), np.uint8))

    found = measure(tmp_path)

    assert found["all"]["error_deg"] == {"mean": None, "median": None, "p95": None}
    assert found["all"]["bias"] == {"right_deg": None, "up_deg": None}
    assert found["groups"] == {}
