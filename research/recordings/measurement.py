"""Measures the gaze model on a recording of a person who looks at known places of a screen.

    python -m research.evaluation --recording DIR

`docs/recordings.md` says what such a folder holds and explains every number. A recording goes the way that frames go
in the service: the same decoding, detector, records of a session and calibration made from them. Nothing is left out of
the errors but frames that have no gaze, and those are counted by the reason why.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.session.frame_record import stack_measured
from func.session.gaze_track import read_records
from func.session.viewer_calibration import MAX_LOOKS, calibrate_session, describe_calibration, validate_session
from gaze_core.calibration import Calibration
from gaze_core.detector import GazeDetector, predict_directions
from gaze_core.errors import GazeError
from gaze_core.ports import FaceLandmarker, GazeModel, Session
from gaze_core.types import Camera, Screen, Validity
from models import FACE_LANDMARKER_PATH
from research.recordings.camera import doubt_distance, find_camera, find_defaults
from research.recordings.errors import describe_errors, hold_against_targets, median
from research.recordings.frames import LookingOnce, SeenFrame, look
from research.recordings.recording import DESCRIPTION, Phase, Recording, RecordingError, load_recording

MANY_TARGETS = 9
"""From so many dots on it is also told what five of them give."""

CORNER_REACH = 0.25
"""How far a dot that stands for a corner or the middle of all dots may be from it, as a share of their extent."""

LANDMARKER_WAIT_S = 60.0


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
    looking = LookingOnce(landmarker)
    camera, fov_from = find_camera(recording, looking, model, notes)
    detector = GazeDetector(looking, model, screen=recording.screen, camera=camera)
    measurement = _Measurement(recording.screen, camera, model, look(recording, detector))
    notes += [f"{frame.row.frame} cannot be read: {frame.trouble}" for frame in measurement.frames if frame.trouble]
    notes += doubt_distance(recording.distance_mm, measurement.median_distance_mm(), camera.vertical_fov_deg, fov_from)
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
        "defaults_used": find_defaults(recording, fov_from),
        "distance_mm": {"given": recording.distance_mm, "estimated_median": measurement.median_distance_mm()},
        "frames": measurement.count_frames() | {"files_without_a_row": len(recording.files_without_row)},
        "test": test,
        "calibration": calibration_told,
        "calibration_dots": measurement.describe_phase(Phase.CALIBRATION, None),
        "five_dots": measurement.calibrate_with_five(notes),
        "by_target": measurement.describe_targets(calibration),
        "notes": notes,
    }


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
    frames: Sequence[SeenFrame]

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
        return median([frame.distance_mm for frame in self.frames])

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
        if len(set(usable.values())) < MANY_TARGETS:
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
        by_target: dict[int, list[SeenFrame]] = {}
        for frame in self.frames:
            by_target.setdefault(frame.target, []).append(frame)
        described = []
        for frames in by_target.values():
            row = frames[0].row
            own = calibration if row.phase is Phase.TEST else None
            described.append(
                {"phase": str(row.phase), "x": row.target.x, "y": row.target.y}
                | {"distance_mm": median([frame.distance_mm for frame in frames])}
                | self._describe(frames, own)
            )
        return described

    def _calibrate_with(self, frames: Iterable[SeenFrame]) -> tuple[Calibration, dict[str, Any]]:
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

    def _describe(self, frames: Sequence[SeenFrame], calibration: Calibration | None) -> dict[str, Any]:
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
