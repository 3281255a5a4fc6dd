"""The services are stopped and started again, in a real browser."""

import contextlib
import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import requests

from gaze_tools.serve import OFFSETS
from gaze_tools.stack.processes import is_port_free
from tests.docs.test_links import ROOT
from tests.studio.browser import Page
from tests.studio.waiting import wait_until

until = partial(wait_until, limit_s=90)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SIZE = {"viewport": {"width": 1280, "height": 720}, "screen": {"width": 1920, "height": 1080}}
REMEMBERED = 'localStorage.setItem("gaze-studio", JSON.stringify({calibration: {sessionId: "x", date: "2026-01-01"}}))'


@pytest.fixture
def port():
    """The first of five free ports, below those that the system gives to clients; guides take lower ones."""
    return next(
        each
        for each in random.sample(range(26_000, 30_000, 5), 200)
        if all(is_port_free(each + offset) for offset in OFFSETS.values())
    )


@contextlib.contextmanager
def serving(port, directory, *, data=None):
    """Run `gaze serve` and yield the address of its page."""
    command = [sys.executable, "-m", "gaze_tools.cli", "serve", "--port", str(port)]
    command += ["--data", str(data)] if data else []
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = next((line for line in process.stdout if line.startswith("Open ")), None)
            assert line is not None, [path.read_text() for path in Path(directory).glob("out/logs/*")]
            yield line.split()[1]
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture
def restarted_page(browser):
    """A page whose services come and go."""
    context = browser.new_context(**SIZE, locale="en-GB")
    yield Page(context.new_page())
    context.close()


def choose_sample(page, url, *, is_calibrated=False):
    page.page.goto(url)
    page.take_sample_person()
    if is_calibrated:
        page.calibrate()
    else:
        page.skip_calibration()


def watch_until(page, seconds):
    page.start_film()
    page.until(f"document.getElementById('film').currentTime > {seconds}")


def set_speed(page, rate):
    """Set the speed of the film; a slow one does not end while the services stop, however slow the machine is."""
    page.page.evaluate(f"document.getElementById('film').playbackRate = {rate}")


def read_alert(page):
    page.wait_for("#alert:not([hidden])")
    return page.page.inner_text("#alert")


def test_without_data_the_page_says_that_the_viewing_and_the_calibration_are_lost(restarted_page, port, tmp_path):
    page = restarted_page
    with serving(port, tmp_path) as url:
        choose_sample(page, url, is_calibrated=True)
        watch_until(page, 2)
        set_speed(page, 0.1)
    page.wait_for("#film-trouble:not([hidden])")
    set_speed(page, 1)
    with serving(port, tmp_path):
        page.wait_for('[data-view="calibration"]:not([hidden])')
        assert "Calibrate again, then watch the film from the start." in read_alert(page)
        assert not page.page.is_visible("#film-stage")
        page.calibrate()
        page.start_film()
        page.await_score()
        result = page.read_result()

    assert result["calibration"]["used"]
    assert result["lost"]["missing"] == 0


def test_with_data_the_film_goes_on_and_no_frame_is_lost(restarted_page, port, tmp_path):
    page, data = restarted_page, tmp_path / "data"
    with serving(port, tmp_path, data=data) as url:
        choose_sample(page, url, is_calibrated=True)
        watch_until(page, 2)
        set_speed(page, 0.1)
    page.wait_for("#film-trouble:not([hidden])")
    set_speed(page, 1)
    with serving(port, tmp_path, data=data):
        page.await_score()
        result = page.read_result()

    assert result["calibration"]["used"]
    assert result["lost"]["missing"] == 0
    assert result["frames"]["received"] == result["frames"]["expected"] > 20


def forget_sessions(services, video_id):
    """Remove the sessions of a video from the session API, as a restart without data does; return how many."""
    url = f"{services.upstream.session_api_url}/sessions"
    found = [each for each in requests.get(url, timeout=60).json()["sessions"] if each["video_id"] == video_id]
    for each in found:
        requests.delete(f"{url}/{each['session_id']}", timeout=60)
    return len(found)


def test_a_viewing_that_is_lost_before_its_score_is_not_scored(page, services):
    choose_sample(page, services.page_url)
    watch_until(page, 3)
    set_speed(page, 0.1)
    assert forget_sessions(services, "sample") > 0
    page.page.click("#film-finish")

    assert read_alert(page).startswith("What you had watched is lost, so there is no score")
    assert not page.page.is_visible("#retry")
    page.page.click("#again")
    page.start_film()
    page.await_score()
    assert page.read_result()["lost"]["missing"] == 0


def test_a_calibration_that_is_lost_before_its_end_is_not_used(page, services):
    page.open(services)
    page.take_sample_person()
    page.page.click("#calibrate")
    before = len(services.relay.requests_of("calibration"))
    until(lambda: len(services.relay.requests_of("calibration")) > before)
    assert forget_sessions(services, "calibration") > 0

    assert read_alert(page).startswith("The studio was restarted during the calibration")
    assert page.page.is_visible("#calibrate")


def test_a_film_whose_calibration_is_gone_is_not_watched_without(page, services):
    choose_sample(page, services.page_url, is_calibrated=True)
    page.wait_for("#watch:not([disabled])")
    page.page.route("**/api/calibrations/*", lambda route: route.fulfill(status=404, json={"title": "gone"}))
    page.page.click("#watch")

    assert read_alert(page).startswith("Your earlier calibration is gone")
    assert page.page.is_visible('[data-view="calibration"]')
    page.skip_calibration()
    page.start_film()


def test_a_calibration_of_an_earlier_visit_that_is_gone_is_made_anew(page, services):
    page.page.add_init_script(REMEMBERED)
    page.open(services)
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.click("#camera-done")
    assert page.page.is_visible("#refresh-choice")
    page.page.click("#calibrate")

    assert read_alert(page).startswith("Your earlier calibration is gone")
    assert not page.page.is_visible("#refresh-choice")
    assert page.page.is_checked('input[name="targets"][value="5"]')
