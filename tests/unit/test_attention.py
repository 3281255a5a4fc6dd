"""Statistics of a session, on sessions with known results."""

import hashlib
import math
import subprocess
import sys
import time

import numpy as np
import pytest
from pytest import approx

from gaze_core.attention import LAGS_S, SessionScore
from gaze_core.comparisons import COMPARISONS, comparison_positions
from gaze_core.errors import SaliencyMapError

LEFT = np.array([[4.0, 3.0, 2.0, 1.0]])
"""Four pixels in a row, the most salient on the left; its rank is 3.5 of 4, or 0.875."""

RIGHT = LEFT[:, ::-1]


def place(column):
    return [(column + 0.5) / 4, 0.5]


def scored(times_s, gaze_points, maps):
    session = SessionScore(times_s, gaze_points)
    for frame, saliency_map in enumerate(maps):
        session.add_map(frame, saliency_map)
    return session


class TestWorkedSession:
    """Two gaze points 5 s apart on the same map: first at the maximum, then at the minimum."""

    @pytest.fixture
    def attention(self):
        return scored([0.0, 5.0], [place(0), place(3)], [LEFT, LEFT]).summarise()

    def test_the_score_is_the_share_of_hits(self, attention):
        assert (attention.frames, attention.hits) == (2, 1)
        assert attention.final_score_percent.value == 50.0

    def test_chance_is_the_share_of_the_map_that_would_hit(self, attention):
        # Among the ranks 0.125, 0.375, 0.625 and 0.875, only the last one reaches 0.70.
        assert attention.chance_level_percent == 25.0
        assert attention.lift_points.value == 25.0

    def test_auc_and_nss_are_means_over_frames(self, attention):
        assert attention.auc.value == approx((0.875 + 0.125) / 2)
        # Mean 2.5 and sample standard deviation 1.29: +1.162 and -1.162.
        assert attention.nss.value == approx(0.0, abs=1e-12)

    def test_each_gaze_is_compared_with_the_other(self, attention):
        # The first is above the second, the second below the first.
        trace = scored([0.0, 5.0], [place(0), place(3)], [LEFT, LEFT]).trace()

        assert trace.shuffled.tolist() == [1.0, 0.0]
        assert attention.shuffled_auc.value == 0.5

    def test_a_gaze_that_moves_with_the_map_wins_both_comparisons(self):
        attention = scored([0.0, 5.0], [place(0), place(3)], [LEFT, RIGHT]).summarise()

        assert attention.shuffled_auc.value == 1.0

    def test_two_gaze_points_have_no_interval(self, attention):
        for estimate in (attention.final_score_percent, attention.nss, attention.auc):
            assert (estimate.low, estimate.high, estimate.interval_reliable) == (None, None, False)


