"""The whole way with the keyboard alone, and what a screen reader hears and finds."""

import pytest

from tests.studio.browser import Page
from tests.studio.test_texts import STRINGS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LISTEN = """
  window.said = [];
  document.addEventListener("DOMContentLoaded", () => {
    const announcer = document.getElementById("announcer");
    new MutationObserver(() => window.said.push(announcer.textContent)).observe(announcer, { childList: true });
  });
"""
FOCUS = "document.activeElement.id || document.activeElement.tagName"
OUTLINE = """() => {
  const { id, type } = document.activeElement;
  // A label stands for the file input, which nobody sees.
  const shown = type === "file" ? document.querySelector(`label[for="${id}"]`) : document.activeElement;
  return shown === document.body ? "of the browser" : getComputedStyle(shown).outlineStyle;
}"""
TEXTS = """() => {
  const elements = [...document.querySelectorAll("body *")].filter((each) => each.getClientRects().length);
  const own = (each) => each.children.length === 0 || each.tagName === "LABEL" ? each.textContent.trim() : "";
  return elements.flatMap((each) => [own(each), each.getAttribute("aria-label") ?? ""]).filter(Boolean);
}"""
"""What the page shows, and says to a screen reader."""


@pytest.fixture
def keyboard_page(browser, services):
    services.relay.recover()
    context = browser.new_context(
        viewport={"width": 1280, "height": 720}, locale="en-GB", reduced_motion="reduce", color_scheme="dark"
    )
    studio = Page(context.new_page())
    studio.page.add_init_script(LISTEN)
    yield studio
    context.close()
    assert studio.errors == []


def tab_to(page, name, *, key="Tab"):
    """Press Tab until an element has the focus, which must be visible."""
    visited = []
    for _ in range(40):
        page.page.keyboard.press(key)
        visited.append(page.page.evaluate(FOCUS))
        assert page.page.evaluate(OUTLINE) != "none", f"the focus on {visited[-1]} is invisible"
        if visited[-1] == name:
            return
    raise AssertionError(f"{name} is not among {visited}")


def press(page, name):
    tab_to(page, name)
    page.page.keyboard.press("Enter")


def test_the_whole_way_needs_no_mouse(keyboard_page, services):
    page = keyboard_page
    keys = page.page.keyboard
    page.open(services)
    page.until(f"{FOCUS} === 'H1'")
    press(page, "use-sample")
    page.wait_for('#hint[data-state="good"]')
    assert page.page.evaluate(FOCUS) == "H1"
    press(page, "camera-done")
    page.until("!document.querySelector('[data-view=\"calibration\"]').hidden")

    # Escape stops, and the focus returns to where it was.
    press(page, "calibrate")
    page.wait_for("#target-stage:not([hidden])")
    page.until(f"{FOCUS} === 'stage-stop'")
    assert page.page.evaluate("document.querySelector('main').inert")
    page.wait_for("#target:not([hidden])")
    motion = "getComputedStyle(document.getElementById('target'), '::before').animationName"
    assert page.page.evaluate(motion) == "none"
    keys.press("Escape")
    page.until("document.getElementById('target-stage').hidden")
    page.until(f"{FOCUS} === 'calibrate'")
    assert not page.page.evaluate("document.querySelector('main').inert")
    assert page.page.inner_text("#alert").startswith("Stopped.")

    keys.press("Enter")
    page.wait_for("#calibration-result:not([hidden])")
    page.until(f"{FOCUS} === 'calibration-number'")
    press(page, "calibration-done")
    page.wait_for("#watch:not([disabled])")

    press(page, "watch")
    page.until("document.getElementById('film').currentTime > 0.5")
    assert page.page.evaluate(FOCUS) == "film-pause"
    keys.press("Enter")
    page.until("document.getElementById('film').paused")
    keys.press("Escape")
    page.until("document.getElementById('film-stage').hidden")
    page.until(f"{FOCUS} === 'watch'")

    keys.press("Enter")
    page.until("document.getElementById('film').currentTime > 3 && !document.getElementById('film').paused")
    # A film that is paused waits for the keys that follow.
    keys.press("Enter")
    press(page, "film-finish")
    page.await_score()
    page.until(f"{FOCUS} === 'H1'")
    tab_to(page, "moment")
    keys.press("ArrowLeft")
    assert not page.page.is_checked("#whole-session")
    tab_to(page, "get-json")
    tab_to(page, "moment", key="Shift+Tab")

    said = page.page.evaluate("window.said")
    assert "Dot 2 of 7" in said
    assert any(each.startswith("Average error: ") for each in said)
    score = page.page.inner_text("#score-number")
    assert said[-1].startswith(f"Your score: {score}. {score}\u00a0% of the time, ")


def switch(page, language):
    page.page.select_option("#language", language)
    page.until(f"document.documentElement.lang === '{language}'")


def test_no_text_stays_in_the_language_of_before(keyboard_page, services):
    page = keyboard_page
    page.page.route("**/api/films/sample/video", lambda route: route.fulfill(body=b"no film", content_type="video/mp4"))
    english = set(STRINGS["en"].values()) - set(STRINGS["ko"].values())
    page.open(services)
    page.until("document.getElementById('announcer').textContent.startsWith('Watch a film.')")
    found = {}

    def find(step):
        switch(page, "ko")
        found[step] = english.intersection(page.page.evaluate(TEXTS))
        found[f"title of {step}"] = page.page.title()
        switch(page, "en")

    find("start")
    page.page.click("#use-sample")
    page.wait_for('#hint[data-state="good"]')
    find("camera")
    page.page.click("#camera-done")
    find("calibration")
    page.skip_calibration()
    page.wait_for("#watch:not([disabled])")
    page.page.click("#watch")
    page.wait_for("#alert:not([hidden])")
    assert page.page.inner_text("#alert") == "Your browser cannot play this film."
    find("watch")

    assert found == {
        "start": set(),
        "title of start": "시작 – 시선 스튜디오",
        "camera": set(),
        "title of camera": "카메라 – 시선 스튜디오",
        "calibration": set(),
        "title of calibration": "보정 – 시선 스튜디오",
        "watch": set(),
        "title of watch": "시청 – 시선 스튜디오",
    }


def test_a_language_that_cannot_be_loaded_is_not_shown_as_chosen(keyboard_page, services):
    page = keyboard_page
    page.open(services)
    page.page.route("**/strings.ko.json", lambda route: route.abort())
    page.page.select_option("#language", "ko")
    page.wait_for("#alert:not([hidden])")

    assert page.page.input_value("#language") == "en"
