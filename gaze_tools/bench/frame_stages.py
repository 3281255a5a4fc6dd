"""The stages of a frame as steps to measure, next to the baselines of the same frames."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import create_landmarker, load_mediapipe
from func.adapters.landmarker_bundle import read_bundle
from func.adapters.model_file import load_gaze_model
from func.adapters.model_onnx import load_onnx_model
from func.adapters.session_api import HttpSessionStore
from func.bootstrap import create_face_landmarker
from func.session.frame_record import digest_image, make_record
from func.settings import Settings, read_settings
from func.web.answers import answer_json
from func.web.frame_answers import AnsweredRecord, answer_frame
from func.web.images import decode_image
from func.web.request import parse_json_request
from gaze_core.detector import GazeDetector
from gaze_core.errors import LandmarkerError
from gaze_core.eye_images import eye_views
from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.features import combine_features, measure_face
from gaze_core.fusion import blendshape_gaze
from gaze_core.head_pose import estimate_head_pose
from gaze_core.ports import FaceLandmarker, GazeModel
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, Frame
from gaze_tools.bench import names
from gaze_tools.bench.bare_networks import BareNetworks
from gaze_tools.bench.frames import BenchFrame
from gaze_tools.bench.sampling import Step, timed

ENGINES = names.ENGINES
BARE_NETWORKS = names.BARE_NETWORKS
BARE_MEDIAPIPE = "bare MediaPipe"
EYETRAX = "EyeTrax"
BASELINES = (BARE_NETWORKS, BARE_MEDIAPIPE, EYETRAX)

_SESSION_ID, _VIDEO_ID, _ADDRESS = "bench-frame", "sample", "198.51.100.1"
_SHORT_CALLS = 10
"""Calls of each turn for stages of less than a tenth of a millisecond."""


@dataclass(frozen=True, slots=True)
class FrameParts:
    """What processes a frame, loaded once for all sizes.

    Attributes:
        landmarkers: Face landmarker of each engine that is installed.
        models: Gaze model by format, `joblib` and `ONNX`.
        network: Eye network.
        bundle: Path of the face landmarker bundle.
        missing: Engines that are not installed, as sentences.
    """

    landmarkers: dict[str, FaceLandmarker]
    models: dict[str, GazeModel]
    network: OpencvEyeNetwork
    bundle: Path
    missing: tuple[str, ...]

    def pick_model(self, engine: str) -> GazeModel:
        """Return the gaze model that ships with an engine: ONNX in the lite image, otherwise joblib."""
        return self.models["ONNX" if engine == "litert" else "joblib"]


def load_parts() -> FrameParts:
    """Load the shipped model files with every engine that is installed."""
    cv2.setNumThreads(1)  # as in the function
    settings = _read_settings("mediapipe")
    landmarkers: dict[str, FaceLandmarker] = {}
    missing = []
    for engine in ENGINES:
        landmarker = create_face_landmarker(_read_settings(engine))
        try:
            landmarker.warm_up()
        except LandmarkerError as error:
            missing.append(f"engine {engine}: {error}.")
        else:
            landmarkers[engine] = landmarker
    return FrameParts(
        landmarkers=landmarkers,
        models={
            "joblib": load_gaze_model(settings.gaze_model),
            "ONNX": load_onnx_model(settings.gaze_model.with_suffix(".onnx")),
        },
        network=OpencvEyeNetwork(settings.eye_network),
        bundle=settings.face_landmarker_model,
        missing=tuple(missing),
    )


def list_baselines(parts: FrameParts, frames: Sequence[BenchFrame], eyetrax: Step | None = None) -> dict[str, Step]:
    """Return the baselines on the same frames, as far as they are installed.

    Args:
        parts: Result of `load_parts`.
        frames: Frames of one size.
        eyetrax: Step of EyeTrax; None without it.
    """
    steps: dict[str, Step] = {}
    if "litert" in parts.landmarkers:
        networks = BareNetworks(frames[0].image)
        steps[BARE_NETWORKS] = timed(lambda _: networks.run())
    if "mediapipe" in parts.landmarkers:
        steps[BARE_MEDIAPIPE] = timed(_detect_with_mediapipe(parts.bundle, [frame.image for frame in frames]))
    if eyetrax is not None:
        steps[EYETRAX] = eyetrax
    return steps


def list_stages(parts: FrameParts, frames: Sequence[BenchFrame], sessions: HttpSessionStore | None) -> dict[str, Step]:
    """Return the stages of a frame, from the body of its request to that of its answer.

    Args:
        parts: Result of `load_parts`.
        frames: Frames of one size; turn n uses frame n modulo their number.
        sessions: Session API; None leaves out what needs it.
    """
    stages = _Stages(parts, frames, sessions)
    empty = np.full_like(frames[0].image, 127)
    steps = {"parse the request": timed(stages.parse), "decode the JPEG": timed(stages.decode)}
    for engine, landmarker in parts.landmarkers.items():
        steps[f"detect no face, {engine}"] = timed(_call(landmarker.detect, [empty]))
        steps[f"detect and landmarks, {engine}"] = timed(_call(landmarker.detect, stages.images))
    steps |= {
        "head pose": timed(_call(estimate_head_pose, stages.landmarks), calls=_SHORT_CALLS),
        "pose and geometry": timed(_call(measure_face, stages.landmarks)),
        "eye images and network": timed(stages.read_eyes),
        "features": timed(stages.combine, calls=_SHORT_CALLS),
        **{
            f"gaze model, {name}": timed(_call(model.predict, stages.features), calls=_SHORT_CALLS)
            for name, model in parts.models.items()
        },
        "record": timed(stages.make_record, calls=_SHORT_CALLS),
    }
    if sessions is not None:
        steps["session update"] = timed(stages.update_session)
    steps["respond"] = timed(stages.respond, calls=_SHORT_CALLS)
    for engine, detector in stages.detectors.items():
        steps[f"image to gaze, {engine}"] = timed(_call(detector.process_single_frame, stages.images))
        steps[f"request to answer, {engine}"] = timed(stages.make_request(detector))
    return steps


class _Stages:
    """Inputs of the stages, and the stages with more than one of them."""

    def __init__(self, parts: FrameParts, frames: Sequence[BenchFrame], sessions: HttpSessionStore | None) -> None:
        self._network = parts.network
        self._sessions = sessions
        self._numbers = itertools.count(1)
        self._session_id = f"{_SESSION_ID}-{frames[0].image.shape[1]}"
        self._bodies = [frame.make_body(self._session_id, at) for at, frame in enumerate(frames, start=1)]
        self._jpegs = [frame.jpeg for frame in frames]
        self.images = [frame.image for frame in frames]
        self._pixels = self.images[0].size // 3
        landmarker = next(iter(parts.landmarkers.values()))
        self.landmarks = [max(landmarker.detect(image), key=lambda face: face.area_px) for image in self.images]
        self._geometries = [measure_face(landmarks) for landmarks in self.landmarks]
        self.detectors = {
            engine: GazeDetector(each, parts.pick_model(engine), eye_network=parts.network)
            for engine, each in parts.landmarkers.items()
        }
        detector = next(iter(self.detectors.values()))
        self._samples = [detector.process_single_frame(image) for image in self.images]
        if any(sample.gaze is None for sample in self._samples):
            raise ValueError("a frame has no gaze")
        self.features = [np.array([sample.features]) for sample in self._samples]
        self._records = [self.make_record(at) for at in range(len(frames))]

    def parse(self, turn: int) -> object:
        return parse_json_request(self._bodies[turn % len(self._bodies)])

    def decode(self, turn: int) -> Frame:
        return decode_image(self._jpegs[turn % len(self._jpegs)], max_pixels=self._pixels)

    def read_eyes(self, turn: int) -> object:
        at = turn % len(self.images)
        image, geometry = self.images[at], self._geometries[at]
        views = eye_views(geometry, image.shape[1], image.shape[0], DEFAULT_VERTICAL_FOV_DEG)
        return views.to_head_frame(self._network.estimate(image, views), geometry.head_pose.head_rotation)

    def combine(self, turn: int) -> object:
        at = turn % len(self.images)
        eyes, shapes = self._samples[at].eyes, self.landmarks[at].eye_shapes
        return combine_features(
            self._geometries[at],
            EYE_REGION_MODEL,
            network=None if eyes is None else eyes.network,
            blendshapes=None if shapes is None else blendshape_gaze(shapes),
        )

    def make_record(self, turn: int) -> dict[str, Any]:
        at = turn % len(self.images)
        return make_record(
            self._samples[at], timestamp_ms=50.0 * at, video_id=_VIDEO_ID, image_digest=digest_image(self._jpegs[at])
        )

    def update_session(self, turn: int) -> object:
        return self._store(self._records[turn % len(self._records)])

    def respond(self, turn: int) -> object:
        record = self._records[turn % len(self._records)]
        return answer_json(200, answer_frame(self._session_id, turn, AnsweredRecord.model_validate(record)))

    def make_request(self, detector: GazeDetector) -> Callable[[int], object]:
        def answer(turn: int) -> object:
            parsed = parse_json_request(self._bodies[turn % len(self._bodies)])
            sample = detector.process_single_frame(decode_image(parsed.image or b"", max_pixels=self._pixels))
            digest = digest_image(parsed.image or b"")
            record = make_record(sample, video_id=parsed.metadata.video_id, image_digest=digest)
            self._store(record)
            return answer_json(200, answer_frame(self._session_id, turn, AnsweredRecord.model_validate(record)))

        return answer

    def _store(self, record: dict[str, Any]) -> object:
        if self._sessions is None:
            return None
        return self._sessions.update_session(
            self._session_id, next(self._numbers), record, ip_address=_ADDRESS, video_id=_VIDEO_ID
        )


def _call(function: Callable[[Any], object], inputs: Sequence[Any]) -> Callable[[int], object]:
    """Return a function of the turn that uses the inputs in turn."""
    return lambda turn: function(inputs[turn % len(inputs)])


def _detect_with_mediapipe(bundle: Path, images: Iterable[Frame]) -> Callable[[int], object]:
    """Return a call of MediaPipe's landmarker by its public API, with the same settings as the function's."""
    landmarker = create_landmarker(read_bundle(bundle))
    mediapipe = load_mediapipe()
    ready = list(images)

    def detect(turn: int) -> object:
        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=ready[turn % len(ready)])
        return landmarker.detect(image)

    return detect


def _read_settings(engine: str) -> Settings:
    return read_settings({"MONGO_URI": "mongodb://127.0.0.1", "FACE_LANDMARKER": engine, "LANDMARKERS": "1"})
