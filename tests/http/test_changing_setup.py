"""Screen, camera and viewport that change while a video plays."""

from itertools import permutations

import numpy as np
import pytest

from gaze_core.types import Camera, Screen
from tests.fakes.viewer import FIVE_TARGETS, StraightGazeModel, Viewer

FPS, FRAMES = 20, 40
WINDOW = {"x": 0.5, "y": 0.25, "width": 0.5, "height": 0.5}
FULL = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0}
LAPTOP = {"width_mm": 345.0, "height_mm": 194.0}
MONITOR = {"width_mm": 600.0, "height_mm": 340.0}
ABOVE = {"offset_y_mm": 8.0}
BELOW = {"offset_y_mm": -360.0, "tilt_deg": 20.0}


def spot_at(time_s):
    """Return the position of the bright spot, normalised to the video: x = 32 + 130 t of 320 pixels, y = 90 of 180."""
    return (32 + 130 * time_s) / 320, 0.5


def make_map(time_s):
    x, y = spot_at(time_s)
    rows, columns = np.mgrid[:90, :160]
    return np.exp(-((columns - 160 * x) ** 2 + (rows - 90 * y) ** 2) / (2 * 10.0**2))


class Cinema:
    """A viewer whose gaze follows the bright spot exactly."""

    def __init__(self, world, make_body):
        world.model.predict = StraightGazeModel().predict
        world.maps.by_video["contents1"] = {number: make_map((number - 1) / FPS) for number in range(1, FRAMES + 1)}
        world.maps.fps = float(FPS)
        self.world, self._make_body = world, make_body

    def post(self, number, target, *, screen=None, camera=None, **fields):
        viewer = Viewer(offset_deg=(0.0, 0.0), screen=Screen(**screen or {}), camera=Camera(**camera or {}))
        self.world.landmarker.faces = [viewer.look_at(target)]
        body = self._make_body(frame_number=number, screen=screen, camera=camera, **fields)
        assert self.world.post(body).status_code == 200

    def watch(self, setup_of, numbers=range(1, FRAMES + 1), *, session_id="viewing", **fields):
        """Send frames in the given order; return the result."""
        for number in numbers:
            time_s = (number - 1) / FPS
            setup = {"viewport": FULL, **setup_of(time_s)}
            view = setup["viewport"]
            x, y = spot_at(time_s)
            target = view["x"] + view["width"] * x, view["y"] + view["height"] * y
            self.post(number, target, session_id=session_id, video_time_ms=1000 * time_s, **setup, **fields)
        return self.complete(max(numbers) + 1, session_id=session_id)

    def calibrate(self, setup_of, **fields):
        """Look at five targets; return the result."""
        for number, target in enumerate(FIVE_TARGETS * 3, start=1):
            shown = {"calibration_target": list(target), "session_id": "mine"}
            self.post(number, target, **shown, **setup_of(number), **fields)
        return self.complete(16, session_id="mine")

    def complete(self, number, **fields):
        body = self._make_body(frame_number=number, last_frame=True, frame=None, **fields)
        return self.world.post(body).get_json()["result"]


@pytest.fixture
def cinema(make_world, make_body):
    return Cinema(make_world(), make_body)


def after_1_s(name, first, second):
    return lambda time_s: {name: first if time_s < 1 else second}


SETUPS = {
    "window": after_1_s("viewport", WINDOW, WINDOW),
    "full screen": after_1_s("viewport", FULL, FULL),
    "window, then full screen": after_1_s("viewport", WINDOW, FULL),
    "full screen, then window": after_1_s("viewport", FULL, WINDOW),
    "to another screen": after_1_s("screen", LAPTOP, MONITOR),
    "to another camera": after_1_s("camera", ABOVE, BELOW),
}


@pytest.mark.parametrize("setup", SETUPS)
def test_a_perfect_gaze_scores_100_whatever_changes(cinema, setup):
    result = cinema.watch(SETUPS[setup])

    assert (result["final_score"], result["score_valid"], result["frames"]["scored"]) == (100.0, True, FRAMES)


@pytest.mark.parametrize("setup", ["window, then full screen", "to another screen", "to another camera"])
def test_a_calibrated_perfect_gaze_scores_100_whatever_changes(cinema, setup):
    cinema.calibrate(lambda _number: {"screen": MONITOR, "camera": BELOW})

    result = cinema.watch(SETUPS[setup], calibration_session="mine")

    assert (result["calibration"]["used"], result["calibration"]["fitted"]) == (True, "full")
    assert (result["final_score"], result["at_accuracy"]["final_score"]) == (100.0, 100.0)


def test_a_calibration_may_change_screen_and_camera_between_its_targets(cinema):
    """Each target is where its own frame's screen shows it: with one screen for all, the error would be 7 degrees."""
    setups = [
        {"screen": LAPTOP, "camera": ABOVE},
        {"screen": MONITOR, "camera": ABOVE},
        {"screen": LAPTOP, "camera": BELOW},
    ]

    calibration = cinema.calibrate(lambda number: setups[(number - 1) // 5])["calibration"]

    assert calibration["dots"] == 15
    assert calibration["generic_accuracy_deg"] < 0.5


@pytest.mark.parametrize(
    "setups",
    [
        [{"viewport": WINDOW}, {"viewport": FULL}, {"viewport": FULL}],
        [{"screen": LAPTOP}, {"screen": MONITOR}, {"screen": LAPTOP}],
        [{"camera": ABOVE}, {"camera": BELOW}, {}],
        [{"screen": MONITOR, "viewport": WINDOW}, {}, {"camera": BELOW}],
    ],
    ids=["viewport", "screen", "camera", "sent once"],
)
def test_the_order_of_arrival_does_not_matter(cinema, setups):
    results = [
        cinema.watch(lambda time_s: setups[round(time_s * FPS)], order, session_id="-".join(map(str, order)))
        for order in permutations(range(1, 4))
    ]

    assert results == [results[0]] * 6
    assert results[0]["frames"]["scored"] == 3
