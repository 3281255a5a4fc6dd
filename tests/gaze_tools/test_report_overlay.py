"""The overlay video, decoded again: frames, times, sound, and where the marker is."""

import contextlib
import dataclasses
from fractions import Fraction

import av
import numpy as np
import pytest

from func.session.attention_score import GazeAccuracy
from gaze_core.types import Screen, Viewport
from gaze_tools.film import read_times
from gaze_tools.film_times import make_times
from gaze_tools.report.examination import Report, examine_session, read_gazes
from gaze_tools.report.eye_events import EyeEvents
from gaze_tools.report.gaze_on_film import GazeOnFilm
from gaze_tools.report.overlay import check_film_fits, check_overlay_path, name_beside, write_overlay
from gaze_tools.report.trace import TraceRow
from tests.fakes.films import copy_film, write_film
from tests.fakes.report import make_session, maps_for, record, right_and_left
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore

SIZE = (180, 320)


def report_of(rows, **changes):
    report = Report(
        session_id="s",
        video_id="v",
        rows=tuple(rows),
        attention=None,
        at_accuracy=None,
        accuracy=None,
        events=EyeEvents(),
        maps_digest=None,
        fps=None,
        stored_result=None,
    )
    return dataclasses.replace(report, **changes)


def gaze_row(number, time_s, x, y, **changes):
    return TraceRow(
        frame_number=number,
        time_s=time_s,
        video_frame=number,
        status="scored",
        screen_x=x,
        screen_y=y,
        video_x=x,
        video_y=y,
        **changes,
    )


def lost_row(number, time_s, status="no_face", **changes):
    return TraceRow(number, time_s, number, status, **changes)


def places(count):
    """Return points of gaze that move over the whole film."""
    return [(0.1 + 0.8 * index / max(1, count - 1), 0.5 + 0.35 * np.sin(0.7 * index)) for index in range(count)]


def rows_at(times_s):
    return [
        gaze_row(number, time_s, x, y)
        for number, (time_s, (x, y)) in enumerate(zip(times_s, places(len(times_s)), strict=True), start=1)
    ]


def decode(path):
    """Return RGB images and times of a film."""
    with av.open(str(path)) as container:
        frames = list(container.decode(container.streams.video[0]))
        return [frame.to_ndarray(format="rgb24") for frame in frames], [float(frame.time) for frame in frames]


def reds(image):
    """Return rows and columns of the pixels of the marker."""
    red, green, blue = (image[..., channel].astype(int) for channel in range(3))
    return np.nonzero((red > 180) & (red - green > 150) & (blue < 150))


def find_marker(image):
    """Return x and y of the middle of the marker, in pixels from the left and top edge."""
    rows, columns = reds(image)
    assert rows.size, "there is no marker"
    return columns.mean() + 0.5, rows.mean() + 0.5


def write(tmp_path, film, rows, **changes):
    times = read_times(film)
    changes = {"film_frames": times.starts_s.size, "film_s": times.duration_s} | changes
    overlay = write_overlay(report_of(rows, **changes), film, times, tmp_path / "overlay.mp4")
    return overlay, *decode(overlay.path)


def write_colours(path, codec, pixels, matrix):
    """Write a film in HD of one red, for whose colours players assume BT.709 unless it says something else."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, pixels
        if matrix is not None:
            stream.codec_context.colorspace = matrix
        image = np.full((720, 1280, 3), (220, 40, 40), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels, dst_colorspace=matrix)
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def seen_by_a_player(path):
    """Return the colour in the middle of a film in HD."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        matrix = 1 if int(frame.colorspace) == 2 else int(frame.colorspace)
        image = frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()
        return image[360, 640].tolist()


