"""Viewers' clips: times of the frames, what cannot be used, and which part of the film they cover."""

import av
import numpy as np
import pytest

from gaze_tools.run.check import NoFaceError, check_clip, is_black
from gaze_tools.run.clip import ClipFrame, probe_clip, read_clip
from gaze_tools.run.command import describe_lengths
from gaze_tools.run.viewing import PostedFrames, place_in_film
from gaze_tools.sample_clip import SAMPLE
from tests.fakes.face_landmarker import FakeFaceLandmarker
from tests.fakes.videos import GREY, write_video

BLACK = np.zeros_like(GREY)


class TestTimes:
    def test_each_frame_has_its_own_presentation_time(self, tmp_path):
        path = write_video(tmp_path / "phone.mp4", [GREY] * 4, times_ms=[0, 33, 300, 333])

        assert [round(frame.time_s, 3) for frame in read_clip(path)] == [0, 0.033, 0.3, 0.333]

    def test_times_count_from_the_first_frame(self, tmp_path):
        path = write_video(tmp_path / "late.mkv", [GREY] * 2, times_ms=[4000, 4050])

        assert [round(frame.time_s, 3) for frame in read_clip(path)] == [0, 0.05]

    def test_the_last_frame_belongs_to_the_duration(self):
        clip = probe_clip(SAMPLE / "clip.mp4")

        assert (clip.frames, clip.duration_s) == (200, 10.0)

    def test_an_av1_clip_is_read_like_any_other(self, tmp_path):
        path = write_video(tmp_path / "av1.mp4", [np.full((64, 64, 3), 128, dtype=np.uint8)] * 3, codec="libsvtav1")

        assert [frame.image.shape for frame in read_clip(path)] == [(64, 64, 3)] * 3

    def test_frames_are_rgb(self, tmp_path):
        red = np.zeros((48, 64, 3), dtype=np.uint8)
        red[..., 0] = 250

        image = next(read_clip(write_video(tmp_path / "red.mp4", [red] * 2))).image

        assert image[24, 32, 0] > 200
        assert image[24, 32, 2] < 50


class TestUnusable:
    def test_a_file_that_is_not_a_video(self, tmp_path):
        (tmp_path / "text.mp4").write_text("not a video")

        with pytest.raises(OSError, match="as a video: Invalid data"):
            probe_clip(tmp_path / "text.mp4")

    def test_an_empty_file(self, tmp_path):
        (tmp_path / "empty.mp4").touch()

        with pytest.raises(OSError, match="is empty"):
            probe_clip(tmp_path / "empty.mp4")

    def test_a_file_with_sound_alone(self, tmp_path):
        with av.open(str(tmp_path / "sound.mp4"), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), format="fltp", layout="mono")
            frame.rate = 8000
            container.mux(stream.encode(frame))
            container.mux(stream.encode())

        with pytest.raises(OSError, match="contains no video"):
            probe_clip(tmp_path / "sound.mp4")

    def test_half_a_file(self, tmp_path):
        whole = (SAMPLE / "clip.mp4").read_bytes()
        (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])

        with pytest.raises(OSError, match=r"half\.mp4"):
            probe_clip(tmp_path / "half.mp4")

    def test_a_single_frame(self, tmp_path):
        with pytest.raises(OSError, match="contains a single frame"):
            check_clip(write_video(tmp_path / "one.mp4", [GREY]), FakeFaceLandmarker())

    def test_no_face(self, tmp_path):
        with pytest.raises(NoFaceError, match=r"shows no face in any of the 10 frames that were checked\. It must"):
            check_clip(write_video(tmp_path / "wall.mp4", [GREY] * 10), FakeFaceLandmarker(faces=[]))

    def test_black_frames_are_called_black(self, tmp_path):
        with pytest.raises(NoFaceError, match=r"is black in all 10 frames that were checked: was the camera covered"):
            check_clip(write_video(tmp_path / "dark.mp4", [BLACK] * 10), FakeFaceLandmarker())

    def test_a_long_clip_is_checked_at_24_places(self, tmp_path):
        path = write_video(tmp_path / "long.mp4", [GREY] * 240)

        with pytest.raises(NoFaceError, match="in any of the 24 frames that were checked"):
            check_clip(path, FakeFaceLandmarker(faces=[]))

    @pytest.mark.parametrize(("level", "is_so"), [(0, True), (16, True), (17, False)])
    def test_the_black_of_television_is_black(self, level, is_so):
        assert is_black(np.full((48, 64, 3), level, dtype=np.uint8)) is is_so

    def test_a_small_bright_face_is_not_black(self):
        image = BLACK.copy()
        image[8:40, 24:40] = 120

        assert not is_black(image)

    def test_some_black_frames_are_counted(self, tmp_path):
        path = write_video(tmp_path / "mixed.mp4", [BLACK] * 4 + [GREY] * 6, codec="libx264")

        with pytest.raises(NoFaceError, match="10 frames that were checked; 4 of them are black"):
            check_clip(path, FakeFaceLandmarker(faces=[]))

    def test_a_face_after_a_black_beginning_is_enough(self, tmp_path):
        path = write_video(tmp_path / "slow.mp4", [BLACK] * 4 + [GREY] * 6, codec="libx264")

        assert check_clip(path, FakeFaceLandmarker()).frames == 10


