"""The surface of one person: colours of the mesh, painted brows, beard and spots, hair, lashes and glasses.

Positions are in the head frame, mm; colours are linear.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from research.rendering.eye import APEX_MM, SIDES
from research.rendering.head import Head
from research.rendering.identity import Glasses, Hair
from research.rendering.mesh import smoothstep
from research.rendering.topology import Extent

Points = NDArray[np.float64]  # shape (n, 3)
Triangles = NDArray[np.int32]  # shape (n, 3)

PAINT_BOX_MM = {Extent.BUST: (-105.0, -130.0, 210.0, 280.0), Extent.EYES: (-80.0, -56.0, 160.0, 108.0)}
"""Area of the face covered by the painted texture, seen from the front: left, top, width, height."""

_PAINT_PX_PER_MM = 5.0
_SUBPIXEL_BITS = 4
_UP = np.array([0.0, -1.0, 0.0])


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """Surface of a head, as the renderer needs it.

    Attributes:
        rest_mm: Fine vertices at rest, to which patterns are attached, shape (n, 3).
        albedo: Albedo of the fine vertices, shape (n, 3).
        material: Hair 0..1, depth in the clothes in mm, moisture 0..1, share of the head's motion 0..1, shape (n, 4).
        open_sky: Share of the sky that a vertex sees, 0..1, shape (n,).
        paint: Brows, beard and spots over the albedo; sRGB and opacity, uint8, shape (h, w, 4).
        hair_vertices: Fine vertices below the hair's shell, shape (k,).
        hair_triangles: Triangles of the shell, as indices into `hair_vertices`.
        hair_height_mm: Height of the shell above the skin, shape (k,).
        crown_mm: Centre of the hair whorl, shape (3,).
    """

    rest_mm: Points
    albedo: Points
    material: NDArray[np.float64]
    open_sky: NDArray[np.float64]
    paint: NDArray[np.uint8]
    hair_vertices: NDArray[np.int64]
    hair_triangles: Triangles
    hair_height_mm: NDArray[np.float64]
    crown_mm: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A mesh of one colour.

    Attributes:
        places_mm: Vertices, shape (n, 3).
        normals: Vertex normals, shape (n, 3).
        triangles: Vertex indices, shape (k, 3).
    """

    places_mm: Points
    normals: Points
    triangles: Triangles


