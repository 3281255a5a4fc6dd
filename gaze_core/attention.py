"""Attention score of a session: how often the gaze is on salient parts of the video, against chance.

`SessionScore` reads every saliency map once, in any order, and keeps only numbers. Every statistic is a mean over
frames, so all intervals come from `intervals.mean_interval`. `docs/attention-score.md` explains the statistics.
"""

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gaze_core.blur import BlurredMap
from gaze_core.comparisons import Integers, MapLookup, compare, comparison_positions
from gaze_core.intervals import (
    MIN_INTERVAL_FRAMES,
    NOMINAL_STEP_S,
    NORMAL_QUANTILE_975,
    Estimate,
    mean_interval,
    median_step_s,
)
from gaze_core.saliency import MapPixels, MapScore, check_map, find_pixels, rank_pixels
from gaze_core.types import Floats

LAGS_S: tuple[float, ...] = tuple(round(0.1 * step, 1) for step in range(-10, 11))
"""Candidates for the delay of the gaze."""

_MAX_PENDING_FRAMES = 256
"""Frames whose scores are added up at once."""

_LAG_STANDARD_ERRORS = 3.0
_LAG_TOLERANCE_S = 0.049  # just under half of the distance between lags


@dataclass(frozen=True, slots=True)
class Lag:
    """Delay of the gaze relative to the video.

    Attributes:
        lag_s: Delay at which the gaze fits the maps best; positive when the gaze follows the video.
        auc: Tie-averaged AUC at that delay.
        auc_at_zero: Tie-averaged AUC without delay.
    """

    lag_s: float
    auc: float
    auc_at_zero: float


@dataclass(frozen=True, slots=True)
class Attention:
    """Statistics of a session over its scored frames.

    Attributes:
        frames: Number of scored frames.
        hits: Number of scored frames whose gaze hits a salient pixel.
        off_video: Number of scored frames whose gaze is off the video: misses, excluded from NSS and both AUCs.
        final_score_percent: Share of hits among the scored frames.
        flat: Number of scored frames whose map has no pixel that would be a hit: misses for any gaze.
        chance_level_percent: Expected share of hits for a gaze distributed uniformly over these maps.
        lift_points: Score minus chance level, frame by frame, in percentage points; chance is 0.
        nss: Normalised scanpath saliency, chance 0; None without a gaze on a map that is not flat.
        auc: Tie-averaged AUC against all pixels, chance 0.5; None without a gaze on the video.
        shuffled_auc: AUC of each map at the gaze of its moment against the same map at this viewer's gaze at other
            moments. Chance is 0.5 for any spatial bias of the viewer. None when no two gazes are far enough apart in
            time.
        lag: Delay of the gaze; None when no delay stands out.
    """

    frames: int
    hits: int
    off_video: int
    flat: int
    final_score_percent: Estimate
    chance_level_percent: float
    lift_points: Estimate
    nss: Estimate | None
    auc: Estimate | None
    shuffled_auc: Estimate | None
    lag: Lag | None


@dataclass(frozen=True, slots=True, eq=False)
class FrameValues:
    """Contribution of each frame; arrays of shape (n,) unless stated otherwise.

    Attributes:
        scored: Whether the frame was scored on a map.
        hits: Whether the gaze hits a salient pixel.
        ranks: Share of the pixels below the gaze, ties half; NaN if not scored or off the video.
        nss: Standardised value at the gaze; NaN if not scored, off the video or on a flat map.
        chance: Share of the pixels that would be a hit; NaN if not scored.
        shuffled: Share of the comparison gazes with a lower value on this frame's map, ties half; NaN without any.
        beaten: Number of frames for which this gaze was a comparison with a lower value, ties half.
        compared: Number of frames for which this gaze was a comparison.
        lagged_ranks: Rank on this frame's map of the gaze at each of `LAGS_S`; NaN without one, shape (n, lags).
    """

    scored: NDArray[np.bool_]
    hits: NDArray[np.bool_]
    ranks: Floats
    nss: Floats
    chance: Floats
    shuffled: Floats
    beaten: Floats
    compared: Floats
    lagged_ranks: NDArray[np.float32]

    @classmethod
    def empty(cls, count: int) -> "FrameValues":
        """Return the values of frames that have not been scored."""
        return cls(
            scored=np.zeros(count, dtype=np.bool_),
            hits=np.zeros(count, dtype=np.bool_),
            ranks=np.full(count, math.nan),
            nss=np.full(count, math.nan),
            chance=np.full(count, math.nan),
            shuffled=np.full(count, math.nan),
            beaten=np.zeros(count),
            compared=np.zeros(count),
            lagged_ranks=np.full((count, len(LAGS_S)), math.nan, dtype=np.float32),
        )

    def take(self, positions: Integers) -> "FrameValues":
        """Return the values of some frames, in the given order."""
        return FrameValues(**{item.name: getattr(self, item.name)[positions] for item in fields(self)})


