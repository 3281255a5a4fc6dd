"""POST /gaze with a frame."""

import base64
import io
import json

import pytest
from pytest import approx

from gaze_core.errors import GazeError
from gaze_core.ports import StoredUpdate
from tests.fakes.eye_network import make_gazes
from tests.fakes.synthetic_face import make_face
from tests.http.image_files import as_base64, make_image


def test_a_frame_gets_the_answer_of_the_contract(world, make_body):
    response = world.post(make_body())

    assert (response.status_code, response.content_type) == (200, "application/json")
    answer = response.get_json()
    assert list(answer) == [
        "status",
        "message",
        "session_id",
        "frame_number",
        "gaze",
        "validity",
        "head_pose_deg",
        "distance_mm",
    ]
    assert response.get_data().startswith(b'{"status": "success", "message": "Frame processed", ')
    assert (answer["frame_number"], answer["validity"]) == (17, "ok")
    assert answer["gaze"]["on_screen"] is True
    assert answer["gaze"]["x"] == approx(0.5, abs=0.01)
    assert set(answer["head_pose_deg"]) == {"pitch", "yaw", "roll"}
    assert answer["distance_mm"] == approx(571, abs=30)


def test_the_record_is_stored_under_its_frame_number(world, make_body):
    world.post(make_body(session_id="s", frame_number=3, timestamp_ms=12.5, video_time_ms=100))

    record = world.frames("s")[3]
    assert (record["validity"], record["timestamp_ms"], record["video_time_ms"]) == ("ok", 12.5, 100)
    assert len(record["features"]) == 7


def test_the_record_contains_the_eye_networks_answer(world, make_body):
    world.model.estimates = ("landmarks", "network")
    world.eye_network.gazes = make_gazes(both_deg=(0.0, 4.0), spread_deg=2.5)

    world.post(make_body(session_id="s", frame_number=3))

    # The synthetic face looks into the camera, so its head frame is the virtual camera's but for a small pitch.
    eyes = world.frames("s")[3]["eyes"]
    assert set(eyes) == {"landmarks", "left", "right", "both"}
    assert eyes["both"] == approx([0.0, 4.0, 2.5, 2.5], abs=4)
    assert eyes["both"][2:] == [2.5, 2.5]


def test_the_answer_to_a_frame_does_not_depend_on_a_network(world, make_body):
    without = world.post(make_body(session_id="a")).get_json()
    world.model.estimates = ("landmarks", "network")
    with_network = world.post(make_body(session_id="b")).get_json()

    assert list(with_network) == list(without)


def test_a_frame_without_a_face_is_still_a_success(world, make_body):
    world.landmarker.faces = []

    answer = world.post(make_body()).get_json()

    assert (answer["status"], answer["validity"], answer["gaze"]) == ("success", "no_face", None)
    assert (answer["head_pose_deg"], answer["distance_mm"]) == (None, None)


def test_closed_eyes_have_a_head_pose_but_no_gaze(world, make_body):
    world.landmarker.faces = [make_face(lid_opening_mm=1.0)]

    answer = world.post(make_body()).get_json()

    assert (answer["validity"], answer["gaze"]) == ("eyes_closed", None)
    assert answer["head_pose_deg"]["yaw"] == approx(0, abs=0.1)


def test_a_second_face_is_flagged(world, make_body):
    world.landmarker.faces = [make_face(), make_face(place_mm=(0, 0, 900))]

    answer = world.post(make_body()).get_json()

    assert (answer["validity"], answer["flags"]) == ("ok", ["several_faces"])


def test_reasons_for_low_quality_are_flagged(world, make_body):
    world.landmarker.faces = [make_face(yaw_deg=60)]

    answer = world.post(make_body()).get_json()

    assert (answer["validity"], answer["gaze"]) == ("low_quality", None)
    assert "head_turned_away" in answer["flags"]


def test_a_repeated_frame_number_gets_the_first_answer_again(world, make_body):
    first = world.post(make_body()).get_json()
    world.model.direction_deg = (10.0, 3.0)
    world.landmarker.faces = [make_face(yaw_deg=10)]

    assert world.post(make_body()).get_json() == first


def test_a_stored_record_of_an_older_service_does_not_become_the_answer(world, make_body):
    world.sessions.update_session("s", 17, [311, 204], ip_address="203.0.113.7", video_id="v")

    answer = world.post(make_body(session_id="s")).get_json()

    assert answer["gaze"]["x"] == approx(0.5, abs=0.01)


NONSENSE = [
    {"validity": "ok"},
    {"validity": "ok", "gaze": None},
    {"validity": "no_face", "gaze": [0.9, 0.9]},
    {"validity": "ok", "gaze": [0.9, float("nan")]},
    {"validity": "ok", "gaze": [0.9, 10**400]},
    {"validity": "ok", "gaze": {"x": 0.9, "y": 0.9}},
    {"validity": "sleepy", "gaze": None},
    {"validity": ["ok"], "gaze": [0.9, 0.9]},
    {"validity": "ok", "gaze": [0.9, 0.9], "head_pose_deg": [1, 2]},
    {"validity": "ok", "gaze": [0.9, 0.9], "head_pose_deg": {"pitch": 1}},
    {"validity": "ok", "gaze": [0.9, 0.9], "head_pose_deg": {"pitch": 1, "yaw": 2, "roll": float("inf")}},
    {"validity": "ok", "gaze": [0.9, 0.9], "distance_mm": "x"},
    {"validity": "ok", "gaze": [0.9, 0.9], "flags": "x"},
    {"validity": "ok", "gaze": [0.9, 0.9], "flags": [1]},
    {},
    [],
    "text",
    7,
    None,
]


