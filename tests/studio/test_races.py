"""Clicks at the wrong moment, and a server that fails at the end, in a real browser."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COUNT_CAMERAS = """
  window.cameras = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((resolve) => setTimeout(resolve, window.openMs ?? 300));
    const stream = await open(wanted);
    window.cameras.push(stream);
    return stream;
  };
  window.countLive = () =>
    window.cameras.filter((each) => each.getTracks().some(({ readyState }) => readyState === "live")).length;
"""

SLOW_CLIP = """
  // The clip of the sample person is loaded 15 s late, after the film would have ended.
  const source = Object.getOwnPropertyDescriptor(HTMLMediaElement.prototype, "src");
  Object.defineProperty(HTMLMediaElement.prototype, "src", {
    ...source,
    set(value) {
      const isClip = String(value).endsWith("clip.webm");
      setTimeout(() => source.set.call(this, value), isClip ? 15000 : 0);
    },
  });
"""


def choose_sample(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.wait_for("#watch:not([disabled])")


def test_a_double_click_leaves_one_camera_on(page, services):
    page.page.add_init_script(COUNT_CAMERAS)
    page.open(services)
    # Both clicks come before the first camera is open.
    page.page.evaluate("window.openMs = 3000")
    page.page.check("#consent")
    page.page.dblclick("#use-camera")
    page.until("cameras.length === 2")
    page.wait_for('#hint[data-state="good"]')
    page.until("countLive() < 2")

    assert page.page.evaluate("countLive()") == 1


def test_a_camera_that_opens_after_the_viewer_went_back_is_switched_off(page, services):
    page.page.add_init_script(COUNT_CAMERAS)
    choose_sample(page, services)
    page.start_film()
    page.page.click("#film-finish")
    page.await_score()
    page.page.click("#start-over")
    page.page.evaluate("window.openMs = 4000")
    page.take_camera()
    page.page.click("#use-sample")
    page.until("cameras.length === 1")
    page.wait_for('#hint[data-state="good"]')

    # The page learns of the camera only when its first image is there.
    page.until("countLive() === 0")


def test_a_new_viewer_has_not_agreed_yet(page, services):
    page.open(services)
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.evaluate("document.querySelector('#start-over').click()")
    page.wait_for('[data-view="start"]:not([hidden])')

    assert not page.page.is_checked("#consent")
    assert page.page.is_disabled("#use-camera")


def test_a_film_that_was_stopped_before_it_began_leaves_its_buttons_in_order(page, services):
    choose_sample(page, services)
    page.page.click("#watch")
    page.wait_for("#film-stage:not([hidden])")
    # Of no use before the film begins: it would play without being measured.
    assert page.page.is_disabled("#film-pause")
    page.page.click("#film-stop")
    page.page.wait_for_selector("#film-stage", state="hidden")
    page.start_film()
    page.page.click("#film-pause")
    page.page.wait_for_timeout(300)

    assert page.page.evaluate("document.getElementById('film').paused")


def test_the_film_waits_for_the_clip_of_the_sample_person(page, services):
    page.page.add_init_script(SLOW_CLIP)
    choose_sample(page, services)
    page.start_film()
    page.await_score()

    # Without the clip, the person looks at the middle of the screen.
    assert page.read_result()["final_score"] > 45


def test_a_score_that_failed_is_tried_again_with_the_same_session(page, services):
    page.page.clock.install()
    page.page.clock.resume()
    choose_sample(page, services)
    services.relay.fails_last = True
    page.during_film(5, "document.getElementById('film-finish').click()")
    page.start_film()
    page.wait_for("#score-wait:has-text('does not respond')")
    page.page.clock.fast_forward(125_000)
    page.wait_for("#retry:not([hidden])")
    services.relay.fails_last = False
    page.page.click("#retry")
    page.await_score()
    result = page.read_result()

    ids = {metadata["session_id"] for metadata, _, _ in services.relay.requests_of("sample")[-2:]}
    assert len(ids) == 1
    assert result["lost"]["missing"] == 0
    assert result["frames"]["received"] > 20
    assert not page.page.is_visible("#retry")


def test_a_server_that_stays_busy_pauses_the_film_and_no_frame_is_dropped(page, services):
    choose_sample(page, services)
    page.start_film()
    services.relay.is_busy = True
    page.wait_for("#film-trouble:not([hidden])")
    assert page.page.evaluate("document.getElementById('film').paused")
    # Playing on would leave moments without frames.
    page.page.click("#film-pause")
    page.page.wait_for_timeout(300)
    assert page.page.evaluate("document.getElementById('film').paused")
    services.relay.is_busy = False
    page.page.wait_for_selector("#film-trouble", state="hidden")
    page.await_score()
    result = page.read_result()

    assert result["lost"]["missing"] == 0
    assert "dropped" not in page.page.inner_text("#coverage")
