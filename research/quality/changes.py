"""Changes of an image that leave the eyes visible, and turns of the whole image."""

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from gaze_core.types import Frame

Change = Callable[[Frame, np.random.Generator], Frame]


def turn(frame: Frame, angle_deg: float) -> Frame:
    """Return an image turned clockwise about its middle; by multiples of 90 degrees it is only rearranged."""
    quarters, rest = divmod(angle_deg, 90)
    if rest == 0:
        return np.ascontiguousarray(np.rot90(frame, -int(quarters)))
    height, width = frame.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -angle_deg, 1.0)
    turned = cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(turned).astype(np.uint8, copy=False)


def as_webcam(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return a smaller, noisier, compressed image."""
    share = rng.uniform(0.35, 0.6)
    small = cv2.resize(frame, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    noisy = np.clip(small + rng.normal(0, rng.uniform(1, 5), small.shape), 0, 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 90))])
    return np.ascontiguousarray(cv2.imdecode(data, cv2.IMREAD_COLOR)).astype(np.uint8, copy=False)


def dimmed(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return an image of a dark room."""
    dark = frame * rng.uniform(0.2, 0.4) + rng.normal(0, 2.5, frame.shape)
    return np.clip(dark, 0, 255).astype(np.uint8)


def lit_from_one_side(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return an image in which one half of the face is in shadow."""
    ramp = 1 / (1 + np.exp(-np.linspace(-6, 6, frame.shape[1]) * rng.choice([-1, 1])))
    lit: Frame = np.clip(frame * (0.25 + 0.75 * ramp)[None, :, None], 0, 255).astype(np.uint8)
    return lit


def mirrored(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return the mirror image."""
    return np.ascontiguousarray(frame[:, ::-1])


def blurred(frame: Frame, rng: np.random.Generator) -> Frame:
    """Return an image that is slightly out of focus."""
    return cv2.GaussianBlur(frame, (0, 0), rng.uniform(0.8, 1.6)).astype(np.uint8, copy=False)


def tilted(angle_deg: float) -> Change:
    """Return a tilt of the whole image."""
    return lambda frame, rng: turn(frame, angle_deg + float(rng.uniform(-0.5, 0.5)))


HARMLESS: Mapping[str, Change] = {
    "webcam": as_webcam,
    "dark room": dimmed,
    "light from one side": lit_from_one_side,
    "mirrored": mirrored,
    "out of focus": blurred,
    "tilted by -40": tilted(-40),
    "tilted by -20": tilted(-20),
    "tilted by 20": tilted(20),
    "tilted by 40": tilted(40),
}
"""Changes after which an image that gives a gaze should still give one."""

TURNS_DEG = (60.0, 75.0, 90.0, 135.0, 180.0, 225.0, 270.0, 285.0, 300.0)
"""Turns after which it should give none."""
