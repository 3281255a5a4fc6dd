"""The parts of the base mesh that all people share: bust, lids and painted regions."""

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from research.rendering.assets import BaseMesh, Indices, data_folder, load_base_mesh
from research.rendering.eye import SIDES
from research.rendering.mesh import Surface, smoothstep, subdivide

SUBDIVISION_LEVELS = 2
EYES_BOX_MM = (100.0, 75.0, 70.0, 95.0)
"""Extent of the mesh around the eyes: sideways, above, below and behind the eyes."""
EYES_DRAWN_MM = (78.0, 50.0, 46.0, 56.0)
"""Extent of the part of it that is drawn; what lies outside only shapes the border."""
_LIDS_MM = 9.0
"""Distance from the edges of the lids within which the mesh is finer than further away."""

_FACE_MM = (85.0, 95.0, 125.0, 62.0)
"""Extent of the face, which is drawn finer than the rest of the bust: sideways, above, below and behind the eyes."""

TRUNK_BELOW_NECK_MM = 520.0
ARM_REACH_MM = 560.0
ARM_DROP_DEG = 34.0

_FORNIX_OF_LEFT_EYE = (*range(7773, 7799), 11718, 11719)
"""Vertices of `base.obj` on the fold at the back of the lids; the socket lies behind it."""

_SOCKET_OF_LEFT_EYE = 8007
"""A vertex deep in the left eye's socket."""


class Extent(Enum):
    """How much of the body a mesh covers."""

    BUST = "bust"
    EYES = "eyes"


@dataclass(frozen=True, slots=True, eq=False)
class LidRings:
    """Closed rings of 28 vertices around one eye's opening, ordered along the ring.

    Attributes:
        fornix: Hidden ring behind the lids.
        inner: Edge of the margin at the eyeball.
        middle: Middle of the margin.
        outer: Edge of the margin at the skin, where the lashes grow.
    """

    fornix: Indices
    inner: Indices
    middle: Indices
    outer: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """The bust or the region of the eyes, cut from the base mesh.

    Attributes:
        extent: Which of them.
        base: The whole base mesh.
        vertices: Indices into the base mesh of the control vertices, shape (n,).
        quads: Control quads that are drawn, shape (k, 4).
        surface: The subdivision surface.
        neighbours: Averages the neighbours of each control vertex, sparse, shape (n, n).
        lids: Rings of the left and the right eye, as indices of control vertices.
        lips: Membership of each fine vertex in the lips, 0..1, shape (fine,).
        ears: Membership in the ears, 0..1, shape (fine,).
        mouth_inside: Membership in the cavity of the mouth, 0..1, shape (fine,).
        wet: Membership in the moist rims of the lids, 0..1, shape (fine,).
        lash_line: Membership in the edge where the lashes grow, 0..1, shape (fine,).
        arm_share: Share of the arms' lowering that each control vertex follows, 0..1, shape (n,).
        head_share: Share of the head's motion, rather than the trunk's, that each control vertex follows, shape (n,).
    """

    extent: Extent
    base: BaseMesh
    vertices: Indices
    quads: Indices
    surface: Surface
    neighbours: sparse.csr_matrix
    lids: tuple[LidRings, LidRings]
    lips: NDArray[np.float64]
    ears: NDArray[np.float64]
    mouth_inside: NDArray[np.float64]
    wet: NDArray[np.float64]
    lash_line: NDArray[np.float64]
    arm_share: NDArray[np.float64]
    head_share: NDArray[np.float64]


@lru_cache(maxsize=len(Extent))
def load_topology(extent: Extent = Extent.BUST) -> Topology:
    """Return the topology of the bust or of the region around the eyes; cached after about a second."""
    base = load_base_mesh()
    places = base.vertices_mm
    quads, texture_quads = base.quads["body"], base.texture_quads["body"]
    neck_mm, head_mm = (places[base.group(name)].mean(axis=0) for name in ("joint-neck", "joint-head"))

    fornices = [np.array(_FORNIX_OF_LEFT_EYE), _mirror(places, np.array(_FORNIX_OF_LEFT_EYE))]
    sockets = [_SOCKET_OF_LEFT_EYE, int(_mirror(places, np.array([_SOCKET_OF_LEFT_EYE]))[0])]
    hidden = np.zeros(len(places), dtype=bool)
    for fornix, socket in zip(fornices, sockets, strict=True):
        hidden |= _connected(quads, len(places), start=socket, barrier=fornix)
    corners = places[quads]
    kept = (
        (corners[..., 1].max(axis=1) < neck_mm[1] + TRUNK_BELOW_NECK_MM)
        & (np.abs(corners[..., 0]).max(axis=1) < ARM_REACH_MM)
        & ~hidden[quads].any(axis=1)
    )
    middle_mm = eyes_of_base_mesh(base)
    if extent is Extent.EYES:
        kept &= within(corners.mean(axis=1) - middle_mm, EYES_BOX_MM)
    quads, texture_quads = quads[kept], texture_quads[kept]
    vertices, local = np.unique(quads, return_inverse=True)
    local = local.reshape(quads.shape)
    number = np.full(len(places), -1)
    number[vertices] = np.arange(len(vertices))

    middles = places[quads].mean(axis=1)
    lids = tuple(_lid_rings(local, number[fornix]) for fornix in fornices)
    edges = places[vertices[np.concatenate([lids[0].middle, lids[1].middle])]]
    near_lids = np.linalg.norm(middles[:, None] - edges, axis=2).min(axis=1) < _LIDS_MM
    drawn = np.ones(len(quads), dtype=bool)
    if extent is Extent.EYES:
        drawn = within(middles - middle_mm, EYES_DRAWN_MM)
    in_face = within(middles - middle_mm, _FACE_MM) & (extent is Extent.BUST)
    detail = np.where(drawn, (near_lids | in_face).astype(np.int64), -1)
    surface = subdivide(local, len(vertices), SUBDIVISION_LEVELS, detail, places[vertices])
    coordinates = np.zeros((len(vertices), 2))
    coordinates[local.ravel()] = base.texture_coordinates[texture_quads.ravel()]
    fine_coordinates = surface.refine(coordinates)
    head_share = smoothstep(neck_mm[1] + 15, head_mm[1] + 10, places[vertices, 1])
    shoulder_mm = abs(float(places[base.group("joint-l-shoulder"), 0].mean()))
    across = np.abs(places[vertices, 0]) / shoulder_mm
    return Topology(
        extent=extent,
        base=base,
        vertices=vertices,
        quads=local[drawn],
        surface=surface,
        neighbours=_neighbours(local, len(vertices)),
        lids=(lids[0], lids[1]),
        lips=_painted("mpfb_lips.jpg", fine_coordinates),
        ears=_painted("mpfb_ears.jpg", fine_coordinates),
        mouth_inside=_painted("mpfb_inside-mouth.jpg", fine_coordinates),
        wet=_refined(surface, [(ring.fornix, 1.0) for ring in lids] + [(ring.inner, 1.0) for ring in lids]),
        lash_line=_refined(surface, [(ring.outer, 1.0) for ring in lids] + [(ring.middle, 0.6) for ring in lids]),
        arm_share=smoothstep(0.75, 1.2, across),
        head_share=head_share,
    )


