"""A bounded load of frames on local functions, and its cost."""

import base64
import itertools
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import requests

from gaze_tools.capacity.cpu_time import read_cpu_s
from gaze_tools.client import JPEG_QUALITY
from gaze_tools.sample_clip import SAMPLE, SAMPLE_VIDEO_ID, read_frames

FRAMES = 200
"""Frames of the sample clip, which a load repeats."""

_REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """Outcome of a load.

    Attributes:
        frames: Frames answered with 200.
        refused: Frames answered with another status.
        duration_s: Time from the first request to the last response.
        latencies_s: Latencies of the frames answered with 200; in an open load from the time they were due.
        cpu_s: CPU time of each part of the stack, and of the client.
    """

    frames: int
    refused: int
    duration_s: float
    latencies_s: tuple[float, ...]
    cpu_s: Mapping[str, float]

    @property
    def throughput_fps(self) -> float:
        """Answered frames per second."""
        return self.frames / self.duration_s

    @property
    def latency_s(self) -> float:
        """Median latency."""
        return statistics.median(self.latencies_s)

    def cpu_per_frame_s(self, *parts: str) -> float:
        """Return the CPU time per frame in these parts; without arguments, in all parts."""
        return sum(self.cpu_s[part] for part in parts or self.cpu_s) / self.frames


def encode_clip() -> list[bytes]:
    """Return the frames of the sample clip as JPEG, as the gateway sends them."""
    return [
        cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        for frame in read_frames(str(SAMPLE / "clip.mp4"), FRAMES)
    ]


@dataclass(frozen=True, slots=True)
class Client:
    """A client that sends the frames of one session.

    Attributes:
        function_url: Base address of the function.
        session: Number of the session.
    """

    function_url: str
    session: int

    def make_body(self, frame_number: int, jpeg: bytes | None) -> bytes:
        """Return the request body of a frame, or of the last frame if there is no image."""
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
    clients: Sequence[Client],
    jpegs: Sequence[bytes],
    pids: Mapping[str, Sequence[int]],
    *,
    duration_s: float,
    interval_s: float | None = None,
) -> Load:
    """Send frames for a limited time and measure the cost.

    Args:
        clients: Clients, each with its own thread; each waits for a response before its next request.
        jpegs: Frames, used in a loop.
        pids: Process ids of each part of the stack, whose CPU time is measured.
        duration_s: Time after which no request starts.
        interval_s: Interval at which a client's frames are due (open load); None sends the next frame when the last one
            is answered (closed load).
    """
    before = {part: read_cpu_s(pids[part]) for part in pids}
    client_cpu_s, started_s = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(len(clients)) as pool:
        lists = pool.map(
            lambda pair: _send(
                pair[1],
                jpegs,
                until_s=started_s + duration_s,
                interval_s=interval_s,
                # Staggered, so that the clients of an open load do not send simultaneously.
                first_due_s=started_s + (0.0 if interval_s is None else interval_s * pair[0] / len(clients)),
            ),
            enumerate(clients),
        )
        latencies_s = [latency_s for latencies in lists for latency_s in latencies]
    ended_s = time.monotonic()
    after = {part: read_cpu_s(pids[part]) for part in pids}
    answered = tuple(latency_s for latency_s in latencies_s if latency_s is not None)
    return Load(
        frames=len(answered),
        refused=len(latencies_s) - len(answered),
        duration_s=ended_s - started_s,
        latencies_s=answered,
        cpu_s={part: after[part] - before[part] for part in pids} | {"client": time.process_time() - client_cpu_s},
    )


def _send(
    client: Client, jpegs: Sequence[bytes], *, until_s: float, interval_s: float | None, first_due_s: float
) -> list[float | None]:
    """Return the latency of each frame, None for a refused one."""
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
    """Send a request to the function and return its response."""
    return http.post(
        f"{client.function_url}/gaze",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=_REQUEST_TIMEOUT_S,
    )