def frames_at(*times_s):
    return [ClipFrame(time_s, GREY) for time_s in times_s]


class TestFilm:
    def test_without_an_offset_clip_and_film_begin_together(self):
        placed = place_in_film(frames_at(0, 0.5), PostedFrames(), offset_s=0, film_s=10)

        assert [position for _, position in placed] == [0, 500]

    def test_frames_before_the_film_begins_are_left_out(self):
        viewing = PostedFrames()

        placed = list(place_in_film(frames_at(0, 1.5, 2.0, 2.5), viewing, offset_s=-2, film_s=10))

        assert [position for _, position in placed] == [0, 500]
        assert (viewing.before, viewing.after) == (2, 0)

    def test_a_clip_that_begins_late_has_later_positions(self):
        placed = place_in_film(frames_at(0, 0.5), PostedFrames(), offset_s=3, film_s=10)

        assert [position for _, position in placed] == [3000, 3500]

    def test_frames_after_the_film_are_left_out(self):
        viewing = PostedFrames()

        placed = list(place_in_film(frames_at(0.9, 1.0, 1.1), viewing, offset_s=0, film_s=1))

        assert [position for _, position in placed] == [900]
        assert (viewing.before, viewing.after) == (0, 2)

    @pytest.mark.parametrize(
        ("offset_s", "film_s", "said"),
        [
            (0, 10, ""),
            (0.15, 10.15, ""),
            (0.25, 10.25, "The score covers the film from 0.2 s to 10.2 s"),
            (0, 25, "The score covers the film from 0.0 s to 10.0 s"),
            (5, 15, "The score covers the film from 5.0 s to 15.0 s"),
            (0, 4, "Left out of the clip: 0.0 s before the film begins, 6.0 s after it has ended."),
            (-3, 7, "Left out of the clip: 3.0 s before the film begins, 0.0 s after it has ended."),
        ],
    )
    def test_what_the_clip_covers_is_said(self, capsys, offset_s, film_s, said):
        describe_lengths(probe_clip(SAMPLE / "clip.mp4"), film_s, offset_s)

        printed = " ".join(capsys.readouterr().out.split())
        assert said in printed
        assert ("covers" in printed or "Left out" in printed) is bool(said)

    @pytest.mark.parametrize("offset_s", [-10, 20])
    def test_a_clip_without_a_moment_of_the_film_is_refused(self, offset_s):
        with pytest.raises(OSError, match=r"no part of the clip \(10.0 s\) was recorded during the film \(20.0 s\)"):
            describe_lengths(probe_clip(SAMPLE / "clip.mp4"), 20, offset_s)
