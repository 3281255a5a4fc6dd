"""The background behind the person: a wall, objects on it, sometimes a window."""

import cv2
import numpy as np
from numpy.typing import NDArray

from research.rendering.scene import Scene

Layer = NDArray[np.float32]


def draw_backdrop(scene: Scene) -> Layer:
    """Return the backdrop in linear light, shape (h, w, 3)."""
    width, height = scene.image_width_px, scene.image_height_px
    backdrop = scene.backdrop
    rng = np.random.default_rng([backdrop.seed, 5])
    coarse = rng.uniform(0.75, 1.25, (3, 4, 1)) * rng.uniform(0.95, 1.05, (3, 4, 3))
    wall = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    image = wall * np.asarray(backdrop.brightness * rng.normal(1, 0.07, 3), dtype=np.float32)
    for _ in range(int(rng.integers(0, 14))):
        shade = rng.uniform(0.05, 1.3) * backdrop.brightness * np.clip(rng.normal(1, 0.2, 3), 0.3, 1.6)
        left, top = rng.uniform(-0.2, 1.0) * width, rng.uniform(-0.2, 1.0) * height
        across, down = rng.uniform(0.03, 0.5) * width, rng.uniform(0.05, 0.8) * height
        box = cv2.boxPoints(((left + across / 2, top + down / 2), (across, down), float(rng.normal(0, 3))))
        if rng.random() < 0.75:
            cv2.fillConvexPoly(image, np.round(box).astype(np.int32), shade.tolist(), cv2.LINE_AA)
        else:
            cv2.circle(image, (int(left), int(top)), int(across / 3) + 2, shade.tolist(), -1, cv2.LINE_AA)
    if backdrop.window > 0:
        left, top = rng.uniform(-0.1, 0.7) * width, rng.uniform(-0.2, 0.2) * height
        across, down = rng.uniform(0.25, 0.6) * width, rng.uniform(0.5, 1.0) * height
        light = (backdrop.window * np.array([0.95, 1.0, 1.08])).tolist()
        corners = (int(left), int(top)), (int(left + across), int(top + down))
        cv2.rectangle(image, *corners, light, -1)
        bar = int(left + across * rng.uniform(0.3, 0.7))
        cv2.line(image, (bar, corners[0][1]), (bar, corners[1][1]), [0.2, 0.2, 0.2], max(2, width // 90))
    blur_px = backdrop.blur_px * width / 640
    image = cv2.GaussianBlur(image, (0, 0), max(blur_px, 0.4))
    texture = rng.normal(1, 0.03, (height // 2, width // 2)).astype(np.float32)
    grain = np.asarray(cv2.resize(texture, (width, height)))[..., None]
    return np.asarray(np.maximum(image * grain, 0.0), dtype=np.float32)
