"""The webcam: turns linear light into an image with the imperfections of webcams."""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Frame
from research.rendering.backdrop import draw_backdrop
from research.rendering.exposure import estimate_gain, meter
from research.rendering.identity import Identity
from research.rendering.renderer import Renderer
from research.rendering.scene import Backdrop, Optics, Scene
from research.rendering.topology import Extent
from research.rendering.window import Window, before_distortion, blur_reach_px, distortion_factor

Layer = NDArray[np.float32]

_TONES = 4096
_NOISE_PX = 512
"""Side of the pattern from which the sensor's noise is taken at a random place; it repeats."""

_FILTER_REACH_PX = 5
"""Reach of noise filter and sharpening together."""


def photograph(renderer: Renderer, scene: Scene, identity: Identity) -> Frame:
    """Return the webcam's image of a scene: RGB uint8, shape (h, w, 3); deterministic."""
    light, cover = renderer.draw(scene, identity)
    light = light + (1 - cover[..., None]) * _whole_backdrop(
        scene.backdrop, scene.image_width_px, scene.image_height_px
    )
    whole = Window.of_image(scene.image_width_px, scene.image_height_px)
    return develop(light, scene, whole, whole, meter(light, scene))


@lru_cache(maxsize=1)
def _whole_backdrop(backdrop: Backdrop, width_px: int, height_px: int) -> Layer:
    return draw_backdrop(backdrop, width_px, height_px)  # the same for all images of a session


def photograph_eyes(
    renderer: Renderer, scene: Scene, identity: Identity, window: Window, gain: float | None = None
) -> Frame:
    """Return a window of the webcam's image in which only the region of the eyes is drawn; deterministic.

    Args:
        renderer: The renderer.
        scene: The scene.
        identity: The person in it.
        window: Part of the image around the eyes, on JPEG blocks (`Window.on_blocks`).
        gain: Exposure; None estimates it without the rest of the image.
    """
    if gain is None:
        gain = estimate_gain(scene, renderer.person(identity, Extent.EYES).lit_points)
    seen = window_of_light(scene, window)
    person, cover = renderer.draw(scene, identity, seen, Extent.EYES)
    if cover.min() < 1:
        person = person + (1 - cover[..., None]) * draw_backdrop(
            scene.backdrop, scene.image_width_px, scene.image_height_px, seen
        )
    return develop(person, scene, seen, window, gain)


def window_of_light(scene: Scene, window: Window) -> Window:
    """Return the part of the scene's light that influences a window of the image; parts outside the image are cut off.

    The light outside the image has no influence either: the blur repeats the pixels at the edges.
    """
    optics, width, height = scene.optics, scene.image_width_px, scene.image_height_px
    wide = window.padded(_FILTER_REACH_PX)
    if optics.distortion:
        edges = np.linspace(0.0, 1.0, 9)[:, None]
        low = np.array([wide.left_px, wide.top_px], dtype=np.float64)
        size = np.array([wide.width_px, wide.height_px], dtype=np.float64)
        frame = np.concatenate(
            [
                low + size * np.column_stack(np.broadcast_arrays(*pair))
                for pair in ((edges, 0), (edges, 1), (0, edges), (1, edges))
            ]
        )
        wide = Window.around(before_distortion(frame, optics.distortion, width, height)).padded(2)
    scale = width / 640
    wide = wide.padded(blur_reach_px(optics.defocus_px * scale, optics.motion_px * scale))
    left, top = max(wide.left_px, 0), max(wide.top_px, 0)
    return Window(left, top, min(wide.right_px, width) - left, min(wide.bottom_px, height) - top)


