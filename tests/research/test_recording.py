"""Recordings of people: validation, counts and errors."""

import shutil

import numpy as np
import pytest
from pytest import approx

from gaze_core.types import Camera, GazePoint, Screen
from research.evaluation.__main__ import main
from research.recordings.errors import TargetErrors, compare_with_targets, describe_errors
from research.recordings.measurement import choose_five
from research.recordings.recording import Phase, RecordingError, Row, load_recording
from tests.fakes.recordings import IN_FRONT_OF_THE_CAMERA_MM, FakeRecording
from tests.fakes.synthetic_face import make_face
from tests.fakes.viewer import FIVE_TARGETS, NINE_TARGETS

TEST_TARGETS = [(0.3, 0.4), (0.6, 0.7), (0.8, 0.2)]


@pytest.fixture
def recording(tmp_path):
    return FakeRecording(tmp_path / "me")


@pytest.fixture
def folder(tmp_path):
    """A folder with two images, a description and one row."""
    (tmp_path / "frames").mkdir()
    for name in ("a.jpg", "b.png"):
        (tmp_path / "frames" / name).write_bytes(b"not read")
    (tmp_path / "recording.json").write_text("{}")
    write_rows(tmp_path, "a.jpg,0.5,0.25,calibration")
    return tmp_path


def write_rows(folder, *rows):
    (folder / "targets.csv").write_text("\n".join(["frame,x,y,phase", *rows]) + "\n")


def problems_of(folder):
    with pytest.raises(RecordingError) as caught:
        load_recording(folder)
    return list(caught.value.problems)


def test_a_recording_holds_the_content_of_its_files(folder):
    (folder / "recording.json").write_text(
        '{"screen": {"width_mm": 300, "height_mm": 200}, "camera": {"tilt_deg": -5}, "distance_mm": 400}'
    )
    write_rows(folder, "a.jpg,0.5,0.25,calibration", "b.png,1,0,test")

    recording = load_recording(folder)

    assert recording.screen == Screen(width_mm=300, height_mm=200)
    assert recording.camera == Camera(tilt_deg=-5)
    assert recording.given == {"screen.width_mm", "screen.height_mm", "camera.tilt_deg"}
    assert recording.distance_mm == 400.0
    assert recording.rows == (
        Row("a.jpg", GazePoint(0.5, 0.25), Phase.CALIBRATION),
        Row("b.png", GazePoint(1.0, 0.0), Phase.TEST),
    )


def test_a_table_out_of_a_spreadsheet_is_read(folder):
    table = "\ufeffphase, y ,x,frame,remark\r\ntest, 0.25 ,0.5, a.jpg ,\r\n\r\n,,,,\r\n"
    (folder / "targets.csv").write_bytes(table.encode())

    assert load_recording(folder).rows == (Row("a.jpg", GazePoint(0.5, 0.25), Phase.TEST),)


def test_images_without_a_row_are_listed(folder):
    for name in (".DS_Store", "notes.txt", "c.JPEG"):
        (folder / "frames" / name).touch()

    assert load_recording(folder).files_without_row == ("b.png", "c.JPEG")