class TestShuffledAuc:
    def test_a_motionless_viewer_has_a_shuffled_auc_of_one_half(self):
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

        # The one in between has no comparison.
        assert attention.shuffled_auc.frames == 2

    def test_two_seconds_are_far_enough(self):
        # 0.1 × 20 frames is a little more or less than 2 in binary.
        trace = scored(np.arange(21) * 0.1, [place(0)] * 21, [LEFT] * 21).trace()

        assert np.flatnonzero(~np.isnan(trace.shuffled)).tolist() == [0, 20]

    def test_a_session_under_two_seconds_has_no_shuffled_auc(self):
        assert scored([0.0, 1.0], [place(0), place(3)], [LEFT] * 2).summarise().shuffled_auc is None

    def test_gazes_off_the_video_are_neither_positives_nor_comparisons(self):
        attention = scored([0.0, 5.0, 10.0], [place(0), [1.5, 0.5], place(3)], [LEFT] * 3).summarise()

        assert attention.off_video == 1
        assert attention.shuffled_auc.frames == 2
        assert attention.final_score_percent.value == approx(100 / 3)

    def test_many_candidates_are_used_evenly(self):
        times_s = np.arange(4000) * 0.05
        picks, is_used = comparison_positions(times_s, times_s, np.arange(4000))
        uses = np.bincount(picks[is_used], minlength=4000)

        assert picks.shape == (4000, COMPARISONS)
        assert is_used.all()
        assert (np.abs(times_s[picks] - times_s[:, None]) >= 2 - 1e-6).all()
        # 64 per frame: every candidate is used about equally often.
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

    def test_a_shared_map_is_equivalent_to_a_copy_for_each_frame(self):
        one_by_one = scored(self.times_s, self.points, np.repeat(self.maps, 5, axis=0))

        assert one_by_one.summarise() == self.held(range(40)).summarise()

    def test_the_order_of_the_gazes_changes_nothing_but_the_trace(self):
        shuffled = np.random.default_rng(4).permutation(200)
        session = SessionScore(self.times_s[shuffled], self.points[shuffled])
        for position, frame in enumerate(shuffled):
            session.add_map(position, self.maps[frame // 5])

        assert session.summarise() == self.held(range(40)).summarise()
        assert session.trace().ranks == approx(self.held(range(40)).trace().ranks[shuffled], nan_ok=True)

    def test_a_summary_in_between_changes_nothing(self):
        session = SessionScore(self.times_s, self.points)
        for number in range(40):
            session.add_map(range(5 * number, 5 * number + 5), self.maps[number])
            assert session.summarise().frames == 5 * number + 5

        assert session.summarise() == self.held(range(40)).summarise()

    def test_a_session_may_be_longer_than_what_is_added_up_at_once(self):
        rng = np.random.default_rng(8)
        times_s, points = np.arange(300) * 0.05, rng.random((300, 2))
        at_once, one_by_one = SessionScore(times_s, points), SessionScore(times_s, points)
        for frame in range(300):
            at_once.add_map(frame, self.maps[frame % 40])
            one_by_one.add_map(frame, self.maps[frame % 40])
            one_by_one.trace()

        found, expected = at_once.trace(), one_by_one.trace()
        assert found.beaten.tolist() == expected.beaten.tolist()
        assert found.shuffled.tolist() == expected.shuffled.tolist()
        assert found.lagged_ranks == approx(expected.lagged_ranks, abs=0, nan_ok=True)
        # 64 comparisons of each frame.
        assert found.compared.sum() == 300 * 64

    def test_a_restarted_score_does_not_contain_the_maps_so_far(self):
        session = scored([0.0, 5.0], [place(0), place(3)], [LEFT])

        assert session.restart().summarise() is None
        assert session.summarise().frames == 1

    def test_frames_may_be_looked_up_before_their_maps(self):
        session = SessionScore(self.times_s, self.points)
        found = session.look_up(range(200))
        for number in range(40):
            frames = slice(5 * number, 5 * number + 5)
            session.add_map(range(200)[frames], self.maps[number], found.take(frames))

        assert session.summarise() == self.held(range(40)).summarise()

    def test_only_scored_frames_count(self):
        attention = self.held([0, 39]).summarise()

        assert attention.frames == 10
        assert attention.final_score_percent.frames == 10

    def test_without_a_map_there_is_no_summary(self):
        assert SessionScore([0.0], [[0.5, 0.5]]).summarise() is None

    def test_adding_a_map_returns_its_scores(self):
        score = SessionScore([0.0, 5.0], [place(0), place(3)]).add_map([0, 1], LEFT)

        assert score.hits.tolist() == [True, False]
        assert score.ranks.tolist() == [0.875, 0.125]

    def test_a_bad_map_leaves_the_session_unchanged(self):
        session = SessionScore([0.0, 5.0], [place(0), place(3)])
        with pytest.raises(SaliencyMapError):
            session.add_map(0, [[float("nan")]])
        session.add_map(0, LEFT)

        assert session.summarise().frames == 1

    @pytest.mark.parametrize("frames", [[], [2], [-1], [0, 0]])
    def test_frames_must_exist_and_be_distinct(self, frames):
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
    def test_gaze_points_must_be_finite_pairs(self, times_s, points):
        with pytest.raises(ValueError, match="gaze"):
            SessionScore(times_s, points)

    def test_flat_maps_have_no_hits_and_no_nss(self):
        attention = scored(np.arange(3) * 5.0, [place(0)] * 3, [np.ones((1, 4))] * 3).summarise()

        assert attention.final_score_percent.value == 0.0
        assert attention.chance_level_percent == 0.0
        assert attention.nss is None
        assert (attention.auc.value, attention.shuffled_auc.value) == (0.5, 0.5)

    def test_gaze_points_off_the_video_are_misses(self):
        attention = scored(np.arange(30) * 1.0, [[2.0, 0.5]] * 30, [LEFT] * 30).summarise()

        assert (attention.hits, attention.off_video) == (0, 30)
        assert attention.final_score_percent.value == 0.0
        assert (attention.nss, attention.auc, attention.shuffled_auc, attention.lag) == (None, None, None, None)

    def test_every_process_computes_the_same_bits(self):
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


class TestLimits:
    def test_the_interval_of_an_auc_ends_at_one(self):
        # 39 ranks of 0.9995 and one of 0.0005: the interval around 0.9745 would end at 1.03.
        ramp = np.arange(1000.0)[None, :]
        points = [[0.0, 0.5]] + [[1.0, 0.5]] * 39

        attention = scored(np.arange(40) * 5.0, points, [ramp] * 40).summarise()

        assert attention.auc.value == approx(0.974525)
        assert attention.auc.high == 1.0

    def test_the_interval_of_a_score_ends_before_100_percent(self):
        ramp = np.arange(1000.0)[None, :]
        points = [[0.0, 0.5]] + [[1.0, 0.5]] * 39

        attention = scored(np.arange(40) * 5.0, points, [ramp] * 40).summarise()

        assert attention.final_score_percent.value == 97.5
        # Odds of 39, 2.262 × 0.025 / (0.975 × 0.025) = 2.32 on the logit scale.
        assert attention.final_score_percent.low == approx(79.3, abs=0.05)
        assert attention.final_score_percent.high == approx(99.75, abs=0.005)
        assert attention.lift_points.value == approx(97.5 - 30)

    def test_the_interval_of_a_shuffled_auc_stays_within_its_limits(self):
        rng = np.random.default_rng(8)
        maps = rng.integers(0, 256, (60, 6, 8)).astype(np.uint8)

        shuffled = scored(np.arange(60) * 5.0, rng.uniform(size=(60, 2)), maps).summarise().shuffled_auc

        assert 0 < shuffled.low < shuffled.value < shuffled.high < 1


class TestLag:
    def test_each_gaze_is_ranked_on_the_maps_of_adjacent_gazes(self):
        trace = scored([0.0, 0.1], [place(0), place(3)], [LEFT, LEFT]).trace()

        ranks = {lag_s: column.tolist() for lag_s, column in zip(LAGS_S, trace.lagged_ranks.T, strict=True)}
        assert ranks[0.0] == [0.875, 0.125]
        assert ranks[0.1] == [0.125, approx(math.nan, nan_ok=True)]
        assert ranks[-0.1] == [approx(math.nan, nan_ok=True), 0.875]
        assert np.isnan(ranks[0.2]).all()

    def test_the_gaze_closest_to_a_lag_is_used(self):
        trace = scored([0.0, 0.07, 0.14], [place(0), place(1), place(3)], [LEFT] * 3).trace()

        assert trace.lagged_ranks[0, LAGS_S.index(0.1)] == 0.625

    def session(self, lag_frames, *, seed=5):
        """Return a session at 20 Hz of a viewer who follows the brightest column with a delay."""
        rng = np.random.default_rng(seed)
        column = np.repeat(rng.integers(0, 16, 60), 10)
        maps = np.exp(-((np.arange(16) - column[:, None]) ** 2) / 8)[:, None, :]
        looked = np.roll(column, lag_frames)
        points = np.stack([(looked + 0.5) / 16, np.full(600, 0.5)], axis=1)
        return scored(np.arange(600) * 0.05, points, maps)

    @pytest.mark.parametrize(("lag_frames", "lag_s"), [(0, 0.0), (6, 0.3), (-4, -0.2)])
    def test_the_delay_of_the_gaze_is_found(self, lag_frames, lag_s):
        lag = self.session(lag_frames).summarise().lag

        assert lag.lag_s == lag_s
        assert lag.auc >= lag.auc_at_zero

    def test_a_random_viewer_has_no_delay(self):
        rng = np.random.default_rng(6)
        maps = rng.integers(0, 256, (600, 1, 16)).astype(np.uint8)

        assert scored(np.arange(600) * 0.05, rng.uniform(size=(600, 2)), maps).summarise().lag is None

    def test_a_motionless_viewer_has_no_delay(self):
        session = scored(np.arange(100) * 0.05, [place(0)] * 100, [LEFT] * 100)

        assert session.summarise().lag is None


@pytest.mark.slow
def test_time_grows_linearly_up_to_an_hour():
    """108,000 frames with a map for every five, against a tenth of them; quadratic time would give a ratio of 100."""
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