class TestMarker:
    def test_its_middle_is_where_the_trace_says_in_every_frame(self, tmp_path):
        times_s = [number / 25 for number in range(30)]
        film = write_film(tmp_path / "film.mp4", times_s, size=SIZE)
        rows = rows_at(times_s)

        _, images, _ = write(tmp_path, film, rows)

        assert len(images) == 30
        for row, image in zip(rows, images, strict=True):
            x, y = find_marker(image)
            assert abs(x - 320 * row.video_x) < 2
            assert abs(y - 180 * row.video_y) < 2

    def test_a_frame_shows_the_last_webcam_frame_taken_while_it_was_on_screen(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0, 0.1, 0.2], size=SIZE)
        rows = [gaze_row(1, 0.01, 0.2, 0.5), gaze_row(2, 0.09, 0.4, 0.5), gaze_row(3, 0.1, 0.6, 0.5)]

        _, images, _ = write(tmp_path, film, rows, film_frames=None)

        # The third frame has none of its own, and shows the one before.
        assert [round(find_marker(image)[0]) for image in images] == [128, 192, 192]

    def test_a_gaze_without_times_is_on_the_frame_of_its_map(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0, 0.5, 0.6], size=SIZE)
        rows = [gaze_row(number, 0.05 * (number - 1), 0.25 * number, 0.5) for number in (1, 2, 3)]

        _, images, _ = write(tmp_path, film, rows)

        assert [round(find_marker(image)[0]) for image in images] == [80, 160, 240]

    def test_of_a_part_that_was_watched_twice_the_last_time_counts(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0, 0.1], size=SIZE)
        rows = [gaze_row(1, 0.0, 0.2, 0.5), gaze_row(2, 0.1, 0.2, 0.5), gaze_row(3, 0.0, 0.8, 0.5)]

        _, images, _ = write(tmp_path, film, rows, film_frames=None)

        assert round(find_marker(images[0])[0]) == 256

    def test_a_gaze_beside_the_film_has_a_pointer_instead(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0, 0.1], size=SIZE)

        _, images, _ = write(tmp_path, film, [gaze_row(1, 0.0, 1.5, 0.5), gaze_row(2, 0.1, 0.5, -9.0)])

        assert all(reds(image)[0].size == 0 for image in images)
        # A yellow triangle at the right edge, and one at the top.
        for red, green, blue in (images[0][90, 314].astype(int), images[1][5, 160].astype(int)):
            assert min(red, green) - blue > 100

    def test_an_old_gaze_is_not_shown(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.1 * number for number in range(10)], size=SIZE)

        _, images, _ = write(
            tmp_path, film, [gaze_row(1, 0.0, 0.5, 0.5), gaze_row(2, 0.05, 0.5, 0.5)], film_frames=None
        )

        assert [reds(image)[0].size > 0 for image in images] == [True, True, *[False] * 8]


class TestMarks:
    @pytest.mark.parametrize(
        ("row", "colour"),
        [
            (lost_row(1, 0.0), [255, 149, 0]),
            (lost_row(1, 0.0, "missing"), [255, 149, 0]),
            (lost_row(1, 0.0, "eyes_closed", blink=1), [64, 156, 255]),
            (gaze_row(1, 0.0, 0.5, 0.5, blink=1), [64, 156, 255]),
        ],
        ids=["no face", "missing", "eyes closed in a blink", "blink with a gaze"],
    )
    def test_blinks_and_lost_frames_have_a_border(self, tmp_path, row, colour):
        film = write_film(tmp_path / "film.mp4", [0.0], size=SIZE)

        _, images, _ = write(tmp_path, film, [row])

        assert images[0][90, 0].tolist() == pytest.approx(colour, abs=40)
        assert images[0][90, -1].tolist() == pytest.approx(colour, abs=40)
        assert reds(images[0])[0].size > 0 if row.video_x else reds(images[0])[0].size == 0

    def test_a_frame_with_a_gaze_has_none(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0], size=SIZE)

        _, images, _ = write(tmp_path, film, [gaze_row(1, 0.0, 0.5, 0.5)])

        assert images[0][90, 0].tolist() == pytest.approx([60, 60, 60], abs=20)

    def test_the_circle_has_the_radius_of_the_accuracy(self, tmp_path):
        # 5 degrees at 600 mm are 52.5 mm, a quarter of a video of 210 mm: 80 of 320 pixels.
        film = write_film(tmp_path / "film.mp4", [0.0], size=SIZE)
        row = gaze_row(1, 0.0, 0.5, 0.5, distance_mm=600.0)

        _, images, _ = write(
            tmp_path,
            film,
            [row],
            accuracy=GazeAccuracy(5.0, "calibration"),
            screen=Screen(width_mm=420.0, height_mm=236.25),
            viewport=Viewport(0.25, 0.25, 0.5, 0.5),
        )

        right = images[0][89:91, 200:280].mean(axis=(0, 2))
        assert abs(200 + int(right.argmax()) - 240) <= 2

    def test_without_an_accuracy_there_is_no_circle(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0], size=SIZE)

        _, images, _ = write(tmp_path, film, [gaze_row(1, 0.0, 0.5, 0.5)])

        assert images[0][89:91, 200:280].max() < 120

    def test_the_tail_fades(self, tmp_path):
        times_s = [0.04 * number for number in range(10)]
        film = write_film(tmp_path / "film.mp4", times_s, size=SIZE)
        rows = [gaze_row(number + 1, time_s, 0.1 + 0.08 * number, 0.5) for number, time_s in enumerate(times_s)]

        _, images, _ = write(tmp_path, film, rows)

        red = images[-1][89, :, 0].astype(int)
        # Its newest part is yellow, its oldest between grey and yellow.
        assert red[240] > 200
        assert 70 < red[38] < 200


