"""Images sent as text: every usual spelling of base64 means the same, in JSON and in multipart."""

import base64
import json

import pytest

from tests.http.image_files import make_image

IMAGE = make_image(width_px=333)  # its base64 has both characters that differ between the alphabets
TEXT = base64.b64encode(IMAGE).decode()
PADDED = base64.b64encode(IMAGE + b"\0").decode()  # bytes after the end of a JPEG are ignored

BODY = "the body must be application/json or multipart/form-data with a boundary"

SPELLINGS = {
    "standard": TEXT,
    "alphabet for URLs": base64.urlsafe_b64encode(IMAGE).decode(),
    "padding": PADDED,
    "no padding": PADDED.rstrip("="),
    "line breaks of MIME": base64.encodebytes(IMAGE).decode(),
    "carriage returns": base64.encodebytes(IMAGE).decode().replace("\n", "\r\n"),
    "white space around": f"\r\n {TEXT} \n",
    "data URL of a JPEG": f"data:image/jpeg;base64,{TEXT}",
    "data URL in capitals": f"DATA:image/JPEG;BASE64,{TEXT}",
    "data URL of bytes": f"data:application/octet-stream;base64,{TEXT}",
    "data URL of nothing": f"data:;base64,{TEXT}",
    "data URL with a parameter": f"data:image/jpeg;charset=utf-8;base64,{TEXT}",
    "data URL and alphabet for URLs": f"data:image/jpeg;base64,{base64.urlsafe_b64encode(IMAGE).decode().rstrip('=')}",
}


def test_the_image_has_both_special_characters_and_padding():
    assert {"+", "/"} <= set(TEXT)
    assert PADDED.rstrip("=") != PADDED or TEXT.endswith("=")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_base64_is_the_same_image_in_json_and_multipart(world, make_body, spelling):
    expected = world.post(make_body(session_id="bytes", frame=TEXT)).get_json()
    metadata = {"session_id": "multipart", "video_id": "v", "ip_address": "::1", "frame_number": 17}

    in_json = world.post(make_body(session_id="json", frame=SPELLINGS[spelling])).get_json()
    in_parts = world.client.post("/gaze", **multipart(metadata, SPELLINGS[spelling].encode())).get_json()

    for answer in (in_json, in_parts):
        assert answer["status"] == "success"
        assert answer["gaze"] == expected["gaze"]


def multipart(metadata, *frames):
    """Return the body and content type of a request with parts as a browser writes them."""
    parts = [b'Content-Disposition: form-data; name="metadata"\r\n\r\n' + json.dumps(metadata).encode()]
    parts += [b'Content-Disposition: form-data; name="frame"; filename="blob"\r\n\r\n' + frame for frame in frames]
    body = b"".join(b"--X\r\n" + part + b"\r\n" for part in parts) + b"--X--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=X"}


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"GIF89a" + bytes(20), "a GIF"),
        (b"BM" + bytes(range(20)), "a BMP"),
        (b"II*\0" + bytes(20), "a TIFF"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "a HEIC image"),
        (b"\0\0\0\x1cftypavif" + bytes(20), "an AVIF image"),
        (b"\0\0\0\x20ftypisom" + bytes(20), "an MP4 video"),
        (b"\x1aE\xdf\xa3" + bytes(20), "a WebM or Matroska video"),
        (b"%PDF-1.7\n", "a PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG image"),
        (b"<!doctype html><title>404</title>", "an HTML page"),
        (base64.b64encode(IMAGE), "base64 text: it was encoded twice"),
        (b"\xff\xd8 damaged", "a damaged JPEG"),
        (b"hello world", "text"),
        (bytes(640 * 480), "unknown data, perhaps raw pixels"),
        (bytes(range(1, 100)), "unknown data"),
    ],
)
def test_another_format_is_named(world, make_body, data, kind):
    response = world.post(make_body(frame=base64.b64encode(data).decode()))

    assert response.status_code == 415
    assert response.get_json()["detail"] == f"the image is not a JPEG, PNG or WebP, but {kind}"


def test_an_image_in_the_metadata_of_a_multipart_request_is_named(world, make_body):
    response = world.client.post("/gaze", **multipart(make_body()))

    assert response.get_json()["errors"] == [
        {"field": "frame", "detail": "must be a part of its own, not a field of `metadata`"}
    ]


def test_fields_as_parts_of_their_own_are_explained(world):
    response = world.client.post("/gaze", data={"session_id": "s"}, content_type="multipart/form-data")

    assert response.get_json()["errors"] == [
        {"field": "metadata", "detail": "is required: a part with all fields but the image, as JSON"}
    ]


@pytest.mark.parametrize(
    ("content_type", "detail"),
    [
        ("", f"{BODY}; the header Content-Type is missing"),
        ("text/plain", f"{BODY}, not text/plain"),
        ("image/jpeg", f"{BODY}, not image/jpeg"),
        ("<script>", BODY),
        ("multipart/form-data", "the content type lacks the boundary; let the HTTP library set this header"),
    ],
)  # fmt: skip
def test_a_wrong_content_type_is_named(world, content_type, detail):
    response = world.client.post("/gaze", data=b"{}", content_type=content_type)

    assert (response.status_code, response.get_json()["detail"]) == (415, detail)


def test_a_boundary_that_is_not_in_the_body_is_named(world, make_body):
    request = multipart(make_body()) | {"content_type": "multipart/form-data; boundary=Y"}

    assert world.client.post("/gaze", **request).get_json()["detail"] == (
        "the body is not valid multipart/form-data: the boundary in the content type is not in the body"
    )
