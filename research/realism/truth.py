"""How far landmarks of rendered people lie from the truth: the scenes that they were rendered from, made again.

All errors are in mm on a plane through the eye, parallel to the picture, turned upright with the head: across, towards
the temple of each eye, and up. A picture's place becomes mm by the eye's true depth.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from gaze_core.features import CANTHI_TO_ROTATION_MM
from gaze_core.landmarks import EYE_CORNERS, IRIS, LEFT, RIGHT
from research.dataset.table import LandmarkTable
from research.realism.measures import Floats, Integers, robust_deviation, scatter
from research.rendering.eye import SIDES
from research.rendering.head import Head, build_head
from research.rendering.identity import Identity, sample_identity
from research.rendering.sampling import sample_fixation, sample_scene, sample_session
from research.rendering.scene import Scene

LEVER_MM = 10.9
"""From the eye's centre of rotation to the middle of the limbus."""

OPEN_FROM = 0.7
"""Scenes whose eyes are less open than this are left out."""

SOURCES = {
    "iris": "iris landmark, against the limbus' middle",
    "corners": "corner landmarks' middle, against the mesh's corners",
    "anatomy": "the mesh's corners' middle, against the eye's centre of rotation",
    "one_eye": "iris in its eye: all three, one eye",
    "both_eyes": "the same, mean of both eyes",
    "kappa": "for comparison: angle kappa, mean of both eyes",
}

_LANDMARK_SIDES = (LEFT, RIGHT)  # in the order of `SIDES`


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """One source of error along one axis; medians and robust standard deviations, mm.

    Attributes:
        source: A name of `SOURCES`.
        axis: `x` or `y`.
        bias_mm: What all have in common.
        between_mm: Between people (or eyes, for a source of one eye).
        within_mm: Within a person, over poses and gazes; this and what follows is None for angle kappa.
        unforetold_mm: What of that is left when head pose and the eye's turn in the head have foretold what they can
            by one line for everybody.
        rest_mm: Within one target_index of a person; None without a calibration table.
        gain: By how much the error grows with each mm that the iris truly moves in its eye along this axis.
    """

    source: str
    axis: str
    bias_mm: float
    between_mm: float
    within_mm: float | None
    unforetold_mm: float | None
    rest_mm: float | None
    gain: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """The errors of some rows of a table, one for each eye or one for both.

    Attributes:
        person: Shape (n,).
        sequence: The target_index at its sitting, shape (n,).
        by_source: Names of `SOURCES` but `kappa`: across and up, shape (n, 2, 2) for left and right eye, or (n, 1, 2)
            for both eyes, where across is to the right in the picture.
        excursion_mm: By how much the iris is truly off the middle of its eye, like the errors of one eye.
        pose_deg: True pitch, yaw and roll, shape (n, 3).
    """

    person: Integers
    sequence: Integers
    by_source: dict[str, Floats]
    excursion_mm: Floats
    pose_deg: Floats


_TO_TEMPLE = np.array([[side, 1.0] for side in SIDES])
"""Turns across to the right in the picture into across to the temple, and back."""


def measure_errors(table: LandmarkTable, resting: LandmarkTable | None, *, people: int) -> tuple[ErrorBudget, ...]:
    """Return where the landmarks' errors come from.

    Args:
        table: People in many poses.
        resting: A calibration table; None leaves out what remains at rest.
        people: How many of each table's people to take, from the first on.

    Raises:
        ValueError: The scenes that are made again are not those of the table.
    """
    errors = find_errors(table, people)
    at_rest = None if resting is None else find_errors(resting, people)
    budget = []
    for source, values in errors.by_source.items():
        of_one_eye = values.shape[1] > 1
        for axis in range(2):
            bias, between, within = find_components(values[..., axis], errors.person)
            gain, left = _foretell(errors, values[..., axis], axis, of_one_eye=of_one_eye)
            rest = None
            if at_rest is not None:
                rest = find_components(at_rest.by_source[source][..., axis], at_rest.sequence)[2]
            unforetold = find_components(left, errors.person)[2]
            budget.append(ErrorBudget(source, "xy"[axis], bias, between, within, unforetold, rest, gain))
    return (*budget, *_kappa_budget(table))


