"""Any request gets a 200 or a problem document with a 4xx status."""

import base64
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.conftest import IMAGE, World
from tests.http.image_files import make_image

LEAKS = ("Traceback", "/func/", "site-packages", "pydantic", "werkzeug", "cv2", "OpenCV", "Errno", "object at 0x")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
numbers = st.integers() | st.floats() | st.sampled_from([0, 1, -1, 17, 2**31, 10**400, 1e308, True])
part_names = (
    *("width_mm", "height_mm", "width_px", "height_px", "x", "y", "width", "height"),
    *("vertical_fov_deg", "offset_x_mm", "offset_y_mm", "tilt_deg", "mirrored"),
)
parts = st.fixed_dictionaries({}, optional=dict.fromkeys(part_names, numbers | anything))
bodies = st.fixed_dictionaries(
    {},
    optional={
        "session_id": st.just("s") | st.text(max_size=5) | anything,
        "video_id": st.just("v") | st.text(max_size=5) | anything,
        "ip_address": st.just("::1") | st.text("0123456789.:%ab", max_size=9) | anything,
        "frame_number": st.integers(1, 99) | numbers | anything,
        "last_frame": st.booleans() | anything,
        "frame": st.just(IMAGE) | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()) | anything,
        "timestamp_ms": numbers | anything,
        "video_time_ms": numbers | anything,
        "total_frames": numbers | anything,
        "screen": parts | anything,
        "camera": parts | anything,
        "viewport": parts | anything,
        "calibration_target": st.lists(numbers, max_size=3) | anything,
        "calibration_use": st.sampled_from(["fit", "validate"]) | anything,
        "other": anything,
    },
)
batches = st.fixed_dictionaries(
    {"frames": st.lists(bodies | anything, max_size=3) | anything},
    optional={"last_frame": anything, "camera": parts | anything, "calibration_target": anything, "frame": anything},
)
valid_fields = {"session_id": "s", "video_id": "v", "ip_address": "::1", "frame_number": 1, "frame": IMAGE}


@pytest.fixture(scope="module")
def shared_world():
    world = World()
    world.landmarker.paints = False  # it takes longer than everything else
    return world


def assert_harmless(response):
    assert response.status_code == 200 or 400 <= response.status_code < 500
    text = response.get_data(as_text=True)
    json.loads(text, parse_constant=pytest.fail)
    assert not any(leak in text for leak in LEAKS)


many = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@given(body=bodies | anything)
@many
def test_any_json(shared_world, body):
    assert_harmless(shared_world.client.post("/gaze", data=json.dumps(body), content_type="application/json"))


@given(body=batches)
@many
def test_any_frames_beside_valid_fields(shared_world, body):
    body |= {name: valid_fields[name] for name in ("session_id", "video_id", "ip_address")}

    assert_harmless(shared_world.client.post("/gaze", data=json.dumps(body), content_type="application/json"))


@given(body=bodies)
@many
def test_any_optional_fields_beside_valid_ones(shared_world, body):
    body |= {name: value for name, value in valid_fields.items() if name != "frame_number"}

    assert_harmless(shared_world.client.post("/gaze", data=json.dumps(body), content_type="application/json"))


@given(data=st.binary())
@many
def test_any_bytes(shared_world, data):
    assert_harmless(shared_world.client.post("/gaze", data=data, content_type="application/json"))
    assert_harmless(shared_world.client.post("/gaze", data=data, content_type="multipart/form-data; boundary=X"))


@given(
    suffix=st.sampled_from([".jpg", ".png", ".webp"]),
    edits=st.lists(st.tuples(st.integers(0, 400) | st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.none() | st.integers(0, 5000),
)
@many
def test_any_damaged_image(shared_world, suffix, edits, cut):
    image = bytearray(make_image(suffix, width_px=96, height_px=64))
    for at, value in edits:
        image[at % len(image)] = value
    body = valid_fields | {"frame": base64.b64encode(bytes(image[:cut])).decode()}

    assert_harmless(shared_world.client.post("/gaze", json=body))
