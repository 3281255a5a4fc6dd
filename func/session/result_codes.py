"""Codes in the result: why a score is invalid, and what its warnings found.

This version writes only these codes. It also reads and returns those of later versions: during a rolling upgrade, one
process may return the result that another one has stored.
"""

from typing import Literal

InvalidReason = Literal[
    "no_frames",
    "no_valid_gaze",
    "no_maps",
    "nothing_scored",
    "flat_maps",
    "too_few_frames",
    "low_coverage",
    "calibration_session",
]

WarningCode = Literal[
    "capture_clock_units",
    "capture_clock_jumps",
    "capture_clock_stopped",
    "video_clock_units",
    "video_clock_stopped",
    "video_clock_backwards",
    "video_clock_outside",
    "mixed_video_times",
    "mixed_timestamps",
    "video_times_unused",
    "flat_maps",
    "several_videos",
    "maps_without_faces",
    "viewer_changed",
    "mirroring_differs",
]
