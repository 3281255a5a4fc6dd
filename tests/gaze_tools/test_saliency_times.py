"""Maps are found by presentation time: computed, imported, exported and checked."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from func.session.attention_score import score_gazes
from func.session.frame_record import FrameRecord
from gaze_core.types import GazePoint, Screen, Validity, Viewport
from gaze_tools.cli import main
from gaze_tools.film import read_times
from gaze_tools.saliency.map_video import open_map_video
from tests.fakes.films import copy_film, write_film

FILMS = Path(__file__).with_name("films")

LEFT = np.array([[9, 9, 9, 0, 0, 0, 0, 0, 0, 0]], dtype=np.uint8)
RIGHT = LEFT[:, ::-1]


@pytest.fixture
def compute(gaze):
    # Times do not depend on what the maps show, which takes most of the time.
    made = ("--video-id", "v", "--grace", "0", "--no-faces", "--model", "centre_bias")
    return lambda film, *options: gaze("saliency", "compute", film, *made, *options)


@pytest.fixture
def load(gaze):
    """Import maps under the id `v`."""
    return lambda source, *options, fails=False: gaze(
        "saliency", "import", source, "--video-id", "v", "--grace", "0", *options, fails=fails
    )


@pytest.fixture
def find(store):
    """Return the frame with the map for a position in the video; None if there is none."""

    def run(position_ms):
        number = store.extract_saliencyMap("v").times.find_frame(position_ms)
        stored = list(store.extract_saliencyMap("v", frame_nums=[number]).stored)
        return number if stored else None

    return run


def score(store, gazes):
    """Score gazes, given as (position in ms, x)."""
    points = {number: GazePoint(x, 0.5) for number, (_, x) in enumerate(gazes, start=1)}
    records = {
        number: FrameRecord(Validity.OK, video_time_ms=position_ms)
        for number, (position_ms, _) in enumerate(gazes, start=1)
    }
    return score_gazes(store, "v", points, records, screen=Screen(width_mm=345), viewport=Viewport())


def facts(database):
    return database["videos"].find_one({"_id": "v"})


def save(path, maps):
    np.save(path, np.array(maps))
    return path


class TestCompute:
    @pytest.mark.parametrize(("name", "frame"), [("cfr.mp4", 106), ("vfr.mp4", 31)])
    def test_the_map_at_3500_ms_is_that_of_the_second_half(self, compute, find, store, name, frame):
        compute(FILMS / name, "--model", "spectral_residual")
        maps = dict(store.extract_saliencyMap("v").maps)

        assert find(3500) == frame
        assert np.array_equal(maps[frame], maps[max(maps)])
        assert not np.array_equal(maps[frame], maps[1])

    def test_a_variable_rate_is_said(self, compute, gaze):
        assert "Variable frame rate, 5 to 30 frames/s, mean 17.43" in compute(FILMS / "vfr.mp4")
        assert "variable frame rate, 5 to 30 frames/s, mean 17.43" in gaze("saliency", "verify", "v")

    def test_a_constant_rate_needs_no_times(self, compute, database):
        assert "30 frames/s" in compute(FILMS / "cfr.mp4")

        assert "frame_times" not in facts(database)
        assert (facts(database)["fps"], facts(database)["duration_s"]) == (30.0, 6.0)

    def test_times_of_earlier_maps_go_with_them(self, compute, database):
        compute(FILMS / "vfr.mp4")
        compute(FILMS / "cfr.mp4")

        assert {"frame_times", "times_digest"} & facts(database).keys() == set()

    def test_the_end_of_the_film_is_its_last_frame(self, compute, find):
        compute(FILMS / "base.mp4")

        assert [find(position_ms) for position_ms in (3999, 4000, 4200, 4250)] == [100] * 4
        assert [find(position_ms) for position_ms in (4300, 9000)] == [None] * 2

    def test_a_held_map_is_valid_from_its_own_time_to_that_of_the_next(self, compute, store):
        compute(FILMS / "vfr.mp4", "--every", "5")
        times = store.extract_saliencyMap("v").times

        numbers = [times.find_frame(position_ms) for position_ms in (0, 999, 1000, 2999, 3000, 3170, 5999)]
        found = store.extract_saliencyMap("v", frame_nums=numbers)

        assert [(each.frame_nums[0], int(each.saliency_map.size > 0)) for each in found.stored] == [
            (1, 1),
            (6, 1),
            (15, 1),
            (16, 1),
            (21, 1),
            (105, 1),
        ]

    def test_a_codec_that_opencv_cannot_decode_has_maps(self, compute):
        assert "100 maps for 100 frames" in compute(FILMS / "av1.mp4")

    def test_lost_frames_are_said_and_move_no_map(self, compute, gaze, find, tmp_path):
        whole = write_film(tmp_path / "whole.mp4", np.arange(100) / 25, options={"g": "1"})
        film = copy_film(whole, tmp_path / "cut.mp4", without=range(40, 50))
        missing = "About 10 frames are missing at 1.60-2.00 s; all other maps keep their times."

        assert missing in compute(film)

        assert missing in gaze("saliency", "verify", "v")
        # Frame 41 of what is left is frame 51 of the whole film. Before it, frame 40 stays on screen.
        assert [find(position_ms) for position_ms in (1560, 1990, 2000, 3960)] == [40, 40, 41, 90]

    def test_a_film_that_cannot_be_decoded_changes_nothing(self, gaze, tmp_path, database):
        (tmp_path / "film.mp4").write_bytes((FILMS / "base.mp4").read_bytes()[:2000])

        said = gaze("saliency", "compute", tmp_path / "film.mp4", "--video-id", "v", fails=True)

        assert "film.mp4" in said
        assert facts(database) is None


class TestPerfectViewer:
    def test_a_viewer_who_follows_a_variable_rate_scores_100(self, load, store, tmp_path):
        # 15 frames of 200 ms with the salient place on the left, 90 of 33 ms with it on the right.
        maps = save(tmp_path / "maps.npy", [LEFT] * 15 + [RIGHT] * 90)
        load(maps, "--video", FILMS / "vfr.mp4")

        scored = score(store, [(50 * step, 0.1 if step < 60 else 0.9) for step in range(121)])

        assert (scored.statistics.final_score, scored.lost["no_map"]) == (100.0, 0)

    def test_one_who_looks_at_the_other_side_scores_0(self, load, store, tmp_path):
        load(save(tmp_path / "maps.npy", [LEFT] * 15 + [RIGHT] * 90), "--video", FILMS / "vfr.mp4")

        assert score(store, [(50 * step, 0.9 if step < 60 else 0.1) for step in range(121)]).statistics.final_score == 0

    def test_a_clip_watched_to_its_end_is_scored_to_its_end(self, load, store, tmp_path):
        # A player that stopped reports the duration as the position.
        load(save(tmp_path / "maps.npy", [LEFT] * 100), "--video", FILMS / "base.mp4")

        scored = score(store, [(50 * step, 0.1) for step in range(80)] + [(4000, 0.1)] * 20)

        assert (scored.statistics.final_score, scored.lost["no_map"]) == (100.0, 0)

    def test_without_positions_frame_n_is_frame_n_of_the_video(self, load, store, tmp_path):
        load(save(tmp_path / "maps.npy", [LEFT] * 15 + [RIGHT] * 90), "--video", FILMS / "vfr.mp4")

        points = {number: GazePoint(0.1 if number <= 15 else 0.9, 0.5) for number in range(1, 31)}
        scored = score_gazes(store, "v", points, {}, screen=Screen(width_mm=345), viewport=Viewport())

        assert scored.statistics.final_score == 100.0


class TestImport:
    @pytest.mark.parametrize("option", ["--video", "--like"])
    def test_the_film_has_the_times(self, load, find, database, tmp_path, option):
        load(save(tmp_path / "maps.npy", [LEFT] * 105), option, FILMS / "vfr.mp4")

        assert find(3500) == 31
        assert (facts(database)["duration_s"], facts(database)["frame_count"]) == (6.0, 105)

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("times.csv", "frame,time_s\n1,0\n2,1\n3,1.04\n"),
            ("times.csv", "time_ms\n0\n1000\n1040\n"),
            ("times.json", '{"times_s": [0, 1, 1.04]}'),
            ("times.json", '{"times_ms": [0, 1000, 1040]}'),
        ],
    )
    def test_a_file_has_the_times(self, load, find, tmp_path, name, content):
        (tmp_path / name).write_text(content)

        load(save(tmp_path / "maps.npy", [LEFT, LEFT, RIGHT]), "--times", tmp_path / name)

        assert [find(position_ms) for position_ms in (999, 1000, 1039, 1040)] == [1, 2, 2, 3]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ("time_s\n0\n1\n", "2 times for 3 maps"),
            ("time\n0\n1\n2\n", "must state the unit"),
            ("0\n1\n2\n", "must state the unit"),
            ("time_s\n0\n2\n1\n", "does not come after"),
            ("time_s\n0\n1\n1\n", "does not come after"),
            ("time_s\n-1\n0\n1\n", "count from 0"),
            ("time_s\n0\nnan\n1\n", "count from 0"),
            ("time_s\n0\nx\n1\n", "not a number"),
            ("", "is empty"),
            ("{", "not JSON"),
            ("[0, 1, 2]", "must state the unit"),
        ],
    )
    def test_times_that_do_not_fit_are_refused(self, load, database, tmp_path, content, reason):
        (tmp_path / "times.csv").write_text(content)

        said = load(save(tmp_path / "m.npy", [LEFT] * 3), "--times", tmp_path / "times.csv", fails=True)

        assert reason in said
        assert "digest" not in (facts(database) or {})

    def test_times_of_held_maps(self, load, store, find, tmp_path):
        (tmp_path / "times.csv").write_text("time_s\n0\n2\n3\n")

        maps = save(tmp_path / "maps.npy", [LEFT, RIGHT, LEFT])
        load(maps, "--times", tmp_path / "times.csv", "--every", "5", "--held")

        scored = score(store, [(0, 0.1), (1990, 0.1), (2000, 0.9), (2990, 0.9), (3000, 0.1), (3900, 0.1)])
        assert (scored.statistics.final_score, scored.lost["no_map"]) == (100.0, 0)
        assert find(4300) is None

    def test_a_map_video_keeps_its_times(self, load, find, tmp_path):
        said = load(write_film(tmp_path / "maps.mkv", [0, 1, 1.04, 2], codec="ffv1", pixels="gray"))

        assert "Variable frame rate" in said
        assert [find(position_ms) for position_ms in (990, 1000, 1040, 1990, 2000)] == [1, 2, 3, 3, 4]

    def test_a_rate_that_is_given_replaces_the_times_of_a_map_video(self, load, find, tmp_path):
        film = write_film(tmp_path / "maps.mkv", [0, 1, 1.04, 2], codec="ffv1", pixels="gray")

        said = load(film, "--fps", "10")

        assert "--fps 10 is used. Without it, its times are kept." in said
        assert [find(position_ms) for position_ms in (0, 100, 300)] == [1, 2, 4]

    def test_two_maps_at_the_same_time_are_shown_a_millisecond_apart(self, tmp_path):
        with open_map_video(tmp_path / "maps.mkv", (2, 3), 25.0) as write:
            for time_s in (0.0, 0.5, 0.5, 0.6):
                write(np.zeros((2, 3), dtype=np.uint8), time_s)

        assert read_times(tmp_path / "maps.mkv").starts_s.tolist() == [0, 0.5, 0.501, 0.6]

    def test_maps_beyond_the_end_of_the_film_are_said(self, load, database, tmp_path):
        said = load(save(tmp_path / "maps.npy", [LEFT] * 110), "--video", FILMS / "vfr.mp4")

        assert "The film has 105 frames, but the maps go up to frame 110. Do they belong together?" in said
        assert (facts(database)["frame_count"], facts(database)["map_count"]) == (110, 110)

    def test_a_converted_collection_keeps_its_times(self, load, gaze, store, find, tmp_path):
        load(save(tmp_path / "maps.npy", [LEFT] * 105), "--video", FILMS / "vfr.mp4")
        gaze("saliency", "import", "collection:v", "--video-id", "v", "--grace", "0")

        assert find(3500) == 31
        assert store.extract_saliencyMap("v").times.duration_s == 6.0

    def test_a_collection_of_variable_rate_has_no_times_for_shifted_numbers(self, load, gaze, tmp_path):
        load(save(tmp_path / "maps.npy", [LEFT] * 105), "--video", FILMS / "vfr.mp4")
        renumbered = ("saliency", "import", "collection:v", "--video-id", "w", "--grace", "0", "--first", "8")

        assert "the frame rate of the video is unknown" in gaze(*renumbered, fails=True)
        assert "shifted by +7" in gaze(*renumbered, "--fps", "17")


class TestNumbersOfFolders:
    @pytest.fixture
    def folder(self, tmp_path):
        for number in range(4):
            cv2.imwrite(str(tmp_path / f"{number:04d}.png"), np.array([[0, 1, 2], [3, 4, number + 1]], dtype=np.uint8))
        return tmp_path

    def test_a_folder_that_starts_with_0_is_refused_with_the_option_to_use(self, load, folder, database):
        said = load(folder, "--fps", "25", fails=True)

        assert "The first map is frame 0, but frames count from 1: add --first 1 to shift all numbers by 1" in said
        assert "digest" not in facts(database)

    @pytest.mark.parametrize(("first", "stored"), [(1, [1, 2, 3, 4]), (11, [11, 12, 13, 14]), (0, [0, 1, 2, 3])])
    def test_the_first_number_can_be_given(self, load, folder, database, *, first, stored):
        said = load(folder, "--fps", "25", "--first", first)

        assert sorted(database["v"].distinct("frame_num")) == stored
        assert ("all numbers were shifted" in said) is (first != 0)
        assert (facts(database)["first_frame"], facts(database)["frame_count"]) == (stored[0], stored[-1])

    def test_distances_between_numbers_remain(self, load, folder, store):
        (folder / "0001.png").unlink()

        load(folder, "--fps", "25", "--first", "1")

        assert [number for number, _ in store.extract_saliencyMap("v").maps] == [1, 3, 4]


class TestExport:
    @pytest.mark.parametrize("name", ["maps.npy", "maps", "maps.mkv"])
    def test_times_survive_the_way_out_and_back(self, load, gaze, find, *, store, tmp_path, name):
        load(save(tmp_path / "in.npy", [LEFT] * 15 + [RIGHT] * 90), "--video", FILMS / "vfr.mp4")
        before = list(store.extract_saliencyMap("v").maps)

        gaze("saliency", "export", "v", tmp_path / name)
        load(tmp_path / name, *([] if name == "maps.mkv" else ["--times", tmp_path / f"{name}.json"]))

        after = list(store.extract_saliencyMap("v").maps)
        assert all(np.array_equal(old, new) for (_, old), (_, new) in zip(before, after, strict=True))
        assert [find(position_ms) for position_ms in (0, 200, 2999, 3000, 3500, 5999)] == [1, 2, 15, 16, 31, 105]

    def test_the_file_beside_has_the_time_of_each_map(self, load, gaze, tmp_path):
        load(save(tmp_path / "in.npy", [LEFT] * 21), "--video", FILMS / "vfr.mp4", "--every", "5", "--held")

        gaze("saliency", "export", "v", tmp_path / "out.npy")

        beside = json.loads((tmp_path / "out.npy.json").read_text())
        assert (beside["frames"][:5], beside["times_s"][:5]) == ([1, 6, 11, 16, 21], [0, 1, 2, 3, 3.166667])

    def test_a_video_of_maps_lasts_as_long_as_the_film(self, load, gaze, tmp_path):
        load(save(tmp_path / "in.npy", [LEFT] * 20), "--fps", "25", "--every", "5", "--held")

        gaze("saliency", "export", "v", tmp_path / "out.mp4")

        assert read_times(tmp_path / "out.mp4").starts_s[[0, 1, 19]].tolist() == pytest.approx([0, 0.2, 3.8], abs=1e-3)


@pytest.fixture(scope="module")
def example(mongo_uri, mongo_client, tmp_path_factory):
    """A database with the maps of a film, which no test changes."""
    maps = save(tmp_path_factory.mktemp("verify") / "maps.npy", [LEFT] * 105)
    command = ("saliency", "import", maps, "--video-id", "v", "--video", FILMS / "vfr.mp4")
    environment = {"MONGO_URI": mongo_uri, "MONGO_DATABASE": "verify"}
    done = CliRunner().invoke(main, [str(each) for each in command], env=environment)
    assert done.exit_code == 0, done.output
    return mongo_client["verify"]


class TestVerify:
    @pytest.fixture
    def _stored(self, example, database):
        for name in ("videos", "v"):
            database[name].insert_many(example[name].find())

    @pytest.mark.usefixtures("_stored")
    def test_the_times_of_the_film_itself_pass(self, gaze):
        said = gaze("saliency", "verify", "v", "--film", FILMS / "vfr.mp4")

        assert "variable frame rate, 5 to 30 frames/s, mean 17.43; they are those of vfr.mp4" in said

    @pytest.mark.usefixtures("_stored")
    def test_those_of_another_film_do_not(self, gaze):
        said = gaze("saliency", "verify", "v", "--film", FILMS / "cfr.mp4", fails=True)

        assert "The film has 180 frames, but 105 are stored." in said
        assert "104 frames are shown at another time in the film" in said

    def test_maps_from_before_times_were_stored_are_found_out(self, load, gaze, tmp_path):
        load(save(tmp_path / "maps.npy", [LEFT] * 105), "--fps", "16.58")

        said = gaze("saliency", "verify", "v", "--film", FILMS / "vfr.mp4", fails=True)

        assert "variable frame rate, 5 to 30 frames/s, mean 17.43), but a constant frame rate is stored" in said

    @pytest.mark.usefixtures("_stored")
    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"duration_s": 5.0}, "The last frame starts at"),
            ({"duration_s": 6.5}, "The digest of the frame times does not match"),
            ({"times_digest": "0"}, "The digest of the frame times does not match"),
            ({"frame_count": 90}, "There are times for 105 frames, but frame_count is 90"),
            ({"frame_count": 90}, "frame_count is 90, but there is a map of frame 105"),
            ({"fps": 25.0}, "fps is 25.0, but the times have a mean of 17.43 frames/s"),
            ({"map_count": 106}, "map_count is 106, but the maps say 105"),
            ({"first_frame": 3}, "first_frame is 3, but the maps say 1"),
            ({"frame_times": "gone"}, "the frame times of 'v' are malformed"),
        ],
    )
    def test_a_changed_fact_is_found(self, gaze, database, change, problem):
        database["videos"].update_one({"_id": "v"}, {"$set": change})

        assert problem in gaze("saliency", "verify", "v", fails=True)

    def test_a_constant_rate_that_does_not_fit_the_duration_is_found(self, load, gaze, database, tmp_path):
        load(save(tmp_path / "maps.npy", [LEFT] * 100), "--video", FILMS / "base.mp4")
        database["videos"].update_one({"_id": "v"}, {"$set": {"fps": 10.0}})

        assert "duration_s is 4, but frame 100 starts at 9.9 s" in gaze("saliency", "verify", "v", fails=True)
