"""Status of every error, and that answers reveal nothing internal."""

import contextlib
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import func.errors
from func.errors import NotReadyError
from func.web import frame_steps
from func.web.images import decode_image
from func.web.problems import PROBLEMS
from gaze_core import errors as core_errors
from gaze_core.errors import GazeError
from tests.http.image_files import as_base64, make_image, png_claiming


def assert_problem(response, status):
    assert (response.status_code, response.content_type) == (status, "application/problem+json")
    problem = response.get_json()
    assert {"type", "title", "status", "detail", "instance"} <= problem.keys() <= {
        "type", "title", "status", "detail", "instance", "errors",
    }  # fmt: skip
    assert problem["status"] == status
    assert re.fullmatch(r"/problems/[a-z-]+", problem["type"])
    assert problem["instance"].startswith("urn:uuid:")
    return problem


def all_subclasses(cls):
    for subclass in cls.__subclasses__():
        yield subclass
        yield from all_subclasses(subclass)


@pytest.mark.parametrize("error_class", [GazeError, *all_subclasses(GazeError)])
def test_every_error_class_has_a_status(error_class):
    if error_class.__module__ in {core_errors.__name__, func.errors.__name__}:
        assert error_class in PROBLEMS


@pytest.mark.parametrize("module", [core_errors, func.errors])
def test_the_tree_in_the_module_docstring_has_every_error(module):
    own = {name for name, value in vars(module).items() if isinstance(value, type) and issubclass(value, Exception)}

    assert own <= set(re.findall(r"\w+Error", module.__doc__))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe{}",
        b'{"session_id": NaN}',
        b'{"frame_number": 1, "frame_number": 2}',
        b"[" * 200_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b"9" * 10_000,
        b'"text"',
        b"[]",
        b"null",
    ],
)
def test_a_body_that_is_not_a_json_object_is_400(world, body):
    assert_problem(world.client.post("/gaze", data=body, content_type="application/json"), 400)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing",
        b"--X",
        b"--X\r\n\r\n\r\n--X--",
        b"--X\r\nContent-Disposition: form-data\r\n\r\n1\r\n--X--\r\n",
        b'--X\r\nContent-Disposition: form-data; name="frame"\r\n\r\n1\r\n--X--\r\n',
        b'--X\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{\r\n--X--\r\n',
        b'--X\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n' * 2 + b"--X--\r\n",
        b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n{}\r\n' * 100 + b"--X--\r\n",
    ],
)
def test_a_broken_multipart_body_is_400(world, body):
    assert_problem(world.client.post("/gaze", data=body, content_type="multipart/form-data; boundary=X"), 400)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/gaze/", "/Gaze", "/health", "/metrics/x"])
def test_an_unknown_path_is_404(world, path, method):
    assert_problem(world.client.open(path, method=method), 404)


@pytest.mark.parametrize(
    ("path", "method", "allow"),
    [
        ("/gaze", "GET", "OPTIONS, POST"),
        ("/gaze", "PUT", "OPTIONS, POST"),
        ("/metrics", "POST", "GET, HEAD, OPTIONS"),
        ("/health/liveness", "DELETE", "GET, HEAD, OPTIONS"),
    ],
)
def test_an_unsupported_method_is_405_with_the_allowed_ones(world, path, method, allow):
    response = world.client.open(path, method=method)

    assert_problem(response, 405)
    assert response.headers["Allow"] == allow


def test_options_lists_the_methods(world):
    response = world.client.options("/gaze")

    assert (response.status_code, response.headers["Allow"]) == (204, "OPTIONS, POST")


def test_head_is_get_without_a_body(world):
    response = world.client.head("/health/liveness")

    assert (response.status_code, response.get_data()) == (200, b"")


def test_a_new_frame_of_a_scored_session_is_409(world, make_body):
    world.post(make_body(session_id="s", frame_number=1, last_frame=True))

    assert_problem(world.post(make_body(session_id="s", frame_number=2)), 409)
    assert world.post(make_body(session_id="s", frame_number=1)).status_code == 200


def test_a_body_over_the_limit_is_413(make_world, make_body):
    world = make_world(MAX_BODY_BYTES="1024")

    assert_problem(world.post(make_body(frame="A" * 2000)), 413)


