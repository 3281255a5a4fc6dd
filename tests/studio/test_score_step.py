"""The score step in a real browser: where the viewer looked."""

import pytest
import requests

from tests.studio.browser import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def watch(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.start_film()
    page.await_score()


def read_trace(page, services):
    link = page.page.get_attribute("#get-csv", "href").replace("trace.csv", "trace.json")
    return requests.get(services.page_url.replace("localhost", "127.0.0.1") + link, timeout=60).json()


def test_the_page_draws_and_lists_the_fixations_of_the_server(page, services):
    watch(page, services)
    page.wait_for("#fixation-list")
    fixations = read_trace(page, services)["fixations"]
    page.page.click("#fixation-list summary")

    assert len(fixations) > 10
    assert page.page.inner_text("#fixations-text").startswith(f"Found: {len(fixations)}. ")
    assert page.page.locator("#fixations circle").count() == len(fixations)
    rows = [row.split("\t")[:3] for row in page.page.inner_text("#fixation-rows").split("\n")]
    assert rows == [
        [str(each["number"]), f"{each['onset_s']:.1f}", f"{1000 * each['duration_s']:.0f}"] for each in fixations
    ]

    # A moment shows what is near it, on its image of the film.
    page.page.fill("#moment", "3")
    page.until("Math.abs(document.getElementById('film').currentTime - 3) < 0.05")
    near = [each for each in fixations if each["onset_s"] <= 4 and each["onset_s"] + each["duration_s"] >= 2]
    assert page.page.locator("#fixations circle").count() == len(near)
    assert page.page.inner_text("#map-text") == "The gaze from 1 s before to 1 s after 3.0 s."
    assert not page.page.is_checked("#whole-session")
    page.page.uncheck("#show-fixations")
    assert page.page.locator("#fixations circle").count() == 0


def test_the_score_does_not_wait_for_the_fixations(page, services):
    page.page.route("**/trace.json", lambda route: None)
    watch(page, services)

    assert page.page.inner_text("#fixations-text") == "Finding fixations …"
    assert page.page.is_visible("#get-json")
    assert page.page.get_attribute("#heat", "aria-label").startswith("Where you looked. Most of the gaze, ")


def test_without_fixations_the_page_says_where_to_find_them(page, services):
    page.page.route("**/trace.json", lambda route: route.fulfill(status=502))
    watch(page, services)
    page.until("document.getElementById('fixations-text').textContent.startsWith('The fixations could not')")

    assert page.page.is_hidden("#fixation-list")
    assert page.page.is_disabled("#show-fixations")


def test_nothing_is_tiny_on_a_large_screen(browser, services):
    context = browser.new_context(viewport={"width": 3840, "height": 2160}, locale="en-GB")
    page = Page(context.new_page())
    watch(page, services)
    page.wait_for("#fixation-list")
    heights = page.page.evaluate("""() =>
      [...document.querySelectorAll("[data-view='score'] *")]
        .filter((each) => [...each.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim()))
        .map((each) => each.getBoundingClientRect().height / Math.max(1, each.getClientRects().length))
        .filter((height) => height > 1)
    """)
    context.close()

    assert len(heights) > 30
    assert min(heights) > 24
