"""Fixtures of the studio's tests."""

import cv2
import pytest

from gaze_tools.sample_clip import SAMPLE, read_frames
from tests.gaze_tools.conftest import store, video  # noqa: F401  fixtures
from tests.studio.browser import Page, find_browser, run_services


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    with run_services(tmp_path_factory.mktemp("studio")) as running:
        yield running


@pytest.fixture(scope="module")
def webcam(tmp_path_factory):
    """The clip of the rendered person as a file that Chromium plays as its camera."""
    path = tmp_path_factory.mktemp("camera") / "person.mjpeg"
    with path.open("wb") as file:
        for frame in read_frames(str(SAMPLE / "clip.mp4"), 200):
            file.write(cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return path


@pytest.fixture(scope="module")
def launch(webcam):
    """Start a browser with the person as its camera; `allowed` answers the question for the camera."""
    reason = "needs the extra dev: pip install playwright"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    with playwright.sync_playwright() as driver:

        def start(*, allowed=True):
            arguments = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={webcam}"]
            arguments += ["--use-fake-ui-for-media-stream"] if allowed else ["--deny-permission-prompts"]
            return driver.chromium.launch(executable_path=find_browser(), args=[*arguments, "--no-sandbox"])

        yield start


@pytest.fixture(scope="module")
def browser(launch):
    browser = launch()
    yield browser
    browser.close()


@pytest.fixture
def page(browser, services):
    services.relay.recover()
    # The window is smaller than the screen, so that the place of a film depends on the full screen.
    size = {"viewport": {"width": 1280, "height": 720}, "screen": {"width": 1920, "height": 1080}}
    context = browser.new_context(**size, locale="en-GB")
    studio = Page(context.new_page())
    yield studio
    context.close()
    assert studio.errors == []