@dataclass(frozen=True, slots=True, eq=False)
class _Scored:
    """What a map says about the gaze points of a look-up; `FrameValues` adds up many at once.

    Attributes:
        found: The look-up.
        ranks: Rank of each gaze point on the map, any number off the video, shape (m, 1 + k + lags).
        own: Scores of the frames' own gaze.
    """

    found: MapLookup
    ranks: Floats
    own: MapScore


class SessionScore:
    """Scores the gaze of a session against saliency maps, which are streamed and read once.

    All gaze points must be known before the first map, because every map is also evaluated at the viewer's other gaze
    points. Memory grows with the number of gaze points (about half a kilobyte each), not with the maps. Equal inputs
    give equal numbers in every process. Not thread-safe.
    """

    def __init__(self, times_s: ArrayLike, gaze_points: ArrayLike) -> None:
        """Prepare the scoring of a session.

        Args:
            times_s: Video time of each gaze point, in any order, shape (n,).
            gaze_points: x and y normalised to the video, origin top left, shape (n, 2); points outside 0..1 are off the
                video.

        Raises:
            ValueError: The shapes do not match, there are no gaze points, or a value is not finite.
        """
        times, points = np.asarray(times_s, dtype=np.float64), np.asarray(gaze_points, dtype=np.float64)
        if times.ndim != 1 or points.shape != (times.size, 2):
            raise ValueError(
                f"times_s and gaze_points must have shapes (n,) and (n, 2), not {times.shape}, {points.shape}"
            )
        if times.size == 0:
            raise ValueError("gaze_points must not be empty")
        if not (np.isfinite(times).all() and np.isfinite(points).all()):
            raise ValueError("times_s and gaze_points must be finite")
        order = np.argsort(times, kind="stable")
        self._place: Integers = np.argsort(order, kind="stable")
        self._times = times[order]
        self._points = points[order]
        self._is_on_video = np.all((self._points >= 0) & (self._points <= 1), axis=1)
        self._on_video: Integers = np.flatnonzero(self._is_on_video)
        self._values = FrameValues.empty(times.size)
        self._pixels: dict[tuple[int, int], MapPixels] = {}
        self._pending: list[_Scored] = []
        self._pending_frames = 0

    def restart(self) -> "SessionScore":
        """Return a score of the same gaze without any map, which shares what is known of the gaze."""
        again = copy(self)
        again._values = FrameValues.empty(self._times.size)
        again._pending, again._pending_frames = [], 0
        return again

    def look_up(self, frames: int | Sequence[int] | Integers) -> MapLookup:
        """Return where to evaluate the map of some frames; valid for any score of the same times and points.

        Args:
            frames: Positions of the frames in the constructor's arguments.

        Raises:
            ValueError: A position does not exist.
        """
        given = np.atleast_1d(np.asarray(frames, dtype=np.int64))
        if given.size == 0 or (given < 0).any() or (given >= self._times.size).any():
            raise ValueError(f"frames must be positions from 0 to {self._times.size - 1}")
        places = self._place[given]
        if places.size > 1 and np.unique(places).size != places.size:
            raise ValueError("a frame is given twice")
        others, is_used = self._comparisons(places)
        is_used &= self._is_on_video[places][:, None]
        lagged, has_lagged = self._lagged(places)
        return MapLookup(places, np.concatenate([places[:, None], others, lagged], axis=1), is_used, has_lagged)

    def add_map(
        self,
        frames: int | Sequence[int] | Integers,
        saliency_map: ArrayLike | BlurredMap,
        lookup: MapLookup | None = None,
    ) -> MapScore:
        """Score one frame, or all frames that share a map, and return their scores.

        Args:
            frames: Positions of the frames in the constructor's arguments.
            saliency_map: Saliency map, shape (height, width), or a blurred one.
            lookup: What `look_up` returns for these frames; None to compute it.

        Raises:
            ValueError: A position does not exist or has been scored already.
            SaliencyMapError: The map is unusable; the session is unchanged.
        """
        found = self.look_up(frames) if lookup is None else lookup
        if self._values.scored[found.places].any():
            raise ValueError("a frame has been scored already")
        if isinstance(saliency_map, BlurredMap):
            pixels = self._find_pixels(found, saliency_map.shape)
            ranks, own = saliency_map.rank_pixels(pixels, len(found.places))
        else:
            array = check_map(saliency_map)
            pixels = self._find_pixels(found, (array.shape[0], array.shape[1]))
            ranks, own = rank_pixels(pixels, array, len(found.places))
        self._values.scored[found.places] = True
        self._pending.append(_Scored(found, ranks.reshape(found.positions.T.shape).T, own))
        self._pending_frames += len(found.places)
        if self._pending_frames >= _MAX_PENDING_FRAMES:
            self._add_pending()
        return own

    def _find_pixels(self, found: MapLookup, map_shape: tuple[int, int]) -> MapPixels:
        """Return the pixels of a look-up, those of the frames' own gaze first.

        Those of all gaze points are kept for the shape of the last map.
        """
        pixels = self._pixels.get(map_shape)
        if pixels is None:
            self._pixels.clear()
            pixels = self._pixels[map_shape] = find_pixels(self._points, map_shape)
        return pixels.take(found.positions.T.ravel())

    def _add_pending(self) -> None:
        """Add the scored maps to the values: many at once, because one by one it takes longer than to read them."""
        if not self._pending:
            return
        pending, values = self._pending, self._values
        self._pending, self._pending_frames = [], 0
        places = np.concatenate([each.found.places for each in pending])
        positions = np.concatenate([each.found.positions for each in pending])
        is_used = np.concatenate([each.found.is_used for each in pending])
        has_lagged = np.concatenate([each.found.has_lagged for each in pending])
        ranks = np.concatenate([each.ranks for each in pending])
        ranks = np.where(self._is_on_video[positions], ranks, math.nan)
        count = is_used.shape[1]
        values.hits[places] = np.concatenate([each.own.hits for each in pending])
        values.nss[places] = np.concatenate([each.own.nss for each in pending])
        values.chance[places] = np.repeat(
            [each.own.chance for each in pending], [len(each.found.places) for each in pending]
        )
        values.ranks[places] = ranks[:, 0]
        if is_used.any():
            comparisons = is_used.sum(axis=1)
            wins = compare(ranks[:, :1], ranks[:, 1 : 1 + count])
            shares = (wins * is_used).sum(axis=1) / np.maximum(comparisons, 1)
            values.shuffled[places] = np.where(comparisons > 0, shares, math.nan)
            compared = positions[:, 1 : 1 + count][is_used]
            values.beaten[:] += np.bincount(compared, wins[is_used], minlength=self._times.size)
            values.compared[:] += np.bincount(compared, minlength=self._times.size)
        values.lagged_ranks[places] = np.where(has_lagged, ranks[:, 1 + count :], math.nan)

    def trace(self) -> FrameValues:
        """Return the contribution of each frame, in the order of the constructor's arguments."""
        self._add_pending()
        return self._values.take(self._place)

    def summarise(self) -> Attention | None:
        """Return the statistics over the frames scored so far; None without one."""
        self._add_pending()
        return summarise_frames(self._times, self._values)

    def _comparisons(self, places: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Return the comparison gazes of each frame and whether each is used, both of shape (frames, k)."""
        if self._on_video.size == 0:
            return np.zeros((len(places), 0), dtype=np.int64), np.zeros((len(places), 0), dtype=np.bool_)
        picks, is_used = comparison_positions(self._times[self._on_video], self._times[places], places)
        return self._on_video[picks], is_used

    def _lagged(self, places: Integers) -> tuple[Integers, NDArray[np.bool_]]:
        """Return the gaze closest to each lag of each frame and whether it is close enough, both (frames, lags)."""
        wanted = self._times[places][:, None] + np.asarray(LAGS_S)
        right = np.clip(np.searchsorted(self._times, wanted), 1, max(1, self._times.size - 1))
        left = right - 1
        right = np.minimum(right, self._times.size - 1)
        is_left = wanted - self._times[left] <= self._times[right] - wanted
        nearest = np.where(is_left, left, right)
        return nearest, np.abs(self._times[nearest] - wanted) < _LAG_TOLERANCE_S


def summarise_frames(times_s: Floats, values: FrameValues) -> Attention | None:
    """Return the statistics over all scored frames; None without one.

    Args:
        times_s: Video time of each frame, ascending, shape (n,).
        values: Contributions of the same frames.
    """
    scored = values.scored
    frames = int(scored.sum())
    if frames == 0:
        return None
    step_s = median_step_s(times_s[scored])
    hits, chance = values.hits[scored].astype(np.float64), values.chance[scored]
    share = float(hits.mean())
    return Attention(
        frames=frames,
        hits=int(hits.sum()),
        off_video=int((scored & np.isnan(values.ranks)).sum()),
        flat=int((chance == 0).sum()),
        final_score_percent=mean_interval(hits, step_s, proportion=share, unit=100.0),
        chance_level_percent=100 * float(chance.mean()),
        lift_points=mean_interval(hits - chance, step_s, proportion=share, unit=100.0),
        nss=_mean_of_present(values.nss, step_s),
        auc=_mean_of_present(values.ranks, step_s, limits=(0.0, 1.0)),
        shuffled_auc=_mean_of_present(shuffled_influence(values), step_s, limits=(0.0, 1.0)),
        lag=_find_lag(values.lagged_ranks[scored]),
    )


def shuffled_influence(values: FrameValues) -> Floats:
    """Return the contribution of each frame to the shuffled AUC, shape (n,); NaN for a frame without a comparison.

    The mean over frames is the AUC. A frame contributes as a positive and as a comparison. A gaze at a pixel that is
    salient on most maps wins in both roles, and the two cancel, so an interval has to include both, as in the
    projection of a two-sample statistic.

    Source: Hoeffding, A class of statistics with asymptotically normal distribution, Annals of Mathematical Statistics
    19, 1948.
    """
    is_present = ~np.isnan(values.shuffled)
    influence = np.full(values.shuffled.size, math.nan)
    if is_present.any():
        positive = values.shuffled[is_present]
        compared = values.compared[is_present]
        comparison = np.where(compared > 0, values.beaten[is_present] / np.maximum(compared, 1), positive.mean())
        influence[is_present] = positive + comparison - comparison.mean()
    return influence


def _mean_of_present(
    values: Floats,
    step_s: float,
    *,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Estimate | None:
    present = values[~np.isnan(values)]
    if present.size == 0:
        return None
    return mean_interval(present, step_s, limits=limits)


def _find_lag(lagged_ranks: NDArray[np.float32]) -> Lag | None:
    """Return the lag with the highest AUC if it exceeds the mean over all lags by three standard errors."""
    complete = lagged_ranks[~np.isnan(lagged_ranks).any(axis=1)].astype(np.float64)
    if len(complete) < MIN_INTERVAL_FRAMES:
        return None
    by_lag = complete.mean(axis=0)
    # Among equal values, the lag closest to zero.
    best = min(range(len(LAGS_S)), key=lambda position: (-by_lag[position], abs(LAGS_S[position])))
    gain = mean_interval(complete[:, best] - complete.mean(axis=1), NOMINAL_STEP_S)
    if gain.high is None or gain.value <= _LAG_STANDARD_ERRORS / NORMAL_QUANTILE_975 * (gain.high - gain.value):
        return None
    return Lag(LAGS_S[best], float(by_lag[best]), float(by_lag[LAGS_S.index(0.0)]))
