"""Subdivision surfaces and normals as sparse matrices: a new shape costs one matrix product."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Points = NDArray[np.float64]  # shape (n, 3)
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A control mesh of quads and the vertices of its subdivided mesh that are drawn.

    Attributes:
        matrix: Fine vertices = matrix @ control vertices, sparse, shape (fine, control). The first rows are
            the control vertices' positions on the fine surface.
        along: Tangents of the surface at the fine vertices = along @ control vertices, sparse, shape (fine, control).
        across: The same for tangents in another direction; along x across points outwards.
        triangles: Triangles to draw, of different levels, shape (t, 3).
        shape_and_tangents: `matrix`, `along` and `across` on top of each other in single precision.
    """

    matrix: sparse.csr_matrix
    along: sparse.csr_matrix
    across: sparse.csr_matrix
    triangles: NDArray[np.int32]
    shape_and_tangents: sparse.csr_matrix

    def refine(self, control: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fine mesh's values of control values, shape (fine, ...)."""
        fine: NDArray[np.float64] = self.matrix @ control
        return fine

    def normals(self, control_mm: Points) -> Points:
        """Return the outward unit normals of the fine vertices, shape (fine, 3)."""
        normals = _cross(self.along @ control_mm, self.across @ control_mm)
        return np.asarray(normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12))

    def pose(self, control_mm: Points) -> NDArray[np.float32]:
        """Return the fine vertices and their outward unit normals in single precision, shape (fine, 6)."""
        stacked = self.shape_and_tangents @ control_mm.astype(np.float32)
        count = self.matrix.shape[0]
        posed = np.empty((count, 6), dtype=np.float32)
        posed[:, :3] = stacked[:count]
        normals = _cross(stacked[count : 2 * count], stacked[2 * count :])
        lengths = np.sqrt(np.einsum("ij,ij->i", normals, normals))
        np.divide(normals, np.maximum(lengths, 1e-12)[:, None], out=posed[:, 3:])
        return posed


def subdivide(quads: Indices, count: int, levels: int, detail: Indices, reference_mm: Points) -> Surface:
    """Return the Catmull-Clark surface of a mesh.

    Args:
        quads: Control mesh, shape (k, 4).
        count: Number of control vertices.
        levels: Number of subdivisions that smooth the vertices, at least 1.
        detail: Number of subdivisions with which each control quad is drawn, 0 to `levels`; negative for quads that
            are not drawn; shape (k,).
        reference_mm: A typical shape of the control mesh, from which the directions of the tangents are chosen,
            shape (count, 3).

    Source: Catmull and Clark, Recursively generated B-spline surfaces on arbitrary topological meshes, 1978.
    """
    matrix = sparse.identity(count, format="csr")
    shown = [quads[detail == 0]]
    for level in range(1, levels + 1):
        step, quads = _catmull_clark(quads, matrix.shape[0])
        matrix = (step @ matrix).tocsr()
        # The children of quad i are quads 4 i to 4 i + 3, and old vertices keep their numbers.
        shown.append(quads[np.repeat(detail == level, 4**level)])
    drawn = np.concatenate(shown)
    used = np.union1d(np.arange(count), drawn)
    number = np.full(matrix.shape[0], -1)
    number[used] = np.arange(len(used))
    triangles = halve(number[drawn])
    along, across = (tangents @ matrix for tangents in _tangents(quads, used, matrix @ reference_mm))
    matrix = matrix[used].tocsr()
    stacked = sparse.vstack([matrix, along, across]).astype(np.float32).tocsr()
    return Surface(matrix, along.tocsr(), across.tocsr(), triangles, stacked)


