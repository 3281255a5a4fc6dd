"""The map from blendshapes to a direction for rendered people.

The service reads blendshapes with `gaze_core.fusion.SHAPE_MODEL`, whose scale and level are those of real people. To
MediaPipe, rendered eyes look different: at the same gaze it sees them higher than real ones, and their lids follow up
and down less. Read with the same map, rendered people would teach the gaze model to subtract a bias that real people do
not have. So they are read with a map that is fitted to them, and the estimate is unbiased in both cases.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gaze_core.fusion import ShapeModel, split_shapes
from gaze_core.landmarks import EYE_SHAPES
from gaze_core.types import Floats
from research.training import shape_weights

RENDERED_SHAPE_MODEL = ShapeModel(
    sideways_deg=np.array(shape_weights.SIDEWAYS),
    straight_deg=shape_weights.STRAIGHT,
    upwards_deg=np.array(shape_weights.UPWARDS),
    level_deg=shape_weights.LEVEL,
)
"""The map for the committed tables."""

LOOK_IN, LOOK_OUT = EYE_SHAPES.index("look_in"), EYE_SHAPES.index("look_out")


def weigh_people(person: NDArray[np.int64]) -> Floats:
    """Return weights of images that sum to one and give every person the same, shape (n,)."""
    _, member, counts = np.unique(person, return_inverse=True, return_counts=True)
    weights: Floats = 1.0 / (len(counts) * counts[member])
    return weights


def fit_shapes(
    eye_shapes: Floats,
    true_deg: Floats,
    person: NDArray[np.int64],
    *,
    upwards: Sequence[str] = ("look_up", "look_down"),
) -> ShapeModel:
    """Return the least-squares map from blendshapes to the direction of the eyes.

    Horizontally one weight applies to how much more each eye looks out than in. Each direction has a constant.

    Args:
        eye_shapes: Blendshapes, shape (n, 2, 7).
        true_deg: True direction, head frame, shape (n, 2).
        person: Number of the person, shape (n,).
        upwards: Blendshapes that have a vertical weight, among `EYE_SHAPES`.
    """
    apart, common = split_shapes(eye_shapes)
    weights = np.sqrt(weigh_people(person))[:, None]
    ones = np.ones(len(person))
    columns = [EYE_SHAPES.index(name) for name in upwards]
    across = np.column_stack([apart[:, LOOK_OUT] - apart[:, LOOK_IN], ones]) * weights
    along = np.column_stack([common[:, columns], ones]) * weights
    aside, straight = np.linalg.lstsq(across, true_deg[:, 0] * weights[:, 0])[0].tolist()
    *vertical, level = np.linalg.lstsq(along, true_deg[:, 1] * weights[:, 0])[0].tolist()
    sideways_deg, upwards_deg = np.zeros((2, len(EYE_SHAPES)))
    sideways_deg[[LOOK_IN, LOOK_OUT]] = -aside, aside
    upwards_deg[columns] = vertical
    return ShapeModel(sideways_deg, straight, upwards_deg, level)
