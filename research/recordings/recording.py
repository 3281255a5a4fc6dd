"""Measures the gaze model on a recording of a person who looks at known places of a screen.

    python -m research.evaluation.evaluate --recording DIR

`docs/recordings.md` says what such a folder holds and explains every number. A recording goes the way that frames go
in the service: the same decoding, detector, records of a session and calibration made from them. Nothing is left out of
the errors but frames that have no gaze, and those are counted by the reason why.
"""

import codecs
import csv
import hashlib
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.errors import BadRequestError, RequestError
from func.session.frame_record import DotUse, FrameRecord, Measured, make_record, read_record, stack_measured
from func.session.gaze_track import read_records
from func.session.viewer_calibration import MAX_LOOKS, calibrate_session, describe_calibration, validate_session
from func.web.images import decode_image
from func.web.request import parse_json, parse_json_request
from func.web.schemas import CameraPart, FrameMetadata, ScreenPart
from gaze_core.calibration import Calibration
from gaze_core.detector import GazeDetector, locate_gaze, predict_directions
from gaze_core.errors import GazeError
from gaze_core.features import measure_face
from gaze_core.gaze import direction_to, visual_angle_deg
from gaze_core.landmarks import Landmarks
from gaze_core.ports import FaceLandmarker, GazeModel, Session
from gaze_core.types import Camera, Frame, GazeDirection, GazePoint, Screen, Validity
from models import FACE_LANDMARKER_PATH

Floats = NDArray[np.float64]

DESCRIPTION, TARGETS, FRAMES = "recording.json", "targets.csv", "frames"
COLUMNS = ("frame", "x", "y", "phase")
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})

DISTANCE_LIMITS_MM = (100.0, 5000.0)
FOV_LIMITS_DEG = (10.0, 150.0)

MAX_PIXELS = 3840 * 2160
"""Larger pictures are refused, as the service does by default."""

MOST_PROBLEMS = 20
"""How many problems of a recording are named one by one."""

MANY_DOTS = 9
"""From so many dots on it is also told what five of them give."""

CORNER_REACH = 0.25
"""How far a dot that stands for a corner or the middle of all dots may be from it, as a share of their extent."""

FITTED = "fitted to distance_mm"
"""Where a field of view comes from that nobody gave."""

DISTANCE_DOUBT = 0.15
"""From what share of difference on a measured distance and the estimated one contradict each other."""

USUAL_FOV_DEG = (25.0, 90.0)
"""Vertical fields of view that webcams have."""

LANDMARKER_WAIT_S = 60.0

_FOV_STEPS = 20
_FOV_TOLERANCE = 1e-4

# What a request must have besides its screen and camera.
_REQUEST = {
    "session_id": "recording",
    "video_id": "recording",
    "ip_address": "recording",
    "frame_number": 1,
    "last_frame": True,
}


class Phase(StrEnum):
    """What a frame is for."""

    CALIBRATION = "calibration"
    TEST = "test"


