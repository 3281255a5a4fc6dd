"""Records of frames: writing them, and reading those of this and older services."""

import dataclasses

import numpy as np
import pytest

from func.session.frame_record import (
    FrameRecord,
    TargetUse,
    digest_image,
    make_record,
    read_calibration_session,
    read_camera,
    read_record,
    read_screen,
    read_viewport,
)
from func.session.measured import Measured
from gaze_core.head_pose import rotation_matrix
from gaze_core.ports import Session
from gaze_core.types import Camera, GazePoint, GazeSample, HeadPose, Screen, Validity, Viewport

SAMPLE = GazeSample(
    validity=Validity.OK,
    gaze=GazePoint(0.5123456789, 0.25),
    features=(0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0),
    head_pose=HeadPose(3.0, -8.0, 0.5, rotation_matrix(3.0, -8.0, 0.5), np.array([0.0, 0.0, 600.0])),
    origin_mm=(1.0, 2.0, 571.0),
    distance_mm=571.00049,
    eye_openness=(0.31, 0.33),
)


def test_a_record_contains_everything_for_scoring_and_calibration():
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


def test_a_record_contains_the_setup_and_the_viewing_of_its_request():
    setup = {
        "screen": {"width_mm": 598, "height_mm": 336},
        "camera": {"tilt_deg": 5},
        "viewport": {"x": 0.1, "y": 0, "width": 0.5, "height": 1},
        "calibration_session": "mine",
    }
    read = read_record(make_record(SAMPLE, setup=setup, viewing_start_ms=1_767_225_600_000))

    assert (read.screen, read.camera, read.viewport) == (
        Screen(598, 336), Camera(tilt_deg=5), Viewport(0.1, 0, 0.5, 1),
    )  # fmt: skip
    assert (read.calibration_session, read.viewing_start_ms) == ("mine", 1_767_225_600_000)


def test_frames_with_the_same_screen_share_it():
    first, second = (
        read_record(make_record(SAMPLE, setup={"screen": {"width_mm": 598, "height_mm": 336}})) for _ in range(2)
    )

    assert first.screen is second.screen


@pytest.mark.parametrize(
    "damage",
    [
        {"screen": {"width_mm": -1}},
        {"screen": {"width_mm": 10**400}},
        {"screen": {"width_mm": [1]}},
        {"screen": {"colour": "red"}},
        {"screen": "wide"},
        {"screen": [1, 2]},
        {"viewing_start_ms": True},
        {"viewing_start_ms": "1"},
        {"calibration_session": 7},
        {"calibration_session": ""},
    ],
)
def test_a_damaged_setup_is_ignored(damage):
    assert read_record(make_record(SAMPLE) | damage) == read_record(make_record(SAMPLE))


def test_an_image_digest_has_16_hexadecimal_digits():
    assert digest_image(b"abc") == "ba7816bf8f01cfea"


def test_numbers_are_rounded_far_below_the_resolution_of_a_webcam():
    sample = dataclasses.replace(
        SAMPLE,
        gaze=GazePoint(0.12345678, 0.87654321),
        origin_mm=(1.23456, -2.34567, 571.98765),
        distance_mm=571.98765,
        eye_openness=(0.3123456, 0.3345678),
        head_pose=dataclasses.replace(SAMPLE.head_pose, pitch_deg=3.45678, yaw_deg=-8.76543, roll_deg=0.56789),
    )
    record = make_record(sample)

    assert record["gaze"] == [0.123457, 0.876543]
    assert (record["origin_mm"], record["distance_mm"]) == ([1.235, -2.346, 571.988], 571.988)
    assert record["eye_openness"] == [0.31235, 0.33457]
    assert record["head_pose_deg"] == {"pitch": 3.457, "yaw": -8.765, "roll": 0.568}


def test_a_record_contains_the_digest_of_its_image():
    assert make_record(SAMPLE, image_digest="ba7816bf8f01cfea")["image_digest"] == "ba7816bf8f01cfea"


def test_a_record_contains_the_video_id_of_its_request():
    assert make_record(SAMPLE, video_id="contents1")["video_id"] == "contents1"
    assert read_record(make_record(SAMPLE, video_id="contents1")).video_id == "contents1"


