"""`gaze saliency` and what users send it: value ranges, colours, flat maps, faces, Ctrl-C."""

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from gaze_tools.cli import main
from gaze_tools.sample_clip import SAMPLE
from tests.gaze_tools.example_maps import MAPS


def numbers(store):
    return [number for number, _ in store.extract_saliencyMap("v").maps]


@pytest.fixture
def run_interrupted(mongo_uri, database, monkeypatch):
    """Run a command in which a function is interrupted by Ctrl-C."""

    def interrupt(*_arguments, **_options):
        raise KeyboardInterrupt

    def run(function, *arguments):
        monkeypatch.setattr(function, interrupt)
        return CliRunner().invoke(
            main, [str(each) for each in arguments], env={"MONGO_URI": mongo_uri, "MONGO_DATABASE": database.name}
        )

    return run


class TestCompute:
    def test_faces_are_salient_unless_that_is_off(self, gaze, video, database):
        gaze("saliency", "compute", video, "--video-id", "v", "--every", "6")
        assert database["videos"].find_one()["faces"] == {"channel": True, "share": 0.0}

        said = gaze("saliency", "compute", video, "--video-id", "v", "--every", "6", "--no-faces", "--grace", "0")

        assert "2 maps made in" in said
        assert "0% of the searched frames show a face." in said
        assert database["videos"].find_one()["faces"] == {"channel": False, "share": 0.0}

    def test_without_a_landmarker_the_way_out_is_named(self, gaze, video, database, monkeypatch):
        def fail(*_arguments, **_options):
            raise OSError("libEGL.so.1: cannot open shared object file")

        monkeypatch.setattr("func.adapters.face_landmarker_mediapipe.load_mediapipe", fail)
        arguments = ("saliency", "compute", video, "--video-id", "v")

        said = gaze(*arguments, fails=True)
        assert "install the Debian packages libegl1 libgles2" in said
        assert "--no-faces makes maps that ignore faces" in said

        assert "No search for faces: MediaPipe's library cannot be loaded" in gaze(*arguments, "--no-faces")
        assert database["videos"].find_one()["faces"] == {"channel": False, "share": None}

    def test_flat_maps_are_named(self, gaze, tmp_path):
        writer = cv2.VideoWriter(str(tmp_path / "fade.mkv"), cv2.VideoWriter.fourcc(*"FFV1"), 25.0, (64, 36))
        for number in range(4):
            frame = np.zeros((36, 64, 3), dtype=np.uint8)
            frame[10:20, 10:20] = 0 if number == 2 else 240
            writer.write(frame)
        writer.release()

        said = gaze("saliency", "compute", tmp_path / "fade.mkv", "--video-id", "v")

        assert "1 maps are flat: all pixels are equal, so no gaze can hit them: frames 3" in said

    def test_ctrl_c_keeps_the_finished_maps(self, mongo_uri, database, video, monkeypatch):
        def break_off(_self, frame):
            if frame[10, 2 + 4 * 7].max() > 200 and frame[10, 2 + 4 * 7 - 1].max() < 200:
                raise KeyboardInterrupt
            return np.eye(36, 64, dtype=np.float32)

        monkeypatch.setattr("gaze_tools.saliency.models.centre_bias.CentreBias.map_frame", break_off)
        command = ["saliency", "compute", str(video), "--video-id", "v", "--model", "centre_bias"]

        result = CliRunner().invoke(main, command, env={"MONGO_URI": mongo_uri, "MONGO_DATABASE": database.name})

        assert result.exit_code == 130
        assert result.stderr.strip() == "Interrupted. The finished maps are kept: the same command resumes."
        assert database["v"].count_documents({}) == 7


