"""A session's statistics and their intervals, on sessions and series whose answers are known."""

import hashlib
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest import approx

from gaze_core.attention import (
    COMPARISONS,
    SessionScore,
    block_length,
    comparison_positions,
    mean_interval,
    student_quantile_975,
)
from gaze_core.errors import SaliencyMapError

LEFT = np.array([[4.0, 3.0, 2.0, 1.0]])
"""Four places in a row, the most salient on the left: 3 of 4 are below the first, counting half of itself: 0.875."""

RIGHT = LEFT[:, ::-1]


def place(column):
    return [(column + 0.5) / 4, 0.5]


def scored(times_s, gaze_points, maps):
    session = SessionScore(times_s, gaze_points)
    for frame, saliency_map in enumerate(maps):
        session.add_map(frame, saliency_map)
    return session


def autoregressive(rng, count, correlation):
    noise = rng.normal(size=count)
    values = np.empty(count)
    values[0] = noise[0] / math.sqrt(1 - correlation**2)
    for index in range(1, count):
        values[index] = correlation * values[index - 1] + noise[index]
    return values


class TestWorkedSession:
    """Two gazes 5 s apart: first at the peak, then at the lowest place, on the same map."""

    attention = scored([0.0, 5.0], [place(0), place(3)], [LEFT, LEFT]).summarise()

    def test_the_score_is_the_share_of_hits(self):
        assert (self.attention.frames, self.attention.hits) == (2, 1)
        assert self.attention.final_score_percent.value == 50.0

    def test_chance_is_the_share_of_the_map_that_would_hit(self):
        # Of the ranks 0.125, 0.375, 0.625 and 0.875 only the last reaches 0.70.
        assert self.attention.chance_level_percent == 25.0
        assert self.attention.lift_points.value == 25.0

    def test_auc_and_nss_are_means_over_frames(self):
        assert self.attention.auc.value == approx((0.875 + 0.125) / 2)
        # Mean 2.5 and sample standard deviation 1.29: +1.162 and -1.162.
        assert self.attention.nss.value == approx(0.0, abs=1e-12)

    def test_each_gaze_is_compared_with_the_other(self):
        # The first is above the second, the second below the first.
        trace = scored([0.0, 5.0], [place(0), place(3)], [LEFT, LEFT]).trace()

        assert trace.shuffled.tolist() == [1.0, 0.0]
        assert self.attention.shuffled_auc.value == 0.5

    def test_a_gaze_that_moves_with_the_map_wins_both_comparisons(self):
        attention = scored([0.0, 5.0], [place(0), place(3)], [LEFT, RIGHT]).summarise()

        assert attention.shuffled_auc.value == 1.0

    def test_two_gazes_say_nothing_about_intervals(self):
        for estimate in (self.attention.final_score_percent, self.attention.nss, self.attention.auc):
            assert (estimate.low, estimate.high, estimate.interval_reliable) == (None, None, False)


