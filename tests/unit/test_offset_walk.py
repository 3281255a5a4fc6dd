"""Offset of the gaze over time, from targets."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.offset_walk import SeenOffsets, WalkPrior, estimate_offsets


def see(times_s, right_deg, noise_deg=1.0):
    offsets = np.column_stack([right_deg, np.zeros(len(right_deg))])
    return SeenOffsets(np.array(times_s, dtype=float), offsets, np.full((len(times_s), 2), noise_deg))


def estimate(seen, at_s, *, start=2.0, walk=0.0):
    return estimate_offsets(seen, np.array(at_s, dtype=float), WalkPrior((start, start), (walk, walk)))


def test_a_target_counts_by_its_noise_and_the_prior():
    # 4 / (4 + 1) of what it shows.
    track = estimate(see([0], [1.0]), [0])

    assert track.offsets_deg[0] == approx([0.8, 0.0])
    assert track.sd_deg[0] == approx([np.sqrt(0.8)] * 2)


def test_many_targets_outweigh_the_prior():
    assert estimate(see([0] * 100, [1.0] * 100), [0]).offsets_deg[0, 0] == approx(1.0, abs=0.01)


def test_without_a_walk_time_does_not_matter():
    track = estimate(see([0, 600], [1.0, 1.0]), [0, 300, 10_000])

    assert np.ptp(track.offsets_deg[:, 0]) == approx(0)


def test_between_two_targets_the_offset_changes_linearly():
    track = estimate(see([60, 180], [1.0, -1.0], noise_deg=0.01), [60, 90, 120, 180], walk=1.0)

    assert track.offsets_deg[:, 0] == approx([1.0, 0.5, 0.0, -1.0], abs=0.01)


def test_after_the_last_target_the_offset_stays():
    track = estimate(see([60, 180], [1.0, -1.0]), [180, 900], walk=1.0)

    assert track.offsets_deg[1] == approx(track.offsets_deg[0])
    assert track.sd_deg[1, 0] > track.sd_deg[0, 0] + 1


def test_within_a_minute_the_walk_passes_its_standard_deviation():
    track = estimate(see([0], [0.0], noise_deg=1e-6), [60, 240], walk=0.5)

    assert track.sd_deg[:, 0] == approx([0.5, 1.0], abs=1e-4)


def test_a_single_target_says_nothing_about_itself():
    assert estimate(see([30], [3.0]), [30], walk=0.5).left_out_deg[0] == approx([0, 0])


def test_a_target_is_left_out_as_if_it_had_not_been_shown():
    seen = see([10, 60, 120], [0.5, 1.0, 0.2])
    kept = see([10, 120], [0.5, 0.2])

    left_out = estimate(seen, [0], walk=0.5).left_out_deg[1]

    assert left_out == approx(estimate(kept, [60], walk=0.5).offsets_deg[0])


@pytest.mark.parametrize("right_deg", [15.0, 40.0])
def test_a_target_that_was_not_looked_at_has_little_influence(right_deg):
    others = [0.5] * 4

    track = estimate(see([0] * 5, [*others, right_deg]), [0])

    assert track.offsets_deg[0, 0] == approx(0.5, abs=0.4)


def test_a_lone_target_far_away_is_doubted():
    near, far = (estimate(see([0], [right]), [0]).offsets_deg[0, 0] for right in (2.0, 20.0))

    assert near == approx(1.6)
    assert far < 5
