"""What `python -m gaze_tools.bench.burst_memory` sends and adds up."""

import os

import cv2
import numpy as np
import pytest

from gaze_tools.bench.burst_memory import Burst, BurstMemory, list_processes, make_sent, read_peak_rss
from gaze_tools.bench.start import FunctionMemory, read_memory


def test_the_peak_of_all_processes_adds_what_the_others_hold_to_the_peak_of_the_worker():
    memory = FunctionMemory(worker_pss=200, worker_rss=270, total_pss=240)

    assert BurstMemory("burst", 40, memory, peak_rss=450).peak == 490


def test_noise_makes_the_file_of_a_frame_larger():
    frame = np.full((480, 640, 3), 120, np.uint8)

    smooth, rough = (make_sent(frame, Burst(1, 1280, 720, noise)) for noise in (3, 14))

    assert smooth[1] < rough[1]


def test_the_peak_of_a_process_is_at_least_its_resident_set():
    assert list_processes(os.getpid())[0] == os.getpid()
    assert read_peak_rss(os.getpid()) >= read_memory(os.getpid()).worker_rss * 0.9


@pytest.mark.parametrize(("width_px", "height_px"), [(640, 360), (1280, 720)])
def test_a_burst_has_images_of_its_size(monkeypatch, width_px, height_px):
    sent = []
    monkeypatch.setattr("gaze_tools.bench.burst_memory.send_json", sent.append)

    make_sent(np.zeros((48, 64, 3), np.uint8), Burst(1, width_px, height_px, 0))

    assert cv2.imdecode(np.frombuffer(sent[0], np.uint8), cv2.IMREAD_COLOR).shape == (height_px, width_px, 3)
