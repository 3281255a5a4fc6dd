"""Where the CPU time of a frame goes: the stages as shares of what the function spends on a frame."""

from collections.abc import Mapping

from gaze_tools.bench.names import BARE_NETWORKS, ENGINES, LOAD, name_frame, name_load
from gaze_tools.bench.results import BenchReport, MeasuredQuantity

FRAME_SECTION = name_frame((640, 480))
REST = "rest: HTTP, event loop, threads"

_STAGES = (
    "parse the request",
    "decode the JPEG",
    "detect and landmarks, {engine}",
    "pose and geometry",
    "eye images and network",
    "features",
    "gaze model, {format}",
    "record",
    "session update",
    "respond",
)
"""Stages that follow each other; the others are parts of these."""

_FORMATS = {"mediapipe": "joblib", "litert": "ONNX"}


def find_shares(report: BenchReport) -> dict[str, Mapping[str, float]]:
    """Return the shares of the stages in the function's CPU time of a frame, by engine and stage.

    The function's CPU time is that with one client. Both it and the stages are relative to the bare networks of their
    own section, so that a machine that became slower between them does not matter. The rest is what no stage accounts
    for. An engine without all numbers is left out.

    Args:
        report: Report of `gaze bench all`.
    """
    found: dict[str, Mapping[str, float]] = {}
    for engine in ENGINES:
        whole = _find_ratio(report, LOAD, name_load(engine, 1))
        if whole is None:
            continue
        shares = {}
        for stage in _STAGES:
            ratio = _find_ratio(report, FRAME_SECTION, stage.format(engine=engine, format=_FORMATS[engine]))
            if ratio is None:
                break
            shares[stage.partition(",")[0]] = ratio / whole
        else:
            found[engine] = {**shares, REST: 1 - sum(shares.values()), BARE_NETWORKS: 1 / whole}
    return found


def _find_ratio(report: BenchReport, section: str, step: str) -> float | None:
    number = report.find(section, step, MeasuredQuantity.CPU_MS)
    return None if number is None else report.find_ratios(number).get(BARE_NETWORKS)
