"""Measurement of recordings: counts, calibration and field of view."""

import shutil

import numpy as np
import pytest
from pytest import approx

from gaze_core.fusion import SHAPE_MODEL
from gaze_core.types import Camera
from research.recordings.measurement import choose_five, summarise_validation
from research.recordings.recording import RecordingError
from tests.fakes.eye_network import FakeEyeNetwork, make_gazes
from tests.fakes.recordings import FakeRecording
from tests.fakes.synthetic_face import make_face
from tests.fakes.viewer import FIVE_TARGETS, NINE_TARGETS

TEST_TARGETS = [(0.3, 0.4), (0.6, 0.7), (0.8, 0.2)]


@pytest.fixture
def recording(tmp_path):
    return FakeRecording(tmp_path / "me")


def test_every_frame_counts_under_what_became_of_it(recording):
    recording.add(0.5, 0.5)
    recording.add(0.5, 0.5, faces=[])
    recording.add(0.5, 0.5, faces=[make_face(lid_opening_mm=1.0)])
    recording.add(0.5, 0.5, faces=[make_face(yaw_deg=60.0)])
    recording.add(0.5, 0.5, faces=[make_face(), make_face(place_mm=(0, 0, 1500))])
    recording.add(0.5, 0.5, off_deg=(110.0, 0.0))
    broken = recording.folder / "frames" / recording.add(0.5, 0.5)
    broken.write_bytes(broken.read_bytes()[:60])
    not_named = recording.folder / "frames" / "extra.png"
    shutil.copy(broken, not_named)

    report = recording.measure()

    assert report["frames"] == {
        "rows": 7,
        "valid": 2,
        "invalid": {"no_face": 1, "eyes_closed": 1, "low_quality": 2, "unreadable": 1},
        "flags": {"gaze_away_from_screen": 1, "head_turned_away": 1, "several_faces": 1},
        "files_without_a_row": 1,
    }
    assert (report["test"]["frames"], report["test"]["valid"]) == (7, 2)
    assert report["notes"][0] == "0007.png cannot be read: the PNG is truncated, or a chunk extends past its end"


def test_without_any_gaze_there_are_no_numbers(recording):
    recording.add(0.5, 0.5, faces=[])

    report = recording.measure()

    assert (report["test"]["targets"], report["test"]["targets_with_gaze"]) == (1, 0)
    assert report["test"]["uncalibrated"] == {
        "error_deg": {"mean": None, "median": None, "p95": None},
        "error_mm": {"mean": None, "median": None, "p95": None},
        "error_px": {"mean": None, "median": None, "p95": None},
        "error_of_median_gaze_deg": None,
        "error_of_median_gaze_mm": None,
        "error_of_median_gaze_px": None,
        "offset_right_deg": None,
        "offset_up_deg": None,
        "precision_deg": None,
        "rays_that_miss_the_screen_plane": 0,
    }
    assert report["distance_mm"] == {"given": None, "estimated_median": None}


def test_what_is_always_the_same_is_calibrated_away(recording):
    recording.fixate(FIVE_TARGETS, "calibration", off_deg=(5.0, -4.0))
    recording.fixate(TEST_TARGETS, "test", off_deg=(5.0, -4.0))

    report = recording.measure()

    description = report["calibration"]
    assert (description["used"], description["dots"], description["frames"]) == (True, 5, 15)
    assert description["generic_accuracy_deg"] == approx(6.3, abs=0.2)
    assert description["accuracy_deg"] < 1.5
    assert report["test"]["uncalibrated"]["error_deg"]["mean"] == approx(6.3, abs=0.2)
    assert report["test"]["calibrated"]["error_deg"]["mean"] < 1
    assert description["validation"]["accuracy_deg"] == report["test"]["calibrated"]["error_of_median_gaze_deg"]


def test_targets_are_reported_separately_and_calibration_targets_only_uncalibrated(recording):
    recording.fixate(FIVE_TARGETS, "calibration", off_deg=(5.0, 0.0))
    recording.fixate(TEST_TARGETS, "test", off_deg=(5.0, 0.0))
    recording.add(*FIVE_TARGETS[0], "test", off_deg=(5.0, 0.0))

    by_target = recording.measure()["by_target"]

    assert [(each["phase"], each["x"], each["y"]) for each in by_target] == [
        *(("calibration", *dot) for dot in FIVE_TARGETS),
        *(("test", *place) for place in TEST_TARGETS),
        ("test", 0.5, 0.5),
    ]
    assert [each["frames"] for each in by_target] == [3] * 8 + [1]
    assert [each["calibrated"] is None for each in by_target] == [True] * 5 + [False] * 4