def build_appearance(head: Head, control_mm: Points) -> Appearance:
    """Return the appearance of a person.

    Args:
        head: The person's head.
        control_mm: Control vertices for a straight gaze and open eyes, shape (n, 3).
    """
    identity, topology = head.identity, head.topology
    rest_mm = topology.surface.refine(control_mm)
    rng = np.random.default_rng([identity.seed, identity.identity_id, 2])
    normals = topology.surface.normals(control_mm)
    skin = np.array(identity.skin.colour)
    albedo = np.tile(skin, (len(rest_mm), 1))
    flesh = np.array([0.50, 0.22, 0.19]) * (0.45 + 0.55 * skin / skin.max()) * (0.5 + skin.max())

    def blend(share: NDArray[np.float64], colour: NDArray[np.float64]) -> None:
        albedo[:] = albedo * (1 - share[:, None]) + colour * share[:, None]

    for x, y, spread in ((38, 42, 22.0), (-38, 42, 22.0), (0, 48, 14.0)):
        spot = np.exp(-(((rest_mm[:, 0] - x) ** 2 + (rest_mm[:, 1] - y) ** 2) / spread**2)) * (rest_mm[:, 2] < 60)
        albedo *= 1 - 0.5 * identity.skin.redness * spot[:, None] * np.array([0.0, 0.45, 0.4])
    blend(0.85 * topology.lips, np.array(identity.skin.lips))
    blend(topology.mouth_inside * (rest_mm[:, 2] > -35), np.array([0.03, 0.008, 0.008]))
    for side in SIDES:
        offsets = rest_mm[:, :2] - np.array([side * identity.ipd_mm / 2 - side * 1.0, 11.0])
        shade = np.exp(-((offsets[:, 0] / 14) ** 2 + (offsets[:, 1] / 6) ** 2)) * (rest_mm[:, 2] < 20)
        albedo *= 1 - 0.45 * identity.skin.under_eyes * shade[:, None] * np.array([0.7, 0.9, 0.75])
    blend(0.75 * topology.wet, flesh)
    _shade_lids(albedo, head, rest_mm)
    upper = np.minimum(topology.lash_line * (0.3 + 0.45 * identity.hair.lash_density), 0.85)
    blend(np.where(topology.wet > 0.5, 0.0, upper) * 0.8, np.array([0.02, 0.015, 0.012]) + 0.12 * skin)

    scalp, height = cover_with_hair(head, rest_mm, topology.ears, rng)
    stubble = identity.hair.style in ("shaved", "short", "long")
    if stubble:
        blend(np.clip(scalp * 1.2, 0, 0.9 if identity.hair.style != "shaved" else 0.6), np.array(identity.hair.colour))

    neck_below = rest_mm[:, 1] - head.neck_mm[1]
    slope = identity.collar_mm - 40 + 0.25 * np.abs(rest_mm[:, 0]) * -1.0 + 0.35 * np.clip(-rest_mm[:, 2] + 90, -40, 80)
    cloth = np.where(topology.surface.refine(topology.head_share) < 0.7, neck_below - slope, -50.0)
    share = np.clip(topology.surface.refine(topology.head_share), 0.0, 1.0)
    material = np.stack([np.zeros_like(share), cloth, topology.wet, share], axis=1)

    hair_vertices, hair_triangles, hair_height = _hair_shell(head, scalp, height)
    crown_mm = np.array([rng.normal(0, 10), -105.0, 110.0])
    return Appearance(
        rest_mm=rest_mm,
        albedo=albedo,
        material=material,
        open_sky=_open_sky(head, normals),
        paint=_paint(head, rng),
        hair_vertices=hair_vertices,
        hair_triangles=hair_triangles,
        hair_height_mm=hair_height,
        crown_mm=crown_mm,
    )


def _shade_lids(albedo: Points, head: Head, rest_mm: Points) -> None:
    """Darken the upper lids, in place: lashes and their shadow, outer corner, crease and make-up."""
    lids = head.identity.lids
    for index, rig in enumerate(head.lids):
        offsets = rest_mm - rig.centre_mm
        across, up = rig.side * offsets[:, 0], -offsets[:, 1]
        upper, lower = head.lid_margins(index, 0.0, 1.0)
        margin = np.interp(across, rig.knots_mm, upper)
        gap_mm = np.interp(across, rig.knots_mm, upper - lower, left=0.0, right=0.0) * rig.margin_mm
        above_mm = (np.arctan2(up, -offsets[:, 2]) - margin) * rig.margin_mm
        front = (offsets[:, 2] < 0) & (across > rig.knots_mm[0] - 2) & (across < rig.knots_mm[-1] + 8)
        outwards = np.clip((across - rig.knots_mm[0]) / (rig.knots_mm[-1] - rig.knots_mm[0]), 0.0, 1.2)
        height_mm = np.clip(above_mm, 0.0, None)
        on_lid = above_mm > -np.minimum(0.3 + 0.4 * gap_mm, 3.0)
        root, halo = (
            np.exp(-((height_mm / width_mm) ** 2)) for width_mm in (0.9 + 0.9 * outwards, 2.4 + 1.6 * outwards)
        )
        corner_mm = np.hypot(across - rig.knots_mm[-1] - 0.5, (up - 12.0 * np.sin(upper[-1])) * 1.3)
        lashes = (0.75 * root + 0.25 * halo) * on_lid * (0.8 + 0.2 * outwards)
        inside = smoothstep(1.0, 5.0, across - rig.knots_mm[0]) * smoothstep(4.0, 0.0, across - rig.knots_mm[-1])
        dark = lids.shade * np.maximum(lashes * inside, 0.5 * np.exp(-((corner_mm / 4.5) ** 2)))
        if lids.crease_mm > 0:
            fold_mm = above_mm - lids.crease_mm * (0.55 + 0.45 * np.sin(np.pi * np.clip(0.15 + 0.8 * outwards, 0, 1)))
            line = np.exp(-((fold_mm / np.where(fold_mm > 0, 1.6, 0.5)) ** 2))
            dark = np.maximum(dark, 0.55 * lids.crease * line * inside)
        painted = lids.make_up * inside * on_lid
        dark = np.maximum(dark, painted * 0.9 * np.exp(-((height_mm / (0.5 + 0.8 * outwards)) ** 2)))
        dark = np.maximum(dark, painted * 0.45 * smoothstep(9.0, 3.0, height_mm))
        dark = np.clip(dark, 0.0, 0.95) * front * (1 - np.clip(2 * head.topology.wet, 0, 1))
        albedo *= 1 - dark[:, None] * np.array([0.85, 0.95, 1.0])


