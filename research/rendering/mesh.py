"""Subdivision surfaces and normals as sparse matrices: a new shape costs one matrix product."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Points = NDArray[np.float64]  # shape (n, 3)
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """A control mesh of quads and its subdivided mesh.

    Attributes:
        matrix: Fine vertices = matrix @ control vertices, sparse, shape (fine, control). The first rows are
            the control vertices' positions on the fine surface.
        quads: Quads of the fine mesh, shape (k, 4).
        triangles: Triangles to draw: fine quads where requested, elsewhere one level coarser, shape (t, 3).
        to_vertices: Sums quads' normals at fine vertices, sparse, shape (fine, k).
    """

    matrix: sparse.csr_matrix
    quads: Indices
    triangles: NDArray[np.int32]
    to_vertices: sparse.csr_matrix

    def refine(self, control: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fine mesh's values of control values, shape (fine, ...)."""
        fine: NDArray[np.float64] = self.matrix @ control
        return fine

    def normals(self, fine_mm: Points) -> Points:
        """Return the outward unit normals of the fine vertices, shape (fine, 3)."""
        corners = fine_mm[self.quads]
        across = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        summed = self.to_vertices @ across
        return np.asarray(summed / np.maximum(np.linalg.norm(summed, axis=1, keepdims=True), 1e-12))


def subdivide(quads: Indices, count: int, levels: int, drawn_fine: NDArray[np.bool_]) -> Surface:
    """Return the Catmull-Clark surface of a mesh.

    Args:
        quads: Control mesh, shape (k, 4).
        count: Number of control vertices.
        levels: Number of subdivisions, at least 1; each multiplies the quads by four.
        drawn_fine: Whether each control quad is drawn at the last level rather than the one before, shape (k,).

    Source: Catmull and Clark, Recursively generated B-spline surfaces on arbitrary topological meshes, 1978.
    """
    matrix = sparse.identity(count, format="csr")
    coarser = quads
    for _ in range(levels):
        coarser = quads
        step, quads = _catmull_clark(quads, matrix.shape[0])
        matrix = (step @ matrix).tocsr()
    # The children of quad i are quads 4 i to 4 i + 3, and old vertices keep their numbers.
    drawn = np.concatenate(
        [
            quads[np.repeat(drawn_fine, len(quads) // len(drawn_fine))],
            coarser[np.repeat(~drawn_fine, len(coarser) // len(drawn_fine))],
        ]
    )
    triangles = np.concatenate([drawn[:, [0, 1, 2]], drawn[:, [0, 2, 3]]]).astype(np.int32)
    number = len(quads)
    to_vertices = sparse.csr_matrix(
        (np.ones(4 * number), (quads.ravel(), np.repeat(np.arange(number), 4))), shape=(matrix.shape[0], number)
    )
    return Surface(matrix, quads, triangles, to_vertices)


def smoothstep(low: float, high: float, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 0 up to `low`, 1 from `high`, and a smooth transition between; `low` may exceed `high`."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3 - 2 * t))


def _catmull_clark(quads: Indices, count: int) -> tuple[sparse.csr_matrix, Indices]:
    """Return one level: the matrix from old to new vertices (moved, edge and face points), and the new quads."""
    number = len(quads)
    sides = np.stack([quads, np.roll(quads, -1, axis=1)], axis=-1).reshape(-1, 2)
    edges, edge_of_side = np.unique(np.sort(sides, axis=1), axis=0, return_inverse=True)
    edge_of_side = edge_of_side.reshape(-1)
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


def _average(rows: Indices, columns: Indices, shape: tuple[int, int]) -> sparse.csr_matrix:
    """Return the sparse matrix that averages the named columns for each row."""
    counts = np.maximum(np.bincount(rows, minlength=shape[0]), 1)
    return sparse.csr_matrix((1.0 / counts[rows], (rows, columns)), shape=shape)
