"""Clocks that cannot be right, and honest ones that look odd."""

import numpy as np
import pytest

from gaze_core.clocks import ClockFault, Readings, find_clock_faults

NAN = float("nan")


def find(capture_ms, video_ms=None, *, numbers=None, duration_ms=None):
    capture_ms = np.asarray(capture_ms, dtype=float)
    video_ms = np.full(len(capture_ms), NAN) if video_ms is None else np.asarray(video_ms, dtype=float)
    numbers = np.arange(1, len(capture_ms) + 1) if numbers is None else np.array(numbers)
    return dict(find_clock_faults(Readings(numbers, capture_ms, video_ms), duration_ms=duration_ms))


def every(step_ms, count=40, start_ms=0.0):
    return start_ms + step_ms * np.arange(count)


UNKNOWN = np.full(40, NAN)


@pytest.mark.parametrize(
    ("step_ms", "faults"),
    [
        (1.5, {ClockFault.CAPTURE_UNITS: 40}),
        (2.9, {ClockFault.CAPTURE_UNITS: 40}),
        (3.1, {}),
        (6.0, {}),
        (5000.0, {}),
        (9900.0, {}),
        (10_100.0, {ClockFault.CAPTURE_UNITS: 40}),
        (20_000.0, {ClockFault.CAPTURE_UNITS: 40}),
    ],
)
def test_frames_are_3_ms_to_10_s_apart(step_ms, faults):
    assert find(every(step_ms)) == faults


@pytest.mark.parametrize(("factor", "fps"), [(1e-3, 1.0), (1e-3, 30.0), (1e3, 1.0), (1e3, 60.0), (1e6, 30.0)])
def test_seconds_micro_and_nanoseconds_are_no_milliseconds(factor, fps):
    assert find(factor * every(1000 / fps)) == {ClockFault.CAPTURE_UNITS: 40}
    assert find(UNKNOWN, factor * every(1000 / fps)) == {ClockFault.VIDEO_UNITS: 40}


def test_whole_seconds_are_no_milliseconds():
    assert find(np.floor(every(50.0, 200) / 1000)) == {ClockFault.CAPTURE_UNITS: 200}


def test_lost_frames_do_not_change_the_step():
    # One of 300 frames arrives: 15 s apart, and 50 ms for each number.
    assert find(every(15_000.0), numbers=1 + 300 * np.arange(40)) == {}


@pytest.mark.parametrize(
    ("rate", "faults"),
    [
        (1 / 120, {ClockFault.VIDEO_UNITS: 40}),
        (1 / 62, {ClockFault.VIDEO_UNITS: 40}),
        (1 / 58, {}),
        (1 / 30, {}),
        (0.25, {}),
        (4.0, {}),
        (30.0, {}),
        (58.0, {}),
        (62.0, {ClockFault.VIDEO_UNITS: 40}),
        (120.0, {ClockFault.VIDEO_UNITS: 40}),
    ],
)
def test_a_video_plays_60_times_too_fast_or_too_slowly_only_in_other_units(rate, faults):
    step_ms = 400.0 if rate < 1 else 50.0

    assert find(every(step_ms), rate * every(step_ms)) == faults


def test_a_player_that_reports_its_position_once_a_second_is_right():
    capture_ms = every(10.0, 1000)

    assert find(capture_ms, np.floor(capture_ms / 1000) * 1000) == {}


@pytest.mark.parametrize(("count", "is_found"), [(9, False), (10, True), (20, True)])
def test_ten_frames_show_that_a_clock_stands(count, is_found):
    stopped = np.full(count, 70.0)

    assert find(stopped) == ({ClockFault.CAPTURE_STOPPED: count} if is_found else {})
    assert find(every(50.0, count), stopped) == ({ClockFault.VIDEO_STOPPED: count} if is_found else {})


@pytest.mark.parametrize(("count", "is_found"), [(9, False), (10, True), (20, True)])
def test_ten_frames_show_the_units(count, is_found):
    assert find(every(0.05, count)) == ({ClockFault.CAPTURE_UNITS: count} if is_found else {})


def test_a_pause_is_no_standstill():
    assert find(every(50.0), np.minimum(every(50.0), 500.0)) == {}


@pytest.mark.parametrize(
    ("step_ms", "back_ms", "is_found"),
    [
        (50.0, 500.0, False),
        (50.0, 990.0, False),
        (50.0, 1010.0, True),
        (50.0, 2000.0, True),
        (2000.0, 3900.0, False),
        (2000.0, 4100.0, True),
    ],
)
def test_capture_times_go_back_by_a_second_or_two_steps_at_most(step_ms, back_ms, is_found):
    capture_ms = every(step_ms)
    capture_ms[20:] -= back_ms + step_ms

    assert find(capture_ms) == ({ClockFault.CAPTURE_JUMPS: 1} if is_found else {})


@pytest.mark.parametrize(
    ("leap_ms", "is_found"), [(150_000.0, False), (299_000.0, False), (301_000.0, True), (600_000.0, True)]
)
def test_capture_times_leap_by_five_minutes_at_most(leap_ms, is_found):
    capture_ms, video_ms = every(50.0), every(50.0)
    capture_ms[20:] += leap_ms

    assert find(capture_ms) == ({ClockFault.CAPTURE_JUMPS: 1} if is_found else {})
    assert find(capture_ms, video_ms) == ({ClockFault.CAPTURE_JUMPS: 1} if is_found else {})


