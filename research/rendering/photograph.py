"""The webcam: turns linear light into an image with the imperfections of webcams."""

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Frame
from research.rendering.backdrop import draw_backdrop
from research.rendering.identity import Identity
from research.rendering.renderer import Renderer
from research.rendering.scene import Optics, Scene

Layer = NDArray[np.float32]

_TONES = 4096


def photograph(renderer: Renderer, scene: Scene, identity: Identity) -> Frame:
    """Return the webcam's image of a scene: RGB uint8, shape (h, w, 3); deterministic."""
    person, cover = renderer.draw(scene, identity)
    light = person + (1 - cover[..., None]) * draw_backdrop(scene)
    return develop(light, scene)


def develop(light: Layer, scene: Scene) -> Frame:
    """Return the webcam's image of linear light: RGB uint8, shape (h, w, 3).

    Args:
        light: Linear RGB, shape (h, w, 3).
        scene: Its optics are applied; its face is metered for the exposure.
    """
    optics = scene.optics
    rng = np.random.default_rng([optics.seed, 7])
    scale = scene.image_width_px / 640
    light = _blur(light, optics, scale)
    if optics.distortion:
        light = _distort(light, optics.distortion)
    light = light * _vignette(light.shape[0], light.shape[1], optics.vignetting)
    signal = light * np.float32(_exposure(light, scene))
    signal = np.clip(signal, 0.0, 1.0)
    electrons = signal * optics.electrons
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    electrons += noise * np.sqrt(electrons + optics.read_noise**2)
    signal = electrons / np.float32(optics.electrons)
    red, blue = optics.white_balance
    signal = signal * np.array([red, 1.0, blue], dtype=np.float32)
    grey = signal @ np.full((3, 1), 1 / 3, dtype=np.float32)
    signal = grey + np.float32(optics.saturation) * (signal - grey)
    steps = np.clip(signal * np.float32(_TONES - 1), 0, _TONES - 1).astype(np.uint16)
    image = _tone_curve(optics.contrast)[steps]
    if optics.denoising > 0:
        smooth = cv2.bilateralFilter(image, 5, 12 + 40 * optics.denoising, 1.6)
        image = cv2.addWeighted(image, 1 - optics.denoising, smooth, optics.denoising, 0)
    if optics.sharpening > 0:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0)
        image = cv2.addWeighted(image, 1 + optics.sharpening, soft, -optics.sharpening, 0)
    return _through_jpeg(image, optics.jpeg_quality)


def _tone_curve(contrast: float) -> NDArray[np.uint8]:
    """Return the 8-bit value of each linear step: gamma 2.2, then an S-curve of the given strength."""
    display = np.linspace(0, 1, _TONES) ** (1 / 2.2)
    curve = display * display * (3 - 2 * display)
    return np.asarray((display + contrast * (curve - display)) * 255 + 0.5).astype(np.uint8)


def _blur(light: Layer, optics: Optics, scale: float) -> Layer:
    if optics.defocus_px > 0:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), max(optics.defocus_px * scale, 0.2)), dtype=np.float32)
    length = optics.motion_px * scale
    if length > 0.8:
        size = int(np.ceil(length)) // 2 * 2 + 3
        kernel = np.zeros((size, size), dtype=np.float32)
        angle = np.radians(optics.motion_angle_deg)
        middle = size // 2
        for step in np.linspace(-0.5, 0.5, 4 * size):
            x, y = middle + step * length * np.cos(angle), middle + step * length * np.sin(angle)
            kernel[round(y), round(x)] += 1
        light = np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum()), dtype=np.float32)
    return light


def _distort(light: Layer, strength: float) -> Layer:
    height, width = light.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x - (width - 1) / 2, y - (height - 1) / 2
    factor = 1 - strength * (x * x + y * y) / (0.25 * (width * width + height * height))
    return np.asarray(
        cv2.remap(
            light,
            (x * factor + (width - 1) / 2).astype(np.float32),
            (y * factor + (height - 1) / 2).astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _vignette(height: int, width: int, loss: float) -> Layer:
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(1 - loss * (x * x + y * y) / 2, dtype=np.float32)[..., None]


def _exposure(light: Layer, scene: Scene) -> float:
    """Return the gain of an automatic exposure that meters the face and the whole image."""
    grey = light.mean(axis=2)
    ((x, y),) = scene.project(np.array([scene.origin_mm]))
    reach = 70.0 * scene.focal_px / scene.origin_mm[2]
    top, bottom = int(max(y - 0.8 * reach, 0)), int(min(y + 1.3 * reach, grey.shape[0]))
    left, right = int(max(x - reach, 0)), int(min(x + reach, grey.shape[1]))
    face = grey[top:bottom, left:right]
    overall = float(grey.mean())
    share = scene.optics.face_metering if face.size else 0.0
    metered = share * float(face.mean() if face.size else 0.0) + (1 - share) * overall
    return scene.optics.exposure / max(metered, 1e-4)


def _through_jpeg(image: Frame, quality: int) -> Frame:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
