"""Measurement of the gaze model on a recording of a person who fixates known targets.

    python -m research.evaluation --recording DIR

docs/recordings.md describes the folder and explains every number. A recording is processed as in the service: the same
decoding, detector, session records and calibration. Only frames without a gaze are left out of the errors; they are
counted by reason.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.session.cues import stack_cues
from func.session.gaze_track import read_records
from func.session.measured import stack_measured
from func.session.target_frames import MAX_TARGET_FRAMES
from func.session.viewer_calibration import calibrate_session, describe_calibration, validate_session
from gaze_core.calibration import Calibration, WhyNot
from gaze_core.detector import GazeDetector, predict_directions
from gaze_core.features import FEATURE_NAMES
from gaze_core.ports import EyeNetwork, FaceLandmarker, GazeModel, Session
from gaze_core.types import Camera, Screen, Validity
from models import FACE_LANDMARKER_PATH
from research.estimates import ESTIMATES
from research.recordings.camera import check_distance, find_camera, find_defaults
from research.recordings.errors import compare_with_targets, describe_errors, median
from research.recordings.frames import CachedLandmarker, MeasuredFrame, measure_frames
from research.recordings.recording import DESCRIPTION, Recording, RecordingError, RecordingPhase, load_recording

MIN_TARGETS_FOR_FIVE = 9
"""With at least this many calibration targets, the result with five of them is reported, too."""

CORNER_REACH = 0.25
"""Maximum distance of a target from the corner or centre for which it stands, as a share of the targets' extent."""

LANDMARKER_WAIT_S = 60.0

MAX_TURNED_SHARE = 0.5
"""A recording in which more of the faces are turned is refused."""


def measure_recording(
    recording: Recording, landmarker: FaceLandmarker, model: GazeModel, *, network: EyeNetwork | None = None
) -> dict[str, Any]:
    """Return the report of `--recording`, JSON values only.

    Args:
        recording: The recording.
        landmarker: Landmarker; called once per image.
        model: The uncalibrated model; the recording's own targets calibrate it.
        network: Eye network; None leaves its estimate out.

    Raises:
        RecordingError: No field of view gives the recording's `distance_mm`, or its images are turned.
        OSError: An image cannot be read.
        LandmarkerError: The engine failed.
    """
    notes: list[str] = []
    cached = CachedLandmarker(landmarker)
    camera, fov_from = find_camera(recording, cached, model, notes)
    detector = GazeDetector(cached, model, screen=recording.screen, camera=camera, eye_network=network)
    frames = measure_frames(recording, detector, cached, network=network)
    measurement = _Measurement(recording.screen, camera, model, frames)
    measurement.require_upright()
    notes += [f"{frame.row.frame} cannot be read: {frame.problem}" for frame in measurement.frames if frame.problem]
    notes += check_distance(recording.distance_mm, measurement.median_distance_mm(), camera.vertical_fov_deg, fov_from)
    if recording.ignored_fields:
        notes.append(f"{DESCRIPTION}: ignored fields: {', '.join(recording.ignored_fields)}")
    calibration, calibration_report = measurement.calibrate(notes)
    test = measurement.describe_phase(RecordingPhase.TEST, calibration)
    if test is None:
        notes.append("no test rows: calibration.accuracy_deg, from targets left out of the fit, is the only estimate")
    return {
        "recording": recording.folder.resolve().name,
        "model_sha256": model.digest,
        "network_sha256": None if network is None else network.digest,
        "screen": asdict(recording.screen),
        "camera": asdict(camera) | {"vertical_fov_from": fov_from},
        "defaults_used": find_defaults(recording, fov_from),
        "distance_mm": {"given": recording.distance_mm, "estimated_median": measurement.median_distance_mm()},
        "frames": measurement.count_frames() | {"files_without_a_row": len(recording.files_without_row)},
        "test": test,
        "calibration": calibration_report,
        "calibration_targets": measurement.describe_phase(RecordingPhase.CALIBRATION, None),
        "five_targets": measurement.calibrate_with_five(notes),
        "by_estimate": measurement.describe_estimates(),
        "by_target": measurement.describe_targets(calibration),
        "notes": notes,
    }


