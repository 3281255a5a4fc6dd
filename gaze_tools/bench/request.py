"""Requests with frames, and a client that sends them."""

import contextlib
import http.client
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import numpy as np

from gaze_core.types import Frame
from gaze_tools.bench import names
from gaze_tools.bench.frames import describe_frame, encode_jpeg, make_json_body
from gaze_tools.bench.server import engine_settings
from gaze_tools.sample_clip import SAMPLE, read_frames

ENGINES = names.ENGINES

_JSON = "application/json"
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class SentBody:
    """What a client sends: how to make the body of a frame from its session and number, and the content type."""

    make_body: Callable[[str, int], bytes]
    content_type: str


class FrameConnection:
    """A connection to a function that is kept for all requests."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)

    def post(self, body: bytes, content_type: str = _JSON) -> bytes:
        """Send a request and return the body of its answer.

        Raises:
            RuntimeError: The answer has another status than 200.
        """
        self._connection.request("POST", "/gaze", body, {"Content-Type": content_type})
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != HTTPStatus.OK:
            raise RuntimeError(f"the function answered a frame with {response.status}: {answer[:200]!r}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@contextlib.contextmanager
def connect(port: int) -> Iterator[FrameConnection]:
    """Yield a connection to a function of this machine."""
    with contextlib.closing(FrameConnection(port)) as connection:
        yield connection


def send_json(jpeg: bytes) -> SentBody:
    """Return the frame as JSON with base64."""
    return SentBody(lambda session, number: make_json_body(describe_frame(session, number), jpeg), _JSON)


def send_multipart(jpeg: bytes) -> SentBody:
    """Return the frame as multipart with a binary image."""
    opening = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'

    def make_body(session: str, number: int) -> bytes:
        metadata = opening % b"metadata" + json.dumps(describe_frame(session, number)).encode()
        return metadata + b"\r\n" + opening % b"frame" + jpeg + b"\r\n--b--\r\n"

    return SentBody(make_body, "multipart/form-data; boundary=b")


def name_session() -> str:
    """Return an id that no other session has."""
    return f"bench-{os.getpid()}-{threading.get_ident()}-{time.monotonic_ns()}"


def send(port: int, sent: SentBody, count: int) -> list[float]:
    """Send frames of a new session over one connection, each after the answer to the one before.

    Returns:
        Time of each frame from sending it to its answer, seconds.

    Raises:
        RuntimeError: A frame was refused.
    """
    session = name_session()
    bodies = (sent.make_body(session, number) for number in range(1, count + 1))
    return send_bodies(port, bodies, sent.content_type)


def send_bodies(port: int, bodies: Iterable[bytes], content_type: str = _JSON) -> list[float]:
    """Send requests over one connection, each after the answer to the one before.

    Returns:
        Time of each request from sending it to its answer, seconds.

    Raises:
        RuntimeError: A request was refused.
    """
    latencies_s = []
    with connect(port) as connection:
        for body in bodies:
            started_s = time.perf_counter()
            connection.post(body, content_type)
            latencies_s.append(time.perf_counter() - started_s)
    return latencies_s


def post_frame(port: int, body: bytes, content_type: str) -> int:
    """Send one frame over a connection of its own and return the status.

    Raises:
        OSError: The function does not listen yet.
    """
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/gaze", body, {"Content-Type": content_type})
        return connection.getresponse().status


def list_settings(engine: str, folder: Path) -> dict[str, str]:
    """Return the settings of a function with an engine, one landmarker and one thread for linear algebra."""
    single = {"LANDMARKERS": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**engine_settings(engine, folder), **single}


def make_frames() -> tuple[Frame, dict[str, SentBody]]:
    """Return a frame of the sample clip, and the ways in which the function gets it and one without a face."""
    frame = next(read_frames(str(SAMPLE / "clip.mp4"), 1))
    jpeg = encode_jpeg(frame)
    empty = encode_jpeg(shuffle_tiles(frame))
    return frame, {"face": send_json(jpeg), "multipart": send_multipart(jpeg), "no face": send_json(empty)}


def shuffle_tiles(frame: Frame, size_px: int = 40) -> Frame:
    """Return the frame with its tiles in another order: as much to decode, and no face."""
    height_px, width_px = frame.shape[:2]
    tiles = frame.reshape(height_px // size_px, size_px, width_px // size_px, size_px, 3).swapaxes(1, 2)
    order = np.random.default_rng(0).permutation(tiles.shape[0] * tiles.shape[1])
    shuffled = tiles.reshape(-1, size_px, size_px, 3)[order].reshape(tiles.shape)
    return np.ascontiguousarray(shuffled.swapaxes(1, 2).reshape(frame.shape))
