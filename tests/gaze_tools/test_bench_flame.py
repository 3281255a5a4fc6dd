"""Flame graphs of the function."""

import os
import threading
import time
import xml.etree.ElementTree as ET

import pytest
from pytest import approx

from gaze_tools.bench import flame
from gaze_tools.bench.flame import read_thread_times
from gaze_tools.bench.flame_graph import NATIVE, choose_colour, draw, merge, read_stacks, weigh

LOOP = "thread (7): MainThread;main (functions-framework:8);BaseEventLoop.run_forever (asyncio/base_events.py:607)"
WORKER = "thread (9): detect_0;Thread.run (threading.py:982);_worker (concurrent/futures/thread.py:83)"


def boxes(svg):
    """Return title, width and colour of each box."""
    return {
        group.find("{*}title").text: (float(group.find("{*}rect").get("width")), group.find("{*}rect").get("fill"))
        for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
    }


def test_stacks_begin_after_the_root_of_their_thread_and_lines_of_a_function_are_one():
    stacks = read_stacks([f"{LOOP};run (a.py:3);go (b.py:1) 4", f"{LOOP};run (a.py:5);go (b.py:2) 3"])

    assert stacks == {7: {("run (a.py)", "go (b.py)"): 7}}


@pytest.mark.parametrize(
    "line",
    [
        f"{WORKER} 5",
        f"{LOOP};EpollSelector.select (selectors.py:468) 5",
        f"{WORKER};call (a.py:1);LimitedSocket.recv_into (func/adapters/limited_socket.py:92) 5",
    ],
)
def test_threads_that_wait_are_left_out(line):
    assert read_stacks([line]) == {}


def test_torn_stacks_are_left_out():
    assert read_stacks(["thread (9): detect_0;fuse (gaze_core/fusion.py:203) 1", "thread (9): detect_0 1"]) == {}


def test_a_thread_has_its_cpu_time_however_often_it_was_sampled():
    stacks = {7: {("loop",): 900}, 9: {("detect",): 30, ("decode",): 10}}

    assert weigh(stacks, {7: 1.0, 9: 8.0}) == {("loop",): 1.0, ("detect",): 6.0, ("decode",): 2.0}


def test_cpu_time_of_threads_without_stacks_is_shown_as_such():
    assert weigh({7: {("loop",): 1}}, {7: 1.0, 11: 2.0, 12: 3.0, 13: 0.0}) == {("loop",): 1.0, (NATIVE,): 5.0}


def test_stacks_that_begin_alike_are_merged():
    everything = merge({("a", "b"): 1.0, ("a", "c"): 2.0, ("d",): 4.0})

    assert everything.weight == 7.0
    assert {name: box.weight for name, box in everything.called.items()} == {"a": 3.0, "d": 4.0}
    assert everything.called["a"].called["c"].weight == 2.0


def test_a_box_is_as_wide_as_its_share_and_has_the_colour_of_its_package():
    found = boxes(
        draw(
            {
                ("answer (func/web/a.py)", "invoke (ai_edge_litert/i.py)"): 1.0,
                ("answer (func/web/a.py)", "fuse (gaze_core/f.py)"): 2.0,
                ("run (asyncio/r.py)",): 1.0,
            },
            "title",
        )
    )

    assert found == {
        "answer func/web/a.py: 75.0%": (approx(900), "#7fb8a4"),
        "invoke ai_edge_litert/i.py: 25.0%": (approx(300), "#8ecae6"),
        "fuse gaze_core/f.py: 50.0%": (approx(600), "#f4a261"),
        "run asyncio/r.py: 25.0%": (approx(300), "#d9d9d9"),
    }


def test_boxes_narrower_than_two_pixels_are_left_out():
    assert set(boxes(draw({("a",): 999.0, ("b",): 1.0}, "title"))) == {"a : 99.9%"}


def test_names_are_escaped_and_those_that_do_not_fit_are_cut_off():
    svg = draw({("f.<locals>.g (a.py)",): 95.0, ("A.a_rather_long_name (a.py)",): 5.0}, "a & b")

    texts = [text.text for text in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert "a & b" in texts
    assert "f.<locals>.g" in texts
    assert "a_rath…" in texts


def test_nothing_cannot_be_drawn():
    with pytest.raises(ValueError, match="nothing to draw"):
        draw({}, "title")


def test_threads_of_mediapipe_have_the_colour_of_networks():
    assert choose_colour(NATIVE) == "#8ecae6"


def test_times_are_those_of_each_thread():
    ready, ended = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (spin(0.2), ready.set(), ended.wait()))
    before_s = read_thread_times(os.getpid())
    thread.start()
    ready.wait()
    after_s = read_thread_times(os.getpid())
    ended.set()
    thread.join()

    assert thread.native_id not in before_s
    assert after_s[thread.native_id] >= 0.15


def test_a_thread_that_ends_while_the_times_are_read_is_left_out(monkeypatch, tmp_path):
    for number in (7, 9):
        (tmp_path / str(number)).mkdir()
    (tmp_path / "9/stat").write_text("9 (python) S " + " ".join(map(str, range(4, 53))))
    monkeypatch.setattr(flame, "Path", lambda _path: tmp_path)

    assert read_thread_times(1).keys() == {9}


def spin(seconds):
    """Spend CPU time."""
    while time.thread_time() < seconds:
        pass
