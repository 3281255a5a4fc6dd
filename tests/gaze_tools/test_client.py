"""The client of the function, with a server on a real socket that answers as each test says."""

import email.utils
import io
import json
import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import FrozenInstanceError
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import requests
from pytest import approx
from werkzeug.formparser import parse_form_data

from gaze_tools import client as module
from gaze_tools.client import (
    FIVE_TARGETS,
    NINE_TARGETS,
    VALIDATION_TARGETS,
    Frame,
    GazeClient,
    GazeClientError,
    GazeRequestError,
    GazeUnavailableError,
    encode_jpeg,
    make_session_id,
    retry_delay_s,
)
from gaze_tools.stack.processes import find_free_port

IMAGE = b"\xff\xd8 an image"
GAZE = {"gaze": {"x": 0.25, "y": 0.75, "on_screen": True}, "validity": "ok"}
OK = {"status": "success", "message": "Frame processed", **GAZE}
BAD_FIELD = {
    "type": "/problems/bad-request",
    "title": "Bad request",
    "status": 400,
    "detail": "fields are missing or invalid",
    "errors": [{"field": "video_id", "detail": "must be a string"}],
}


class FakeFunction:
    """Answers each request with the next of `answers`: (status, body, headers), or a callable that gets the handler."""

    def __init__(self):
        self.answers = []
        self.requests = []
        self.images = []
        self.sizes = []

    def read(self, handler):
        self.sizes.append(int(handler.headers["Content-Length"]))
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        if handler.headers["Content-Type"] == "application/json":
            self.requests.append(json.loads(body))
            self.images.append([])
            return
        environ = {
            "wsgi.input": io.BytesIO(body),
            "CONTENT_TYPE": handler.headers["Content-Type"],
            "CONTENT_LENGTH": str(len(body)),
            "REQUEST_METHOD": "POST",
        }
        _, form, files = parse_form_data(environ)
        self.requests.append(json.loads(form["metadata"] if "metadata" in form else files["metadata"].read()))
        self.images.append([each.read() for each in files.getlist("frame")])

    def numbers(self):
        return [
            [frame["frame_number"] for frame in sent["frames"]] if "frames" in sent else [sent["frame_number"]]
            for sent in self.requests
        ]


@pytest.fixture
def function():
    fake = FakeFunction()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            fake.read(self)
            answer = fake.answers.pop(0) if fake.answers else (200, say_all_is_stored(fake.requests[-1]))
            if callable(answer):
                answer(self)
                return
            status, body, headers = (*answer, {})[:3]
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def say_all_is_stored(sent):
    if "frames" in sent:
        return {
            "status": "success",
            "frames": [{**OK, "frame_number": each["frame_number"]} for each in sent["frames"]],
        }
    return {**OK, "frame_number": sent["frame_number"], "final_score": 63.21, "result": {"final_score": 63.21}}


@pytest.fixture
def slept(monkeypatch):
    """Delays that the client asked for, without waiting for them."""
    delays = []
    # Only the client's view of the modules: other threads may sleep, too.
    clock = SimpleNamespace(
        sleep=delays.append, monotonic=time.monotonic, perf_counter=time.perf_counter, time=time.time
    )
    monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(module, "random", SimpleNamespace(random=lambda: 1.0))
    return delays


@pytest.fixture
def client(function):
    with GazeClient(function.url) as client:
        yield client


@pytest.fixture
def viewing(client):
    return client.start_viewing("v")