@pytest.mark.parametrize(("rate", "is_found"), [(0.1, True), (0.19, True), (0.25, False), (4.0, False), (5.1, True)])
def test_a_long_gap_during_which_the_video_plays_is_no_leap(rate, is_found):
    capture_ms, video_ms = every(50.0), every(50.0)
    capture_ms[20:] += 1_000_000.0
    video_ms[20:] += rate * 1_000_000.0

    assert find(capture_ms, video_ms) == ({ClockFault.CAPTURE_JUMPS: 1} if is_found else {})


@pytest.mark.parametrize(("forward", "is_found"), [(0, True), (2, True), (6, False), (20, False)])
def test_a_clock_runs_backwards_if_nine_of_ten_steps_go_back(forward, is_found):
    steps_ms = np.repeat([50.0, -50.0], [forward, 40 - forward])
    falling_ms = 10_000.0 + np.concatenate([[0.0], np.cumsum(steps_ms)])

    back = 40 - forward
    assert find(falling_ms) == ({ClockFault.CAPTURE_JUMPS: back} if is_found else {})
    assert find(every(50.0, 41), falling_ms) == ({ClockFault.VIDEO_BACKWARDS: back} if is_found else {})


@pytest.mark.parametrize(("count", "is_found"), [(9, False), (10, True), (20, True)])
def test_ten_frames_show_that_a_clock_runs_backwards(count, is_found):
    falling_ms = 10_000.0 - every(50.0, count)

    assert find(falling_ms) == ({ClockFault.CAPTURE_JUMPS: count - 1} if is_found else {})


def test_a_leap_over_lost_frames_is_none():
    assert find([0.0, 50.0, 100.0, 400_100.0], numbers=[1, 2, 3, 8003]) == {}


def test_a_seek_is_right():
    video_ms = every(50.0)
    video_ms[15:] += 1_800_000.0
    video_ms[30:] -= 1_200_000.0

    assert find(every(50.0), video_ms) == {}


@pytest.mark.parametrize(
    ("duration_ms", "last_ms", "is_found"),
    [
        (4000.0, 4500.0, False),
        (4000.0, 4990.0, False),
        (4000.0, 5010.0, True),
        (4000.0, 6000.0, True),
        (100_000.0, 101_900.0, False),
        (100_000.0, 102_100.0, True),
        (100_000.0, 104_000.0, True),
        (None, 0.6e11, False),
        (None, 1.7e11, True),
        (None, 1.7e12, True),
    ],
)
def test_video_times_end_with_the_video(duration_ms, last_ms, is_found):
    found = find([NAN, NAN], [0.0, last_ms], duration_ms=duration_ms)

    assert found == ({ClockFault.VIDEO_OUTSIDE: 1} if is_found else {})


@pytest.mark.parametrize(("first_ms", "is_found"), [(-500.0, False), (-990.0, False), (-1010.0, True), (-2000.0, True)])
def test_video_times_start_with_the_video(first_ms, is_found):
    assert find([NAN, NAN], [first_ms, 0.0]) == ({ClockFault.VIDEO_OUTSIDE: 1} if is_found else {})


def test_a_session_without_times_is_right():
    assert find(UNKNOWN, UNKNOWN) == {}
    assert find([]) == {}


def test_absurd_times_are_judged_like_others():
    assert find(1e308 * (-1.0) ** np.arange(40)) == {ClockFault.CAPTURE_UNITS: 40}


def make_honest_session(rng):
    """Return a session of 1 to 30 frames per second, with what happens to clients, and the duration of its video."""
    period_s, rate = 1 / np.exp(rng.uniform(0, np.log(30))), np.exp(rng.uniform(np.log(0.25), np.log(4)))
    end_s, duration_s = np.exp(rng.uniform(np.log(10), np.log(120))), rng.uniform(10, 3600)
    jitter, lost, unsent = rng.uniform(0, 0.3), rng.choice([0, 0.02, 0.3]), rng.choice([0, 0.2])
    pauses, seeks, hides = rng.random(3) < 0.5
    rounding = rng.choice([0, 1, 100, 250])
    now_s, start_s, position_s, slow_until_s = 0.0, rng.choice([0.0, 1.7e9]), 0.0, -1.0
    plays, number, rows = True, 0, []
    while now_s < end_s:
        is_slow = now_s < slow_until_s
        step_s = (max(period_s, 1.0) if is_slow else period_s) * max(0.05, 1 + jitter * rng.standard_normal())
        pause, seek, hide = rng.random(3)
        if pauses and now_s > 2 and pause < 0.2 * step_s:
            plays = not plays
        if seeks and seek < 0.05 * step_s:
            position_s = rng.uniform(0, duration_s)
        if hides and hide < 0.02 * step_s:  # a tab in the background: slow timers, or no frames, with or without video
            gap_s, kind = np.exp(rng.uniform(0, np.log(240))), rng.integers(3)
            slow_until_s = now_s + gap_s * (kind == 0)
            now_s += gap_s * (kind > 0)
            position_s += gap_s * rate * (kind == 1 and plays)
        now_s += step_s
        position_s = min(duration_s, position_s + step_s * rate * plays)
        if rng.random() < unsent:
            continue
        number += 1
        if rng.random() >= lost:
            shown_ms = 1000 * position_s
            rows.append((number, 1000 * (start_s + now_s), shown_ms - shown_ms % rounding if rounding else shown_ms))
    numbers, capture_ms, video_ms = np.array(rows).T
    return Readings(numbers.astype(np.int64), capture_ms, video_ms), 1000 * duration_s


def test_hundreds_of_honest_sessions_are_right():
    rng = np.random.default_rng(5)
    for run in range(300):
        readings, duration_ms = make_honest_session(rng)

        assert find_clock_faults(readings, duration_ms=duration_ms) == {}, run
