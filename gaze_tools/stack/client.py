"""A small client of the function, as an API gateway needs it: one viewing, posted frame by frame.

It depends only on requests, OpenCV and numpy, and on `func.session_token` if the function demands session tokens, so it
can be copied into a gateway of your own.
"""

import base64
import time
import uuid
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import requests
from numpy.typing import NDArray

from func.session_token import Viewing, sign_viewing

JPEG_QUALITY = 90

_TIMEOUT_S = 60.0
_RETRY_AFTER_S = 0.5
"""Wait before a retry if the function does not send Retry-After."""

_MAX_RETRY_AFTER_S = 5.0


class GazeClientError(Exception):
    """The function refused a request, or failed on every attempt."""


@dataclass(frozen=True, slots=True)
class FrameReply:
    """Reply to one frame.

    Attributes:
        body: Parsed JSON of the response.
        latency_ms: Time from sending the request to having read the response, without earlier attempts.
    """

    body: dict[str, Any]
    latency_ms: float

    @property
    def gaze(self) -> tuple[float, float] | None:
        """Point of gaze, normalised to the screen; None if the frame has none."""
        gaze = self.body["gaze"]
        return None if gaze is None else (gaze["x"], gaze["y"])

    @property
    def validity(self) -> str:
        """`ok`, or why there is no point of gaze."""
        return str(self.body["validity"])


@dataclass(frozen=True, slots=True)
class ResultReply:
    """Reply to the last frame.

    Attributes:
        body: Parsed JSON of the response.
        latency_ms: Time from sending the request to having read the response, without earlier attempts.
    """

    body: dict[str, Any]
    latency_ms: float

    @property
    def result(self) -> dict[str, Any]:
        """Result of the session, as /openapi.json describes it."""
        result: dict[str, Any] = self.body["result"]
        return result


class GazeClient:
    """One viewer who watches one video.

    A request that fails with a connection error, 429 or 5xx is repeated: the function counts a frame once, so no frame
    is lost or counted twice. Not thread-safe; use one client per thread with the same session id.
    """

    def __init__(
        self,
        function_url: str,
        *,
        video_id: str,
        ip_address: str = "127.0.0.1",
        session_id: str | None = None,
        attempts: int = 5,
        token_key: bytes | None = None,
    ) -> None:
        """Start a viewing.

        Args:
            function_url: Base address of the function, such as `http://127.0.0.1:8080`.
            video_id: Video that is watched.
            ip_address: The viewer's IP address.
            session_id: Session id, such as a random one for a calibration; None derives it from address and video.
            attempts: Maximum number of attempts per request.
            token_key: Key that signs the session token; None sends no token.
        """
        self.video_id = video_id
        self.ip_address = ip_address
        self.session_id = session_id or str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ip_address}:{video_id}"))
        viewing = Viewing(self.session_id, ip_address, video_id, start_ms=int(1000 * time.time()))
        self.session_token = None if token_key is None else sign_viewing(token_key, viewing)
        """Token of this viewing; the `calibration_token` of a viewing that uses this one as its calibration."""
        self._url = f"{function_url}/gaze"
        self._attempts = attempts
        self._http = requests.Session()
        self._http.trust_env = False

    def post_frame(self, frame_number: int, frame: NDArray[np.uint8], **fields: object) -> FrameReply:
        """Post one webcam frame and return its point of gaze.

        Args:
            frame_number: Number of the frame, from 1.
            frame: RGB image, shape (height, width, 3).
            **fields: Further fields of the request, such as `video_time_ms` or `screen`.

        Raises:
            GazeClientError: The function refused the frame, or failed on every attempt.
        """
        ok, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not ok:
            raise GazeClientError(f"frame {frame_number} could not be encoded as JPEG")
        return self.post_image(frame_number, jpeg.tobytes(), **fields)

    def post_image(self, frame_number: int, image: bytes, **fields: object) -> FrameReply:
        """Post the file of a webcam frame, JPEG, PNG or WebP; see `post_frame`."""
        encoded = base64.b64encode(image).decode()
        return FrameReply(*self._post(frame_number, {"last_frame": False, "frame": encoded, **fields}))

    def complete(self, frame_number: int, **fields: object) -> ResultReply:
        """End the viewing and return its result.

        Args:
            frame_number: Number after the last frame.
            **fields: Further fields of the request, such as `total_frames`.

        Raises:
            GazeClientError: The function refused the request, or failed on every attempt.
        """
        return ResultReply(*self._post(frame_number, {"last_frame": True, **fields}))

    def _post(self, frame_number: int, fields: dict[str, object]) -> tuple[dict[str, Any], float]:
        """Return the parsed response and the latency in ms."""
        body = {
            "session_id": self.session_id,
            "video_id": self.video_id,
            "ip_address": self.ip_address,
            "session_token": self.session_token,
            "frame_number": frame_number,
            **fields,
        }
        for attempt in range(1, self._attempts + 1):
            started_s = time.perf_counter()
            retry_after_s = _RETRY_AFTER_S
            try:
                response = self._http.post(self._url, json=body, timeout=_TIMEOUT_S)
            except requests.RequestException as error:
                problem = str(error)
            else:
                if response.status_code == 200:
                    return response.json(), 1000 * (time.perf_counter() - started_s)
                problem = f"{response.status_code} {response.text[:500]}"
                if response.status_code < 500 and response.status_code != 429:
                    break
                retry_after_s = float(response.headers.get("Retry-After", _RETRY_AFTER_S))
            if attempt < self._attempts:
                time.sleep(min(retry_after_s, _MAX_RETRY_AFTER_S) * attempt)
        raise GazeClientError(f"frame {frame_number}: {problem}")
