"""The fixations, saccades and blinks of a report as CSV and JSON."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from gaze_tools.report.eye_events import EyeEvents

EVENT_COLUMNS: Mapping[str, Mapping[str, str]] = {
    "fixations": {
        "number": "Number of the fixation, as in the column fixation of trace.csv.",
        "onset_s": "Position in the video at its first frame, in seconds.",
        "duration_s": "Time from its first to its last frame, in seconds.",
        "x": "Mean horizontal point of gaze on the screen: 0 left edge, 1 right edge; may lie outside.",
        "y": "Mean vertical point of gaze on the screen: 0 top edge, 1 bottom edge; may lie outside.",
        "video_x": "Mean horizontal point of gaze on the video: 0 left edge, 1 right edge; may lie outside.",
        "video_y": "Mean vertical point of gaze on the video: 0 top edge, 1 bottom edge; may lie outside.",
        "dispersion_deg": "Width plus height of its smoothed gaze directions, in degrees of visual angle.",
        "samples": "Number of its frames.",
    },
    "saccades": {
        "number": "Number of the saccade, as in the column saccade of trace.csv.",
        "onset_s": "Position in the video at the last frame of the fixation before, in seconds.",
        "duration_s": "Time to the first frame of the fixation after, in seconds; an upper bound.",
        "amplitude_deg": "Visual angle between the two fixations, in degrees.",
        "peak_velocity_deg_per_s": "Highest velocity from frame to frame, in degrees per second; a lower bound.",
    },
    "blinks": {
        "number": "Number of the blink, as in the column blink of trace.csv.",
        "onset_s": "Position in the video at which the eyes close, in seconds.",
        "duration_s": "Time until they open, in seconds.",
    },
}
"""Columns of the event files and their meaning, by kind of event."""


def list_events(events: EyeEvents) -> dict[str, list[dict[str, float]] | None]:
    """Return fixations, saccades and blinks as JSON; None where the records lack what they need."""
    listed: dict[str, list[dict[str, float]] | None] = {}
    for kind, columns in EVENT_COLUMNS.items():
        found = getattr(events, kind)
        listed[kind] = None
        if found is not None:
            listed[kind] = [
                {name: number if name == "number" else _rounded(getattr(event, name)) for name in columns}
                for number, event in enumerate(found, start=1)
            ]
    return listed


def write_events(events: EyeEvents, out: Path) -> None:
    """Write `fixations.csv`, `saccades.csv` and `blinks.csv`; one without an event has its header only.

    Raises:
        OSError: A file cannot be written.
    """
    for kind, listed in list_events(events).items():
        with (out / f"{kind}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, EVENT_COLUMNS[kind])
            writer.writeheader()
            writer.writerows(listed or [])


def write_fixation_columns(events: EyeEvents, path: Path) -> None:
    """Write what a drawing of the fixations over the film needs, as JSON, without spaces.

    Lists of equal length, in order: `onset_ms`, `duration_ms`, and `x` and `y` in hundred-thousandths of the film's
    size. Each is null if the records lack the position of the eyes.

    Raises:
        OSError: The file cannot be written.
    """
    found, columns = events.fixations, dict.fromkeys(("onset_ms", "duration_ms", "x", "y"))
    if found is not None:
        columns = {
            "onset_ms": [round(1000 * each.onset_s) for each in found],
            "duration_ms": [round(1000 * each.duration_s) for each in found],
            "x": [round(100_000 * each.video_x) for each in found],
            "y": [round(100_000 * each.video_y) for each in found],
        }
    path.write_text(json.dumps(columns, separators=(",", ":")), encoding="utf-8")


def _rounded(value: float | int) -> float:
    return value if isinstance(value, int) else round(value, 6)
