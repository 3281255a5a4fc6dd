"""Lids: fitted to the globe at rest, moved by gaze and blinks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze_core.types import Vector
from research.rendering.assets import Indices, Points
from research.rendering.eye import SIDES, Eyeball, surface_distance_mm
from research.rendering.identity import Identity
from research.rendering.mesh import smoothstep
from research.rendering.topology import LidRings, Topology

MARGIN_MM = 0.35
"""Distance of the lids' inner edge from the globe."""

_INNER_CORNER_SHARE = 0.54
"""Share of the palpebral fissure's width that lies nasally of the pupil."""

_ARCH_SHARE = 0.7
"""Share of an arch, rather than the mesh's own line, in the shape of a margin."""

_UPPER_REACH_DEG = 42.0
_LOWER_REACH_DEG = 40.0
"""Extent of the skin above (below) the margin that moves with the lid, as angles about the eye's centre."""


@dataclass(frozen=True, slots=True, eq=False)
class LidRig:
    """Moves the lids of one eye by rotating their vertices about the horizontal axis through the eye's centre.

    The rotation keeps each vertex's distance from the centre, so the lids never enter the globe; the cornea pushes them
    out where it protrudes.

    Attributes:
        centre_mm: Centre of rotation of the eye, head frame, shape (3,).
        side: Sign of x towards the temple.
        vertices: Control vertices that may move, shape (n,).
        across_mm: Their position along the horizontal axis, towards the temple, shape (n,).
        radius_mm: Their distance from that axis, shape (n,).
        elevation: Their angle about that axis at rest, upwards from straight ahead, radians, shape (n,).
        share: Share of the lid's motion that they follow, shape (n,).
        is_upper: Whether they belong to the upper lid, shape (n,).
        thickness_mm: Their minimum distance from the eye; negative for hidden vertices that may enter it, shape (n,).
        knots_mm: Positions along the horizontal axis at which the margins are given, ascending, shape (k,).
        upper: Elevation of the upper margin at the knots, radians, shape (k,).
        lower: Elevation of the lower margin at the knots, radians, shape (k,).
        margin_mm: Distance of the margins from the horizontal axis, mid-lid.
    """

    centre_mm: Vector
    side: float
    vertices: Indices
    across_mm: NDArray[np.float64]
    radius_mm: NDArray[np.float64]
    elevation: NDArray[np.float64]
    share: NDArray[np.float64]
    is_upper: NDArray[np.bool_]
    thickness_mm: NDArray[np.float64]
    knots_mm: NDArray[np.float64]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    margin_mm: float

    def margins(
        self,
        *,
        upper_mm: float,
        lower_mm: float,
        upper_turn_deg: float,
        lower_turn_deg: float,
        openness: float,
        peak_mm: tuple[float, float],
        bow: tuple[float, float],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the elevations of the upper and the lower margin at the knots, radians, each of shape (k,).

        Args:
            upper_mm: Height of the upper margin above the pupil for a straight gaze.
            lower_mm: Distance of the lower margin below the pupil for a straight gaze.
            upper_turn_deg: Upward rotation of the upper lid by the gaze.
            lower_turn_deg: Upward rotation of the lower lid by the gaze.
            openness: Eye opening relative to what the gaze direction demands, 0 closed.
            peak_mm: Position of the highest and of the lowest point, towards the temple from the pupil.
            bow: Exponents of the arches, as in `Lids`.
        """
        upper_wanted = np.arcsin(min(upper_mm / self.margin_mm, 0.9)) + np.radians(upper_turn_deg)
        lower_wanted = np.arcsin(max(-lower_mm / self.margin_mm, -0.9)) + np.radians(lower_turn_deg)
        upper = self._arch(self.upper, float(upper_wanted), peak_mm[0], bow[0])
        lower = self._arch(self.lower, float(lower_wanted), peak_mm[1], bow[1])
        upper = np.maximum(upper, lower)
        shut = lower + 0.25 * (upper - lower)
        give = 1 - np.abs(np.linspace(-1, 1, len(shut))) ** 4
        overlap = np.radians(2.5) * give * np.clip(1.0 - openness / 0.1, 0.0, 1.0)
        return shut + openness * (upper - shut) - overlap, shut + openness * (lower - shut) + overlap

    def _arch(
        self, resting: NDArray[np.float64], wanted: float, peak_mm: float, exponent: float
    ) -> NDArray[np.float64]:
        """Return a margin through both corners and through an elevation at the pupil, radians, shape (k,).

        Most of its shape is an arch between the corners; the rest is that of the mesh, which differs between people.
        """
        knots = self.knots_mm
        chord = np.interp(
            knots,
            knots[[0, -1]],
            [0.5 * (self.upper[0] + self.lower[0]), 0.5 * (self.upper[-1] + self.lower[-1])],
        )
        side = np.where(knots < peak_mm, peak_mm - knots[0], knots[-1] - peak_mm)
        arch = 1 - np.clip(np.abs(knots - peak_mm) / side, 0.0, 1.0) ** exponent
        at_pupil = [float(np.interp(0.0, knots, line)) for line in (arch, resting - chord, chord)]
        own = np.clip((resting - chord) / at_pupil[1], 0.0, None) if abs(at_pupil[1]) > 1e-3 else arch
        shape = _ARCH_SHARE * arch / at_pupil[0] + (1 - _ARCH_SHARE) * own
        return np.asarray(chord + (wanted - at_pupil[2]) * shape)

    def move(
        self, upper: NDArray[np.float64], lower: NDArray[np.float64], optical_axis: Vector, eyeball: Eyeball
    ) -> Points:
        """Return the positions of `vertices` for given margins and eye direction, head frame, shape (n, 3).

        Args:
            upper: Elevation of the upper margin at the knots, from `margins`.
            lower: Elevation of the lower margin at the knots, from `margins`.
            optical_axis: Unit vector, head frame, shape (3,).
            eyeball: Dimensions of the eye.
        """
        turns = [
            np.interp(self.across_mm, self.knots_mm, new - old, left=0.0, right=0.0)
            for new, old in ((upper, self.upper), (lower, self.lower))
        ]
        elevation = self.elevation + self.share * np.where(self.is_upper, turns[0], turns[1])
        offsets = np.stack(
            [
                self.side * self.across_mm,
                -self.radius_mm * np.sin(elevation),
                -self.radius_mm * np.cos(elevation),
            ],
            axis=1,
        )
        distance = np.linalg.norm(offsets, axis=1)
        floor = surface_distance_mm(offsets / distance[:, None], optical_axis, eyeball) + self.thickness_mm
        pushed = np.where(self.thickness_mm > 0, np.maximum(distance, floor), distance)
        places: Points = self.centre_mm + offsets * (pushed / distance)[:, None]
        return places


def fit_lids(control: Points, topology: Topology, index: int, eye_mm: Vector, identity: Identity) -> Points:
    """Return the control mesh with one eye's fissure scaled to its width and its margins fitted to the globe."""
    rings, wanted_mm = topology.lids[index], identity.lids.fissure_width_mm
    width_mm, fitted = wanted_mm, control
    for _ in range(3):  # subdivision and the globe reduce the width again
        fitted = _lay_on_globe(control, rings, eye_mm, width_mm, identity, side=SIDES[index])
        width_mm *= wanted_mm / float(np.ptp(topology.surface.refine(fitted)[rings.middle, 0]))
    return fitted


def _lay_on_globe(
    control: Points, rings: LidRings, eye_mm: Vector, width_mm: float, identity: Identity, *, side: float
) -> Points:
    offsets = control - eye_mm
    outward = side * offsets[:, 0]
    middle = outward[rings.middle]
    near = (
        (1 - smoothstep(12.0, 38.0, np.abs(offsets[:, 1])))
        * (1 - smoothstep(25.0, 45.0, offsets[:, 2]))
        * (outward > -identity.ipd_mm / 2)
    )
    moved = outward.copy()
    for corner, wanted, fade_mm in (
        (middle.max(), (1 - _INNER_CORNER_SHARE) * width_mm, 28.0),
        (middle.min(), -_INNER_CORNER_SHARE * width_mm, 14.0),
    ):
        change = wanted - corner
        inside = np.clip(outward / corner, 0.0, 1.0)
        fade = 1 - smoothstep(abs(corner), abs(corner) + fade_mm, np.abs(outward))
        moved += np.where(outward * corner > 0, change * inside * fade * near, 0.0)
    offsets[:, 0] = side * moved

    inner = offsets[rings.inner]
    distance = np.linalg.norm(inner, axis=1)
    reach = identity.eyeball.sclera_radius_mm + MARGIN_MM
    at_corner = smoothstep(9.0, 15.0, np.abs(inner[:, 0]))
    change = np.maximum(reach + 0.5, reach) - distance
    change = np.where(change < 0, change * (1 - 0.6 * at_corner), change)
    edge = offsets[rings.outer]
    to_edge = np.linalg.norm(offsets[:, None, :] - edge[None], axis=2)
    nearest = to_edge.argmin(axis=1)
    fade = np.exp(-((np.maximum(to_edge.min(axis=1) - 1.0, 0) / 8.0) ** 2))
    fade[rings.inner] = fade[rings.middle] = fade[rings.outer] = 1.0
    pull = change[nearest]
    pull[rings.inner] = pull[rings.middle] = pull[rings.outer] = change
    lengths = np.linalg.norm(offsets, axis=1)
    lengths[lengths == 0] = 1.0
    offsets *= (1 + pull * fade / lengths)[:, None]

    inner = offsets[rings.inner]
    hidden = 0.84 * identity.eyeball.sclera_radius_mm
    offsets[rings.fornix] = inner * (hidden / np.linalg.norm(inner, axis=1))[:, None]
    return eye_mm + offsets


def build_rig(control: Points, rings: LidRings, eye_mm: Vector, side: float, eyeball: Eyeball) -> LidRig:
    """Return the rig that moves the lids of one eye."""
    offsets = control - eye_mm
    across = side * offsets[:, 0]
    radius = np.hypot(offsets[:, 1], offsets[:, 2])
    elevation = np.arctan2(-offsets[:, 1], -offsets[:, 2])

    ring_across, ring_elevation = across[rings.middle], elevation[rings.middle]
    first, last = int(ring_across.argmin()), int(ring_across.argmax())
    count = len(rings.middle)
    paths = [
        [(first + step * direction) % count for step in range(count) if _before(first, last, step, direction, count)]
        + [last]
        for direction in (1, -1)
    ]
    if ring_elevation[paths[0]].mean() < ring_elevation[paths[1]].mean():
        paths.reverse()
    knots: NDArray[np.float64] = np.unique(np.round(np.sort(ring_across), 6)).astype(np.float64)
    upper, lower = (
        np.interp(knots, np.maximum.accumulate(ring_across[path]) + 1e-6 * np.arange(len(path)), ring_elevation[path])
        for path in paths
    )
    upper, lower = np.maximum(upper, lower), np.minimum(upper, lower)

    at = [np.interp(across, knots, line) for line in (upper, lower)]
    is_upper = elevation > 0.5 * (at[0] + at[1])
    above, below = elevation - at[0], at[1] - elevation
    share = np.where(
        is_upper,
        1 - smoothstep(0.0, 1.0, above / np.radians(_UPPER_REACH_DEG)),
        1 - smoothstep(0.0, 1.0, below / np.radians(_LOWER_REACH_DEG)),
    )
    plate_mm = float(np.median(radius[rings.outer]))
    share *= 1 - smoothstep(plate_mm + 2.5, plate_mm + 8.0, radius)
    in_upper = np.zeros(count, dtype=bool)
    in_upper[paths[0]] = True
    distance = np.linalg.norm(offsets, axis=1)
    straight = surface_distance_mm(offsets / distance[:, None], np.array([0.0, 0.0, -1.0]), eyeball)
    thickness = np.clip(distance - straight, 0.3, 1.6)
    for vertices, least_mm in (
        (rings.fornix, -1.0),
        (rings.inner, 0.1),
        (rings.middle, 0.5),
        (rings.outer, 1.1),
    ):
        share[vertices], is_upper[vertices], thickness[vertices] = 1.0, in_upper, least_mm
    front = offsets[:, 2] < 5.0
    moving = (share > 0) & front & (distance < 40) & (across > knots[0] - 6) & (across < knots[-1] + 8)
    vertices = np.flatnonzero(moving)
    return LidRig(
        centre_mm=eye_mm,
        side=side,
        vertices=vertices,
        across_mm=across[vertices],
        radius_mm=radius[vertices],
        elevation=elevation[vertices],
        share=share[vertices],
        is_upper=is_upper[vertices],
        thickness_mm=thickness[vertices],
        knots_mm=knots,
        upper=upper,
        lower=lower,
        margin_mm=float(np.median(radius[rings.middle][np.abs(ring_across) < 6.0])),
    )


def _before(first: int, last: int, step: int, direction: int, count: int) -> bool:
    """Whether a walk around a ring from `first` is still before `last` after `step` steps."""
    return step < ((last - first) * direction) % count
