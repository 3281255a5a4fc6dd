"""The numbers of a report, each with one sentence that explains it."""

from collections.abc import Mapping

import numpy as np

from gaze_core.intervals import Estimate
from gaze_tools.report.examination import Report
from gaze_tools.report.eye_events import EyeEvents

MEANINGS: Mapping[str, str] = {
    "score": "Share of the scored frames in which the gaze was in the most salient 30 % of the video frame.",
    "chance": "Score of a random gaze on the same maps.",
    "lift": "Score minus chance level; above 0 the viewer followed salient content.",
    "nss": "Saliency at the point of gaze, in standard deviations above the mean of the map; chance is 0.",
    "auc": "Probability that the point of gaze is more salient than a random point; chance is 0.5, the best is 1.",
    "shuffled_auc": "AUC against the viewer's own gaze at other times, so that staring at the centre earns nothing; "
    "chance is 0.5.",
    "lag": "Delay of the gaze behind the video at which the two fit best.",
    "blurred": "The same on maps blurred by the gaze's usual error",
    "off_video": "Frames in which the gaze was outside the video; they count as misses.",
}


def describe_numbers(report: Report) -> list[tuple[str, str, str]]:
    """Return the name, value and meaning of each number of a report."""
    numbers: list[tuple[str, str, str]] = []
    attention = report.attention
    if attention is not None:
        numbers += [
            ("Score", _with_interval(attention.final_score_percent, "%", 1), MEANINGS["score"]),
            ("Chance level", f"{attention.chance_level_percent:.1f} %", MEANINGS["chance"]),
            ("Lift", _with_interval(attention.lift_points, "points", 1), MEANINGS["lift"]),
            ("NSS", _with_interval(attention.nss, "", 2), MEANINGS["nss"]),
            ("AUC", _with_interval(attention.auc, "", 2), MEANINGS["auc"]),
            ("Shuffled AUC", _with_interval(attention.shuffled_auc, "", 2), MEANINGS["shuffled_auc"]),
        ]
        if attention.lag is not None:
            numbers.append(("Lag", f"{attention.lag.lag_s:.1f} s", MEANINGS["lag"]))
        if attention.off_video:
            numbers.append(("Off the video", f"{attention.off_video} frames", MEANINGS["off_video"]))
    if report.at_accuracy is not None and report.accuracy is not None:
        blurred = f"{MEANINGS['blurred']} of {report.accuracy.accuracy_deg:.1f}°."
        numbers += [
            ("Score, blurred", _with_interval(report.at_accuracy.final_score_percent, "%", 1), blurred),
            ("Lift, blurred", _with_interval(report.at_accuracy.lift_points, "points", 1), blurred),
            ("Shuffled AUC, blurred", _with_interval(report.at_accuracy.shuffled_auc, "", 2), blurred),
        ]
    scored = f"{report.statuses['scored']} of {len(report.rows)} expected frames were scored."
    numbers.append(("Coverage", f"{100 * report.coverage:.1f} %", scored))
    return numbers + _describe_events(report.events)


def _describe_events(events: EyeEvents) -> list[tuple[str, str, str]]:
    numbers = []
    if events.fixations:
        median_ms = 1000 * float(np.median([each.duration_s for each in events.fixations]))
        numbers.append(("Fixations", f"{len(events.fixations)}", f"Median duration {median_ms:.0f} ms."))
    if events.saccades:
        median_deg = float(np.median([each.amplitude_deg for each in events.saccades]))
        numbers.append(("Saccades", f"{len(events.saccades)}", f"Median amplitude {median_deg:.1f}°."))
    if events.blinks is not None:
        meaning = "Eye closures of 50 to 500 ms; below 20 frames/s some are missed."
        numbers.append(("Blinks", f"{len(events.blinks)}", meaning))
    return numbers


def _with_interval(estimate: Estimate | None, unit: str, digits: int) -> str:
    if estimate is None:
        return "–"
    value = f"{estimate.value:.{digits}f}"
    if estimate.low is not None and estimate.high is not None:
        value += f" ({estimate.low:.{digits}f} to {estimate.high:.{digits}f})"
    return f"{value} {unit}".strip()