def find_components(values: Floats, group: Integers) -> tuple[float, float, float]:
    """Return the median over groups, the robust standard deviation between them and the one within them.

    Every column of a group is a group of its own. From the second is taken away what the scatter within makes the
    groups' medians differ by: pi / 2 times the variance over the number, for a normal distribution.

    Args:
        values: Shape (n, k).
        group: Shape (n,).
    """
    columns = values.shape[1]
    own = (group[:, None] * columns + np.arange(columns)).ravel()
    flat = values.ravel()
    within = scatter(flat, own)
    medians, counts = zip(
        *((np.median(flat[own == each]), np.sum(own == each)) for each in np.unique(own)), strict=True
    )
    bias = float(np.median(medians))
    variance = robust_deviation(np.array(medians) - bias) ** 2
    if np.isfinite(within):
        variance -= math.pi / 2 * within**2 * float(np.mean(1 / np.array(counts)))
    return bias, math.sqrt(max(variance, 0.0)), within


def _foretell(errors: Errors, values: Floats, axis: int, *, of_one_eye: bool) -> tuple[float, Floats]:
    """Return how the error grows with the iris's excursion, and what a line leaves over, about each person's mean.

    The line is a least squares fit over all people, each about their own mean, on the excursion and the head's pose.
    """
    if of_one_eye:
        excursions = errors.excursion_mm
        yaw_roll = errors.pose_deg[:, None, 1:] * _TO_TEMPLE[:, :1]
    else:
        excursions = (errors.excursion_mm * _TO_TEMPLE).mean(axis=1, keepdims=True)
        yaw_roll = errors.pose_deg[:, None, 1:]
    pitch = np.broadcast_to(errors.pose_deg[:, None, :1], (*values.shape, 1))
    design = np.concatenate([excursions, pitch, yaw_roll], axis=2)
    left = values.copy()
    for person in np.unique(errors.person):
        rows = errors.person == person
        design[rows] -= design[rows].mean(axis=0)
        left[rows] -= left[rows].mean(axis=0)
    flat = design.reshape(-1, design.shape[2])
    slopes = np.linalg.lstsq(flat, left.ravel(), rcond=None)[0]
    return float(slopes[axis]), left - (flat @ slopes).reshape(left.shape)


def find_errors(table: LandmarkTable, people: int) -> Errors:
    """Return the errors of a table's first people, eyes open.

    Raises:
        ValueError: The scenes that are made again are not those of the table.
    """
    rows: list[int] = []
    excursions: list[Floats] = []
    parts: dict[str, list[Floats]] = {name: [] for name in ("iris", "corners", "anatomy")}
    for row, scene, head in _scenes(table, people):
        if scene.openness < OPEN_FROM:
            continue
        rotations = scene.eye_rotations(head)
        landmarks_px = table.landmarks[row, :, :2] * table.image_size_px[row]
        for name, error in _errors_in(landmarks_px, scene, head, rotations).items():
            parts[name].append(error)
        excursions.append(head.identity.eyeball.limbus_mm * rotations[:, :2, 2] * [1.0, -1.0] * _TO_TEMPLE)
        rows.append(row)
    by_source = {name: np.array(errors) for name, errors in parts.items()}
    by_source["one_eye"] = by_source["iris"] - by_source["corners"] - by_source["anatomy"]
    by_source["both_eyes"] = (by_source["one_eye"] * _TO_TEMPLE).mean(axis=1, keepdims=True)
    dots = np.stack([table.session[rows], table.target_index[rows]], axis=1)
    sequence = np.unique(dots, axis=0, return_inverse=True)[1].ravel()
    return Errors(table.identity[rows], sequence, by_source, np.array(excursions), table.pose_deg[rows])


def _scenes(table: LandmarkTable, people: int) -> Iterator[tuple[int, Scene, Head]]:
    """Yield rows, their scenes made again, and the heads in them.

    Raises:
        ValueError: A scene is not the one that the table speaks of.
    """
    plan = table.description["plan"]
    for number in np.unique(table.identity)[:people].tolist():
        identity = sample_identity(number, plan["seed"])
        head = build_head(identity)
        for row in np.flatnonzero(table.identity == number).tolist():
            scene = _scene(table, row, identity, plan)
            if not np.allclose(scene.origin_mm, table.origin_mm[row], atol=0.01):
                raise ValueError("the table was made from other scenes than this renderer's")
            yield row, scene, head


