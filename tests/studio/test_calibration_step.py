"""The calibration step in a real browser: targets without a gaze, recordings, and viewers who come back."""

import json
import math
import re
import zipfile

import pytest
from pytest import approx

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from research.recordings.measurement import measure_recording
from research.recordings.recording import load_recording
from tests.studio.seat import DISTANCE_MM, reach_calibration, sit_down

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def calibrations(services):
    """Return the frames, the metadata of the last request and the answer to it of each calibration session."""
    found = {}
    for metadata, _, answer in services.relay.requests_of("calibration"):
        frames, _, _ = found.get(metadata["session_id"], ([], None, None))
        found[metadata["session_id"]] = (frames + metadata.get("frames", []), metadata, answer)
    return list(found.values())


def read_numbers(page):
    """Return the two errors that the page shows, in degrees to one digit; None for a dash."""
    texts = page.page.locator("#calibration-numbers dd").all_inner_texts()[:2]
    return [None if text == "–" else float(text.removesuffix("°")) for text in texts]


def measure(folder):
    """Return what `python -m research.evaluation --recording` prints, as a value."""
    landmarker = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
    try:
        model, network = load_gaze_model(GAZE_MODEL_PATH), OpencvEyeNetwork(EYE_NETWORK_PATH)
        return measure_recording(load_recording(folder), landmarker, model, network=network)
    finally:
        landmarker.close()