@pytest.mark.parametrize("stored", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("calibration_session", [None, "c"])
def test_an_invalid_stored_record_is_not_answered(world, make_body, stored, calibration_session):
    honest = world.post(make_body(session_id="a", calibration_session=calibration_session)).get_json()
    world.sessions.update_session = lambda *_, **__: StoredUpdate({"17": stored}, frozenset())

    response = world.post(make_body(session_id="a", calibration_session=calibration_session))

    assert (response.status_code, response.get_json()) == (200, honest)


def test_a_stored_record_without_gaze_is_answered_unchanged(world, make_body):
    world.sessions.update_session = lambda *_, **__: StoredUpdate({"17": {"validity": "no_face"}}, frozenset())

    answer = world.post(make_body()).get_json()

    assert (answer["validity"], answer["gaze"], answer["head_pose_deg"]) == ("no_face", None, None)


def test_a_multipart_request_gets_the_same_answer_as_json(world, make_body):
    image = make_image()
    as_json = world.post(make_body(session_id="a", frame=as_base64(image))).get_json()

    parts = {
        "metadata": json.dumps(make_body(session_id="b", frame=None)),
        "frame": (io.BytesIO(image), "frame.jpg", "image/jpeg"),
    }
    response = world.client.post("/gaze", data=parts, content_type="multipart/form-data")

    assert response.status_code == 200
    assert response.get_json() == {**as_json, "session_id": "b"}


def test_multipart_parts_need_no_file_name(world, make_body):
    lines = [b"--X", b'Content-Disposition: form-data; name="metadata"; filename="m.json"', b""]
    lines += [json.dumps(make_body(frame=None)).encode(), b"--X", b'Content-Disposition: form-data; name="frame"']
    lines += [b"Content-Type: image/png", b"", make_image(".png"), b"--X--", b""]

    response = world.client.post("/gaze", data=b"\r\n".join(lines), content_type="multipart/form-data; boundary=X")

    assert response.status_code == 200


@pytest.mark.parametrize(
    "prefix",
    [
        "data:image/jpeg;base64,",
        "data:image/webp;base64,",
        "DATA:image/png;BASE64,",
        "data:image/jpeg;charset=utf-8;base64,",
    ],
)
def test_a_data_url_is_accepted(world, make_body, prefix):
    assert world.post(make_body(frame=prefix + as_base64(make_image()))).status_code == 200


def test_base64_in_lines_is_accepted(world, make_body):
    lines = base64.encodebytes(make_image()).decode().replace("\n", "\r\n")

    assert world.post(make_body(frame=f"data:image/jpeg;base64,{lines}")).status_code == 200


def test_unknown_fields_are_ignored_and_listed_in_the_warnings(world, make_body):
    response = world.post(make_body(colour="blue", camera={"brand": "x"}))

    assert response.status_code == 200
    assert response.get_json()["warnings"] == ["unknown fields are ignored: camera.brand, colour"]


def test_null_is_the_same_as_omitted(world, make_body):
    body = make_body() | {"screen": None, "timestamp_ms": None, "total_frames": None, "calibration_use": None}

    assert world.post(body).status_code == 200


def test_screen_camera_and_viewport_are_stored_as_sent(world, make_body):
    world.post(
        make_body(
            session_id="s",
            frame_number=1,
            screen={"width_mm": 600, "height_mm": 340, "colour": "blue"},
            camera={"mirrored": True},
            viewport={"x": 0.1, "y": 0.2, "width": 0.5, "height": 0.5},
        )
    )

    sent = {
        "screen": {"width_mm": 600, "height_mm": 340},
        "camera": {"mirrored": True},
        "viewport": {"x": 0.1, "y": 0.2, "width": 0.5, "height": 0.5},
    }
    assert world.sessions.get_session("s").settings == sent
    assert world.frames("s")[1].items() >= sent.items()


def test_the_gaze_is_in_coordinates_of_the_screen_that_was_sent(world, make_body):
    world.model.direction_deg = (5.0, -9.0)

    narrow = world.post(make_body(frame_number=1)).get_json()["gaze"]["x"]
    wide = world.post(make_body(frame_number=2, screen={"width_mm": 690, "height_mm": 194})).get_json()["gaze"]["x"]

    assert narrow - 0.5 == approx(2 * (wide - 0.5), rel=0.01)


def test_a_calibration_target_is_stored_with_the_frame(world, make_body):
    world.post(make_body(session_id="s", calibration_target=[0.1, 0.9], calibration_use="fit"))

    record = world.frames("s")[17]
    assert (record["target"], record["calibration_use"]) == ([0.1, 0.9], "fit")


def test_the_image_reaches_the_landmarker_in_its_original_size(world, make_body):
    world.post(make_body(frame=as_base64(make_image(width_px=320, height_px=200))))

    assert world.landmarker.seen_shapes == [(200, 320, 3)]


def test_a_core_error_without_its_own_status_is_500_without_its_message(world, make_body):
    world.landmarker.error = GazeError("secret")

    response = world.post(make_body())

    assert response.status_code == 500
    assert "secret" not in response.get_data(as_text=True)
