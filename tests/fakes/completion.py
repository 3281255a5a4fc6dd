"""Completer with upstream services in memory."""

import contextlib

import numpy as np

from func.session.completion import Completer, LastFrame, complete
from func.session.session_score import SessionScorer
from tests.fakes.aggregator import FakeResultSink
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore

VIEWER = {"ip_address": "203.0.113.7", "video_id": "contents1"}
LEFT_HALF = np.repeat([[1.0] * 3 + [0.0] * 7], 4, axis=0)
"""Saliency map whose left 30 % are salient, so the chance level is 30."""
HIT, MISS, OFF = [0.1, 0.5], [0.9, 0.5], [1.5, 0.5]


def record(gaze=None, validity="ok", **more):
    return {"gaze": gaze, "validity": validity, **more}


class Counts:
    """Counts results like the metrics do."""

    def __init__(self):
        self.stored = self.delivered = 0

    def count_result_stored(self):
        self.stored += 1

    def count_result_delivered(self):
        self.delivered += 1

    def time_stage(self, stage):
        return contextlib.nullcontext()


class CompletionWorld:
    """Completer, its upstream services, and a clock that only moves during sleep."""

    def __init__(self, *, accuracy_deg=None, remembers=True, eye_network_digest=None, model=None):
        self.sessions = FakeSessionStore(remembers=remembers)
        self.maps = FakeSaliencyMaps({"contents1": dict.fromkeys(range(1, 11), LEFT_HALF)}, digest="d")
        self.sink = FakeResultSink()
        self.counts = Counts()
        self.now_s = 0.0
        self.on_sleep = {}
        self.scorer = SessionScorer(
            self.sessions,
            self.maps,
            model=model or FakeGazeModel(digest="m"),
            eye_network_digest=eye_network_digest,
            accuracy_deg=accuracy_deg,
        )
        self.completer = Completer(
            self.sessions, self.scorer, self.sink, observer=self.counts, barrier_timeout_s=10.0, poll_s=0.5,
            clock=lambda: self.now_s,
        )  # fmt: skip

    def sleep(self, duration_s):
        self.now_s += duration_s
        for due_s in sorted(self.on_sleep):
            if due_s <= self.now_s:
                self.on_sleep.pop(due_s)()

    def store(self, *records, start=1, **settings):
        for number, each in enumerate(records, start=start):
            self.sessions.update_session("s", number, each, **VIEWER)
        if settings:
            self.sessions.store_settings("s", settings)

    def last(self, frame_number, *, session_id="s", has_image=False, total_frames=None, **viewer):
        return LastFrame(
            session_id,
            frame_number=frame_number,
            has_image=has_image,
            total_frames=total_frames,
            **{**VIEWER, **viewer},
        )

    def finish(self, frame_number, **kwargs):
        return complete(self.completer, self.last(frame_number, **kwargs), self.sleep)

    def complete(self, frame_number, **kwargs):
        return self.finish(frame_number, **kwargs).result.as_json()
