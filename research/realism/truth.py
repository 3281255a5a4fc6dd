"""Errors of landmarks on rendered people, relative to the scenes from which they were rendered.

All errors are in mm on a plane through the eye parallel to the image, rotated with the head's roll: x across, towards
the temple of each eye, and y up. The eye's true depth converts pixels into mm.
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
"""Distance from the eye's centre of rotation to the centre of the limbus."""

MIN_OPENNESS = 0.7
"""Scenes with a smaller eye opening are left out."""

SOURCES = {
    "iris": "iris landmark minus limbus centre",
    "corners": "midpoint of corner landmarks minus midpoint of true corners",
    "anatomy": "midpoint of true corners minus centre of rotation",
    "one_eye": "sum of all three, one eye",
    "both_eyes": "sum of all three, mean of both eyes",
    "kappa": "for comparison: angle kappa, mean of both eyes",
}

_LANDMARK_SIDES = (LEFT, RIGHT)  # in the order of `SIDES`


@dataclass(frozen=True, slots=True)
class ErrorBudget:
    """One source of error along one axis; medians and robust standard deviations, mm.

    Attributes:
        source: Name in `SOURCES`.
        axis: `x` or `y`.
        bias_mm: Median over all people.
        between_mm: Scatter between people (between eyes, for a source of one eye).
        within_mm: Scatter within a person over poses and gaze directions; this and the following are None for kappa.
        unexplained_mm: Scatter within a person after a linear fit on head pose and eye rotation, common to all people.
        rest_mm: Scatter within one fixation; None without a calibration table.
        gain: Change of the error per mm that the iris truly moves in its eye along this axis.
    """

    source: str
    axis: str
    bias_mm: float
    between_mm: float
    within_mm: float | None
    unexplained_mm: float | None
    rest_mm: float | None
    gain: float | None


@dataclass(frozen=True, slots=True, eq=False)
class LandmarkErrors:
    """Landmark errors of some rows of a table.

    Attributes:
        person: Number of the person, shape (n,).
        sequence: Number of the fixation, shape (n,).
        by_source: Errors by the names of `SOURCES` except `kappa`: across and up, shape (n, 2, 2) for left and right
            eye, or (n, 1, 2) for both eyes, where across points to the right of the image.
        excursion_mm: True offset of the iris from the centre of its eye, shape (n, 2, 2).
        pose_deg: True pitch, yaw and roll, shape (n, 3).
    """

    person: Integers
    sequence: Integers
    by_source: dict[str, Floats]
    excursion_mm: Floats
    pose_deg: Floats


_TO_TEMPLE = np.array([[side, 1.0] for side in SIDES])
"""Converts across to the right of the image into across to the temple, and back."""


def measure_errors(table: LandmarkTable, resting: LandmarkTable | None, *, people: int) -> tuple[ErrorBudget, ...]:
    """Return the sources of the landmarks' errors.

    Args:
        table: Table of people in many poses.
        resting: Calibration table; None omits the scatter at rest.
        people: Number of people of each table, from the first.

    Raises:
        ValueError: The table was made from other scenes than the current renderer's.
    """
    errors = find_errors(table, people)
    at_rest = None if resting is None else find_errors(resting, people)
    budget = []
    for source, values in errors.by_source.items():
        of_one_eye = values.shape[1] > 1
        for axis in range(2):
            bias, between, within = find_components(values[..., axis], errors.person)
            gain, left = _fit_line(errors, values[..., axis], axis, of_one_eye=of_one_eye)
            rest = None
            if at_rest is not None:
                rest = find_components(at_rest.by_source[source][..., axis], at_rest.sequence)[2]
            unexplained = find_components(left, errors.person)[2]
            budget.append(ErrorBudget(source, "xy"[axis], bias, between, within, unexplained, rest, gain))
    return (*budget, *_kappa_budget(table))


def find_components(values: Floats, group: Integers) -> tuple[float, float, float]:
    """Return the median over groups, the robust standard deviation between groups, and the one within groups.

    Every column of a group is a group of its own. The scatter within groups inflates the scatter of their medians by
    pi / 2 times its variance over the group's size (normal distribution); this is subtracted.

    Args:
        values: Values, shape (n, k).
        group: Number of each row's group, shape (n,).
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


def _fit_line(errors: LandmarkErrors, values: Floats, axis: int, *, of_one_eye: bool) -> tuple[float, Floats]:
    """Return the slope of the error over the iris's excursion, and the residual, about each person's mean.

    A least squares fit over all people, each about their own mean, on the excursion and the head's pose.
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


def find_errors(table: LandmarkTable, people: int) -> LandmarkErrors:
    """Return the errors of a table's first people with open eyes.

    Raises:
        ValueError: The table was made from other scenes than the current renderer's.
    """
    rows: list[int] = []
    excursions: list[Floats] = []
    parts: dict[str, list[Floats]] = {name: [] for name in ("iris", "corners", "anatomy")}
    for row, scene, head in _scenes(table, people):
        if scene.openness < MIN_OPENNESS:
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
    fixations = np.stack([table.session[rows], table.target_index[rows]], axis=1)
    sequence = np.unique(fixations, axis=0, return_inverse=True)[1].ravel()
    return LandmarkErrors(table.identity[rows], sequence, by_source, np.array(excursions), table.pose_deg[rows])


def _scenes(table: LandmarkTable, people: int) -> Iterator[tuple[int, Scene, Head]]:
    """Yield rows with their scenes and heads.

    Raises:
        ValueError: A scene differs from the one in the table.
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
    """Return the errors in one image by source: left and right eye, across and up, each of shape (2, 2)."""
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
    """Return the undistorted image positions of points in the head frame, pixels, shape (n, 2)."""
    return scene.project(points_mm @ scene.head_rotation.T + np.array(scene.origin_mm))


def distort(places_px: Floats, scene: Scene) -> Floats:
    """Return the positions in the distorted image of positions in the undistorted one.

    Args:
        places_px: Undistorted positions from the top left corner, shape (n, 2).
        scene: Scene whose optics distort.
    """
    size = np.array([scene.image_width_px, scene.image_height_px], dtype=np.float64)
    straight = places_px - size / 2
    bent = straight
    for _ in range(8):  # each step leaves less than a twentieth of the error
        squared = (bent**2).sum(axis=1, keepdims=True) / float((size / 2) @ (size / 2))
        bent = straight / (1 - scene.optics.distortion * squared)
    return np.asarray(bent + size / 2)


def _upright(scene: Scene) -> Floats:
    """Return the image axes across and up, rotated with the head's roll, shape (2, 2)."""
    x, y = scene.head_rotation[:2, 0] / np.linalg.norm(scene.head_rotation[:2, 0])
    return np.array([[x, y], [y, -x]])


def _kappa_budget(table: LandmarkTable) -> Sequence[ErrorBudget]:
    """Return the spread of angle kappa over a table's people, as mm at the lever; landmarks do not show it."""
    seed = table.description["plan"]["seed"]
    identities = [sample_identity(number, seed) for number in np.unique(table.identity).tolist()]
    kappas_deg = np.array([[(eye.nasal_deg, -eye.up_deg) for eye in person.kappa] for person in identities])
    # The optical axis, and with it the iris, points further out and lower than the visual axis.
    shifts_mm = LEVER_MM * np.radians((kappas_deg * _TO_TEMPLE).mean(axis=1))
    bias_mm = np.median(shifts_mm, axis=0)
    return [
        ErrorBudget("kappa", axis, bias, robust_deviation(shifts - bias), None, None, None, None)
        for axis, bias, shifts in zip("xy", bias_mm.tolist(), shifts_mm.T, strict=True)
    ]