def eyes_of_base_mesh(base: BaseMesh) -> NDArray[np.float64]:
    """Return the midpoint between the eyes of the base mesh, mm, shape (3,)."""
    left = base.vertices_mm[np.array(_FORNIX_OF_LEFT_EYE)].mean(axis=0)
    return np.asarray(left * np.array([0.0, 1.0, 1.0]))


def within(offsets_mm: NDArray[np.float64], box_mm: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    """Return which positions relative to the midpoint between the eyes lie in a box, shape (n,)."""
    side, above, below, behind = box_mm
    x, y, z = offsets_mm.T
    return np.asarray((np.abs(x) < side) & (-above < y) & (y < below) & (z < behind))


def _lid_rings(quads: Indices, fornix: Indices) -> LidRings:
    """Return the rings found by following the strips of quads outwards from the fornix."""
    edges = np.unique(np.sort(np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2), axis=1), axis=0)
    neighbours: dict[int, set[int]] = {}
    for a, b in edges.tolist():
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    members = set(fornix.tolist())
    ring = [min(members)]
    while len(ring) < len(members):
        ring.append(min(neighbours[ring[-1]] & members - set(ring)))
    rings, seen = [ring], set(members)
    for _ in range(3):
        following = [next(iter(neighbours[vertex] - seen)) for vertex in rings[-1]]
        seen |= set(following)
        rings.append(following)
    return LidRings(*(np.array(vertices) for vertices in rings))


def _neighbours(quads: Indices, count: int) -> sparse.csr_matrix:
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    both = np.concatenate([sides, sides[:, ::-1]])
    joined = sparse.csr_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(count, count))
    return (sparse.diags(1 / np.maximum(np.asarray(joined.sum(axis=1)).ravel(), 1)) @ joined).tocsr()


def _connected(quads: Indices, count: int, *, start: int, barrier: Indices) -> NDArray[np.bool_]:
    """Return whether each vertex is connected with `start` without crossing the barrier's vertices."""
    reached = np.zeros(count, dtype=bool)
    reached[start] = True
    closed = np.zeros(count, dtype=bool)
    closed[barrier] = True
    while True:
        touched = quads[(reached[quads] & ~closed[quads]).any(axis=1)]
        before = int(reached.sum())
        reached[touched] = True
        reached[barrier] = False
        if int(reached.sum()) == before:
            return reached


def _mirror(places_mm: NDArray[np.float64], vertices: Indices) -> Indices:
    """Return the vertices at the mirrored positions; the base mesh is symmetric."""
    mirrored = places_mm[vertices] * np.array([SIDES[1], 1.0, 1.0])
    distances = np.linalg.norm(places_mm[None] - mirrored[:, None], axis=2)
    return np.asarray(distances.argmin(axis=1))


def _painted(name: str, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a grey texture's values, 0..1, at texture coordinates."""
    image = cv2.imread(str(data_folder() / "textures" / name), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise FileNotFoundError(data_folder() / "textures" / name)
    blurred = cv2.GaussianBlur(image.astype(np.float32) / 255, (5, 5), 0)
    height, width = blurred.shape
    columns = np.clip(coordinates[:, 0] * width, 0, width - 1).astype(int)
    rows = np.clip((1 - coordinates[:, 1]) * height, 0, height - 1).astype(int)
    return np.asarray(blurred[rows, columns], dtype=np.float64)


def _refined(surface: Surface, parts: list[tuple[Indices, float]]) -> NDArray[np.float64]:
    values = np.zeros(surface.matrix.shape[1])
    for vertices, value in parts:
        values[vertices] = value
    return np.clip(surface.refine(values), 0.0, 1.0)