def build_lashes(
    head: Head, fine_mm: Points, hair: Hair, width_mm: float, seed: int
) -> tuple[Points, Points, Triangles]:
    """Return the lashes of both eyes as thin triangles: places, normals and triangles.

    Args:
        head: The person's head.
        fine_mm: Posed fine mesh, head frame.
        hair: The person's hair.
        width_mm: Width of a lash at its root.
        seed: Seed of their random arrangement; constant for a person.
    """
    rng = np.random.default_rng([seed, 3])
    places, triangles, count = [], [], 0
    for index, rig in enumerate(head.lids):
        ring = head.topology.lids[index].outer
        margin = fine_mm[ring]
        upper_of_ring = _is_upper(rig.side * (margin - rig.centre_mm)[:, 0], head, index)
        for is_upper, number, long_mm in (
            (True, int(130 * hair.lash_density), hair.lash_length_mm),
            (False, int(28 * hair.lash_density), 0.55 * hair.lash_length_mm),
        ):
            path = margin[upper_of_ring == is_upper]
            path = path[np.argsort(rig.side * path[:, 0])]
            at = np.sort(rng.uniform(0.10, 0.97, number)) * (len(path) - 1)
            low = np.minimum(at.astype(int), len(path) - 2)
            root = path[low] + (at - low)[:, None] * (path[low + 1] - path[low])
            out = root - rig.centre_mm
            out /= np.linalg.norm(out, axis=1, keepdims=True)
            splay = (at / (len(path) - 1) - 0.4) * 1.1 + rng.normal(0, 0.12, number)
            sideways = np.outer(splay, [rig.side, 0.0, 0.0])
            lift = (_UP if is_upper else -_UP) * rng.uniform(0.35, 0.75, number)[:, None]
            size = long_mm * rng.uniform(0.65, 1.05, number)[:, None] * np.minimum(1.0, 0.55 + at / len(path))[:, None]
            middle = root + size * 0.5 * (0.9 * out + 0.5 * sideways + 0.15 * lift)
            tip = root + size * (0.72 * out + 0.75 * sideways + lift)
            half_width = np.array([width_mm / 2, 0.0, 0.0])
            strip = np.stack(
                [root - half_width, root + half_width, middle - 0.7 * half_width, middle + 0.7 * half_width, tip],
                axis=1,
            )
            places.append(strip.reshape(-1, 3))
            faces = np.array([[0, 1, 2], [1, 3, 2], [2, 3, 4]])
            triangles.append((count + 5 * np.arange(number)[:, None, None] + faces).reshape(-1, 3))
            count += 5 * number
    all_places = np.concatenate(places)
    normals = np.tile([0.0, 0.0, -1.0], (len(all_places), 1))
    return all_places, normals, np.concatenate(triangles).astype(np.int32)