class TestFilm:
    def test_a_variable_frame_rate_keeps_its_times(self, tmp_path):
        times_s = [0.0, 0.04, 0.08, 0.5, 0.55, 1.2]
        film = write_film(tmp_path / "film.mp4", times_s, size=SIZE)

        overlay, images, shown_s = write(tmp_path, film, rows_at(times_s))

        assert overlay.frames == len(images) == 6
        assert shown_s == pytest.approx(times_s, abs=1e-4)

    @pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.avi"])
    def test_frame_rate_and_count_are_those_of_the_film(self, tmp_path, name):
        film = write_film(tmp_path / name, [number / 25 for number in range(40)], size=SIZE)

        overlay, images, _ = write(tmp_path, film, rows_at([number / 25 for number in range(40)]))

        with av.open(str(overlay.path)) as container:
            stream = container.streams.video[0]
            assert (stream.average_rate, stream.frames, len(images)) == (25, 40, 40)

    def test_a_late_start_stays(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.5, 0.54, 0.58], size=SIZE)

        _, _, shown_s = write(tmp_path, film, rows_at([0.5, 0.54, 0.58]))

        assert shown_s == pytest.approx([0.5, 0.54, 0.58], abs=1e-4)

    def test_a_film_of_one_frame(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0], size=SIZE)

        _, images, _ = write(tmp_path, film, [gaze_row(1, 0.0, 0.25, 0.75)])

        assert len(images) == 1
        assert find_marker(images[0]) == pytest.approx((80, 135), abs=1)

    def test_a_turned_film_is_as_displayed(self, tmp_path):
        upright = write_film(tmp_path / "upright.mp4", [0.0, 0.04], size=SIZE)
        film = copy_film(upright, tmp_path / "turned.mp4", rotation_deg=90)

        _, images, _ = write(tmp_path, film, rows_at([0.0, 0.04]))

        assert images[0].shape == (320, 180, 3)
        assert find_marker(images[0]) == pytest.approx((18, 160), abs=2)

    @pytest.mark.parametrize(
        ("codec", "name", "size", "pixels"),
        [
            ("ffv1", "film.mkv", (97, 131), "bgra"),
            ("ffv1", "film.mkv", (61, 200), "gray"),
            ("ffv1", "film.mkv", (240, 37), "yuva420p"),
            ("qtrle", "film.mov", (33, 49), "argb"),
        ],
    )
    def test_odd_sizes_alpha_and_grey(self, tmp_path, codec, name, size, pixels):
        film = write_film(tmp_path / name, [0.0, 0.04], size=size, codec=codec, pixels=pixels)

        _, images, _ = write(tmp_path, film, rows_at([0.0, 0.04]))

        height, width = size
        assert images[1].shape == (height + height % 2, width + width % 2, 3)
        assert find_marker(images[0])[0] == pytest.approx(0.1 * width, abs=2)
        assert find_marker(images[0])[1] == pytest.approx(0.5 * height, abs=2)

    @pytest.mark.parametrize(
        ("name", "codec", "pixels", "matrix"),
        [
            ("bt601.mp4", "libx264", "yuv420p", 5),
            ("bt709.mp4", "libx264", "yuv420p", 1),
            ("bt2020.mp4", "libx264", "yuv420p10le", 9),
            ("rgb.mkv", "ffv1", "bgr0", None),
            ("unstated.mp4", "libx264", "yuv420p", None),
        ],
    )
    def test_colours_stay_as_players_show_them(self, tmp_path, name, codec, pixels, matrix):
        film = write_colours(tmp_path / name, codec, pixels, matrix)

        overlay, _, _ = write(tmp_path, film, [])

        assert seen_by_a_player(overlay.path) == pytest.approx(seen_by_a_player(film), abs=4)

    def test_wide_pixels_become_square(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0], size=(96, 120), pixel_aspect=2)

        _, images, _ = write(tmp_path, film, [gaze_row(1, 0.0, 0.5, 0.5)])

        assert images[0].shape == (96, 240, 3)
        assert find_marker(images[0]) == pytest.approx((120, 48), abs=1)

    @pytest.mark.parametrize("rows", [[], [lost_row(1, 0.0), lost_row(2, 0.04)]], ids=["empty", "all lost"])
    def test_a_session_without_a_gaze_is_a_film_with_a_border(self, tmp_path, rows):
        film = write_film(tmp_path / "film.mp4", [0.0, 0.04], size=SIZE)

        _, images, _ = write(tmp_path, film, rows)

        assert all(image[90, 0].tolist() == pytest.approx([255, 149, 0], abs=40) for image in images)

    def test_a_film_of_another_length_than_the_maps_is_refused(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [number / 25 for number in range(25)], size=SIZE)

        with pytest.raises(ValueError, match=r"lasts 1\.0 s, but the maps of v are those of a film of 3\.0 s"):
            write(tmp_path, film, [], film_s=3.0)
        assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]

    @pytest.mark.parametrize(
        ("film_s", "held_s", "fits"),
        [
            (1.0, 0.04, True),
            (1.09, 0.04, True),
            (1.12, 0.04, False),
            (0.88, 0.04, False),
            (1.12, 0.2, True),
            (None, 0, True),
        ],
    )
    def test_the_lengths_may_differ_by_a_tenth_of_a_second_or_by_a_held_map(self, tmp_path, film_s, held_s, fits):
        film = write_film(tmp_path / "film.mp4", [number / 25 for number in range(25)], size=(16, 16))
        report = report_of([], film_s=film_s, held_s=held_s)

        with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="give the film that was watched"):
            check_film_fits(report, read_times(film))

    def test_sound_that_is_longer_than_the_images_does_not_count(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [number / 25 for number in range(25)], size=(16, 16), audio_s=2.0)

        check_film_fits(report_of([], film_s=1.0), read_times(film))

    def test_a_failure_leaves_nothing(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0, 0.04], size=SIZE)
        times = read_times(film)

        def stop(_number):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_overlay(report_of([]), film, times, tmp_path / "overlay.mp4", on_frame=stop)

        assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def test_what_a_film_shows_does_not_depend_on_the_scores():
    frames = right_and_left() | {7: record(validity="no_face"), 20: record(validity="eyes_closed")}
    frames = {number: {**each, "video_time_ms": 50.0 * number - 50} for number, each in frames.items()}
    frames[30]["video_time_ms"] = None
    session, maps = make_session(frames), FakeSaliencyMaps({"v": maps_for(range(1, 31))}, digest="d1", fps=20.0)
    gazes, _ = read_gazes(session, FakeSessionStore(), lambda: pytest.fail("the model was loaded"), [])
    scored, unscored = (examine_session(session, maps, gazes, with_scores=each) for each in (True, False))
    times = make_times(np.arange(40) / 20)

    assert scored.attention is not None
    assert unscored.attention is None
    for number in range(1, 41):
        assert GazeOnFilm(unscored, times).at(number) == GazeOnFilm(scored, times).at(number)