def test_each_estimate_is_measured_on_its_own(recording):
    face = make_face(place_mm=(0.0, 26.2462, 628.6566), eye_shapes=np.zeros((2, 7)))  # looks into the camera
    recording.add(0.5, 0.5, faces=[face])

    report = recording.measure(network=FakeEyeNetwork(make_gazes(both_deg=(0.0, 2.0))))

    # The middle of the screen is 105 mm below the camera: 9.9 degrees at 600 mm.
    up_deg = {name: each["uncalibrated"]["offset_up_deg"] for name, each in report["by_estimate"].items()}
    assert list(up_deg) == ["landmarks", "network", "blendshapes", "fused"]
    assert up_deg["network"] == approx(9.9 + 2.0, abs=0.2)
    assert up_deg["blendshapes"] == approx(9.9 + SHAPE_MODEL.level_deg, abs=0.6)
    assert min(up_deg.values()) <= up_deg["fused"] <= max(up_deg.values())
    assert report["network_sha256"] == "e" * 64


def test_each_estimate_is_calibrated_on_its_own(recording):
    recording.fixate(FIVE_TARGETS, "calibration")
    recording.fixate(TEST_TARGETS, "test")

    found = recording.measure()["by_estimate"]

    # These eyes always look into the camera, so a calibration can only find the mean of the targets.
    assert list(found) == ["landmarks", "fused"]
    assert (
        found["landmarks"]["calibrated"]["error_deg"]["mean"] <= found["landmarks"]["uncalibrated"]["error_deg"]["mean"]
    )
    assert found["landmarks"]["targets_with_gaze"] == 3


def test_without_calibration_rows_only_the_uncalibrated_gaze_is_measured(recording):
    recording.fixate(TEST_TARGETS, "test")

    report = recording.measure()

    assert (report["calibration"], report["calibration_targets"], report["five_targets"]) == (None, None, None)
    assert report["test"]["calibrated"] is None
    assert report["notes"] == ["no calibration rows: only the uncalibrated gaze is measured"]


def test_without_test_rows_only_the_calibration_estimates_the_accuracy(recording):
    recording.fixate(FIVE_TARGETS, "calibration", off_deg=(5.0, -4.0))

    report = recording.measure()

    assert report["test"] is None
    assert report["calibration"]["validation"] is None
    assert report["calibration"]["accuracy_deg"] < 1.5
    assert report["calibration_targets"]["uncalibrated"]["error_deg"]["mean"] == approx(6.3, abs=0.2)
    assert "no test rows" in report["notes"][0]


def test_a_calibration_that_is_not_used_leaves_the_uncalibrated_errors(recording):
    recording.fixate(FIVE_TARGETS[:2], "calibration", off_deg=(5.0, 0.0))
    recording.fixate(TEST_TARGETS, "test", off_deg=(5.0, 0.0))

    report = recording.measure()

    assert (report["calibration"]["used"], report["calibration"]["reason"]) == (False, "too_few_dots")
    assert report["test"]["calibrated"] == report["test"]["uncalibrated"]
    assert "the calibration is not used" in report["notes"][0]


def test_of_nine_targets_five_are_also_measured_alone(recording):
    recording.fixate(NINE_TARGETS, "calibration", frames=2, off_deg=(5.0, -4.0))
    recording.fixate(TEST_TARGETS, "test", off_deg=(5.0, -4.0))

    five = recording.measure()["five_targets"]

    assert five["targets"] == [list(target) for target in FIVE_TARGETS]
    assert (five["calibration"]["dots"], five["calibration"]["validation"]["dots"]) == (5, 3)
    assert five["calibrated"]["error_deg"]["mean"] < 1


def test_with_five_targets_there_is_no_separate_result_for_five(recording):
    recording.fixate(FIVE_TARGETS, "calibration")

    assert recording.measure()["five_targets"] is None


@pytest.mark.parametrize(
    ("targets", "chosen"),
    [
        (NINE_TARGETS, FIVE_TARGETS),
        ([(0.5, 0.5), (0.05, 0.1), (0.95, 0.2), (0.1, 0.9), (0.9, 0.8), (0.5, 0.1)], [0, 1, 2, 3, 4]),
        ([(0.1 * number, 0.5) for number in range(1, 10)], None),
        ([(0.1 * number, 0.1 * number) for number in range(1, 10)], None),
        ([(0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9)], None),
    ],
    ids=["nine", "uneven", "a line", "a diagonal", "no middle"],
)
def test_five_targets_are_the_centre_and_the_corners(targets, chosen):
    if chosen is not None and isinstance(chosen[0], int):
        chosen = [targets[index] for index in chosen]

    assert choose_five(targets) == chosen


@pytest.fixture
def narrow(tmp_path):
    """A recording of a camera with 45 degrees, with a median distance of about 610 mm."""
    recording = FakeRecording(tmp_path / "narrow", camera=Camera(vertical_fov_deg=45.0))
    recording.fixate(TEST_TARGETS, "test")
    return recording


def test_a_field_of_view_that_is_given_counts(narrow):
    narrow.description = {"camera": {"vertical_fov_deg": 45.0}, "distance_mm": 300.0}

    report = narrow.measure()

    assert (report["camera"]["vertical_fov_deg"], report["camera"]["vertical_fov_from"]) == (45.0, "given")
    assert report["test"]["uncalibrated"]["error_deg"]["mean"] == 0.0
    assert report["distance_mm"]["given"] == 300.0


