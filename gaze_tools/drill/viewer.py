"""A viewer whose gateway repeats what fails, as docs/http.md asks of it."""

import base64
import threading
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from gaze_tools.sample_clip import SAMPLE_VIDEO_ID

_RECOVERY_S = 60.0


class DrillViewer:
    """One viewing; its frames may be sent concurrently."""

    def __init__(self, url: str, images: Sequence[bytes]) -> None:
        """Begin a viewing.

        Args:
            url: Base address of the function.
            images: JPEG of each frame.
        """
        self.session_id = str(uuid.uuid4())
        self.acknowledged: set[int] = set()
        self.final_score: float | None = None
        self._url = url
        self._images = images
        self._sessions = threading.local()

    @property
    def frame_count(self) -> int:
        """Number of frames of the viewing."""
        return len(self._images)

    def send_frames(self, numbers: Sequence[int], *, at_once: int = 1) -> list[int]:
        """Send frames and return the statuses of the answers.

        Args:
            numbers: Frame numbers, from 1.
            at_once: Number of concurrent requests.
        """
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(self._send_frame, numbers))

    def send_last_frame(self) -> int:
        """Send the last frame, without an image, and return the status of the answer."""
        status, answer = self._post({"frame_number": self.frame_count + 1, "last_frame": True})
        if status == 200:
            self.final_score = float(answer["final_score"])
        return status

    def recover(self) -> float:
        """Repeat all frames without a 200, then the last one, until each has one; return the seconds that it took.

        Raises:
            TimeoutError: Something still fails after a minute.
        """
        started_s = time.monotonic()
        while time.monotonic() - started_s < _RECOVERY_S:
            missing = [number for number in range(1, self.frame_count + 1) if number not in self.acknowledged]
            self.send_frames(missing)
            if len(self.acknowledged) == self.frame_count and self.send_last_frame() == 200:
                return time.monotonic() - started_s
            time.sleep(0.5)
        raise TimeoutError(f"requests still fail {_RECOVERY_S:g} s after the recovery")

    def _send_frame(self, number: int) -> int:
        image = base64.b64encode(self._images[number - 1]).decode()
        status, _ = self._post({"frame_number": number, "video_time_ms": 40 * (number - 1), "frame": image})
        if status == 200:
            self.acknowledged.add(number)
        return status

    def _post(self, fields: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        http: requests.Session | None = getattr(self._sessions, "http", None)
        if http is None:
            http = self._sessions.http = requests.Session()
            http.trust_env = False
        body = {"session_id": self.session_id, "video_id": SAMPLE_VIDEO_ID, "ip_address": "198.51.100.7"}
        answer = http.post(f"{self._url}/gaze", json=body | fields, timeout=60)
        return answer.status_code, answer.json()
