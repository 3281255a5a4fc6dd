"""Unknown fields are accepted and named, with the known one that was probably meant."""

import io
import json

import pytest

from tests.http.image_files import make_image


@pytest.mark.parametrize("count", [1500, 10_000])
def test_thousands_of_unknown_fields_get_a_short_answer(world, make_body, count):
    answer = world.post(make_body(**{f"field{number}": 1 for number in range(count)}))

    assert len(answer.get_data()) < 1000
    if count == 1500:
        assert answer.get_json()["warnings"][0].endswith("and 1490 more")
    else:
        assert answer.get_json()["detail"] == "the body has more than 4096 JSON elements"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"calibration_sesion": "c"}, "calibration_sesion (did you mean calibration_session?)"),
        ({"videoTimeMs": 1}, "videoTimeMs (did you mean video_time_ms?)"),
        ({"fps": 20}, "fps"),
        ({"screen": {"widht_px": 1, "foo": 1}}, "screen.foo, screen.widht_px (did you mean screen.width_px?)"),
        ({"viewport": {"w": 0.5}}, "viewport.w (did you mean viewport.width?)"),
        ({"camera": {"fov": 60}}, "camera.fov (did you mean camera.vertical_fov_deg?)"),
        ({"width_mm": 300}, "width_mm (did you mean screen.width_mm?)"),
        ({"camera": {"tilt": 1}}, "camera.tilt (did you mean camera.tilt_deg?)"),
        ({"camera": {"Mirrored": True}}, "camera.Mirrored (did you mean camera.mirrored?)"),
        ({"a\n\u202eb\ud800": 1}, r"a\u000a\u202eb\ud800"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_parts", [False, True])
def test_an_unknown_field_is_named_with_the_one_that_was_probably_meant(world, make_body, fields, named, in_parts):
    body = make_body(**fields)
    if in_parts:
        parts = {"metadata": json.dumps({**body, "frame": None}), "frame": (io.BytesIO(make_image()), "a.jpg")}
        answer = world.client.post("/gaze", data=parts, content_type="multipart/form-data").get_json()
        named = ", ".join(sorted([*named.split(", "), "frame"]))
    else:
        answer = world.post(body).get_json()

    assert answer["warnings"] == [f"unknown fields are ignored: {named}"]