def test_unknown_fields_are_listed(folder):
    (folder / "recording.json").write_text('{"who": "me", "camera": {"fov_deg": 60}, "screen": null}')

    assert load_recording(folder).ignored_fields == ("who", "camera.fov_deg")


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("c.jpg,0.5,0.5,test", "frame c.jpg is not in frames/"),
        ("frames/b.png,0.5,0.5,test", "frame must be a file name in frames/"),
        (",0.5,0.5,test", "frame must be a file name in frames/"),
        ("b.png,left,0.5,test", "x must be a number from 0 to 1, a share of the screen, not pixels; got 'left'"),
        ("b.png,0.5,nan,test", "y must be a number from 0 to 1, a share of the screen, not pixels; got 'nan'"),
        ("b.png,inf,0.5,test", "x must be a number from 0 to 1, a share of the screen, not pixels; got 'inf'"),
        ("b.png,960,0.5,test", "x must be a number from 0 to 1, a share of the screen, not pixels; got '960'"),
        ("b.png,0.5,-0.01,test", "y must be a number from 0 to 1, a share of the screen, not pixels; got '-0.01'"),
        ("b.png,,0.5,test", "x must be a number from 0 to 1, a share of the screen, not pixels; got ''"),
        ("b.png,0.5,0.5,train", "phase must be calibration or test; got 'train'"),
        ("a.jpg,0.5,0.5,test", "frame a.jpg is already in line 2"),
        ("b.png,0.5,0.5", "has 3 values, line 1 has 4"),
        ('b.png,"0,5","0,5",test', "x must be a number from 0 to 1, a share of the screen, not pixels; got '0,5'"),
    ],
)
def test_a_wrong_row_is_named_with_its_line(folder, row, problem):
    write_rows(folder, "a.jpg,0.5,0.25,calibration", row)

    assert f"targets.csv, line 3: {problem}" in problems_of(folder)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (b"", "targets.csv, line 1: needs the columns frame,x,y,phase; missing or duplicate: frame, x, y, phase"),
        (
            b"frame;x;y;phase\na.jpg;0.5;0.5;test\n",
            "targets.csv, line 1: needs the columns frame,x,y,phase; missing or duplicate: frame, x, y, phase",
        ),
        (
            b"frame,x,x,phase\na.jpg,0.5,0.5,test\n",
            "targets.csv, line 1: needs the columns frame,x,y,phase; missing or duplicate: x, y",
        ),
        (b"frame,x,y,phase\n\n", "targets.csv has no rows"),
        (b"frame,x,y,phase\n\xe9.jpg,0.5,0.5,test\n", "targets.csv is not UTF-8"),
        (b'frame,x,y,phase\n"a.jpg,0.5,0.5,test\n', "targets.csv, line 2: unexpected end of data"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(folder, table, problem):
    (folder / "targets.csv").write_bytes(table)

    assert problems_of(folder) == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "recording.json is not valid JSON in UTF-8"),
        ("[]", "recording.json must be a JSON object"),
        ('{"camera": {"vertical_fov_deg": 5}}', "recording.json: camera.vertical_fov_deg must be at least 10.0"),
        ('{"screen": {"width_mm": 300}}', "recording.json: screen must have width_mm and height_mm together"),
        ('{"screen": [345, 194]}', "recording.json: screen must be an object"),
        ('{"camera": {"mirrored": "yes"}}', "recording.json: camera.mirrored must be true or false"),
        ('{"distance_mm": 55}', "recording.json: distance_mm must be a number from 100 to 5000"),
        ('{"distance_mm": "550"}', "recording.json: distance_mm must be a number from 100 to 5000"),
        ('{"distance_mm": true}', "recording.json: distance_mm must be a number from 100 to 5000"),
        ('{"distance_mm": NaN}', "recording.json has a number that is not finite"),
        ('{"distance_mm": 550, "distance_mm": 400}', "recording.json names a key twice"),
    ],
)
def test_a_description_that_the_service_would_refuse_is_refused(folder, text, problem):
    (folder / "recording.json").write_text(text)

    assert problems_of(folder) == [problem]


def test_what_is_missing_is_named(tmp_path):
    assert problems_of(tmp_path) == [
        "recording.json cannot be read: No such file or directory; an empty object {} stands for the defaults",
        "frames/ is missing: the folder with the images",
        "targets.csv cannot be read: No such file or directory",
    ]
    assert problems_of(tmp_path / "nowhere") == [f"{tmp_path / 'nowhere'} is not a directory"]


def test_all_problems_are_reported_together(folder):
    (folder / "recording.json").write_text('{"camera": {"tilt_deg": 90}, "distance_mm": 1}')
    write_rows(folder, "c.jpg,2,0.5,test")

    assert problems_of(folder) == [
        "recording.json: camera.tilt_deg must be at most 60.0",
        "recording.json: distance_mm must be a number from 100 to 5000",
        "targets.csv, line 2: frame c.jpg is not in frames/",
        "targets.csv, line 2: x must be a number from 0 to 1, a share of the screen, not pixels; got '2'",
    ]


def test_of_very_many_problems_the_message_shows_the_first():
    error = RecordingError([f"problem {number}" for number in range(25)])

    assert str(error).splitlines()[-2:] == ["problem 19", "and 5 more"]


def test_three_degrees_at_600_mm_are_31_mm_on_the_screen(tmp_path):
    # The target is the camera itself, straight ahead of the eyes at 600 mm.
    recording = FakeRecording(
        tmp_path / "me", camera=Camera(offset_y_mm=0.0), description={"camera": {"offset_y_mm": 0.0}}
    )
    recording.add(0.5, 0.0, off_deg=(3.0, 0.0), place_mm=IN_FRONT_OF_THE_CAMERA_MM)

    errors = recording.measure()["test"]["uncalibrated"]

    assert errors["error_deg"] == {"mean": 3.0, "median": 3.0, "p95": 3.0}
    assert (errors["offset_right_deg"], errors["offset_up_deg"]) == (3.0, 0.0)
    # 600 mm × tan 3° = 31.4 mm, and 1920 pixels are 345 mm; the distance is estimated within 2 %.
    assert errors["error_mm"]["mean"] == approx(31.4, rel=0.02)
    assert errors["error_px"]["mean"] == approx(175, rel=0.02)


