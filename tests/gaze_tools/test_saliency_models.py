"""What every model of saliency promises, and what each is known for."""

import numpy as np
import pytest

from gaze_tools.saliency.models import MODELS, make_model
from gaze_tools.saliency.models.spectral_residual import spectral_residual

GREY = 110


def draw_frame(*, height=90, width=160, square=None, colour=(255, 255, 255), side=12):
    """Return a grey image, with a square whose middle is at `square` (x, y in pixels)."""
    frame = np.full((height, width, 3), GREY, dtype=np.uint8)
    if square is not None:
        x, y = square
        frame[y - side // 2 : y + side // 2, x - side // 2 : x + side // 2] = colour
    return frame


def find_peak(saliency_map):
    """Return x and y of the highest place as shares of the size."""
    row, column = np.unravel_index(np.argmax(saliency_map), saliency_map.shape)
    return column / saliency_map.shape[1], row / saliency_map.shape[0]


def map_all(name, frames, *, height=54, width=96):
    model = make_model(name, faces=False)
    model.start(height=height, width=width)
    return [model.map_frame(frame) for frame in frames]


@pytest.fixture(params=list(MODELS))
def name(request):
    return request.param


class TestEveryModel:
    def test_a_map_has_the_size_that_was_asked_for(self, name):
        (saliency_map,) = map_all(name, [draw_frame(square=(40, 40))], height=27, width=48)

        assert saliency_map.shape == (27, 48)

    def test_values_reach_from_0_to_1(self, name):
        (saliency_map,) = map_all(name, [draw_frame(square=(40, 40))])

        assert (float(saliency_map.min()), float(saliency_map.max())) == (0.0, 1.0)

    def test_the_same_video_gives_the_same_maps(self, name):
        frames = [draw_frame(square=(40 + 3 * step, 40)) for step in range(4)]

        for one, other in zip(map_all(name, frames), map_all(name, frames), strict=True):
            assert np.array_equal(one, other)

    def test_starting_a_video_forgets_the_one_before(self, name):
        model = make_model(name, faces=False)
        maps = []
        for _ in range(2):
            model.start(height=54, width=96)
            maps.append([model.map_frame(draw_frame(square=(x, 40))) for x in (40, 44)])

        assert np.array_equal(maps[0][0], maps[1][0])

    def test_who_has_seen_the_frames_before_gets_the_same_map(self, name):
        frames = [draw_frame(square=(40 + 3 * step, 40)) for step in range(6)]
        whole = map_all(name, frames)
        model = make_model(name, faces=False)
        model.start(height=54, width=96)
        for frame in frames[5 - model.memory_frames : 5]:
            model.see(frame)

        assert np.array_equal(model.map_frame(frames[5]), whole[5])

    @pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 200), (40, 3), (7, 7)])
    def test_odd_pictures_are_no_trouble(self, name, shape):
        frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)

        for saliency_map in map_all(name, [frame, frame]):
            assert saliency_map.shape == (54, 96)
            assert np.isfinite(saliency_map).all()

    def test_start_comes_first(self, name):
        with pytest.raises(ValueError, match="call start before map_frame"):
            make_model(name, faces=False).map_frame(draw_frame())


@pytest.mark.parametrize("name", ["spectral_residual", "itti_koch"])
class TestModelsOfTheImage:
    @pytest.mark.parametrize("square", [(30, 20), (120, 30), (80, 70)])
    def test_what_stands_out_is_the_peak(self, name, square):
        (saliency_map,) = map_all(name, [draw_frame(square=square)])

        x, y = find_peak(saliency_map)
        assert (x * 160, y * 90) == pytest.approx(square, abs=9)

    def test_colour_alone_stands_out(self, name):
        # As bright as its surroundings, so that a grey image would show nothing.
        (saliency_map,) = map_all(name, [draw_frame(square=(120, 30), colour=(220, 55, 55))])

        x, y = find_peak(saliency_map)
        assert (x * 160, y * 90) == pytest.approx((120, 30), abs=9)

    def test_an_empty_picture_has_an_empty_map(self, name):
        (saliency_map,) = map_all(name, [draw_frame()])

        assert not saliency_map.any()

    def test_a_mirrored_picture_has_the_mirrored_map(self, name):
        frame = np.random.default_rng(1).integers(0, 60, (96, 160, 3), dtype=np.uint8)
        frame[20:40, 20:45] = (250, 240, 60)
        (plain,), (mirrored,) = map_all(name, [frame]), map_all(name, [frame[:, ::-1]])

        correlation = np.corrcoef(plain.ravel(), mirrored[:, ::-1].ravel())[0, 1]
        assert correlation > 0.95