def report_recording(folder: Path, model_path: Path, *, network_path: Path | None = None) -> None:
    """Measure the model on a recording and print the report as JSON; nothing is written.

    The errors at the validation targets follow on standard error, because a terminal shows the end of the report only.

    Args:
        folder: Folder of the recording.
        model_path: Model file; its card lies beside it.
        network_path: Eye network; its card lies beside it. None leaves its estimate out.

    Raises:
        RecordingError: The folder is not a valid recording, or no field of view gives its `distance_mm`.
        OSError: A file cannot be read.
        GazeError: The model, the network or the landmarker cannot be used.
    """
    recording = load_recording(folder)
    network = None if network_path is None else OpencvEyeNetwork(network_path)
    landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=LANDMARKER_WAIT_S)
    try:
        report = measure_recording(recording, landmarker, load_gaze_model(model_path), network=network)
    finally:
        landmarker.close()
    click.echo(json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False))
    if (summary := summarise_validation(report)) is not None:
        click.echo(summary, err=True)


def summarise_validation(report: Mapping[str, Any]) -> str | None:
    """Return a line with the errors at the validation targets of a report; None without validation targets."""
    calibration = report["calibration"]
    validation = calibration and calibration["validation"]
    if not validation:
        return None
    calibrated = f"{validation['accuracy_deg']}°" if calibration["used"] else f"not used ({calibration['reason']})"
    return (
        f"Error at {validation['dots']} validation targets: {validation['generic_accuracy_deg']}° uncalibrated; "
        f"calibration: {calibrated}."
    )


_POSE = slice(FEATURE_NAMES.index("head_rotation_x"), len(FEATURE_NAMES))
"""Head angles and distance among the features."""


