"""The handler with fake dependencies, and a client for it."""

from functools import partial

import pytest

from func.bootstrap import Application, EyeNetworkState, UpstreamProbes
from func.detectors import Detectors
from func.session.completion import Completer
from func.session.session_score import SessionScorer
from func.settings import read_settings
from func.web.handler import Handler
from func.web.metrics import Metrics
from gaze_core.detector import GazeDetector
from tests.fakes.aggregator import FakeResultSink
from tests.fakes.eye_network import FakeEyeNetwork
from tests.fakes.face_landmarker import FakeFaceLandmarker
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.recordings import FakeRecording
from tests.fakes.saliency_store import FakeSaliencyMaps
from tests.fakes.session_api import FakeSessionStore
from tests.fakes.viewer import FIVE_TARGETS
from tests.http.asgi_client import make_client
from tests.http.image_files import as_base64, make_image

IRISES_ALONE = partial(GazeDetector, eye_region=None)
"""Use only the irises: the lids of synthetic faces do not follow the gaze direction."""


class World:
    """The handler, its fake dependencies and a client."""

    def __init__(self, **environ):
        self.settings = read_settings(
            {
                "MONGO_URI": "mongodb://localhost",
                "BARRIER_TIMEOUT_S": "0",
                # However busy the machine is, no request fails because it takes long.
                "REQUEST_TIMEOUT_S": "120",
                "BODY_TIMEOUT_S": "120",
                "LANDMARKER_WAIT_S": "60",
                "THREADS": "8",
                "LANDMARKERS": "2",
                **environ,
            }
        )
        self.landmarker = FakeFaceLandmarker(
            landmarkers=self.settings.landmarkers, wait_s=self.settings.landmarker_wait_s
        )
        self.model = FakeGazeModel()
        self.eye_network = FakeEyeNetwork()
        self.sessions, self.maps, self.sink = FakeSessionStore(), FakeSaliencyMaps(), FakeResultSink()
        self.metrics = Metrics()
        self.completer = Completer(
            self.sessions,
            SessionScorer(
                self.sessions,
                self.maps,
                model=self.model,
                eye_network_digest=self.eye_network.digest,
                smoothing=self.settings.scoring_smoothing,
            ),
            self.sink,
            observer=self.metrics,
            barrier_timeout_s=self.settings.barrier_timeout_s,
            poll_s=self.settings.barrier_poll_s,
        )
        self.probes = UpstreamProbes(
            {
                "session_api": self.sessions.is_reachable,
                "saliency_store": self.maps.is_reachable,
                "aggregator": self.sink.is_reachable,
            },
            timeout_s=60,
            max_age_s=0,
        )
        self.detectors = Detectors(
            self.landmarker,
            self.model,
            self.sessions,
            eye_network=self.eye_network,
            refresh_s=self.settings.calibration_refresh_s,
            make_detector=IRISES_ALONE,
        )
        self.eye_network_state = EyeNetworkState.USED
        self.build_error = None
        self.handler = Handler(self.settings, self.metrics, self._find_application)
        self.client = make_client(self.handler)

    def _find_application(self):
        if self.build_error is not None:
            raise self.build_error
        return Application(
            detectors=self.detectors,
            eye_network_state=self.eye_network_state,
            sessions=self.sessions,
            completer=self.completer,
            probes=self.probes,
        )

    def frames(self, session_id):
        return self.sessions.get_session(session_id).frames

    def post(self, body, **kwargs):
        return self.client.post("/gaze", json=body, **kwargs)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def make_world():
    return World


RECORDED_TESTS = [(0.3, 0.4), (0.6, 0.7), (0.8, 0.2)]
RECORDED_SETUP = {
    "screen": {"width_mm": 300.0, "height_mm": 180.0},
    "camera": {"vertical_fov_deg": 50.0, "offset_y_mm": 20.0, "tilt_deg": -4.0},
}


@pytest.fixture
def recording(tmp_path):
    """A recording with a gaze error that decreases from left to right, and a blink."""
    made = FakeRecording(tmp_path / "me", description=RECORDED_SETUP)
    for use, points in (("calibration", FIVE_TARGETS), ("test", RECORDED_TESTS)):
        for x, y in points:
            for frame in range(3):
                made.add(x, y, use, off_deg=(4.0 - 2.0 * x + 0.3 * frame, -3.0))
    made.add(0.5, 0.5, "test", faces=[])
    return made


@pytest.fixture(autouse=True)
def _irises_alone(monkeypatch):
    for module in ("research.recordings.camera", "research.recordings.measurement"):
        monkeypatch.setattr(f"{module}.GazeDetector", IRISES_ALONE)


@pytest.fixture
def make_body():
    """Return a function that makes request bodies without fields of None."""

    def make(**fields):
        body = {
            "session_id": "5f0c6a3e-0000-5000-8000-000000000001",
            "video_id": "contents1",
            "ip_address": "203.0.113.7",
            "frame_number": 17,
            "last_frame": False,
            "frame": IMAGE,
            **fields,
        }
        return {name: value for name, value in body.items() if value is not None}

    return make


IMAGE = as_base64(make_image())


@pytest.fixture(scope="session")
def anyio_backend():
    """Run asynchronous tests in asyncio, as the servers do."""
    return "asyncio"
