"""Attacks with a guessed session id. With tokens all get 401; without tokens some are harmless."""

import numpy as np
import pytest

from func.session_token import Viewing, sign_viewing
from func.web.answer_warnings import warn_of_other_viewing, warn_of_repeat
from gaze_core.ports import StoredUpdate
from tests.fakes.synthetic_face import make_face
from tests.http.image_files import as_base64, make_image

KEY = "0123456789abcdef0123456789abcdef"
SESSION, CALIBRATION, VIDEO, ADDRESS = "viewing", "calibration", "contents1", "203.0.113.7"
START_MS = 1_767_225_600_000
WHOLE_SCREEN = {"x": 0.0, "y": 0.0, "width": 1.0, "height": 1.0}
BESIDE_THE_SCREEN = {"x": 2.0, "y": 2.0, "width": 1.0, "height": 1.0}


def sign(session_id=SESSION, *, ip_address=ADDRESS, video_id=VIDEO, start_ms=START_MS, key=KEY):
    return sign_viewing(key.encode(), Viewing(session_id, ip_address, video_id, start_ms))


CALIBRATION_TOKEN = sign(CALIBRATION, video_id="five-targets", start_ms=START_MS - 60_000)


def salient_middle():
    saliency_map = np.zeros((90, 160))
    saliency_map[30:60, 60:100] = 1.0
    return saliency_map


@pytest.fixture
def make_viewer(make_world, make_body):
    """Return a maker of worlds with a viewer who has sent three frames and looks at the salient middle."""

    def make(**environ):
        world = make_world(**environ)
        world.maps.by_video[VIDEO] = dict.fromkeys(range(1, 10), salient_middle())
        world.model.direction_deg = (0.0, -13.0)

        def post(session_token=None, **fields):
            body = make_body(session_id=SESSION, viewport=WHOLE_SCREEN, session_token=session_token)
            return world.post(body | fields)

        world.send = post
        for number in (1, 2, 3):
            assert post(sign(), frame_number=number).status_code == 200
        return world

    return make


@pytest.fixture
def guarded(make_viewer):
    return make_viewer(SESSION_TOKEN_KEYS=KEY)


@pytest.fixture
def open_world(make_viewer):
    return make_viewer()


ATTACKS = {
    "read the gaze by posting a frame again": {"frame_number": 1},
    "shift the viewport": {"frame_number": 1, "viewport": BESIDE_THE_SCREEN},
    "add a frame": {"frame_number": 99},
    "end the session": {"frame_number": 1, "last_frame": True, "frame": None},
    "poison the calibration": {"session_id": CALIBRATION, "calibration_target": [0.9, 0.9], "frame_number": 1},
}
FORGED = {
    "none": None,
    "empty": "",
    "garbage": "v1.1767225600000.contents1." + "0" * 64,
    "for the attacker's own session": sign("attacker", ip_address="198.51.100.9"),
    "for another address": sign(ip_address="198.51.100.9"),
    "for another video": sign(video_id="contents2"),
    "by another key": sign(key="fedcba9876543210fedcba9876543210"),
}


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED)
@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_without_the_session_s_token_an_attack_is_refused_and_changes_nothing(guarded, attack, token):
    before = guarded.sessions.get_session(SESSION)

    response = guarded.send(token, **attack)

    assert (response.status_code, response.content_type) == (401, "application/problem+json")
    assert response.get_json()["type"] == "/problems/session-token"
    assert "gaze" not in response.get_json()
    assert guarded.sessions.get_session(SESSION) == before
    assert guarded.sink.deliveries == []


def test_the_ids_of_a_network_cannot_be_sealed(guarded):
    own = sign("attacker", ip_address="198.51.100.9")
    statuses = {
        guarded.send(
            own, session_id=f"id-of-{host}", ip_address=f"203.0.113.{host}", frame_number=1, last_frame=True, frame=None
        ).status_code
        for host in range(256)
    }

    assert statuses == {401}
    assert guarded.sessions._viewers.keys() == {SESSION}


def test_a_refusal_has_the_field_and_the_authentication_scheme(guarded):
    missing, wrong = guarded.send(None, frame_number=4), guarded.send("v1", frame_number=4)

    assert missing.get_json()["detail"] == "`session_token` is required"
    assert wrong.get_json()["detail"] == "`session_token` does not match this session and IP address"
    assert missing.headers["WWW-Authenticate"] == "SessionToken"


def test_no_token_or_key_is_logged(guarded, caplog):
    caplog.set_level("DEBUG")

    guarded.send(sign("attacker"), frame_number=4)
    guarded.send(sign(), frame_number=4)

    assert KEY not in caplog.text
    assert sign("attacker") not in caplog.text
    assert sign() not in caplog.text
    assert KEY not in repr(guarded.settings)


def test_the_viewer_s_own_session_is_scored(guarded):
    answer = guarded.send(sign(), frame_number=4, last_frame=True, frame=None).get_json()

    assert (answer["final_score"], answer["result"]["frames"]["received"]) == (100.0, 3)


def test_a_token_signed_with_an_older_key_is_valid(make_viewer):
    world = make_viewer(SESSION_TOKEN_KEYS=f"fedcba9876543210fedcba9876543210,{KEY}")

    assert world.send(sign(), frame_number=4).status_code == 200