@pytest.mark.parametrize("form", ["json", "multipart"])
def test_the_size_limit_applies_to_bodies_of_unknown_length(make_world, form):
    world = make_world(MAX_BODY_BYTES="1024")
    content_type = {"json": "application/json", "multipart": "multipart/form-data; boundary=X"}[form]

    response = world.client.post(
        "/gaze",
        content_type=content_type,
        environ_overrides={"wsgi.input": EndlessStream(), "wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )

    assert_problem(response, 413)


class EndlessStream:
    """An endless body. Fails the test if much more than the limit is read."""

    def __init__(self):
        self.given_bytes = 0

    def read(self, size=-1):
        assert self.given_bytes < 1_000_000
        size = 65536 if size < 0 else size
        self.given_bytes += size
        return b" " * size

    def readinto(self, buffer):
        buffer[:] = self.read(len(buffer))
        return len(buffer)


def test_an_image_with_too_many_pixels_is_413(world, make_body):
    problem = assert_problem(world.post(make_body(frame=as_base64(png_claiming(100_000, 100_000)))), 413)

    assert "8294400" in problem["detail"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_an_unsupported_content_type_is_415(world, make_body, content_type):
    assert_problem(world.client.post("/gaze", data=json.dumps(make_body()), content_type=content_type), 415)


def test_a_compressed_body_is_415(world, make_body):
    assert_problem(world.post(make_body(), headers={"Content-Encoding": "gzip"}), 415)


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(50), b"BM" + bytes(50), b"<svg/>", b"\x00"])
def test_an_unsupported_image_format_is_415(world, make_body, data):
    assert_problem(world.post(make_body(frame=as_base64(data))), 415)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_truncated_image_is_422(world, make_body, suffix):
    data = make_image(suffix)

    assert_problem(world.post(make_body(frame=as_base64(data[: len(data) // 2]))), 422)


def test_no_free_landmarker_is_503_with_retry_after(make_world, make_body):
    world = make_world(LANDMARKERS="1", LANDMARKER_WAIT_S="0")
    with hold_all_places(world, make_body):
        response = world.post(make_body(frame_number=3))

    assert_problem(response, 503)
    assert 1 <= int(response.headers["Retry-After"]) <= 3


def test_concurrent_decoding_is_limited(make_world, make_body, monkeypatch):
    world = make_world(LANDMARKERS="3", LANDMARKER_WAIT_S="0")
    decoding, release = threading.Semaphore(0), threading.Event()

    def decode_slowly(data, *, max_pixels):
        decoding.release()
        release.wait(60)
        return decode_image(data, max_pixels=max_pixels)

    monkeypatch.setattr(frame_steps, "decode_image", decode_slowly)
    with ThreadPoolExecutor(3) as clients:
        for number in (1, 2, 3):
            clients.submit(world.post, make_body(frame_number=number))
        assert all(decoding.acquire(timeout=60) for _ in range(3))

        refused = world.post(make_body(frame_number=4))
        release.set()

    assert_problem(refused, 503)
    assert world.post(make_body(frame_number=4)).status_code == 200


@contextlib.contextmanager
def hold_all_places(world, make_body, places=1):
    """Keep all landmarkers busy."""
    world.landmarker.hold = threading.Event()
    with ThreadPoolExecutor(places) as clients:
        answers = [clients.submit(world.post, make_body(frame_number=number)) for number in range(1, places + 1)]
        try:
            while b"gaze_requests_in_flight %d.0" % places not in world.metrics.render():
                time.sleep(0.01)
            assert world.landmarker.is_held.wait(60)
            yield answers
        finally:
            world.landmarker.hold.set()


def test_a_frame_that_would_wait_too_long_is_refused_before_its_body_is_read(make_world, make_body):
    world = make_world(LANDMARKERS="1", LANDMARKER_WAIT_S="0")
    with hold_all_places(world, make_body) as answers:
        refused = world.client.post(
            "/gaze",
            content_type="application/json",
            environ_overrides={"wsgi.input": UnreadableStream(), "CONTENT_LENGTH": "1000"},
        )
        alive = world.client.get("/health/liveness")

    assert_problem(refused, 503)
    assert alive.status_code == 200
    assert [answer.result().status_code for answer in answers] == [200]
    assert world.post(make_body(frame_number=3)).status_code == 200


class UnreadableStream:
    """A body that must not be read."""

    def read(self, _size=-1):
        raise AssertionError("the body was read")


def test_no_free_place_for_scoring_is_503_with_retry_after(make_world, make_body, monkeypatch):
    monkeypatch.setattr("func.web.last_frames.SCORING_WAIT_S", 0)
    world = make_world(SCORING_PLACES="1")
    answers = []
    extract = world.maps.extract_saliencyMap

    def finish_another(*args, **kwargs):
        if not answers:
            answers.append(world.post(make_body(session_id="other", frame_number=1, last_frame=True)))
        return extract(*args, **kwargs)

    world.maps.extract_saliencyMap = finish_another
    world.post(make_body(session_id="s", frame_number=1, last_frame=True))

    assert_problem(answers[0], 503)
    assert 2 <= int(answers[0].headers["Retry-After"]) <= 5
    assert list(world.frames("other")) == [1]


@pytest.mark.parametrize(
    ("error", "slug"),
    [
        (core_errors.SessionStoreRefusedError("x"), "session-api-denied"),
        (core_errors.SaliencyStoreRefusedError("x"), "saliency-store-denied"),
        (core_errors.ResultSinkRefusedError("x"), "aggregator-denied"),
    ],
)
def test_denied_access_is_not_told_to_be_repeated_unchanged(error, slug):
    problem = PROBLEMS[type(error)]

    assert (problem.status, problem.slug, problem.retry_after_s) == (502, slug, None)
    assert "until an operator corrects the credentials" in problem.detail
    assert "Repeat the request unchanged" not in problem.detail


def test_a_last_frame_is_scored_by_a_repetition_after_the_credentials_are_corrected(world, make_body):
    world.maps.by_video["contents1"] = {1: np.eye(4)}
    read_maps = world.maps.extract_saliencyMap

    def deny(*_args, **_kwargs):
        raise core_errors.SaliencyStoreRefusedError("password of viewer")

    world.maps.extract_saliencyMap = deny
    denied = world.post(make_body(frame_number=1, last_frame=True))
    world.maps.extract_saliencyMap = read_maps
    repeated = world.post(make_body(frame_number=1, last_frame=True))

    problem = assert_problem(denied, 502)
    assert problem["type"] == "/problems/saliency-store-denied"
    assert "password of" not in denied.get_data(as_text=True)
    assert repeated.get_json()["result"]["frames"]["received"] == 1


def test_a_model_that_cannot_be_loaded_is_503(world, make_body):
    world.build_error = NotReadyError("/srv/models/secret.joblib")

    response = world.post(make_body())

    assert_problem(response, 503)
    assert "secret" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (core_errors.SessionStoreError("http://10.0.0.1/secret"), 502),
        (core_errors.SessionNotFoundError("s"), 502),
        (core_errors.SessionStoreTimeoutError("http://10.0.0.1/secret"), 504),
    ],
)
def test_a_failing_session_api_is_never_a_200(world, make_body, error, status):
    world.sessions.error = error

    response = world.post(make_body())

    assert_problem(response, status)
    assert "secret" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (core_errors.SaliencyStoreError("mongodb://u:secret@h"), 502),
        (core_errors.SaliencyStoreTimeoutError("mongodb://u:secret@h"), 504),
    ],
)
def test_a_failing_saliency_store_is_never_a_200(world, make_body, error, status):
    world.maps.error = error

    response = world.post(make_body(frame_number=1, last_frame=True))

    assert_problem(response, status)
    assert "secret" not in response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (core_errors.ResultSinkError("http://10.0.0.1/secret"), 502),
        (core_errors.ResultSinkTimeoutError("http://10.0.0.1/secret"), 504),
    ],
)
def test_a_failing_aggregator_is_never_a_200_and_a_repeat_delivers(world, make_body, error, status):
    world.sink.error = error
    body = make_body(frame_number=1, last_frame=True)

    assert_problem(world.post(body), status)
    world.sink.error = None
    assert world.post(body).status_code == 200
    assert len(world.sink.deliveries) == 1


@pytest.mark.parametrize("error", [RuntimeError("secret"), MemoryError("secret"), ValueError("secret")])
def test_an_unexpected_error_is_500_without_its_message(world, make_body, error):
    world.landmarker.error = error

    response = world.post(make_body())

    assert_problem(response, 500)
    assert "secret" not in response.get_data(as_text=True)