def download_recording(page, directory):
    with page.page.expect_download() as download:
        page.page.click("#recording-link")
    download.value.save_as(directory / "recording.zip")
    with zipfile.ZipFile(directory / "recording.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(directory)
    return directory / "recording"


@pytest.mark.parametrize(("seat", "tested"), [("sample person", 2), ("camera", 6)])
def test_the_page_shows_the_errors_that_a_recording_gives(page, services, tmp_path, seat, tested):
    if seat == "camera":
        sit_down(page)
        page.open(services)
        reach_calibration(page)
    else:
        page.open(services)
        page.take_sample_person()
    page.page.check("#record")
    page.page.click("#calibrate")
    page.wait_for("#recording-link")
    shown = read_numbers(page)
    folder = download_recording(page, tmp_path)

    report = measure(folder)

    errors = report["calibration"]["validation"]
    with_calibration = approx(errors["accuracy_deg"], abs=0.051) if report["calibration"]["used"] else None
    assert shown == [approx(errors["generic_accuracy_deg"], abs=0.051), with_calibration]
    frames, _, answer = calibrations(services)[-1]
    assert answer["result"]["calibration"]["validation"] == errors
    assert report["calibration"]["dots"] == 5
    assert report["test"]["targets"] == errors["dots"] == tested
    assert report["frames"]["rows"] == len(frames) == 12 * (5 + tested)
    assert report["frames"]["files_without_a_row"] == 0
    about = json.loads((folder / "recording.json").read_text())
    assert about.get("distance_mm") == (DISTANCE_MM if seat == "camera" else None)
    assert not any("ignored" in note or "distance" in note for note in report["notes"])


def test_a_target_that_was_not_looked_at_is_shown_again(page, services):
    sit_down(page)
    page.open(services)
    reach_calibration(page)
    page.page.evaluate("""() => {
      window.hints = new Set();
      new MutationObserver(() => window.hints.add(document.getElementById("stage-text").textContent)).observe(
        document.getElementById("stage-text"), { childList: true });
      window.shown = {};
      // Away from the second target at first, and never at rest at the third.
      window.misbehave = (place, attempt) => {
        window.shown[place] = attempt;
        if (String(place) === "0.1,0.1" && attempt === 1) return "away";
        return String(place) === "0.9,0.1" ? "wander" : null;
      };
    }""")
    page.page.click("#calibrate")
    page.wait_for("#calibration-result:not([hidden])")

    shown = page.page.evaluate("window.shown")
    assert shown == {"0.5,0.5": 1, "0.1,0.1": 2, "0.9,0.1": 3, "0.1,0.9": 1, "0.9,0.9": 1, "0.3,0.35": 1, "0.7,0.65": 1}
    assert "No steady gaze yet. Look at the dot once more." in page.page.evaluate("[...window.hints]")
    assert page.page.inner_text("#calibration-weak").startswith("1 of 7 dots got no steady gaze")
    frames, _, _ = calibrations(services)[-1]
    # Attempts that failed are not part of the calibration.
    assert len(frames) == 7 * 12
    assert all(frame["validity"] == "ok" for frame in _answers(services)[-7 * 12 :] if frame["target"] == [0.1, 0.1])


def _answers(services):
    return [
        {"target": fields["calibration_target"], "validity": answer["validity"]}
        for metadata, _, body in services.relay.requests_of("calibration")
        for fields, answer in zip(metadata.get("frames", []), body.get("frames", []), strict=True)
    ]


def test_a_viewer_who_comes_back_needs_one_target(page, services):
    sit_down(page)
    page.open(services)
    reach_calibration(page)
    page.calibrate()
    _, first, _ = calibrations(services)[-1]
    page.page.reload()
    reach_calibration(page, measure=False)
    assert page.page.is_checked('input[name="targets"][value="1"]')
    page.page.click("#calibrate")
    page.wait_for("#calibration-result:not([hidden])")
    frames, refresh, answer = calibrations(services)[-1]

    assert {tuple(frame["calibration_target"]) for frame in frames} == {(0.5, 0.5)}
    assert refresh["calibration_session"] == first["session_id"]
    calibration = answer["result"]["calibration"]
    assert calibration["refreshed"]
    # One target has enough frames to compare the viewers.
    assert not calibration["other_viewer"]["suspected"]
    shifted = re.fullmatch(
        r"Calibration refreshed. Your gaze had shifted by (\d+\.\d)° since the last time.",
        page.page.inner_text("#calibration-text"),
    )
    assert float(shifted[1]) == approx(math.hypot(*calibration["refreshed_by_deg"]), abs=0.051)
    assert page.page.is_hidden("#other-viewer")

    page.page.click("#calibration-done")
    page.start_film()
    page.await_score()
    result = page.read_result()
    assert services.relay.requests_of("sample")[-1][0]["calibration_session"] == refresh["session_id"]
    assert result["calibration"]["used"]
    assert result["calibration"]["refreshed_by_deg"] == approx(calibration["refreshed_by_deg"])


def test_another_person_is_offered_a_full_calibration(page, services):
    """The function suspects few others, and the sample has one person, so its answer is changed."""

    def suspect(route):
        answer = route.fetch()
        body = answer.json()
        if "result" in body:
            comparison = {"suspected": True, "log_likelihood_ratio": -9.0, "threshold": -4.0, "traits": 4}
            body["result"]["calibration"]["other_viewer"] = comparison
        route.fulfill(response=answer, json=body)

    sit_down(page)
    page.open(services)
    reach_calibration(page)
    page.calibrate()
    page.page.reload()
    reach_calibration(page, measure=False)
    page.page.route("**/gaze", suspect)
    page.page.click("#calibrate")
    page.wait_for("#other-viewer:not([hidden])")
    assert "do not seem to be the person who calibrated here before" in page.page.inner_text("#other-viewer")
    page.page.click("#calibrate-fully")

    assert page.page.is_visible("#calibration-form")
    assert page.page.is_checked('input[name="targets"][value="5"]')


def test_a_mirrored_camera_is_recognised_and_needs_no_second_calibration(page, services, tmp_path):
    sit_down(page)
    page.open(services)
    page.page.evaluate("window.flipsImage = true")
    reach_calibration(page)
    page.page.check("#record")
    page.page.click("#calibrate")
    page.wait_for("#calibration-result:not([hidden])")
    (_, as_sent, straight), (_, again, swapped) = calibrations(services)[-2:]
    first, second = (answer["result"]["calibration"] for answer in (straight, swapped))

    assert "mirrored" not in as_sent["camera"]
    assert again["camera"]["mirrored"]
    assert (first["used"], first["reason"], first["mirrored"]["suspected"]) == (False, "mirrored", True)
    assert (second["used"], second["mirrored"]["suspected"], second["mirrored"]["declared"]) == (True, False, True)
    assert second["dots"] == first["dots"] == 5
    assert second["validation"]["accuracy_deg"] < 5 < first["validation"]["accuracy_deg"]
    assert page.page.inner_text("#mirrored-text").startswith("Your camera delivers a mirrored image")
    assert page.page.inner_text("#calibration-number") == f"Average error: {_error(second)}°"
    assert recorded_camera(page, tmp_path)["mirrored"]

    # Undone, and done again; both results are there already.
    page.page.click("#mirrored-swap")
    page.wait_for('#calibration-number:text-is("The calibration did not help")')
    assert page.page.inner_text("#calibration-text").startswith("The gaze ran against the dots from left to right.")
    assert page.page.inner_text("#mirrored-text") == "Left and right seem to be swapped in the image of your camera."
    assert "mirrored" not in recorded_camera(page, tmp_path)
    assert remembered(page)["mirroring"]["seat"] == {"isMirrored": False, "isChosen": True}
    assert "calibration" not in remembered(page)
    page.page.click("#mirrored-swap")
    page.wait_for(f'#calibration-number:text-is("Average error: {_error(second)}°")')
    assert remembered(page)["calibration"]["sessionId"] == again["session_id"]

    page.page.click("#calibration-done")
    page.start_film()
    page.await_score()
    metadata = services.relay.requests_of("sample")[-1][0]
    assert metadata["calibration_session"] == again["session_id"]
    assert metadata["camera"]["mirrored"]
    assert page.read_result()["calibration"]["used"]


def test_another_calibration_can_begin_right_after_left_and_right_were_swapped(page, services):
    sit_down(page)
    page.open(services)
    page.page.evaluate("window.flipsImage = true")
    reach_calibration(page)
    page.page.check("#record")
    page.page.click("#calibrate")
    page.wait_for("#calibration-result:not([hidden])")
    # The ZIP file of the recording takes a moment.
    page.page.evaluate("""() => {
      const read = Blob.prototype.arrayBuffer;
      window.read = 0;
      Blob.prototype.arrayBuffer = function () { return read.call(this).finally(() => { window.read += 1; }); };
      document.getElementById("mirrored-swap").click();
      document.getElementById("calibrate-again").click();
    }""")
    # Two files beside twelve images of each of eleven dots; then what follows has its turn.
    page.until("window.read >= 12 * 11 + 2")
    page.page.evaluate("new Promise((resolve) => setTimeout(resolve))")

    assert page.page.is_visible("#calibration-form")
    assert page.page.is_hidden("#calibration-result")
    assert page.errors == []


def test_the_page_says_that_the_server_does_not_respond_during_a_calibration(page, services):
    page.open(services)
    page.take_sample_person()
    page.page.click("#calibrate")
    page.until("!document.getElementById('target').hidden")
    services.relay.is_down = True
    page.wait_for("#target-trouble:not([hidden])")

    assert page.page.inner_text("#target-trouble").startswith("The connection was lost.")

    services.relay.recover()
    page.wait_for("#calibration-result:not([hidden])")
    assert page.page.is_hidden("#target-trouble")
    assert read_numbers(page)[1] < 5


def test_a_mirrored_camera_is_remembered_until_the_viewer_says_otherwise(page, services):
    sit_down(page)
    page.page.add_init_script("""
      if (!localStorage.getItem("gaze-studio")) {
        const mirroring = { seat: { isMirrored: true, isChosen: false } };
        localStorage.setItem("gaze-studio", JSON.stringify({ mirroring }));
      }
    """)
    page.open(services)
    page.take_camera()
    page.wait_for("#mirrored-camera:visible")
    flips = "getComputedStyle(document.querySelector('#mirror > *')).transform"
    # What is a mirror image already is shown as it is.
    assert page.page.evaluate(flips) == "none"
    page.wait_for('#hint[data-state="good"]')
    assert services.relay.requests_of("check")[-1][0]["camera"]["mirrored"]

    page.page.uncheck("#mirrored-camera")
    assert page.page.evaluate(flips).startswith("matrix(-1")
    page.page.click("#camera-done")
    page.wait_for('[data-view="calibration"]:not([hidden])')
    assert remembered(page)["mirroring"]["seat"] == {"isMirrored": False, "isChosen": True}


def recorded_camera(page, directory):
    """Return the camera that the recording of the page describes."""
    folder = download_recording(page, directory)
    return json.loads((folder / "recording.json").read_text())["camera"]


def remembered(page):
    """Return what the page remembers for the next visit."""
    return page.page.evaluate("JSON.parse(localStorage.getItem('gaze-studio'))")


def _error(calibration):
    return f"{calibration['validation']['accuracy_deg']:.1f}"


@pytest.mark.parametrize(("camera", "offered"), [("seat", True), ("virtual camera", False)])
def test_only_the_camera_of_the_earlier_calibration_can_refresh_it(page, services, camera, offered):
    """One target does not tell whether another camera mirrors its image."""
    sit_down(page)
    earlier = {"sessionId": "earlier", "videoId": "calibration", "date": "2026-01-02T03:04:05Z", "camera": camera}
    state = json.dumps(json.dumps({"calibration": earlier}))
    page.page.add_init_script(f"localStorage.setItem('gaze-studio', {state});")
    page.open(services)
    reach_calibration(page)

    assert page.page.is_visible("#refresh-choice") is offered
    assert page.page.is_checked(f'input[name="targets"][value="{1 if offered else 5}"]')


def test_a_recording_needs_all_targets(page, services):
    sit_down(page)
    page.page.add_init_script("""
      const calibration = { sessionId: "earlier", videoId: "calibration", date: "2026-01-02T03:04:05Z" };
      localStorage.setItem("gaze-studio", JSON.stringify({ calibration }));
    """)
    page.open(services)
    reach_calibration(page)
    assert page.page.is_checked('input[name="targets"][value="1"]')
    assert "2 Jan 2026" in page.page.inner_text("#refresh-choice")
    page.page.check("#record")

    assert page.page.is_checked('input[name="targets"][value="5"]')
    assert page.page.is_disabled('input[name="targets"][value="1"]')
