"""Sessions for tests of the report."""

import numpy as np
import pytest

from gaze_core.ports import Session
from gaze_tools.report.examination import examine_session, read_gazes
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore

# 10 rows and 10 columns; the three columns on the right are the most salient 30 %.
RIGHT = np.tile(np.arange(10, dtype=np.uint8), (10, 1))
LOOKS_RIGHT, LOOKS_LEFT = [0.95, 0.5], [0.05, 0.5]


def record(gaze=None, validity="ok", **more):
    return {"gaze": gaze, "validity": validity, "origin_mm": [0.0, 100.0, 600.0], "distance_mm": 608.3, **more}


def make_session(frames, **settings):
    return Session("s-1", "203.0.113.7", "v", "2020-01-01T00:00:00Z", frames=frames, settings=settings)


def examine(frames, maps=None, **settings):
    session = make_session(frames, **settings)
    store = FakeSaliencyMaps({"v": maps} if maps else {}, digest="d1", fps=20.0)
    notes = []
    gazes, accuracy = read_gazes(session, FakeSessionStore(), lambda: pytest.fail("the model was loaded"), notes)
    return examine_session(session, store, gazes, notes, accuracy=accuracy), store


def result_of(final_score, **more):
    return {"final_score": final_score, "score_valid": True, "coverage": 1.0, **more}


def right_and_left(count=40):
    """Return frames of a viewer who looks right for the first quarter and left for the rest."""
    return {number: record(LOOKS_RIGHT if number <= count // 4 else LOOKS_LEFT) for number in range(1, count + 1)}


def maps_for(frames):
    return dict.fromkeys(frames, RIGHT)
