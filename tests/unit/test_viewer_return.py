"""Another viewer in the middle of a session."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.viewer_change import TRAITS, ViewerPrior, compare_viewers
from gaze_core.viewer_return import (
    BREAK_S,
    CHANGE_THRESHOLD,
    JUMP_MM,
    JUMP_S,
    MAX_SPREAD_DEG,
    RETURN_PRIOR,
    find_viewer_change,
    split_at_breaks,
)

PRIOR = ViewerPrior(np.diag([np.nan, np.nan] + [100.0] * 7), np.diag([np.nan, np.nan] + [1.0] * 7))
SAME = np.zeros(9)


def shifted(by):
    """Traits that differ in the first one that needs no target."""
    return SAME + np.where(np.arange(9) == 2, by, 0.0)


def split(times_s, x_mm):
    places = np.column_stack([x_mm, np.zeros(len(x_mm)), np.full(len(x_mm), 600.0)])
    return split_at_breaks(np.array(times_s), places).tolist()


@pytest.mark.parametrize(
    ("times_s", "x_mm", "segments"),
    [
        ([0.0, 0.05, 0.1], [0, 10, 20], [0, 0, 0]),
        ([0.0, 0.05, 1.04], [0, 0, 0], [0, 0, 0]),
        ([0.0, 0.05, 1.05], [0, 0, 0], [0, 0, 1]),
        ([0.0, 0.3, 0.6], [0, 80, 161], [0, 0, 1]),
        ([0.0, 0.31, 0.62], [0, 200, 400], [0, 0, 0]),
        ([0.0, 2.0, 4.0], [0, 0, 0], [0, 1, 2]),
        ([], [], []),
    ],
)
def test_a_session_is_split_where_the_face_was_gone_or_jumped(times_s, x_mm, segments):
    assert split(times_s, x_mm) == segments


def test_a_step_towards_the_screen_is_no_jump():
    places = np.array([[0, 0, 600.0], [0, 0, 400.0]])

    assert split_at_breaks(np.array([0.0, 0.05]), places).tolist() == [0, 0]


def test_the_limits_are_those_of_the_documents():
    limits = (BREAK_S, JUMP_MM, JUMP_S, CHANGE_THRESHOLD, MAX_SPREAD_DEG)
    assert limits == (1.0, 80.0, 0.3, 6.0, 8.0)


@pytest.mark.parametrize(
    ("traits", "others"),
    [
        ([SAME, shifted(1.0)], None),
        ([SAME, shifted(12.0)], (1,)),
        ([SAME, shifted(1.0), shifted(12.0), SAME, shifted(12.0)], (2, 4)),
        ([None, SAME, None, shifted(12.0)], (3,)),
        ([SAME], None),
        ([None, shifted(12.0)], None),
        ([], None),
    ],
)
def test_segments_that_differ_from_the_first_one_show_somebody_else(traits, others):
    found = find_viewer_change(traits, PRIOR)

    assert (None if found is None else found.others) == others
    assert found is None or found.first == others[0]


def test_more_breaks_need_more_evidence():
    """Between the two limits: enough for one comparison, too little for one of twenty."""
    by = next(
        by
        for by in np.arange(5.0, 15.0, 0.01)
        if compare_viewers(SAME + np.where(np.arange(9) < 2, np.nan, 0), shifted(by), PRIOR).log_likelihood_ratio > 7.0
    )

    assert find_viewer_change([SAME, shifted(by)], PRIOR) is not None
    assert find_viewer_change([SAME, shifted(by), *[SAME] * 19], PRIOR) is None


def test_without_the_eye_network_nothing_is_said():
    lids_only = np.where(np.arange(9) == 2, 0.0, np.nan)

    assert find_viewer_change([lids_only, lids_only + 50.0], PRIOR) is None


def test_within_a_session_one_viewer_changes_less_than_between_sessions():
    from gaze_core.viewer_change import VIEWER_PRIOR

    lids = TRAITS.index("openness")
    assert np.sqrt(RETURN_PRIOR.sessions[lids, lids]) == approx(2.0, abs=0.3)
    assert np.sqrt(VIEWER_PRIOR.sessions[lids, lids]) == approx(3.9, abs=0.1)
