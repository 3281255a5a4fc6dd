"""Projection matrices of the camera and of the key light."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from research.rendering.scene import Scene
from research.rendering.window import Window

_NEAR_MM, _FAR_MM = 100.0, 3000.0


def camera_projection(scene: Scene, window: Window) -> NDArray[np.float64]:
    """Return the projection of the camera onto a window of its image; the window's first row is the framebuffer's."""
    matrix = np.zeros((4, 4))
    matrix[0, 0] = 2 * scene.focal_px / window.width_px
    matrix[0, 2] = (scene.image_width_px - 2 * window.left_px) / window.width_px - 1
    matrix[1, 1] = 2 * scene.focal_px / window.height_px
    matrix[1, 2] = (scene.image_height_px - 2 * window.top_px) / window.height_px - 1
    matrix[2, 2] = (_FAR_MM + _NEAR_MM) / (_FAR_MM - _NEAR_MM)
    matrix[2, 3] = -2 * _FAR_MM * _NEAR_MM / (_FAR_MM - _NEAR_MM)
    matrix[3, 2] = 1.0
    return matrix


def shadow_projection(
    centre_mm: NDArray[np.float64], key_direction: tuple[float, ...], reach_mm: float = 190.0
) -> NDArray[np.float64]:
    """Return the orthographic projection of the key light onto its shadow map."""
    away = -unit(key_direction)
    across = unit(np.cross(away, [0.0, -1.0, 0.01]))
    axes = np.stack([across, np.cross(away, across), away]) / reach_mm
    matrix = np.eye(4)
    matrix[:3, :3] = axes
    matrix[:3, 3] = -axes @ centre_mm
    return matrix


def unit(vector: ArrayLike) -> NDArray[np.float64]:
    """Return the normalised vector."""
    array = np.asarray(vector, dtype=np.float64)
    return np.asarray(array / np.linalg.norm(array))
