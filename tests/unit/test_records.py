"""The record of a frame: what is written, and what is read of newer and older services."""

import numpy as np
import pytest

from func.records import FrameRecord, make_record, read_record
from gaze_core.head_pose import rotation_matrix
from gaze_core.types import GazePoint, GazeSample, HeadPose, Validity

SAMPLE = GazeSample(
    validity=Validity.OK,
    gaze=GazePoint(0.5123456789, 0.25),
    features=(0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0),
    head_pose=HeadPose(3.0, -8.0, 0.5, rotation_matrix(3.0, -8.0, 0.5), np.array([0.0, 0.0, 600.0])),
    origin_mm=(1.0, 2.0, 571.0),
    distance_mm=571.00049,
    eye_openness=(0.31, 0.33),
)


def test_a_record_holds_all_that_scoring_and_calibration_need():
    record = make_record(SAMPLE, timestamp_ms=1000.0, video_time_ms=50.0, target=(0.1, 0.9), calibration_use="fit")

    assert record == {
        "gaze": [0.512346, 0.25],
        "validity": "ok",
        "features": [0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0],
        "origin_mm": [1.0, 2.0, 571.0],
        "distance_mm": 571.0,
        "eye_openness": [0.31, 0.33],
        "timestamp_ms": 1000.0,
        "video_time_ms": 50.0,
        "target": [0.1, 0.9],
        "head_pose_deg": {"pitch": 3.0, "yaw": -8.0, "roll": 0.5},
        "calibration_use": "fit",
    }


def test_a_frame_without_a_face_is_recorded_as_such():
    record = make_record(GazeSample(Validity.NO_FACE))

    assert (record["gaze"], record["validity"], record["features"]) == (None, "no_face", None)


def test_several_faces_and_quality_issues_are_flags():
    sample = GazeSample(Validity.LOW_QUALITY, several_faces=True, quality_issues=("too_dark",))

    assert make_record(sample)["flags"] == ["several_faces", "too_dark"]


def test_what_was_written_is_read():
    assert read_record(make_record(SAMPLE, video_time_ms=50.0)) == FrameRecord(
        Validity.OK, GazePoint(0.512346, 0.25), 50.0
    )


@pytest.mark.parametrize("old", [[320, 240], {"gaze": [320, 240]}, {"gaze": [320, 240], "saliency_match": 1}])
def test_an_older_services_record_is_readable_but_has_no_validity(old):
    assert read_record(old) == FrameRecord(None)


@pytest.mark.parametrize(
    "broken",
    [
        None,
        7,
        "x",
        [1],
        [1, "x"],
        [float("nan"), 0.5],
        {},
        {"validity": "perhaps", "gaze": [0.1, 0.2]},
        {"validity": "ok", "gaze": None},
        {"validity": "ok", "gaze": [True, False]},
        {"validity": "no_face", "gaze": [0.1, 0.2]},
    ],
)
def test_what_no_service_ever_wrote_is_unreadable(broken):
    assert read_record(broken) is None
