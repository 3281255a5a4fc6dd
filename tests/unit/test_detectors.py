"""Cache of detectors: contents, lifetime, and concurrency."""

import threading

import pytest

from func.detectors import Detectors
from func.session.frame_record import make_record
from gaze_core.detector import GazeDetector
from gaze_core.errors import SessionStoreError
from gaze_core.types import Camera, Screen
from tests.fakes.eye_network import FakeEyeNetwork
from tests.fakes.face_landmarker import FakeFaceLandmarker
from tests.fakes.gaze_model import FakeGazeModel
from tests.fakes.session_api import FakeSessionStore
from tests.fakes.viewer import FIVE_TARGETS, StraightGazeModel, Viewer
from tests.http.image_files import make_pixels

VIEWER = {"ip_address": "203.0.113.7", "video_id": "calibration"}


class World:
    """Detectors with a session API in memory and a clock."""

    def __init__(self, **settings):
        self.sessions = CountingSessions()
        self.now_s = 100.0
        self.detectors = Detectors(
            FakeFaceLandmarker(), StraightGazeModel(), self.sessions, clock=lambda: self.now_s, **settings
        )

    def calibrate(self, viewer, session_id="mine", start=1, *, targets=FIVE_TARGETS, earlier=None):
        setup = None if earlier is None else {"calibration_session": earlier}
        for number, target in enumerate(targets, start):
            landmarker = FakeFaceLandmarker([viewer.look_at(target)])
            sample = GazeDetector(landmarker, StraightGazeModel(), eye_region=None).process_single_frame(make_pixels())
            self.sessions.update_session(session_id, number, make_record(sample, target=target, setup=setup), **VIEWER)

    def find(self, session_id="viewing", *, calibration_session="mine", **more):
        make = self.detectors.get_or_create_gaze_detector
        return make(session_id, calibration_session=calibration_session, **more).calibration


class CountingSessions(FakeSessionStore):
    """Counts reads of sessions, and calls `before_read` before each."""

    def __init__(self):
        super().__init__()
        self.reads = 0
        self.before_read = None

    def get_session(self, session_id):
        self.reads += 1
        if self.before_read is not None:
            self.before_read()
        return super().get_session(session_id)


@pytest.fixture
def world():
    return World()


def test_the_same_request_gets_the_same_detector(world):
    make = world.detectors.get_or_create_gaze_detector

    assert make("a") is make("a")
    assert make("a") is not make("b")


def test_all_detectors_use_the_eye_network():
    network = FakeEyeNetwork()
    model = FakeGazeModel(estimates=("landmarks", "network"))
    detectors = Detectors(FakeFaceLandmarker(), model, FakeSessionStore(), eye_network=network)

    for session_id in ("a", "b"):
        detectors.get_or_create_gaze_detector(session_id).process_single_frame(make_pixels())

    assert len(network.seen_views) == 2


@pytest.mark.parametrize("described", [{"screen": Screen(600, 340)}, {"camera": Camera(tilt_deg=5)}])
def test_another_screen_or_camera_makes_another_detector(world, described):
    make = world.detectors.get_or_create_gaze_detector
    plain = make("a")

    assert make("a", **described) is not plain


def test_the_least_recently_used_one_is_forgotten():
    detectors = World(capacity=2).detectors
    first = detectors.get_or_create_gaze_detector("a")
    detectors.get_or_create_gaze_detector("b")
    detectors.get_or_create_gaze_detector("a")
    detectors.get_or_create_gaze_detector("c")

    assert len(detectors) == 2
    assert detectors.get_or_create_gaze_detector("a") is first


def test_a_calibration_comes_from_the_selected_session(world):
    world.calibrate(Viewer(offset_deg=(4.0, -3.0)))

    assert world.find().correction.offset_deg == pytest.approx((4.0, -3.0), abs=0.5)


def test_viewings_share_a_calibration_which_is_read_once(world):
    world.calibrate(Viewer())

    assert world.find("a") is world.find("b")
    assert world.sessions.reads == 1


def test_a_calibration_is_read_again_when_it_is_too_old(world):
    world.calibrate(Viewer(offset_deg=(4.0, -3.0)))
    world.find()
    world.calibrate(Viewer(offset_deg=(-4.0, 3.0)), start=100)
    world.calibrate(Viewer(offset_deg=(-4.0, 3.0)), start=200)

    world.now_s += 9.9
    early = world.find()
    world.now_s += 0.1
    late = world.find()

    assert early.correction.offset_deg[0] > 3
    assert late.correction is None or late.correction.offset_deg[0] < 3


def test_a_calibration_that_names_an_earlier_one_refreshes_it(world):
    world.calibrate(Viewer(offset_deg=(4.0, -3.0)))
    world.calibrate(Viewer(offset_deg=(6.0, -3.0)), session_id="back", targets=[(0.5, 0.5)], earlier="mine")

    found = world.find(calibration_session="back")

    assert found.refreshed_by_deg[0] > 1
    assert found.correction.gain == world.find().correction.gain


def test_a_refresh_is_fitted_again_when_the_earlier_calibration_changes(world):
    world.calibrate(Viewer(offset_deg=(4.0, -3.0)))
    world.calibrate(Viewer(offset_deg=(6.0, -3.0)), session_id="back", targets=[(0.5, 0.5)], earlier="mine")
    first = world.find(calibration_session="back")
    world.calibrate(Viewer(offset_deg=(5.0, -3.0)), start=100)
    world.now_s += 11

    assert world.find(calibration_session="back") is not first


def test_an_unchanged_calibration_is_not_fitted_again(world):
    world.calibrate(Viewer())
    first = world.find()
    world.now_s += 11

    assert world.find() is first
    assert world.sessions.reads == 2


def test_a_missing_calibration_session_is_remembered(world):
    assert world.find() is None
    world.now_s += 5
    world.find()
    assert world.sessions.reads == 1


def test_while_the_session_api_fails_the_last_calibration_is_used(world):
    world.calibrate(Viewer())
    known = world.find()
    world.sessions.error = SessionStoreError("down")
    world.now_s += 60

    assert world.find() is known


def test_a_calibration_is_read_again_after_the_session_api_failed(world):
    world.calibrate(Viewer())
    world.sessions.error = SessionStoreError("down")
    assert world.find() is None
    world.sessions.error = None
    world.now_s += 10

    assert world.find() is not None


def test_other_requests_do_not_wait_while_a_calibration_is_read(world):
    world.calibrate(Viewer())
    known = world.find()
    world.now_s += 60
    is_reading, may_end = threading.Event(), threading.Event()
    ended = []

    def hang():
        is_reading.set()
        ended.append(may_end.wait(60))

    world.sessions.before_read = hang
    reader = threading.Thread(target=world.find)
    reader.start()
    assert is_reading.wait(60)

    assert world.find("other") is known
    assert world.detectors.get_or_create_gaze_detector("plain").calibration is None
    may_end.set()
    reader.join()
    assert ended == [True]


def test_a_capacity_of_0_is_refused():
    with pytest.raises(ValueError, match="capacity"):
        World(capacity=0)