class TestSound:
    def test_it_is_the_same(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [number / 25 for number in range(25)], size=SIZE, audio_s=1.0)

        overlay, _, _ = write(tmp_path, film, [])

        def packets(path):
            with av.open(str(path)) as container:
                stream = container.streams.audio[0]
                return [
                    (float(packet.pts * packet.time_base), bytes(packet))
                    for packet in container.demux(stream)
                    if packet.size
                ]

        assert overlay.sound_left_out is None
        assert packets(overlay.path) == packets(film)

    def test_a_film_without_sound_has_none(self, tmp_path):
        film = write_film(tmp_path / "film.mp4", [0.0], size=SIZE)

        overlay, _, _ = write(tmp_path, film, [])

        with av.open(str(overlay.path)) as container:
            assert not container.streams.audio
        assert overlay.sound_left_out is None

    def test_sound_of_a_transport_stream_keeps_its_place(self, tmp_path):
        film = write_film(tmp_path / "film.ts", [number / 25 for number in range(25)], size=SIZE, audio_s=1.0)

        overlay, _, shown_s = write(tmp_path, film, [])

        with av.open(str(overlay.path)) as container:
            first_s = float(next(container.decode(audio=0)).time)
        assert abs(first_s - shown_s[0]) < 0.1

    def test_sound_of_an_avi_file_starts_with_the_first_frame(self, tmp_path):
        times_s = [number / 25 for number in range(25)]
        film = write_film(
            *(tmp_path / "film.avi", times_s), size=SIZE, options={"bf": "3"}, audio_s=1.0, audio_codec="libmp3lame"
        )

        overlay, _, shown_s = write(tmp_path, film, [])

        with av.open(str(overlay.path)) as container:
            first_s = float(next(container.decode(audio=0)).time)
        assert (first_s, shown_s[0]) == pytest.approx((0, 0), abs=0.03)

    def test_sound_whose_times_start_again_ends_there(self, tmp_path):
        part = write_film(tmp_path / "part.ts", [number / 25 for number in range(50)], size=SIZE, audio_s=2.0)
        (tmp_path / "film.ts").write_bytes(2 * part.read_bytes())

        overlay, images, _ = write(tmp_path, tmp_path / "film.ts", [])

        assert len(images) == 100
        assert overlay.sound_left_out == "after 2.0 s, its times start again"

    def test_a_codec_that_mp4_cannot_contain_is_named(self, tmp_path):
        film = write_film(tmp_path / "film.mkv", [0.0, 0.04], size=SIZE, audio_s=0.1, audio_codec="pcm_s16le")

        overlay, images, _ = write(tmp_path, film, [])

        assert overlay.sound_left_out == "its codec is pcm_s16le, which MP4 cannot contain"
        assert len(images) == 2