class RecordingError(Exception):
    """The folder is no recording that can be measured; each problem names the file, and its line or field."""

    def __init__(self, problems: Sequence[str]) -> None:
        shown = [*problems[:MOST_PROBLEMS]]
        if len(problems) > MOST_PROBLEMS:
            shown.append(f"and {len(problems) - MOST_PROBLEMS} more")
        super().__init__("\n".join(shown))
        self.problems = tuple(problems)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of `targets.csv`.

    Attributes:
        frame: Name of the picture's file.
        target: What the person looked at, on the screen.
        phase: What the frame is for.
    """

    frame: str
    target: GazePoint
    phase: Phase


@dataclass(frozen=True, slots=True)
class Recording:
    """Pictures of a person who looks at known places of a screen.

    Attributes:
        folder: Where it lies.
        screen: The person's; what was not given is the default.
        camera: Likewise.
        given: Which fields were given, such as `camera.tilt_deg`.
        distance_mm: From the camera to the midpoint between the eyes; None when nobody measured it.
        rows: In the order of the file.
        files_without_row: Pictures that no row names.
        ignored_fields: What `recording.json` says beyond what is known.
    """

    folder: Path
    screen: Screen
    camera: Camera
    given: frozenset[str]
    distance_mm: float | None
    rows: tuple[Row, ...]
    files_without_row: tuple[str, ...]
    ignored_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """How far the gaze of some frames is from what was looked at.

    Attributes:
        target: Number of the target, the same for all its frames, shape (n,).
        angular_deg: Angle at the midpoint between the eyes, shape (n,).
        offset_deg: Gaze minus target, to the right and up, as angles at the eyes, shape (n, 2).
        offset_mm: The same on the screen; NaN where the gaze points away from the screen's plane, shape (n, 2).
    """

    target: NDArray[np.int64]
    angular_deg: Floats
    offset_deg: Floats
    offset_mm: Floats

    def of(self, rows: NDArray[np.bool_]) -> "Errors":
        """Return those of some frames."""
        return Errors(self.target[rows], self.angular_deg[rows], self.offset_deg[rows], self.offset_mm[rows])


def load_recording(folder: Path) -> Recording:
    """Return the recording in a folder; its pictures are only listed.

    Raises:
        RecordingError: It is incomplete or something in it is wrong; all problems at once.
    """
    if not folder.is_dir():
        raise RecordingError([f"{folder} is no folder"])
    problems: list[str] = []
    description = _read_description(folder, problems)
    metadata = _validate_parts(description, problems)
    distance_mm = _validate_distance(description, problems)
    pictures = _list_pictures(folder)
    if pictures is None:
        problems.append(f"{FRAMES}/ is missing: the folder with the pictures")
    rows = _read_rows(folder, pictures, problems)
    if problems or metadata is None:
        raise RecordingError(problems)
    screen, camera = metadata.screen or ScreenPart(), metadata.camera or CameraPart()
    named = {row.frame for row in rows}
    return Recording(
        folder=folder,
        screen=screen.to_screen(),
        camera=camera.to_camera(),
        given=frozenset(
            f"{name}.{key}" for name, part in (("screen", screen), ("camera", camera)) for key in part.as_sent()
        ),
        distance_mm=distance_mm,
        rows=tuple(rows),
        files_without_row=tuple(
            name
            for name in sorted(pictures or ())
            if name not in named and Path(name).suffix.lower() in PICTURE_SUFFIXES
        ),
        ignored_fields=_find_ignored(description),
    )


def measure_recording(recording: Recording, landmarker: FaceLandmarker, model: GazeModel) -> dict[str, Any]:
    """Return what `--recording` prints: how far the model's gaze is from what was looked at; JSON values only.

    Args:
        recording: As it was loaded.
        landmarker: Looks at every picture once.
        model: The generic model; the recording's own dots calibrate it.

    Raises:
        RecordingError: No field of view puts the eyes at the recording's `distance_mm`.
        OSError: A picture is gone.
        LandmarkerError: The engine failed.
    """
    notes: list[str] = []
    looking = _LookingOnce(landmarker)
    camera, fov_from = _find_camera(recording, looking, model, notes)
    detector = GazeDetector(looking, model, screen=recording.screen, camera=camera)
    measurement = _Measurement(recording.screen, camera, model, _look(recording, detector))
    notes += [f"{frame.row.frame} cannot be read: {frame.trouble}" for frame in measurement.frames if frame.trouble]
    notes += _doubt_distance(recording.distance_mm, measurement.median_distance_mm(), camera.vertical_fov_deg, fov_from)
    if recording.ignored_fields:
        notes.append(f"{DESCRIPTION}: ignored: {', '.join(recording.ignored_fields)}")
    calibration, calibration_told = measurement.calibrate(notes)
    test = measurement.describe_phase(Phase.TEST, calibration)
    if test is None:
        notes.append(
            "no test rows: what a calibration gives is calibration.accuracy_deg alone, each dot held against the others"
        )
    return {
        "recording": recording.folder.resolve().name,
        "model_sha256": model.digest,
        "screen": asdict(recording.screen),
        "camera": asdict(camera) | {"vertical_fov_from": fov_from},
        "defaults_used": _find_defaults(recording, fov_from),
        "distance_mm": {"given": recording.distance_mm, "estimated_median": measurement.median_distance_mm()},
        "frames": measurement.count_frames() | {"files_without_a_row": len(recording.files_without_row)},
        "test": test,
        "calibration": calibration_told,
        "calibration_dots": measurement.describe_phase(Phase.CALIBRATION, None),
        "five_dots": measurement.calibrate_with_five(notes),
        "by_target": measurement.describe_targets(calibration),
        "notes": notes,
    }


def hold_against_targets(
    directions_deg: Floats,
    origin_mm: Floats,
    targets: Sequence[GazePoint],
    numbers: Sequence[int],
    *,
    screen: Screen,
    camera: Camera,
) -> Errors:
    """Return how far gaze is from what was looked at.

    Args:
        directions_deg: gaze_x and gaze_y, shape (n, 2).
        origin_mm: Where the rays start: the estimated midpoint between the eyes, shape (n, 3).
        targets: What was looked at in each frame.
        numbers: Of the targets, the same for all frames of one.
        screen: The person's.
        camera: Likewise.
    """
    true = [direction_to(target, origin, screen, camera) for target, origin in zip(targets, origin_mm, strict=True)]
    true_deg = np.array([(each.gaze_x_deg, each.gaze_y_deg) for each in true]).reshape(-1, 2)
    offset_deg = directions_deg - true_deg
    offset_deg[:, 0] *= np.cos(np.radians(true_deg[:, 1]))
    angles_deg = [
        visual_angle_deg(GazeDirection(*found), truth)
        for found, truth in zip(directions_deg.tolist(), true, strict=True)
    ]
    points = locate_gaze(directions_deg, origin_mm, screen=screen, camera=camera)
    offset_mm = [
        (math.nan, math.nan)
        if point is None
        else ((point.x - target.x) * screen.width_mm, (target.y - point.y) * screen.height_mm)
        for point, target in zip(points, targets, strict=True)
    ]
    return Errors(
        target=np.array(numbers, dtype=np.int64),
        angular_deg=np.array(angles_deg, dtype=np.float64),
        offset_deg=offset_deg,
        offset_mm=np.array(offset_mm, dtype=np.float64).reshape(-1, 2),
    )


def describe_errors(errors: Errors, screen: Screen) -> dict[str, Any]:
    """Return errors as they are printed: of single frames, and of each target's median gaze, mean over targets.

    `precision_deg` is the root mean square angle between single frames and their target's mean; a target with a single
    frame has none. Numbers that nothing says anything about are None.
    """
    px_per_mm = np.array([screen.width_px / screen.width_mm, screen.height_px / screen.height_mm])
    hits = ~np.isnan(errors.offset_mm[:, 0])
    on_screen = errors.of(hits)
    medians_deg = _medians(errors.offset_deg, errors.target)
    medians_mm = _medians(on_screen.offset_mm, on_screen.target)
    right_deg, up_deg = medians_deg.mean(axis=0).tolist() if len(medians_deg) else (None, None)
    return {
        "error_deg": _spread(errors.angular_deg, digits=2),
        "error_mm": _spread(np.linalg.norm(on_screen.offset_mm, axis=1), digits=1),
        "error_px": _spread(np.linalg.norm(on_screen.offset_mm * px_per_mm, axis=1), digits=1),
        "error_of_median_gaze_deg": _mean(np.linalg.norm(medians_deg, axis=1), digits=2),
        "error_of_median_gaze_mm": _mean(np.linalg.norm(medians_mm, axis=1), digits=1),
        "error_of_median_gaze_px": _mean(np.linalg.norm(medians_mm * px_per_mm, axis=1), digits=1),
        "offset_right_deg": _round(right_deg, 2),
        "offset_up_deg": _round(up_deg, 2),
        "precision_deg": _round(_precision_deg(errors), 2),
        "rays_that_miss_the_screen_plane": int((~hits).sum()),
    }


def fit_field_of_view(faces: Sequence[Landmarks], distance_mm: float) -> float | None:
    """Return the vertical field of view at which the faces' median distance is the given one; None without a face.

    The distance is nearly proportional to the focal length in pixels, so a few steps with that rule find it.

    Args:
        faces: In pictures of one camera.
        distance_mm: From the camera to the midpoint between the eyes.

    Raises:
        RecordingError: No field of view between 10 and 150 degrees does.
    """
    half_tangent = math.tan(math.radians(Camera().vertical_fov_deg) / 2)
    for _ in range(_FOV_STEPS):
        fov_deg = 2 * math.degrees(math.atan(half_tangent))
        if not FOV_LIMITS_DEG[0] <= fov_deg <= FOV_LIMITS_DEG[1]:
            low, high = FOV_LIMITS_DEG
            raise RecordingError(
                [f"{DESCRIPTION}: distance_mm: no field of view from {low:g} to {high:g} degrees puts the eyes there"]
            )
        median_mm = _median_distance_mm(faces, fov_deg)
        if median_mm is None:
            return None
        if abs(median_mm / distance_mm - 1) < _FOV_TOLERANCE:
            break
        half_tangent *= median_mm / distance_mm
    return fov_deg


def report_recording(folder: Path, model_path: Path) -> None:
    """Measure the model on a recording and print the report as JSON; nothing is written.

    Args:
        folder: Of the recording.
        model_path: Of the model; its card lies beside it.

    Raises:
        SystemExit: The recording, the model or the landmarker cannot be used; it says why on stderr.
    """
    try:
        recording = load_recording(folder)
        landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=LANDMARKER_WAIT_S)
        try:
            report = measure_recording(recording, landmarker, load_gaze_model(model_path))
        finally:
            landmarker.close()
    except (RecordingError, GazeError, OSError) as error:
        raise SystemExit(str(error)) from error
    print(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False))


def _read_description(folder: Path, problems: list[str]) -> dict[str, Any]:
    """Return what `recording.json` says; what is wrong is added to the problems."""
    try:
        text = (folder / DESCRIPTION).read_bytes()
        described = parse_json(text.removeprefix(codecs.BOM_UTF8), DESCRIPTION)
    except OSError as error:
        problems.append(f"{DESCRIPTION} cannot be read: {error.strerror}; with {{}} in it all defaults count")
        return {}
    except BadRequestError as error:
        problems.append(str(error))
        return {}
    if not isinstance(described, dict):
        problems.append(f"{DESCRIPTION} must be an object")
        return {}
    return described


def _validate_parts(description: Mapping[str, Any], problems: list[str]) -> FrameMetadata | None:
    """Return screen and camera as the service takes them from a request; None when it would refuse them."""
    parts = {name: description[name] for name in ("screen", "camera") if name in description}
    try:
        return parse_json_request(json.dumps(_REQUEST | parts).encode()).metadata
    except BadRequestError as error:
        problems += [f"{DESCRIPTION}: {problem.field} {problem.detail}" for problem in error.fields]
        return None


def _validate_distance(description: Mapping[str, Any], problems: list[str]) -> float | None:
    value = description.get("distance_mm")
    if value is None:
        return None
    low, high = DISTANCE_LIMITS_MM
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        problems.append(f"{DESCRIPTION}: distance_mm must be a number from {low:g} to {high:g}")
        return None
    return float(value)


def _find_ignored(description: Mapping[str, Any]) -> tuple[str, ...]:
    ignored = sorted(set(description) - {"screen", "camera", "distance_mm"})
    for name, part in (("screen", ScreenPart), ("camera", CameraPart)):
        ignored += [f"{name}.{key}" for key in sorted(set(description.get(name) or ()) - set(part.model_fields))]
    return tuple(ignored)


def _find_defaults(recording: Recording, fov_from: str) -> list[str]:
    """Return the fields whose default counts because nobody gave them."""
    fields = [f"screen.{key}" for key in ScreenPart.model_fields] + [f"camera.{key}" for key in CameraPart.model_fields]
    found = {"camera.vertical_fov_deg"} if fov_from != "default" else set()
    return [field for field in fields if field not in recording.given | found]


def _list_pictures(folder: Path) -> frozenset[str] | None:
    """Return the names of the files in `frames/`; None when there is no such folder."""
    if not (folder / FRAMES).is_dir():
        return None
    return frozenset(path.name for path in (folder / FRAMES).iterdir() if path.is_file())


def _read_rows(folder: Path, pictures: frozenset[str] | None, problems: list[str]) -> list[Row]:
    """Return the rows of `targets.csv`; what is wrong is added to the problems.

    Args:
        folder: Of the recording.
        pictures: Files in `frames/`; None when it is missing, which is a problem by itself.
        problems: Grows.
    """
    try:
        lines = csv.reader(io.StringIO((folder / TARGETS).read_text("utf-8-sig"), newline=""), strict=True)
    except OSError as error:
        problems.append(f"{TARGETS} cannot be read: {error.strerror}")
        return []
    except UnicodeDecodeError:
        problems.append(f"{TARGETS} is not UTF-8")
        return []
    rows: list[Row] = []
    seen_at: dict[str, int] = {}
    columns: list[str] = []
    try:
        columns = [name.strip() for name in next(lines, [])]
        wrong = [name for name in COLUMNS if columns.count(name) != 1]
        if wrong:
            problems.append(
                f"{TARGETS}, line 1: must name the columns {','.join(COLUMNS)}, each once; not so: {', '.join(wrong)}"
            )
            return []
        for values in lines:
            if not any(value.strip() for value in values):
                continue
            where = f"{TARGETS}, line {lines.line_num}"
            if len(values) != len(columns):
                problems.append(f"{where}: has {len(values)} values, line 1 has {len(columns)}")
                continue
            named = dict(zip(columns, (value.strip() for value in values), strict=True))
            row, wrong = _read_row(named, pictures)
            name = named["frame"]
            if name in seen_at:
                wrong.append(f"frame {name} is in line {seen_at[name]} already")
            seen_at.setdefault(name, lines.line_num)
            problems += [f"{where}: {each}" for each in wrong]
            if row is not None:
                rows.append(row)
    except csv.Error as error:
        problems.append(f"{TARGETS}, line {lines.line_num}: {error}")
        return rows
    if not seen_at and not problems:
        problems.append(f"{TARGETS} has no row")
    return rows


def _read_row(named: Mapping[str, str], pictures: frozenset[str] | None) -> tuple[Row | None, list[str]]:
    """Return a row by its columns' names, or None and what is wrong with it."""
    wrong: list[str] = []
    name = named["frame"]
    if not name or "/" in name or "\\" in name:
        wrong.append(f"frame must be the name of a file in {FRAMES}/")
    elif pictures is not None and name not in pictures:
        wrong.append(f"frame {name} is not in {FRAMES}/")
    place = [_read_coordinate(named[axis]) for axis in ("x", "y")]
    wrong += [
        f"{axis} must be a number from 0 to 1, a share of the screen and not pixels, not {named[axis]!r}"
        for axis, value in zip(("x", "y"), place, strict=True)
        if value is None
    ]
    if named["phase"] not in set(Phase):
        wrong.append(f"phase must be {' or '.join(Phase)}, not {named['phase']!r}")
    x, y = place
    if wrong or x is None or y is None:
        return None, wrong
    return Row(name, GazePoint(x, y), Phase(named["phase"])), wrong