def _scene(table: LandmarkTable, row: int, identity: Identity, plan: dict[str, int]) -> Scene:
    frame, target_index = int(table.frame[row]), int(table.target_index[row])
    session = sample_session(identity, int(table.session[row]), plan["seed"])
    if plan.get("calibrations"):
        return sample_fixation(session, identity, target_index, frame)
    return sample_scene(session, identity, frame, target_index)


def _errors_in(landmarks_px: Floats, scene: Scene, head: Head, rotations: Floats) -> dict[str, Floats]:
    """Return the errors of one picture: left and right eye, across and up, each of shape (2, 2)."""
    fine_mm, _ = head.pose(rotations, scene.openness, dict(scene.expression))
    upright = _upright(scene)
    errors: dict[str, list[Floats]] = {"iris": [], "corners": [], "anatomy": []}
    for index, side in enumerate(_LANDMARK_SIDES):
        centre = head.eyes_mm[index]
        limbus = centre + head.identity.eyeball.limbus_mm * rotations[index][:, 2]
        ring = fine_mm[head.topology.lids[index].middle]
        corners = (ring[ring[:, 0].argmin()] + ring[ring[:, 0].argmax()]) / 2
        before = centre - np.array([0.0, 0.0, CANTHI_TO_ROTATION_MM])
        limbus_px, corners_px, before_px = distort(_project(np.array([limbus, corners, before]), scene), scene)
        depth_mm = float((scene.head_rotation @ centre)[2] + scene.origin_mm[2])
        for name, difference_px in (
            ("iris", landmarks_px[IRIS[side][0]] - limbus_px),
            ("corners", landmarks_px[list(EYE_CORNERS[side])].mean(axis=0) - corners_px),
            ("anatomy", corners_px - before_px),
        ):
            errors[name].append(_TO_TEMPLE[index] * (upright @ difference_px) * depth_mm / scene.focal_px)
    return {name: np.array(values) for name, values in errors.items()}


def _project(points_mm: Floats, scene: Scene) -> Floats:
    """Return where points of the head frame appear without distortion, pixels, shape (n, 2)."""
    return scene.project(points_mm @ scene.head_rotation.T + np.array(scene.origin_mm))


def distort(places_px: Floats, scene: Scene) -> Floats:
    """Return where the lens puts places of an undistorted picture; the inverse of what `photograph` looks up.

    Args:
        places_px: From the top-left corner, shape (n, 2).
        scene: Whose picture.
    """
    size = np.array([scene.image_width_px, scene.image_height_px], dtype=np.float64)
    straight = places_px - size / 2
    bent = straight
    for _ in range(8):  # each step leaves less than a twentieth of the error
        squared = (bent**2).sum(axis=1, keepdims=True) / float((size / 2) @ (size / 2))
        bent = straight / (1 - scene.optics.distortion * squared)
    return np.asarray(bent + size / 2)


def _upright(scene: Scene) -> Floats:
    """Return the axes in the picture of a head's own right-hand side of the picture and up, shape (2, 2)."""
    x, y = scene.head_rotation[:2, 0] / np.linalg.norm(scene.head_rotation[:2, 0])
    return np.array([[x, y], [y, -x]])


def _kappa_budget(table: LandmarkTable) -> Sequence[ErrorBudget]:
    """Return how angle kappa, which no landmark tells, differs between a table's people, as mm of the lever."""
    seed = table.description["plan"]["seed"]
    identities = [sample_identity(number, seed) for number in np.unique(table.identity).tolist()]
    kappas_deg = np.array([[(eye.nasal_deg, -eye.up_deg) for eye in person.kappa] for person in identities])
    # The optical axis, along which the iris lies, is further out than the visual one, and lower.
    shifts_mm = LEVER_MM * np.radians((kappas_deg * _TO_TEMPLE).mean(axis=1))
    bias_mm = np.median(shifts_mm, axis=0)
    return [
        ErrorBudget("kappa", axis, bias, robust_deviation(shifts - bias), None, None, None, None)
        for axis, bias, shifts in zip("xy", bias_mm.tolist(), shifts_mm.T, strict=True)
    ]
