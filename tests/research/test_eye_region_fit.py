"""Fitting the weights of the eye region, on faces whose lids show a part of the gaze that the irises do not."""

import dataclasses
import runpy

import numpy as np
import pytest
from pytest import approx

from gaze_core import eye_region_weights
from gaze_core.eye_region import EYE_REGION_MODEL, PAIRS
from gaze_core.features import measure_face
from gaze_core.types import GazeDirection
from research.dataset.table import TRAINING_TABLE_PATH, load_table
from research.training.examples import Examples, measure_table, select_examples
from research.training.eye_region import STRENGTHS, choose_strength, fit_eye_region, render_weights
from tests.fakes.synthetic_face import make_face


def make_faces(count, *, seed=0):
    """Return faces with straight irises and their true gaze.

    The gaze is 3 degrees up per mm that the lids of pair 4 are low, and 2 degrees right per mm that those of pair 2 are
    apart.
    """
    rng = np.random.default_rng(seed)
    face = measure_face(make_face())
    geometries, gaze_deg = [], []
    for _ in range(count):
        points = rng.normal(0, 1.0, (2, len(PAIRS), 2))
        right_deg = 2.0 * (points[0, 2, 0] + points[1, 2, 0]) / 2
        up_deg = 3.0 * (points[0, 4, 1] + points[1, 4, 1]) / 2
        irises = GazeDirection(*rng.normal(0, 5, 2).tolist())
        geometries.append(dataclasses.replace(face, irises=irises, eye_region_mm=points.reshape(-1, 2)))
        gaze_deg.append((irises.gaze_x_deg + right_deg, irises.gaze_y_deg + up_deg))
    return tuple(geometries), np.array(gaze_deg)


def test_weights_that_were_put_in_come_out():
    geometries, gaze_deg = make_faces(400)

    eye_region = fit_eye_region(geometries, gaze_deg, strength=0.01)

    assert eye_region.sideways[2, 0] == approx(2.0, abs=0.05)
    assert eye_region.upwards[4, 1] == approx(3.0, abs=0.05)
    assert np.abs(np.delete(eye_region.upwards.ravel(), 2 * 4 + 1)).max() < 0.1


def test_a_strong_pull_makes_weights_small():
    geometries, gaze_deg = make_faces(400)

    weak, strong = (fit_eye_region(geometries, gaze_deg, strength=each) for each in (1.0, 4000.0))

    assert 0 < strong.upwards[4, 1] < 0.2 * weak.upwards[4, 1]


def test_faces_with_a_closed_eye_are_ignored():
    geometries, gaze_deg = make_faces(100)
    shut = tuple(dataclasses.replace(geometry, eye_region_mm=None) for geometry in geometries)

    both = fit_eye_region(geometries + shut, np.concatenate([gaze_deg, gaze_deg + 50]), strength=1.0)

    assert both.upwards == approx(fit_eye_region(geometries, gaze_deg, strength=1.0).upwards)
    with pytest.raises(ValueError, match="no face has both eyes open"):
        fit_eye_region(shut, gaze_deg, strength=1.0)


def test_the_weakest_penalty_is_chosen_if_the_lids_explain_everything():
    geometries, gaze_deg = make_faces(200)
    examples = Examples(np.zeros((200, 7)), gaze_deg, np.repeat(np.arange(20), 10), geometries)

    strength, errors_deg = choose_strength(examples, folds=4)

    assert strength == STRENGTHS[0]
    assert errors_deg[STRENGTHS[0]] < errors_deg[STRENGTHS[-1]]


@pytest.mark.slow
def test_the_shipped_penalty_was_chosen_among_weaker_and_stronger_ones():
    table = load_table(TRAINING_TABLE_PATH)
    examples = select_examples(table, measure_table(table), held_out=False)

    strength, errors_deg = choose_strength(examples, folds=5)

    assert strength == eye_region_weights.STRENGTH
    assert min(STRENGTHS) < strength < max(STRENGTHS)
    assert errors_deg[strength] <= 1.025 * min(errors_deg.values())


def test_rendered_weights_are_read_back(tmp_path):
    eye_region = fit_eye_region(*make_faces(50), strength=3.0)
    path = tmp_path / "weights.py"
    path.write_text(render_weights(eye_region, 3.0))

    read = runpy.run_path(str(path))

    assert np.array(read["PAIRS"])[:, 2:] == approx(eye_region.upwards, rel=1e-4, abs=1e-9)
    assert read["STRENGTH"] == 3


@pytest.mark.slow
def test_the_shipped_weights_are_those_of_the_shipped_table():
    table = load_table(TRAINING_TABLE_PATH)
    examples = select_examples(table, measure_table(table), held_out=False)

    eye_region = fit_eye_region(examples.geometries, examples.gaze_deg, strength=eye_region_weights.STRENGTH)

    assert eye_region.sideways == approx(EYE_REGION_MODEL.sideways, abs=2e-3)
    assert eye_region.upwards == approx(EYE_REGION_MODEL.upwards, abs=2e-3)
    assert eye_region.upwards_terms == approx(EYE_REGION_MODEL.upwards_terms, abs=2e-2)
    assert eye_region.sideways_terms == approx(EYE_REGION_MODEL.sideways_terms, abs=2e-3)
    assert eye_region.alone_upwards == approx(EYE_REGION_MODEL.alone_upwards, abs=2e-2)
    assert eye_region.alone_sideways == approx(EYE_REGION_MODEL.alone_sideways, abs=2e-3)
