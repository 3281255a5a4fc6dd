"""Each field of a request: what is refused, and that the answer names it."""

import json

import pytest

from func.web.schemas import CameraPart, ScreenPart, ViewportPart
from gaze_core.types import Camera, Screen, Viewport
from tests.http.image_files import make_image

SESSION_ID_RULE = "must match ^[A-Za-z0-9._:-]{1,128}$"

DATA_URL_RULE = "must be base64 or the data URL of an image, such as data:image/jpeg;base64,…"
SHARE = ", as a share of the screen, not in pixels"

REFUSED = [
    ({"session_id": None}, "session_id", "is required"),
    ({"session_id": 7}, "session_id", "must be a string"),
    ({"session_id": ""}, "session_id", SESSION_ID_RULE),
    ({"session_id": "a/b"}, "session_id", SESSION_ID_RULE),
    ({"session_id": "a\n"}, "session_id", SESSION_ID_RULE),
    ({"session_id": "ä"}, "session_id", SESSION_ID_RULE),
    ({"session_id": "a" * 129}, "session_id", SESSION_ID_RULE),
    ({"session_id": "."}, "session_id", "must not be . or .."),
    ({"session_id": ".."}, "session_id", "must not be . or .."),
    ({"video_id": None}, "video_id", "is required"),
    ({"video_id": "a" * 101}, "video_id", "must match ^[A-Za-z0-9._-]{1,100}$"),
    ({"video_id": "a$b"}, "video_id", "must match ^[A-Za-z0-9._-]{1,100}$"),
    ({"video_id": "videos"}, "video_id", "must not be `videos` or start with `system.`"),
    ({"video_id": "system.users"}, "video_id", "must not be `videos` or start with `system.`"),
    ({"video_id": "a..b"}, "video_id", "must not start or end with a dot or contain two in a row"),
    ({"video_id": ".a"}, "video_id", "must not start or end with a dot or contain two in a row"),
    ({"ip_address": None}, "ip_address", "is required"),
    ({"ip_address": ""}, "ip_address", "must not be empty"),
    ({"ip_address": "a" * 201}, "ip_address", "must have at most 200 characters"),
    ({"ip_address": "203.0.113.7\n"}, "ip_address", "must be printable text"),
    ({"ip_address": "\x00"}, "ip_address", "must be printable text"),
    ({"frame_number": None}, "frame_number", "is required"),
    ({"frame_number": True}, "frame_number", "must be an integer"),
    ({"frame_number": 17.5}, "frame_number", "must be an integer"),
    ({"frame_number": -0.0}, "frame_number", "must be at least 1"),
    ({"frame_number": 1e300}, "frame_number", "must be at most 2147483647"),
    ({"frame_number": "17"}, "frame_number", "must be an integer"),
    ({"frame_number": 0}, "frame_number", "must be at least 1"),
    ({"frame_number": 2**31}, "frame_number", "must be at most 2147483647"),
    ({"frame_number": 10**30}, "frame_number", "must be at most 2147483647"),
    ({"last_frame": "yes"}, "last_frame", "must be true or false"),
    ({"last_frame": 1}, "last_frame", "must be true or false"),
    ({"frame": None}, "frame", "is required unless last_frame is true"),
    ({"frame": 7}, "frame", "must be a string"),
    ({"frame": "?"}, "frame", "must be base64; its character 1 is not"),
    ({"frame": "AAAA\u00a0AAAA"}, "frame", "must be base64; its character 5 is not"),
    ({"frame": "b'AAAA'"}, "frame", "must be base64; its character 2 is not"),
    ({"frame": "AAAA A"}, "frame", "must be base64; this one is cut off, because a length like this is impossible"),
    ({"frame": "AA=A"}, "frame", "must be base64"),
    ({"frame": "AA%2BAAAA%3D"}, "frame", "must be base64 without percent-encoding"),
    ({"frame": "ffd8ffe000104a464946"}, "frame", "must be base64, not hexadecimal"),
    ({"frame": "https://example.net/face.jpg"}, "frame", "must contain the image itself in base64, not its address"),
    ({"frame": " \r\n"}, "frame", "is required unless last_frame is true"),
    ({"frame": "ä"}, "frame", "must be base64; its character 1 is not"),
    ({"frame": "data:text/plain;base64,AAAA"}, "frame", DATA_URL_RULE),
    ({"frame": "data:,"}, "frame", DATA_URL_RULE),
    ({"frame": "data:image/jpeg,AAAA"}, "frame", DATA_URL_RULE),
    ({"timestamp_ms": "now"}, "timestamp_ms", "must be a number"),
    ({"timestamp_ms": True}, "timestamp_ms", "must be a number"),
    ({"video_time_ms": 1e16}, "video_time_ms", "must be at most 1000000000000000.0"),
    ({"total_frames": 0}, "total_frames", "must be at least 1"),
    ({"total_frames": 2.5}, "total_frames", "must be an integer"),
    ({"screen": []}, "screen", "must be an object"),
    ({"screen": {"width_mm": 345}}, "screen", "must have width_mm and height_mm together"),
    ({"screen": {"width_mm": 0, "height_mm": 194}}, "screen.width_mm", "must be at least 10.0"),
    ({"screen": {"width_px": 1.5, "height_px": 1}}, "screen.width_px", "must be an integer"),
    ({"camera": {"vertical_fov_deg": 200}}, "camera.vertical_fov_deg", "must be at most 150.0"),
    ({"camera": {"tilt_deg": -61}}, "camera.tilt_deg", "must be at least -60.0"),
    ({"camera": {"mirrored": "no"}}, "camera.mirrored", "must be true or false"),
    ({"camera": {"offset_x_mm": 1e300}}, "camera.offset_x_mm", "must be at most 100000.0"),
    ({"viewport": {"width": 0}}, "viewport.width", f"must be at least 0.001{SHARE}"),
    ({"viewport": {"width": 1920}}, "viewport.width", f"must be at most 10.0{SHARE}"),
    ({"calibration_target": 7}, "calibration_target", "must be a list of two numbers"),
    ({"calibration_target": [0.5]}, "calibration_target", "must be a list of two numbers"),
    ({"calibration_target": [0.5, "a"]}, "calibration_target.1", "must be a number"),
    ({"calibration_target": [1.5, 0.5]}, "calibration_target.0", f"must be at most 1.0{SHARE}"),
    ({"calibration_target": [0.5, 0.5], "calibration_use": "test"}, "calibration_use", "must be 'fit' or 'validate'"),
    ({"calibration_target": 7, "calibration_use": "fit"}, "calibration_target", "must be a list of two numbers"),
    ({"calibration_use": "fit"}, "calibration_use", "needs a calibration_target"),
]


