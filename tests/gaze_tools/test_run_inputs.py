"""`gaze run` before anything is started: options, calibration folders, directories."""

import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from gaze_tools.cli import main
from gaze_tools.run.calibration import read_calibration
from gaze_tools.run.command import describe_result
from gaze_tools.run.film import make_out_dir, make_video_id
from gaze_tools.run.setup import Setup, read_setup
from gaze_tools.sample_clip import SAMPLE
from tests.docs.test_links import ROOT
from tests.fakes.videos import GREY, write_video

RECORDING = ROOT / "tests/research/recording"
NOTHING = dict.fromkeys(("screen_mm", "screen_px", "fov_deg", "camera_offset_mm", "tilt_deg", "mirrored", "viewport"))


def run(*arguments):
    result = CliRunner().invoke(main, ["run", str(SAMPLE / "video.mp4"), *map(str, arguments)])
    return result.exit_code, " ".join(result.output.split())


class TestSetup:
    def test_what_is_not_given_is_not_sent(self):
        assert read_setup(dict(NOTHING)).as_fields() == {}

    def test_all_options(self):
        options = {
            "screen_mm": (344.0, 194.0),
            "screen_px": (1920.0, 1080.0),
            "fov_deg": 50.0,
            "camera_offset_mm": (0.0, 8.0),
            "tilt_deg": 2.0,
            "mirrored": True,
            "viewport": (0.1, 0.2, 0.5, 0.6),
        }

        assert read_setup(options).as_fields() == {
            "screen": {"width_mm": 344.0, "height_mm": 194.0, "width_px": 1920, "height_px": 1080},
            "camera": {
                "vertical_fov_deg": 50.0,
                "offset_x_mm": 0.0,
                "offset_y_mm": 8.0,
                "tilt_deg": 2.0,
                "mirrored": True,
            },
            "viewport": {"x": 0.1, "y": 0.2, "width": 0.5, "height": 0.6},
        }

    def test_options_count_before_the_recording(self):
        setup = Setup(camera={"tilt_deg": 5.0}).over(Setup(camera={"tilt_deg": 1.0, "offset_x_mm": 3.0}))

        assert setup.as_fields() == {"camera": {"tilt_deg": 5.0, "offset_x_mm": 3.0}}

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--screen-mm", "344"], "'344' is not of the form 344x194"),
            (["--screen-mm", "5x5"], "screen width_mm: Input should be greater than or equal to 10"),
            (["--fov-deg", "170"], "camera vertical_fov_deg: Input should be less than or equal to 150"),
            (["--viewport", "0,0,1"], "'0,0,1' is not of the form 0,0,1,1"),
        ],
    )
    def test_a_value_that_the_function_would_refuse(self, tmp_path, options, said):
        status, output = run("--viewer", SAMPLE / "clip.mp4", "--out", tmp_path / "out", *options)

        assert status == 2
        assert said in output


class TestBeforeTheStart:
    @pytest.mark.parametrize("sources", [[], ["--viewer", SAMPLE / "clip.mp4", "--camera", "0"]])
    def test_there_is_one_viewer(self, sources):
        status, output = run(*sources)

        assert status == 2
        assert "Give either --viewer CLIP or --camera N." in output

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--viewer", SAMPLE / "clip.mp4", "--offset", "nan"], "--offset must be a number of seconds, not nan."),
            (["--camera", "200"], "200 is not in the range 0<=x<=99."),
        ],
    )
    def test_a_number_that_means_nothing_is_a_wrong_use(self, options, said):
        status, output = run(*options)

        assert (status, said in output) == (2, True)

    def test_runs_that_start_in_the_same_second_get_directories_of_their_own(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)

        made = {make_out_dir(None, overwrite=False) for _ in range(3)}

        assert len(made) == 3
        assert all(each.is_dir() and each.parts[0] == "out" for each in made)

    def test_files_are_never_overwritten_by_accident(self, tmp_path):
        (tmp_path / "notes.txt").write_text("mine")

        status, output = run("--viewer", SAMPLE / "clip.mp4", "--out", tmp_path)

        assert status == 1
        assert "is not empty; choose another directory with --out, or add --overwrite" in output
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    @pytest.mark.parametrize(
        ("sources", "said"),
        [
            (["--camera", "99"], "cannot open webcam 99"),
            (["--viewer", SAMPLE / "clip.mp4", "--offset", "60"], "was recorded during the film"),
            (["--viewer", "text.mp4"], "as a video"),
            (["--viewer", SAMPLE / "clip.mp4", "--overlay", "o.gif"], "the overlay o.gif must be an .mp4 file"),
            (
                ["--viewer", SAMPLE / "clip.mp4", "--overwrite", "--overlay", SAMPLE / "video.mp4"],
                "would replace a file",
            ),
            (["--viewer", SAMPLE / "clip.mp4", "--calibrate", "."], "targets.csv"),
        ],
    )
    def test_an_unusable_input_starts_nothing(self, tmp_path, monkeypatch, sources, said):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "text.mp4").write_text("not a video")

        status, output = run(*sources, "--out", tmp_path / "out")

        assert status == 1
        assert said in output
        assert "Starting" not in output
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("command", [["run", SAMPLE / "video.mp4", "--viewer"], ["demo", "--video"]])
    def test_a_clip_without_a_face_starts_nothing(self, tmp_path, command):
        wall = write_video(tmp_path / "wall.mp4", [GREY] * 5)

        result = CliRunner().invoke(main, [*map(str, command), str(wall), "--out", str(tmp_path / "out")])

        assert "shows no face in any of the 5 frames" in " ".join(result.output.split())
        assert not (tmp_path / "out").exists()


