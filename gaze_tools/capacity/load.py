"""A bounded load of frames on functions on loopback, and what it costs."""

import base64
import itertools
import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import requests

from gaze_tools.capacity.processor_time import PARTS, read_cpu_s
from gaze_tools.demo import SAMPLE, SAMPLE_VIDEO_ID, read_frames
from gaze_tools.stack.gateway import JPEG_QUALITY

FRAMES = 200
"""Of the sample clip; a load starts again from the first."""

_REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load.

    Attributes:
        frames: Answered 200.
        refused: Answered otherwise.
        duration_s: From the first request to the last answer.
        latencies_s: Of the frames that were answered 200; for an open load from the moment they were due.
        cpu_s: Of each part of the stack, and of the client.
    """

    frames: int
    refused: int
    duration_s: float
    latencies_s: tuple[float, ...]
    cpu_s: Mapping[str, float]

    @property
    def throughput_fps(self) -> float:
        """Frames answered a second."""
        return self.frames / self.duration_s

    @property
    def latency_s(self) -> float:
        """Median."""
        return statistics.median(self.latencies_s)

    def cpu_per_frame_s(self, *parts: str) -> float:
        """Return the CPU time of a frame in these parts; without any, in all of them."""
        return sum(self.cpu_s[part] for part in parts or self.cpu_s) / self.frames


def encode_clip() -> list[bytes]:
    """Return the pictures of the sample clip as the gateway sends them."""
    return [
        cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        for frame in read_frames(str(SAMPLE / "clip.mp4"), FRAMES)
    ]


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends the frames of one session.

    Attributes:
        function_url: Where to.
        session: Its number.
    """

    function_url: str
    session: int

    def make_body(self, frame_number: int, jpeg: bytes | None) -> bytes:
        """Return the request of a frame, or of the end when there is none."""
        body: dict[str, object] = {
            "session_id": f"session-{self.session}",
            "video_id": SAMPLE_VIDEO_ID,
            "ip_address": "127.0.0.1",
            "frame_number": frame_number,
            "last_frame": jpeg is None,
            "timestamp_ms": 50.0 * frame_number,
            "video_time_ms": 50.0 * frame_number,
        }
        if jpeg is not None:
            body["frame"] = base64.b64encode(jpeg).decode()
        return json.dumps(body).encode()


def run_load(
    clients: Sequence[Client], jpegs: Sequence[bytes], *, duration_s: float, interval_s: float | None = None
) -> Load:
    """Send frames for a while and count what it costs; stops by itself.

    Args:
        clients: Each sends from a thread of its own and waits for an answer before the next request.
        jpegs: The pictures, used again and again.
        duration_s: No request starts later.
        interval_s: Between the moments at which a client's frames are due, whatever the answers take; None sends the
            next when the last is answered.
    """
    before = {part: read_cpu_s(part) for part in PARTS}
    client_cpu_s, started_s = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(len(clients)) as pool:
        lists = pool.map(
            lambda pair: _send(
                pair[1],
                jpegs,
                until_s=started_s + duration_s,
                interval_s=interval_s,
                # So that the clients of an open load do not send at the same moment.
                first_due_s=started_s + (0.0 if interval_s is None else interval_s * pair[0] / len(clients)),
            ),
            enumerate(clients),
        )
        latencies_s = [latency_s for latencies in lists for latency_s in latencies]
    ended_s = time.monotonic()
    after = {part: read_cpu_s(part) for part in PARTS}
    answered = tuple(latency_s for latency_s in latencies_s if latency_s is not None)
    return Load(
        frames=len(answered),
        refused=len(latencies_s) - len(answered),
        duration_s=ended_s - started_s,
        latencies_s=answered,
        cpu_s={part: after[part] - before[part] for part in PARTS} | {"client": time.process_time() - client_cpu_s},
    )


def _send(
    client: Client, jpegs: Sequence[bytes], *, until_s: float, interval_s: float | None, first_due_s: float
) -> list[float | None]:
    """Return how long each frame took, None for one that was refused."""
    latencies_s: list[float | None] = []
    with requests.Session() as http:
        http.trust_env = False
        for number in itertools.count(1):
            body = client.make_body(number, jpegs[(number - 1) % len(jpegs)])
            due_s = time.monotonic()
            if interval_s is not None:
                due_s = first_due_s + (number - 1) * interval_s
                time.sleep(max(0.0, due_s - time.monotonic()))
            if due_s >= until_s or time.monotonic() >= until_s:
                return latencies_s
            status = post(http, client, body).status_code
            latencies_s.append(time.monotonic() - due_s if status == 200 else None)
    raise AssertionError("unreachable")


def post(http: requests.Session, client: Client, body: bytes) -> requests.Response:
    """Send a request to the function and return its answer."""
    return http.post(
        f"{client.function_url}/gaze",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=_REQUEST_TIMEOUT_S,
    )


@contextmanager
def probe(function_url: str) -> Iterator[list[float]]:
    """Ask a function every half a second whether it is ready; yield how long each answer took."""
    waits_s: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not waits_s or not stop.wait(0.5):
            asked_s = time.monotonic()
            requests.get(f"{function_url}/health/readiness", timeout=_REQUEST_TIMEOUT_S).raise_for_status()
            waits_s.append(time.monotonic() - asked_s)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits_s
    finally:
        stop.set()
        thread.join()
