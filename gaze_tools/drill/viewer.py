"""A viewer whose gateway repeats what fails, as docs/http.md asks of it."""

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gaze_tools.client import GazeClient, GazeClientError
from gaze_tools.sample_clip import SAMPLE_VIDEO_ID

_RECOVERY_S = 60.0
_TIMEOUT_S = 60.0


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
        self._images = images
        # One attempt each: the drill shows what the function answers.
        client = GazeClient(url, attempts=1, timeout_s=_TIMEOUT_S)
        self._viewing = client.start_viewing(SAMPLE_VIDEO_ID, ip_address="198.51.100.7", session_id=self.session_id)

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
        try:
            self.final_score = self._viewing.complete(frame_number=self.frame_count + 1).final_score
        except GazeClientError as error:
            return _find_status(error)
        return 200

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
        try:
            self._viewing.send(self._images[number - 1], frame_number=number, video_time_ms=40 * (number - 1))
        except GazeClientError as error:
            return _find_status(error)
        self.acknowledged.add(number)
        return 200


def _find_status(error: GazeClientError) -> int:
    """Return the HTTP status of a failed request; raise the error again if there was no answer."""
    if error.status is None:
        raise error
    return error.status
