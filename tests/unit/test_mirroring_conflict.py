"""Viewings and refreshes whose `camera.mirrored` is not that of their calibration."""

import pytest

from func.session.camera_mirroring import MirroringConflict, find_mirroring, find_mirroring_conflict
from func.session.frame_record import read_record
from gaze_core.gaze import direction_to, gaze_vector
from gaze_core.ports import Session
from gaze_core.types import Camera, GazePoint, Screen
from tests.fakes.scored_sessions import ScoredSessions
from tests.fakes.session_api import FakeSessionStore
from tests.fakes.viewer import FIVE_TARGETS

MIRRORED, PLAIN, UNSAID, OTHER_CAMERA = {"mirrored": True}, {"mirrored": False}, None, {"tilt_deg": 5.0}
SEEN = {"validity": "ok", "gaze": [0.1, 0.5], "eye_openness": [0.3, 0.3], "origin_mm": [0.0, 120.0, 600.0]}
OFFSET_DEG = (4.0, -3.0)
AWAY = {"validity": "no_face", "gaze": None}


def frame(camera, **more):
    """Return the record of a frame that looks straight ahead."""
    described = {} if camera is None else {"camera": camera}
    return SEEN | {"features": [0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 600.0]} | described | more


def at_target(camera, x=0.5, y=0.5, *, mirror=False, **more):
    """Return the record of a frame whose gaze misses a target by 5 degrees, or runs against the targets."""
    direction_deg = direction_to(GazePoint(x, y), (0.0, 120.0, 600.0), Screen(), Camera()) + OFFSET_DEG
    right, down, away = gaze_vector(direction_deg).tolist()
    features = [-right if mirror else right, down, away, 0.0, 0.0, 0.0, 600.0]
    return frame(camera, features=features, target=[x, y], calibration_use="fit", **more)


def session_of(*records):
    return Session("calibration", "", "", "", frames=dict(enumerate(records, 1)), settings={})


def conflict(calibration, *records):
    return find_mirroring_conflict(session_of(*calibration), dict(enumerate(map(read_record, records), 1)))


@pytest.mark.parametrize("said", [MIRRORED, PLAIN, UNSAID, OTHER_CAMERA])
def test_frames_with_the_mirroring_of_their_calibration_agree(said):
    assert conflict([at_target(said)], frame(said)) is None


@pytest.mark.parametrize("said", [PLAIN, UNSAID, OTHER_CAMERA])
def test_frames_that_forget_the_mirroring_are_counted(said):
    assert conflict([at_target(MIRRORED)], frame(said), frame(MIRRORED), frame(said)) == MirroringConflict(True, 2)


@pytest.mark.parametrize("said", [PLAIN, UNSAID, OTHER_CAMERA])
def test_frames_that_are_mirrored_unlike_their_calibration_are_counted(said):
    assert conflict([at_target(said)], frame(said), frame(MIRRORED)) == MirroringConflict(False, 1)


def test_frames_without_a_gaze_do_not_count():
    assert conflict([at_target(MIRRORED)], AWAY, AWAY | {"camera": PLAIN}) is None


def test_frames_of_an_older_service_do_not_count():
    assert conflict([at_target(MIRRORED)], {"gaze": [320, 240], "saliency_match": 1}, "unknown") is None


def test_most_frames_of_a_calibration_decide():
    assert conflict([at_target(MIRRORED)] * 2 + [at_target(UNSAID)], frame(UNSAID)) == MirroringConflict(True, 1)


def test_a_calibration_of_halves_counts_as_not_mirrored():
    assert conflict([at_target(MIRRORED), at_target(UNSAID)], frame(UNSAID)) is None


def test_only_calibration_targets_tell_how_a_calibration_was_made():
    validation = at_target(PLAIN) | {"calibration_use": "validate"}

    assert conflict([at_target(MIRRORED), validation, validation], frame(MIRRORED)) is None


def test_a_session_without_targets_tells_nothing():
    assert conflict([frame(MIRRORED)], frame(PLAIN)) is None


@pytest.mark.parametrize(
    ("cameras", "is_mirrored"),
    [
        ([], None),
        ([MIRRORED], True),
        ([UNSAID], False),
        ([MIRRORED, UNSAID, UNSAID], False),
        ([UNSAID, MIRRORED, MIRRORED], True),
        ([MIRRORED, PLAIN], False),
    ],
)
def test_most_frames_say_whether_a_calibration_is_mirrored(cameras, is_mirrored):
    assert find_mirroring(dict(enumerate((read_record(at_target(each)) for each in cameras), 1))) is is_mirrored


class World(ScoredSessions):
    """Calibrations and viewings through cameras that are described in some way."""

    def calibrate(self, camera, **more):
        self.store("calibration", [at_target(camera, x, y, **more) for x, y in FIVE_TARGETS for _ in range(4)])

    def watch(self, *cameras):
        self.store("s", [frame(camera, calibration_session="calibration") for camera in cameras])
        return self.score("s", len(cameras) + 1)


