"""Models that make saliency maps of videos: `make_model` returns one by its name.

From the papers, in numpy and OpenCV: OpenCV's own saliency module is in the contrib build alone, which needs libGL,
and the collections of models want Matlab or weights to be downloaded.
"""

from collections.abc import Callable, Mapping

from gaze_tools.saliency.models.centre_bias import CentreBias
from gaze_tools.saliency.models.faces import FaceAwareModel
from gaze_tools.saliency.models.itti_koch import IttiKoch
from gaze_tools.saliency.models.model import SaliencyModel
from gaze_tools.saliency.models.spectral_residual import SpectralResidual

MODELS: Mapping[str, Callable[[], SaliencyModel]] = {
    "spectral_residual": SpectralResidual,
    "itti_koch": IttiKoch,
    "centre_bias": CentreBias,
}


WITHOUT_FACES = ("centre_bias",)
"""Models that never get the face channel: a baseline that looks at no frame."""


def make_model(name: str, *, faces: bool = True) -> SaliencyModel:
    """Return a new model.

    Args:
        name: Name of the model.
        faces: Whether faces are salient; `start` then raises `LandmarkerError` where MediaPipe cannot run.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in MODELS:
        raise ValueError(f"unknown saliency model {name!r}; available: {', '.join(MODELS)}")
    model = MODELS[name]()
    return FaceAwareModel(model) if faces and name not in WITHOUT_FACES else model
