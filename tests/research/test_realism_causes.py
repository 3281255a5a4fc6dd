"""Causes of jitter: only one thing varies at a time."""

import numpy as np
import pytest
from pytest import approx

from research.realism.causes import CAUSES, describe, make_fixation, measure_jitters
from tests.fakes.drawn_face import make_points


def differing(cause):
    """Return the attributes of scene and optics that differ between the frames of one fixation."""
    first, *others = [vars(scene) for scene in make_fixation(325, cause)]
    names = {name for other in others for name in first if other[name] != first[name]}
    if "optics" in names:
        names.remove("optics")
        optics = [first["optics"], *(other["optics"] for other in others)]
        names |= {name for name in type(optics[0]).__slots__ if len({getattr(each, name) for each in optics}) > 1}
    return names


@pytest.mark.parametrize(
    ("cause", "names"),
    [
        ("camera noise", {"seed"}),
        ("head position, 1.5 mm", {"origin_mm"}),
        ("head rotation, 0.4°", {"pitch_deg", "yaw_deg", "roll_deg"}),
        ("lids", {"openness"}),
    ],
)
def test_only_the_cause_varies(cause, names):
    assert differing(cause) == names


def test_the_camera_varies_in_more_than_its_noise():
    assert {"seed", "exposure"} < differing("camera noise, exposure and motion blur")


def test_a_still_face_has_no_jitter():
    still = np.stack([make_points() for _ in range(10)])
    noisy = still.copy()
    noisy[::2, [468, 473]] += (0.3, 0.0)  # eyes are 30 wide: second differences of 0.02

    assert measure_jitters(still)["both_irises_x"] == approx(0.0, abs=1e-9)
    assert measure_jitters(noisy)["both_irises_x"] == approx(1000 * 1.4826 * 0.02 / 6**0.5)


def test_the_table_has_a_column_for_each_cause():
    table = describe({cause: measure_jitters(np.stack([make_points()] * 10)) for cause in CAUSES})

    assert "| everything | camera noise |" in table
    assert table.splitlines()[-1] == "| iris diameter | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 | 0.0 |"