class TestFrames:
    def test_a_frame_is_one_multipart_request(self, function, client):
        viewing = client.start_viewing("v", ip_address="192.0.2.1", screen={"width_mm": 345, "height_mm": 194})

        viewing.send(IMAGE, video_time_ms=40, viewport={"x": 0, "y": 0, "width": 0.5, "height": 0.5})

        assert function.images == [[IMAGE]]
        assert function.requests == [
            {
                "session_id": str(uuid.uuid5(uuid.NAMESPACE_URL, "192.0.2.1:v")),
                "video_id": "v",
                "ip_address": "192.0.2.1",
                "screen": {"width_mm": 345, "height_mm": 194},
                "frame_number": 1,
                "video_time_ms": 40.0,
                "viewport": {"x": 0, "y": 0, "width": 0.5, "height": 0.5},
            }
        ]

    def test_the_reply_has_the_point_of_gaze(self, function, viewing):
        function.answers = [(200, {**OK, "flags": ["several_faces"], "calibrated": True})]

        reply = viewing.send(IMAGE)

        assert (reply.gaze.x, reply.gaze.y, reply.gaze.on_screen) == (0.25, 0.75, True)
        assert (reply.frame_number, reply.validity, reply.flags, reply.calibrated) == (
            1,
            "ok",
            ("several_faces",),
            True,
        )

    def test_a_frame_without_a_gaze_is_a_normal_reply(self, function, viewing):
        function.answers = [(200, {**OK, "gaze": None, "validity": "no_face"})]

        reply = viewing.send(IMAGE)

        assert (reply.gaze, reply.validity, reply.flags) == (None, "no_face", ())

    def test_unknown_fields_and_forms_of_a_newer_function_do_no_harm(self, function, viewing):
        newer = {**OK, "gaze": {"x": 0.5, "y": 0.5, "z": 1}, "flags": None, "warnings": {"new": 1}, "pupil_mm": [3, 4]}
        function.answers = [(200, newer)]

        reply = viewing.send(IMAGE)

        assert (reply.gaze.x, reply.flags, reply.warnings) == (0.5, (), ())
        assert reply.body["pupil_mm"] == [3, 4]

    def test_the_answer_of_the_oldest_contract_is_understood(self, function, viewing):
        function.answers = [(200, {"status": "success", "message": "Frame processed"})]

        assert (viewing.send(IMAGE).gaze, viewing.send(IMAGE).validity) == (None, "ok")

    def test_replies_cannot_be_changed(self, viewing):
        with pytest.raises(FrozenInstanceError):
            viewing.send(IMAGE).validity = "no_face"

    def test_further_fields_and_a_token_are_sent(self, function, client):
        client.start_viewing("v", session_id="s", session_token="v1.x").send(IMAGE, frame_number=7, new_field=1)

        sent = function.requests[0]
        assert (sent["session_id"], sent["session_token"], sent["frame_number"], sent["new_field"]) == (
            "s",
            "v1.x",
            7,
            1,
        )

    def test_threads_never_share_a_frame_number(self, function, viewing):
        threads = [threading.Thread(target=viewing.send_batch, args=([IMAGE] * 5,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(number for batch in function.numbers() for number in batch) == list(range(1, 21))


class TestBatches:
    def test_a_long_list_is_split_and_the_replies_are_in_order(self, function, viewing):
        replies = viewing.send_batch([IMAGE] * 40)

        assert [len(batch) for batch in function.numbers()] == [16, 16, 8]
        assert [reply.frame_number for reply in replies] == list(range(1, 41))
        assert function.images[2] == [IMAGE] * 8

    def test_a_body_stays_below_the_limit(self, function):
        with GazeClient(function.url, max_body_bytes=100_000) as client:
            client.start_viewing("v").send_batch([b"x" * 40_000] * 5 + [b"y" * 200_000])

        assert function.numbers() == [[1, 2], [3, 4], [5], [6]]

    def test_by_default_a_body_has_8_mib_at_most(self, function, viewing):
        viewing.send_batch([b"x" * (4 * 2**20 - 2000)] * 2 + [b"y" * (4 * 2**20)] * 2)

        assert function.numbers() == [[1, 2], [3], [4]]
        assert max(function.sizes) <= 8 * 2**20

    def test_a_body_that_is_too_large_for_the_function_is_split(self, function, viewing):
        function.answers = [(413, {"status": 413, "title": "Too large"})]

        viewing.send_batch([IMAGE] * 4)

        assert function.numbers() == [[1, 2, 3, 4], [1, 2], [3, 4]]

    def test_only_frames_that_failed_temporarily_are_repeated(self, function, viewing, slept):
        busy = {"status": 503, "frame_number": 2, "retry_after_s": 3}
        function.answers = [(200, {"status": "partial", "frames": [OK, busy, OK]})]

        replies = viewing.send_batch([Frame(IMAGE, 0.0), Frame(IMAGE, 40.0), Frame(IMAGE, 80.0)])

        assert function.numbers() == [[1, 2, 3], [2]]
        assert function.requests[1]["video_time_ms"] == 40.0
        assert [reply.frame_number for reply in replies] == [1, 2, 3]
        assert slept == [3.25]

    def test_a_refused_frame_is_an_error_after_the_others_are_stored(self, function, client):
        broken = {"type": "/problems/undecodable-image", "status": 422, "detail": "it is broken", "frame_number": 2}
        function.answers = [(200, {"status": "partial", "frames": [OK, broken]})]
        viewing = client.start_viewing("v")

        with pytest.raises(GazeRequestError, match="frame 2: 422; it is broken") as caught:
            viewing.send_batch([IMAGE] * 2)

        assert (caught.value.status, caught.value.type) == (422, "/problems/undecodable-image")
        assert (caught.value.frame_numbers, list(caught.value.replies)) == ((2,), [1])
        viewing.complete()
        assert function.requests[-1]["total_frames"] == 1

    @pytest.mark.parametrize("status", [401, 409, 410])
    def test_nothing_is_sent_after_a_refusal_that_concerns_the_session(self, function, viewing, status):
        refused = [{"status": 422, "detail": "broken"}, {"status": status, "detail": "the session is over"}]
        function.answers = [(200, {"frames": [OK, *refused, OK] * 4})]

        with pytest.raises(GazeRequestError, match=f"{status}; the session is over") as caught:
            viewing.send_batch([IMAGE] * 48)

        assert len(function.requests) == 1
        assert list(caught.value.replies) == [1, 4, 5, 8, 9, 12, 13, 16]

    def test_after_a_failure_requests_are_smaller_and_grow_again(self, function, viewing, slept):
        function.answers = [(503, {"status": 503})]

        viewing.send_batch([IMAGE] * 40)

        assert [len(batch) for batch in function.numbers()] == [16, 8, 9, 10, 11, 2]
        assert slept == [0.25]

    def test_attempts_count_from_the_last_success(self, function, slept):
        function.answers = [(503, {}), (200, OK), (503, {}), (200, OK), (503, {}), (200, OK)]
        with GazeClient(function.url, attempts=2, max_batch=1) as client:
            replies = client.start_viewing("v").send_batch([IMAGE] * 3)

        assert (len(replies), slept) == (3, [0.25] * 3)

    def test_attempts_count_from_the_last_frame_that_was_stored(self, function, slept):
        busy = {"status": 503}
        function.answers = [(200, {"frames": [OK, busy, busy, busy]}), (200, {"frames": [OK, busy]})]
        with GazeClient(function.url, attempts=2) as client:
            client.start_viewing("v").send_batch([IMAGE] * 4)

        assert function.numbers() == [[1, 2, 3, 4], [2, 3], [3], [4]]

    def test_fields_and_headers_count_in_the_size_of_a_body(self, function):
        with GazeClient(function.url, max_body_bytes=3000) as client:
            client.start_viewing("v").send_batch([IMAGE] * 16)

        assert max(function.sizes) <= 3000

    def test_numbering_goes_on_after_the_highest_number(self, function, viewing):
        viewing.send(IMAGE, frame_number=7)
        viewing.send(IMAGE, frame_number=3)
        viewing.send(IMAGE)

        assert function.numbers() == [[7], [3], [8]]

    def test_a_number_occurs_once(self, function, viewing):
        with pytest.raises(ValueError, match="frame_number 3 occurs twice"):
            viewing.send_batch([Frame(IMAGE, frame_number=3), Frame(IMAGE, frame_number=3)])

        assert function.requests == []

    def test_without_frames_nothing_is_sent(self, function, viewing):
        assert (viewing.send_batch([]), function.requests) == ([], [])

    @pytest.mark.parametrize("size", [0, 33])
    def test_the_function_accepts_32_frames_in_a_request(self, size):
        GazeClient("http://127.0.0.1:9", max_batch=32)
        with pytest.raises(ValueError, match="1 to 32"):
            GazeClient("http://127.0.0.1:9", max_batch=size)


class TestRepeating:
    @pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
    def test_a_temporary_status_is_repeated(self, function, viewing, slept, status):
        function.answers = [(status, {}), (status, b"<html>")]

        assert viewing.send(IMAGE).validity == "ok"

        assert function.requests[0] == function.requests[1] == function.requests[2]
        assert slept == [0.25, 0.5]

    @pytest.mark.parametrize("status", [302, 400, 401, 404, 409, 410, 413, 422, 500])
    def test_any_other_status_is_an_error_at_once(self, function, viewing, status):
        function.answers = [(status, {"detail": "no"}, {"Location": "/elsewhere"})]

        with pytest.raises(GazeRequestError, match=f"frame 1: {status}; no") as caught:
            viewing.send(IMAGE)

        assert (caught.value.status, len(function.requests)) == (status, 1)

    def test_an_error_names_the_bad_field(self, function, viewing):
        function.answers = [(400, BAD_FIELD)]

        with pytest.raises(
            GazeRequestError, match="Bad request; fields are missing or invalid; video_id: must"
        ) as caught:
            viewing.send(IMAGE)

        assert (caught.value.type, caught.value.fields) == ("/problems/bad-request", ("video_id",))
        assert caught.value.problem == BAD_FIELD

    @pytest.mark.parametrize(
        "body",
        [b"", b"<html>login</html>", b'{"status": "succ', b"[]", b"[" * 100_000, b"{}"],
        ids=["empty", "html", "cut off", "a list", "deep", "no status"],
    )
    def test_an_answer_that_is_not_the_function_s_is_repeated(self, function, viewing, slept, body):
        function.answers = [(200, body)]

        assert viewing.send(IMAGE).validity == "ok"
        assert len(slept) == 1

    @pytest.mark.parametrize("entry", [{}, {"status": None}, {"status": {}}, {"status": "partial"}])
    def test_an_entry_that_says_nothing_is_repeated(self, function, viewing, slept, entry):
        function.answers = [(200, {"frames": [OK, entry]})]

        assert len(viewing.send_batch([IMAGE] * 2)) == 2
        assert function.numbers() == [[1, 2], [2]]

    @pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "1" + 400 * "0", '"1"'])
    def test_a_number_that_is_none_is_missing(self, function, viewing, number):
        function.answers = [(200, b'{"status": "success", "gaze": {"x": %s, "y": 1}}' % number.encode())]

        assert viewing.send(IMAGE).gaze is None

    @pytest.mark.parametrize("wait", ["NaN", "-5", "1e999"])
    def test_an_impossible_wait_is_ignored(self, function, viewing, slept, wait):
        function.answers = [(503, b'{"retry_after_s": %s}' % wait.encode())]

        assert viewing.send(IMAGE).validity == "ok"
        assert slept == [0.25]

    def test_an_answer_with_too_few_entries_is_repeated(self, function, viewing, slept):
        function.answers = [(200, {"frames": [OK]})]

        assert len(viewing.send_batch([IMAGE] * 2)) == 2
        assert function.numbers() == [[1, 2], [1], [2]]

    def test_retry_after_is_a_minimum(self, function, viewing, slept):
        function.answers = [(429, {}, {"Retry-After": "7"})]

        viewing.send(IMAGE)

        assert slept == [7.25]

    def test_retry_after_can_be_a_date(self, function, viewing, slept):
        date = email.utils.formatdate(time.time() + 60, usegmt=True)
        function.answers = [(503, {}, {"Retry-After": date})]

        viewing.send(IMAGE)

        assert slept[0] == approx(60, abs=20)

    @pytest.mark.parametrize("value", ["soon", "-5", "nan", ""])
    def test_an_unreadable_retry_after_is_ignored(self, function, viewing, slept, value):
        function.answers = [(503, {}, {"Retry-After": value})]

        viewing.send(IMAGE)

        assert slept == [0.25]

    @pytest.mark.parametrize(
        "answer",
        [
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\nContent-Length: 5\r\n\r\nabcde",
            b"\x00\xff\r\n\r\n",
        ],
        ids=["a negative chunk", "no chunk", "no gzip", "no HTTP"],
    )
    def test_an_answer_that_is_not_http_is_repeated(self, function, viewing, slept, answer):
        def answer_raw(handler):
            handler.wfile.write(answer)
            handler.close_connection = True

        function.answers = [answer_raw]

        assert viewing.send(IMAGE).validity == "ok"
        assert len(slept) == 1

    def test_a_connection_that_is_reset_is_made_again(self, function, viewing, slept):
        def reset(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"status"')
            handler.wfile.flush()
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            handler.connection.close()

        function.answers = [reset]

        assert viewing.send(IMAGE).validity == "ok"
        assert len(slept) == 1

    def test_a_time_out_is_repeated(self, function):
        late = threading.Event()
        function.answers = [lambda _handler: late.wait(10)]
        with GazeClient(function.url, timeout_s=0.3) as client:
            try:
                assert client.start_viewing("v").send(IMAGE).validity == "ok"
            finally:
                late.set()

        assert len(function.requests) > 1

    def test_it_gives_up_after_the_last_attempt(self, function, slept):
        function.answers = [(503, {"title": "Over capacity"})] * 3

        with (
            GazeClient(function.url, attempts=3) as client,
            pytest.raises(GazeUnavailableError, match="frame 1: 503; Over capacity") as caught,
        ):
            client.start_viewing("v").send(IMAGE)

        assert (caught.value.status, caught.value.frame_numbers) == (503, (1,))
        assert (len(function.requests), len(slept)) == (3, 2)

    def test_by_default_it_makes_ten_attempts(self, function, viewing, slept):
        function.answers = [(503, {})] * 20

        with pytest.raises(GazeUnavailableError):
            viewing.send(IMAGE)

        assert len(function.requests) == 10
        assert slept == [0.25, 0.5, 1, 2, 4, 8, 8, 8, 8]

    @pytest.mark.parametrize(("retry_after_s", "attempts"), [(80, 2), (91, 1)])
    def test_by_default_it_waits_90_s_in_all(self, function, viewing, slept, retry_after_s, attempts):
        function.answers = [(503, {}, {"Retry-After": str(retry_after_s)}), (400, {})]

        with pytest.raises(GazeClientError):
            viewing.send(IMAGE)

        assert len(function.requests) == attempts

    def test_a_frame_may_take_30_s_and_the_last_one_300(self, function):
        timeouts_s = []

        class Recorder(requests.Session):
            def post(self, *arguments, timeout, **more):
                timeouts_s.append(timeout)
                return super().post(*arguments, timeout=timeout, **more)

        viewing = GazeClient(function.url, make_http=Recorder).start_viewing("v")
        viewing.send(IMAGE)
        viewing.complete()

        # To connect, and to receive something.
        assert timeouts_s == [approx((30, 30)), approx((30, 300), abs=10)]

    def test_what_was_stored_before_is_in_the_error(self, function, slept):
        with GazeClient(function.url, attempts=1, max_batch=2) as client:
            viewing = client.start_viewing("v")
            function.answers = [(200, {"frames": [OK, OK]}), (504, {})]

            with pytest.raises(GazeUnavailableError, match="frames 3, 4, 5: 504") as caught:
                viewing.send_batch([IMAGE] * 5)

        assert (caught.value.frame_numbers, list(caught.value.replies)) == ((3, 4, 5), [1, 2])

    def test_it_gives_up_when_the_time_is_over(self, function):
        function.answers = [(503, {})] * 50

        with (
            GazeClient(function.url, total_timeout_s=0.5, attempts=50) as client,
            pytest.raises(GazeUnavailableError),
        ):
            client.start_viewing("v").send(IMAGE)

        assert len(function.requests) < 6

    def test_it_does_not_wait_for_a_retry_after_beyond_its_time(self, function, client, slept):
        function.answers = [(503, {}, {"Retry-After": "3600"})]

        with pytest.raises(GazeUnavailableError):
            client.start_viewing("v").send(IMAGE)

        assert slept == []

    def test_a_process_does_not_use_the_connections_of_its_parent(self, function, client):
        viewing = client.start_viewing("v")
        viewing.send(IMAGE)
        (of_parent,) = client._idle

        if (child := os.fork()) == 0:
            is_other = False
            try:
                is_other = client._take_http() is not of_parent
            finally:
                os._exit(0 if is_other else 1)

        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert client._take_http() is of_parent

    def test_connections_are_kept_closed_and_made_again(self, function):
        made = []

        class Recorder(requests.Session):
            def __init__(self):
                super().__init__()
                made.append("open")

            def close(self):
                made.append("close")
                super().close()

        with GazeClient(function.url, make_http=Recorder) as client:
            for _ in range(3):
                client.start_viewing("v").send(IMAGE)
        client.start_viewing("v").send(IMAGE)

        assert made == ["open", "close", "open"]

    def test_a_function_that_is_not_there_is_unavailable(self):
        url = f"http://127.0.0.1:{find_free_port()}"

        with pytest.raises(GazeUnavailableError, match="no answer: ") as caught:
            GazeClient(url, attempts=1).start_viewing("v").send(IMAGE)

        assert (caught.value.status, caught.value.type) == (None, None)

    @pytest.mark.parametrize(
        ("attempt", "retry_after_s", "share", "delay_s"),
        [
            (1, None, 1.0, 0.25),
            (2, None, 1.0, 0.5),
            (3, None, 0.5, 0.5),
            (6, None, 1.0, 8.0),
            (99, None, 1.0, 8.0),
            (9, None, 0.0, 0.125),
            (1, 2.0, 0.0, 2.0),
            (6, 2.0, 1.0, 3.0),
        ],
    )
    def test_the_delay_is_that_of_the_client_for_web_pages(self, attempt, retry_after_s, share, delay_s):
        assert retry_delay_s(attempt, retry_after_s, share) == delay_s

    @pytest.mark.parametrize(
        "url", ["localhost:8080", "http://", "http://:8080", "http://a:0", "ftp://a", "http://a?b=1"]
    )
    def test_the_address_must_be_one(self, url):
        with pytest.raises(ValueError, match="must look like http://"):
            GazeClient(url)

    def test_a_header_that_cannot_be_sent_is_misuse(self, function, slept):
        def make_http():
            http = requests.Session()
            http.headers["Authorization"] = "Bearer a\n"
            return http

        with pytest.raises(ValueError, match="header"):
            GazeClient(function.url, make_http=make_http).start_viewing("v").send(IMAGE)

        assert slept == []


RESULT = {
    "final_score": 63.21,
    "score_valid": True,
    "score_invalid_reason": None,
    "chance_level": 30.0,
    "interval_95": [57.3, 69.0],
    "coverage": 0.97,
    "calibration": {"used": True, "accuracy_deg": 2.2, "validation": {"accuracy_deg": 2.4}},
    "new": 1,
}


class TestTheEnd:
    def test_the_last_frame_returns_the_score(self, function, viewing):
        viewing.send_batch([IMAGE] * 3)
        function.answers = [(200, {"status": "success", "final_score": 63.21, "result": RESULT})]

        reply = viewing.complete()

        assert (reply.final_score, reply.chance_level, reply.interval_95) == (63.21, 30.0, (57.3, 69.0))
        assert (reply.score_valid, reply.score_invalid_reason, reply.coverage) == (True, None, 0.97)
        assert (reply.calibration.used, reply.calibration.validation_accuracy_deg) == (True, 2.4)
        assert reply.result == RESULT
        sent = function.requests[-1]
        assert (sent["frame_number"], sent["last_frame"], sent["total_frames"], "frame" in sent) == (4, True, 3, False)

    def test_an_old_function_sends_only_the_score(self, function, viewing):
        function.answers = [(200, {"status": "success", "final_score": 63.21})]

        reply = viewing.complete()

        assert (reply.final_score, reply.score_valid, reply.interval_95, reply.calibration) == (
            63.21,
            False,
            None,
            None,
        )

    @pytest.mark.parametrize("interval", [None, [], [1.0, None], ["a", "b"], {"low": 1}])
    def test_an_unknown_interval_is_none(self, function, viewing, interval):
        function.answers = [(200, {"status": "success", "final_score": 1.0, "result": {"interval_95": interval}})]

        assert viewing.complete().interval_95 is None

    def test_an_answer_without_a_score_is_not_a_score_of_0(self, function, viewing):
        function.answers = [(200, {"status": "success"})]

        with pytest.raises(GazeRequestError, match="200; the answer to the last frame has no final_score"):
            viewing.complete()

    def test_a_repeated_end_is_the_same_request(self, function, viewing):
        viewing.send(IMAGE)

        viewing.complete()
        viewing.complete()

        assert function.requests[1] == function.requests[2]

    def test_a_gateway_of_several_processes_says_how_many_frames_there_were(self, function, viewing):
        viewing.complete(frame_number=9, total_frames=5)
        viewing.complete(frame_number=9)

        assert [(sent["frame_number"], sent.get("total_frames")) for sent in function.requests] == [(9, 5), (9, None)]

    def test_the_last_frame_may_take_longer_than_a_frame(self, function):
        def answer_late(handler):
            time.sleep(0.3)
            content = json.dumps({"status": "success", "final_score": 1.0}).encode()
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)

        function.answers = [answer_late]
        with GazeClient(function.url, timeout_s=0.1, total_timeout_s=0.1) as client:
            assert client.start_viewing("v").complete().final_score == 1.0


class TestCalibration:
    def test_targets_are_sent_in_a_session_of_their_own(self, function, client):
        calibration = client.start_calibration(camera={"vertical_fov_deg": 50})
        calibration.measure((0.1, 0.9), [IMAGE, Frame(IMAGE, timestamp_ms=5)])
        calibration.measure(VALIDATION_TARGETS[0], [IMAGE], use="validate")

        fit, validate = function.requests
        assert fit["session_id"].startswith("calibration-")
        assert (fit["camera"], fit["video_id"]) == ({"vertical_fov_deg": 50}, "calibration")
        assert fit["frames"] == [
            {"frame_number": 1, "calibration_target": [0.1, 0.9], "calibration_use": "fit"},
            {"frame_number": 2, "timestamp_ms": 5.0, "calibration_target": [0.1, 0.9], "calibration_use": "fit"},
        ]
        assert (validate["calibration_target"], validate["calibration_use"]) == ([0.3, 0.35], "validate")

    def test_two_calibrations_have_different_ids(self, client):
        assert client.start_calibration().session_id != client.start_calibration().session_id

    def test_a_measured_target_tells_usable_frames_and_their_spread(self, function, client):
        points = [(0.5, 0.5), (0.53, 0.54), (0.1, 0.1)]
        answers = [{**OK, "gaze": {"x": x, "y": y, "on_screen": True}} for x, y in points]
        function.answers = [(200, {"frames": [*answers, {**OK, "gaze": None, "validity": "no_face"}]})]

        measured = client.start_calibration().measure((0.5, 0.5), [IMAGE] * 4)

        assert (len(measured.replies), measured.usable, measured.spread) == (4, 3, approx(0.05))

    def test_without_a_gaze_there_is_no_spread(self, function, client):
        function.answers = [(200, {**OK, "gaze": None, "validity": "no_face"})]

        measured = client.start_calibration().measure((0.5, 0.5), [IMAGE])

        assert (measured.usable, measured.spread) == (0, None)

    def test_finish_reports_whether_it_helps(self, function, client):
        used = {"used": False, "reason": "too_few_dots", "accuracy_deg": None, "generic_accuracy_deg": 5.9, "dots": 1}
        function.answers = [(200, {"status": "success", "final_score": 0.0, "result": {"calibration": used}})]

        report = client.start_calibration().finish()

        assert (report.used, report.reason) == (False, "too_few_dots")
        assert (report.accuracy_deg, report.generic_accuracy_deg, report.body["dots"]) == (None, 5.9, 1)

    @pytest.mark.parametrize(
        ("mirrored", "seems"), [({"suspected": True}, True), ({"suspected": False}, False), (None, None)]
    )
    def test_finish_reports_whether_the_camera_seems_to_be_mirrored(self, function, client, mirrored, seems):
        calibration = {"used": False, "reason": "mirrored", "mirrored": mirrored}
        function.answers = [(200, {"status": "success", "final_score": 0.0, "result": {"calibration": calibration}})]

        assert client.start_calibration().finish().seems_mirrored is seems

    def test_a_viewing_and_a_refresh_name_the_calibration_and_its_token(self, function, client):
        calibration = client.start_calibration(session_id="c", session_token="t")

        client.start_viewing("v", calibration=calibration).send(IMAGE)
        client.start_calibration(refresh=calibration).measure((0.5, 0.5), [IMAGE])
        client.start_viewing("v", calibration="kept", calibration_token="k").send(IMAGE)

        named = [(sent["calibration_session"], sent["calibration_token"]) for sent in function.requests]
        assert named == [("c", "t"), ("c", "t"), ("kept", "k")]

    def test_the_targets_are_those_of_the_documentation(self):
        assert FIVE_TARGETS == ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9))
        assert NINE_TARGETS[:5] == FIVE_TARGETS
        assert {*NINE_TARGETS} == {(x, y) for x in (0.1, 0.5, 0.9) for y in (0.1, 0.5, 0.9)}
        assert VALIDATION_TARGETS == ((0.3, 0.35), (0.7, 0.65))


