"""Frames to measure with: the sample clip's, as JPEG and decoded, in several sizes."""

import base64
import json
from collections.abc import Sequence
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
        fields = {
            "session_id": session_id,
            "video_id": "sample",
            "ip_address": "198.51.100.1",
            "frame_number": frame_number,
            "frame": base64.b64encode(self.jpeg).decode(),
        }
        return json.dumps(fields).encode()


def load_frames(size: tuple[int, int], count: int) -> list[BenchFrame]:
    """Return frames of the sample clip.

    Args:
        size: Width and height in pixels; the face keeps its share of the height.
        count: Number of frames.
    """
    clip = list(read_frames(str(SAMPLE / "clip.mp4"), CLIP_STEP * count))[::CLIP_STEP]
    return [_encode(_enlarge(image, *size)) for image in clip]


def name_size(size: Sequence[int]) -> str:
    """Return a size as text, such as 640×480."""
    return f"{size[0]}×{size[1]}"


def _encode(image: Frame) -> BenchFrame:
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return BenchFrame(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB), dtype=np.uint8), jpeg.tobytes())


def _enlarge(image: Frame, width_px: int, height_px: int) -> Frame:
    """Return the image as the middle of a larger one, at the same share of the height."""
    if image.shape[:2] == (height_px, width_px):
        return image
    scaled_px = round(image.shape[1] * height_px / image.shape[0])
    scaled = cv2.resize(image, (scaled_px, height_px), interpolation=cv2.INTER_CUBIC)
    left = (width_px - scaled_px) // 2
    bordered = cv2.copyMakeBorder(scaled, 0, 0, left, width_px - scaled_px - left, cv2.BORDER_REPLICATE)
    return np.asarray(bordered, dtype=np.uint8)