def develop(light: Layer, scene: Scene, seen: Window, window: Window, gain: float) -> Frame:
    """Return a window of the webcam's image of linear light: RGB uint8, shape (h, w, 3).

    The image is the same whatever the window, as long as it lies on JPEG blocks and `seen` is its `window_of_light`.

    Args:
        light: Linear RGB, shape of `seen`.
        scene: Its optics are applied.
        seen: Part of the image that `light` shows.
        window: Part of the image to return.
        gain: Exposure.
    """
    optics = scene.optics
    width, height = scene.image_width_px, scene.image_height_px
    light = _blur(light, optics, width / 640)
    whole = Window.of_image(width, height)
    wide = window if window == whole else _cut(window.padded(_FILTER_REACH_PX), whole)
    if optics.distortion:
        light = _distort(light, optics.distortion, seen, wide, whole)
    else:
        rows, columns = _within(wide, seen).slices
        light = light[rows, columns]
    signal = light * (_vignette(wide, width, height, optics.vignetting) * np.float32(gain))
    np.clip(signal, 0.0, 1.0, out=signal)
    signal *= np.float32(optics.electrons)
    spread = np.sqrt(signal + np.float32(optics.read_noise**2))
    spread *= _noise(wide, optics.seed)
    signal += spread
    image: NDArray[Any] = _tone(signal, optics)
    if optics.denoising > 0:
        smooth = cv2.bilateralFilter(image, 5, 12 + 40 * optics.denoising, 1.6)
        image = cv2.addWeighted(image, 1 - optics.denoising, smooth, optics.denoising, 0)
    if optics.sharpening > 0:
        soft = cv2.GaussianBlur(image, (0, 0), 1.0)
        image = cv2.addWeighted(image, 1 + optics.sharpening, soft, -optics.sharpening, 0)
    rows, columns = _within(window, wide).slices
    return _through_jpeg(image[rows, columns], optics.jpeg_quality)


def _cut(window: Window, limits: Window) -> Window:
    left, top = max(window.left_px, limits.left_px), max(window.top_px, limits.top_px)
    return Window(
        left, top, min(window.right_px, limits.right_px) - left, min(window.bottom_px, limits.bottom_px) - top
    )


def _within(window: Window, frame: Window) -> Window:
    """Return a window in the coordinates of a window around it."""
    return Window(window.left_px - frame.left_px, window.top_px - frame.top_px, window.width_px, window.height_px)


def _noise(window: Window, seed: int) -> Layer:
    """Return standard normal noise of a window of the image, shape (h, w, 3)."""
    row, column = np.random.default_rng([seed, 7]).integers(_NOISE_PX, size=2).tolist()
    rows = (np.arange(window.top_px, window.bottom_px) + row) % _NOISE_PX
    columns = (np.arange(window.left_px, window.right_px) + column) % _NOISE_PX
    return np.asarray(_noise_pattern()[rows[:, None], columns])


@lru_cache(maxsize=1)
def _noise_pattern() -> Layer:
    return np.random.default_rng(7).standard_normal((_NOISE_PX, _NOISE_PX, 3), dtype=np.float32)


def _tone(electrons: Layer, optics: Optics) -> NDArray[np.uint8]:
    """Return the 8-bit image: white balance, saturation, then gamma 2.2 and an S-curve."""
    red, blue = optics.white_balance
    balance = np.diag([red, 1.0, blue])
    mixed = optics.saturation * np.eye(3) + (1 - optics.saturation) / 3
    matrix = (mixed @ balance * ((_TONES - 1) / optics.electrons)).astype(np.float32)
    steps = cv2.transform(electrons, matrix)
    np.clip(steps, 0, _TONES - 1, out=steps)
    return _tone_curve(optics.contrast)[steps.astype(np.uint16)]


@lru_cache(maxsize=8)
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
        size = math.ceil(length) // 2 * 2 + 3
        kernel = np.zeros((size, size), dtype=np.float32)
        angle = np.radians(optics.motion_angle_deg)
        middle = size // 2
        for step in np.linspace(-0.5, 0.5, 4 * size):
            x, y = middle + step * length * np.cos(angle), middle + step * length * np.sin(angle)
            kernel[round(y), round(x)] += 1
        light = np.asarray(cv2.filter2D(light, -1, kernel / kernel.sum()), dtype=np.float32)
    return light


def _distort(light: Layer, strength: float, seen: Window, wanted: Window, whole: Window) -> Layer:
    width, height = whole.width_px, whole.height_px
    y, x = np.ogrid[wanted.top_px : wanted.bottom_px, wanted.left_px : wanted.right_px]
    x, y = (x - (width - 1) / 2).astype(np.float32), (y - (height - 1) / 2).astype(np.float32)
    factor = distortion_factor(strength, x * x + y * y, width, height).astype(np.float32)
    return np.asarray(
        cv2.remap(
            light,
            x * factor + np.float32((width - 1) / 2 - seen.left_px),
            y * factor + np.float32((height - 1) / 2 - seen.top_px),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    )


def _vignette(window: Window, width: int, height: int, loss: float) -> Layer:
    y, x = np.ogrid[window.top_px : window.bottom_px, window.left_px : window.right_px]
    x, y = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
    return np.asarray(1 - loss * (x * x + y * y) / 2, dtype=np.float32)[..., None]


def _through_jpeg(image: Frame, quality: int) -> Frame:
    _, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
    return np.ascontiguousarray(decoded[..., ::-1])
