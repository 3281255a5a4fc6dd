"""Fixtures of the studio's tests."""

import threading

import cv2
import pytest

from gaze_tools.sample_clip import SAMPLE, read_frames
from gaze_tools.studio import films
from gaze_tools.studio.gateway import GatewaySetup, make_gateway
from gaze_tools.studio.removal import FilmRemovals, RemovalTimes
from tests.adapters.upstream_services import serve
from tests.gaze_tools.conftest import store, video  # noqa: F401  fixtures
from tests.studio.browser import Page, find_browser, run_services
from tests.studio.gateway_client import make_function, seed_sample
from tests.studio.waiting import end_removals

BACKGROUND_LIMIT_S = 120


@pytest.fixture(autouse=True)
def finished_work(monkeypatch):
    """Let work in the background end with its test, or it would call what the next test puts in place of a function.

    It asks for `monkeypatch`, because what the test itself has replaced must stay until then. Preparations of films and
    overlays end by themselves; removals, which may wait for minutes, are cancelled. The gateway has no other threads of
    its own, and the servers of a whole module answer without functions that a test replaces.
    """
    made = []

    class RecordedRemovals(FilmRemovals):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            made.append(self)

    monkeypatch.setattr(films, "FilmRemovals", RecordedRemovals)
    yield
    for removals in made:
        end_removals(removals)
    for thread in threading.enumerate():
        if thread.name.startswith(("overlays", "prepare ")):
            thread.join(BACKGROUND_LIMIT_S)
            assert not thread.is_alive(), f"the thread {thread.name!r} runs on after its test"


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


@pytest.fixture(scope="module")
def function_url():
    """A function that answers with the metadata and the sizes of the images."""
    with serve(make_function()) as url:
        yield url


@pytest.fixture
def make_client(mongo_uri, database, tmp_path, function_url):
    seed_sample(database)

    def make(function_url=function_url, token_key=None, session_api_url="http://127.0.0.1:9", start_timeout_s=60.0):
        setup = GatewaySetup(
            function_url,
            session_api_url,
            mongo_uri,
            tmp_path,
            token_key=token_key,
            removal_times=RemovalTimes(0, 0.02, 0),
            start_timeout_s=start_timeout_s,
        )
        return make_gateway(database, setup).test_client()

    return make