@pytest.mark.parametrize(
    ("fields", "name", "detail"), REFUSED, ids=[f"{next(iter(c[0]))}-{n}" for n, c in enumerate(REFUSED)]
)
def test_an_invalid_field_is_listed(world, make_body, fields, name, detail):
    response = world.post(make_body(**fields))

    assert response.status_code == 400
    (error,) = response.get_json()["errors"]
    assert error["field"] == name
    assert detail is None or error["detail"] == detail


def test_all_invalid_fields_are_listed_at_once(world, make_body):
    response = world.post(make_body(session_id=None, frame_number=0, camera={"tilt_deg": "x"}))

    names = [error["field"] for error in response.get_json()["errors"]]
    assert names == ["session_id", "frame_number", "camera.tilt_deg"]


@pytest.mark.parametrize(
    "fields",
    [
        {"frame_number": 17.0},
        {"total_frames": 20.0, "last_frame": True},
        {"screen": {"width_px": 1920.0, "height_px": 1080.0}},
    ],
)
def test_a_whole_number_may_have_a_decimal_point(world, make_body, fields):
    assert world.post(make_body(**fields)).status_code == 200
    assert world.frames(make_body()["session_id"]).keys() == {17}


def test_a_whole_number_is_stored_as_an_integer(world, make_body):
    world.post(make_body(screen={"width_px": 1920.0, "height_px": 1080.0}))

    stored = world.frames(make_body()["session_id"])[17]["screen"]
    assert [type(size) for size in stored.values()] == [int, int]


@pytest.mark.parametrize("number", ["1e400", "17.5", '"17"', "true", "null", "[17]"])
def test_what_is_no_integer_is_refused_in_json_and_multipart(world, make_body, number):
    text = json.dumps(make_body(frame=None)).replace('"frame_number": 17', f'"frame_number": {number}')

    in_json = world.client.post("/gaze", data=text, content_type="application/json")
    in_parts = world.client.post("/gaze", data={"metadata": text}, content_type="multipart/form-data")

    for response in (in_json, in_parts):
        assert response.status_code == 400
        assert response.get_json()["errors"] == [{"field": "frame_number", "detail": "must be an integer"}]


@pytest.mark.parametrize(
    ("misspelt", "field"), [("frameNumber", "frame_number"), ("sesion_id", "session_id"), ("Video-ID", "video_id")]
)
def test_a_missing_field_with_a_misspelt_name_is_recognised(world, make_body, misspelt, field):
    body = make_body()
    body[misspelt] = body.pop(field)

    assert world.post(body).get_json()["errors"] == [
        {"field": field, "detail": f"is required; did you mean it by `{misspelt}`?"}
    ]


def test_the_answer_does_not_contain_the_invalid_value(world, make_body):
    response = world.post(make_body(session_id="my secret", ip_address="my secret", calibration_use="my secret"))

    assert response.status_code == 400
    assert "my secret" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    "address", ["203.0.113.7", "::1", "fe80::1%eth0", "203.0.113.7:80", "localhost", "10.0.0.1, 10.0.0.2", "a" * 200]
)
def test_any_printable_ip_address_is_stored_unchanged(world, make_body, address):
    world.post(make_body(session_id="s", ip_address=address))

    assert world.sessions.get_session("s").ip_address == address


@pytest.mark.parametrize("session_id", ["a", "...", "a:b", "A.b_c-D", "a" * 128])
def test_every_session_id_of_the_contract_is_accepted(world, make_body, session_id):
    assert world.post(make_body(session_id=session_id)).status_code == 200


def test_multipart_fields_are_checked_the_same_way(world):
    parts = {"metadata": '{"frame_number": 0}', "frame": make_image().decode("latin-1")}

    response = world.client.post("/gaze", data=parts, content_type="multipart/form-data")

    names = [error["field"] for error in response.get_json()["errors"]]
    assert names == ["session_id", "video_id", "ip_address", "frame_number"]


@pytest.mark.parametrize(
    ("part", "core"), [(ScreenPart(), Screen()), (CameraPart(), Camera()), (ViewportPart(), Viewport())]
)
def test_omitted_fields_have_the_defaults_of_the_core(part, core):
    assert part.model_dump() == {name: getattr(core, name) for name in core.__slots__}


@pytest.mark.parametrize("fov_deg", [10, 150])
@pytest.mark.parametrize("tilt_deg", [-60, 60])
def test_the_core_accepts_every_valid_camera(fov_deg, tilt_deg):
    camera = CameraPart(vertical_fov_deg=fov_deg, tilt_deg=tilt_deg).to_camera()

    assert (camera.vertical_fov_deg, camera.tilt_deg) == (fov_deg, tilt_deg)
