"""Holds what is measured on real faces against the same on rendered ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gaze_core.head_pose import rotation_matrix
from research.dataset import Table
from research.realism.measures import (
    Flags,
    Floats,
    Integers,
    eye_width_mm,
    find_open,
    iris_size_px,
    jitter,
    measure_ratios,
    movements,
    robust_deviation,
    scatter,
    second_differences,
    track,
)
from research.rendering.eye import fick_angles_deg

FRONTAL_DEG = 15.0
"""Faces turned up, down or aside by more are left out: the picture foreshortens them."""

TOWARDS_CAMERA_DEG = 8.0
"""Somebody looks towards the camera when their gaze is at most this far from straight into it."""

SAME_SIZE = 0.3
"""Irises whose diameters in pixels differ by less than this share are as large as each other."""

SAME_TAKE_CORRELATION = 0.95
SAME_TAKE_FRAMES = 20
"""Clips whose lids move alike, frame by frame, over at least so many frames show the same take."""

QUANTITIES = {
    "iris_diameter": "iris diameter / eye width",
    "lid_aperture": "lid aperture / eye width, open eyes",
    "inner_corners": "inner corners / outer corners",
    "iris_to_iris": "iris to iris / outer corners",
    "brow_height": "brow above the corners / eye width",
    "iris_height": "iris above the corners / eye width",
    "iris_between_lids": "iris between the lids, 0 lower, 1 upper",
    "difference_x": "left minus right iris, across / eye width",
    "difference_y": "left minus right iris, up / eye width",
}

TRACKED = {
    "iris_x": "an iris, across",
    "iris_y": "an iris, up",
    "corners_x": "the middle of an eye's corners, across",
    "corners_y": "the middle of an eye's corners, up",
    "gaze_x": "irises in their eyes, mean of both, across",
    "gaze_y": "irises in their eyes, mean of both, up",
    "difference_x": "left minus right iris, across",
    "difference_y": "left minus right iris, up",
    "lid_aperture": "lid aperture",
    "iris_diameter": "iris diameter",
}
"""The first four are relative to the face, laid over itself from frame to frame."""

IN_DEGREES = tuple(name for name in TRACKED if name.endswith(("_x", "_y")))


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Landmarks of many pictures.

    Attributes:
        points_px: Shape (n, 478, 2).
        is_frontal: Which faces are turned aside by at most `FRONTAL_DEG`, shape (n,).
        person: Number of the person, shape (n,).
        sequence: Number of the clip or dot whose frames follow each other, shape (n,).
        frame: Number of the picture in its sequence, ascending, shape (n,).
        looks_at_camera: Who is known to look towards the camera, shape (n,); None when nobody knows.
    """

    points_px: Floats
    is_frontal: Flags
    person: Integers
    sequence: Integers
    frame: Integers
    looks_at_camera: Flags | None = None

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The faces of one video of one real person.

    Attributes:
        name: Of the file, without its folder.
        sha256: Of the file.
        pictures: How many frames it has.
        size_px: Width and height.
        faces: The largest in each frame.
    """

    name: str
    sha256: str
    pictures: int
    size_px: tuple[int, int]
    faces: Faces


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution: its median, where its middle 90 % lie, and of how many values."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """One quantity, real against rendered.

    Attributes:
        real: Over frames.
        rendered: Over pictures.
        towards_camera: Likewise, of those who look towards the camera; None without any.
        inside: Share of the real frames within the rendered middle 90 %.
        rank: Share of the rendered people whose median lies below that of the real frames, for each take.
    """

    real: Spread
    rendered: Spread
    towards_camera: Spread | None
    inside: float
    rank: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Scatter:
    """How much the difference between both eyes varies, robust standard deviation, mm.

    Attributes:
        real: Within each clip.
        poses: Within a rendered person over poses and gazes.
        rest: Within one dot of a rendered person; None without a calibration table.
    """

    real: tuple[float, ...]
    poses: float
    rest: float | None


@dataclass(frozen=True, slots=True)
class Jitter:
    """How much something trembles from frame to frame, standard deviation in thousandths of the eye's width.

    Attributes:
        real: Of each clip, from one frame to the next.
        moved: Of each clip, over as many frames as the head takes to move as far as a rendered one does from frame to
            frame; None without a calibration table.
        rendered: Over people; None without a calibration table.
        same_size: Likewise, of those dots alone whose irises are as large in the picture as those of the first clip.
        encoding: By how much the first clip differs from another of the same take, as if shared alike by both; None
            without one.
    """

    real: tuple[float, ...]
    moved: tuple[float | None, ...]
    rendered: Spread | None
    same_size: Spread | None
    encoding: float | None


def faces_of(table: Table) -> Faces:
    """Return the faces of a table; the frames of one dot at one sitting are a sequence."""
    order = _in_sequence(table)
    sequence = np.unique(np.stack([table.session, table.dot], axis=1)[order], axis=0, return_inverse=True)[1]
    return Faces(
        points_px=table.landmarks[order, :, :2] * table.image_size_px[order, None],
        is_frontal=np.abs(table.pose_deg[order, :2]).max(axis=1) <= FRONTAL_DEG,
        person=table.identity[order],
        sequence=sequence.ravel(),
        frame=table.frame[order],
        looks_at_camera=np.linalg.norm(table.gaze_deg[order], axis=1) <= TOWARDS_CAMERA_DEG,
    )


def _in_sequence(table: Table) -> Integers:
    """Return the rows of a table in the order of sittings, dots and frames."""
    return np.asarray(np.lexsort((table.frame, table.dot, table.session)))


def find_takes(clips: Sequence[Clip]) -> tuple[int, ...]:
    """Return the number of each clip's take: clips whose lids move alike frame by frame have the same."""
    apertures = [measure_ratios(clip.faces.points_px)["lid_aperture"] for clip in clips]
    takes: list[int] = []
    for number, clip in enumerate(clips):
        same = None
        for former in range(number):
            mine, theirs = _common_frames(clip.faces, clips[former].faces)
            if len(mine) >= SAME_TAKE_FRAMES:
                alike = np.corrcoef(apertures[number][mine], apertures[former][theirs])[0, 1]
                if alike >= SAME_TAKE_CORRELATION:
                    same = takes[former]
                    break
        takes.append(len(set(takes)) if same is None else same)
    return tuple(takes)