def build_glasses(head: Head, glasses: Glasses) -> tuple[Solid, Solid]:
    """Return frame and lenses of a pair of glasses on a head, in the head frame."""
    depth = -(APEX_MM + glasses.vertex_distance_mm)
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    power = 2.0 / glasses.roundness
    outline = np.stack(
        [
            np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power * glasses.lens_width_mm / 2,
            np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power * glasses.lens_height_mm / 2,
        ],
        axis=1,
    )
    middle = (glasses.bridge_mm + glasses.lens_width_mm) / 2
    tubes, discs = [], []
    wrap = 0.10  # how far the lenses' outer ends lie behind the inner ones
    for side in SIDES:
        x = side * middle + outline[:, 0]
        rim = np.stack([x, glasses.down_mm + outline[:, 1], depth + wrap * np.abs(x - 0.0) * 0.6], axis=1)
        tubes.append(_tube(rim, glasses.rim_mm / 2 + 0.15, closed=True))
        centre = rim.mean(axis=0)
        bulge = np.array([0.0, 0.0, -1.6])
        mid = centre + 0.5 * (rim - centre) + 0.75 * bulge
        lens = np.concatenate([[centre + bulge], mid, rim])
        count = len(rim)
        ring = np.arange(count)
        after = (ring + 1) % count
        faces = np.concatenate(
            [
                np.stack([np.zeros_like(ring), 1 + ring, 1 + after], axis=1),
                np.stack([1 + ring, 1 + count + ring, 1 + count + after], axis=1),
                np.stack([1 + ring, 1 + count + after, 1 + after], axis=1),
            ]
        )
        normal = (lens - centre) * np.array([0.035, 0.035, 0.0]) + np.array([0.0, 0.0, -1.0])
        discs.append((lens, normal / np.linalg.norm(normal, axis=1, keepdims=True), faces))
        hinge = rim[np.argmax(side * rim[:, 0])] + np.array([0.0, -0.15 * glasses.lens_height_mm, 0.0])
        temple = np.array(
            [
                hinge,
                hinge + np.array([side * 5.0, -1.0, 8.0]),
                [side * 74.0, hinge[1] - 3.0, 60.0],
                [side * 77.0, hinge[1], 105.0],
            ]
        )
        tubes.append(_tube(temple, max(glasses.rim_mm / 2, 0.6), closed=False))
    bridge_x = np.linspace(-glasses.bridge_mm / 2 - 1, glasses.bridge_mm / 2 + 1, 9)
    arch = glasses.down_mm - 0.18 * glasses.lens_height_mm - 2.5 * (1 - (bridge_x / bridge_x[-1]) ** 2)
    bridge = np.stack([bridge_x, arch, np.full(9, depth - 1.0)], axis=1)
    tubes.append(_tube(bridge, glasses.rim_mm / 2 + 0.2, closed=False))
    return _joined(tubes), _joined(discs)


