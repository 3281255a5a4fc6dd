"""`gaze saliency list`, and what `show`, `export` and `verify` say about what is not there."""

import json

import pytest

from gaze_tools.saliency.list_command import describe_time


class TestShowAndExport:
    def test_frames_without_a_map_are_named_after_the_others_were_drawn(self, gaze, array, tmp_path):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")
        show = ("saliency", "show", "v", "--out", tmp_path / "maps.png", "--frames")

        assert "v has no usable map for frames 9999" in gaze(*show, "1,9999", fails=True)
        assert (tmp_path / "maps.png").exists()
        assert "v has no usable map for frames 77, 9999" in gaze(*show, "77,9999", fails=True)
        assert "'1,x' is not a list of frame numbers" in gaze(*show, "1,x", fails=True)

    def test_an_unknown_suffix_is_refused_with_the_known_ones(self, gaze, array, tmp_path):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")

        said = gaze("saliency", "export", "v", tmp_path / "maps.gif", fails=True)

        assert "maps.gif: maps are written to .npy, .mkv, .mp4, or to a directory of PNG files" in said
        assert not (tmp_path / "maps.gif").exists()
        (tmp_path / "maps.v2").mkdir()
        gaze("saliency", "export", "v", tmp_path / "maps.v2")
        gaze("saliency", "export", "v", tmp_path / "plain")
        assert len(list((tmp_path / "maps.v2").glob("*.png"))) == len(list((tmp_path / "plain").glob("*.png"))) == 6


class TestList:
    def test_what_is_known_of_every_video(self, gaze, array, video, database):
        gaze("saliency", "import", array, "--video-id", "array", "--video", video, "--how", "by a friend")
        database["old"].insert_many([{"frame_num": number, "saliency_map": [[0.1, 0.2]]} for number in (1, 2, 2)])
        database["not a video"].insert_one({"frame_num": 1})

        array_facts, old = json.loads(gaze("saliency", "list", "--json"))

        assert abs(array_facts.pop("age_s")) < 600
        assert array_facts == {
            "video_id": "array",
            "maps": 6,
            "width": 32,
            "height": 18,
            "fps": 25.0,
            "duration_s": 0.48,
            "how": "by a friend",
            "faces": False,
            "faces_share": 0.0,
        }
        assert (old["video_id"], old["maps"], old["fps"], old["age_s"]) == ("old", 2, None, None)

    def test_the_table_has_a_row_for_each(self, gaze, array):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25", "--with-faces", "--how", "a friend")

        said = gaze("saliency", "list")

        assert "video id maps size fps length age faces made by" in said
        assert "v 6 32×18 25 0.24 s" in said
        assert "salient a friend" in said

    def test_an_empty_database_says_so(self, gaze, database):
        assert f"No video in the database {database.name} has saliency maps." in gaze("saliency", "list")

    def test_deleted_maps_are_not_listed(self, gaze, array):
        gaze("saliency", "import", array, "--video-id", "v", "--fps", "25")
        gaze("saliency", "delete", "v", "--yes", "--grace", "0")

        assert json.loads(gaze("saliency", "list", "--json")) == []

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(None, "–"), (0.5, "0.5 s"), (59, "59 s"), (90, "1.5 min"), (7200, "2 h"), (172_800, "2 d")],
    )
    def test_times_are_in_their_largest_unit(self, seconds, text):
        assert describe_time(seconds) == text


class TestVerify:
    def test_a_video_without_maps_has_no_progress_bar(self, gaze):
        assert gaze("saliency", "verify", "nosuch", fails=True) == "Error: no saliency map for video 'nosuch'"