def test_up_is_up(recording):
    recording.add(0.5, 0.5, off_deg=(0.0, 2.0))

    report = recording.measure()

    assert report["test"]["uncalibrated"]["error_deg"]["mean"] == 2.0
    assert report["test"]["uncalibrated"]["offset_up_deg"] == 2.0
    assert report["by_target"][0]["uncalibrated"]["offset_up_deg"] == 2.0


def test_pixels_are_those_of_the_screen(tmp_path):
    reports = []
    for name, width_px, height_px in (("coarse", 1000, 500), ("fine", 2000, 1000)):
        size = {"width_px": width_px, "height_px": height_px}
        recording = FakeRecording(tmp_path / name, description={"screen": size})
        recording.add(0.5, 0.5, off_deg=(1.0, 2.0))
        reports.append(recording.measure()["test"]["uncalibrated"])

    coarse, fine = reports
    assert fine["error_px"]["mean"] == approx(2 * coarse["error_px"]["mean"], abs=0.2)
    assert fine["error_mm"] == coarse["error_mm"]


def errors_of(offsets_deg, targets):
    offsets_deg = np.array(offsets_deg, dtype=float)
    return TargetErrors(np.array(targets), np.linalg.norm(offsets_deg, axis=1), offsets_deg, 10 * offsets_deg)


def test_frames_that_scatter_about_their_target_have_a_median_gaze_on_it():
    described = describe_errors(errors_of([(-2, 0), (0, 0), (2, 0)], [0, 0, 0]), Screen())

    assert described["error_deg"] == {"mean": 1.33, "median": 2.0, "p95": 2.0}
    assert (described["error_of_median_gaze_deg"], described["error_of_median_gaze_mm"]) == (0.0, 0.0)
    assert described["precision_deg"] == 1.63  # the root of (4 + 0 + 4) / 3


def test_every_target_counts_once_for_the_median_gaze_and_every_frame_for_the_frames():
    described = describe_errors(errors_of([(3, 0), (3, 0), (3, 0), (0, -1)], [0, 0, 0, 1]), Screen())

    assert described["error_deg"]["mean"] == 2.5
    assert described["error_of_median_gaze_deg"] == 2.0
    assert (described["offset_right_deg"], described["offset_up_deg"]) == (1.5, -0.5)


def test_a_single_frame_has_no_precision():
    described = describe_errors(errors_of([(3, 0), (1, 0), (2, 0)], [0, 1, 1]), Screen())

    assert described["precision_deg"] == 0.5
    assert describe_errors(errors_of([(3, 0)], [0]), Screen())["precision_deg"] is None


def test_right_and_up_are_positive_on_the_screen_too():
    errors = compare_with_targets(
        np.array([[3.0, 0.0], [0.0, 3.0]]),
        np.array([[0.0, 0.0, 600.0]] * 2),
        [GazePoint(0.5, 0.0)] * 2,
        [0, 0],
        screen=Screen(),
        camera=Camera(offset_y_mm=0.0),
    )

    assert errors.offset_deg == approx(np.array([[3.0, 0.0], [0.0, 3.0]]))
    assert errors.offset_mm == approx(np.array([[31.44, 0.0], [0.0, 31.44]]), abs=0.01)


def test_rays_that_miss_the_screens_plane_are_counted_and_have_no_screen_error():
    errors = compare_with_targets(
        np.array([[0.0, 0.0], [100.0, 0.0]]),
        np.array([[0.0, 0.0, 600.0]] * 2),
        [GazePoint(0.5, 0.0)] * 2,
        [0, 0],
        screen=Screen(),
        camera=Camera(offset_y_mm=0.0),
    )
    described = describe_errors(errors, Screen())

    assert described["rays_that_miss_the_screen_plane"] == 1
    assert described["error_deg"]["mean"] == 50.0
    assert described["error_mm"]["mean"] == 0.0


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
    assert report["notes"][0] == "0007.png cannot be read: the PNG is cut off or one of its chunks reaches past its end"


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


def test_the_command_reports_problems_and_prints_nothing_else(folder, capsys):
    write_rows(folder, "a.jpg,0.5,0.5,trial")

    with pytest.raises(SystemExit, match=r"targets\.csv, line 2: phase must be calibration or test; got 'trial'"):
        main(["--recording", str(folder)])

    assert capsys.readouterr().out == ""
