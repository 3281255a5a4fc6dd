"""`research.recordings` measures a recording as the function measures the same images."""

from pytest import approx

from tests.http.conftest import RECORDED_SETUP, RECORDED_TESTS
from tests.http.image_files import as_base64


def test_its_calibration_is_the_function_s(recording, make_world, make_body):
    report = recording.measure()
    world = make_world()
    world.landmarker.detect, world.model.predict = recording.detect, recording.predict
    for number, row in enumerate(recording.load().rows, start=1):
        image = (recording.folder / "frames" / row.frame).read_bytes()
        sent = {"frame": as_base64(image), "calibration_target": [row.target.x, row.target.y]}
        use = "fit" if row.phase == "calibration" else "validate"
        world.post(make_body(session_id="mine", frame_number=number, calibration_use=use, **sent, **RECORDED_SETUP))
    answer = world.post(make_body(session_id="mine", frame_number=number, last_frame=True, frame=None)).get_json()

    assert report["calibration"] == answer["result"]["calibration"]
    assert report["calibration"]["used"] is True


def test_its_errors_are_those_of_the_function_s_answers(recording, make_world, make_body):
    place = RECORDED_TESTS[1]
    by_target = {(each["phase"], each["x"], each["y"]): each for each in recording.measure()["by_target"]}
    measured = by_target[("test", *place)]["uncalibrated"]
    world = make_world()
    world.landmarker.detect, world.model.predict = recording.detect, recording.predict
    away_mm = []
    for number, row in enumerate(recording.load().rows, start=1):
        if (row.phase, row.target.x, row.target.y) == ("test", *place):
            image = as_base64((recording.folder / "frames" / row.frame).read_bytes())
            gaze = world.post(make_body(frame_number=number, frame=image, **RECORDED_SETUP)).get_json()["gaze"]
            away_mm.append(((300 * (gaze["x"] - place[0])) ** 2 + (180 * (gaze["y"] - place[1])) ** 2) ** 0.5)

    assert measured["error_mm"]["mean"] == approx(sum(away_mm) / 3, abs=0.06)
