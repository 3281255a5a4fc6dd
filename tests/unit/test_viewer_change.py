"""Doubt that two sessions show the same viewer."""

from functools import partial

import numpy as np
import pytest
from pytest import approx

from gaze_core.cues import GazeCues
from gaze_core.viewer_change import TRAITS, VIEWER_PRIOR, ViewerPrior, compare_viewers, find_traits

COUNT = len(TRAITS)
DISTINCT = ViewerPrior(np.diag([9.0] * COUNT), np.eye(COUNT))
"""People differ three times as much as sessions."""


def traits_of(**values):
    traits = np.full(COUNT, np.nan)
    for name, value in values.items():
        traits[TRAITS.index(name)] = value
    return traits


def test_traits_are_medians_over_frames():
    cues = GazeCues(np.arange(12.0).reshape(2, 3, 2), np.ones((2, 2)))

    traits = find_traits(np.array([0.2, 0.3, 0.35]), cues, np.array([[1.0, 2.0], [3.0, 4.0]]))

    assert traits == approx([2.0, 3.0, 30.0, 3, 4, 5, 6, 7, 8])


def test_unknown_traits_are_left_out():
    traits = find_traits(np.array([0.3]), None, np.zeros((0, 2)))

    assert traits == approx(traits_of(openness=30.0), nan_ok=True)


def test_the_ratio_is_that_of_the_densities():
    # Differences of one viewer have variance 2, of two viewers 20.
    compared = compare_viewers(traits_of(openness=30.0), traits_of(openness=36.0), DISTINCT)

    assert compared.log_likelihood_ratio == approx(36 / 4 - 36 / 40 - np.log(10) / 2)
    assert compared.traits == 1


@pytest.mark.parametrize(("difference", "suspected"), [(3.6, False), (3.7, True)])
def test_one_trait_is_suspicious_beyond_its_99_percent(difference, suspected):
    # 2.576 standard deviations of sqrt(2) are 3.64.
    compared = compare_viewers(traits_of(openness=30.0), traits_of(openness=30.0 + difference), DISTINCT)

    assert compared.is_other_viewer is suspected


@pytest.mark.parametrize("traits", [1, *(pytest.param(count, marks=pytest.mark.slow) for count in (2, 4)), 9])
def test_one_percent_of_same_viewers_is_suspected(traits):
    rng = np.random.default_rng(0)
    mixing = rng.normal(0, 1, (COUNT, COUNT))
    prior = ViewerPrior(mixing @ mixing.T, np.diag(np.geomspace(0.5, 4, COUNT)))
    # A singular value decomposition, the default, has other signs on other processors, and so gives other people.
    draw = partial(rng.multivariate_normal, np.zeros(COUNT), size=10_000, method="cholesky")
    people = draw(prior.people)
    first, second = (people + draw(prior.sessions) for _ in range(2))
    first[:, traits:] = np.nan

    alarms = [compare_viewers(*pair, prior).is_other_viewer for pair in zip(first, second, strict=True)]

    assert np.mean(alarms) == approx(0.01, abs=0.004)


def test_people_who_differ_much_are_told_apart():
    rng = np.random.default_rng(0)
    first, second = (rng.normal(0, np.sqrt(10), (500, COUNT)) for _ in range(2))

    assert np.mean([compare_viewers(*pair, DISTINCT).is_other_viewer for pair in zip(first, second, strict=True)]) > 0.9


def test_without_a_common_trait_there_is_no_comparison():
    assert compare_viewers(traits_of(openness=30.0), traits_of(eyes_up=1.0), DISTINCT) is None


def test_a_trait_without_a_prior_is_not_compared():
    unknown = np.full((COUNT, COUNT), np.nan)

    assert compare_viewers(np.zeros(COUNT), np.ones(COUNT), ViewerPrior(unknown, unknown)) is None


def test_the_estimated_prior_covers_offset_and_openness():
    compared = compare_viewers(
        traits_of(offset_right=0.0, offset_up=0.0, openness=30.0),
        traits_of(offset_right=0.0, offset_up=0.0, openness=30.0),
        VIEWER_PRIOR,
    )

    assert (compared.traits, compared.is_other_viewer) == (3, False)