class TestShuffledAuc:
    def test_a_motionless_viewer_gets_a_half(self):
        rng = np.random.default_rng(0)
        maps = rng.integers(0, 256, (300, 6, 8)).astype(np.uint8)

        attention = scored(np.arange(300) * 0.05, np.tile([0.4, 0.6], (300, 1)), maps).summarise()

        assert attention.shuffled_auc.value == 0.5

    def test_a_viewer_at_the_middle_of_centre_biased_maps_scores_high_but_shuffled_half(self):
        rng = np.random.default_rng(1)
        rows, columns = np.mgrid[0:12, 0:16]
        bell = np.exp(-((rows - 5.5) ** 2) / 18 - ((columns - 7.5) ** 2) / 32)
        maps = [bell + 0.05 * rng.random((12, 16)) for _ in range(400)]

        attention = scored(np.arange(400) * 0.05, rng.normal(0.5, 0.05, (400, 2)), maps).summarise()

        assert attention.final_score_percent.value > 99
        assert attention.auc.value > 0.9
        assert attention.shuffled_auc.value == approx(0.5, abs=0.02)

    def test_gazes_less_than_two_seconds_away_are_not_compared(self):
        attention = scored([0.0, 1.9, 3.8], [place(0), place(1), place(3)], [LEFT] * 3).summarise()

        # Only the first and the last are compared; the one between has nobody.
        assert attention.shuffled_auc.frames == 2

    def test_two_seconds_are_far_enough(self):
        # 0.1 × 20 frames is a little more or less than 2 in binary.
        trace = scored(np.arange(21) * 0.1, [place(0)] * 21, [LEFT] * 21).trace()

        assert np.flatnonzero(~np.isnan(trace.shuffled)).tolist() == [0, 20]

    def test_a_session_under_two_seconds_has_none(self):
        assert scored([0.0, 1.0], [place(0), place(3)], [LEFT] * 2).summarise().shuffled_auc is None

    def test_gazes_off_the_video_are_neither_positives_nor_comparisons(self):
        attention = scored([0.0, 5.0, 10.0], [place(0), [1.5, 0.5], place(3)], [LEFT] * 3).summarise()

        assert attention.off_video == 1
        assert attention.shuffled_auc.frames == 2
        assert attention.final_score_percent.value == approx(100 / 3)

    def test_many_candidates_are_thinned_out_evenly(self):
        times_s = np.arange(4000) * 0.05
        picks, is_used = comparison_positions(times_s, times_s, np.arange(4000))
        uses = np.bincount(picks[is_used], minlength=4000)

        assert picks.shape == (4000, COMPARISONS)
        assert is_used.all()
        assert (np.abs(times_s[picks] - times_s[:, None]) >= 2 - 1e-6).all()
        # 64 a frame: nobody is forgotten, nobody asked much more often than others.
        assert (uses.min(), uses.max()) == (approx(64, abs=12), approx(64, abs=12))

    def test_few_candidates_are_used_once_each(self):
        picks, is_used = comparison_positions(np.array([0.0, 1.0, 3.0, 9.0]), np.array([1.0]), np.array([7]))

        assert picks[is_used].tolist() == [2, 3]


