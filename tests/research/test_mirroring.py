"""Simulated calibrations in front of a mirrored camera."""

import numpy as np
from pytest import approx

from gaze_core.types import Camera, Screen
from research.evaluation.mirroring import count_suspicions, look_elsewhere, look_in_another_order, mirror, worsen
from tests.fakes.viewer import FIVE_TARGETS, Viewer, measure_frames


def look(viewer):
    targets = [target for target in FIVE_TARGETS for _ in range(3)]
    return measure_frames([viewer.look_at(target) for target in targets], targets)


def test_only_mirrored_viewers_who_look_at_the_targets_are_suspected():
    people = [(look(Viewer(offset_deg=offset_deg)), Screen(), Camera()) for offset_deg in ((4.0, -3.0), (-5.0, 2.0))]

    found = count_suspicions(people)

    assert (found["as they are"], found["mirrored"], found["one wrong target"]) == (0, 1, 0)
    assert found["mirrored, one wrong target"] > 0.9
    assert found["other order"] < 0.2


def test_a_mirrored_image_turns_gaze_and_head_to_the_other_side():
    frames = look(Viewer())
    mirrored = mirror(frames)

    assert mirrored.uncalibrated_deg[:, 0] == approx(-frames.uncalibrated_deg[:, 0])
    assert mirrored.uncalibrated_deg[:, 1] == approx(frames.uncalibrated_deg[:, 1])
    assert mirrored.origin_mm[:, 0] == approx(-frames.origin_mm[:, 0])


def test_a_wrong_target_gets_the_gaze_of_another_one():
    frames = look(Viewer())
    changed = look_elsewhere(frames, np.random.default_rng(0))

    differ = (changed.uncalibrated_deg != frames.uncalibrated_deg).any(axis=1)
    assert differ.sum() == 3
    assert len(np.unique(changed.targets[differ], axis=0)) == 1


def test_a_poor_gaze_moves_half_as_far_and_errs_at_each_target():
    frames = look(Viewer())
    rng = np.random.default_rng(0)
    repeats = np.array([worsen(frames, rng).uncalibrated_deg[:, 0] for _ in range(400)])

    gaze_deg = frames.uncalibrated_deg[:, 0]
    slope = np.polyfit(gaze_deg, repeats.mean(axis=0), 1)[0]
    assert slope == approx(0.5, abs=0.05)
    assert repeats.std(axis=0) == approx(np.full(len(frames), 4.0), rel=0.15)
    # All frames of a target err alike.
    places, target = np.unique(frames.targets, axis=0, return_inverse=True)
    errors_deg = repeats - 0.5 * gaze_deg
    assert all(np.ptp(errors_deg[:, target.reshape(-1) == each], axis=1).max() < 0.01 for each in range(len(places)))


def test_another_order_exchanges_the_targets_only():
    frames = look(Viewer())
    changed = look_in_another_order(frames, np.random.default_rng(0))

    assert np.unique(changed.targets, axis=0) == approx(np.unique(frames.targets, axis=0))
    assert (changed.targets != frames.targets).any()
    assert changed.uncalibrated_deg == approx(frames.uncalibrated_deg)
