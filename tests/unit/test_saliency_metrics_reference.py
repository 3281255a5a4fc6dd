"""Saliency metrics compared with the published definitions of the MIT saliency benchmark, run in Octave."""

import numpy as np
import pytest
from pytest import approx

from gaze_core.saliency_metrics import auc_judd, cc, kl_divergence, nss, sim
from tests.unit.saliency_metrics_cases import CASES

METRICS = {"nss": nss, "cc": cc, "sim": sim, "kl_divergence": kl_divergence, "auc_judd": auc_judd}


@pytest.mark.parametrize(
    ("case", "metric"),
    [pytest.param(case, metric, id=f"{case.name} {metric}") for case in CASES for metric in case.expected],
)
def test_metrics_match_the_benchmark(case, metric):
    seen = case.fixations if metric in ("nss", "auc_judd") else case.density

    assert METRICS[metric](case.saliency_map, seen) == approx(case.expected[metric], abs=1e-6, rel=0)


def test_bytes_give_the_numbers_of_floats():
    case = CASES[-1]
    as_bytes = case.saliency_map.astype(np.uint8)

    assert nss(as_bytes, case.fixations) == approx(case.expected["nss"], abs=1e-6)
    assert sim(as_bytes, case.density) == approx(case.expected["sim"], abs=1e-6)
