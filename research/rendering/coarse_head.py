"""The coarse head around the finely drawn region of the eyes: casts shadows on it and hides the background."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from research.rendering.appearance import cover_with_hair
from research.rendering.head import Head
from research.rendering.mesh import halve
from research.rendering.topology import EYES_DRAWN_MM, Extent, eyes_of_base_mesh, load_topology, within

_CASTER_BELOW_MM = 130.0
"""How far below the eyes the shadow caster reaches: to the chin."""

_SEEN_MM = (300.0, 95.0, 85.0, 150.0)
"""Extent of the part that can be seen beside the eyes: sideways, above, below and behind them."""

_HAIRY = 0.35
"""Cover from which a vertex is below the hair."""

_OPEN_SKY = 0.85
"""Share of the sky that its vertices see."""

Triangles = NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class CoarseHead:
    """Vertices and triangles of one person's coarse head at rest.

    Attributes:
        posed: Places and normals, head frame, shape (n, 6).
        fixed: Places, albedo, material and open sky as in `Appearance`, shape (n, 11).
        casting: Triangles that cast shadows.
        bare: Visible triangles of skin.
        hairy: Visible triangles of hair.
    """

    posed: NDArray[np.float64]
    fixed: NDArray[np.float64]
    casting: Triangles
    bare: Triangles
    hairy: Triangles


@dataclass(frozen=True, slots=True, eq=False)
class _Cage:
    """What all people share.

    Attributes:
        vertices: Control vertices of the bust that occur, shape (n,).
        limit: Their places on the surface = limit @ control vertices of the bust, sparse, shape (n, control).
        along: The same for the first tangents of `Surface`.
        across: The same for the second tangents.
        casting: Triangles that cast shadows, as indices into `vertices`.
        seen: Triangles that can be seen.
        head_share: Share of the head's motion that each vertex follows, shape (n,).
        ears: Membership in the ears, shape (n,).
    """

    vertices: NDArray[np.int64]
    limit: sparse.csr_matrix
    along: sparse.csr_matrix
    across: sparse.csr_matrix
    casting: Triangles
    seen: Triangles
    head_share: NDArray[np.float64]
    ears: NDArray[np.float64]


@lru_cache(maxsize=1)
def _load_cage() -> _Cage:
    bust = load_topology(Extent.BUST)
    places = bust.base.vertices_mm[bust.vertices]
    offsets = places[bust.quads].mean(axis=1) - eyes_of_base_mesh(bust.base)
    casting = (offsets[:, 1] < _CASTER_BELOW_MM) & ~within(offsets, EYES_DRAWN_MM)
    vertices, local = np.unique(bust.quads[casting], return_inverse=True)
    quads = local.reshape(-1, 4)
    surface = bust.surface
    return _Cage(
        vertices=vertices,
        limit=surface.matrix[vertices].tocsr(),
        along=surface.along[vertices].tocsr(),
        across=surface.across[vertices].tocsr(),
        casting=halve(quads),
        seen=halve(quads[within(offsets[casting], _SEEN_MM)]),
        head_share=np.clip(bust.head_share[vertices], 0.0, 1.0),
        ears=bust.ears[vertices],
    )


def build_coarse_head(head: Head) -> CoarseHead:
    """Return the coarse head of a person."""
    cage, identity = _load_cage(), head.identity
    control = head.base_mm[load_topology(Extent.BUST).vertices]
    rest = cage.limit @ control
    normals = np.cross(cage.along @ control, cage.across @ control)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    rng = np.random.default_rng([identity.seed, identity.identity_id, 2])
    cover, height = cover_with_hair(head, rest, cage.ears, rng)
    hairy = (cover > _HAIRY) & (identity.hair.style not in ("bald", "shaved"))
    places = rest + normals * np.where(hairy, height + 0.6, 0.0)[:, None]
    count = len(rest)
    stubble = np.clip(cover, 0, 0.0 if identity.hair.style == "bald" else 0.6)[:, None]
    albedo = np.array(identity.skin.colour) * (1 - stubble) + np.array(identity.hair.colour) * stubble
    albedo[hairy] = identity.hair.colour
    material = np.column_stack([hairy, np.full(count, -50.0), np.zeros(count), cage.head_share])
    under_hair = hairy[cage.seen].all(axis=1)
    return CoarseHead(
        posed=np.column_stack([places, normals]),
        fixed=np.column_stack([rest, albedo, material, np.full(count, _OPEN_SKY)]),
        casting=cage.casting,
        bare=cage.seen[~under_hair],
        hairy=cage.seen[under_hair],
    )
