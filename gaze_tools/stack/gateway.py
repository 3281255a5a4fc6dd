"""What the API gateway does: post a viewer's frames to the function, one by one."""

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


class GatewayError(Exception):
    """The function refused a frame or kept failing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one frame.

    Attributes:
        body: The parsed JSON.
        latency_ms: From sending the request to having read the answer, retries left out.
    """

    body: dict[str, Any]
    latency_ms: float


class Gateway:
    """Posts the frames of one viewing; a busy or failing function is asked again, so that no frame is lost."""

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
            function_url: Base address of the function.
            video_id: Video that is watched.
            ip_address: The viewer's IP address.
            session_id: Session id, such as a random one for a calibration; None derives it from address and video.
            attempts: Tries for each request.
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

    def post_frame(self, frame_number: int, frame: NDArray[np.uint8], **fields: object) -> Answer:
        """Post one picture (RGB uint8, shape (height, width, 3)); `fields` are further keys of the contract."""
        ok, jpeg = cv2.imencode(
            ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        )
        if not ok:
            raise GatewayError("the picture could not be encoded")
        encoded = base64.b64encode(jpeg.tobytes()).decode()
        return self._post({"frame_number": frame_number, "last_frame": False, "frame": encoded, **fields})

    def complete(self, frame_number: int, **fields: object) -> Answer:
        """Say that the video is over, after the frame before `frame_number`; the answer carries the score."""
        return self._post({"frame_number": frame_number, "last_frame": True, **fields})

    def _post(self, fields: dict[str, object]) -> Answer:
        body = {
            "session_id": self.session_id,
            "video_id": self.video_id,
            "ip_address": self.ip_address,
            "session_token": self.session_token,
            **fields,
        }
        for attempt in range(self._attempts):
            started = time.perf_counter()
            try:
                response = self._http.post(self._url, json=body, timeout=60)
            except requests.RequestException as error:
                problem, wait_s = str(error), 0.5
            else:
                if response.status_code == 200:
                    return Answer(response.json(), 1000 * (time.perf_counter() - started))
                problem = f"{response.status_code} {response.text[:500]}"
                if response.status_code < 500 and response.status_code != 429:
                    break
                wait_s = float(response.headers.get("Retry-After", 0.5))
            time.sleep(min(wait_s, 5.0) * (attempt + 1))
        raise GatewayError(f"frame {fields['frame_number']}: {problem}")
