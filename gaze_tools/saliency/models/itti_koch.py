"""Saliency as contrast to the surroundings in intensity, colour, orientation, flicker and motion.

Sources: [1] Itti, Koch and Niebur, A Model of Saliency-Based Visual Attention for Rapid Scene Analysis, TPAMI 20, 1998;
[2] Itti, Dhavale and Pighin, Realistic avatar eye and head animation using a neurobiological model of visual attention,
SPIE 5200, 2003, which adds flicker and motion; [3] Walther and Koch, Modeling attention to salient proto-objects,
Neural Networks 19, 2006, for the colour opponency.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from gaze_tools.saliency.models.model import Floats, Frame, stretch

WORKING_WIDTH_PX = 160
"""Scale 2 of an image 640 pixels wide, the finest centre scale of [1]; the pyramids start here."""

CENTRES = (0, 1, 2)
SURROUND_STEPS = (3, 4)
MAP_LEVEL = 2
"""Pyramid level at which the maps are summed: scale 4 of [1], 40 pixels wide."""

ORIENTATIONS_DEG = (0, 45, 90, 135)
SHIFTS = ((1, 0), (1, 1), (0, 1), (-1, 1))
"""Shift of one pixel (right, down) along the normal of each orientation, for the motion detectors of [2]."""

NOISE = 0.012
"""Flicker of up to three grey levels of 255 is encoder noise."""

_LEVELS = max(CENTRES) + max(SURROUND_STEPS) + 1
_MIN_INTENSITY = 0.1

Pyramid = list[Floats]


@dataclass(frozen=True, slots=True)
class _Seen:
    """Pyramids of a frame, kept for the motion of the next: intensity, and strength of each orientation."""

    intensity: Pyramid
    orientations: list[Pyramid]


class IttiKoch:
    """Centre-surround differences in five channels; flicker and motion relate to the previous frame."""

    name = "itti_koch"
    version = 1
    source = "Itti, Koch and Niebur 1998; Itti, Dhavale and Pighin 2003"
    memory_frames = 1

    def __init__(self) -> None:
        self._size: tuple[int, int] | None = None
        self._before: _Seen | None = None
        self._kernels = [_gabor_pair(angle) for angle in ORIENTATIONS_DEG]

    def start(self, *, height: int, width: int) -> None:
        """See `SaliencyModel`."""
        self._size = (height, width)
        self._before = None

    def see(self, frame: Frame) -> None:
        """See `SaliencyModel`."""
        self._before = self._look(_shrink(frame))

    def map_frame(self, frame: Frame) -> Floats:
        """See `SaliencyModel`."""
        if self._size is None:
            raise ValueError("call start before map_frame")
        small = _shrink(frame)
        before, seen = self._before, self._look(small)
        self._before = seen
        channels = [
            _sum_contrasts([seen.intensity]),
            _sum_contrasts(_opponent_colours(small)),
            _sum_normalised([_sum_contrasts([pyramid]) for pyramid in seen.orientations]),
        ]
        if before is not None and before.intensity[0].shape == seen.intensity[0].shape:
            flicker = [_drop_noise(np.abs(now - then)) for now, then in _pairs(seen.intensity, before.intensity)]
            channels.append(_sum_contrasts([flicker]))
            motions = [
                _motion(now, then, shift)
                for now, then, shift in zip(seen.orientations, before.orientations, SHIFTS, strict=True)
            ]
            channels.append(_sum_normalised([_sum_contrasts([motion]) for motion in motions]))
        saliency = _sum_normalised(channels)
        height, width = self._size
        # Bicubic: bilinear enlargement of 40 pixels shows a grid. Overshoot below 0 is clipped.
        return stretch(np.maximum(cv2.resize(saliency, (width, height), interpolation=cv2.INTER_CUBIC), 0))

    def _look(self, small: Floats) -> _Seen:
        intensity = _pyramid(small.mean(axis=2))
        orientations = [
            [np.abs(_filter(level, even)) + np.abs(_filter(level, odd)) for level in intensity]
            for even, odd in self._kernels
        ]
        return _Seen(intensity, orientations)


def _shrink(frame: Frame) -> Floats:
    """Return the image at the working width, 0 to 1."""
    height, width = frame.shape[:2]
    working_height = max(1, round(WORKING_WIDTH_PX * height / width))
    small = cv2.resize(frame, (WORKING_WIDTH_PX, working_height), interpolation=cv2.INTER_AREA)
    scaled: Floats = small.astype(np.float32) / np.float32(255)
    return scaled


def _pyramid(image: Floats) -> Pyramid:
    levels = [image]
    for _ in range(_LEVELS - 1):
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), dtype=np.float32))
    return levels


def _gabor_pair(angle_deg: float) -> tuple[Floats, Floats]:
    """Return an even and an odd Gabor filter with zero mean."""
    pair = []
    for phase in (0.0, math.pi / 2):
        kernel = cv2.getGaborKernel((9, 9), 2.333, math.radians(angle_deg), 7.0, 1.0, phase).astype(np.float32)
        kernel -= kernel.mean()
        pair.append(np.asarray(kernel / np.abs(kernel).sum(), dtype=np.float32))
    return pair[0], pair[1]


def _filter(image: Floats, kernel: Floats) -> Floats:
    return np.asarray(cv2.filter2D(image, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE), dtype=np.float32)


def _opponent_colours(small: Floats) -> list[Pyramid]:
    """Return the pyramids of red-green and blue-yellow opponency, 0 where the image is too dark for colour [3]."""
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    brightest = small.max(axis=2)
    is_bright = brightest > _MIN_INTENSITY
    scale = np.where(is_bright, 1 / np.maximum(brightest, _MIN_INTENSITY), 0).astype(np.float32)
    return [_pyramid((red - green) * scale), _pyramid((blue - np.minimum(red, green)) * scale)]


def _motion(now: Pyramid, then: Pyramid, shift: tuple[int, int]) -> Pyramid:
    """Return the motion of one orientation along its normal, in either direction, by a Reichardt detector [2]."""
    return [np.abs(one * _shift(other, shift) - other * _shift(one, shift)) for one, other in _pairs(now, then)]


def _shift(image: Floats, shift: tuple[int, int]) -> Floats:
    """Return an image shifted right and down by whole pixels, with repeated edges."""
    right, down = shift
    rows = np.clip(np.arange(image.shape[0]) - down, 0, image.shape[0] - 1)
    columns = np.clip(np.arange(image.shape[1]) - right, 0, image.shape[1] - 1)
    moved: Floats = np.asarray(image[rows][:, columns], dtype=np.float32)
    return moved


def _drop_noise(difference: Floats) -> Floats:
    return np.asarray(np.maximum(difference - np.float32(NOISE), 0), dtype=np.float32)


def _pairs(now: Pyramid, then: Pyramid) -> list[tuple[Floats, Floats]]:
    return list(zip(now, then, strict=True))


def _sum_contrasts(pyramids: list[Pyramid]) -> Floats:
    """Return the sum, at `MAP_LEVEL`, of the normalised differences between all centres and surrounds."""
    height, width = pyramids[0][MAP_LEVEL].shape
    total = np.zeros((height, width), dtype=np.float32)
    for pyramid in pyramids:
        for centre in CENTRES:
            fine = pyramid[centre]
            for step in SURROUND_STEPS:
                coarse = cv2.resize(
                    pyramid[centre + step], (fine.shape[1], fine.shape[0]), interpolation=cv2.INTER_LINEAR
                )
                contrast = _normalise(np.abs(fine - coarse))
                total += cv2.resize(contrast, (width, height), interpolation=cv2.INTER_AREA)
    return total


def _sum_normalised(maps: list[Floats]) -> Floats:
    return np.asarray(np.sum([_normalise(each) for each in maps], axis=0), dtype=np.float32)


def _normalise(contrast: Floats) -> Floats:
    """Return a map scaled to 0..1 and attenuated if it has many peaks: the operator N of [1].

    The weight is the squared difference between the highest peak and the mean of the others.
    """
    highest = float(contrast.max())
    if highest < 1e-6:
        return np.zeros_like(contrast)
    scaled = contrast / np.float32(highest)
    is_peak = (cv2.dilate(scaled, np.ones((3, 3), dtype=np.uint8)) <= scaled) & (scaled > 0)
    peaks = scaled[is_peak]
    others = peaks[peaks < 1]
    weight = (1 - float(others.mean())) ** 2 if others.size else 1.0
    weighted: Floats = scaled * np.float32(weight)
    return weighted
