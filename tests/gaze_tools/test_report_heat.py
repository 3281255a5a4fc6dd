"""Heat maps: seconds of gaze per square degree."""

import math

import numpy as np
import pytest

from gaze_tools.report.heat import MAX_STEP_S, TimedGaze, find_durations_s, find_sigma_deg, find_step_s, make_heat
from gaze_tools.report.trace import TraceRow

# A degree at 573 mm is 10 mm, so the video is 34.5 by 19.4 degrees large.
DISTANCE_MM = 10 / math.tan(math.radians(1))
SIZE = {"width_mm": 345.0, "height_mm": 194.0}
SHAPE = (194, 345)
SQUARE_DEG_OF_A_PIXEL = 0.01


def heat_of(points, **changes):
    gazes = [TimedGaze(x, y, **SIZE | {"duration_s": 0.05} | changes) for x, y in points]
    return make_heat(gazes, SHAPE, sigma_deg=1.0, distance_mm=DISTANCE_MM)


def test_a_gaze_in_the_middle_is_spread_by_a_gaussian_of_one_degree():
    heat = heat_of([(0.5, 0.5)] * 20)
    row, column = np.unravel_index(heat.density.argmax(), SHAPE)

    assert (row, column) == (97, 172)
    # A second, at the peak of a Gaussian in two dimensions: 1 / (2 pi) for a standard deviation of 1 degree.
    assert heat.density.max() == pytest.approx(1 / (2 * math.pi), rel=1e-3)
    # 10 pixels further, at one standard deviation.
    assert heat.density[97, 182] / heat.density.max() == pytest.approx(math.exp(-0.5), rel=1e-3)
    assert heat.density[107, 172] / heat.density.max() == pytest.approx(math.exp(-0.5), rel=1e-3)


def test_the_density_adds_up_to_the_gaze_time():
    heat = heat_of([(0.5, 0.5)] * 20 + [(0.4, 0.6)] * 10)

    assert heat.density.sum() * SQUARE_DEG_OF_A_PIXEL == pytest.approx(1.5, rel=1e-3)
    assert heat.on_video_s == pytest.approx(1.5)


@pytest.mark.parametrize("point", [(-0.01, 0.5), (1.01, 0.5), (0.5, -0.01), (0.5, 1.01), (50.0, -30.0)])
def test_a_gaze_beside_the_video_does_not_count(point):
    heat = heat_of([point] * 4)

    assert heat.density.max() == 0
    assert (heat.on_video_s, heat.off_video_s) == (0, pytest.approx(0.2))


@pytest.mark.parametrize(("x", "y", "place"), [(0.0, 0.0, (0, 0)), (1.0, 1.0, (193, 344))])
def test_the_edges_belong_to_the_video(x, y, place):
    heat = heat_of([(x, y)])

    assert np.unravel_index(heat.density.argmax(), SHAPE) == place


def test_a_video_of_half_the_size_has_degrees_of_twice_the_pixels():
    heat = heat_of([(0.5, 0.5)] * 20, width_mm=172.5, height_mm=97.0)

    assert heat.density[97, 192] / heat.density.max() == pytest.approx(math.exp(-0.5), rel=1e-3)
    assert heat.density.max() == pytest.approx(1 / (2 * math.pi), rel=1e-3)


def test_a_video_smaller_than_the_gaussian_keeps_its_density():
    # 1 degree wide, a tenth of a degree high: flat, at the peak of the Gaussian.
    heat = heat_of([(0.5, 0.5)] * 20, width_mm=10.0, height_mm=1.0)

    assert heat.density[97, 172] == pytest.approx(1 / (2 * math.pi), rel=1e-2)


@pytest.mark.parametrize(
    ("accuracy_deg", "sigma_deg"), [(None, 1.0), (0.5, 1.0), (2.0, 2.0 * math.sqrt(2 / math.pi)), (45.0, 20.0)]
)
def test_the_gaussian_is_as_wide_as_the_fovea_or_the_error_of_the_gaze(accuracy_deg, sigma_deg):
    assert find_sigma_deg(accuracy_deg) == pytest.approx(sigma_deg)


def rows_at(times_s):
    return [TraceRow(number, time_s, 1, "scored") for number, time_s in enumerate(times_s, start=1)]


def test_the_usual_step_is_the_median_in_the_order_of_the_webcam():
    assert find_step_s(rows_at([0.0, 0.05, 0.1, 0.1, 0.15, 3.0])) == pytest.approx(0.05)
    # The same part again, half a step later.
    assert find_step_s(rows_at([0.0, 0.1, 0.2, 0.3, 0.05, 0.15, 0.25])) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("times_s", "durations_s"),
    [
        # A webcam that slows down: each frame stands for the time to the next one.
        ([0.0, 0.1, 0.2, 0.3, 0.7, 1.1], [0.1, 0.1, 0.1, 0.4, 0.4, 0.1]),
        # A pause, a jump back and a gap: the usual time.
        ([0.0, 0.1, 0.1, 0.2, 0.0, 0.1, 0.7, 0.8], [0.1] * 8),
        ([0.0, 2.0, 4.0], [2.0] * 3),
        ([0.3], [0.05]),
        ([], []),
    ],
)
def test_a_frame_stands_for_the_time_to_the_next_one(times_s, durations_s):
    assert list(find_durations_s(rows_at(times_s)).values()) == pytest.approx(durations_s)


def test_a_frame_stands_for_half_a_second_at_most():
    assert MAX_STEP_S == 0.5


def test_places_watched_at_half_the_frame_rate_count_as_long():
    slow = heat_of([(0.25, 0.5)] * 10, duration_s=0.1).density
    fast = heat_of([(0.75, 0.5)] * 20).density

    assert slow.max() == pytest.approx(fast.max(), rel=1e-3)