def _common_frames(first: Faces, second: Faces) -> tuple[Integers, Integers]:
    """Return the rows of both at the frames which both have."""
    _, mine, theirs = np.intersect1d(first.frame, second.frame, return_indices=True)
    return mine, theirs


def compare(real: Sequence[Faces], rendered: Faces) -> dict[str, Comparison]:
    """Return how each quantity differs between real people and rendered ones, eyes open and faces frontal.

    Args:
        real: One for each take.
        rendered: Of many people.
    """
    takes = [measure_open(faces) for faces in real]
    values, rows = measure_open(rendered)
    person = rendered.person[rows]
    near = None if rendered.looks_at_camera is None else rendered.looks_at_camera[rows]
    comparisons = {}
    for name in QUANTITIES:
        frames = np.concatenate([measured[name] for measured, _ in takes])
        spread = spread_of(values[name])
        medians = np.array([np.median(values[name][person == number]) for number in np.unique(person)])
        comparisons[name] = Comparison(
            real=spread_of(frames),
            rendered=spread,
            towards_camera=None if near is None or not near.any() else spread_of(values[name][near]),
            inside=float(((frames >= spread.low) & (frames <= spread.high)).mean()),
            rank=tuple(float((medians < np.median(measured[name])).mean()) for measured, _ in takes),
        )
    return comparisons


def measure_open(faces: Faces) -> tuple[dict[str, Floats], Integers]:
    """Return the quantities of frontal faces with open eyes, and in which rows these are.

    Raises:
        ValueError: There are none.
    """
    measured = measure_ratios(faces.points_px)
    rows = np.flatnonzero(faces.is_frontal & find_open(measured["lid_aperture"], faces.person))
    if not len(rows):
        raise ValueError("no frontal face with open eyes")
    return {name: values[rows] for name, values in measured.items()}, rows


def compare_scatter(real: Sequence[Faces], rendered: Faces, resting: Faces | None) -> dict[str, Scatter]:
    """Return how much the difference between both eyes varies, across and up, in mm of eyes with irises of 11.7 mm."""
    scatters = {}
    for name in ("difference_x", "difference_y"):
        scatters[name] = Scatter(
            real=tuple(_scatter_mm(faces, name, faces.person) for faces in real),
            poses=_scatter_mm(rendered, name, rendered.person),
            rest=None if resting is None else _scatter_mm(resting, name, resting.sequence),
        )
    return scatters


def _scatter_mm(faces: Faces, name: str, group: Integers) -> float:
    measured = measure_ratios(faces.points_px)
    rows = faces.is_frontal & find_open(measured["lid_aperture"], group)
    return scatter(measured[name][rows], group[rows]) * width_mm(faces)


def width_mm(faces: Faces) -> float:
    """Return how wide the eyes are, if irises are 11.7 mm across, median."""
    return float(np.median(eye_width_mm(faces.points_px)))