class TestCalibrationFolder:
    @pytest.fixture
    def folder(self, tmp_path):
        shutil.copytree(RECORDING, tmp_path / "me")
        return tmp_path / "me"

    def test_the_folder_of_the_sample(self):
        found = read_calibration(RECORDING)

        assert found.targets == 5
        assert found.images[0].path == RECORDING / "frames/0001.jpg"

    def test_images_that_only_test_are_left_out(self, folder):
        rows = (folder / "targets.csv").read_text().splitlines()
        calibration = [row for row in rows if row.rstrip().endswith("calibration")]

        assert len(read_calibration(folder).images) == len(calibration) < len(rows) - 1

    def test_screen_and_camera_are_those_of_the_description(self, folder):
        described = {"screen": {"width_mm": 500, "height_mm": 300}, "camera": {"tilt_deg": 3}, "distance_mm": 600}
        (folder / "recording.json").write_text(json.dumps(described))

        found = read_calibration(folder)

        assert found.setup.as_fields() == {"screen": described["screen"], "camera": described["camera"]}
        assert found.has_unused_distance

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("frame,x,y\n", "line 1: the column phase is missing"),
            ("frame,x,y,phase\nnone.jpg,0,0,test\n", "line 2: 'none.jpg' is not a file in"),
            ("frame,x,y,phase\n../targets.csv,0,0,test\n", "line 2: '../targets.csv' is not a file in"),
            ("frame,x,y,phase\n0001.jpg,0,0,pause\n", "line 2: phase must be calibration or test, not 'pause'"),
            ("frame,x,y,phase\n0001.jpg,960,540,test\n", "x and y must be numbers from 0 to 1"),
            ("frame,x,y,phase\n0001.jpg,nan,0.5,test\n", "x and y must be numbers from 0 to 1"),
            ("frame,x,y,phase\n0001.jpg,0.5,0.5,calibration\n", "has 1 calibration targets; a calibration needs 5"),
        ],
    )
    def test_a_malformed_table_names_file_and_line(self, folder, text, said):
        (folder / "targets.csv").write_text(text)

        with pytest.raises(ValueError, match=r"targets\.csv") as caught:
            read_calibration(folder)

        assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "video_id"), [("film.mp4", "film"), ("Ünser Film (1).mov", "nser-Film-1"), ("....mp4", "film")]
)
def test_the_video_id_is_the_name_of_the_film(tmp_path, name, video_id):
    assert make_video_id(tmp_path / name) == video_id


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["CAMERA=97"], "There is no webcam 97: /dev/video97 does not exist."),
        (["VIDEO=no such file.mp4"], "no such file.mp4 does not exist"),
        (["WATCHED=Makefile"], "WATCHED needs the viewer: add VIDEO=me.mp4 or CAMERA=0."),
        (["VIDEO=Makefile", "CAMERA=0"], "Give either VIDEO or CAMERA."),
        (["VIDEO=Makefile", "WATCHED=none.mp4"], "none.mp4 does not exist"),
    ],
)
def test_make_demo_checks_its_inputs_before_it_installs_anything(tmp_path, arguments, said):
    done = subprocess.run(
        ["make", "demo", f"VENV={tmp_path / 'venv'}", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "venv").exists()


RESULT = {
    "score_valid": False,
    "score_invalid_reason": "too_few_frames",
    "frames": {"expected": 3, "scored": 2},
    "lost": {"no_face": 1},
}


@pytest.mark.parametrize(
    ("mirrored", "advice"),
    [
        ({"suspected": True, "declared": False}, "add --mirrored"),
        ({"suspected": True, "declared": True}, "leave out --mirrored"),
        ({"suspected": False, "declared": False}, None),
        (None, None),
    ],
)
def test_a_camera_that_seems_to_be_mirrored_is_named(mirrored, advice):
    calibration = {"used": False, "reason": "mirrored", "accuracy_deg": 21.7, "mirrored": mirrored}

    rows = dict(describe_result(RESULT | {"calibration": calibration}))

    assert rows["calibration"] == "not used: mirrored; error 21.7° on its targets"
    assert ("camera" in rows) is (advice is not None)
    assert (advice or "") in rows.get("camera", "")
