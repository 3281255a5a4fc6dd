"""Films of every kind: what their frames look like and when they are shown."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from gaze_tools.film import open_film, read_times
from tests.fakes.films import copy_film, write_film

FILMS = Path(__file__).with_name("films")
SECOND_S = np.arange(25) / 25


def film_times(path):
    return read_times(path).starts_s.round(4).tolist()


class TestTimes:
    def test_a_constant_rate_is_known_as_such(self):
        times = read_times(FILMS / "cfr.mp4")

        assert (times.starts_s.size, times.fps, times.is_constant, times.duration_s) == (180, 30.0, True, 6.0)
        assert (times.table_s, times.warnings, times.describe()) == (None, (), "30 frames/s")

    def test_a_variable_rate_has_a_time_for_each_frame(self):
        times = read_times(FILMS / "vfr.mp4")

        assert times.starts_s[[0, 1, 14, 15, 16]].round(4).tolist() == [0, 0.2, 2.8, 3.0, 3.0333]
        assert (times.starts_s.size, times.is_constant, times.duration_s) == (105, False, 6.0)
        assert (times.warnings, times.describe()) == ((), "variable frame rate, 5 to 30 frames/s, mean 17.43")

    @pytest.mark.parametrize(
        ("name", "codec"), [("f.mp4", "libx264"), ("f.mkv", "libx264"), ("f.webm", "libvpx"), ("f.ts", "libx264")]
    )
    def test_containers_and_reordered_frames_keep_their_times(self, tmp_path, name, codec):
        film = write_film(tmp_path / name, [0, 0.04, 0.1, 0.3, 0.32], codec=codec)

        assert film_times(film) == [0, 0.04, 0.1, 0.3, 0.32]

    def test_an_mp4_that_starts_late_plays_late(self, tmp_path):
        # So do browsers: `currentTime` counts from the start of the file's timeline.
        film = write_film(tmp_path / "late.mp4", SECOND_S + 0.5)

        times = read_times(film)

        assert (times.starts_s[0], times.duration_s, times.is_constant) == (0.5, 1.5, False)
        assert times.describe() == "25 frames/s, the first one at 0.500 s"

    def test_the_clock_of_a_transport_stream_starts_with_the_film(self, tmp_path):
        assert film_times(write_film(tmp_path / "f.ts", SECOND_S + 20, codec="libx264"))[:2] == [0, 0.04]

    def test_joined_streams_follow_each_other(self, tmp_path):
        first = write_film(tmp_path / "a.ts", SECOND_S + 20, codec="libx264")
        second = write_film(tmp_path / "b.ts", SECOND_S, codec="libx264")
        (tmp_path / "ab.ts").write_bytes(first.read_bytes() + second.read_bytes())

        times = read_times(tmp_path / "ab.ts")

        assert times.starts_s.size == 50
        assert times.starts_s[[0, 24, 49]].tolist() == pytest.approx([0, 0.96, 1.96], abs=0.05)
        assert any("start again near 0.96 s" in warning for warning in times.warnings)

    def test_sound_that_is_longer_keeps_the_last_frame_on_screen(self, tmp_path):
        times = read_times(write_film(tmp_path / "f.mp4", SECOND_S, audio_s=3.0))

        assert times.duration_s == pytest.approx(3.0, abs=0.05)
        assert times.warnings == ()

    def test_the_last_frame_lasts_as_long_as_the_others(self, tmp_path):
        assert (
            read_times(write_film(tmp_path / "f.avi", SECOND_S, codec="mpeg4", time_base=Fraction(1, 25))).duration_s
            == 1.0
        )

    @pytest.mark.parametrize(
        ("codec", "options"), [("libx264", {"x264-params": "bframes=3:b-adapt=0"}), ("mpeg4", {"bf": "2"})]
    )
    def test_no_frame_of_an_avi_file_with_reordered_frames_is_lost(self, tmp_path, codec, options):
        film = write_film(tmp_path / "f.avi", SECOND_S, codec=codec, options=options, time_base=Fraction(1, 25))

        times = read_times(film)

        assert (times.starts_s.size, times.fps, times.is_constant, times.warnings) == (25, 25.0, True, ())

    def test_a_stream_without_times_plays_at_the_rate_that_it_states(self, tmp_path):
        times = read_times(write_film(tmp_path / "f.h264", SECOND_S, codec="libx264"))

        assert times.starts_s.tolist() == pytest.approx(SECOND_S.tolist())
        assert times.warnings == ("25 frames have no presentation time; a constant 25 frames/s is assumed.",)

    def test_a_gif_has_frames_of_any_length(self, tmp_path):
        film = write_film(
            tmp_path / "f.gif", [0, 0.1, 0.5, 0.6], codec="gif", pixels="rgb8", time_base=Fraction(1, 100)
        )

        assert film_times(film) == [0, 0.1, 0.5, 0.6]
        assert read_times(film).warnings == ()


class TestImages:
    def test_a_codec_that_opencv_cannot_decode_is_decoded(self):
        with open_film(FILMS / "av1.mp4") as film:
            images = [frame.rgb() for frame in film]

        assert (len(images), images[0].shape, film.codec) == (100, (180, 320, 3), "libdav1d")

    def test_images_are_those_of_opencv(self):
        capture = cv2.VideoCapture(str(FILMS / "base.mp4"))
        with open_film(FILMS / "base.mp4") as film:
            for frame in film:
                _, expected = capture.read()
                assert np.array_equal(frame.rgb(), expected[..., ::-1])
            assert frame.number == 100
        assert capture.read()[0] is False

    @pytest.mark.parametrize("rotation_deg", [90, 180, 270])
    def test_a_film_that_was_shot_on_its_side_is_turned(self, tmp_path, rotation_deg):
        film = copy_film(FILMS / "cfr.mp4", tmp_path / "turned.mp4", rotation_deg=rotation_deg)
        _, expected = cv2.VideoCapture(str(film)).read()

        with open_film(film) as opened:
            image = next(iter(opened)).rgb()

        assert np.array_equal(image, expected[..., ::-1])
        assert (opened.height, opened.width) == image.shape[:2]

    @pytest.mark.parametrize(("aspect", "width"), [(Fraction(64, 45), 68), (Fraction(1, 2), 24), (Fraction(5, 1), 48)])
    def test_an_anamorphic_film_is_as_wide_as_displayed(self, tmp_path, aspect, width):
        with open_film(write_film(tmp_path / "f.mkv", [0.0], pixel_aspect=aspect)) as film:
            image = next(iter(film)).rgb()

        assert (film.height, film.width, image.shape) == (32, width, (32, width, 3))

    @pytest.mark.parametrize(("pixels", "size"), [("bgra", (32, 48)), ("yuv444p", (31, 47)), ("gray", (32, 48))])
    def test_alpha_odd_sizes_and_grey_are_read(self, tmp_path, pixels, size):
        film = write_film(tmp_path / "f.mkv", [0, 0.04], codec="ffv1", pixels=pixels, size=size)

        with open_film(film) as opened:
            first, second = (frame.rgb() for frame in opened)

        assert first.shape == (*size, 3)
        assert first[10, 4].max() > 150 > second[20, 4].max()


class TestDamage:
    def test_frames_that_are_cut_out_leave_all_others_at_their_times(self, tmp_path):
        whole = write_film(tmp_path / "whole.mp4", np.arange(100) / 25, options={"g": "1"})
        times = read_times(copy_film(whole, tmp_path / "cut.mp4", without=range(40, 50)))

        assert times.starts_s.round(4).tolist() == [n / 25 for n in range(100) if n not in range(40, 50)]
        assert times.warnings == ("About 10 frames are missing at 1.60-2.00 s; all other maps keep their times.",)
        assert times.describe() == "25 frames/s with gaps"

    def test_a_film_that_is_cut_off_ends_with_its_last_frame(self, tmp_path):
        whole = write_film(tmp_path / "whole.mp4", np.arange(100) / 25)
        film = copy_film(whole, tmp_path / "cut.mp4", options={"movflags": "faststart"})
        film.write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])

        times = read_times(film)

        assert times.duration_s == pytest.approx(times.starts_s[-1] + 0.04)
        assert any("before the end that the file states" in warning for warning in times.warnings)

    def test_a_damaged_film_keeps_its_times_and_says_where(self, tmp_path):
        whole = write_film(tmp_path / "whole.mp4", np.arange(100) / 25, codec="libx264", options={"g": "20"})
        film = copy_film(whole, tmp_path / "bad.mp4", options={"movflags": "faststart"})
        content = bytearray(film.read_bytes())
        middle, part = len(content) // 2, len(content) // 10
        content[middle : middle + part] = bytes(part)
        film.write_bytes(content)

        times = read_times(film)

        assert set(times.starts_s.round(4)) < {n / 25 for n in range(100)}
        assert times.starts_s[-1] == 3.96
        assert any("could not be decoded" in warning for warning in times.warnings)
        assert any("missing" in warning for warning in times.warnings)

    def test_a_start_that_cannot_be_decoded_moves_nothing(self, tmp_path):
        whole = write_film(tmp_path / "whole.mp4", np.arange(50) / 25, options={"g": "10"})
        film = copy_film(whole, tmp_path / "bad.mp4", options={"movflags": "faststart"})
        content = bytearray(film.read_bytes())
        start = content.index(b"mdat") + 4
        content[start : start + 300] = bytes(300)
        film.write_bytes(content)

        times = read_times(film)

        assert times.starts_s[-1] == 1.96
        assert times.starts_s[0] > 0.04
        assert any("No frame can be decoded before" in warning for warning in times.warnings)


class TestRefusals:
    def test_what_is_no_film_is_refused(self, tmp_path):
        (tmp_path / "text.mp4").write_text("not a video")
        cv2.imwrite(str(tmp_path / "still.png"), np.zeros((8, 8), np.uint8))

        with pytest.raises(OSError, match=r"cannot read .*text\.mp4 as a video"):
            read_times(tmp_path / "text.mp4")
        with pytest.raises(OSError, match="no such file"):
            read_times(tmp_path / "nothing.mp4")
        with pytest.raises(OSError, match=r"still image.*ffmpeg -loop 1"):
            read_times(tmp_path / "still.png")

    def test_a_file_of_sound_has_no_video(self, tmp_path):
        import av

        with av.open(str(tmp_path / "sound.m4a"), "w") as container:
            stream = container.add_stream("aac", rate=48_000)
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            silence.sample_rate, silence.pts = 48_000, 0
            container.mux(stream.encode(silence))
            container.mux(stream.encode(None))

        with pytest.raises(OSError, match="contains no video, only audio"):
            read_times(tmp_path / "sound.m4a")

    def test_a_film_without_a_decodable_frame_names_its_codec_and_what_to_do(self, tmp_path):
        film = copy_film(FILMS / "base.mp4", tmp_path / "f.mp4", options={"movflags": "faststart"})
        content = bytearray(film.read_bytes())
        start = content.index(b"mdat") + 4
        content[start:] = bytes(len(content) - start)
        film.write_bytes(content)

        with pytest.raises(OSError, match=r"no decodable frame \(codec h264\); convert it.*-c:v libx264"):
            read_times(film)