def match_lags(clips: Sequence[Clip], resting: Faces | None) -> tuple[int | None, ...]:
    """Return how many frames each clip's head takes to move as far as a rendered one does from frame to frame.

    At most a quarter of the clip; None without a calibration table.
    """
    if resting is None:
        return (None,) * len(clips)
    moved = []
    for number in np.unique(resting.sequence):
        rows = resting.sequence == number
        moved.append(movements(resting.points_px[rows], resting.frame[rows]))
    wanted = float(np.median(np.concatenate(moved)))
    lags = []
    for faces in (clip.faces for clip in clips):
        longest = max((int(faces.frame[-1] - faces.frame[0]) + 1) // 4, 1)
        reached = (
            lag for lag in range(1, longest) if np.median(movements(faces.points_px, faces.frame, lag)) >= wanted
        )
        lags.append(next(reached, longest))
    return tuple(lags)


def compare_jitter(
    clips: Sequence[Clip], takes: Sequence[int], lags: Sequence[int | None], resting: Faces | None
) -> dict[str, Jitter]:
    """Return how much everything tracked trembles, in thousandths of the eye's width.

    Args:
        clips: Of real people.
        takes: As `find_takes` returns them.
        lags: As `match_lags` returns them.
        resting: Of rendered people, the frames of one dot a sequence each.
    """
    real = [_differences(clip.faces)[0] for clip in clips]
    moved = [None if lag is None else _differences(clip.faces, lag)[0] for clip, lag in zip(clips, lags, strict=True)]
    twin = next((number for number in range(1, len(clips)) if takes[number] == takes[0]), None)
    rendered = None if resting is None else _differences(resting)
    wanted_px = float(np.median(iris_size_px(clips[0].faces.points_px)))
    jitters = {}
    for name in TRACKED:
        spreads: list[Spread | None] = [None, None]
        if rendered is not None:
            spreads = [
                _spread_over_people(name, [each for each in rendered if abs(each.iris_px / wanted_px - 1) <= reach])
                for reach in (np.inf, SAME_SIZE)
            ]
        jitters[name] = Jitter(
            real=tuple(1000 * jitter(each.second[name]) for each in real),
            moved=tuple(None if each is None else 1000 * jitter(each.second[name]) for each in moved),
            rendered=spreads[0],
            same_size=spreads[1],
            encoding=None if twin is None else 1000 * _encoding(clips[0].faces, clips[twin].faces, name),
        )
    return jitters


@dataclass(frozen=True, slots=True, eq=False)
class _Differences:
    """The second differences of one sequence by the names of `TRACKED`, whose it is and how large the iris."""

    second: dict[str, Floats]
    person: int
    iris_px: float


def _differences(faces: Faces, lag: int = 1) -> list[_Differences]:
    found = []
    for number in np.unique(faces.sequence):
        rows = np.flatnonzero(faces.sequence == number)
        points_px = faces.points_px[rows]
        aperture = measure_ratios(points_px)["lid_aperture"]
        usable = find_open(aperture, np.zeros(len(rows), dtype=np.int64))
        second = {
            name: second_differences(values, faces.frame[rows], usable, lag)
            for name, values in track(points_px).items()
        }
        found.append(_Differences(second, int(faces.person[rows[0]]), float(np.median(iris_size_px(points_px)))))
    return found


def _spread_over_people(name: str, sequences: Sequence[_Differences]) -> Spread | None:
    people = sorted({each.person for each in sequences})
    values = [
        1000 * jitter(np.concatenate([each.second[name].ravel() for each in sequences if each.person == person]))
        for person in people
    ]
    kept = np.array([value for value in values if np.isfinite(value)])
    return spread_of(kept) if len(kept) else None


def _encoding(first: Faces, second: Faces, name: str) -> float:
    """Return the standard deviation that each of two clips of the same take would need to differ as they do."""
    mine, theirs = _common_frames(first, second)
    difference = track(first.points_px[mine])[name] - track(second.points_px[theirs])[name]
    usable = find_open(measure_ratios(first.points_px[mine])["lid_aperture"], np.zeros(len(mine), dtype=np.int64))
    return robust_deviation((difference - np.median(difference, axis=0))[usable].ravel()) / 2**0.5


def measure_turning_deg(table: Table) -> tuple[float, float]:
    """Return how much the eyes of a calibration table truly turn in their heads from frame to frame, across and up.

    The head sways while the eyes stay on the dot. Measured as the jitter is, median over people.
    """
    faces, order = faces_of(table), _in_sequence(table)
    directions = [
        rotation_matrix(*pose).T @ towards
        for pose, towards in zip(table.pose_deg[order], (table.target_mm - table.origin_mm)[order], strict=True)
    ]
    turned_deg = np.array([fick_angles_deg(direction) for direction in directions])
    by_person: dict[int, list[Floats]] = {}
    for number in np.unique(faces.sequence):
        rows = np.flatnonzero(faces.sequence == number)
        second = second_differences(turned_deg[rows], faces.frame[rows], np.ones(len(rows), dtype=np.bool_))
        by_person.setdefault(int(faces.person[rows[0]]), []).append(second)
    jitters = [[jitter(column) for column in np.concatenate(parts).T] for parts in by_person.values()]
    across, up = np.nanmedian(np.array(jitters), axis=0).tolist()
    return across, up


def spread_of(values: Floats) -> Spread:
    """Return the distribution of values; NaN among them are left out."""
    kept = values[np.isfinite(values)]
    low, median, high = np.percentile(kept, [5, 50, 95]).tolist()
    return Spread(median, low, high, len(kept))
