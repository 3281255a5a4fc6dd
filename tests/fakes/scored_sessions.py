"""Sessions of a viewer and their results."""

from func.session.expected_frames import ExpectedFrames
from func.session.session_score import SessionScorer
from tests.fakes.completion import LEFT_HALF, VIEWER
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore
from tests.fakes.viewer import StraightGazeModel


class ScoredSessions:
    """Stored sessions, scored by a model that returns the direction of the stored gaze vector."""

    def __init__(self):
        self.sessions = FakeSessionStore()
        self.maps = FakeSaliencyMaps({"contents1": dict.fromkeys(range(1, 51), LEFT_HALF)})

    def store(self, session_id, records, start=1):
        for number, each in enumerate(records, start):
            self.sessions.update_session(session_id, number, each, **VIEWER)

    def score(self, session_id="s", frame_number=2):
        scorer = SessionScorer(self.sessions, self.maps, model=StraightGazeModel())
        expected = ExpectedFrames(frame_number, has_image=False, total_frames=None)
        return scorer.score(self.sessions.get_session(session_id), expected, "contents1")