@pytest.mark.parametrize(
    "token",
    [None, "", sign(), sign(CALIBRATION, ip_address="198.51.100.9"), sign(CALIBRATION, key="x" * 32)],
    ids=["none", "empty", "for the viewing", "for another address", "by another key"],
)
def test_a_calibration_session_needs_its_own_token(guarded, token):
    response = guarded.send(sign(), frame_number=4, calibration_session=CALIBRATION, calibration_token=token)

    assert response.status_code == 401
    assert "`calibration_token`" in response.get_json()["detail"]
    assert 4 not in guarded.frames(SESSION)


def test_a_calibration_may_have_been_made_with_another_video_id(guarded):
    response = guarded.send(
        sign(), frame_number=4, calibration_session=CALIBRATION, calibration_token=CALIBRATION_TOKEN
    )

    assert response.status_code == 200


def test_a_later_viewing_is_not_answered_with_an_earlier_one_s_gaze(guarded):
    response = guarded.send(sign(start_ms=START_MS + 1), frame_number=1)

    assert response.status_code == 409
    assert response.get_json()["type"] == "/problems/other-viewing"


def test_frames_of_another_viewing_do_not_count(guarded):
    later = sign(start_ms=START_MS + 1)
    guarded.model.direction_deg = (30.0, 30.0)
    assert guarded.send(later, frame_number=4).status_code == 200

    answer = guarded.send(sign(), frame_number=5, last_frame=True, frame=None).get_json()

    assert (answer["final_score"], answer["result"]["frames"]["received"]) == (100.0, 3)
    assert answer["result"]["lost"]["missing"] == 1


def test_the_result_of_another_viewing_is_not_answered(guarded):
    guarded.send(sign(), frame_number=4, last_frame=True, frame=None)

    response = guarded.send(sign(start_ms=START_MS + 1), frame_number=4, last_frame=True, frame=None)

    assert response.status_code == 409
    assert len(guarded.sink.deliveries) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"viewport": BESIDE_THE_SCREEN},
        {"screen": {"width_mm": 3450, "height_mm": 1940}},
        {"camera": {"tilt_deg": 40}},
        {"calibration_session": "of-the-attacker"},
        {"calibration_target": [0.9, 0.9]},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_repeated_frame_cannot_change_the_score(open_world, changed):
    repeated = open_world.send(frame_number=1, **changed)

    assert repeated.get_json()["warnings"] == [
        f"frame 1 was already stored with other values, which are kept: {next(iter(changed))}"
    ]
    assert open_world.sessions.get_session(SESSION).settings == {"viewport": WHOLE_SCREEN}
    result = open_world.send(frame_number=4, last_frame=True, frame=None).get_json()["result"]
    assert (result["final_score"], result["frames"]["off_video"], result["calibration"]) == (100.0, 0, None)


def test_another_viewport_affects_only_its_own_frame(open_world):
    open_world.send(frame_number=4, viewport=BESIDE_THE_SCREEN)

    result = open_world.send(frame_number=5, last_frame=True, frame=None).get_json()["result"]

    assert (result["frames"]["hits"], result["frames"]["off_video"]) == (3, 1)


def test_a_repeat_with_another_image_is_reported(open_world):
    first = open_world.send(frame_number=5).get_json()
    open_world.landmarker.faces = [make_face(yaw_deg=10)]

    second = open_world.send(frame_number=5, frame=as_base64(make_image(width_px=322))).get_json()

    assert second.pop("warnings") == [
        "frame 5 was already stored with another image; this answer describes the stored one"
    ]
    assert second == first


def test_a_repeat_with_the_same_content_has_no_warnings(open_world):
    assert "warnings" not in open_world.send(frame_number=1).get_json()


def test_a_frame_for_another_video_than_its_session_s_is_reported(open_world):
    answer = open_world.send(frame_number=5, video_id="contents2").get_json()

    assert answer["warnings"] == [
        "the session was created with another video_id, which is the one that is scored: contents1"
    ]


def test_a_frame_from_another_address_is_reported_without_showing_the_first(open_world):
    answer = open_world.send(frame_number=5, ip_address="198.51.100.9").get_json()

    assert answer["warnings"] == ["the session was created with another ip_address, with which its result is sent"]


def test_a_repeat_for_another_video_is_reported(open_world):
    answer = open_world.send(frame_number=1, video_id="contents2").get_json()

    assert "frame 1 was already stored with other values, which are kept: video_id" in answer["warnings"]


def test_a_repeat_of_a_frame_of_an_earlier_version_without_video_id_has_no_warning(open_world):
    stored = {"validity": "no_face", "image_digest": "00"}

    assert warn_of_repeat(1, {**stored, "video_id": "contents1"}, stored) == []


@pytest.mark.parametrize("video_id", [None, "", "contents1"])
def test_without_another_video_id_in_the_answer_nothing_is_reported(video_id):
    update = StoredUpdate({}, frozenset(), video_id=video_id)

    assert warn_of_other_viewing(update, video_id="contents1", ip_address="::1") == []


def test_a_last_frame_for_another_video_is_reported(open_world):
    answer = open_world.send(frame_number=4, last_frame=True, frame=None, video_id="contents2").get_json()

    assert answer["result"]["video_id"] == VIDEO
    assert answer["warnings"] == [
        "the session was created with another video_id, which is the one that was scored: contents1"
    ]


def test_the_warning_of_unknown_fields_is_limited_in_size(open_world):
    fields = {f"field-{number:02}-{'x' * 100}": 1 for number in range(50)}

    (warning,) = open_world.send(frame_number=5, **fields).get_json()["warnings"]

    assert warning.endswith("… and 40 more")
    assert len(warning) < 800


def test_without_keys_a_token_is_ignored(open_world):
    assert open_world.send("anything", frame_number=5).status_code == 200