def build_hand(fingertips_mm: tuple[float, float, float], turn_deg: float) -> Solid:
    """Return four fingers and the back of a hand, head frame.

    Args:
        fingertips_mm: Middle of the fingertips, head frame.
        turn_deg: Direction from there to the wrist, clockwise from up in a frontal image.
    """
    angle = np.radians(turn_deg)
    along, across = np.array([-np.sin(angle), -np.cos(angle), 0.0]), np.array([np.cos(angle), -np.sin(angle), 0.0])
    tip = np.array(fingertips_mm)
    tubes = []
    for finger in range(4):
        start = tip + (finger - 1.5) * 17.0 * across + abs(finger - 1.4) * 8.0 * along
        bend = np.array([0.0, 0.0, -12.0])
        steps = np.array([0.0, 2.0, 6.0, 30.0, 55.0, 85.0])
        path = start + steps[:, None] * along + np.sin(steps / 85.0 * np.pi)[:, None] * bend
        places, normals, faces = _tube(path, 8.0, closed=False)
        taper = np.repeat(np.array([0.05, 0.55, 0.9, 1.0, 1.1, 1.15]), len(places) // len(path))
        tubes.append(
            (np.repeat(path, len(places) // len(path), axis=0) + 8.0 * taper[:, None] * normals, normals, faces)
        )
    back = tip + np.array([75.0, 90.0, 130.0, 170.0])[:, None] * along
    places, normals, faces = _tube(back, 1.0, closed=False)
    wide = 1 + np.abs(normals @ across)[:, None] * 1.4
    tubes.append((np.repeat(back, len(places) // len(back), axis=0) + 14.0 * wide * normals, normals, faces))
    return _joined(tubes)


def _is_upper(across_mm: NDArray[np.float64], head: Head, index: int) -> NDArray[np.bool_]:
    """Return which vertices of the outer ring belong to the upper lid."""
    rig, ring = head.lids[index], head.topology.lids[index].outer
    number = {int(vertex): place for place, vertex in enumerate(rig.vertices)}
    return np.array([rig.is_upper[number[int(vertex)]] if int(vertex) in number else False for vertex in ring])


def cover_with_hair(
    head: Head, rest_mm: Points, ears: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much each fine vertex is covered by hair, 0..1, and the height of the hair there, mm."""
    hair: Hair = head.identity.hair
    up, depth, across = -rest_mm[:, 1], rest_mm[:, 2], np.abs(rest_mm[:, 0])
    line = np.interp(depth, [-15, 15, 35, 55, 68, 80, 92, 115, 140], [66, 62, 52, 40, 4, -16, 0, -42, -58])
    line = line + hair.hairline_mm * (depth < 60)
    line += 5.0 * np.sin(across / 9.0 + rng.uniform(0, 6)) * (depth < 50) * 0.5
    inside = up - line
    cover = smoothstep(-2.0, 6.0, inside) * (1 - np.clip(1.6 * ears, 0, 1))
    if hair.style == "bald":
        cover = cover * (smoothstep(45.0, 25.0, up) if rng.random() < 0.6 else 0.0)
    # Height: grows from the hairline inwards.
    height = hair.thickness_mm * smoothstep(0.0, 32.0, inside) * (0.75 + 0.25 * np.clip(up / 90, -0.5, 1.2))
    if hair.style in ("bald", "shaved"):
        height = np.minimum(height, 1.5)
    waves = np.sin(rest_mm @ rng.normal(0, 0.05, (3, 5)) + rng.uniform(0, 6, 5)).sum(axis=1)
    return cover, np.maximum(height * (1 + 0.12 * waves), 0.0)


def _hair_shell(
    head: Head, cover: NDArray[np.float64], height: NDArray[np.float64]
) -> tuple[NDArray[np.int64], Triangles, NDArray[np.float64]]:
    if head.identity.hair.style in ("bald", "shaved"):
        return np.zeros(0, dtype=np.int64), np.zeros((0, 3), dtype=np.int32), np.zeros(0)
    triangles = head.topology.surface.triangles
    kept = triangles[(cover[triangles] > 0.35).all(axis=1)]
    vertices, local = np.unique(kept, return_inverse=True)
    return vertices.astype(np.int64), local.reshape(-1, 3).astype(np.int32), height[vertices] + 0.6


def _open_sky(head: Head, normals: Points) -> NDArray[np.float64]:
    """Return the share of the sky that each fine vertex sees, estimated from its depth below its neighbours."""
    topology = head.topology
    control = head.control_mm
    normal = normals[: len(control)]  # the control vertices come first
    smooth, open_sky = control, np.ones(len(control))
    for passes, strength in ((1, 0.35), (3, 0.12), (12, 0.04)):
        for _ in range(passes):
            smooth = topology.neighbours @ smooth
        depth_mm = ((smooth - control) * normal).sum(axis=1)
        open_sky *= 1 - np.clip(strength * depth_mm, 0, 0.6)
    return np.clip(topology.surface.refine(open_sky), 0.12, 1.0)


def _paint(head: Head, rng: np.random.Generator) -> NDArray[np.uint8]:
    extent = head.topology.extent
    canvas = _Canvas(PAINT_BOX_MM[extent])
    identity = head.identity
    hair = identity.hair
    brow_srgb = 255 * np.array(hair.brow_colour) ** (1 / 2.2)
    canvas.colour[:] = brow_srgb
    for side in SIDES:
        _draw_brow(canvas, side, ipd_mm=identity.ipd_mm, hair=hair, tone=brow_srgb, rng=rng)
    soft = cv2.GaussianBlur(canvas.opacity, (0, 0), 0.9 * _PAINT_PX_PER_MM)
    underlay = (soft * (0.55 * min(hair.brow_density, 1.0))).astype(np.uint8)
    canvas.opacity = np.maximum(canvas.opacity, underlay)
    dark = 255 * np.array(identity.skin.colour) ** (1 / 2.2) * np.array([0.68, 0.58, 0.52])
    for _ in range(identity.skin.spots):
        place = np.array([rng.normal(0, 38), rng.normal(25, 35)])
        canvas.spot(place, rng.uniform(0.25, 0.8), dark, rng.uniform(0.25, 0.7))
    if hair.beard > 0.03 and extent is Extent.BUST:
        _draw_beard(canvas, head, hair, rng)
    return np.dstack([canvas.colour, canvas.opacity])


class _Canvas:
    """Colour and opacity of the paint on the skin, seen from the front."""

    def __init__(self, box_mm: tuple[float, float, float, float]) -> None:
        self.corner_mm = box_mm[:2]
        _, _, width, height = box_mm
        shape = int(height * _PAINT_PX_PER_MM), int(width * _PAINT_PX_PER_MM)
        self.colour: NDArray[np.uint8] = np.zeros((*shape, 3), dtype=np.uint8)
        self.opacity: NDArray[np.uint8] = np.zeros(shape, dtype=np.uint8)

    def stroke(self, starts: Points, ends: Points, tones: Points, strength: float) -> None:
        """Draw hairs, from start to end, shape (n, 2) each, in their own sRGB colours, shape (n, 3)."""
        grey = int(255 * strength)
        a, b = self._place(starts), self._place(ends)
        for start, end, tone in zip(a, b, np.clip(tones, 0, 255).tolist(), strict=True):
            cv2.line(self.opacity, start, end, grey, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
            cv2.line(self.colour, start, end, tone, 3, cv2.LINE_8, _SUBPIXEL_BITS)

    def spot(self, place: NDArray[np.float64], radius_mm: float, tone: NDArray[np.float64], strength: float) -> None:
        """Draw a spot of an sRGB colour."""
        radius = round(radius_mm * _PAINT_PX_PER_MM * (1 << _SUBPIXEL_BITS))
        centre = self._place(place[None])[0]
        cv2.circle(self.colour, centre, radius + 16, tone.tolist(), -1, cv2.LINE_8, _SUBPIXEL_BITS)
        cv2.circle(self.opacity, centre, radius, int(255 * strength), -1, cv2.LINE_AA, _SUBPIXEL_BITS)

    def _place(self, places_mm: Points) -> list[tuple[int, int]]:
        pixels = (places_mm - self.corner_mm) * (_PAINT_PX_PER_MM * (1 << _SUBPIXEL_BITS))
        return [(x, y) for x, y in np.round(pixels).astype(int).tolist()]


def _draw_brow(
    canvas: "_Canvas", side: float, *, ipd_mm: float, hair: Hair, tone: NDArray[np.float64], rng: np.random.Generator
) -> None:
    number = int(900 * hair.brow_density)
    along = rng.beta(1.1, 1.15, number)
    across = rng.normal(0, 0.28, number)
    x = ipd_mm / 2 - 17.0 + 42.0 * along
    ridge = (
        19.5
        + hair.brow_height_mm
        + 6.5 * np.sin(np.clip(along / 0.68, 0, 1) * np.pi / 2)
        - 9.0 * np.clip((along - 0.62) / 0.38, 0, 1) ** 1.4
    )
    thick = hair.brow_thickness_mm * np.interp(along, [0, 0.12, 0.6, 1.0], [0.7, 1.0, 0.85, 0.25])
    start = np.stack([side * x, -(ridge + across * thick)], axis=1)
    lean = np.radians(np.interp(along, [0, 0.25, 1.0], [66, 36, -12]) - 45 * across + rng.normal(0, 9, number))
    long_mm = rng.uniform(2.5, 6.0, number) * np.interp(along, [0, 1], [1.0, 0.75])
    end = start + long_mm[:, None] * np.stack([side * np.cos(lean), -np.sin(lean)], axis=1)
    tones = tone * rng.uniform(0.7, 1.2, (number, 1))
    canvas.stroke(start, end, tones, 0.8)


def _draw_beard(canvas: "_Canvas", head: Head, hair: Hair, rng: np.random.Generator) -> None:
    """Draw moustache, chin and jaw around the lips."""
    topology, rest = head.topology, head.topology.surface.refine(head.control_mm)
    lips = rest[topology.lips > 0.7]
    mouth = lips.mean(axis=0)
    number = int(5200 * min(hair.beard, 1.0) ** 0.6)
    x = rng.uniform(-72, 72, 3 * number)
    y = rng.uniform(mouth[1] - 22, mouth[1] + 62, 3 * number)
    jaw = mouth[1] - 14 + 8 * np.cos(x / 14) - np.clip(np.abs(x) - 34, 0, 60) * 0.75
    low = (y > jaw) & ~((np.abs(y - mouth[1]) < 8) & (np.abs(x) < np.ptp(lips[:, 0]) / 2 + 1))
    soft = rng.random(3 * number) < smoothstep(0.0, 10.0, y - jaw)
    kept = np.flatnonzero(low & soft)[:number]
    start = np.stack([x[kept], y[kept]], axis=1)
    long_mm = 0.8 + 6.0 * max(hair.beard - 0.3, 0)
    lean = rng.normal(0, 0.35, len(kept)) + x[kept] / 120
    end = start + long_mm * np.stack([np.sin(lean), np.cos(lean)], axis=1)
    tones = 255 * np.array(hair.brow_colour) ** (1 / 2.2) * rng.uniform(0.7, 1.25, (len(kept), 1))
    canvas.stroke(start, end, tones, 0.25 + 0.5 * min(hair.beard, 1.0))


def _tube(path: Points, radius_mm: float, *, closed: bool) -> tuple[Points, Points, NDArray[np.int64]]:
    sides = 8
    along = (np.roll(path, -1, axis=0) - np.roll(path, 1, axis=0)) if closed else np.gradient(path, axis=0)
    along = along / np.linalg.norm(along, axis=1, keepdims=True)
    first = np.cross(along, np.array([0.13, 0.21, -1.0]))
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-9)
    second = np.cross(along, first)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    normals = first[:, None] * np.cos(turn)[:, None] + second[:, None] * np.sin(turn)[:, None]
    places = path[:, None] + radius_mm * normals
    rows = np.arange(len(path) if closed else len(path) - 1)
    after = (rows + 1) % len(path)
    i = np.arange(sides)
    j = (i + 1) % sides
    a, b = rows[:, None] * sides + i, rows[:, None] * sides + j
    c, d = after[:, None] * sides + i, after[:, None] * sides + j
    triangles = np.concatenate([np.stack([a, b, d], -1).reshape(-1, 3), np.stack([a, d, c], -1).reshape(-1, 3)])
    return places.reshape(-1, 3), normals.reshape(-1, 3), triangles


def _joined(parts: list[tuple[Points, Points, NDArray[np.int64]]]) -> Solid:
    offsets = np.cumsum([0] + [len(part[0]) for part in parts[:-1]])
    return Solid(
        np.concatenate([part[0] for part in parts]),
        np.concatenate([part[1] for part in parts]),
        np.concatenate([part[2] + offset for part, offset in zip(parts, offsets, strict=True)]).astype(np.int32),
    )