class TestIttiKoch:
    def test_of_two_like_squares_the_one_that_moves_stands_out(self):
        def both(x):
            frame = draw_frame(square=(40, 45), colour=(200, 200, 200))
            frame[39:51, x - 6 : x + 6] = 200
            return frame

        maps = map_all("itti_koch", [both(116), both(119), both(122)])

        assert find_peak(maps[-1])[0] * 160 == pytest.approx(120, abs=10)
        left, right = maps[-1][:, :48].max(), maps[-1][:, 48:].max()
        assert left < 0.8 * right

    def test_the_first_frame_has_no_motion(self):
        moving = map_all("itti_koch", [draw_frame(square=(40, 45)), draw_frame(square=(60, 45))])
        still = map_all("itti_koch", [draw_frame(square=(60, 45))])

        assert not np.array_equal(moving[1], still[0])
        assert np.array_equal(map_all("itti_koch", [draw_frame(square=(40, 45))])[0], moving[0])

    def test_what_flickers_stands_out(self):
        dim, bright = [draw_frame(square=(40, 45), colour=(150, 150, 150)) for _ in range(2)]
        bright[60:70, 120:130] = GREY + 40
        dim[60:70, 120:130] = GREY + 20

        maps = map_all("itti_koch", [dim, bright])

        x, y = find_peak(maps[-1])
        assert (x * 160, y * 90) == pytest.approx((125, 65), abs=9)

    def test_a_still_video_shows_nothing_in_motion(self):
        frame = draw_frame(square=(40, 45))
        first, second = map_all("itti_koch", [frame, frame])

        assert np.array_equal(first, second)

    def test_one_bar_across_many_stands_out(self):
        frame = np.full((180, 320, 3), GREY, dtype=np.uint8)
        for row in range(4):
            for column in range(7):
                y, x = 30 + 40 * row, 40 + 40 * column
                if (row, column) == (1, 4):
                    frame[y - 3 : y + 3, x - 12 : x + 12] = 230
                else:
                    frame[y - 12 : y + 12, x - 3 : x + 3] = 230

        (saliency_map,) = map_all("itti_koch", [frame])

        x, y = find_peak(saliency_map)
        assert (x * 320, y * 180) == pytest.approx((200, 70), abs=14)


class TestCentreBias:
    def test_the_middle_is_the_peak_and_the_picture_counts_for_nothing(self):
        one, other = map_all("centre_bias", [draw_frame(square=(20, 20)), draw_frame()])

        assert find_peak(one) == pytest.approx((0.5, 0.5), abs=0.02)
        assert np.array_equal(one, other)

    def test_it_is_wider_than_high(self):
        (saliency_map,) = map_all("centre_bias", [draw_frame()], height=101, width=101)

        assert saliency_map[50, 80] > saliency_map[80, 50]

    def test_half_a_width_from_the_middle_of_the_edge_it_has_fallen_to_a_tenth(self):
        # exp(-1 / (2 * 0.22)) = 0.103 at the edge, 0.567 half-way.
        (saliency_map,) = map_all("centre_bias", [draw_frame()], height=1001, width=1001)

        assert saliency_map[500, 750] == pytest.approx(0.567, abs=0.01)
        assert saliency_map[500, 1000] == pytest.approx(0.103, abs=0.01)


def test_an_encoder_s_noise_on_an_empty_picture_is_not_salient():
    noise = np.random.default_rng(0).integers(-1, 2, (90, 160, 3))

    assert not spectral_residual((draw_frame() + noise).astype(np.uint8)).any()


def test_an_unknown_model_names_those_that_there_are():
    with pytest.raises(ValueError, match="spectral_residual, itti_koch, centre_bias"):
        make_model("deepgaze")
