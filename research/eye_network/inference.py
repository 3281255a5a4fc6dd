"""The exported eye network on eye images, run by OpenCV like in the function."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from func.adapters.eye_network_opencv import HEAD_UNIT_DEG, normalise, read_gazes
from func.adapters.model_bytes import read_described_model
from gaze_core.types import Floats
from research.eye_network.image_set import EyeImageSet


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What the network says about n pairs; (right, up) in the virtual camera frame, degrees.

    Attributes:
        eyes_deg: Direction of each eye, shape (n, 2, 2).
        eyes_spread_deg: Predicted standard deviation, shape (n, 2, 2).
        both_deg: Direction from the midpoint between the eyes, shape (n, 2).
        both_spread_deg: Predicted standard deviation, shape (n, 2).
    """

    eyes_deg: Floats
    eyes_spread_deg: Floats
    both_deg: Floats
    both_spread_deg: Floats


def answer(model_path: Path, images: EyeImageSet) -> Answers:
    """Return the answers of the network in a file.

    Args:
        model_path: Path of the ONNX file; its card lies beside it.
        images: The pairs.

    Raises:
        ValueError: The file or its card is missing or unreadable, or they do not match.
    """
    network = cv2.dnn.readNetFromONNX(np.frombuffer(read_described_model(model_path), np.uint8))
    gazes = []
    for pair, head_deg in zip(images.images, images.head_deg, strict=True):
        network.setInput(normalise(pair)[None], "images")
        network.setInput((head_deg / HEAD_UNIT_DEG).astype(np.float32)[None], "head")
        eyes, both = network.forward(("eyes", "both"))
        gazes.append(read_gazes(eyes[0].astype(np.float64), both[0].astype(np.float64)))
    return Answers(
        eyes_deg=np.stack([gaze.eyes_deg for gaze in gazes]),
        eyes_spread_deg=np.stack([gaze.eyes_spread_deg for gaze in gazes]),
        both_deg=np.stack([gaze.both_deg for gaze in gazes]),
        both_spread_deg=np.stack([gaze.both_spread_deg for gaze in gazes]),
    )
