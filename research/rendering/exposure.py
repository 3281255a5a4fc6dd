"""The automatic exposure of the webcam: metered on a whole image, or estimated when only the eyes are drawn.

The estimate lights a few hundred points on head and trunk without shadows and gloss, and takes the background from a
tiny image of it.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from research.rendering.appearance import cover_with_hair
from research.rendering.backdrop import draw_backdrop
from research.rendering.head import Head
from research.rendering.projection import unit
from research.rendering.scene import Backdrop, Scene
from research.rendering.topology import Extent, load_topology
from research.rendering.window import Window

Layer = NDArray[np.float32]

_HEAD_POINTS, _TRUNK_POINTS = 300, 150
_WRAP = np.array([0.34, 0.16, 0.12])
"""How far light reaches around the skin, as in the shader of the skin."""

_OPEN_SKY = 0.8
_THUMBNAIL_PX = 40


def meter(light: Layer, scene: Scene) -> float:
    """Return the gain of an automatic exposure that meters the face and the whole image.

    Args:
        light: Linear RGB of the whole image, shape (h, w, 3).
        scene: Its optics give the target and the share of the face.
    """
    face = light[metered_face(scene).slices]
    return _gain(scene, float(face.mean()) if face.size else None, float(light.mean()))


def metered_face(scene: Scene) -> Window:
    """Return the part of the image that the camera takes for the face."""
    ((x, y),) = scene.project(np.array([scene.origin_mm]))
    reach = 70.0 * scene.focal_px / scene.origin_mm[2]
    top, bottom = int(max(y - 0.8 * reach, 0)), int(min(y + 1.3 * reach, scene.image_height_px))
    left, right = int(max(x - reach, 0)), int(min(x + reach, scene.image_width_px))
    return Window(left, top, max(right - left, 0), max(bottom - top, 0))


@dataclass(frozen=True, slots=True, eq=False)
class LitPoints:
    """Points on one person that stand for equal areas.

    Attributes:
        places_mm: Head frame at rest, shape (n, 3).
        normals: Shape (n, 3).
        albedo: Shape (n, 3).
        areas_mm2: Area that each point stands for, shape (n,).
        head_share: Share of the head's motion that they follow, shape (n,).
        neck_mm: Joint about which the head rotates, shape (3,).
    """

    places_mm: NDArray[np.float64]
    normals: NDArray[np.float64]
    albedo: NDArray[np.float64]
    areas_mm2: NDArray[np.float64]
    head_share: NDArray[np.float64]
    neck_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Sample:
    """The same points on everybody.

    Attributes:
        limit: Places = limit @ control vertices of the bust, sparse, shape (n, control).
        along: The same for the first tangents of `Surface`.
        across: The same for the second tangents.
        areas_mm2: Area of the base mesh that each point stands for, shape (n,).
        head_share: Share of the head's motion, shape (n,).
        ears: Membership in the ears, shape (n,).
    """

    limit: sparse.csr_matrix
    along: sparse.csr_matrix
    across: sparse.csr_matrix
    areas_mm2: NDArray[np.float64]
    head_share: NDArray[np.float64]
    ears: NDArray[np.float64]


@lru_cache(maxsize=1)
def _load_sample() -> _Sample:
    bust = load_topology(Extent.BUST)
    corners = bust.base.vertices_mm[bust.vertices][bust.quads]
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]), axis=1)
    around = np.bincount(bust.quads.ravel(), np.repeat(area / 4, 4), len(bust.vertices))
    around = around * (bust.mouth_inside[: len(around)] < 0.5)
    rng = np.random.default_rng(37)
    chosen, areas = [], []
    in_head = bust.head_share > 0.5
    for members, count in ((in_head, _HEAD_POINTS), (~in_head, _TRUNK_POINTS)):
        weights = np.where(members, around, 0.0)
        chosen.append(rng.choice(len(around), count, p=weights / weights.sum()))
        areas.append(np.full(count, weights.sum() / count))
    rows = np.concatenate(chosen)
    surface = bust.surface
    return _Sample(
        limit=surface.matrix[rows].tocsr(),
        along=surface.along[rows].tocsr(),
        across=surface.across[rows].tocsr(),
        areas_mm2=np.concatenate(areas),
        head_share=np.clip(bust.head_share[rows], 0.0, 1.0),
        ears=bust.ears[rows],
    )


def build_lit_points(head: Head) -> LitPoints:
    """Return the points of a person."""
    sample, identity = _load_sample(), head.identity
    control = head.base_mm[load_topology(Extent.BUST).vertices]
    places = sample.limit @ control
    normals = np.cross(sample.along @ control, sample.across @ control)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    rng = np.random.default_rng([identity.seed, identity.identity_id, 2])
    cover, _ = cover_with_hair(head, places, sample.ears, rng)
    hair = np.clip(cover if identity.hair.style != "bald" else 0.0 * cover, 0.0, 1.0)[:, None]
    albedo = np.array(identity.skin.colour) * (1 - hair) + np.array(identity.hair.colour) * hair
    dressed = (sample.head_share < 0.7) & (places[:, 1] - head.neck_mm[1] > identity.collar_mm - 40)
    albedo[dressed] = identity.clothing
    return LitPoints(places, normals, albedo, sample.areas_mm2 * head.scale**2, sample.head_share, head.neck_mm)


def estimate_gain(scene: Scene, points: LitPoints) -> float:
    """Return about the gain that `meter` would return for the whole image."""
    light, pixels, weight = _light_points(scene, points)
    height_px = round(_THUMBNAIL_PX * scene.image_height_px / scene.image_width_px)
    backdrop = _thumbnail(scene.backdrop, _THUMBNAIL_PX, height_px)
    shrink = scene.image_width_px / _THUMBNAIL_PX

    def mean_of(window: Window) -> float:
        inside = (
            (pixels[:, 0] >= window.left_px)
            & (pixels[:, 0] < window.right_px)
            & (pixels[:, 1] >= window.top_px)
            & (pixels[:, 1] < window.bottom_px)
        )
        covered = float(weight[inside].sum())
        share = min(covered / (window.width_px * window.height_px), 1.0)
        person = float((light[inside] * weight[inside]).sum()) / covered if covered else 0.0
        rows = slice(int(window.top_px / shrink), int(np.ceil(window.bottom_px / shrink)))
        columns = slice(int(window.left_px / shrink), int(np.ceil(window.right_px / shrink)))
        return share * person + (1 - share) * float(backdrop[rows, columns].mean())

    face = metered_face(scene)
    whole = Window.of_image(scene.image_width_px, scene.image_height_px)
    return _gain(scene, mean_of(face) if face.width_px and face.height_px else None, mean_of(whole))


def _light_points(
    scene: Scene, points: LitPoints
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return brightness, place in the image and area in the image, px², of the points that face the camera."""
    rotation, origin = scene.head_rotation, np.array(scene.origin_mm)
    angle = np.radians(scene.trunk_yaw_deg)
    trunk = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    trunk_mm = rotation @ points.neck_mm + origin - trunk @ points.neck_mm
    share = points.head_share[:, None]
    at = share * (points.places_mm @ rotation.T + origin) + (1 - share) * (points.places_mm @ trunk.T + trunk_mm)
    normals = share * (points.normals @ rotation.T) + (1 - share) * (points.normals @ trunk.T)
    towards = -(at * normals).sum(axis=1) / np.linalg.norm(at, axis=1)
    seen = (towards > 0) & (at[:, 2] > 100.0)
    at, normals = at[seen], normals[seen]
    lighting = scene.lighting
    up_share = 0.5 - 0.5 * normals[:, 1:2]
    light = (np.array(lighting.ground) * (1 - up_share) + np.array(lighting.sky) * up_share) * _OPEN_SKY
    to_screen = unit(-origin * np.array([1.0, 0.55, 1.0]))
    for direction, lamp in (
        (unit(lighting.key_direction), lighting.key),
        (to_screen, lighting.screen),
        (unit(lighting.rim_direction), lighting.rim),
    ):
        light = light + np.array(lamp) * np.clip(((normals @ direction)[:, None] + _WRAP) / (1 + _WRAP), 0.0, 1.0)
    weight = points.areas_mm2[seen] * towards[seen] * (scene.focal_px / at[:, 2]) ** 2
    return (points.albedo[seen] * light).mean(axis=1), scene.project(at), weight


@lru_cache(maxsize=4)
def _thumbnail(backdrop: Backdrop, width_px: int, height_px: int) -> Layer:
    return draw_backdrop(backdrop, width_px, height_px)


def _gain(scene: Scene, face: float | None, overall: float) -> float:
    share = 0.0 if face is None else scene.optics.face_metering
    metered = share * (face or 0.0) + (1 - share) * overall
    return scene.optics.exposure / max(metered, 1e-4)
