"""The model files that ship, each with a card beside it.

`gaze_model.joblib` holds the two gradient boosting regressors `model_x` and `model_y`; `gaze_model.json` is its card:
intended use, limits, training data, metrics and SHA-256. `eye_network.onnx` reads the gaze from images of both eyes;
`eye_network.json` is its card. `face_landmarker.task` is MediaPipe's face landmarker bundle; `face_landmarker.json`
states its origin, licence and SHA-256. `card` reads and writes the cards of the gaze model and of the eye network.
"""

from pathlib import Path

EYE_NETWORK_PATH = Path(__file__).resolve().with_name("eye_network.onnx")
GAZE_MODEL_PATH = Path(__file__).resolve().with_name("gaze_model.joblib")
FACE_LANDMARKER_PATH = Path(__file__).resolve().with_name("face_landmarker.task")