class TestPath:
    def test_only_mp4(self, tmp_path):
        with pytest.raises(ValueError, match=r"o\.webm must be an \.mp4 file"):
            check_overlay_path(tmp_path / "o.webm")

    def test_an_existing_file_is_not_replaced_unless_it_may(self, tmp_path):
        (tmp_path / "o.mp4").write_text("mine")

        with pytest.raises(FileExistsError, match="exists already; remove it or choose another name"):
            check_overlay_path(tmp_path / "o.mp4")
        check_overlay_path(tmp_path / "o.mp4", overwrite=True)

    def test_the_film_is_never_replaced(self, tmp_path):
        (tmp_path / "film.mp4").write_text("film")
        (tmp_path / "link.mp4").symlink_to(tmp_path / "film.mp4")

        with pytest.raises(ValueError, match="would replace a file that it is made from"):
            check_overlay_path(tmp_path / "link.mp4", sources=[tmp_path / "film.mp4"], overwrite=True)

    def test_a_missing_directory_is_named_unless_it_is_going_to_be_made(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"the directory of the overlay .* does not exist"):
            check_overlay_path(tmp_path / "new" / "o.mp4")
        check_overlay_path(tmp_path / "new" / "o.mp4", made=tmp_path / "new")

    def test_the_page_links_to_an_overlay_beside_it_only(self, tmp_path):
        assert name_beside(tmp_path / "o.mp4", tmp_path) == "o.mp4"
        assert name_beside(tmp_path / "o.mp4", tmp_path / "report") is None
        assert name_beside(None, tmp_path) is None
