"""The result of a session, as it is stored and answered."""

import math
from collections.abc import Mapping
from typing import Any

from gaze_core.attention import Attention, Estimate
from gaze_core.errors import SessionStoreError

RESULT_VERSION = 1

LOST_REASONS = ("missing", "no_face", "eyes_closed", "low_quality", "old_format", "unreadable", "no_map", "bad_map")


def check_result(result: object) -> Mapping[str, Any]:
    """Return a stored result.

    Raises:
        SessionStoreError: It is nothing that this service wrote.
    """
    if isinstance(result, Mapping):
        score, coverage = result.get("final_score"), result.get("coverage")
        if (
            all(isinstance(value, int | float) and not isinstance(value, bool) for value in (score, coverage))
            and 0 <= float(result["final_score"]) <= 100
            and 0 <= float(result["coverage"]) <= 1
            and isinstance(result.get("score_valid"), bool)
        ):
            return result
    raise SessionStoreError("the session API holds a result that is none")


def describe_maps_result(attention: Attention | None) -> dict[str, Any]:
    """Return the result's keys for what the maps say."""
    return describe_statistics(attention) | {"maps_digest": None, "at_accuracy": None, "trace": None}


def describe_statistics(attention: Attention | None) -> dict[str, Any]:
    """Return the statistics, rounded; without any the keys are the same and the score is 0."""
    if attention is None:
        names = ("chance_level", "lift_points", "interval_95", "block_length_s", "effective_samples")
        empty: dict[str, Any] = dict.fromkeys((*names, "lift", "nss", "auc", "shuffled_auc", "lag"))
        return {"final_score": 0.0, "interval_reliable": False, **empty}
    score, lag = attention.final_score_percent, attention.lag
    return {
        "final_score": round(score.value, 2),
        "chance_level": round(attention.chance_level_percent, 2),
        "lift_points": round(attention.lift_points.value, 2),
        "interval_95": _interval(score, 2),
        "interval_reliable": score.interval_reliable,
        "block_length_s": _round(score.block_s, 3),
        "effective_samples": _round(score.effective_samples, 1),
        "lift": _describe_estimate(attention.lift_points, 2),
        "nss": _describe_estimate(attention.nss, 4),
        "auc": _describe_estimate(attention.auc, 4),
        "shuffled_auc": _describe_estimate(attention.shuffled_auc, 4),
        "lag": lag and {name: round(getattr(lag, name), 4) for name in ("lag_s", "auc", "auc_at_zero")},
    }


def _describe_estimate(estimate: Estimate | None, digits: int) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {
        "value": round(estimate.value, digits),
        "interval_95": _interval(estimate, digits),
        "interval_reliable": estimate.interval_reliable,
        "frames": estimate.frames,
    }


def _interval(estimate: Estimate, digits: int) -> list[float] | None:
    if estimate.low is None or estimate.high is None:
        return None
    return [round(estimate.low, digits), round(estimate.high, digits)]


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)
