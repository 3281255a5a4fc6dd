"""The client of the function: typed replies, and which responses it repeats."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from gaze_tools.stack.client import GazeClient, GazeClientError

FRAME = np.zeros((48, 64, 3), dtype=np.uint8)
OK = {"gaze": {"x": 0.25, "y": 0.75, "on_screen": True}, "validity": "ok"}


@pytest.fixture
def function():
    """A function that gives the listed responses in order and keeps the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, body = server.responses.pop(0)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.responses, server.requests = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_reply_has_the_point_of_gaze(function):
    function.responses = [(200, OK)]

    reply = GazeClient(function.url, video_id="v").post_frame(1, FRAME)

    assert (reply.gaze, reply.validity) == ((0.25, 0.75), "ok")


def test_a_reply_without_a_gaze_has_none(function):
    function.responses = [(200, {"gaze": None, "validity": "no_face"})]

    reply = GazeClient(function.url, video_id="v").post_frame(1, FRAME)

    assert (reply.gaze, reply.validity) == (None, "no_face")


def stored(*numbers):
    return [{"status": "success", "frame_number": number, **OK} for number in numbers]


def test_several_frames_are_posted_in_one_request(function):
    function.responses = [(200, {"frames": stored(7, 8)})]

    replies = GazeClient(function.url, video_id="v").post_frames({7: FRAME, 8: FRAME}, times_ms={8: 400.0}, screen={})

    assert {number: reply.gaze for number, reply in replies.items()} == {7: (0.25, 0.75), 8: (0.25, 0.75)}
    (sent,) = function.requests
    assert [(frame["frame_number"], frame.get("video_time_ms")) for frame in sent["frames"]] == [(7, None), (8, 400.0)]
    assert (sent["screen"], "frame" in sent, "frame_number" in sent) == ({}, False, False)


def test_only_frames_without_an_answer_are_posted_again(function):
    busy = {"status": 503, "detail": "busy", "frame_number": 8, "retry_after_s": 0}
    function.responses = [(200, {"frames": [*stored(7), busy]}), (503, {}), (200, {"frames": stored(8)})]

    replies = GazeClient(function.url, video_id="v").post_frames({7: FRAME, 8: FRAME})

    assert list(replies) == [7, 8]
    assert [[frame["frame_number"] for frame in sent["frames"]] for sent in function.requests] == [[7, 8], [8], [8]]


def test_a_refused_frame_among_several_is_an_error(function):
    broken = {"status": 422, "detail": "it is broken", "frame_number": 8}
    function.responses = [(200, {"frames": [*stored(7), broken]})]

    with pytest.raises(GazeClientError, match="frame 8: 422 it is broken"):
        GazeClient(function.url, video_id="v").post_frames({7: FRAME, 8: FRAME})


def test_the_last_frame_returns_the_result(function):
    function.responses = [(200, {"result": {"final_score": 63.21}})]

    reply = GazeClient(function.url, video_id="v").complete(3, total_frames=2)

    assert reply.result == {"final_score": 63.21}
    sent = function.requests[0]
    assert (sent["frame_number"], sent["last_frame"], sent["total_frames"], "frame" in sent) == (3, True, 2, False)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_function_is_asked_again(function, status):
    function.responses = [(status, {}), (status, {}), (200, OK)]

    assert GazeClient(function.url, video_id="v").post_frame(1, FRAME).validity == "ok"

    assert len(function.requests) == 3
    assert function.requests[0] == function.requests[2]


@pytest.mark.parametrize("status", [400, 401, 409, 413])
def test_a_refused_frame_is_not_repeated(function, status):
    function.responses = [(status, {"detail": "no"})]

    with pytest.raises(GazeClientError, match=f"frame 7: {status} "):
        GazeClient(function.url, video_id="v").post_frame(7, FRAME)

    assert len(function.requests) == 1


def test_it_gives_up_after_the_last_attempt(function):
    function.responses = [(503, {})] * 3

    with pytest.raises(GazeClientError, match="frame 1: 503"):
        GazeClient(function.url, video_id="v", attempts=3).post_frame(1, FRAME)

    assert len(function.requests) == 3


def test_the_same_viewer_and_video_have_the_same_session_id():
    ids = [
        GazeClient("http://127.0.0.1:9", video_id=video_id, ip_address=address).session_id
        for video_id, address in [("v", "192.0.2.1"), ("v", "192.0.2.1"), ("w", "192.0.2.1"), ("v", "192.0.2.2")]
    ]

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
