"""The simulated viewers behave as their names say, and are scored like real sessions."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.attention import SessionScore
from gaze_core.saliency_metrics import auc
from research.attention_simulation import viewers
from research.attention_simulation.page import describe
from research.attention_simulation.plot import draw
from research.attention_simulation.runs import VideoStatistics, score_viewing, simulate, simulate_run
from research.attention_simulation.viewers import RATE_HZ, STEP_S, VIEWERS, make_video


def a_video(seconds, *, centre_bias=False, seed=0):
    return make_video(np.random.default_rng(seed), seconds * RATE_HZ, centre_bias=centre_bias)


class TestVideo:
    @pytest.mark.parametrize("centre_bias", [False, True])
    def test_every_frame_has_a_peak_and_dark_areas(self, centre_bias):
        maps = a_video(120, centre_bias=centre_bias)

        assert maps.shape == (2400, 24, 32)
        assert maps.max(axis=(1, 2)).min() >= 254
        assert np.median(maps.min(axis=(1, 2))) < 20

    def test_it_changes_slowly_within_a_shot_and_abruptly_between_shots(self):
        maps = a_video(300).reshape(6000, -1).astype(float)
        change = np.abs(np.diff(maps, axis=0)).mean(axis=1)
        cuts = int((change > 10).sum())

        # Shots of 4.5 s on average: 67 in 300 s.
        assert cuts == approx(67, abs=25)
        assert np.median(change) < 2

    def test_centre_bias_is_in_the_middle(self):
        biased, unbiased = (a_video(300, centre_bias=bias).mean(axis=0) for bias in (True, False))

        assert biased[8:16, 11:21].mean() > 2 * biased.mean()
        assert unbiased[8:16, 11:21].mean() < 1.6 * unbiased.mean()


class TestViewers:
    maps = a_video(300)

    def test_fixations_last_three_tenths_of_a_second(self):
        _, first = viewers._fixations(np.random.default_rng(1), 6000)

        assert 300 / len(first) == approx(0.3, rel=0.1)

    def test_a_viewer_who_follows_fixates_salient_points(self):
        points = VIEWERS["follows"](np.random.default_rng(2), self.maps)
        rows, columns = viewers.find_pixels(points)
        found = [auc(self.maps[frame], [[rows[frame], columns[frame]]]) for frame in range(0, 6000, 10)]

        assert np.mean(found) > 0.7

    def test_a_random_viewer_is_equally_often_everywhere(self):
        points = VIEWERS["random"](np.random.default_rng(3), self.maps)

        assert points.mean(axis=0) == approx([0.5, 0.5], abs=0.03)
        assert points.std(axis=0) == approx([0.289, 0.289], abs=0.02)

    def test_a_stare_stays_in_the_middle(self):
        points = VIEWERS["centre"](np.random.default_rng(4), self.maps)

        assert np.abs(points - 0.5).max() < 0.2

    def test_a_distracted_viewer_looks_away_half_of_the_time_for_seconds(self):
        points = VIEWERS["half away"](np.random.default_rng(5), self.maps)
        is_away = points[:, 0] > 1
        stretches = 1 + np.count_nonzero(np.diff(is_away))

        assert is_away.mean() == approx(0.5, abs=0.12)
        assert 300 / stretches == approx(5.0, rel=0.25)


@pytest.mark.parametrize("centre_bias", [False, True])
@pytest.mark.parametrize("viewer", VIEWERS)
def test_the_vectorised_score_equals_that_of_a_real_session(viewer, centre_bias):
    maps = a_video(20, centre_bias=centre_bias, seed=6)
    points = VIEWERS[viewer](np.random.default_rng(7), maps)
    session = SessionScore(np.arange(len(maps)) * STEP_S, points)
    for frame, saliency_map in enumerate(maps):
        session.add_map(frame, saliency_map)

    vectorised, real = score_viewing(VideoStatistics.of(maps), points, with_lag=True), session.trace()

    for name in ("hits", "ranks", "nss", "chance", "shuffled", "beaten", "compared", "lagged_ranks"):
        assert getattr(vectorised, name).astype(float) == approx(
            getattr(real, name).astype(float), abs=1e-6, nan_ok=True
        ), name


def test_a_run_can_be_repeated():
    first, again, other = (simulate_run(run, centre_bias=True, durations_s=(10, 20))[0] for run in (3, 3, 4))

    assert first.shape == (4, 2, 5, 6)
    assert np.array_equal(first, again, equal_nan=True)
    assert not np.array_equal(first, other, equal_nan=True)


def test_the_shuffled_auc_detects_a_stare_at_the_centre():
    tables = np.stack([simulate_run(run, centre_bias=True, durations_s=(60,))[0] for run in range(1, 13)])
    score, shuffled = tables[:, :, 0, 0, 0].mean(axis=0), tables[:, :, 0, 4, 0].mean(axis=0)
    follows, wanders, stares, _ = range(4)

    assert score[stares] > score[follows] + 20
    assert shuffled[stares] == approx(0.5, abs=0.02)
    assert shuffled[wanders] == approx(0.5, abs=0.02)
    assert shuffled[follows] > 0.56


@pytest.mark.slow
def test_the_tables_and_the_figure_show_every_viewer(tmp_path):
    outcomes = simulate(2, jobs=1, durations_s=(10, 20))

    tables = describe(outcomes, durations_s=(10, 20))
    draw(outcomes, tmp_path / "figure.png", durations_s=(10, 20))

    assert all(f"| {viewer} |" in tables["simulation-scores"] for viewer in VIEWERS)
    assert any(line.startswith("| shuffled AUC | centre |") for line in tables["simulation-coverage"].splitlines())
    assert tables["simulation-repeats"].splitlines()[0] == "| viewer | 10 s | 20 s |"
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
