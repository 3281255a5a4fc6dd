"""Measurements of a frame, packed, and their description in its record."""

import math
import struct
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.features import FEATURE_NAMES, find_usable_eyes
from gaze_core.fusion import ESTIMATES, fuse_directions
from gaze_core.gaze import gaze_direction, gaze_vector
from gaze_core.head_pose import rotation_matrices
from gaze_core.one_eye import leave_out_hidden_eye
from gaze_core.types import EyeEstimates, EyeGazes, Floats

_FEATURES = len(FEATURE_NAMES)
_HEAD_ANGLES = slice(3, 6)
_MEASURED = struct.Struct(f"{_FEATURES + 4}d")
_EYES_COUNT = 16
_EYES = struct.Struct(f"{_EYES_COUNT}f")
"""Right and up of landmarks, network, blendshapes, the network's spread, the left eye, the right eye, their spreads."""

_LANDMARKS, _NETWORK, _SHAPES, _SPREAD, _EACH, _EACH_SPREAD = (
    slice(0, 2),
    slice(2, 4),
    slice(4, 6),
    slice(6, 8),
    slice(8, 12),
    slice(12, 16),
)

_UNKNOWN = (math.nan,) * 4
_MAX_DEG = 1e6
"""Larger numbers in a record are not angles, and might exceed the range of single floats."""

_MAX_DISTANCE_MM = 1e5

_COVERED_FLAGS = ("left_eye_covered", "right_eye_covered")
_NOT_COVERED = (False, False)


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements of a frame, independent of model and calibration.

    Packed, because a session of an hour has a hundred thousand frames: as doubles, the estimates of the eyes' direction
    as single floats.
    """

    packed: bytes

    @classmethod
    def pack(
        cls,
        features: tuple[float, ...],
        origin_mm: tuple[float, ...],
        openness: float,
        eyes: tuple[float, ...] | None = None,
    ) -> "Measured":
        """Pack the measurements.

        Args:
            features: Features in the order of `FEATURE_NAMES`.
            origin_mm: Midpoint between the eyes, camera frame.
            openness: Eye aspect ratio, mean of both eyes.
            eyes: Estimates behind the features, the numbers of `_EYES`; None if they come from the landmarks alone.
        """
        packed = _MEASURED.pack(*features, *origin_mm, openness)
        return cls(packed if eyes is None else packed + _EYES.pack(*eyes))

    @property
    def features(self) -> tuple[float, ...]:
        """Features in the order of `FEATURE_NAMES`, fused by the process that recorded the frame."""
        return _MEASURED.unpack_from(self.packed)[:_FEATURES]

    @property
    def origin_mm(self) -> tuple[float, ...]:
        """Midpoint between the eyes, camera frame, mm."""
        return _MEASURED.unpack_from(self.packed)[_FEATURES:-1]

    @property
    def openness(self) -> float:
        """Eye aspect ratio, mean of both eyes."""
        return float(_MEASURED.unpack_from(self.packed)[-1])

    @property
    def has_network(self) -> bool:
        """Whether the eye network answered in this frame."""
        return self.has_eyes and math.isfinite(_EYES.unpack_from(self.packed, _MEASURED.size)[_NETWORK.start])

    @property
    def has_eyes(self) -> bool:
        """Whether there are estimates of the eyes' direction beside the features."""
        return len(self.packed) > _MEASURED.size


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredEyes:
    """Estimates of the eyes' direction in many frames, head frame, degrees; NaN where there is none.

    Attributes:
        estimates_deg: Direction of both eyes in the order of `fusion.ESTIMATES`, shape (n, 3, 2). If only one eye was
            usable, the network's is that eye's.
        network_spread_deg: The network's predicted standard deviation of its direction, shape (n, 2).
        eyes_deg: The network's line of sight of the left and right eye, shape (n, 2, 2).
        eyes_spread_deg: Its predicted standard deviation, shape (n, 2, 2).
    """

    estimates_deg: Floats
    network_spread_deg: Floats
    eyes_deg: Floats
    eyes_spread_deg: Floats