class TestImages:
    RED = np.zeros((48, 64, 3), dtype=np.uint8)
    RED[..., 0] = 250

    def test_an_array_is_rgb(self, function, viewing):
        viewing.send(self.RED)

        image = cv2.imdecode(np.frombuffer(function.images[0][0], np.uint8), cv2.IMREAD_COLOR_RGB)
        assert image[24, 32, 0] > 240
        assert image[24, 32, 2] < 10

    def test_the_quality_of_the_jpeg_is_90(self):
        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)

        expected = cv2.imencode(".jpg", noise[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
        assert encode_jpeg(noise) == expected

    def test_a_turned_around_array_is_encoded_as_well(self):
        assert encode_jpeg(self.RED[..., ::-1]) == encode_jpeg(np.ascontiguousarray(self.RED[..., ::-1]))

    @pytest.mark.parametrize(
        "image",
        [
            np.zeros((48, 64), np.uint8),
            np.zeros((48, 64, 4), np.uint8),
            np.zeros((48, 64, 3)),
            np.zeros((0, 64, 3), np.uint8),
            "frame.jpg",
        ],
        ids=["grey", "transparent", "floats", "empty", "a name"],
    )
    def test_anything_else_is_misuse(self, function, viewing, image):
        with pytest.raises(ValueError, match="bytes of a file"):
            viewing.send(image)

        assert function.requests == []

    def test_an_empty_image_is_misuse(self, function, viewing):
        with pytest.raises(ValueError, match="an image is empty"):
            viewing.send_batch([IMAGE, b""])

        assert function.requests == []

    def test_a_number_that_is_not_finite_is_misuse_before_anything_is_sent(self, function, viewing):
        with pytest.raises(ValueError, match="JSON"):
            viewing.send_batch([Frame(IMAGE, float("nan") if number == 30 else 0.0) for number in range(40)])

        viewing.send(IMAGE)
        assert function.numbers() == [[1]]

    def test_a_screen_that_is_no_number_is_misuse_at_the_start(self, client):
        with pytest.raises(ValueError, match="JSON"):
            client.start_viewing("v", screen={"width_mm": float("inf"), "height_mm": 194})

    def test_the_frame_number_is_not_one_of_the_further_fields(self, function, viewing):
        viewing.send_batch([Frame(IMAGE, fields={"frame_number": 9})])

        assert function.numbers() == [[1]]


ALONE = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("copied", sys.argv[1])
copied = importlib.util.module_from_spec(spec)
sys.modules["copied"] = copied
spec.loader.exec_module(copied)
with copied.GazeClient(sys.argv[2]) as client:
    viewing = client.start_viewing("v")
    assert viewing.send(b"image").validity == "ok"
    assert viewing.complete().final_score == 63.21
    class Array:
        shape, dtype = (4, 4, 3), "uint8"
    for image in (Array(), "frame.jpg"):
        try:
            viewing.send(image)
        except (ImportError, ValueError) as error:
            print(error)
unwanted = {"numpy", "cv2", "func", "gaze_core", "gaze_tools"} & set(sys.modules)
assert not unwanted, unwanted
"""


def test_the_file_works_alone_with_nothing_but_requests(function, tmp_path):
    for name in ("requests", "urllib3", "idna", "certifi", "charset_normalizer"):
        (tmp_path / name).symlink_to(Path(requests.__file__).parents[1] / name)
    copied = tmp_path / "gaze_client.py"
    copied.write_text(Path(module.__file__).read_text())

    output = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.append({str(tmp_path)!r})\n{ALONE}",
            copied,
            function.url,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert output.returncode == 0, output.stderr
    assert [line.partition(":")[0] for line in output.stdout.splitlines()] == [
        "arrays need OpenCV (pip install opencv-python-headless); or pass JPEG files",
        "an image must be the bytes of a file, or a uint8 array of shape (height, width, 3)",
    ]


def test_the_same_viewer_and_video_have_the_id_of_the_contract():
    assert make_session_id("203.0.113.7", "contents1") == str(uuid.uuid5(uuid.NAMESPACE_URL, "203.0.113.7:contents1"))


def test_proxies_of_the_environment_are_not_used(function, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert GazeClient(function.url, attempts=1).start_viewing("v").send(IMAGE).validity == "ok"


def test_a_session_of_your_own_adds_headers(function):
    def make_http():
        http = requests.Session()
        http.headers["Authorization"] = "Bearer x"
        return http

    seen = []

    def answer(handler):
        seen.append(handler.headers["Authorization"])
        handler.send_response(401)
        handler.end_headers()

    function.answers = [answer]
    with pytest.raises(GazeRequestError):
        GazeClient(function.url, make_http=make_http).start_viewing("v").send(IMAGE)

    assert seen == ["Bearer x"]
