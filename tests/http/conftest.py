"""The handler with fakes behind it, and a client for it."""

import threading
from collections.abc import Mapping

import flask
import pytest

from func.bootstrap import Application, NeighbourProbes
from func.detectors import Detectors
from func.metrics import Metrics
from func.routes import Handler
from func.scoring import Scorer
from func.settings import read_settings
from gaze_core.errors import SaliencyMapNotFoundError, SessionNotFoundError, SessionScoredError
from gaze_core.ports import Session, StoredUpdate, VideoMaps
from tests.fakes.face_landmarker import FakeFaceLandmarker
from tests.fakes.gaze_model import FakeGazeModel
from tests.http.pictures import as_base64, make_picture


class FakeSessions:
    """Sessions in memory, first write wins."""

    def __init__(self):
        self.frames: dict[str, dict[str, object]] = {}
        self.settings: dict[str, dict[str, object]] = {}
        self.error = None
        self.is_up = True
        self._lock = threading.Lock()

    def is_reachable(self):
        return self.is_up

    def create_session(self, session_id, *, ip_address, video_id):
        self._fail()
        self.frames.setdefault(session_id, {})
        self.settings.setdefault(session_id, {})

    def get_session(self, session_id):
        self._fail()
        if session_id not in self.frames:
            raise SessionNotFoundError(session_id)
        with self._lock:
            frames = {int(number): record for number, record in self.frames[session_id].items()}
            return Session(session_id, "203.0.113.7", "v", "2026-01-01T00:00:00Z", frames, self.settings[session_id])

    def update_session(self, session_id, frame_number, gaze_data, *, ip_address, video_id, settings=None):
        self._fail()
        self.create_session(session_id, ip_address=ip_address, video_id=video_id)
        key = str(frame_number)
        with self._lock:
            known = self.frames[session_id]
            if "result" in self.settings[session_id] and key not in known:
                raise SessionScoredError(session_id)
            written = key not in known
            known.setdefault(key, dict(gaze_data))
            self.settings[session_id].update(settings or {})
            return StoredUpdate({key: known[key]}, frozenset({key} if written else ()))

    def store_settings(self, session_id, settings: Mapping[str, object]):
        self._fail()
        with self._lock:
            known = self.settings[session_id]
            written = {"result"} & settings.keys() - known.keys()
            known.update({key: value for key, value in settings.items() if key != "result" or key in written})
            return StoredUpdate({key: known[key] for key in {"result"} & settings.keys()}, frozenset(written))

    def _fail(self):
        if self.error is not None:
            raise self.error


class FakeMaps:
    """Saliency maps in memory."""

    def __init__(self):
        self.by_video: dict[str, dict[int, object]] = {}
        self.error = None
        self.is_up = True

    def is_reachable(self):
        return self.is_up

    def extract_saliencyMap(self, video_id, *, frame_nums=None):
        if self.error is not None:
            raise self.error
        if video_id not in self.by_video:
            raise SaliencyMapNotFoundError(video_id)
        maps = self.by_video[video_id]
        wanted = sorted(maps) if frame_nums is None else sorted(maps.keys() & set(frame_nums))
        return VideoMaps(iter([(number, maps[number]) for number in wanted]), "digest")


class FakeSink:
    """An aggregator that keeps what it gets."""

    def __init__(self):
        self.delivered = []
        self.error = None
        self.is_up = True

    def is_reachable(self):
        return self.is_up

    def send_result(self, final_result, video_id, ip_address, **rest):
        if self.error is not None:
            raise self.error
        self.delivered.append((final_result, video_id, ip_address))


class World:
    """The handler, everything behind it, and how to reach it."""

    def __init__(self, **environ):
        self.settings = read_settings(
            {"MONGO_URI": "mongodb://localhost", "BARRIER_TIMEOUT_S": "0", "THREADS": "8", "LANDMARKERS": "2", **environ}
        )
        self.landmarker = FakeFaceLandmarker()
        self.model = FakeGazeModel()
        self.sessions, self.maps, self.sink = FakeSessions(), FakeMaps(), FakeSink()
        self.metrics = Metrics()
        self.scorer = Scorer(
            self.sessions,
            self.maps,
            self.sink,
            model_digest=self.model.digest,
            barrier_timeout_s=self.settings.barrier_timeout_s,
            poll_s=self.settings.barrier_poll_s,
            places=self.settings.scoring_places,
        )
        self.probes = NeighbourProbes(
            {
                "session_api": self.sessions.is_reachable,
                "saliency_store": self.maps.is_reachable,
                "aggregator": self.sink.is_reachable,
            },
            max_age_s=0,
        )
        self.build_error = None
        self.handler = Handler(self.settings, self.metrics, self._find_application)
        app = flask.Flask("tests")
        app.add_url_rule("/", "root", self._view, defaults={"path": ""}, methods=None)
        app.url_map.add(app.url_rule_class("/<path:path>", endpoint="root"))
        app.url_map.add(app.url_rule_class("/", endpoint="root", defaults={"path": ""}))
        self.client = app.test_client()

    def _view(self, path):
        return self.handler.handle(flask.request._get_current_object())

    def _find_application(self):
        if self.build_error is not None:
            raise self.build_error
        return Application(
            settings=self.settings,
            detectors=Detectors(self.landmarker, self.model),
            sessions=self.sessions,
            maps=self.maps,
            sink=self.sink,
            scorer=self.scorer,
            metrics=self.metrics,
            probes=self.probes,
        )

    def post(self, body, **kwargs):
        return self.client.post("/gaze", json=body, **kwargs)


@pytest.fixture
def world():
    return World()


@pytest.fixture
def make_world():
    return World


@pytest.fixture
def make_body():
    """Return a maker of request bodies; a field of None is left out."""

    def make(**fields):
        body = {
            "session_id": "5f0c6a3e-0000-5000-8000-000000000001",
            "video_id": "contents1",
            "ip_address": "203.0.113.7",
            "frame_number": 17,
            "last_frame": False,
            "frame": PICTURE,
            **fields,
        }
        return {name: value for name, value in body.items() if value is not None}

    return make


PICTURE = as_base64(make_picture())
