"""Fit of the fusion, on people whose errors are known."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.eye_region import EYE_REGION_MODEL
from gaze_core.fusion import ESTIMATES, FUSION_MODEL, FusionModel, ShapeModel
from research.training import fusion
from research.training.examples import measure_table
from research.training.fusion import (
    EyeDirections,
    cross_estimate,
    describe_fusion,
    fit_fusion,
    render_shape_weights,
    render_weights,
    select_rendered,
)
from research.training.shapes import RENDERED_SHAPE_MODEL, fit_shapes, weigh_people
from tests.fakes.synthetic_table import SHAPE_DEG, make_table

PERSON = np.repeat(np.arange(200), 20)


def draw(sd_deg=(3.0, 2.0, 4.0), *, spread_deg=None, seed=0):
    """Estimates with independent errors of given standard deviations; the network predicts its spread."""
    rng = np.random.default_rng(seed)
    true_deg = rng.normal(0, 10, (len(PERSON), 2))
    spreads_deg = np.full((len(PERSON), 2), sd_deg[1]) if spread_deg is None else spread_deg
    scale = np.repeat(np.array(sd_deg)[None, :, None], len(PERSON), axis=0) * np.ones((1, 1, 2))
    scale[:, 1] = spreads_deg
    return EyeDirections(
        true_deg[:, None] + rng.normal(0, 1, (len(PERSON), 3, 2)) * scale, spreads_deg, true_deg, PERSON
    )


def test_covariances_of_independent_errors_are_their_variances():
    fitted = fit_fusion(draw())

    assert fitted.covariances_deg2 == approx(np.array([np.diag([9.0, 4.0, 16.0])] * 2), abs=0.8)
    assert fitted.network_spread_deg == approx([2.0, 2.0])


def test_the_network_s_errors_are_counted_at_its_usual_spread():
    # Half of the images are twice as uncertain: the usual spread is the root of (4 + 16) / 2.
    spread_deg = np.where(np.arange(len(PERSON)) % 2 == 0, 2.0, 4.0)[:, None] * np.ones((1, 2))

    fitted = fit_fusion(draw(spread_deg=spread_deg))

    assert fitted.network_spread_deg == approx([np.sqrt(10)] * 2)
    assert fitted.covariances_deg2[:, 1, 1] == approx([10.0, 10.0], rel=0.06)


def test_a_bias_is_no_scatter():
    directions = draw()
    directions.estimates_deg[:, 0] += 7.0

    assert fit_fusion(directions).covariances_deg2[:, 0, 0] == approx([9.0, 9.0], rel=0.05)


def test_every_person_counts_the_same():
    assert weigh_people(np.array([1, 1, 1, 2])) == approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_images_without_an_estimate_are_left_out():
    directions = draw()
    directions.estimates_deg[:100, 1] = np.nan
    rest = np.arange(len(PERSON)) >= 100

    assert fit_fusion(directions).covariances_deg2 == approx(fit_fusion(directions.of(rest)).covariances_deg2)


def test_without_an_image_with_all_estimates_there_is_nothing_to_fit():
    directions = draw()
    directions.estimates_deg[:, 2] = np.nan

    with pytest.raises(ValueError, match="no image has all estimates"):
        fit_fusion(directions)


def test_a_map_from_blendshapes_is_found_again():
    rng = np.random.default_rng(0)
    shapes = rng.uniform(0, 1, (300, 2, 7))
    known = ShapeModel(np.array([-30.0, 30.0, 0, 0, 0, 0, 0]), 3.0, np.array([0, 0, 50.0, -20.0, 0, 0, 0]), -6.0)

    fitted = fit_shapes(shapes, known.predict(shapes), np.arange(300))

    assert fitted.sideways_deg == approx(known.sideways_deg)
    assert fitted.upwards_deg == approx(known.upwards_deg)
    assert (fitted.straight_deg, fitted.level_deg) == approx((3.0, -6.0))


@pytest.fixture(scope="module")
def rendered():
    table = make_table(identities=20, frames=10, network_sd_deg=2.0, shapes_sd_deg=1.0)
    return select_rendered(table, measure_table(table, eye_region=None), held_out=False)


def test_only_training_people_are_selected(rendered):
    assert sorted(set(rendered.person.tolist())) == list(range(17))
    assert len(rendered.eyes) == len(rendered.geometries) == len(rendered) == 170


def test_estimates_of_a_table_are_those_of_its_network_and_blendshapes(rendered):
    directions = rendered.estimate(EYE_REGION_MODEL, rendered.fit_shapes())
    errors_deg = (directions.estimates_deg - directions.true_deg[:, None])[directions.is_complete]

    assert errors_deg[:, 1].std(axis=0) == approx([2.0, 2.0], rel=0.2)
    assert errors_deg[:, 2].std(axis=0) == approx([1.0, 1.0], rel=0.2)
    assert directions.network_spread_deg[0] == approx([2.0, 2.0])


def test_the_synthetic_map_is_found_again(rendered):
    assert rendered.fit_shapes().sideways_deg[1] == approx(SHAPE_DEG, rel=0.05)
    assert rendered.fit_shapes().upwards_deg[3] == approx(-SHAPE_DEG, rel=0.15)


def test_estimates_for_a_person_come_from_others(rendered, monkeypatch):
    seen = []
    real_fit = fusion.fit_eye_region

    def fit(geometries, gaze_deg, *, strength):
        seen.append({id(geometry) for geometry in geometries})
        return real_fit(geometries, gaze_deg, strength=strength)

    monkeypatch.setattr(fusion, "fit_eye_region", fit)

    directions = cross_estimate(rendered, folds=4)

    assert np.array_equal(directions.person, rendered.person)
    assert len(seen) == 4
    left_out = [{id(geometry) for geometry in rendered.geometries} - learnt for learnt in seen]
    assert sum(len(part) for part in left_out) == len(rendered)
    people = {id(geometry): person for geometry, person in zip(rendered.geometries, rendered.person, strict=True)}
    for part, learnt in zip(left_out, seen, strict=True):
        assert not {people[face] for face in part} & {people[face] for face in learnt}


def test_the_written_weights_are_read_back():
    model = FusionModel(np.arange(18.0).reshape(2, 3, 3) / 7, np.array([1.0, 2.0]))
    names = {}

    exec(render_weights(model), names)
    exec(render_shape_weights(ShapeModel(np.arange(7.0), 0.5, np.arange(7.0) / 3, -8.0)), names)

    assert np.array([names["COVARIANCE_RIGHT"], names["COVARIANCE_UP"]]) == approx(model.covariances_deg2, rel=1e-4)
    assert names["NETWORK_SPREAD"] == (1.0, 2.0)
    assert names["SIDEWAYS"] == (0, 1, 2, 3, 4, 5, 6)
    assert names["UPWARDS"] == approx(np.arange(7.0) / 3, rel=1e-4)
    assert (names["STRAIGHT"], names["LEVEL"]) == (0.5, -8.0)


def test_the_shipped_weights_are_as_the_fit_writes_them():
    assert fusion.WEIGHTS_PATH.read_text() == render_weights(FUSION_MODEL)
    assert fusion.SHAPE_WEIGHTS_PATH.read_text() == render_shape_weights(RENDERED_SHAPE_MODEL)


def test_the_fit_is_described_for_each_axis():
    lines = describe_fusion(FusionModel(np.array([np.diag([4.0, 1.0, 4.0])] * 2), np.ones(2)))

    assert lines[0] == (
        "horizontal: landmarks SD 2.00, network SD 1.00, blendshapes SD 2.00; correlations 0.00, 0.00, 0.00; "
        "weights 0.17, 0.67, 0.17"
    )
    assert lines[1].startswith("vertical: ")
    assert len(lines[0].split("; ")[0].split(", ")) == len(ESTIMATES)
