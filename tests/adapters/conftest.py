"""Fixtures for the tests of adapters."""

from pathlib import Path

import cv2
import numpy as np
import pytest

CLIP = Path(__file__).resolve().parents[2] / "gaze_tools" / "sample" / "clip.mp4"


@pytest.fixture(scope="session")
def frames():
    """Twelve frames of the sample clip, RGB."""
    capture = cv2.VideoCapture(str(CLIP))
    count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    images = []
    for number in np.linspace(0, count - 1, 12).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(number))
        is_read, image = capture.read()
        assert is_read, f"frame {number} of {CLIP.name} cannot be read"
        images.append(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
    capture.release()
    return images
