"""Single frames of a film whose timeline is known."""

import numpy as np
import pytest

from gaze_core.video_times import VideoTimes
from gaze_tools import film_seek
from gaze_tools.film import open_film, read_times
from gaze_tools.film_seek import seek_frames
from gaze_tools.saliency.compute import read_video_frames
from tests.studio.film_maker import make_film

WANTED = (1, 2, 25, 49, 50)


def decode(path, numbers=WANTED):
    with open_film(path) as film:
        return {frame.number: frame.rgb() for frame in film if frame.number in numbers}


def seek(path, numbers=WANTED):
    return seek_frames(path, numbers, read_times(path).starts_s)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.mp4", {}),
        ("sound.mp4", {"sound": "aac"}),
        ("short groups.mp4", {"options": {"g": "10", "bf": "3"}}),
        ("late.mp4", {"times_ms": [500 + 40 * number for number in range(50)]}),
        ("variable.mkv", {"times_ms": [40 * number + 13 * (number % 3) for number in range(50)]}),
        ("vp9.webm", {"codec": "libvpx-vp9"}),
        ("odd.mkv", {"codec": "ffv1", "pixel_format": "yuv444p", "width": 161, "height": 97}),
    ],
)
def test_frames_are_those_of_the_whole_film(tmp_path, name, options):
    path = make_film(tmp_path / name, **options)
    found, expected = seek(path), decode(path)

    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[number], expected[number]) for number in expected)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("open groups.mp4", "libx264", {"g": "10", "x264-params": "open-gop=1:bframes=3:scenecut=0"}),
        ("open groups.ts", "libx264", {"g": "10", "x264-params": "open-gop=1:bframes=3:scenecut=0"}),
        ("no key frames.mkv", "libx264", {"g": "10", "x264-params": "intra-refresh=1:bframes=0"}),
        ("inaccurate.ts", "mpeg4", {"g": "10"}),
        ("inaccurate.mpg", "mpeg1video", {"g": "10", "bf": "2"}),
    ],
)
def test_a_frame_is_that_of_the_whole_film_or_not_found(tmp_path, name, codec, options):
    """Seeking may end between key frames, and some decoders make an image of what follows there."""
    path = make_film(tmp_path / name, codec=codec, options=options)
    starts_s, expected = read_times(path).starts_s, decode(path, range(51))
    assert expected.keys() == set(range(1, 51))

    # Every distance from a key frame, which come every 10 frames.
    found = {number: seek_frames(path, [number], starts_s) for number in (*range(1, 51, 3), 2, 50)}
    assert all(each is None or np.array_equal(each[number], expected[number]) for number, each in found.items())
    assert found[1] is not None


@pytest.mark.parametrize("name", ["open groups.mp4", "open groups.ts"])
def test_groups_of_frames_that_need_the_group_before_are_searched(tmp_path, name):
    options = {"g": "10", "x264-params": "open-gop=1:bframes=3:scenecut=0"}

    assert seek(make_film(tmp_path / name, options=options), range(1, 51)).keys() == set(range(1, 51))


def test_no_frame_is_decoded_twice(tmp_path, monkeypatch):
    """A film with one key frame takes no longer than decoding it once."""
    path = make_film(tmp_path / "film.mp4", options={"g": "250", "sc_threshold": "0"})
    starts_s, started = read_times(path).starts_s, []
    decode_from = film_seek._Decoder._decode_from
    monkeypatch.setattr(film_seek._Decoder, "_decode_from", lambda *all_: started.append(all_) or decode_from(*all_))

    assert seek_frames(path, WANTED, starts_s).keys() == set(WANTED)
    assert len(started) == 1


def test_frames_beyond_the_end_are_left_out(tmp_path):
    assert seek(make_film(tmp_path / "film.mp4"), [0, 50, 51]).keys() == {50}


@pytest.mark.parametrize("frames", [49, 51])
def test_a_film_with_another_number_of_frames_is_not_searched(tmp_path, frames):
    path = make_film(tmp_path / "film.mp4")

    assert seek_frames(path, [1], np.arange(frames) / 25) is None


def test_a_film_with_other_times_is_not_searched(tmp_path):
    path = make_film(tmp_path / "film.mp4")
    starts_s = read_times(path).starts_s
    starts_s[30:] += 0.002

    assert seek_frames(path, [1], starts_s) is None


def test_a_film_without_presentation_times_is_not_searched(tmp_path):
    path = make_film(tmp_path / "old.avi", codec="mpeg4")

    assert seek(path) is None


def test_a_frame_that_follows_damage_is_looked_for_in_the_whole_film(tmp_path):
    path = make_film(tmp_path / "film.mp4", options={"g": "50", "sc_threshold": "0"})
    starts_s, data = read_times(path).starts_s, bytearray(path.read_bytes())
    media = data.index(b"mdat")
    data[media + 2000 : media + 2200] = bytes(200)
    path.write_bytes(data)
    found = read_video_frames(path, {1, 50}, VideoTimes(25.0, starts_s.size))
    expected = decode(path, {1, 50})

    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[number], expected[number]) for number in expected)


def test_a_known_timeline_saves_the_frames_before(tmp_path, monkeypatch):
    path = make_film(tmp_path / "film.mp4")
    monkeypatch.setattr("gaze_tools.saliency.compute.open_film", None)  # decodes the whole film

    assert read_video_frames(path, {50}, VideoTimes(25.0, 50)).keys() == {50}
    assert read_video_frames(path, {50}, VideoTimes(starts_s=np.arange(50) / 25)).keys() == {50}


def test_without_a_timeline_the_film_is_decoded(tmp_path):
    path = make_film(tmp_path / "film.mp4")

    assert read_video_frames(path, {50}, VideoTimes()).keys() == read_video_frames(path, {50}).keys() == {50}