class _EstimateAsModel:
    """Gaze model that returns one of the estimates of the frames that have the given head pose and distance.

    It lets the service's own code calibrate and measure an estimate on its own. The gaze vector does not identify a
    frame: it is fused again from other estimates.
    """

    estimates = ("landmarks",)  # nothing else would enter features that are not used

    def __init__(self, name: str, frames: Sequence[MeasuredFrame]) -> None:
        self.digest = name
        self._directions_deg = {
            np.array(frame.measured.features, dtype=np.float64)[_POSE].tobytes(): frame.estimates.directions_deg[name]
            for frame in frames
            if frame.measured is not None and frame.estimates is not None
        }

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the estimates of these frames, camera frame, degrees, shape (n, 2)."""
        return np.array([self._directions_deg[row.tobytes()] for row in features[:, _POSE]]).reshape(-1, 2)


@dataclass(frozen=True, slots=True, eq=False)
class _Measurement:
    """The measured frames of a recording.

    Attributes:
        screen: The person's screen.
        camera: The person's camera.
        model: The uncalibrated model.
        frames: Measured frame of each row.
    """

    screen: Screen
    camera: Camera
    model: GazeModel
    frames: Sequence[MeasuredFrame]

    def count_frames(self) -> dict[str, Any]:
        """Return the number of frames by validity, and by quality flag."""
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

    def require_upright(self) -> None:
        """Check that the images are upright.

        Raises:
            RecordingError: Most images with a face are turned.
        """
        with_face = [frame.stored for frame in self.frames if frame.stored and frame.stored.get("head_pose_deg")]
        turned = [stored for stored in with_face if "face_rotated" in stored.get("flags", ())]
        if len(turned) <= MAX_TURNED_SHARE * len(with_face):
            return
        # Turning an image clockwise tilts the head to the person's left.
        clockwise_deg = Counter(round(-stored["head_pose_deg"]["roll"] / 90) * 90 % 360 for stored in turned)
        ((angle_deg, _),) = clockwise_deg.most_common(1)
        counted = f"{len(turned)} of {len(with_face)} images with a face"
        raise RecordingError(
            [f"the images are turned by {angle_deg}° clockwise ({counted}): turn them back and measure again"]
        )

    def median_distance_mm(self) -> float | None:
        """Return the median estimated distance of the eyes over all frames with a face."""
        return median([frame.distance_mm for frame in self.frames])

    def calibrate(self, notes: list[str]) -> tuple[Calibration | None, dict[str, Any] | None]:
        """Return the service's calibration and its description; None without calibration rows."""
        fitting = [frame for frame in self.frames if frame.row.phase is RecordingPhase.CALIBRATION]
        if not fitting:
            notes.append("no calibration rows: only the uncalibrated gaze is measured")
            return None, None
        if sum(frame.measured is not None for frame in fitting) > MAX_TARGET_FRAMES:
            notes.append(f"only the first {MAX_TARGET_FRAMES} valid calibration frames are used, as in the service")
        calibration, description = self._calibrate_with(self.frames)
        if calibration.why_not is WhyNot.MIRRORED:
            should = "false" if self.camera.mirrored else "true"
            notes.append(
                "the gaze runs against the targets from left to right, so left and right seem to be swapped in the "
                f"images: set camera.mirrored to {should} and measure again"
            )
        if calibration.correction is None:
            notes.append("the calibration is not used (calibration.reason): calibrated errors equal uncalibrated ones")
        return calibration, description

    def calibrate_with_five(self, notes: list[str]) -> dict[str, Any] | None:
        """Return the result with the centre and corner targets alone; None with fewer than nine usable targets."""
        usable = {
            (frame.row.target.x, frame.row.target.y): frame.target
            for frame in self.frames
            if frame.row.phase is RecordingPhase.CALIBRATION and frame.measured is not None
        }
        if len(set(usable.values())) < MIN_TARGETS_FOR_FIVE:
            return None
        chosen = choose_five(list(usable))
        if chosen is None:
            notes.append("five_targets: the calibration targets do not include the centre and the corners")
            return None
        kept = {usable[target] for target in chosen}
        calibration, description = self._calibrate_with(
            [frame for frame in self.frames if frame.row.phase is RecordingPhase.TEST or frame.target in kept]
        )
        test = self.describe_phase(RecordingPhase.TEST, calibration)
        return {
            "targets": [list(target) for target in chosen],
            "calibration": description,
            "calibrated": None if test is None else test["calibrated"],
        }

    def describe_phase(self, phase: RecordingPhase, calibration: Calibration | None) -> dict[str, Any] | None:
        """Return the errors of a phase; None without rows."""
        frames = [frame for frame in self.frames if frame.row.phase is phase]
        if not frames:
            return None
        counts = {
            "targets": len({frame.target for frame in frames}),
            "targets_with_gaze": len({frame.target for frame in frames if frame.measured is not None}),
        }
        return counts | self._describe(frames, calibration)

    def describe_targets(self, calibration: Calibration | None) -> list[dict[str, Any]]:
        """Return the errors of each target; calibrated ones only for test targets."""
        by_target: dict[int, list[MeasuredFrame]] = {}
        for frame in self.frames:
            by_target.setdefault(frame.target, []).append(frame)
        described = []
        for frames in by_target.values():
            row = frames[0].row
            own = calibration if row.phase is RecordingPhase.TEST else None
            described.append(
                {"phase": str(row.phase), "x": row.target.x, "y": row.target.y}
                | {"distance_mm": median([frame.distance_mm for frame in frames])}
                | self._describe(frames, own)
            )
        return described

    def describe_estimates(self) -> dict[str, Any]:
        """Return the errors of each estimate on the test rows, uncalibrated and calibrated by itself."""
        usable = [frame for frame in self.frames if frame.measured is not None and frame.estimates is not None]
        found = {}
        for name in ESTIMATES:
            frames = [frame for frame in usable if frame.estimates and name in frame.estimates.directions_deg]
            own = replace(self, model=_EstimateAsModel(name, frames), frames=frames)
            calibration, _ = own.calibrate([])
            test = own.describe_phase(RecordingPhase.TEST, calibration)
            if test is not None:
                found[name] = test
        return found

    def _calibrate_with(self, frames: Iterable[MeasuredFrame]) -> tuple[Calibration, dict[str, Any]]:
        """Return the calibration of these frames and its description, with the test frames as validation."""
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
        return calibration, describe_calibration(calibration, checked=checked, mirrored=self.camera.mirrored).as_json()

    def _describe(self, frames: Sequence[MeasuredFrame], calibration: Calibration | None) -> dict[str, Any]:
        valid = [(frame, frame.measured) for frame in frames if frame.measured is not None]
        features, origin_mm, openness = stack_measured([measured for _, measured in valid], self.model.estimates)
        cues = stack_cues([measured for _, measured in valid], self.model.estimates)

        def describe_with(correcting: Calibration | None) -> dict[str, Any]:
            directions_deg = predict_directions(self.model, features, openness, correcting, cues)
            errors = compare_with_targets(
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
            "uncalibrated": describe_with(None),
            "calibrated": None if calibration is None else describe_with(calibration),
        }


def choose_five(targets: Sequence[tuple[float, float]]) -> list[tuple[float, float]] | None:
    """Return the targets at the centre and the corners of all targets; None if one of them is missing."""
    places = np.array(targets, dtype=np.float64)
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
    return [targets[index] for index in chosen] if len(set(chosen)) == len(wanted) else None