def _read_coordinate(text: str) -> float | None:
    """Return a place on the screen, as the service takes dots; None for anything else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None  # NaN is neither


class _LookingOnce:
    """A landmarker that remembers what it found, so that a picture can be measured again for another camera."""

    def __init__(self, landmarker: FaceLandmarker) -> None:
        self._landmarker = landmarker
        self._found: dict[bytes, Sequence[Landmarks]] = {}

    def detect(self, frame: Frame) -> Sequence[Landmarks]:
        """Return the faces in a picture."""
        key = hashlib.sha256(repr(frame.shape).encode() + frame.tobytes()).digest()
        if key not in self._found:
            self._found[key] = self._landmarker.detect(frame)
        return self._found[key]

    def largest_faces(self) -> list[Landmarks]:
        """Return the largest face of each picture that has one."""
        return [max(faces, key=lambda face: face.area_px) for faces in self._found.values() if faces]


@dataclass(frozen=True, slots=True, eq=False)
class _SeenFrame:
    """A row and what its picture says.

    Attributes:
        row: Which.
        target: Number of its target.
        stored: What the service would keep of it; None for a picture that it would refuse.
        record: The same as the service reads it.
        distance_mm: From the camera to the eyes; None without a face.
        trouble: Why the picture is refused.
    """

    row: Row
    target: int
    stored: dict[str, Any] | None
    record: FrameRecord | None
    distance_mm: float | None
    trouble: str | None

    @property
    def measured(self) -> Measured | None:
        """What it measures; None without a usable gaze."""
        is_valid = self.record is not None and self.record.validity is Validity.OK
        return self.record.measured if is_valid and self.record is not None else None


def _look(recording: Recording, detector: GazeDetector) -> list[_SeenFrame]:
    """Return what each row's picture says."""
    numbers: dict[tuple[Phase, float, float], int] = {}
    seen = []
    for row in recording.rows:
        # As a calibration tells dots apart.
        place = (row.phase, round(row.target.x, 3), round(row.target.y, 3))
        number = numbers.setdefault(place, len(numbers))
        try:
            frame = decode_image((recording.folder / FRAMES / row.frame).read_bytes(), max_pixels=MAX_PIXELS)
        except RequestError as error:
            seen.append(_SeenFrame(row, number, None, None, None, str(error)))
            continue
        sample = detector.process_single_frame(frame)
        stored = make_record(
            sample,
            target=(row.target.x, row.target.y),
            calibration_use=str(DotUse.FIT if row.phase is Phase.CALIBRATION else DotUse.VALIDATE),
        )
        seen.append(_SeenFrame(row, number, stored, read_record(stored), sample.distance_mm, None))
    return seen


