"""The smoothed point of gaze for display."""

from pytest import approx

from gaze_tools.client import FrameReply
from gaze_tools.stack.live_gaze import LiveGaze


def reply(x, y):
    return FrameReply.from_body(1, {"gaze": {"x": x, "y": y, "on_screen": True}, "validity": "ok"}, 20.0)


LOST = FrameReply.from_body(1, {"gaze": None, "validity": "no_face"}, 20.0)


def test_the_first_point_is_not_changed():
    assert LiveGaze().update(0.0, reply(0.2, 0.9)) == approx((0.2, 0.9))


def test_a_trembling_gaze_becomes_calm():
    live = LiveGaze()

    shown = [live.update(0.05 * number, reply(0.5 + 0.02 * (-1) ** number, 0.5)) for number in range(40)]

    assert abs(shown[-1][0] - shown[-2][0]) < 0.02  # the input moves by 0.04


def test_a_new_place_is_reached_within_a_second():
    live = LiveGaze()
    live.update(0.0, reply(0.1, 0.1))

    for number in range(1, 21):
        shown = live.update(0.05 * number, reply(0.9, 0.8))

    assert shown == approx((0.9, 0.8), abs=0.01)


def test_a_lost_frame_has_no_point_and_the_next_one_continues():
    live = LiveGaze()
    live.update(0.0, reply(0.5, 0.5))

    assert live.update(0.05, LOST) is None
    assert 0.5 < live.update(0.1, reply(0.6, 0.5))[0] < 0.6