def stack_measured(
    measured: Iterable[Measured], estimates: Collection[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return features, shape (n, 7), origins in mm, shape (n, 3), and openness, shape (n,).

    The features are fused again: a record may have been written by another version, for a model that was trained with
    other estimates.

    Args:
        measured: Measurements of n frames.
        estimates: Estimates to fuse, `GazeModel.estimates`; those that a frame lacks are left out.
    """
    rows = list(measured)
    numbers = np.frombuffer(b"".join(row.packed[: _MEASURED.size] for row in rows), dtype=np.float64)
    numbers = numbers.reshape(-1, _FEATURES + 4).copy()
    features, origin_mm, openness = numbers[:, :_FEATURES], numbers[:, _FEATURES:-1], numbers[:, -1]
    with_eyes = np.array([row.has_eyes for row in rows], dtype=bool)
    if with_eyes.any():
        eyes = stack_eyes([row for row in rows if row.has_eyes])
        used_deg = eyes.estimates_deg.copy()
        for index, name in enumerate(ESTIMATES):
            if name not in estimates:
                used_deg[:, index] = np.nan
        known = np.isfinite(used_deg).all(axis=-1).any(axis=-1)
        fused_deg = fuse_directions(used_deg[known], eyes.network_spread_deg[known])
        rotations = rotation_matrices(features[with_eyes][known, _HEAD_ANGLES])
        features[np.flatnonzero(with_eyes)[known], :3] = np.einsum("nij,nj->ni", rotations, gaze_vector(fused_deg))
    return features, origin_mm, openness


def stack_eyes(measured: Iterable[Measured]) -> MeasuredEyes:
    """Return the estimates of the eyes' direction.

    The features of a frame without estimates come from its landmarks alone, so they are its estimate by landmarks.
    """
    rows = list(measured)
    numbers = np.full((len(rows), _EYES_COUNT), np.nan)
    with_eyes = np.array([row.has_eyes for row in rows], dtype=bool)
    packed = b"".join(row.packed[_MEASURED.size :] for row in rows)
    numbers[with_eyes] = np.frombuffer(packed, dtype=np.float32).reshape(-1, _EYES_COUNT)
    features = np.array([row.features for row in rows]).reshape(-1, _FEATURES)
    alone = ~with_eyes & (np.linalg.norm(features[:, :3], axis=1) > 0)
    to_head = rotation_matrices(features[alone, _HEAD_ANGLES])
    numbers[alone, _LANDMARKS] = gaze_direction(np.einsum("nji,nj->ni", to_head, features[alone, :3]))
    return MeasuredEyes(
        estimates_deg=np.stack([numbers[:, part] for part in (_LANDMARKS, _NETWORK, _SHAPES)], axis=1),
        network_spread_deg=numbers[:, _SPREAD],
        eyes_deg=numbers[:, _EACH].reshape(-1, 2, 2),
        eyes_spread_deg=numbers[:, _EACH_SPREAD].reshape(-1, 2, 2),
    )


def describe_eyes(eyes: EyeEstimates) -> dict[str, list[float]]:
    """Return the estimates for the record: right and up in degrees, head frame; then the network's spreads."""
    described = {}
    if eyes.landmarks is not None:
        described["landmarks"] = list(eyes.landmarks)
    if eyes.network is not None:
        gazes = eyes.network
        described["left"] = [*gazes.eyes_deg[0], *gazes.eyes_spread_deg[0]]
        described["right"] = [*gazes.eyes_deg[1], *gazes.eyes_spread_deg[1]]
        described["both"] = [*gazes.both_deg, *gazes.both_spread_deg]
    if eyes.blendshapes is not None:
        described["blendshapes"] = list(eyes.blendshapes)
    return {name: [round(float(value), 3) for value in values] for name, values in described.items()}


def name_covered(covered: tuple[bool, bool]) -> tuple[str, ...]:
    """Return the flags of a record for covered eyes.

    Args:
        covered: Whether the left and the right eye are covered.
    """
    return tuple(compress(_COVERED_FLAGS, covered))


def read_measured(value: Mapping[str, Any]) -> Measured | None:
    """Return the measurements in a record; None if one is missing or malformed.

    Estimates of the eyes' direction that are missing or malformed are left out.
    """
    features = read_numbers(value.get("features"), _FEATURES)
    origin_mm = read_numbers(value.get("origin_mm"), 3)
    openness = read_numbers(value.get("eye_openness"), 2)
    if features is None or origin_mm is None or openness is None:
        return None
    eyes = _read_eyes(value.get("eyes"), features, openness, _read_covered(value.get("flags")))
    return Measured.pack(features, origin_mm, sum(openness) / 2, eyes)


def read_numbers(value: object, count: int) -> tuple[float, ...] | None:
    """Return a list of finite numbers from JSON; None if it is anything else or has another length."""
    if not isinstance(value, list | tuple) or len(value) != count:
        return None
    if set(map(type, value)) == {float}:  # nearly all records
        return tuple(value) if all(map(math.isfinite, value)) else None
    numbers = [read_number(item) for item in value]
    return None if None in numbers else tuple(number for number in numbers if number is not None)


def read_number(value: object) -> float | None:
    """Return a finite number from JSON; None if it is anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # integers in JSON are unbounded
        return None
    return number if math.isfinite(number) else None


def _read_eyes(
    value: object, features: tuple[float, ...], openness: tuple[float, ...], covered: tuple[bool, bool]
) -> tuple[float, ...] | None:
    """Return the numbers of `_EYES` in a record; None if it has no estimate.

    Written for speed, because a session of an hour has a hundred thousand records.
    """
    if not isinstance(value, Mapping):
        return None
    landmarks, shapes = _read_angles(value.get("landmarks"), 2), _read_angles(value.get("blendshapes"), 2)
    left, right = _read_angles(value.get("left"), 4), _read_angles(value.get("right"), 4)
    both = _read_angles(value.get("both"), 4)
    if left is None or right is None or both is None:
        left = right = both = None
    else:
        usable = find_usable_eyes((openness[0], openness[1]), yaw_deg=features[4], covered=covered)
        if usable[0] != usable[1]:
            is_possible = 0 < features[6] < _MAX_DISTANCE_MM
            both = _take_one_eye(left, right, usable, distance_mm=features[6]) if is_possible else None
    if landmarks is None and shapes is None and both is None:
        return None
    left, right, both = left or _UNKNOWN, right or _UNKNOWN, both or _UNKNOWN
    return (
        *(landmarks or _UNKNOWN[:2]),
        *both[:2],
        *(shapes or _UNKNOWN[:2]),
        *both[2:],
        *left[:2],
        *right[:2],
        *left[2:],
        *right[2:],
    )


def _read_covered(flags: object) -> tuple[bool, bool]:
    """Return whether the left and the right eye are covered, from the flags of a record."""
    if not flags or not isinstance(flags, list | tuple):
        return _NOT_COVERED
    left, right = (flag in flags for flag in _COVERED_FLAGS)
    return left, right


def _read_angles(value: object, count: int) -> tuple[float, ...] | None:
    numbers = read_numbers(value, count)
    return None if numbers is None or max(numbers) > _MAX_DEG or min(numbers) < -_MAX_DEG else numbers


def _take_one_eye(
    left: tuple[float, ...], right: tuple[float, ...], usable: tuple[bool, bool], *, distance_mm: float
) -> tuple[float, ...]:
    """Return direction and spread of both eyes from the usable one."""
    eyes = np.array([left, right])
    gazes = EyeGazes(eyes[:, :2], eyes[:, 2:], both_deg=np.zeros(2), both_spread_deg=np.zeros(2))
    alone = leave_out_hidden_eye(gazes, usable, distance_mm)
    return (*alone.both_deg.tolist(), *alone.both_spread_deg.tolist())
