"""Saliency maps from and to files of every kind."""

import bson
import cv2
import numpy as np
import pytest
from bson import json_util

from gaze_core.errors import SaliencyMapError
from gaze_tools.saliency.sources import read_source, write_target

MAPS = np.array([[[0, 10, 20], [30, 40, 50]], [[255, 0, 0], [0, 0, 1]]], dtype=np.uint8)
FLOATS = [[0.0, 0.5], [0.25, 1.0]]


def read(path, **kwargs):
    return {
        number: each if isinstance(each, Exception) else each.tolist() for number, each in read_source(path, **kwargs)
    }


def whole(frame_num):
    return {"frame_num": frame_num, "saliency_map": FLOATS}


def chunks(frame_num):
    content = bson.encode(whole(frame_num))
    return [
        {"frame_num": frame_num, "chunk_index": index, "data": content[start : start + 30]}
        for index, start in enumerate(range(0, len(content), 30))
    ]


class TestArrays:
    def test_frames_are_numbered_from_the_first(self, tmp_path):
        np.save(tmp_path / "maps.npy", MAPS)

        assert read(tmp_path / "maps.npy") == {1: MAPS[0].tolist(), 2: MAPS[1].tolist()}
        assert list(read(tmp_path / "maps.npy", first_frame=10)) == [10, 11]

    def test_another_shape_is_refused(self, tmp_path):
        np.save(tmp_path / "maps.npy", MAPS[0])

        with pytest.raises(ValueError, match=r"\(frames, rows, columns\)"):
            read(tmp_path / "maps.npy")

    def test_pickled_objects_are_never_loaded(self, tmp_path):
        np.save(tmp_path / "maps.npy", np.array([object()]), allow_pickle=True)

        with pytest.raises(ValueError, match="Python objects"):
            read(tmp_path / "maps.npy")


class TestFolders:
    def test_the_last_number_of_a_name_is_the_frame(self, tmp_path):
        cv2.imwrite(str(tmp_path / "map_v2_0007.png"), MAPS[0])
        np.save(tmp_path / "12.npy", MAPS[1])
        (tmp_path / "readme.txt").write_text("no map")

        assert read(tmp_path) == {7: MAPS[0].tolist(), 12: MAPS[1].tolist()}

    def test_sixteen_bits_become_0_to_1(self, tmp_path):
        cv2.imwrite(str(tmp_path / "1.png"), np.array([[0, 65535]], dtype=np.uint16))

        assert read(tmp_path) == {1: [[0.0, 1.0]]}

    def test_a_picture_that_is_none_hides_no_other(self, tmp_path):
        (tmp_path / "1.png").write_text("not an image")
        (tmp_path / "2.npy").write_text("no array")
        cv2.imwrite(str(tmp_path / "3.png"), MAPS[0])

        found = read(tmp_path)

        assert isinstance(found[1], SaliencyMapError)
        assert isinstance(found[2], SaliencyMapError)
        assert found[3] == MAPS[0].tolist()

    @pytest.mark.parametrize(
        ("names", "reason"),
        [(["a1.png", "b1.png"], "both frame 1"), (["map.png"], "no frame number"), ([], "no images")],
    )
    def test_names_must_tell_the_frames_apart(self, tmp_path, names, reason):
        for name in names:
            cv2.imwrite(str(tmp_path / name), MAPS[0])

        with pytest.raises(ValueError, match=reason):
            read(tmp_path)


class TestDumps:
    def test_a_mongodump_in_all_old_forms_and_any_order(self, tmp_path):
        first, *rest = chunks(9)
        documents = [*rest, whole(2), first, whole(1)]
        (tmp_path / "v.bson").write_bytes(b"".join(bson.encode(each) for each in documents))

        assert read(tmp_path / "v.bson") == {1: FLOATS, 2: FLOATS, 9: FLOATS}

    @pytest.mark.parametrize("as_array", [False, True])
    def test_a_mongoexport_by_lines_or_as_an_array(self, tmp_path, as_array):
        documents = [whole(2), *reversed(chunks(9))]
        text = json_util.dumps(documents) if as_array else "\n".join(json_util.dumps(each) for each in documents)
        (tmp_path / "v.json").write_text(text)

        assert read(tmp_path / "v.json") == {2: FLOATS, 9: FLOATS}

    def test_a_chunk_that_is_missing_is_the_trouble_of_its_frame(self, tmp_path):
        documents = [*chunks(1)[:-2], *chunks(1)[-1:], whole(2)]
        (tmp_path / "v.bson").write_bytes(b"".join(bson.encode(each) for each in documents))

        found = read(tmp_path / "v.bson")

        assert isinstance(found[1], SaliencyMapError)
        assert found[2] == FLOATS

    def test_a_dump_that_is_cut_off_is_refused(self, tmp_path):
        (tmp_path / "v.bson").write_bytes(bson.encode(whole(1))[:-5])

        with pytest.raises(ValueError, match="truncated"):
            read(tmp_path / "v.bson")

    @pytest.mark.parametrize("text", ["not json\n", "[1, 2]\n"[1:], '{"frame_num": "x"}\n'])
    def test_an_export_that_is_none_is_refused(self, tmp_path, text):
        (tmp_path / "v.json").write_text(text)

        with pytest.raises(ValueError, match=r"JSON|document"):
            read(tmp_path / "v.json")


@pytest.mark.parametrize("name", ["maps.npy", "maps.mkv", "maps"])
def test_what_is_written_is_read_back_to_the_byte(tmp_path, name):
    maps = np.random.default_rng(0).integers(0, 256, (5, 18, 32), dtype=np.uint8)

    numbers = write_target(tmp_path / name, enumerate(maps, start=1), count=5, fps=20.0)

    assert numbers == [1, 2, 3, 4, 5]
    assert read(tmp_path / name) == {number: each.tolist() for number, each in enumerate(maps, start=1)}


def test_an_mp4_loses_little(tmp_path):
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (36, 1))
    write_target(tmp_path / "maps.mp4", [(1, ramp), (2, ramp)], count=2, fps=20.0)

    found = read(tmp_path / "maps.mp4")

    assert np.abs(np.array(found[2]) - ramp).mean() < 4


def test_maps_of_two_sizes_cannot_be_written_together(tmp_path):
    with pytest.raises(ValueError, match="differs in size"):
        write_target(tmp_path / "maps.npy", [(1, MAPS[0]), (2, MAPS[0][:1])], count=2, fps=20.0)


def test_what_is_not_there_or_unknown_is_said(tmp_path):
    (tmp_path / "maps.txt").write_text("")

    with pytest.raises(FileNotFoundError):
        read(tmp_path / "nothing.npy")
    with pytest.raises(ValueError, match=r"is not \.npy"):
        read(tmp_path / "maps.txt")
