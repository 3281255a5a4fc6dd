"""Eye network in OpenCV's dnn module: cut out the eye images, run the network, convert its answer."""

import hashlib
import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from func.adapters.model_bytes import read_described_model
from func.log_lines import Event
from gaze_core.errors import EyeNetworkError
from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX, EyeViews
from gaze_core.types import EyeGazes, Floats, Frame, check_frame

EyeImages = NDArray[np.uint8]  # grey, shape (2, 48, 72)

BLUR_BELOW_SCALE = 0.7
"""Frames with more px per eye-image px than this scale allows are blurred before sampling, which avoids aliasing."""

BLUR_SIGMA_PX = 0.45
"""Standard deviation of that blur, in px of the eye image."""

HEAD_UNIT_DEG, GAZE_UNIT_DEG = 30.0, 20.0
"""Units of the network's input `head` and of its outputs."""

MAX_LOG_SPREAD = 6.0
"""Larger absolute logarithms of a spread in `GAZE_UNIT_DEG` come from a broken network: 0.05 to 8000 degrees."""

CONTRAST_FLOOR = 4.0
"""Added to an eye image's standard deviation, in grey levels, so that noise is not amplified to full contrast."""

_EYE_IMAGE_CORNERS = np.array(
    [
        [0.0, EYE_IMAGE_WIDTH_PX - 1, 0.0, EYE_IMAGE_WIDTH_PX - 1],
        [0.0, 0.0, EYE_IMAGE_HEIGHT_PX - 1, EYE_IMAGE_HEIGHT_PX - 1],
        [1.0, 1.0, 1.0, 1.0],
    ]
)
# OpenCV 5's classic engine runs this small network in 0.33 ms, the default one in 0.53 ms; the answers differ by less
# than 0.0001 degrees. For networks read from memory, only this variable selects the engine, before the first is read.
os.environ.setdefault("OPENCV_FORCE_DNN_ENGINE", "1")

_OUTPUTS = ("eyes", "both")
_SHAPES = ((1, 2, 4), (1, 4))

_log = logging.getLogger(__name__)


class OpencvEyeNetwork:
    """ONNX network run by OpenCV on the CPU; thread-safe, and usable after a fork.

    OpenCV's networks hold the data of the current run, so each concurrent call has a network of its own (1.8 MB).
    Networks are created when all others are busy, and kept.

    Args:
        model_path: Path of the ONNX file; its card has the same name with the suffix `.json`.
        sha256: Required SHA-256 of the file, in addition to that of the card; None trusts the card.

    Raises:
        EyeNetworkError: The file is missing, does not match its card, or is not an eye network.
    """

    def __init__(self, model_path: Path, *, sha256: str | None = None) -> None:
        try:
            content = read_described_model(Path(model_path), sha256=sha256)
        except ValueError as error:
            raise EyeNetworkError(str(error)) from error
        self._name = Path(model_path).name
        self._content = np.frombuffer(content, np.uint8)
        self._digest = hashlib.sha256(content).hexdigest()
        # Appending to a list and popping from it are atomic. A queue has a lock, which a fork could inherit locked.
        self._idle: list[Any] = []
        self.warm_up(1)

    @property
    def digest(self) -> str:
        """SHA-256 of the file, hexadecimal."""
        return self._digest

    def estimate(self, frame: Frame, views: EyeViews) -> EyeGazes:
        """Return the gaze of both eyes in the virtual camera frame.

        Args:
            frame: RGB uint8, shape (height, width, 3), not mirrored.
            views: Where the eyes are in this frame.

        Raises:
            ValueError: The frame has the wrong type or shape.
            EyeNetworkError: The network failed; the next call gets another one.
        """
        check_frame(frame)
        try:
            images = cut_eye_images(frame, views)
        except (cv2.error, np.linalg.LinAlgError, ValueError) as error:
            raise EyeNetworkError("the eye images cannot be cut out") from error
        return self.estimate_images(images, views.head_deg)

    def estimate_images(self, images: EyeImages, head_deg: Floats) -> EyeGazes:
        """Return the gaze of both eyes in the virtual camera frame from images that are already cut out.

        Args:
            images: Result of `cut_eye_images`, shape (2, 48, 72).
            head_deg: Pitch and yaw of the head in the virtual camera frame, shape (2,).

        Raises:
            EyeNetworkError: The network failed; the next call gets another one.
        """
        return read_gazes(*self._run(normalise(images), head_deg))

    def warm_up(self, concurrent: int = 1) -> None:
        """Create networks and run each once, so that the first requests do not wait for that.

        Args:
            concurrent: Number of networks, the number of frames that are processed concurrently.

        Raises:
            EyeNetworkError: The file is not an eye network.
        """
        blank = np.zeros((2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX), np.float32)
        networks = [self._take() for _ in range(concurrent)]
        for network in networks:
            self._infer(network, blank, np.zeros(2))
        self._idle.extend(networks)

    def _run(self, images: NDArray[np.float32], head_deg: Floats) -> tuple[Floats, Floats]:
        network = self._take()
        outputs = self._infer(network, images, head_deg)
        self._idle.append(network)
        return outputs

    def _take(self) -> Any:  # noqa: ANN401 - OpenCV is not typed
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            return cv2.dnn.readNetFromONNX(self._content)
        except cv2.error as error:
            raise EyeNetworkError(f"{self._name} is not a network that OpenCV can run: {error.err}") from error

    def _infer(self, network: Any, images: NDArray[np.float32], head_deg: Floats) -> tuple[Floats, Floats]:  # noqa: ANN401
        """Return the outputs `eyes` and `both`, shapes (2, 4) and (4,).

        A network that fails is not returned to the idle ones.
        """
        try:
            network.setInput(images[None], "images")
            network.setInput((head_deg / HEAD_UNIT_DEG).astype(np.float32)[None], "head")
            eyes, both = network.forward(_OUTPUTS)
        except (cv2.error, ValueError) as error:  # ValueError: another number of outputs
            _log.warning(Event("eye network failed", detail=error))
            raise EyeNetworkError("the eye network failed on a frame") from error
        if (eyes.shape, both.shape) != _SHAPES:
            raise EyeNetworkError(f"{self._name} has outputs of shape {eyes.shape} and {both.shape}, not {_SHAPES}")
        if not (np.isfinite(eyes).all() and np.isfinite(both).all()):
            raise EyeNetworkError("the eye network's answer is not finite")
        if max(np.abs(eyes[..., 2:]).max(), np.abs(both[..., 2:]).max()) > MAX_LOG_SPREAD:
            raise EyeNetworkError("the eye network's spread is not plausible")
        return eyes[0].astype(np.float64), both[0].astype(np.float64)


