"""The command `gaze bench frame`."""

import statistics
import time
from collections.abc import Callable

import click
import cv2
import numpy as np
from rich.table import Table

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.settings import read_settings
from gaze_core.detector import GazeDetector
from gaze_core.eye_images import eye_views
from gaze_core.features import FaceGeometry, measure_face
from gaze_core.saliency import calc
from gaze_core.types import DEFAULT_VERTICAL_FOV_DEG, EyeGazes, Frame
from gaze_tools.command_line import console
from gaze_tools.sample_clip import SAMPLE, read_frames


@click.command()
@click.option("--repeats", type=click.IntRange(min=1), default=200, show_default=True, help="Runs of each step.")
def frame(repeats: int) -> None:
    """Time the steps of one frame.

    Prints medians, and ratios to landmark detection in the same run.
    """
    cv2.setNumThreads(1)  # as in the function
    settings = read_settings({"MONGO_URI": "mongodb://127.0.0.1"})
    landmarker = MediapipeFaceLandmarker(settings.face_landmarker_model, landmarkers=1, wait_s=10.0)
    model = load_gaze_model(settings.gaze_model)
    network = OpencvEyeNetwork(settings.eye_network)
    detector = GazeDetector(landmarker, model, eye_network=network)
    image = next(read_frames(str(SAMPLE / "clip.mp4"), 1))
    large = _enlarge(image)
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    (landmarks,) = landmarker.detect(image)
    (large_landmarks,) = landmarker.detect(large)
    geometry, large_geometry = measure_face(landmarks), measure_face(large_landmarks)
    features = np.array([geometry.features])
    generator = np.random.default_rng(0)
    bytes_map = generator.integers(0, 256, (270, 480), dtype=np.uint8)
    float_map = generator.random((480, 640))
    steps: dict[str, Callable[[], object]] = {
        "landmarks, 640×480": lambda: landmarker.detect(image),
        "JPEG decoding": lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB),
        "eye images and network, 640×480": lambda: _estimate(network, image, geometry),
        "eye images and network, 1280×720": lambda: _estimate(network, large, large_geometry),
        "features": lambda: measure_face(landmarks),
        "model, one row": lambda: model.predict(features),
        "features and model": lambda: model.predict(np.array([measure_face(landmarks).features])),
        "image to point of gaze": lambda: detector.process_single_frame(image),
        "score on a 270×480 uint8 map": lambda: calc([[0.5, 0.5]], bytes_map),
        "score on a 480×640 float map": lambda: calc([[0.5, 0.5]], float_map),
    }
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    # Interleaved, so that a change of the machine's speed affects all steps alike.
    for repeat in range(repeats + 5):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if repeat >= 5:
                times_ms[name].append(1000 * (time.perf_counter() - started))
    baseline_ms = statistics.median(times_ms["landmarks, 640×480"])
    table = Table(title=f"Median of {repeats} runs each", title_justify="left")
    for column in ("step", "ms", "ratio to landmarks"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, values in times_ms.items():
        median_ms = statistics.median(values)
        table.add_row(name, f"{median_ms:.2f}", f"{median_ms / baseline_ms:.3f}")
    console.print(table)
    landmarker.close()


def _estimate(network: OpencvEyeNetwork, image: Frame, geometry: FaceGeometry) -> EyeGazes:
    height_px, width_px = image.shape[:2]
    return network.estimate(image, eye_views(geometry, width_px, height_px, DEFAULT_VERTICAL_FOV_DEG))


def _enlarge(image: Frame) -> Frame:
    """Return the image as the middle of a larger one, 1280 × 720 px, at the same share of the height."""
    scaled = cv2.resize(image, (960, 720), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.copyMakeBorder(scaled, 0, 0, 160, 160, cv2.BORDER_REPLICATE), dtype=np.uint8)
