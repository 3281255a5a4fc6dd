"""Bring the values of maps that were made elsewhere into the range that is stored: uint8, or floats from 0 to 1.

Every rescaling is linear within its map, except for logarithms of densities. So it changes neither the order of the
pixels, on which hits depend, nor the values in standard deviations, on which NSS depends.
"""

import enum
import math

import numpy as np
from numpy.typing import NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.types import SaliencyMap

FAINT = 0.25
"""Floats whose largest value is below this would keep fewer than 64 of the 255 levels. So would maps whose values, once
they are at most 1, differ by less than this."""

NOISE = 1 / 255
"""Maps whose values differ by less than this share of the largest are flat but for noise."""

LOG_TOLERANCE = 0.05
"""Deviation from 1 of the sum of a density whose logarithms were rounded or resized."""

_LOG_BASES = (math.e, 10.0, 2.0)


class Normalisation(enum.StrEnum):
    """What to do about values outside the stored range."""

    AUTO = "auto"
    EACH = "each"
    OFF = "off"


class Form(enum.StrEnum):
    """Form of a map's values that is not the stored one, and how it is changed."""

    MASK = "boolean masks became 0 and 1"
    INTEGERS = "integers were divided by the largest value of their map"
    LARGE = "floats above 1 were divided by the largest value of their map"
    FAINT = "floats far below 1, such as densities, were divided by the largest value of their map"
    NARROW = "maps whose values differ little were stretched from their lowest to their highest value"
    LOG_DENSITY = "logarithms of densities became densities, divided by the largest value of their map"
    SIGNED = "maps with negative values were stretched from their lowest to their highest value"
    DIVIDED = "values were divided by the largest value of their map"


def normalise(values: SaliencyMap, how: Normalisation) -> tuple[SaliencyMap, Form | None]:
    """Return a map in the stored range, and the form that it had; None if it is unchanged.

    Args:
        values: Map of any type, shape (height, width).
        how: `AUTO` changes only what cannot be stored well, `EACH` divides every map by its largest value, `OFF`
            changes nothing.

    Raises:
        SaliencyMapError: The map has values that are not numbers.
    """
    if how is Normalisation.OFF or values.size == 0:
        return values, None
    if how is Normalisation.EACH:
        return _divide(values), Form.DIVIDED
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255), Form.MASK
    if np.issubdtype(values.dtype, np.floating):
        return _normalise_floats(values)
    if values.dtype != np.uint8 and np.issubdtype(values.dtype, np.integer):
        return _normalise_integers(values)
    return values, None


def _normalise_integers(values: SaliencyMap) -> tuple[SaliencyMap, Form]:
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0:
        return _stretch(values), Form.SIGNED
    return (_stretch(values), Form.NARROW) if _is_narrow(lowest, highest) else (_divide(values), Form.INTEGERS)


def _normalise_floats(values: SaliencyMap) -> tuple[SaliencyMap, Form | None]:
    undefined = int(np.isnan(values).sum())
    if undefined:
        raise SaliencyMapError(f"{undefined} of {values.size} values are not finite (NaN)")
    lowest, highest = float(values.min()), float(values.max())
    if lowest < 0:
        density = _undo_logarithm(values)
        if density is not None:
            return _divide(density), Form.LOG_DENSITY
        return (_stretch(values), Form.SIGNED) if math.isfinite(lowest) and math.isfinite(highest) else (values, None)
    if _is_narrow(lowest, highest):
        return _stretch(values), Form.NARROW
    if 1 < highest < math.inf:
        return _divide(values), Form.LARGE
    return (_divide(values), Form.FAINT) if 0 < highest < FAINT else (values, None)


def _is_narrow(lowest: float, highest: float) -> bool:
    """Return whether a map without negative values would keep fewer than 64 levels unless it is stretched."""
    if not 0 < highest < math.inf:
        return False
    is_kept = FAINT <= highest <= 1
    return NOISE * highest <= highest - lowest < FAINT * (1 if is_kept else highest)


def _undo_logarithm(values: SaliencyMap) -> NDArray[np.float64] | None:
    """Return the density that a map is the logarithm of; None if it is not a logarithm.

    It is one if it contains the logarithm of 0, or if the density sums to 1 in one of the usual bases.
    """
    if values.min() == -math.inf and values.max() < math.inf:
        shifted: NDArray[np.float64] = np.exp(values.astype(np.float64) - float(values.max()))
        return shifted if values.max() > -math.inf else None
    if not values.max() < math.log(1 + LOG_TOLERANCE):
        return None
    for base in _LOG_BASES:
        density: NDArray[np.float64] = np.exp(values.astype(np.float64) * math.log(base))
        if abs(float(density.sum()) - 1) <= LOG_TOLERANCE:
            return density
    return None


def _divide(values: SaliencyMap) -> SaliencyMap:
    """Return a map divided by its largest value; unchanged if that is not positive and finite."""
    floats = values.astype(np.float64)
    highest = float(floats.max(initial=0))
    divided: SaliencyMap = floats / highest if np.isfinite(highest) and highest > 0 else floats
    return divided


def _stretch(values: SaliencyMap) -> SaliencyMap:
    """Return a map moved and scaled to 0..1; all 0 if it is flat."""
    floats = values.astype(np.float64)
    span = float(np.ptp(floats))
    stretched: SaliencyMap = (floats - floats.min()) / span if span > 0 else np.zeros_like(floats)
    return stretched
