"""Accept maps that were made elsewhere: their value range, and maps that turn out flat."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.types import SaliencyMap
from gaze_tools.saliency.check import describe_frames
from gaze_tools.saliency.pixels import quantise
from gaze_tools.saliency.value_range import Form, Normalisation, normalise

FLAT = "flat: all pixels are equal, so no gaze can hit them"


class FlatMapsError(ValueError):
    """All maps of a video are flat."""


class Intake:
    """Turns maps into the stored form, and remembers what was done to them."""

    def __init__(self, how: Normalisation = Normalisation.AUTO) -> None:
        self._how = how
        self._accepted = 0
        self._changed: dict[Form, list[int]] = defaultdict(list)
        self._flat: list[int] = []
        self._lost: list[int] = []

    def accept(self, number: int, found: SaliencyMap | SaliencyMapError) -> NDArray[np.uint8]:
        """Return a map as it is stored.

        Raises:
            ValueError: The map is neither uint8 nor floats from 0 to 1, with normalisation off.
            SaliencyMapError: The map is unusable.
        """
        if isinstance(found, SaliencyMapError):
            raise found
        values, form = normalise(found, self._how)
        pixels = quantise(values)
        self._accepted += 1
        if form is not None:
            self._changed[form].append(number)
        if pixels.min() == pixels.max():
            (self._flat if found.min() == found.max() else self._lost).append(number)
        return pixels

    def describe_changes(self) -> str | None:
        """Return one line about the maps whose values were changed; None if none was."""
        if not self._changed:
            return None
        parts = [f"{form} (frames {describe_frames(numbers)})" for form, numbers in self._changed.items()]
        off = "" if self._how is Normalisation.EACH else " --normalise=off stores values as they are."
        return f"Normalised {sum(map(len, self._changed.values()))} maps: {'; '.join(parts)}.{off}"

    def describe_flat(self) -> list[str]:
        """Return a line for each kind of flat map.

        Raises:
            FlatMapsError: All maps are flat.
        """
        if self._accepted and len(self._flat) + len(self._lost) == self._accepted:
            raise FlatMapsError(
                f"all {self._accepted} maps are {FLAT}, and a score would be invalid. Nothing was stored"
                + ("; without --normalise=off, small values are rescaled" if self._lost else "")
            )
        lines = []
        if self._flat:
            lines.append(f"{len(self._flat)} maps are {FLAT}: frames {describe_frames(self._flat)}")
        if self._lost:
            lines.append(
                f"{len(self._lost)} maps become {FLAT}, because their values differ by less than 1/255: "
                f"frames {describe_frames(self._lost)}"
            )
        return lines
