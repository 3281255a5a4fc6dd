"""The head of one person: its shape in mm, its eyes and lids.

Head frame in this package: the project's axes, with the origin at the midpoint between the eyes' centres of rotation.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gaze_core.head_pose import rotation_matrix
from gaze_core.types import Vector
from research.rendering.assets import Points, load_target
from research.rendering.eye import SIDES
from research.rendering.identity import Identity
from research.rendering.lids import MARGIN_MM, LidRig, build_rig, fit_lids
from research.rendering.topology import ARM_DROP_DEG, Extent, LidRings, Topology, load_topology

_TILT_DEG = 7.0
"""Upward tilt of the base mesh that makes it level with MediaPipe's canonical face, on average."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """One person's head at rest.

    Attributes:
        identity: The person.
        topology: Connectivity of the mesh.
        control_mm: Control vertices, head frame, shape (n, 3).
        base_mm: All vertices of the base mesh before the lids were fitted, head frame, shape (m, 3).
        eyes_mm: Centres of rotation of the left and the right eye, head frame, shape (2, 3).
        lids: Rigs of the left and the right eye.
        neck_mm: Joint about which the head rotates, head frame, shape (3,).
        scale: Millimetres of this head per millimetre of the base mesh.
        expressions: Displacements of each expression by name, each of shape (n, 3).
    """

    identity: Identity
    topology: Topology
    control_mm: Points
    base_mm: Points
    eyes_mm: Points
    lids: tuple[LidRig, LidRig]
    neck_mm: Vector
    scale: float
    expressions: dict[str, Points]

    def pose(
        self, eye_rotations: NDArray[np.float64], openness: float, expression: dict[str, float]
    ) -> tuple[Points, tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]]:
        """Return the fine mesh for given eyes, lids and expression, and the margins of both eyes; see `move`."""
        control, margins = self.move(eye_rotations, openness, expression)
        return self.topology.surface.refine(control), margins

    def move(
        self, eye_rotations: NDArray[np.float64], openness: float, expression: dict[str, float]
    ) -> tuple[Points, tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]]:
        """Return the control vertices for given eyes, lids and expression, and the margins of both eyes.

        Args:
            eye_rotations: Eye frame to head frame of the left and the right eye, shape (2, 3, 3).
            openness: Eye opening relative to what the gaze direction demands, 0 closed.
            expression: Weights by the names in `expressions`.
        """
        control = self.control_mm.copy()
        for name, weight in expression.items():
            control += weight * self.expressions[name]
        margins = []
        for index, (rig, rotation) in enumerate(zip(self.lids, eye_rotations, strict=True)):
            forward = rotation[:, 2]
            up_deg = float(np.degrees(np.arctan2(-forward[1], np.hypot(forward[0], forward[2]))))
            upper, lower = self.lid_margins(index, up_deg, openness)
            moved = rig.move(upper, lower, forward, self.identity.eyeball)
            drift = control[rig.vertices] - self.control_mm[rig.vertices]
            control[rig.vertices] = moved + drift * (1 - rig.share)[:, None]
            margins.append((upper, lower))
        return control, tuple(margins)

    def lid_margins(
        self, index: int, up_deg: float, openness: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the elevations of one eye's upper and lower margin at the knots of its rig, radians.

        Args:
            index: Left or right eye.
            up_deg: Elevation of the optical axis in the head.
            openness: Eye opening relative to what the gaze direction demands, 0 closed.
        """
        lids = self.identity.lids
        up_deg += self.identity.kappa[index].up_deg  # lids follow the visual axis
        return self.lids[index].margins(
            upper_mm=lids.upper_mm[index],
            lower_mm=lids.lower_mm[index],
            upper_turn_deg=lids.upper_gain * up_deg,
            lower_turn_deg=lids.lower_gain * up_deg,
            openness=openness,
            peak_mm=lids.peak_mm,
            bow=lids.bow,
        )


EXPRESSIONS = (
    "mouth-open",
    "mouth-corner-puller",
    "mouth-compression",
    "mouth-pursing",
    "mouth-depression",
    "eyebrows-left-up",
    "eyebrows-right-up",
    "eyebrows-left-down",
    "eyebrows-right-down",
)