def cut_eye_images(frame: Frame, views: EyeViews) -> EyeImages:
    """Return the grey images of the left and right eye, shape (2, 48, 72); the left one is mirrored.

    Beyond the edge of the frame its last pixels are repeated.

    Args:
        frame: RGB uint8, shape (height, width, 3), not mirrored.
        views: Where the eyes are in this frame.
    """
    images = np.empty((2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX), np.uint8)
    corners = np.linalg.inv(views.homographies) @ _EYE_IMAGE_CORNERS
    corners_px = (corners[:, :2] / corners[:, 2:]).tolist()
    height_px, width_px = frame.shape[:2]
    for side, (x_px, y_px) in enumerate(corners_px):
        scale = float(views.scales[side])
        sigma_px = BLUR_SIGMA_PX / scale if scale < BLUR_BELOW_SCALE else 0.0
        margin_px = math.ceil(4 * sigma_px) + 2
        # Only this part of the frame is converted and blurred.
        left, right = _find_range(x_px, margin_px, width_px)
        top, bottom = _find_range(y_px, margin_px, height_px)
        grey = cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
        if sigma_px > 0:
            grey = cv2.GaussianBlur(grey, (0, 0), sigma_px)
        from_box = views.homographies[side] @ [[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]]
        cv2.warpPerspective(
            grey,
            from_box,
            (EYE_IMAGE_WIDTH_PX, EYE_IMAGE_HEIGHT_PX),
            dst=images[side],
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return images


def normalise(images: EyeImages) -> NDArray[np.float32]:
    """Return each eye image minus its mean and divided by its standard deviation, shape (2, 48, 72)."""
    values = images.astype(np.float32)
    for side, image in enumerate(images):
        mean, deviation = cv2.meanStdDev(image)
        values[side] -= np.float32(mean[0, 0])
        values[side] *= np.float32(1 / (deviation[0, 0] + CONTRAST_FLOOR))
    return values


def _find_range(corners_px: Sequence[float], margin_px: int, size_px: int) -> tuple[int, int]:
    """Return the first row or column that contains the corners and a margin, and the one after the last."""
    first = min(max(math.floor(min(corners_px)) - margin_px, 0), size_px - 1)
    last = min(max(math.ceil(max(corners_px)) + margin_px, first), size_px - 1)
    return first, last + 1


def read_gazes(eyes: Floats, both: Floats) -> EyeGazes:
    """Convert the network's outputs.

    Args:
        eyes: For each eye as if it were a right eye: right, up, and the logarithms of their standard deviations, in
            units of `GAZE_UNIT_DEG`, shape (2, 4).
        both: The same for the midpoint between the eyes, not mirrored, shape (4,).
    """
    directions_deg = GAZE_UNIT_DEG * eyes[:, :2]
    directions_deg[0, 0] *= -1
    return EyeGazes(
        eyes_deg=directions_deg,
        eyes_spread_deg=GAZE_UNIT_DEG * np.exp(eyes[:, 2:]),
        both_deg=GAZE_UNIT_DEG * both[:2],
        both_spread_deg=GAZE_UNIT_DEG * np.exp(both[2:]),
    )
