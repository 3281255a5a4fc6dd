"""How long the steps of a frame take, as medians and as ratios to the landmarks of the same run.

Absolute times say as much about the machine as about the code; the ratios hold.

python -m gaze_tools.bench.frame [--repeats N]
"""

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.settings import read_settings
from gaze_core.detector import GazeDetector
from gaze_core.features import measure_face
from gaze_core.saliency import calc
from gaze_tools.demo import SAMPLE, read_frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    repeats = parser.parse_args().repeats
    settings = read_settings({"MONGO_URI": "mongodb://127.0.0.1"})
    landmarker = MediapipeFaceLandmarker(settings.face_landmarker_model, landmarkers=1, wait_s=10.0)
    model = load_gaze_model(settings.gaze_model)
    detector = GazeDetector(landmarker, model)
    frame = next(read_frames(str(SAMPLE / "clip.mp4"), 1))
    jpeg = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    (landmarks,) = landmarker.detect(frame)
    features = np.array([measure_face(landmarks).features])
    generator = np.random.default_rng(0)
    bytes_map = generator.integers(0, 256, (270, 480), dtype=np.uint8)
    float_map = generator.random((480, 640))
    steps: dict[str, Callable[[], object]] = {
        "landmarks, 640×480": lambda: landmarker.detect(frame),
        "JPEG decoding": lambda: cv2.imdecode(jpeg, cv2.IMREAD_COLOR_RGB),
        "features": lambda: measure_face(landmarks),
        "model, one row": lambda: model.predict(features),
        "features and model": lambda: model.predict(np.array([measure_face(landmarks).features])),
        "picture to gaze point": lambda: detector.process_single_frame(frame),
        "score of one 270×480 map of bytes": lambda: calc([[0.5, 0.5]], bytes_map),
        "score of one 480×640 map of floats": lambda: calc([[0.5, 0.5]], float_map),
    }
    times_ms: dict[str, list[float]] = {name: [] for name in steps}
    # In turn, so that a machine that grows slower does so for all alike.
    for repeat in range(repeats + 5):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if repeat >= 5:
                times_ms[name].append(1000 * (time.perf_counter() - started))
    baseline_ms = statistics.median(times_ms["landmarks, 640×480"])
    table = Table(title=f"Median of {repeats} runs each", title_justify="left")
    for column in ("step", "ms", "ratio to the landmarks"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, values in times_ms.items():
        median_ms = statistics.median(values)
        table.add_row(name, f"{median_ms:.2f}", f"{median_ms / baseline_ms:.3f}")
    Console().print(table)
    landmarker.close()


if __name__ == "__main__":
    main()
