"""Recordings as folders of files: content and validation."""

import pytest
from click.testing import CliRunner

from gaze_core.types import Camera, GazePoint, Screen
from research.evaluation.__main__ import main
from research.recordings.recording import RecordingError, RecordingPhase, Row, load_recording
from tests.fakes.recordings import FakeRecording


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
        Row("a.jpg", GazePoint(0.5, 0.25), RecordingPhase.CALIBRATION),
        Row("b.png", GazePoint(1.0, 0.0), RecordingPhase.TEST),
    )


def test_a_table_out_of_a_spreadsheet_is_read(folder):
    table = "\ufeffphase, y ,x,frame,remark\r\ntest, 0.25 ,0.5, a.jpg ,\r\n\r\n,,,,\r\n"
    (folder / "targets.csv").write_bytes(table.encode())

    assert load_recording(folder).rows == (Row("a.jpg", GazePoint(0.5, 0.25), RecordingPhase.TEST),)


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
        ("{", "recording.json is not valid JSON at character 2"),
        ("[]", "recording.json must be a JSON object"),
        ('{"camera": {"vertical_fov_deg": 5}}', "recording.json: camera.vertical_fov_deg must be at least 10.0"),
        ('{"screen": {"width_mm": 300}}', "recording.json: screen must have width_mm and height_mm together"),
        ('{"screen": [345, 194]}', "recording.json: screen must be an object"),
        ('{"camera": {"mirrored": "yes"}}', "recording.json: camera.mirrored must be true or false"),
        ('{"distance_mm": 55}', "recording.json: distance_mm must be a number from 100 to 5000"),
        ('{"distance_mm": "550"}', "recording.json: distance_mm must be a number from 100 to 5000"),
        ('{"distance_mm": true}', "recording.json: distance_mm must be a number from 100 to 5000"),
        ('{"distance_mm": NaN}', "recording.json contains a number that is not finite"),
        ('{"distance_mm": 550, "distance_mm": 400}', "recording.json contains the key distance_mm twice"),
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


def test_the_command_reports_problems_and_prints_nothing_else(folder):
    write_rows(folder, "a.jpg,0.5,0.5,trial")

    result = CliRunner().invoke(main, ["--recording", str(folder)])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: targets.csv, line 2: phase must be calibration or test; got 'trial'\n"