class TestImport:
    def test_values_over_1_are_normalised_unless_that_is_off(self, gaze, tmp_path, store):
        np.save(tmp_path / "big.npy", np.array([[[0.0, 5.0], [2.5, 10.0]]]))
        arguments = ("saliency", "import", tmp_path / "big.npy", "--video-id", "v", "--fps", "25")

        assert "without --normalise=off it is rescaled" in gaze(*arguments, "--normalise=off", fails=True)
        said = gaze(*arguments)

        assert "Normalised 1 maps: floats above 1 were divided by the largest value of their map (frames 1)" in said
        assert next(store.extract_saliencyMap("v").maps)[1].tolist() == [[0, 128], [64, 255]]

    def test_normalise_without_a_value_divides_each_map(self, gaze, tmp_path, store):
        np.save(tmp_path / "half.npy", np.array([[[0, 100], [50, 25]]], dtype=np.uint8))

        gaze("saliency", "import", tmp_path / "half.npy", "--video-id", "v", "--fps", "25", "--normalise")

        assert next(store.extract_saliencyMap("v").maps)[1].tolist() == [[0, 255], [128, 64]]

    def test_densities_become_maps_that_can_be_hit(self, gaze, tmp_path, store):
        ramp = np.arange(18 * 32.0).reshape(18, 32)
        np.save(tmp_path / "density.npy", np.stack([ramp, ramp.T.reshape(18, 32)]) / ramp.sum())

        said = gaze("saliency", "import", tmp_path / "density.npy", "--video-id", "v", "--fps", "25")

        assert "Normalised 2 maps: densities" in said
        assert [(each.min(), each.max()) for _, each in store.extract_saliencyMap("v").maps] == [(0, 255), (0, 255)]

    def test_a_few_flat_maps_are_named(self, gaze, tmp_path, store):
        maps = MAPS.copy()
        maps[2:4] = 7
        np.save(tmp_path / "maps.npy", maps)

        said = gaze("saliency", "import", tmp_path / "maps.npy", "--video-id", "v", "--fps", "25")

        assert "2 maps are flat: all pixels are equal, so no gaze can hit them: frames 3-4" in said
        assert len(numbers(store)) == 6

    @pytest.mark.parametrize("options", [[], ["--normalise=off"]])
    def test_flat_maps_alone_are_refused_and_change_nothing(self, gaze, array, tmp_path, store, options):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")
        flat = np.full((3, 4, 4), 0.001)
        flat[:, 0, 0] = 0.0015 if options else 0.001
        np.save(tmp_path / "flat.npy", flat)

        said = gaze("saliency", "import", tmp_path / "flat.npy", "--video-id", "v", "--fps", "25", *options, fails=True)

        assert "all 3 maps are flat" in said
        assert ("without --normalise=off, small values are rescaled" in said) is bool(options)
        assert len(numbers(store)) == 6

    def test_coloured_maps_are_refused_unless_they_are_allowed(self, gaze, tmp_path, store):
        for number in (1, 2):
            cv2.imwrite(str(tmp_path / f"{number}.png"), cv2.applyColorMap(MAPS[number], cv2.COLORMAP_JET))
        arguments = ("saliency", "import", tmp_path, "--video-id", "v", "--fps", "25")

        assert "1.png is in colour: the palette of a heat map cannot be turned back" in gaze(*arguments, fails=True)
        gaze(*arguments, "--allow-colour")

        assert numbers(store) == [1, 2]

    def test_ctrl_c_changes_nothing(self, gaze, run_interrupted, array, store):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")

        result = run_interrupted(
            "gaze_tools.saliency.intake.Intake.accept", "saliency", "import", array, "--video-id", "v", "--fps", "25"
        )

        assert result.exit_code == 130
        assert result.stderr.strip() == "Interrupted. The maps that were stored before are unchanged."
        assert len(numbers(store)) == 6

    def test_the_film_of_the_maps_is_searched_for_faces(self, gaze, array, database):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")
        assert "faces" not in database["videos"].find_one()

        said = gaze("saliency", "import", array, "--video-id", "v", "--video", SAMPLE / "clip.mp4", "--grace", "0")
        assert "100% of the searched frames show a face, but the maps ignore faces: results will warn" in said
        assert database["videos"].find_one()["faces"] == {"channel": False, "share": 1.0}

        said = gaze("saliency", "import", "collection:v", "--video-id", "w")
        assert database["videos"].find_one({"_id": "w"})["faces"] == {"channel": False, "share": 1.0}

    def test_converted_maps_keep_their_face_channel(self, gaze, array, database):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25", "--with-faces")

        gaze("saliency", "import", "collection:v", "--video-id", "v", "--video", SAMPLE / "clip.mp4", "--grace", "0")

        assert database["videos"].find_one()["faces"] == {"channel": True, "share": 1.0}

    def test_maps_that_know_faces_can_say_so(self, gaze, array, database):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25", "--with-faces")

        assert database["videos"].find_one()["faces"] == {"channel": True, "share": None}
