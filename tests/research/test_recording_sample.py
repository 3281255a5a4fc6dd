"""The sample recording, measured by the shipped model and the real landmarker."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pytest import approx

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from research.recordings.measurement import measure_recording
from research.recordings.recording import load_recording
from tests.fakes.viewer import FIVE_TARGETS

SAMPLE = Path(__file__).parent / "recording"
TRUE_FOV_DEG = 45.08


class Remembering:
    """A landmarker that detects once per image for all tests."""

    def __init__(self, landmarker):
        self._landmarker, self._found = landmarker, {}

    def detect(self, frame):
        key = frame.tobytes()
        if key not in self._found:
            self._found[key] = self._landmarker.detect(frame)
        return self._found[key]


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    """Return a function that measures the sample with a changed description."""
    pool = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
    landmarker, model = Remembering(pool), load_gaze_model(GAZE_MODEL_PATH)
    network = OpencvEyeNetwork(EYE_NETWORK_PATH)

    def measure_changed(change=lambda description: None):
        folder = tmp_path_factory.mktemp("recording") / "sample"
        shutil.copytree(SAMPLE, folder)
        description = json.loads((folder / "recording.json").read_text())
        change(description)
        (folder / "recording.json").write_text(json.dumps(description))
        return measure_recording(load_recording(folder), landmarker, model, network=network)

    yield measure_changed
    pool.close()


@pytest.fixture(scope="module")
def report(measure):
    return measure()


def forget_field_of_view(description):
    del description["camera"]["vertical_fov_deg"]


def forget_field_of_view_and_distance(description):
    forget_field_of_view(description)
    del description["distance_mm"]


@pytest.fixture(scope="module")
def fitted(measure):
    """The report with a field of view that is fitted to the distance."""
    return measure(forget_field_of_view)


def test_every_frame_is_counted(report):
    frames = report["frames"]

    assert (frames["rows"], frames["files_without_a_row"]) == (60, 0)
    assert frames["valid"] + sum(frames["invalid"].values()) == 60
    assert frames["valid"] >= 54
    assert (frames["invalid"]["no_face"], frames["invalid"]["unreadable"]) == (0, 0)


def test_a_blink_is_no_gaze(report):
    assert report["frames"]["invalid"]["eyes_closed"] >= 1


def test_it_has_five_calibration_and_six_test_targets(report):
    by_target = report["by_target"]

    assert [(each["x"], each["y"]) for each in by_target if each["phase"] == "calibration"] == FIVE_TARGETS
    assert [each["frames"] for each in by_target] == [6] * 5 + [5] * 6
    assert (report["calibration_targets"]["targets"], report["test"]["targets"]) == (5, 6)
    assert report["notes"] == []


def test_calibrated_gaze_is_nearer_to_where_the_person_looks(report):
    test = report["test"]

    assert report["calibration"]["used"] is True
    assert test["calibrated"]["error_deg"]["mean"] < 0.75 * test["uncalibrated"]["error_deg"]["mean"]
    assert test["calibrated"]["error_of_median_gaze_deg"] < 0.75 * test["uncalibrated"]["error_of_median_gaze_deg"]


def test_their_gaze_is_found_to_the_left_until_it_is_calibrated(report):
    test = report["test"]

    assert test["uncalibrated"]["offset_right_deg"] < -3
    assert abs(test["calibrated"]["offset_right_deg"]) < 3


def test_the_services_own_check_on_the_test_rows_says_the_same(report):
    checked = report["calibration"]["validation"]

    assert checked["dots"] == 6
    # It excludes blinks and outliers; the errors do not.
    assert checked["accuracy_deg"] == approx(report["test"]["calibrated"]["error_of_median_gaze_deg"], abs=0.5)
    assert checked["frames"] <= report["test"]["valid"]


def test_degrees_and_millimetres_say_the_same_at_that_distance(report):
    for each in report["by_target"]:
        angle = math.radians(each["uncalibrated"]["error_of_median_gaze_deg"])
        # For a perpendicular view; at an oblique view the same angle is a longer distance.
        straight_mm = each["distance_mm"] * math.tan(angle)
        assert 0.9 * straight_mm < each["uncalibrated"]["error_of_median_gaze_mm"] < 1.5 * straight_mm


def test_a_millimetre_is_five_and_a_half_pixels(report):
    errors = report["test"]["uncalibrated"]

    assert errors["error_px"]["mean"] / errors["error_mm"]["mean"] == approx(5.57, abs=0.02)


def test_the_eyes_are_found_where_they_are(report):
    assert report["distance_mm"]["given"] == 556.1
    assert report["distance_mm"]["estimated_median"] == approx(556.1, rel=0.06)


def test_a_field_of_view_fitted_to_the_distance_does_almost_as_well_as_the_true_one(report, fitted):
    assert fitted["camera"]["vertical_fov_from"] == "fitted to distance_mm"
    assert fitted["camera"]["vertical_fov_deg"] == approx(TRUE_FOV_DEG, abs=2)
    assert fitted["distance_mm"]["estimated_median"] == approx(556.1, rel=0.001)
    for kind in ("uncalibrated", "calibrated"):
        true_deg = report["test"][kind]["error_deg"]["mean"]
        assert fitted["test"][kind]["error_deg"]["mean"] == approx(true_deg, abs=0.7)


def test_the_default_field_of_view_does_worse(measure, fitted):
    default = measure(forget_field_of_view_and_distance)

    assert default["camera"]["vertical_fov_from"] == "default"
    assert default["distance_mm"]["estimated_median"] < 450
    for kind in ("uncalibrated", "calibrated"):
        assert default["test"][kind]["error_deg"]["mean"] > fitted["test"][kind]["error_deg"]["mean"] + 1


@pytest.mark.slow
def test_the_command_prints_nothing_but_json(report):
    done = subprocess.run(
        [sys.executable, "-m", "research.evaluation", "--recording", str(SAMPLE)],
        cwd=SAMPLE.parents[2],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )

    printed = json.loads(done.stdout)
    assert printed["recording"] == "recording"
    assert printed["test"] == report["test"]
