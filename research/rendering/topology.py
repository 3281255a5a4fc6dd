"""Which parts of the base mesh everybody shares are the bust, the lids and the painted regions."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from research.rendering.assets import BaseMesh, Indices, data_folder, load_base_mesh
from research.rendering.eye import SIDES
from research.rendering.mesh import Surface, smoothstep, subdivide

SUBDIVISION_LEVELS = 2
FINE_AROUND_EYES_MM = 24.0
TRUNK_BELOW_NECK_MM = 520.0
ARM_REACH_MM = 560.0
ARM_DROP_DEG = 34.0

_FORNIX_OF_LEFT_EYE = (*range(7773, 7799), 11718, 11719)
"""The fold where the lids' inner side turns back: vertices of `base.obj`. Everything behind it is the socket."""

_SOCKET_OF_LEFT_EYE = 8007
"""Some vertex deep in the left eye's socket."""


@dataclass(frozen=True, slots=True, eq=False)
class LidRings:
    """The closed rings of vertices around one eye's opening, 28 each, in the order in which they lie around it.

    Attributes:
        fornix: Behind the lids, hidden.
        inner: The margin's edge that touches the eyeball.
        middle: Along the middle of the margin.
        outer: The margin's edge towards the skin, where the lashes grow.
    """

    fornix: Indices
    inner: Indices
    middle: Indices
    outer: Indices


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """The bust cut out of the base mesh.

    Attributes:
        base: All of it.
        vertices: Indices into the base mesh of the bust's control vertices, shape (n,).
        surface: The bust's subdivision surface.
        neighbours: Averages the neighbours of each control vertex, sparse, shape (n, n).
        lids: Rings of the left and the right eye, as indices of control vertices.
        lips: How much a fine vertex belongs to the lips, 0..1, shape (fine,).
        ears: Likewise to the ears.
        mouth_inside: Likewise to the cavity of the mouth.
        wet: Likewise to the moist rims of the lids.
        lash_line: Likewise to the edge where the lashes grow.
        arm_share: How much a control vertex of the arms follows them when they are let down, 0..1, shape (n,).
        head_share: How much a control vertex follows the head rather than the trunk, 0..1, shape (n,).
    """

    base: BaseMesh
    vertices: Indices
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


@lru_cache(maxsize=1)
def load_topology() -> Topology:
    """Return the bust's topology; takes a second the first time."""
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
    quads, texture_quads = quads[kept], texture_quads[kept]
    vertices, local = np.unique(quads, return_inverse=True)
    local = local.reshape(quads.shape)
    number = np.full(len(places), -1)
    number[vertices] = np.arange(len(vertices))

    middles = places[quads].mean(axis=1)
    eyes = np.stack([places[fornix].mean(axis=0) for fornix in fornices])
    near_eyes = (np.linalg.norm(middles[:, None] - eyes, axis=2) < FINE_AROUND_EYES_MM).any(axis=1)
    surface = subdivide(local, len(vertices), SUBDIVISION_LEVELS, near_eyes)
    coordinates = np.zeros((len(vertices), 2))
    coordinates[local.ravel()] = base.texture_coordinates[texture_quads.ravel()]
    fine_coordinates = surface.refine(coordinates)
    lids = tuple(_lid_rings(local, number[fornix]) for fornix in fornices)
    head_share = smoothstep(neck_mm[1] + 15, head_mm[1] + 10, places[vertices, 1])
    shoulder_mm = abs(float(places[base.group("joint-l-shoulder"), 0].mean()))
    across = np.abs(places[vertices, 0]) / shoulder_mm
    return Topology(
        base=base,
        vertices=vertices,
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


def _lid_rings(quads: Indices, fornix: Indices) -> LidRings:
    """Follow the strips of quads outwards from the fornix."""
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
    """Return which vertices hang together with `start` without crossing the barrier's vertices."""
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
    """Return the vertices at the mirrored places; the base mesh is symmetric."""
    mirrored = places_mm[vertices] * np.array([SIDES[1], 1.0, 1.0])
    distances = np.linalg.norm(places_mm[None] - mirrored[:, None], axis=2)
    return np.asarray(distances.argmin(axis=1))


def _painted(name: str, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Look up a grey texture at texture coordinates, 0..1."""
    picture = cv2.imread(str(data_folder() / "textures" / name), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise FileNotFoundError(data_folder() / "textures" / name)
    blurred = cv2.GaussianBlur(picture.astype(np.float32) / 255, (5, 5), 0)
    height, width = blurred.shape
    columns = np.clip(coordinates[:, 0] * width, 0, width - 1).astype(int)
    rows = np.clip((1 - coordinates[:, 1]) * height, 0, height - 1).astype(int)
    return np.asarray(blurred[rows, columns], dtype=np.float64)


def _refined(surface: Surface, parts: list[tuple[Indices, float]]) -> NDArray[np.float64]:
    values = np.zeros(surface.matrix.shape[1])
    for vertices, value in parts:
        values[vertices] = value
    return np.clip(surface.refine(values), 0.0, 1.0)