@pytest.mark.parametrize("stored", [{}, {"video_id": 7}, {"video_id": ""}, {"video_id": None}])
def test_a_record_of_an_earlier_version_has_no_video_id(stored):
    assert read_record(make_record(SAMPLE) | stored).video_id is None


def test_features_keep_six_decimals():
    sample = dataclasses.replace(SAMPLE, features=(0.12345649, -0.12345651, -0.9848074, 3.1234564, -8.0, 0.5, 571.25))

    assert make_record(sample)["features"] == [0.123456, -0.123457, -0.984807, 3.123456, -8.0, 0.5, 571.25]


def test_a_frame_without_a_face_is_recorded_as_such():
    record = make_record(GazeSample(Validity.NO_FACE))

    assert (record["gaze"], record["validity"], record["features"]) == (None, "no_face", None)


def test_several_faces_and_quality_issues_are_flags():
    sample = GazeSample(Validity.LOW_QUALITY, several_faces=True, quality_issues=("too_dark",))

    assert make_record(sample)["flags"] == ["several_faces", "too_dark"]


def test_a_written_record_is_read_back():
    record = make_record(SAMPLE, timestamp_ms=1000.0, video_time_ms=50.0)

    assert read_record(record) == FrameRecord(
        Validity.OK,
        GazePoint(0.512346, 0.25),
        video_time_ms=50.0,
        timestamp_ms=1000.0,
        measured=Measured.pack((0.1, 0.2, -0.97, 3.0, -8.0, 0.5, 571.0), (1.0, 2.0, 571.0), 0.32),
    )


@pytest.mark.parametrize(
    ("sent", "use"),
    [("fit", TargetUse.FIT), ("validate", TargetUse.VALIDATE), (None, TargetUse.FIT), ("later", TargetUse.FIT)],
)
def test_a_target_is_used_to_fit_unless_it_is_a_validation_target(sent, use):
    record = read_record(make_record(SAMPLE, target=(0.1, 0.9), calibration_use=sent))

    assert (record.target, record.target_use) == (GazePoint(0.1, 0.9), use)


@pytest.mark.parametrize(
    "damage", [{"features": [1.0] * 6}, {"origin_mm": None}, {"eye_openness": [0.3, "x"]}, {"features": ["a"] * 7}]
)
def test_a_record_without_measurements_keeps_its_gaze(damage):
    record = read_record(make_record(SAMPLE) | damage)

    assert (record.gaze, record.measured) == (GazePoint(0.512346, 0.25), None)


def session_with(**settings):
    return Session("s", "203.0.113.7", "v", "", frames={}, settings=settings)


def test_the_setup_of_the_session_is_read():
    session = session_with(
        screen={"width_mm": 598, "height_mm": 336},
        camera={"tilt_deg": 5},
        viewport={"x": 0.1, "y": 0, "width": 0.5, "height": 1},
        calibration_session="mine",
    )

    assert read_screen(session) == Screen(598, 336)
    assert read_camera(session) == Camera(tilt_deg=5)
    assert read_viewport(session) == Viewport(0.1, 0, 0.5, 1)
    assert read_calibration_session(session) == "mine"


def test_the_setup_of_the_first_frame_takes_precedence_over_that_of_the_session():
    frames = {
        7: make_record(SAMPLE, setup={"screen": {"width_mm": 300, "height_mm": 200}, "calibration_session": "later"}),
        2: make_record(SAMPLE, setup={"screen": {"width_mm": 598, "height_mm": 336}, "calibration_session": "first"}),
        1: make_record(SAMPLE),
    }
    session = Session("s", "203.0.113.7", "v", "", frames, {"screen": {"width_mm": 1, "height_mm": 1}})

    assert read_screen(session) == Screen(598, 336)
    assert read_calibration_session(session) == "first"


def test_an_unreadable_setup_is_the_default():
    session = session_with(screen={"width_mm": -1}, camera={"colour": "red"}, viewport=[], calibration_session=7)

    assert (read_screen(session), read_camera(session), read_viewport(session)) == (Screen(), Camera(), Viewport())
    assert read_calibration_session(session) is None


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
def test_an_unknown_format_is_unreadable(broken):
    assert read_record(broken) is None
