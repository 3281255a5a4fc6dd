"""The progress of a report: nothing unless it takes long, and nothing but on a terminal."""

import io

import numpy as np
import pytest
from rich.console import Console

from gaze_tools.report.progress import LateProgress, WatchedMaps
from tests.fakes.saliency_store import FakeSaliencyMaps


def watch(moments_s, *, is_terminal=True):
    """Return what is drawn while frames are done at these moments."""
    drawn = io.StringIO()
    clock = iter([0.0, *moments_s])
    console = Console(file=drawn, force_terminal=is_terminal, width=100)
    with LateProgress("frames", console=console, clock=lambda: next(clock)) as progress:
        for done, _ in enumerate(moments_s, 1):
            progress.update(done, 40)
    return drawn.getvalue()


def test_quick_work_shows_nothing():
    assert watch([0.5, 1.0, 2.9]) == ""


def test_long_work_shows_how_many_frames_are_done():
    assert "3/40" in watch([1.0, 2.0, 3.0])


def test_a_file_gets_no_progress():
    assert watch([1.0, 20.0], is_terminal=False) == ""


def test_progress_is_not_on_stdout(capsys):
    with LateProgress("frames") as progress:
        assert progress._console.stderr
        progress.update(1, 2)

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("frames", [[1, 2, 3], [2]])
def test_maps_are_counted_as_they_are_read(frames):
    told = []
    flat = np.ones((2, 2))
    maps = WatchedMaps(
        FakeSaliencyMaps({"v": dict.fromkeys((1, 2, 3), flat)}), lambda done, total: told.append((done, total))
    )

    read = [each.frame_nums for each in maps.extract_saliencyMap("v", frame_nums=frames).stored]

    assert read == [(number,) for number in frames]
    assert told == [(count, len(frames)) for count in range(1, len(frames) + 1)]


def test_facts_about_a_video_are_no_progress():
    maps = WatchedMaps(FakeSaliencyMaps({"v": {1: np.ones((2, 2))}}, fps=24.0), pytest.fail)

    assert maps.extract_saliencyMap("v").fps == 24.0
    assert len(list(maps.extract_saliencyMap("v").stored)) == 1
