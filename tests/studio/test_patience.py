"""A viewing or a calibration begins while the services behind the page do not answer, in a real browser."""

import os
import signal

import pytest
import requests

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WAITING = "The studio cannot start the film yet, because it does not respond. Trying again …"
SPEED_UP = """
  const { setInterval: usual } = window;
  window.setInterval = (act, ms) => usual(act, ms / 100);
"""
HIDE = """isHidden => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => isHidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class Gateway:
    """Stands before the gateway of a page; it answers starts with a refusal, or not at all, until it is opened."""

    def __init__(self, page, *, status=None):
        self.keys, self.held, self.is_open, self.status = [], [], False, status
        page.page.route("**/api/viewings", self._answer)

    def _answer(self, route):
        self.keys.append(route.request.headers.get("idempotency-key"))
        if self.is_open:
            route.continue_()
        elif self.status is None:
            self.held.append(route)
        else:
            route.fulfill(status=self.status, json={"type": "/problems/session-api-timeout", "detail": "no answer"})

    def open(self):
        self.is_open = True
        for route in self.held:
            route.continue_()


def choose_sample(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.wait_for("#watch:not([disabled])")


@pytest.mark.parametrize("status", [504, None])
def test_the_page_says_that_it_waits_and_then_shows_the_film(page, services, status):
    choose_sample(page, services)
    gateway = Gateway(page, status=status)
    page.page.click("#watch")
    page.wait_for("#film-trouble:not([hidden])")
    assert page.page.inner_text("#film-trouble") == WAITING
    gateway.open()
    page.until("document.getElementById('film').currentTime > 0.5")
    assert page.page.is_hidden("#film-trouble")
    result = page.finish_at(2)

    assert result["lost"]["missing"] == 0
    assert len(set(gateway.keys)) == 1
    assert len(gateway.keys[0]) == 32


def list_sample_sessions(services):
    listed = requests.get(f"{services.upstream.session_api_url}/sessions", timeout=60).json()["sessions"]
    return {each["session_id"] for each in listed if each["video_id"] == "sample"}


def test_a_session_api_that_hangs_loses_nothing_and_makes_no_second_session(page, services):
    choose_sample(page, services)
    before = list_sample_sessions(services)
    group = services.upstream.pids["session_api"]
    os.killpg(group, signal.SIGSTOP)
    try:
        page.page.click("#watch")
        page.wait_for("#film-trouble:not([hidden])")
        assert page.page.inner_text("#film-trouble") == WAITING
    finally:
        os.killpg(group, signal.SIGCONT)
    result = page.finish_at(2)

    assert result["lost"]["missing"] == 0
    assert len(list_sample_sessions(services) - before) == 1


def test_each_click_starts_a_viewing_of_its_own(page, services):
    choose_sample(page, services)
    gateway = Gateway(page)
    gateway.open()
    for _ in range(2):
        page.start_film()
        page.page.click("#film-stop")
        page.wait_for("#watch:not([disabled])")

    assert len(set(gateway.keys)) == 2


def test_the_viewer_can_stop_waiting(page, services):
    choose_sample(page, services)
    Gateway(page, status=504)
    page.page.click("#watch")
    page.wait_for("#film-trouble:not([hidden])")
    page.page.click("#film-stop")
    page.wait_for("#alert:not([hidden])")

    assert page.page.inner_text("#alert") == "Stopped. You can start again."
    assert page.page.is_hidden("#film-stage")


def test_a_film_begins_when_the_viewer_comes_back_from_another_tab(page, services):
    requests.get(
        f"{services.page_url}/api/sample-person/clip.webm", timeout=300
    )  # it is made when it is first asked for
    choose_sample(page, services)
    gateway = Gateway(page, status=504)
    page.page.click("#watch")
    page.wait_for("#film-trouble:not([hidden])")
    page.page.evaluate(HIDE, True)
    gateway.open()
    page.until("document.getElementById('film').readyState >= 2")
    page.page.wait_for_timeout(3000)  # three times as long as the countdown
    assert page.page.evaluate("document.getElementById('film').currentTime") == 0
    page.page.evaluate(HIDE, False)
    page.until("document.getElementById('film').currentTime > 0.5")


def test_a_film_that_was_held_does_not_resume_in_a_hidden_tab(page, services):
    choose_sample(page, services)
    page.start_film()
    services.relay.is_busy = True
    page.wait_for("#film-trouble:not([hidden])")
    page.page.evaluate(HIDE, True)
    services.relay.is_busy = False
    page.page.wait_for_selector("#film-trouble", state="hidden")
    assert page.page.evaluate("document.getElementById('film').paused")
    page.page.evaluate(HIDE, False)
    page.await_score()
    result = page.read_result()

    assert result["lost"]["missing"] == 0


def test_the_film_that_was_started_is_shown_though_it_left_the_list_meanwhile(page, services):
    sample = requests.get(f"{services.page_url}/api/films/sample", timeout=60).json()
    other = {**sample, "film_id": "other", "title": "Other", "state": "preparing"}
    listed = [sample, other]
    page.page.route("**/api/films", lambda route: route.fulfill(json={"films": listed}))
    choose_sample(page, services)
    gateway = Gateway(page, status=504)
    page.page.click("#watch")
    page.wait_for("#film-trouble:not([hidden])")
    listed[:] = [{**other, "state": "ready"}]
    page.until("document.querySelectorAll('#films li').length === 1")
    gateway.open()
    page.until("document.getElementById('film').currentTime > 0.5")

    assert page.page.evaluate("document.getElementById('film').src").endswith("/api/films/sample/video")


def test_the_last_film_is_not_shown_while_the_next_one_waits(page, services):
    choose_sample(page, services)
    page.start_film()
    page.page.click("#film-stop")
    page.wait_for("#watch:not([disabled])")
    Gateway(page, status=504)
    page.page.click("#watch")
    page.wait_for("#film-trouble:not([hidden])")

    assert page.page.evaluate("document.getElementById('film').readyState") == 0


def test_a_refusal_that_would_be_the_same_again_is_not_repeated(page, services):
    choose_sample(page, services)
    gateway = Gateway(page, status=404)
    page.page.click("#watch")
    page.wait_for("#alert:not([hidden])")

    assert len(gateway.keys) == 1


def test_a_calibration_waits_too(page, services):
    page.open(services)
    page.take_sample_person()
    gateway = Gateway(page, status=504)
    page.page.click("#calibrate")
    page.wait_for("#target-trouble:not([hidden])")
    assert page.page.inner_text("#target-trouble").startswith("The connection was lost.")
    gateway.open()
    page.wait_for("#calibration-result:not([hidden])")

    assert page.page.is_hidden("#target-trouble")


def test_a_calibration_that_waits_shows_no_text_of_the_one_before(page, services):
    page.open(services)
    page.take_sample_person()
    page.page.click("#calibrate")
    page.until("document.getElementById('stage-text').textContent === 'Look at the dot'")
    page.page.click("#stage-stop")
    page.wait_for("#alert:not([hidden])")
    Gateway(page, status=504)
    page.page.click("#calibrate")
    page.wait_for("#target-trouble:not([hidden])")

    assert page.page.inner_text("#stage-text") == "One moment …"


def test_an_open_page_says_so_until_the_film_is_over(page, services):
    page.page.add_init_script(SPEED_UP)
    choose_sample(page, services)
    page.start_film()
    page.page.click("#film-pause")
    with page.page.expect_request("**/api/viewings/studio-*") as said:
        pass
    assert said.value.method == "POST"
    assert said.value.response().status == 200
    page.page.click("#film-pause")
    page.page.evaluate("document.getElementById('film-finish').click()")
    page.await_score()
    later = []
    page.page.on("request", lambda request: later.append(request.url) if "/api/viewings/" in request.url else None)
    page.page.wait_for_timeout(1000)  # five times as long as between two signs

    assert later == []
