"""The script and the keys in docs/recordings.md."""

import itertools
import json
import re
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest

from gaze_core.types import Camera
from research.recordings.recording import load_recording
from tests.fakes.painted_eyes import make_noise
from tests.fakes.recordings import FakeRecording

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "recordings.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)


class Canvas:
    def __init__(self, window, **options):
        self.targets = []

    def pack(self, **options):
        pass

    def delete(self, what):
        self.targets.clear()

    def create_oval(self, left, top, right, bottom, **options):
        self.targets.append(((left + right) / 2, (top + bottom) / 2))
        shown.append(self.targets[-1])


class Window:
    def attributes(self, *options):
        pass

    def update(self):
        pass

    def destroy(self):
        pass

    def winfo_screenwidth(self):
        return 1000

    def winfo_screenheight(self):
        return 500


class Webcam:
    def __init__(self, number):
        self._numbers = itertools.count()

    def read(self):
        return True, make_noise(np.random.default_rng(next(self._numbers)), 64, 48)


shown = []


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Run the capture script with a fake screen and camera; return the recording."""
    (script,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "tkinter", types.SimpleNamespace(Tk=Window, Canvas=Canvas))
    monkeypatch.setattr(cv2, "VideoCapture", Webcam)
    moments = itertools.count(step=0.6)
    # The script's own clock: other threads keep theirs.
    monkeypatch.setitem(sys.modules, "time", types.SimpleNamespace(monotonic=lambda: next(moments)))
    shown.clear()
    exec(compile(script, "docs/recordings.md", "exec"), {})
    monkeypatch.undo()
    return load_recording(tmp_path / "me")


def test_the_script_makes_a_recording(recorded):
    phases = [str(row.phase) for row in recorded.rows]

    assert phases == ["calibration"] * 60 + ["test"] * 72
    assert (recorded.screen.width_px, recorded.screen.height_px) == (1000, 500)
    assert (recorded.distance_mm, recorded.ignored_fields, recorded.files_without_row) == (550.0, (), ())
    assert "camera.vertical_fov_deg" not in recorded.given


def test_the_script_shows_the_targets_where_it_records_them(recorded):
    targets = dict.fromkeys((row.target.x, row.target.y) for row in recorded.rows)

    assert list(dict.fromkeys(shown)) == [(1000 * x, 500 * y) for x, y in targets]


def test_the_description_that_is_shown_is_read(tmp_path):
    (description,) = blocks("json")
    recording = FakeRecording(tmp_path / "me", description=json.loads(description))
    recording.add(0.5, 0.5)

    loaded = recording.load()

    assert loaded.camera == Camera(vertical_fov_deg=45)
    assert loaded.ignored_fields == ()


def test_every_key_of_the_report_is_explained(tmp_path):
    recording = FakeRecording(tmp_path / "me")
    recording.add(0.5, 0.5)
    report = recording.measure()
    keys = {*report, *report["frames"], *report["distance_mm"], *report["test"], *report["test"]["uncalibrated"]}
    shortened = {"error_of_median_gaze_mm", "error_of_median_gaze_px"}  # as `…_mm`, `…_px`

    assert [key for key in sorted(keys - shortened) if f"`{key}`" not in GUIDE and f".{key}`" not in GUIDE] == []


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", GUIDE))
def test_every_link_leads_to_a_file(target):
    assert (ROOT / "docs" / target).exists()
