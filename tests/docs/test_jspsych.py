"""The jsPsych example: its commands work, and the experiment leads to a score."""

import json

import pytest

from tests.docs.guides import RUNNERS, follow_on_free_ports, read_blocks
from tests.docs.test_links import ROOT
from tests.node import check_digests
from tests.studio.person import BLOCKED_CAMERA, open_page

DOCUMENT = "docs/examples/jspsych/README.md"
EXAMPLE = ROOT / "docs/examples/jspsych"
BLOCKS = read_blocks(DOCUMENT)
PACKAGES = json.loads((EXAMPLE / "package.json").read_text())["dependencies"]

# SHA-512 of what the page loads from each package: npm alone would take any file that the registry offers.
LOADED = {
    "@jspsych/plugin-fullscreen@2.1.0": {
        "dist/index.browser.min.js": "212d6e72f6c53c4283b064c26c3d80e499f899686c70f4de4078df091a125103"
        "d71e0df720e4a787c8a72b5d9795b461f27fd961bf9b3cb67c99e11bf5445f7e",
    },
    "@jspsych/plugin-html-button-response@2.1.0": {
        "dist/index.browser.min.js": "300cfe062ec1d2e732cb215999354ebcee2517434c52a97123ddb04852a6e0fc"
        "0b46534bf7971dc3b85dc01890cb96fa375b2abebcf1321325fd91b4f3fb4d63",
    },
    "@jspsych/plugin-video-button-response@2.1.1": {
        "dist/index.browser.min.js": "05e1969224d89b7690448d235a2a8634ee7b03aad66ae6f4fded08af059db791"
        "10f67d58fbb4fd092747fec04d940ed7b5c1f7d14a371905c83e55416f2ce9bd",
    },
    "jspsych@8.3.0": {
        "dist/index.browser.min.js": "3089f11eeff7fee47aaa5323c98d5241f5c4e762bdb7278502472ee25661e38b"
        "2fadd87fcfa8de2a9e98f70452279ad2034ac8184d55d8d47bf6af3abc94ab80",
        "css/jspsych.css": "53f0243c64a98ce89b0203a92649f690bcec49bb065322452d6a4b81eb9db1c3"
        "b8849cd7e2c1db95e80880102b87a04be3a57fc861973780bfac669487eb93ca",
    },
}


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    with follow_on_free_ports(tmp_path_factory.mktemp("reader")) as reader:
        yield reader


def test_every_block_has_a_runner():
    assert [block.kind for block in BLOCKS] == ["bash"] * 3
    assert "bash" in RUNNERS


def test_the_versions_are_exact_and_each_has_its_digests():
    assert {f"{name}@{version}" for name, version in PACKAGES.items()} == LOADED.keys()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_experiment_leads_to_a_score_and_data(reader):
    reader.follow(BLOCKS)
    check_digests(LOADED, reader.directory / "page/node_modules")
    address = reader.replace("http://localhost:8000")
    with open_page() as (page, seen):
        page.goto(address)
        page.click("button:has-text('I agree')")
        page.click("button:has-text('Continue'):not([disabled])")
        page.click("button:has-text('Start')")
        page.wait_for_selector("#score")
        shown = float(page.inner_text("#score"))
        page.click("button:has-text('Finish')")
        page.wait_for_selector("#jspsych-data-display")
        # jsPsych has no global object in a module; the page shows its data at the end.
        rows = json.loads(page.inner_text("#jspsych-data-display"))

    assert seen.errors == []
    assert seen.origins() == {address}
    assert [row["trial_type"] for row in rows] == [
        "html-button-response",
        "gaze-camera",
        "fullscreen",
        "gaze-calibration",
        "video-button-response",
        "fullscreen",
        "html-button-response",
    ]
    _, camera, _, calibration, film, _, _ = rows
    assert 400 < camera["distance_mm"] < 600
    assert calibration["used"]
    assert film["gaze_score"] == shown
    # The person follows the salient object.
    assert film["gaze_chance"] < 40 < film["gaze_score"]
    assert film["gaze_problem"] is None
    assert len(film["gaze"]) == film["gaze_frames"]["stored"]
    times = [each["video_time_ms"] for each in film["gaze"]]
    assert times == sorted(times)
    assert 0 <= times[0] < times[-1] <= 10_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_without_the_server_the_experiment_goes_on_and_keeps_the_gaze(reader):
    reader.follow(BLOCKS)
    impatient = (
        (EXAMPLE / "experiment.js").read_text().replace("params: { setup }", "params: { setup, patience_ms: 1000 }")
    )
    with open_page() as (page, seen):
        page.route("**/experiment.js", lambda route: route.fulfill(body=impatient, content_type="text/javascript"))
        page.goto(reader.replace("http://localhost:8000"))
        page.click("button:has-text('I agree')")
        page.click("button:has-text('Continue'):not([disabled])")
        page.click("button:has-text('Start')")
        page.wait_for_function("document.querySelector('video.jspsych-video, .gaze-film video')?.currentTime > 2")
        page.route("**/gaze", lambda route: route.abort())
        page.wait_for_selector("text=There is no score: The server did not answer")
        page.click("button:has-text('Finish')")
        rows = json.loads(page.inner_text("#jspsych-data-display"))

    film = rows[4]
    assert (film["gaze_score"], film["gaze_problem"]) == (None, "The server did not answer.")
    assert film["gaze"]
    assert film["gaze_session"]
    assert [error for error in seen.errors if "Failed to load resource" not in error] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gateway_without_the_video_id_of_the_check_is_named(reader):
    reader.follow(BLOCKS)
    refusal = {"status": 404, "content_type": "application/json", "body": '{"detail": "There is no such video."}'}
    with open_page() as (page, _):
        page.route("**/api/viewings", lambda route: route.fulfill(**refusal))
        page.goto(reader.replace("http://localhost:8000"))
        page.click("button:has-text('I agree')")
        page.wait_for_selector("text=The camera cannot be used (server: There is no such video.)")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_who_does_not_agree_is_not_filmed(reader):
    reader.follow(BLOCKS)
    with open_page() as (page, seen):
        page.goto(reader.replace("http://localhost:8000"))
        page.click("button:has-text('No, thank you')")
        page.wait_for_selector("text=Nothing was recorded")
        assert page.evaluate("window.cameraOfTest === undefined")

    assert [url for _, url in seen.answers if url.endswith(("/gaze", "/api/viewings"))] == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_blocked_camera_ends_the_experiment(reader):
    reader.follow(BLOCKS)
    with open_page() as (page, seen):
        page.add_init_script(BLOCKED_CAMERA)
        page.goto(reader.replace("http://localhost:8000"))
        page.click("button:has-text('I agree')")
        page.wait_for_selector("text=The camera cannot be used (NotAllowedError)")

    assert seen.errors == []
