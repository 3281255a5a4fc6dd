"""How much a viewer who comes back differs from another one, on people with known traits."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from gaze_core.viewer_change import TRAITS
from research.training.viewer_return import (
    CHANGED_ROLES,
    FIRST_TEST_ROOM,
    ROLES,
    draw_pairs,
    find_people,
    fit_return_prior,
    measure_changes,
    plan_room,
    render_return_prior,
)

COUNT = len(TRAITS) - 2


def make_pairs(people=400, between=8.0, returns=1.0):
    """Return traits before, of the same viewers after a return, and of others."""
    rng = np.random.default_rng(0)
    first, other = rng.normal(0, between, (2, people, COUNT))
    return tuple(own + rng.normal(0, returns, own.shape) for own in (first, first, other))


def test_variances_that_were_put_in_come_out():
    prior = fit_return_prior(*make_pairs())

    assert np.sqrt(np.diag(prior.people))[2:] == approx(np.full(COUNT, 8.0), rel=0.15)
    assert np.sqrt(np.diag(prior.sessions))[2:] == approx(np.full(COUNT, 1.0), rel=0.15)
    assert np.isnan(prior.people[:2]).all()


def test_people_who_differ_more_than_one_viewer_are_told_apart():
    first, back, other = make_pairs()
    prior = fit_return_prior(first, back, other)

    assert measure_changes(first, back, prior) == 0.0
    assert measure_changes(first, other, prior) > 0.9


def test_people_who_do_not_are_not():
    first, back, other = make_pairs(between=0.1)

    assert measure_changes(first, other, fit_return_prior(first, back, other)) == 0.0


def test_no_person_is_in_rooms_of_both_groups():
    groups = [{number for room in rooms for number in find_people(room)} for rooms in (range(55), range(1000, 1055))]

    assert max(groups[0]) < 300 <= min(groups[1])
    assert FIRST_TEST_ROOM == 1000


def test_a_room_has_one_camera_and_light():
    parts = list(plan_room(3))

    assert [role for role, _, _ in parts] == list(ROLES)
    assert len({(session.camera, session.screen, session.lighting) for _, session, _ in parts}) == 1
    assert len({session.place_mm for _, session, _ in parts}) == 3
    assert [person.identity_id for _, _, person in parts] == [6, 6, 7]


def test_in_test_rooms_the_viewer_also_comes_back_with_other_glasses_or_in_another_light():
    parts = {role: (session, person) for role, session, person in plan_room(1000)}
    (back, person), (glasses, with_glasses), (light, _) = (parts[role] for role in ("back", "glasses", "light"))

    assert list(parts) == [*ROLES, *CHANGED_ROLES]
    assert glasses == replace(back, wears_glasses=not back.wears_glasses)
    assert with_glasses == replace(person, glasses=with_glasses.glasses)
    assert with_glasses.glasses is not None
    assert light == replace(back, lighting=light.lighting, backdrop=light.backdrop)
    assert light.lighting != back.lighting


def test_parts_of_any_roles_can_be_compared():
    room = {"before": np.zeros((9, 7)), "light": np.ones((9, 7))}

    first, changed = draw_pairs([room], 0, ("before", "light"))

    assert (first == 0).all()
    assert (changed == 1).all()


def test_rooms_without_enough_frames_are_left_out():
    full, few = (dict.fromkeys(ROLES, np.arange(count * 7.0).reshape(count, 7)) for count in (9, 4))

    first, back, other = draw_pairs([full, few], 0)

    assert first.shape == back.shape == other.shape == (10, 7)


def test_the_written_prior_is_python(tmp_path):
    prior = fit_return_prior(*make_pairs())
    names = {}
    exec(render_return_prior(prior), names)

    assert np.array(names["RETURNS"])[2:, 2:] == approx(prior.sessions[2:, 2:], rel=1e-3)


def test_a_measured_share_is_that_of_pairs():
    first = np.zeros((4, COUNT))
    after = np.array([np.zeros(COUNT), np.full(COUNT, 40.0), np.zeros(COUNT), np.zeros(COUNT)])

    assert measure_changes(first, after, fit_return_prior(*make_pairs())) == pytest.approx(0.25)
