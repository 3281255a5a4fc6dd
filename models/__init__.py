"""What ships: the gaze model and the face landmarker, each with its card."""

from pathlib import Path

GAZE_MODEL_PATH = Path(__file__).resolve().with_name("gaze_model.joblib")
FACE_LANDMARKER_PATH = Path(__file__).resolve().with_name("face_landmarker.task")
