"""Frames to measure with: the sample clip's, as JPEG and decoded, in several sizes."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from gaze_core.types import Frame
from gaze_tools.sample_clip import SAMPLE, read_frames

SIZES = ((640, 480), (1280, 720), (1920, 1080))
"""Width and height in pixels."""

CLIP_STEP = 11
"""Frames of the clip from one measured frame to the next, so that they differ; the first eight have open eyes."""

JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True)
class BenchFrame:
    """One frame in the forms in which it is needed.

    Attributes:
        image: RGB uint8, shape (height, width, 3), decoded from the JPEG.
        jpeg: JPEG file.
    """

    image: Frame
    jpeg: bytes

    def make_body(self, session_id: str, frame_number: int) -> bytes:
        """Return the JSON body of its request."""
        return make_json_body(describe_frame(session_id, frame_number), self.jpeg)


def describe_frame(session_id: str, frame_number: int) -> dict[str, object]:
    """Return the fields of a request without its image."""
    return {**describe_viewing(session_id), **_describe_moment(frame_number)}


def describe_viewing(session_id: str) -> dict[str, object]:
    """Return the fields of a request that are those of all frames of a session."""
    return {"session_id": session_id, "video_id": "sample", "ip_address": "198.51.100.1"}


def make_json_body(fields: Mapping[str, object], jpeg: bytes) -> bytes:
    """Return the JSON body of a request with one frame."""
    return json.dumps({**fields, "frame": base64.b64encode(jpeg).decode()}).encode()


def make_batch_body(session_id: str, numbered: Mapping[int, bytes]) -> bytes:
    """Return the JSON body of a request with several frames.

    Args:
        session_id: Id of the session.
        numbered: JPEG file by frame number.
    """
    frames = [
        {**_describe_moment(number), "frame": base64.b64encode(jpeg).decode()} for number, jpeg in numbered.items()
    ]
    return json.dumps({**describe_viewing(session_id), "frames": frames}).encode()


def load_frames(size: tuple[int, int], count: int) -> list[BenchFrame]:
    """Return frames of the sample clip.

    Args:
        size: Width and height in pixels; the face keeps its share of the height.
        count: Number of frames.
    """
    clip = list(read_frames(str(SAMPLE / "clip.mp4"), CLIP_STEP * count))[::CLIP_STEP]
    return [_encode(_enlarge(image, *size)) for image in clip]


def encode_jpeg(image: Frame) -> bytes:
    """Return an image as JPEG."""
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()


def _describe_moment(frame_number: int) -> dict[str, object]:
    at_ms = 50 * frame_number
    return {"frame_number": frame_number, "timestamp_ms": at_ms, "video_time_ms": at_ms}


def _encode(image: Frame) -> BenchFrame:
    jpeg = encode_jpeg(image)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    return BenchFrame(np.asarray(decoded, dtype=np.uint8), jpeg)


def _enlarge(image: Frame, width_px: int, height_px: int) -> Frame:
    """Return the image as the middle of a larger one, at the same share of the height."""
    if image.shape[:2] == (height_px, width_px):
        return image
    scaled_px = round(image.shape[1] * height_px / image.shape[0])
    scaled = cv2.resize(image, (scaled_px, height_px), interpolation=cv2.INTER_CUBIC)
    left = (width_px - scaled_px) // 2
    bordered = cv2.copyMakeBorder(scaled, 0, 0, left, width_px - scaled_px - left, cv2.BORDER_REPLICATE)
    return np.asarray(bordered, dtype=np.uint8)
