"""How well the saliency maps of a video predict the fixations of viewers, frame by frame."""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.errors import SaliencyMapError
from gaze_core.saliency import check_map
from gaze_core.saliency_metrics import auc_judd, cc, kl_divergence, nss, sim
from gaze_core.types import SaliencyMap
from gaze_tools.saliency.sources import NumberedMap

Points = NDArray[np.float64]
Pixels = NDArray[np.int64]

METRICS: Mapping[str, str] = {
    "nss": "NSS",
    "cc": "CC",
    "sim": "SIM",
    "kl_divergence": "KL divergence",
    "auc_judd": "AUC-Judd",
    "shuffled_auc": "shuffled AUC",
}
"""Names of the metrics, in the order of a table."""

DENSITY_SIGMA = 0.03
"""Default standard deviation of the fixation density, as a fraction of the map's width: 1 degree, the usual choice, of
a video that is 33 degrees wide."""


@dataclass(frozen=True, slots=True)
class FrameMetrics:
    """Metrics of one frame.

    Attributes:
        frame: Frame number.
        fixations: Number of fixations on the map.
        values: Value of each metric of `METRICS`; NaN where undefined, such as the NSS of a flat map.
    """

    frame: int
    fixations: int
    values: Mapping[str, float]


def read_fixations(path: Path) -> dict[int, Points]:
    """Return the fixations of each frame from a CSV file with the columns frame, x and y.

    Args:
        path: CSV file with a header; x and y are normalised to the video, other columns are ignored.

    Returns:
        Normalised x and y by frame number, shape (n, 2). Fixations outside the video are left out.

    Raises:
        ValueError: A column is missing, or a value is malformed.
        OSError: The file cannot be read.
    """
    found: dict[int, list[tuple[float, float]]] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = {"frame", "x", "y"} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{path.name} lacks the column {', '.join(sorted(missing))}; it needs frame, x and y")
        for row in reader:
            try:
                frame, x, y = int(row["frame"]), float(row["x"]), float(row["y"])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path.name}, line {reader.line_num}: frame, x and y must be numbers") from error
            points = found.setdefault(frame, [])
            if 0 <= x <= 1 and 0 <= y <= 1:
                points.append((x, y))
    return {frame: np.array(points) for frame, points in sorted(found.items()) if points}


def score_maps(
    maps: Iterable[NumberedMap],
    fixations: Mapping[int, Points],
    *,
    held: bool = False,
    density_sigma: float = DENSITY_SIGMA,
    densities: Mapping[int, SaliencyMap] | None = None,
) -> Iterator[FrameMetrics]:
    """Yield the metrics of each frame that has a usable map and fixations.

    NSS and AUC-Judd take the fixated pixels; CC, SIM and KL divergence a fixation density: the fixations blurred by a
    Gaussian. The shuffled AUC is the probability that a fixated pixel is more salient than a pixel fixated in
    another frame, ties half, so that a map of the centre bias scores 0.5.

    Args:
        maps: Maps by rising frame number; unusable ones are skipped.
        fixations: Fixations by frame number, from `read_fixations`.
        held: Whether a map also applies to the frames up to the next one.
        density_sigma: Standard deviation of the density, as a fraction of the map's width.
        densities: Measured fixation densities by frame number, in place of blurred fixations.

    Sources: Bylinskii, Judd, Oliva, Torralba and Durand, What do different evaluation metrics tell us about saliency
    models?, TPAMI 41, 2019; shuffled AUC: Zhang, Tong, Marks, Shan and Cottrell, SUN: A Bayesian framework for saliency
    using natural statistics, Journal of Vision 8, 2008.
    """
    last_frame = max(fixations, default=0)
    for number, until, found in _with_ends(maps, last_frame):
        frames = [frame for frame in (range(number, until) if held else (number,)) if frame in fixations]
        if not frames or isinstance(found, SaliencyMapError):
            continue
        try:
            saliency_map = check_map(found)
        except SaliencyMapError:
            continue
        for frame in frames:
            others = [points for other, points in fixations.items() if other != frame]
            density = None if densities is None else densities.get(frame)
            if densities is not None and density is None:
                continue
            yield _score_frame(
                saliency_map, frame, fixations[frame], others, density_sigma=density_sigma, density=density
            )


def average(frames: Iterable[FrameMetrics]) -> dict[str, float]:
    """Return the mean of each metric over the frames in which it is defined; NaN if it is defined in none."""
    listed = list(frames)
    means = {}
    for name in METRICS:
        values = [frame.values[name] for frame in listed if not math.isnan(frame.values[name])]
        means[name] = float(np.mean(values)) if values else math.nan
    return means


def _with_ends(
    maps: Iterable[NumberedMap], last_frame: int
) -> Iterator[tuple[int, int, SaliencyMap | SaliencyMapError]]:
    """Yield each map with its frame number and that of the next map."""
    before: NumberedMap | None = None
    for number, found in maps:
        if before is not None:
            yield before[0], number, before[1]
        before = number, found
    if before is not None:
        yield before[0], max(last_frame, before[0]) + 1, before[1]


def _score_frame(
    saliency_map: SaliencyMap,
    frame: int,
    points: Points,
    others: list[Points],
    *,
    density_sigma: float,
    density: SaliencyMap | None,
) -> FrameMetrics:
    pixels = _to_pixels(points, saliency_map.shape)
    if density is None:
        density = _blur_fixations(pixels, saliency_map.shape, density_sigma * saliency_map.shape[1])
    values = {
        "nss": nss(saliency_map, pixels),
        "cc": cc(saliency_map, density),
        "sim": sim(saliency_map, density),
        "kl_divergence": kl_divergence(saliency_map, density),
        "auc_judd": auc_judd(saliency_map, pixels),
        "shuffled_auc": _compare(
            saliency_map, pixels, _to_pixels(np.concatenate(others) if others else points[:0], saliency_map.shape)
        ),
    }
    return FrameMetrics(frame, len(pixels), values)


def _to_pixels(points: Points, shape: tuple[int, ...]) -> Pixels:
    """Return row and column of normalised points, shape (n, 2)."""
    height, width = shape
    pixels = np.floor(points[:, ::-1] * (height, width)).astype(np.int64)
    clipped: Pixels = np.minimum(pixels, (height - 1, width - 1))
    return clipped


def _blur_fixations(pixels: Pixels, shape: tuple[int, ...], sigma_px: float) -> NDArray[np.float64]:
    counts = np.zeros(shape)
    np.add.at(counts, (pixels[:, 0], pixels[:, 1]), 1.0)
    blurred = cv2.GaussianBlur(counts, (0, 0), sigmaX=max(sigma_px, 0.5), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(blurred, dtype=np.float64)


def _compare(saliency_map: SaliencyMap, positives: Pixels, negatives: Pixels) -> float:
    """Return the probability that a positive pixel is more salient than a negative one, ties half; NaN without any."""
    if not (len(positives) and len(negatives)):
        return math.nan
    high = saliency_map[positives[:, 0], positives[:, 1]]
    low = np.sort(saliency_map[negatives[:, 0], negatives[:, 1]])
    wins = (np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")) / 2
    return float(wins.mean() / low.size)