def halve(quads: Indices) -> NDArray[np.int32]:
    """Return two triangles for each quad, shape (2 k, 3)."""
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def _tangents(quads: Indices, used: Indices, fine_mm: Points) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Return two matrices from all fine vertices to two tangents at each used one, each of shape (used, all).

    They are derivatives along two directions that are perpendicular on the reference shape: the least-squares plane
    through a vertex and its neighbours there. On other shapes they stay tangents, and linear in the vertices.
    """
    total = len(fine_mm)
    corners = fine_mm[quads]
    facing = _cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
    summed = np.zeros((total, 3))
    for corner in range(4):
        np.add.at(summed, quads[:, corner], facing)
    normal = summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12)
    first = np.cross(normal, np.where(np.abs(normal[:, :1]) < 0.7, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]]))
    first /= np.maximum(np.linalg.norm(first, axis=1, keepdims=True), 1e-12)
    second = np.cross(normal, first)

    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    pairs, _ = _distinct_pairs(np.concatenate([sides, sides[:, ::-1]]), total)
    number = np.full(total, -1)
    number[used] = np.arange(len(used))
    pairs = pairs[number[pairs[:, 0]] >= 0]
    here, there = pairs.T
    offsets = fine_mm[there] - fine_mm[here]
    u, v = (np.einsum("ij,ij->i", offsets, axis[here]) for axis in (first, second))
    row, size = number[here], len(used)
    uu, uv, vv = (np.bincount(row, weights, size) for weights in (u * u, u * v, v * v))
    small = 1e-6 * (uu + vv) + 1e-12
    uu, vv = uu + small, vv + small
    determinant = uu * vv - uv * uv
    matrices = []
    for weights in ((vv[row] * u - uv[row] * v), (uu[row] * v - uv[row] * u)):
        shares = weights / determinant[row]
        own = -np.bincount(row, shares, size)
        matrices.append(
            sparse.csr_matrix(
                (
                    np.concatenate([shares, own]),
                    (np.concatenate([row, np.arange(size)]), np.concatenate([there, used])),
                ),
                shape=(size, total),
            )
        )
    return matrices[0], matrices[1]


def _cross(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the cross products of rows, shape (n, 3); faster than `np.cross`."""
    result = np.empty_like(a)
    result[:, 0] = a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1]
    result[:, 1] = a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2]
    result[:, 2] = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    return result


def smoothstep(low: float, high: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0 up to `low`, 1 from `high`, and a smooth transition between; `low` may exceed `high`."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _catmull_clark(quads: Indices, count: int) -> tuple[sparse.csr_matrix, Indices]:
    """Return one level: the matrix from old to new vertices (moved, edge and face points), and the new quads."""
    number = len(quads)
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, edge_of_side = _distinct_pairs(np.sort(sides, axis=1), count)
    face_of_side = np.repeat(np.arange(number), 4)
    faces_at_edge = np.bincount(edge_of_side)
    edge_rows = np.repeat(np.arange(len(edges)), 2)

    face_points = _average(face_of_side, quads.ravel(), (number, count))
    middles = _average(edge_rows, edges.ravel(), (len(edges), count))
    faces_beside = _average(edge_of_side, face_of_side, (len(edges), number)) @ face_points
    on_border = faces_at_edge == 1
    inner_share = np.where(on_border, 0.0, 0.5)
    edge_points = sparse.diags(1 - inner_share) @ middles + sparse.diags(inner_share) @ faces_beside

    valence = np.bincount(edges.ravel(), minlength=count)
    around = _average(quads.ravel(), face_of_side, (count, number)) @ face_points
    along = _average(edges.ravel(), edge_rows, (count, len(edges))) @ middles
    n = np.maximum(valence, 3).astype(np.float64)
    border = edges[on_border]
    is_border = np.zeros(count, dtype=bool)
    is_border[border] = True
    inside = (valence > 0) & ~is_border
    smooth = sparse.diags(inside / n) @ (around + 2 * along) + sparse.diags(inside * (n - 3) / n)
    rows = np.concatenate([border[:, 0], border[:, 1], np.flatnonzero(is_border)])
    columns = np.concatenate([border[:, 1], border[:, 0], np.flatnonzero(is_border)])
    weights = np.concatenate([np.full(2 * len(border), 0.125), np.full(int(is_border.sum()), 0.75)])
    vertex_points = smooth + sparse.csr_matrix((weights, (rows, columns)), shape=(count, count))

    edge_of_face = edge_of_side.reshape(number, 4)
    first_edge, first_face = count, count + len(edges)
    new_quads = np.stack(
        [
            quads,
            first_edge + edge_of_face,
            np.repeat(first_face + np.arange(number)[:, None], 4, axis=1),
            first_edge + np.roll(edge_of_face, 1, axis=1),
        ],
        axis=-1,
    ).reshape(-1, 4)
    return sparse.vstack([vertex_points, edge_points, face_points]).tocsr(), new_quads


def _distinct_pairs(pairs: Indices, count: int) -> tuple[Indices, Indices]:
    """Return the distinct pairs in order and the number of each given pair among them.

    Faster than `np.unique` along an axis, which compares rows byte by byte.

    Args:
        pairs: Pairs of numbers from 0 to `count` - 1, shape (n, 2).
        count: Number of numbers.
    """
    keys, number = np.unique(pairs[:, 0].astype(np.int64) * count + pairs[:, 1], return_inverse=True)
    return np.stack(np.divmod(keys, count), axis=1), number


def _average(rows: Indices, columns: Indices, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the sparse matrix that averages the named columns for each row."""
    counts = np.maximum(np.bincount(rows, minlength=shape[0]), 1)
    return sparse.csr_matrix((1.0 / counts[rows], (rows, columns)), shape=shape)