def _find_camera(recording: Recording, looking: _LookingOnce, model: GazeModel, notes: list[str]) -> tuple[Camera, str]:
    """Return the camera to measure with, and where its field of view comes from."""
    if "camera.vertical_fov_deg" in recording.given:
        return recording.camera, "given"
    if recording.distance_mm is None:
        return recording.camera, "default"
    # Any camera will do to have every picture looked at.
    _look(recording, GazeDetector(looking, model, screen=recording.screen, camera=recording.camera))
    fov_deg = fit_field_of_view(looking.largest_faces(), recording.distance_mm)
    if fov_deg is None:
        notes.append("no face in any picture: the field of view could not be fitted to distance_mm")
        return recording.camera, "default"
    return replace(recording.camera, vertical_fov_deg=round(fov_deg, 2)), FITTED


def _doubt_distance(
    given_mm: float | None, estimated_mm: float | None, vertical_fov_deg: float, fov_from: str
) -> list[str]:
    """Return what makes the field of view or the distance doubtful."""
    notes = []
    if given_mm and estimated_mm and abs(estimated_mm / given_mm - 1) > DISTANCE_DOUBT:
        notes.append(
            f"distance_mm is {given_mm:.0f}, but faces look as if {estimated_mm:.0f} mm away: "
            "the field of view or the distance is wrong"
        )
    low_deg, high_deg = USUAL_FOV_DEG
    if fov_from == FITTED and not low_deg <= vertical_fov_deg <= high_deg:
        notes.append(f"no webcam sees {vertical_fov_deg:.0f} degrees from top to bottom: distance_mm is wrong")
    return notes


