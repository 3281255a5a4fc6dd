"""The score step in a real browser: where the viewer looked."""

import itertools
from pathlib import Path

import pytest
import requests
from pytest import approx

from gaze_tools.film import read_times
from tests.studio.browser import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def watch(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.start_film()
    page.await_score()


def read_trace(page, services):
    link = page.page.get_attribute("#get-csv", "href").replace("trace.csv", "trace.json")
    return requests.get(services.page_url.replace("localhost", "127.0.0.1") + link, timeout=60).json()


def test_the_score_step_says_whose_score_it_is_and_what_the_numbers_mean(page, services):
    watch(page, services)

    shown = "[data-view='score'] .sample"
    assert page.page.inner_text(shown) == "This is the score of the sample person, not yours."
    page.page.click("#explain summary")
    assert page.page.locator("#explain dt").all_inner_texts() == page.page.locator("#numbers dt").all_inner_texts()


def test_the_score_step_makes_the_film_with_the_gaze(page, services):
    watch(page, services)
    page.page.click("#make-overlay")
    page.wait_for("#overlay-list [data-state='ready'] a")
    with page.page.expect_download() as download:
        page.page.click("#overlay-list a")

    assert download.value.suggested_filename == "overlay.mp4"
    assert read_times(Path(download.value.path())).starts_s.size == 200
    # A page that is loaded again finds it.
    page.open(services)
    page.wait_for("#overlay-list [data-state='ready']")
    page.page.click("#overlay-list button")
    page.until("document.getElementById('announcer').textContent === 'Removed.'")
    assert page.page.is_hidden("#overlays")
    assert page.page.evaluate("document.activeElement.tagName") == "H1"


MAKING = {
    "session_id": "s-1",
    "video_id": "sample",
    "title": "Sample",
    "watched_at": "2026-01-01T12:00:00+00:00",
    "state": "preparing",
    "progress": 0.43,
    "problem": None,
    "reason": None,
}


def test_a_page_that_is_loaded_again_shows_the_film_that_is_being_made(page, services):
    overlay, asked, broken = dict(MAKING), [], []

    def answer(route):
        if route.request.method in broken:
            route.fulfill(status=503, body="busy")
            return
        asked.append((route.request.method, route.request.url.partition("/api/")[2]))
        if route.request.method == "POST":
            overlay.update(MAKING, progress=0.0)
        if route.request.method == "DELETE":
            overlay.clear()
        route.fulfill(json={"overlays": [overlay]} if overlay else {"overlays": []})

    page.page.route("**/api/overlays", answer)
    page.page.route("**/api/sessions/s-1/overlay", answer)
    page.open(services)
    page.wait_for("#overlay-list progress")

    assert page.page.inner_text("#overlay-list .note") == "Making the film: 43 %"
    assert page.page.evaluate("document.querySelector('#overlay-list progress').value") == 0.43
    assert page.page.get_attribute("#overlay-list progress", "aria-label").startswith("Sample film (1 Jan 2026, 12:00")
    page.page.focus("#overlay-list button")
    overlay["progress"] = 0.6
    page.until("document.getElementById('announcer').textContent.endsWith('Making the film: 60 %')")
    assert page.page.evaluate("document.activeElement.textContent") == "Cancel"

    overlay.update(state="failed", reason="disk_full", problem="The studio's disk is full.")
    page.wait_for("#overlay-list [data-state='failed']")
    why = "It could not be made: the disk is full. Remove films or free some space, then try again."
    assert page.page.inner_text("#overlay-list .note") == why
    assert page.page.evaluate("document.activeElement.textContent") == "Try again"
    page.page.select_option("#language", "ko")
    page.until("document.querySelector('#overlay-list .note').textContent.startsWith('만들지 못했습니다. 디스크가')")

    page.page.click("#overlay-list button >> nth=0")
    page.wait_for("#overlay-list progress:indeterminate")
    broken.append("DELETE")
    said = page.page.evaluate("document.getElementById('announcer').textContent")
    page.page.click("#overlay-list button")
    page.wait_for('#alert:not([hidden]):has-text("HTTP 503")')
    assert page.page.evaluate("document.getElementById('announcer').textContent") == said
    broken.clear()
    page.page.click("#overlay-list button")
    page.until("document.getElementById('announcer').textContent === '취소했습니다.'")
    assert page.page.is_hidden("#overlays")
    changes = [each for each in asked if each[0] != "GET"]
    assert changes == [("POST", "sessions/s-1/overlay"), ("DELETE", "sessions/s-1/overlay")]


def test_the_page_draws_and_lists_the_fixations_of_the_server(page, services):
    watch(page, services)
    page.wait_for("#fixation-list")
    trace = read_trace(page, services)
    fixations = trace["fixations"]
    page.page.click("#fixation-list summary")

    assert len(fixations) > 5
    assert page.page.inner_text("#fixations-text").startswith(f"Found: {len(fixations)}. ")
    assert page.page.locator("#fixations circle").count() == len(fixations)
    rows = [[float(cell) for cell in row.split("\t")[:3]] for row in page.page.inner_text("#fixation-rows").split("\n")]
    assert rows == [
        [each["number"], approx(each["onset_s"], abs=0.051), approx(1000 * each["duration_s"], abs=0.51)]
        for each in fixations
    ]

    # A moment shows what is near it, on its image of the film.
    page.page.fill("#moment", "3")
    page.until("Math.abs(document.getElementById('film').currentTime - 3) < 0.05")
    near = [each for each in fixations if each["onset_s"] <= 4 and each["onset_s"] + each["duration_s"] >= 2]
    assert page.page.locator("#fixations circle").count() == len(near)
    assert page.page.inner_text("#map-text") == "Points of gaze within 1 s of 3.0 s."
    assert not page.page.is_checked("#whole-session")
    page.page.uncheck("#show-fixations")
    assert page.page.locator("#fixations circle").count() == 0


def test_the_gaze_that_the_page_draws_is_the_one_that_is_scored(page, services):
    watch(page, services)
    answers = {
        answer["frame_number"]: answer["gaze"]
        for _, _, body in services.relay.requests_of("sample")
        for answer in body.get("frames", [])
        if body["session_id"] == page.page.get_attribute("#get-csv", "href").split("/")[3]
    }
    trace = read_trace(page, services)
    scored = [frame for frame in trace["frames"] if frame["status"] == "scored"]

    assert len(scored) > 10
    for frame in scored:
        shown = answers[frame["frame_number"]]
        assert (shown["x"], shown["y"]) == approx((frame["video_x"], frame["video_y"]), abs=1e-3)
    result = page.read_result()
    rows = dict(row.split("\t") for row in page.page.inner_text("#coverage").split("\n"))
    assert int(rows["used for the score"]) == result["frames"]["scored"] == len(scored)
    assert int(rows["images sent"]) == result["frames"]["expected"] == len(trace["frames"])


def test_a_session_without_a_score_shows_no_scale(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    # Before there are enough frames for a score.
    page.during_film(0.1, "document.getElementById('film-finish').click()")
    page.wait_for("#watch:not([disabled])")
    page.page.click("#watch")
    page.await_score()

    assert page.page.inner_text("#score-number") == "–"
    assert page.page.inner_text("#score-meaning").startswith("There is no valid score: ")
    assert page.page.is_hidden("#score-scale")


SCALES = [
    {"final_score": 31, "chance_level": 30, "interval_95": [27, 35]},
    {"final_score": 0, "chance_level": 0, "interval_95": [0, 4]},
    {"final_score": 2, "chance_level": 12, "interval_95": None},
    {"final_score": 100, "chance_level": 100, "interval_95": [96, 100]},
    {"final_score": 97, "chance_level": 88, "interval_95": [80, 100]},
    {"final_score": 50, "chance_level": None, "interval_95": None},
]
DRAW = """async (result) => {
  const { drawScale } = await import("/static/charts.js");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  document.querySelector("main").replaceChildren(svg);
  drawScale(svg, result);
  return [...svg.querySelectorAll("text")].map((each) => {
    const { left, right, top, bottom } = each.getBoundingClientRect();
    const frame = svg.getBoundingClientRect();
    return { left: left - frame.left, right: right - frame.left, top, bottom, width: frame.width };
  });
}"""


@pytest.mark.parametrize("locale", ["en", "ko"])
@pytest.mark.parametrize("width", [390, 1280])
def test_labels_of_the_scale_are_whole_and_apart(browser, services, width, locale):
    context = browser.new_context(viewport={"width": width, "height": 800}, locale=locale)
    page = Page(context.new_page())
    page.open(services)
    for result in SCALES:
        labels = page.page.evaluate(DRAW, result)
        assert all(each["left"] > -0.5 and each["right"] < each["width"] + 0.5 for each in labels), labels
        for one, other in itertools.combinations(labels, 2):
            is_beside = one["right"] < other["left"] or other["right"] < one["left"]
            assert is_beside or one["bottom"] <= other["top"] or other["bottom"] <= one["top"], (result, one, other)
    context.close()


def test_labels_have_the_colours_that_the_reader_forces(browser, services):
    context = browser.new_context(forced_colors="active", color_scheme="light", locale="en-GB")
    page = Page(context.new_page())
    page.open(services)
    page.page.evaluate(DRAW, SCALES[0])
    colours = page.page.evaluate("""() => ({
      labels: [...new Set([...document.querySelectorAll("main text")].map((each) => getComputedStyle(each).fill))],
      page: getComputedStyle(document.body).color,
    })""")
    context.close()

    assert colours["labels"] == [colours["page"]]


def test_a_printed_score_has_no_controls(page, services):
    page.open(services)
    page.page.emulate_media(media="print")
    shown = page.page.evaluate("""() => {
      for (const view of document.querySelectorAll("[data-view]")) view.hidden = view.dataset.view !== "score";
      document.getElementById("score-body").hidden = false;
      const isShown = (each) => each.getClientRects().length > 0;
      const find = (selector) => [...document.querySelectorAll(selector)].filter(isShown).map(({ tagName }) => tagName);
      return { controls: find("button, input, select, a"), numbers: find("#explain dt").length };
    }""")

    assert shown == {"controls": [], "numbers": 5}


def test_the_score_does_not_wait_for_the_fixations(page, services):
    page.page.route("**/fixations.json", lambda route: None)
    watch(page, services)

    assert page.page.inner_text("#fixations-text") == "Finding fixations …"
    assert page.page.is_visible("#get-json")
    assert page.page.get_attribute("#heat", "aria-label").startswith("Where you looked. Most looked-at area: ")


def test_without_fixations_the_page_says_where_to_find_them(page, services):
    page.page.route("**/fixations.json", lambda route: route.fulfill(status=502))
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


def test_warnings_follow_the_language(page, services):
    def warn(route):
        answer = route.fetch()
        body = answer.json()
        if "result" in body:
            known = {"code": "maps_without_faces", "frames": 3, "detail": "the saliency maps ignore faces"}
            body["result"]["warnings"] = [known, {"code": "later", "frames": 1, "detail": "of a later version"}]
            body["result"]["calibration"] = {"used": False, "other_viewer": {"suspected": True}}
        route.fulfill(response=answer, json=body)

    page.page.route("**/gaze", warn)
    watch(page, services)
    assert page.page.locator("#warnings li").all_inner_texts() == [
        "The saliency maps of this film ignore faces, so viewers who watch faces score too low.",
        "of a later version",
        "A different person may have sat down since the calibration.",
    ]
    page.wait_for("#fixation-list")
    page.page.select_option("#language", "ko")
    page.until("document.documentElement.lang === 'ko'")

    assert page.page.locator("#warnings li").last.inner_text() == "보정한 뒤에 다른 사람이 앉은 것 같습니다."
    assert "찾았습니다" in page.page.inner_text("#fixations-text")
    assert page.page.get_attribute("#heat", "aria-label").startswith("어디를 보았나. ")
