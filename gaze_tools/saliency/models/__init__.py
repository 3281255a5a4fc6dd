"""Models that make saliency maps of videos: `make_model` returns one by its name.

From the papers, in numpy and OpenCV: OpenCV's own saliency module is in the contrib build alone, which needs libGL,
and the collections of models want Matlab or weights to be downloaded.
"""

from collections.abc import Callable, Mapping

from gaze_tools.saliency.models.centre_bias import CentreBias
from gaze_tools.saliency.models.itti_koch import IttiKoch
from gaze_tools.saliency.models.model import SaliencyModel
from gaze_tools.saliency.models.spectral_residual import SpectralResidual

MODELS: Mapping[str, Callable[[], SaliencyModel]] = {
    "spectral_residual": SpectralResidual,
    "itti_koch": IttiKoch,
    "centre_bias": CentreBias,
}


def make_model(name: str) -> SaliencyModel:
    """Return a new model.

    Raises:
        ValueError: The name is unknown.
    """
    if name not in MODELS:
        raise ValueError(f"unknown saliency model {name!r}; available: {', '.join(MODELS)}")
    return MODELS[name]()