@dataclass(frozen=True, slots=True, eq=False)
class _Measurement:
    """A recording that has been looked at.

    Attributes:
        screen: The person's.
        camera: Likewise.
        model: The generic one.
        frames: One for each row.
    """

    screen: Screen
    camera: Camera
    model: GazeModel
    frames: Sequence[_SeenFrame]

    def count_frames(self) -> dict[str, Any]:
        """Return how many frames there are, by what they are good for."""
        reasons = Counter(
            "unreadable" if frame.stored is None else str(frame.stored["validity"]) for frame in self.frames
        )
        flags = Counter(flag for frame in self.frames if frame.stored for flag in frame.stored.get("flags", ()))
        return {
            "rows": len(self.frames),
            "valid": reasons[Validity.OK],
            "invalid": {
                reason: reasons[reason]
                for reason in (Validity.NO_FACE, Validity.EYES_CLOSED, Validity.LOW_QUALITY, "unreadable")
            },
            "flags": dict(sorted(flags.items())),
        }

    def median_distance_mm(self) -> float | None:
        """Return how far the eyes are estimated to be from the camera, over all frames with a face."""
        return _median([frame.distance_mm for frame in self.frames])

    def calibrate(self, notes: list[str]) -> tuple[Calibration | None, dict[str, Any] | None]:
        """Return the calibration that the service makes of the dots, and what it tells of it; None without dots."""
        fitting = [frame for frame in self.frames if frame.row.phase is Phase.CALIBRATION]
        if not fitting:
            notes.append("no calibration rows: nothing is calibrated")
            return None, None
        if sum(frame.measured is not None for frame in fitting) > MAX_LOOKS:
            notes.append(f"only the first {MAX_LOOKS} valid calibration frames count, as in the service")
        calibration, told = self._calibrate_with(self.frames)
        if calibration.correction is None:
            notes.append("the calibration is not used (calibration.reason): the calibrated errors are the generic ones")
        return calibration, told

    def calibrate_with_five(self, notes: list[str]) -> dict[str, Any] | None:
        """Return what the middle and the corners of many dots give; None with fewer than nine usable dots."""
        usable = {
            (frame.row.target.x, frame.row.target.y): frame.target
            for frame in self.frames
            if frame.row.phase is Phase.CALIBRATION and frame.measured is not None
        }
        if len(set(usable.values())) < MANY_DOTS:
            return None
        chosen = choose_five(list(usable))
        if chosen is None:
            notes.append("five_dots: no five of the dots are the middle and the corners")
            return None
        kept = {usable[dot] for dot in chosen}
        calibration, told = self._calibrate_with(
            [frame for frame in self.frames if frame.row.phase is Phase.TEST or frame.target in kept]
        )
        test = self.describe_phase(Phase.TEST, calibration)
        return {
            "dots": [list(dot) for dot in chosen],
            "calibration": told,
            "calibrated": None if test is None else test["calibrated"],
        }

    def describe_phase(self, phase: Phase, calibration: Calibration | None) -> dict[str, Any] | None:
        """Return the errors of a phase; None when it has no rows."""
        frames = [frame for frame in self.frames if frame.row.phase is phase]
        if not frames:
            return None
        counts = {
            "targets": len({frame.target for frame in frames}),
            "targets_with_gaze": len({frame.target for frame in frames if frame.measured is not None}),
        }
        return counts | self._describe(frames, calibration)

    def describe_targets(self, calibration: Calibration | None) -> list[dict[str, Any]]:
        """Return the errors of each target; calibrated ones only where nothing was learnt."""
        by_target: dict[int, list[_SeenFrame]] = {}
        for frame in self.frames:
            by_target.setdefault(frame.target, []).append(frame)
        described = []
        for frames in by_target.values():
            row = frames[0].row
            own = calibration if row.phase is Phase.TEST else None
            described.append(
                {"phase": str(row.phase), "x": row.target.x, "y": row.target.y}
                | {"distance_mm": _median([frame.distance_mm for frame in frames])}
                | self._describe(frames, own)
            )
        return described

    def _calibrate_with(self, frames: Iterable[_SeenFrame]) -> tuple[Calibration, dict[str, Any]]:
        """Return the calibration of a session that holds these frames, tried on its test frames."""
        session = Session(
            session_id="recording",
            ip_address="",
            video_id="",
            created_at="",
            frames={number: frame.stored for number, frame in enumerate(frames, start=1) if frame.stored is not None},
            settings={"screen": asdict(self.screen), "camera": asdict(self.camera)},
        )
        calibration = calibrate_session(session, self.model)
        checked = validate_session(session, read_records(session), calibration.correction, self.model)
        return calibration, describe_calibration(calibration, checked=checked)

    def _describe(self, frames: Sequence[_SeenFrame], calibration: Calibration | None) -> dict[str, Any]:
        valid = [(frame, frame.measured) for frame in frames if frame.measured is not None]
        features, origin_mm, openness = stack_measured([measured for _, measured in valid if measured is not None])

        def describe_with(correcting: Calibration | None) -> dict[str, Any]:
            directions_deg = predict_directions(self.model, features, openness, correcting)
            errors = hold_against_targets(
                directions_deg,
                origin_mm,
                [frame.row.target for frame, _ in valid],
                [frame.target for frame, _ in valid],
                screen=self.screen,
                camera=self.camera,
            )
            return describe_errors(errors, self.screen)

        return {
            "frames": len(frames),
            "valid": len(valid),
            "generic": describe_with(None),
            "calibrated": None if calibration is None else describe_with(calibration),
        }