def test_a_distance_that_contradicts_the_field_of_view_is_noted(narrow):
    narrow.description = {"camera": {"vertical_fov_deg": 45.0}, "distance_mm": 300.0}
    contradicted = narrow.measure()
    narrow.description = {"camera": {"vertical_fov_deg": 45.0}, "distance_mm": 600.0}
    agreed = narrow.measure()

    assert "distance_mm is 300, but the estimate from the faces is 580 mm" in contradicted["notes"][0]
    assert not any("distance_mm" in note for note in agreed["notes"])


def test_a_field_of_view_that_no_webcam_has_is_noted(narrow):
    narrow.description = {"distance_mm": 130.0}

    assert "a vertical field of view of 1" in narrow.measure()["notes"][0]


def test_without_one_it_is_fitted_to_the_distance(narrow):
    narrow.description = {"camera": {"vertical_fov_deg": 45.0}}
    distance_mm = narrow.measure()["distance_mm"]["estimated_median"]
    narrow.description = {"distance_mm": distance_mm}

    report = narrow.measure()

    assert report["camera"]["vertical_fov_from"] == "fitted to distance_mm"
    assert report["camera"]["vertical_fov_deg"] == approx(45.0, abs=0.05)
    assert report["distance_mm"]["estimated_median"] == approx(distance_mm, abs=0.2)
    assert report["test"]["uncalibrated"]["error_deg"]["mean"] < 0.05
    assert "camera.vertical_fov_deg" not in report["defaults_used"]


def test_without_a_distance_either_the_default_counts(narrow):
    report = narrow.measure()

    assert (report["camera"]["vertical_fov_deg"], report["camera"]["vertical_fov_from"]) == (63.0, "default")
    assert report["distance_mm"]["estimated_median"] < 450
    assert report["defaults_used"] == [
        "screen.width_mm",
        "screen.height_mm",
        "screen.width_px",
        "screen.height_px",
        "camera.vertical_fov_deg",
        "camera.offset_x_mm",
        "camera.offset_y_mm",
        "camera.tilt_deg",
        "camera.mirrored",
    ]


def test_fitting_detects_landmarks_once_per_image(narrow):
    narrow.description = {"distance_mm": 600.0}

    narrow.measure()

    assert narrow.detections == 9


def test_a_distance_at_which_no_camera_sees_such_a_face_is_refused(narrow):
    narrow.description = {"distance_mm": 5000.0}

    with pytest.raises(RecordingError, match="no field of view from 10 to 150 degrees gives this distance"):
        narrow.measure()


def test_without_a_face_the_field_of_view_is_not_fitted(recording):
    recording.description = {"distance_mm": 600.0}
    recording.add(0.5, 0.5, faces=[])

    report = recording.measure()

    assert report["camera"]["vertical_fov_from"] == "default"
    assert "could not be fitted" in report["notes"][0]


def test_mirrored_images_are_flipped_as_in_the_service(tmp_path):
    reports = []
    for mirrored in (False, True):
        camera = Camera(mirrored=mirrored)
        recording = FakeRecording(
            tmp_path / str(mirrored), camera=camera, description={"camera": {"mirrored": mirrored}}
        )
        recording.fixate(TEST_TARGETS, "test", off_deg=(1.0, 2.0))
        reports.append(recording.measure())

    assert reports[1]["camera"]["mirrored"] is True
    assert reports[0]["test"] == reports[1]["test"]


@pytest.mark.parametrize(("roll_deg", "angle_deg"), [(-90, 90), (90, 270), (178, 180)])
def test_a_recording_whose_images_are_turned_is_refused_with_the_angle(recording, roll_deg, angle_deg):
    recording.add(0.5, 0.5)
    for _ in range(2):
        recording.add(0.5, 0.5, faces=[make_face(roll_deg=roll_deg)])

    message = rf"^the images are turned by {angle_deg}° clockwise \(2 of 3 images with a face\): turn them back"
    with pytest.raises(RecordingError, match=message):
        recording.measure()


def test_half_of_the_images_may_be_turned(recording):
    recording.add(0.5, 0.5)
    recording.add(0.5, 0.5, faces=[make_face(roll_deg=90)])

    assert recording.measure()["frames"]["flags"] == {"face_rotated": 1}


def report_validation(used, **validation):
    return {
        "calibration": {"used": used, "reason": None if used else "no_improvement", "validation": validation or None}
    }


def test_the_summary_names_both_errors_at_the_validation_targets():
    report = report_validation(used=True, dots=6, generic_accuracy_deg=4.5, accuracy_deg=2.1)

    assert summarise_validation(report) == "Error at 6 validation targets: 4.5° uncalibrated; calibration: 2.1°."


def test_the_summary_says_that_a_calibration_is_not_used():
    report = report_validation(used=False, dots=6, generic_accuracy_deg=4.5, accuracy_deg=4.5)

    assert summarise_validation(report) == (
        "Error at 6 validation targets: 4.5° uncalibrated; calibration: not used (no_improvement)."
    )


@pytest.mark.parametrize("report", [{"calibration": None}, report_validation(used=True)])
def test_without_validation_targets_there_is_no_summary(report):
    assert summarise_validation(report) is None