@pytest.fixture
def world():
    return World()


def warned(result):
    return [each for each in result.as_json().get("warnings", []) if each["code"] == "mirroring_differs"]


def test_a_viewing_that_forgets_a_mirrored_camera_is_warned(world):
    world.calibrate(MIRRORED)

    (warning,) = warned(world.watch(UNSAID, MIRRORED, UNSAID))

    assert warning == {
        "code": "mirroring_differs",
        "frames": 2,
        "detail": "camera.mirrored is true in the calibration but not in these frames, so that left and right of the "
        "gaze are swapped in one of them; send the same camera.mirrored with every frame through one camera, also "
        "those of the calibration",
    }


def test_a_viewing_that_is_mirrored_unlike_its_calibration_is_warned(world):
    world.calibrate(UNSAID)

    (warning,) = warned(world.watch(MIRRORED, MIRRORED))

    assert warning["frames"] == 2
    assert warning["detail"].startswith("camera.mirrored is true in these frames but not in the calibration, so")


def test_the_warning_changes_no_number(world):
    world.calibrate(MIRRORED)
    result = world.watch(UNSAID).as_json()
    world.sessions = FakeSessionStore()
    world.calibrate(UNSAID)
    agreed = world.watch(UNSAID).as_json()

    del result["warnings"]
    result["calibration"]["mirrored"]["declared"] = False
    assert result == agreed


@pytest.mark.parametrize("said", [MIRRORED, UNSAID])
def test_a_viewing_like_its_calibration_has_no_warnings(world, said):
    world.calibrate(said)

    assert "warnings" not in world.watch(said, said).as_json()


@pytest.mark.parametrize(("first", "others"), [(MIRRORED, UNSAID), (UNSAID, MIRRORED)])
def test_the_first_frame_alone_does_not_say_how_a_calibration_was_declared(world, first, others):
    """As of a client that describes its camera once: the other frames were measured as not mirrored."""
    world.calibrate(others, mirror=True)
    world.store("once", [at_target(first, mirror=True), *world.sessions.get_session("calibration").frames.values()])

    mirrored = world.score("once", 22).calibration.mirrored

    assert (mirrored.suspected, mirrored.declared) == (True, others is MIRRORED)


@pytest.mark.parametrize(("calibrated", "watched"), [(MIRRORED, UNSAID), (UNSAID, MIRRORED)])
def test_a_calibration_that_seems_to_be_wrong_itself_has_its_own_warning_only(world, calibrated, watched):
    world.calibrate(calibrated, mirror=True)
    result = world.watch(watched)

    assert (result.calibration.reason, warned(result)) == ("mirrored", [])


def test_a_refresh_that_forgets_a_mirrored_camera_is_warned(world):
    world.calibrate(MIRRORED)
    world.store("refresh", [at_target(UNSAID, calibration_session="calibration")] * 4)

    result = world.score("refresh", 5)

    assert result.calibration.refreshed
    assert [each["frames"] for each in warned(result)] == [4]


@pytest.mark.parametrize(("others", "frames"), [([UNSAID] * 5, [5]), ([], [])])
def test_a_calibration_whose_frames_do_not_agree_is_warned(world, others, frames):
    world.calibrate(MIRRORED)
    targets = [*world.sessions.get_session("calibration").frames.values(), *map(at_target, others)]
    world.store("mixed", targets)

    assert [each["frames"] for each in warned(world.score("mixed", len(targets) + 1))] == frames


@pytest.mark.parametrize(("refreshed", "frames"), [(UNSAID, [3]), (MIRRORED, [])])
def test_a_viewing_is_also_compared_with_the_calibration_that_was_refreshed(world, refreshed, frames):
    """The client has forgotten the mirroring since then."""
    world.calibrate(MIRRORED)
    world.store("refresh", [at_target(refreshed, calibration_session="calibration")] * 4)
    world.store("s", [frame(refreshed, calibration_session="refresh")] * 3)

    assert [each["frames"] for each in warned(world.score("s", 4))] == frames


def test_a_viewing_is_not_compared_with_a_calibration_that_was_not_used(world):
    world.store("calibration", [at_target(MIRRORED)])
    world.store("refresh", [at_target(UNSAID, x, y, calibration_session="calibration") for x, y in FIVE_TARGETS] * 4)
    world.store("s", [frame(UNSAID, calibration_session="refresh")] * 3)

    assert warned(world.score("s", 4)) == []


def test_targets_that_refresh_nothing_are_not_compared(world):
    world.store("calibration", [at_target(MIRRORED)])
    world.store("refresh", [at_target(UNSAID, calibration_session="calibration")] * 4)

    result = world.score("refresh", 5)

    assert (result.calibration.refreshed, warned(result)) == (False, [])