def choose_five(dots: Sequence[tuple[float, float]]) -> list[tuple[float, float]] | None:
    """Return the dots that stand for the middle and the corners of all; None when five such cannot be told."""
    places = np.array(dots, dtype=np.float64)
    extent = np.ptp(places, axis=0)
    if not (extent > 0).all():
        return None
    shares = (places - places.min(axis=0)) / extent
    wanted = [(0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]
    chosen = []
    for place in wanted:
        away = np.abs(shares - place).max(axis=1)
        nearest = int(away.argmin())
        if away[nearest] > CORNER_REACH:
            return None
        chosen.append(nearest)
    return [dots[index] for index in chosen] if len(set(chosen)) == len(wanted) else None


def _median_distance_mm(faces: Sequence[Landmarks], vertical_fov_deg: float) -> float | None:
    distances_mm = []
    for face in faces:
        try:
            distances_mm.append(measure_face(face, vertical_fov_deg=vertical_fov_deg).distance_mm)
        except ValueError:  # landmarks that span no face
            continue
    return float(np.median(distances_mm)) if distances_mm else None


def _medians(values: Floats, target: NDArray[np.int64]) -> Floats:
    """Return each target's median of its frames' values, shape (targets, 2)."""
    return np.array([np.median(values[target == each], axis=0) for each in np.unique(target)]).reshape(-1, 2)


def _precision_deg(errors: Errors) -> float | None:
    own = [errors.offset_deg[errors.target == each] for each in np.unique(errors.target)]
    squares = [((frames - frames.mean(axis=0)) ** 2).sum(axis=1) for frames in own if len(frames) > 1]
    return float(np.sqrt(np.concatenate(squares).mean())) if squares else None


def _spread(values: Floats, *, digits: int) -> dict[str, float | None]:
    if len(values) == 0:
        return {"mean": None, "median": None, "p95": None}
    found = {"mean": values.mean(), "median": np.median(values), "p95": np.percentile(values, 95)}
    return {name: _round(float(value), digits) for name, value in found.items()}


def _mean(values: Floats, *, digits: int) -> float | None:
    return _round(float(values.mean()), digits) if len(values) else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.median(known)), 1) if known else None


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