def build_head(identity: Identity, extent: Extent = Extent.BUST) -> Head:
    """Return the head of a person, or the region around the eyes."""
    topology = load_topology(extent)
    base = topology.base
    places = base.vertices_mm.copy()
    for name, weight in identity.shape:
        rows, offsets = load_target(name)
        places[rows] += weight * offsets

    _let_arms_down(places, topology)
    places = places @ rotation_matrix(_TILT_DEG, 0.0, 0.0).T

    helper_eyes = [_sphere_centre(places[base.group(f"helper-{side}-eye")]) for side in ("l", "r")]
    scale = identity.ipd_mm / float(helper_eyes[0][0] - helper_eyes[1][0])
    origin = np.mean(helper_eyes, axis=0)
    control = (places[topology.vertices] - origin) * scale
    neck_mm = (places[base.group("joint-neck")].mean(axis=0) - origin) * scale

    eyes = [_fit_eye(control, topology.lids[index], identity, index) for index in range(len(SIDES))]
    height, depth = np.mean([eye[1] for eye in eyes]), np.mean([eye[2] for eye in eyes])
    shift = np.array([0.0, height, depth])
    control, neck_mm = control - shift, neck_mm - shift
    eyes_mm = np.array([[side * identity.ipd_mm / 2, 0.0, 0.0] for side in SIDES])
    for index in range(len(SIDES)):
        control = fit_lids(control, topology, index, eyes_mm[index], identity)
    rigs = tuple(
        build_rig(control, topology.lids[index], eyes_mm[index], side, identity.eyeball)
        for index, side in enumerate(SIDES)
    )
    return Head(
        identity=identity,
        topology=topology,
        control_mm=control,
        base_mm=(places - origin) * scale - shift,
        eyes_mm=eyes_mm,
        lids=(rigs[0], rigs[1]),
        neck_mm=neck_mm,
        scale=scale,
        expressions={name: _expression(name, identity, topology) * scale for name in EXPRESSIONS},
    )


def _let_arms_down(places_mm: Points, topology: Topology) -> None:
    """Lower the arms of the base mesh, in place."""
    for side, name in zip(SIDES, ("l", "r"), strict=True):
        shoulder = places_mm[topology.base.group(f"joint-{name}-shoulder")].mean(axis=0)
        rows = topology.vertices[side * places_mm[topology.vertices, 0] > 0]
        share = topology.arm_share[side * places_mm[topology.vertices, 0] > 0]
        angle = np.radians(ARM_DROP_DEG) * share * side
        x, y = (places_mm[rows, :2] - shoulder[:2]).T
        places_mm[rows, 0] = shoulder[0] + np.cos(angle) * x - np.sin(angle) * y
        places_mm[rows, 1] = shoulder[1] + np.sin(angle) * x + np.cos(angle) * y


def _expression(name: str, identity: Identity, topology: Topology) -> Points:
    offsets = np.zeros_like(topology.base.vertices_mm)
    for origin, share in zip(("african", "asian", "caucasian"), identity.ethnicity, strict=True):
        if share > 0.01:
            rows, moved = load_target(f"expression/units/{origin}/{name}")
            offsets[rows] += share * moved
    return np.asarray(offsets[topology.vertices] @ rotation_matrix(_TILT_DEG, 0.0, 0.0).T)


def _sphere_centre(points: Points) -> Vector:
    """Return the centre of the least-squares sphere."""
    system = np.column_stack([2 * points, np.ones(len(points))])
    solution = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
    return np.asarray(solution[:3])


def _fit_eye(control: Points, rings: LidRings, identity: Identity, index: int) -> Vector:
    """Return the position of an eye's centre behind its lids, shape (3,)."""
    side = SIDES[index]
    across_mm = side * identity.ipd_mm / 2
    ring = control[rings.inner]
    outward = side * (ring[:, 0] - across_mm)
    central = np.abs(outward) < 6.0
    order = np.argsort(outward)
    height = ring[order[[0, -1]], 1].mean() - identity.lids.corners_mm[index]
    reach = identity.eyeball.sclera_radius_mm + identity.eyeball.sclera_centre_mm + MARGIN_MM
    behind = np.sqrt(np.maximum(reach**2 - (ring[:, 1] - height) ** 2 - outward**2, 1.0))
    return np.array([across_mm, height, float((ring[central, 2] + behind[central]).mean())])
