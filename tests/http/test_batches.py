"""POST /gaze with several frames in one request."""

import json

import pytest

from func.deadline import limit_calls
from gaze_core.errors import SessionStoreTimeoutError
from tests.fakes.synthetic_face import make_face
from tests.http.image_files import as_base64, make_image

IMAGE_FILE = make_image()
IMAGE = as_base64(IMAGE_FILE)
BROKEN = as_base64(b"\xff\xd8\xff\xe0 not an image")
VIEWING = {"session_id": "s", "video_id": "contents1", "ip_address": "203.0.113.7"}


def frames(*numbers, **fields):
    return [{"frame_number": number, "frame": IMAGE, **fields} for number in numbers]


def batch(entries, **fields):
    return {**VIEWING, **fields, "frames": entries}


def post_parts(world, metadata, images):
    """Send a multipart request with several parts of the same name."""
    parts = [b'name="metadata"\r\nContent-Type: application/json\r\n\r\n' + json.dumps(metadata).encode()]
    parts += [b'name="frame"; filename="f"\r\n\r\n' + image for image in images]
    body = b"".join(b"--X\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--X--\r\n"
    return world.client.post("/gaze", data=body, content_type="multipart/form-data; boundary=X")


@pytest.fixture
def calls(world):
    """The names of the session API's calls, in order."""
    names = []
    world.sessions.before_call = names.append
    return names


def test_each_frame_gets_the_answer_of_a_single_request(world, make_body):
    single = world.post(make_body(session_id="other", frame_number=1)).get_json()

    response = world.post(batch(frames(1, 2)))

    answer = response.get_json()
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert list(answer) == ["status", "message", "session_id", "frames"]
    assert (answer["status"], answer["message"], answer["session_id"]) == ("success", "Frames processed", "s")
    assert answer["frames"] == [single | {"session_id": "s", "frame_number": number} for number in (1, 2)]


def test_each_frame_has_the_record_of_a_single_request(world, make_body):
    fields = {"timestamp_ms": 12.5, "video_time_ms": 100.0, "screen": {"width_mm": 300, "height_mm": 180}}
    world.post(make_body(session_id="other", frame_number=3, frame=IMAGE, **fields))

    world.post(batch(frames(3, 4, **fields)))

    assert world.frames("s") == {number: world.frames("other")[3] for number in (3, 4)}


def test_all_frames_are_stored_in_one_update(world, calls):
    world.post(batch(frames(*range(2, 22))))

    assert calls == ["update_frames", "create_session"]
    assert sorted(world.frames("s")) == list(range(2, 22))


def test_later_batches_need_one_call_each(world, calls):
    for first in (2, 12, 22):
        world.post(batch(frames(*range(first, first + 10))))
        calls[:] = calls if first == 22 else []

    assert calls == ["update_frames"]


def test_answers_are_in_the_order_of_the_request(world):
    answer = world.post(batch(frames(9, 2, 5))).get_json()

    assert [frame["frame_number"] for frame in answer["frames"]] == [9, 2, 5]


def test_shared_fields_stand_outside_and_those_of_a_frame_override_them(world):
    entries = frames(1, 2, 3)
    entries[1] |= {"video_time_ms": 7, "camera": {"tilt_deg": 5}}
    entries[2] |= {"camera": None}

    world.post(batch(entries, video_time_ms=5, camera={"tilt_deg": -4}, calibration_target=[0.2, 0.3]))

    stored = world.frames("s")
    assert [stored[number]["video_time_ms"] for number in (1, 2, 3)] == [5, 7, 5]
    assert [stored[number].get("camera") for number in (1, 2, 3)] == [{"tilt_deg": -4}, {"tilt_deg": 5}, None]
    assert all(stored[number]["target"] == [0.2, 0.3] for number in (1, 2, 3))


def test_a_shared_target_allows_a_use_in_a_frame(world):
    response = world.post(batch(frames(1, calibration_use="validate"), calibration_target=[0.2, 0.3]))

    assert response.status_code == 200
    assert world.frames("s")[1]["calibration_use"] == "validate"


def test_the_first_frame_of_the_session_stores_the_setup(world, calls):
    world.post(batch(frames(1, 2, screen={"width_mm": 300, "height_mm": 180})))

    assert calls == ["update_frames", "create_session", "store_settings"]
    assert world.sessions.get_session("s").settings == {"screen": {"width_mm": 300, "height_mm": 180}}


def test_a_broken_image_costs_only_its_own_frame(world):
    entries = frames(1, 2, 3)
    entries[1]["frame"] = BROKEN

    response = world.post(batch(entries))

    answer = response.get_json()
    assert (response.status_code, answer["status"]) == (200, "partial")
    assert [frame["status"] for frame in answer["frames"]] == ["success", 422, "success"]
    problem = answer["frames"][1]
    assert (problem["type"], problem["frame_number"]) == ("/problems/undecodable-image", 2)
    assert sorted(world.frames("s")) == [1, 3]


@pytest.mark.parametrize("text", ["ffd8ffe000104a464946", "%%%%"])
def test_a_text_that_is_not_base64_costs_only_its_own_frame(world, text):
    entries = frames(1, 2)
    entries[1]["frame"] = text

    problem = world.post(batch(entries)).get_json()["frames"][1]

    assert (problem["status"], problem["errors"][0]["field"]) == (400, "frames.1.frame")


def test_a_frame_without_a_face_is_among_the_answers(world):
    world.landmarker.faces = []

    answer = world.post(batch(frames(1, 2))).get_json()

    assert [frame["validity"] for frame in answer["frames"]] == ["no_face", "no_face"]


def test_without_any_stored_frame_the_answer_is_a_problem_with_the_common_status(world):
    entries = frames(1, 2)
    for entry in entries:
        entry["frame"] = BROKEN

    response = world.post(batch(entries))

    document = response.get_json()
    assert (response.status_code, response.content_type) == (422, "application/problem+json")
    assert (document["status"], document["type"]) == (422, "/problems/undecodable-image")
    assert [(frame["frame_number"], frame["status"]) for frame in document["frames"]] == [(1, 422), (2, 422)]


def test_the_status_without_any_stored_frame_is_that_of_the_first_one(world):
    entries = frames(1, 2)
    entries[0]["frame"] = as_base64(b"GIF89a and more")
    entries[1]["frame"] = BROKEN

    assert world.post(batch(entries)).status_code == 415


def test_a_problem_that_a_repeat_can_solve_comes_before_others(world):
    world.sessions.error = SessionStoreTimeoutError("session API: no answer")
    entries = frames(1, 2)
    entries[0]["frame"] = BROKEN

    response = world.post(batch(entries))

    assert response.status_code == 504
    assert [frame["status"] for frame in response.get_json()["frames"]] == [422, 504]


def test_a_repeated_batch_gets_the_same_answer(world):
    first = world.post(batch(frames(1, 2)))

    assert world.post(batch(frames(1, 2))).get_data() == first.get_data()


def test_a_frame_that_is_stored_with_another_image_has_a_warning(world):
    world.post(batch(frames(1)))
    entries = frames(1, 2)
    entries[0]["frame"] = as_base64(make_image(width_px=320, height_px=240))

    answer = world.post(batch(entries)).get_json()

    assert answer["frames"][0]["warnings"] == [
        "frame 1 was already stored with another image; this answer describes the stored one"
    ]
    assert "warnings" not in answer["frames"][1]


def test_after_the_result_new_frames_are_refused_and_stored_ones_are_answered(world):
    world.post(batch(frames(1)))
    world.sessions.store_settings("s", {"result": {}})

    answer = world.post(batch(frames(1, 2))).get_json()

    assert [frame["status"] for frame in answer["frames"]] == ["success", 409]
    assert answer["frames"][1]["type"] == "/problems/session-scored"


def test_after_the_result_a_batch_of_new_frames_is_a_409(world):
    world.post(batch(frames(1)))
    world.sessions.store_settings("s", {"result": {}})

    assert world.post(batch(frames(2, 3))).status_code == 409


def test_an_expired_session_is_created_again_with_a_warning_for_each_frame(world):
    world.post(batch(frames(1)))
    world.sessions.expire("s")

    answer = world.post(batch(frames(2, 3))).get_json()

    assert all("expired at" in frame["warnings"][0] for frame in answer["frames"])
    assert sorted(world.frames("s")) == [2, 3]


def test_unknown_fields_are_named_once(world):
    answer = world.post(batch(frames(1, 2, videoTimeMs=3, fps=20), screens={})).get_json()

    assert answer["warnings"] == [
        (
            "unknown fields are ignored: frames.fps, frames.videoTimeMs (did you mean frames.video_time_ms?), "
            "screens (did you mean screen?)"
        )
    ]
    assert all("warnings" not in frame for frame in answer["frames"])


def test_a_single_frame_with_an_unknown_field_of_this_name_is_still_one(world, make_body):
    answer = world.post(make_body(frames=30)).get_json()

    assert answer["frame_number"] == 17
    assert answer["warnings"] == ["unknown fields are ignored: frames (did you mean frame?)"]


@pytest.mark.parametrize(
    ("change", "field", "detail"),
    [
        ({"frames": []}, "frames", "must not be empty"),
        ({"frames": {}}, "frames", "must be a list"),
        ({"frames": None}, "frames", "must be a list"),
        ({"frames": [1]}, "frames.0", "must be an object"),
        ({"frames": frames(*range(1, 34))}, "frames", "must have at most 32 elements"),
        ({"frames": frames(1, 2, 1)}, "frames.2.frame_number", "must differ from that of frames.0"),
        ({"frames": frames(1, 0)}, "frames.1.frame_number", "must be at least 1"),
        ({"frames": frames(2**31)}, "frames.0.frame_number", "must be at most 2147483647"),
        ({"frames": frames(10**300)}, "frames.0.frame_number", "must be at most 2147483647"),
        ({"frames": [{"frame": IMAGE}]}, "frames.0.frame_number", "is required"),
        ({"frames": [{"frameNumber": 1, "frame": IMAGE}]}, "frames.0.frame_number",
         "is required; did you mean it by `frames.frameNumber`?"),
        ({"frames": [{"frame_number": 1}]}, "frames.0.frame", "is required unless last_frame is true"),
        ({"frames": [{"frame_number": 1, "frame": ""}]}, "frames.0.frame", "is required unless last_frame is true"),
        ({"frames": frames(1, last_frame=True) + frames(2, last_frame=True)}, "frames.1.last_frame",
         "must be true only once; frames.0 has it"),
        ({"frames": frames(1, viewport={"x": 400})}, "frames.0.viewport.x",
         "must be at most 10.0, as a share of the screen, not in pixels"),
        ({"frames": frames(1, calibration_use="fit")}, "frames.0.calibration_use", "needs a calibration_target"),
        ({"frames": frames(1, session_id="t")}, "frames.0.session_id", "must be outside `frames`"),
        ({"frame": IMAGE}, "frame", "must be in each of the `frames`"),
        ({"frame_number": 1}, "frame_number", "must be in each of the `frames`"),
        ({"last_frame": True}, "last_frame", "must be in one of the `frames`, the one that is the last"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_wrong_fields_refuse_the_whole_request(world, change, field, detail):
    response = world.post(batch(frames(1)) | change)

    document = response.get_json()
    assert (response.status_code, document["errors"]) == (400, [{"field": field, "detail": detail}])
    assert "frames" not in document


def test_frames_within_frames_are_unknown_fields(world):
    answer = world.post(batch(frames(1, frames=frames(2)))).get_json()

    assert len(answer["frames"]) == 1
    assert answer["warnings"] == ["unknown fields are ignored: frames.frames (did you mean frames.frame?)"]


def test_ten_thousand_frames_are_refused_before_they_are_parsed(world):
    response = world.post(batch([{"frame_number": number} for number in range(1, 10_001)]))

    assert response.status_code == 400
    assert response.get_json()["detail"] == "the body has more than 4096 JSON elements"


def test_thirty_two_frames_with_all_fields_are_accepted(world):
    every = {
        "timestamp_ms": 1.5,
        "video_time_ms": 3,
        "screen": {"width_mm": 345, "height_mm": 194, "width_px": 1920, "height_px": 1080},
        "camera": {"vertical_fov_deg": 60, "offset_x_mm": 1, "offset_y_mm": 1, "tilt_deg": 0, "mirrored": True},
        "viewport": {"x": 0, "y": 0, "width": 1, "height": 1},
        "calibration_target": [0.5, 0.5],
        "calibration_use": "fit",
    }

    assert world.post(batch(frames(*range(1, 33), **every))).get_json()["status"] == "success"


def test_multipart_has_one_part_for_each_frame_in_their_order(world):
    metadata = batch([{"frame_number": 5}, {"frame_number": 4}])
    images = [make_image(width_px=320, height_px=240), IMAGE_FILE]

    answer = post_parts(world, metadata, images).get_json()
    as_json = world.post(
        batch(
            [{"frame_number": number, "frame": as_base64(image)} for number, image in zip((5, 4), images, strict=True)]
        )
    ).get_json()

    assert answer["status"] == "success"
    assert answer == as_json


@pytest.mark.parametrize("parts", [0, 1, 3])
def test_multipart_needs_as_many_images_as_frames(world, parts):
    response = post_parts(world, batch([{"frame_number": 1}, {"frame_number": 2}]), [IMAGE_FILE] * parts)

    assert response.status_code == 400
    assert response.get_json()["errors"] == [
        {
            "field": "frame",
            "detail": f"must be there once for each of the 2 `frames`, in their order, not {parts} times",
        }
    ]


@pytest.mark.parametrize("images", [[IMAGE_FILE], [IMAGE_FILE, b""]])
def test_a_last_frame_in_multipart_may_have_an_empty_part_or_none(world, images):
    metadata = batch([{"frame_number": 1}, {"frame_number": 2, "last_frame": True}])

    answer = post_parts(world, metadata, images).get_json()

    assert answer["frames"][1]["result"]["frames"]["received"] == 1


def test_multipart_takes_no_image_in_the_metadata(world):
    response = post_parts(world, batch(frames(1)), [IMAGE_FILE])

    assert response.get_json()["errors"] == [{"field": "frames.0.frame", "detail": "must be a part of its own"}]


def test_two_images_of_a_single_frame_are_still_refused(world):
    response = post_parts(world, {**VIEWING, "frame_number": 1}, [IMAGE_FILE, IMAGE_FILE])

    assert response.status_code == 400
    assert response.get_json()["errors"] == [{"field": "frame", "detail": "must occur once"}]


def test_metrics_count_frames_and_requests(world):
    world.post(batch(frames(1, 2, 3)))

    text = world.client.get("/metrics").get_data(as_text=True)
    assert 'gaze_frames_total{validity="ok"} 3.0' in text
    assert 'gaze_requests_total{method="POST",route="/gaze",status="200"} 1.0' in text


def test_metrics_count_each_failed_frame(world):
    entries = frames(1, 2, 3)
    entries[0]["frame"] = entries[2]["frame"] = BROKEN

    world.post(batch(entries))

    assert 'gaze_failures_total{error="UndecodableImageError"} 2.0' in world.client.get("/metrics").get_data(
        as_text=True
    )


def test_a_calibration_session_corrects_each_frame(world):
    world.sessions.create_session("c", ip_address="203.0.113.7", video_id="v")

    answer = world.post(batch(frames(1, 2), calibration_session="c")).get_json()

    assert [frame["calibrated"] for frame in answer["frames"]] == [False, False]


def test_flags_are_those_of_each_frame(world):
    world.landmarker.faces = [make_face(), make_face()]

    answer = world.post(batch(frames(1, 2))).get_json()

    assert [frame["flags"] for frame in answer["frames"]] == [["several_faces"], ["several_faces"]]


def test_parts_with_other_names_are_ignored_even_twice(world):
    body = b"".join(
        b'--X\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part
        for part in [
            (b"a", b"1"),
            (b"a", b"1"),
            (b"metadata", json.dumps({**VIEWING, "frame_number": 1}).encode()),
            (b"frame", IMAGE_FILE),
        ]
    )

    response = world.client.post("/gaze", data=body + b"--X--", content_type="multipart/form-data; boundary=X")

    assert response.status_code == 200


def test_the_deadline_of_an_earlier_request_does_not_count(world):
    with limit_calls(0.0):
        answer = world.post(batch(frames(1, 2)))

    assert answer.get_json()["status"] == "success"