class TestStreaming:
    rng = np.random.default_rng(3)
    times_s = np.arange(200) * 0.05
    points = rng.uniform(-0.1, 1.1, (200, 2))
    maps = rng.integers(0, 9, (40, 5, 7)).astype(np.uint8)

    def held(self, order):
        session = SessionScore(self.times_s, self.points)
        for number in order:
            session.add_map(range(5 * number, 5 * number + 5), self.maps[number])
        return session

    def test_the_order_of_the_maps_changes_nothing(self):
        assert self.held(range(40)).summarise() == self.held(reversed(range(40))).summarise()

    def test_a_held_map_is_the_same_as_one_for_each_frame(self):
        one_by_one = scored(self.times_s, self.points, np.repeat(self.maps, 5, axis=0))

        assert one_by_one.summarise() == self.held(range(40)).summarise()

    def test_the_order_of_the_gazes_changes_nothing_but_the_trace(self):
        shuffled = np.random.default_rng(4).permutation(200)
        session = SessionScore(self.times_s[shuffled], self.points[shuffled])
        for position, frame in enumerate(shuffled):
            session.add_map(position, self.maps[frame // 5])

        assert session.summarise() == self.held(range(40)).summarise()
        assert session.trace().ranks == approx(self.held(range(40)).trace().ranks[shuffled], nan_ok=True)

    def test_only_scored_frames_count(self):
        attention = self.held([0, 39]).summarise()

        assert attention.frames == 10
        assert attention.final_score_percent.frames == 10

    def test_without_a_map_there_is_no_summary(self):
        assert SessionScore([0.0], [[0.5, 0.5]]).summarise() is None

    def test_the_map_is_handed_back_scored(self):
        score = SessionScore([0.0, 5.0], [place(0), place(3)]).add_map([0, 1], LEFT)

        assert score.hits.tolist() == [True, False]
        assert score.ranks.tolist() == [0.875, 0.125]

    def test_a_bad_map_leaves_the_session_as_it_was(self):
        session = SessionScore([0.0, 5.0], [place(0), place(3)])
        with pytest.raises(SaliencyMapError):
            session.add_map(0, [[float("nan")]])
        session.add_map(0, LEFT)

        assert session.summarise().frames == 1

    @pytest.mark.parametrize("frames", [[], [2], [-1], [0, 0]])
    def test_frames_must_be_gazes_once(self, frames):
        with pytest.raises(ValueError, match="frame"):
            SessionScore([0.0, 5.0], [place(0), place(3)]).add_map(frames, LEFT)

    def test_a_frame_is_scored_once(self):
        session = scored([0.0], [place(0)], [LEFT])

        with pytest.raises(ValueError, match="already"):
            session.add_map(0, LEFT)

    @pytest.mark.parametrize(
        ("times_s", "points"),
        [([], np.zeros((0, 2))), ([0.0], [[0.5, 0.5]] * 2), ([math.nan], [[0.5, 0.5]]), ([0.0], [[math.inf, 0.5]])],
    )
    def test_gazes_must_be_numbers_in_pairs(self, times_s, points):
        with pytest.raises(ValueError, match="gaze"):
            SessionScore(times_s, points)

    def test_flat_maps_are_missed_and_have_no_nss(self):
        attention = scored(np.arange(3) * 5.0, [place(0)] * 3, [np.ones((1, 4))] * 3).summarise()

        assert attention.final_score_percent.value == 0.0
        assert attention.chance_level_percent == 0.0
        assert attention.nss is None
        assert (attention.auc.value, attention.shuffled_auc.value) == (0.5, 0.5)

    def test_all_gazes_off_the_video_are_misses(self):
        attention = scored(np.arange(30) * 1.0, [[2.0, 0.5]] * 30, [LEFT] * 30).summarise()

        assert (attention.hits, attention.off_video) == (0, 30)
        assert attention.final_score_percent.value == 0.0
        assert (attention.nss, attention.auc, attention.shuffled_auc, attention.lag) == (None, None, None, None)

    def test_every_process_gets_the_same_bits(self):
        program = (
            "import numpy as np; from gaze_core.attention import SessionScore;"
            "r = np.random.default_rng(9); s = SessionScore(np.arange(99) * 0.1, r.uniform(size=(99, 2)));"
            "[s.add_map(i, r.integers(0, 99, (5, 7)).astype(np.uint8)) for i in range(99)]; print(s.summarise())"
        )
        answers = {
            hashlib.sha256(
                subprocess.run(
                    [sys.executable, "-c", program], check=True, capture_output=True, env={"PYTHONHASHSEED": seed}
                ).stdout
            ).hexdigest()
            for seed in ("1", "2")
        }

        assert len(answers) == 1


class TestLag:
    def session(self, lag_frames, *, seed=5):
        """A viewer at 20 Hz who looks at the brightest column, so many frames late."""
        rng = np.random.default_rng(seed)
        column = np.repeat(rng.integers(0, 16, 60), 10)
        maps = np.exp(-((np.arange(16) - column[:, None]) ** 2) / 8)[:, None, :]
        looked = np.roll(column, lag_frames)
        points = np.stack([(looked + 0.5) / 16, np.full(600, 0.5)], axis=1)
        return scored(np.arange(600) * 0.05, points, maps)

    @pytest.mark.parametrize(("lag_frames", "lag_s"), [(0, 0.0), (6, 0.3), (-4, -0.2)])
    def test_a_gaze_that_comes_late_is_found(self, lag_frames, lag_s):
        lag = self.session(lag_frames).summarise().lag

        assert lag.lag_s == lag_s
        assert lag.auc >= lag.auc_at_zero

    def test_a_viewer_who_looks_anywhere_has_none(self):
        rng = np.random.default_rng(6)
        maps = rng.integers(0, 256, (600, 1, 16)).astype(np.uint8)

        assert scored(np.arange(600) * 0.05, rng.uniform(size=(600, 2)), maps).summarise().lag is None

    def test_a_motionless_viewer_has_none(self):
        session = scored(np.arange(100) * 0.05, [place(0)] * 100, [LEFT] * 100)

        assert session.summarise().lag is None


class TestInterval:
    def test_independent_values_have_the_textbook_interval(self):
        values = np.random.default_rng(7).normal(10.0, 2.0, 5000)

        estimate = mean_interval(values, 0.05)

        # 1.96 × 2 / sqrt(5000) = 0.0554, a little more for the blocks.
        assert estimate.high - estimate.value == approx(0.0554, rel=0.12)
        assert estimate.effective_samples == approx(5000, rel=0.2)

    def test_correlated_values_count_for_less(self):
        # Of an autoregressive series (1 - 0.9) / (1 + 0.9) of the samples count: 1 in 19.
        found = [
            mean_interval(autoregressive(np.random.default_rng(seed), 20000, 0.9), 0.05).effective_samples
            for seed in range(9)
        ]

        assert np.median(found) == approx(20000 / 19, rel=0.2)

    def test_95_of_100_intervals_hold_the_mean(self):
        rng = np.random.default_rng(9)
        estimates = [mean_interval(autoregressive(rng, 1000, 0.8), 0.05) for _ in range(400)]
        held = sum(estimate.low <= 0 <= estimate.high for estimate in estimates)

        # 380 expected, standard deviation 4.4.
        assert 366 <= held <= 394

    @given(st.lists(st.booleans(), min_size=20, max_size=200))
    def test_the_interval_of_a_proportion_stays_within_its_limits(self, hits):
        values = np.array(hits, dtype=float)
        estimate = mean_interval(values, 0.05, proportion=float(values.mean()), unit=100.0)
        if estimate.low is not None:
            assert 0 <= estimate.low <= estimate.value <= estimate.high <= 100

    def test_near_the_ceiling_it_leans_away(self):
        values = np.ones(2000)
        values[100:140] = 0.0
        values[1500:1540] = 0.0
        estimate = mean_interval(values, 0.05, proportion=float(values.mean()))

        assert estimate.value - estimate.low > 1.5 * (estimate.high - estimate.value)

    @pytest.mark.parametrize("values", [np.ones(500), np.zeros(500), np.arange(19.0)])
    def test_what_does_not_vary_or_is_too_short_has_none(self, values):
        estimate = mean_interval(values, 0.05)

        assert (estimate.low, estimate.high, estimate.block_s, estimate.interval_reliable) == (None, None, None, False)

    @pytest.mark.parametrize(("frames", "is_reliable"), [(2400, True), (2399, True), (2390, False), (600, False)])
    def test_from_120_s_on_it_is_reliable(self, frames, is_reliable):
        values = np.random.default_rng(10).normal(size=frames)

        assert mean_interval(values, 0.05).interval_reliable is is_reliable

    @pytest.mark.parametrize(("frames", "is_reliable"), [(2400, False), (6000, True)])
    def test_near_the_ceiling_it_takes_300_s(self, frames, is_reliable):
        hits = (np.random.default_rng(13).uniform(size=frames) < 0.95).astype(float)

        assert mean_interval(hits, 0.05, proportion=float(hits.mean())).interval_reliable is is_reliable

    def test_it_is_not_when_there_is_only_one_change(self):
        """One change half-way through: nothing can be said about how often it changes."""
        values = np.concatenate([np.zeros(3000), np.ones(3000)]) + np.random.default_rng(11).normal(0, 0.1, 6000)

        assert not mean_interval(values, 0.05).interval_reliable

    @pytest.mark.parametrize(
        ("correlation", "expected"),
        # (1.5 (slope / spectrum)² n)^(1/3), slope / spectrum = 2 r / (1 - r²): 0, 4/3 and 9.47.
        [(0.0, 1.0), (0.5, 37.6), (0.9, 139.1)],
    )
    def test_blocks_grow_with_the_correlation(self, correlation, expected):
        lengths = [block_length(autoregressive(np.random.default_rng(seed), 20000, correlation)) for seed in range(9)]

        assert np.median(lengths) == approx(expected, rel=0.2, abs=6)

    @pytest.mark.parametrize(
        ("degrees_of_freedom", "quantile"), [(3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1e9, 1.95996)]
    )
    def test_student_has_its_tabled_quantiles(self, degrees_of_freedom, quantile):
        assert student_quantile_975(degrees_of_freedom) == approx(quantile, rel=2e-3)


@pytest.mark.slow
def test_time_grows_linearly_up_to_an_hour():
    """108,000 frames with a map held for every five, against a tenth; were it quadratic, the ratio would be 100."""
    rng = np.random.default_rng(12)

    def seconds_for(frames):
        points = rng.uniform(size=(frames, 2))
        maps = rng.integers(0, 256, (50, 27, 48)).astype(np.uint8)
        start = time.process_time()
        session = SessionScore(np.arange(frames) / 30, points)
        for first in range(0, frames, 5):
            session.add_map(range(first, min(first + 5, frames)), maps[first // 5 % 50])
        assert session.summarise().frames == frames
        return time.process_time() - start

    seconds_for(1_000)

    assert seconds_for(108_000) < 25 * seconds_for(10_800)
