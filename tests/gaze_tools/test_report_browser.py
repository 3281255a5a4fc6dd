"""The report in a real browser: legible in both modes, on a phone, and free of serious findings of axe-core."""

import pytest

from gaze_tools.report.page import write_report
from tests.fakes.report import LOOKS_RIGHT, examine, maps_for, record, right_and_left
from tests.studio.browser import find_browser

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra dev: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra dev")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report_url(tmp_path_factory):
    frames = {number: each | {"eye_openness": [0.3, 0.3]} for number, each in right_and_left(400).items()}
    for number in (50, 51, 52, 53, 200):
        frames[number] = record(validity="eyes_closed", eye_openness=[0.05, 0.05])
    report, store = examine(frames, maps_for(frames))
    return write_report(report, store, tmp_path_factory.mktemp("report")).as_uri()


def open_report(browser, url, *, width, scheme, bypass_csp=False):
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=bypass_csp, accept_downloads=True
    )
    page = context.new_page()
    page.complaints = []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.goto(url)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing(browser, report_url, width, scheme):
    page = open_report(browser, report_url, width=width, scheme=scheme, bypass_csp=True)
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")

    found = axe.Axe().run(page).response["violations"]

    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("width", [320, 390, 3840])
def test_nothing_is_wider_than_the_window(browser, report_url, width):
    page = open_report(browser, report_url, width=width, scheme="light")
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")

    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_its_own_policy_allows_everything_in_it(browser, report_url):
    page = open_report(browser, report_url, width=1280, scheme="light")

    assert page.complaints == []
    assert page.evaluate("[...document.querySelectorAll('svg image')].length") == 1 + 2 * 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_in_the_figures_stands_out_from_the_page(browser, report_url, scheme):
    page = open_report(browser, report_url, width=1280, scheme=scheme)

    colours = page.evaluate("""() => {
      const fill = getComputedStyle(document.querySelector(".chart text")).fill;
      const paper = getComputedStyle(document.body).backgroundColor;
      return [fill, paper].map((colour) => colour.match(/\\d+/g).map(Number));
    }""")

    assert contrast(*colours) >= 7


SIZES = """() => [...document.querySelectorAll(".chart text")].map((each) => {
  const chart = each.ownerSVGElement;
  const scale = chart.getBoundingClientRect().width / chart.viewBox.baseVal.width;
  return scale * Number.parseFloat(getComputedStyle(each).fontSize);
})"""
MISPLACED = """() => [...document.querySelectorAll(".chart")].flatMap((chart) => {
  const box = chart.getBoundingClientRect();
  const texts = [...chart.querySelectorAll("text")].map((each) => [each.textContent, each.getBoundingClientRect()]);
  const outside = texts.filter(([, { left, right, bottom }]) => {
    return left < box.left - 0.5 || right > box.right + 0.5 || bottom > box.bottom + 0.5;
  });
  // The box of a line of text is a few pixels higher than its letters.
  const meet = (one, other) => one.left < other.right && other.left < one.right &&
    one.top + 3 < other.bottom && other.top + 3 < one.bottom;
  const touching = texts.flatMap(([text, one], index) => {
    return texts.slice(0, index).filter(([, other]) => meet(one, other)).map(([beside]) => `${text} on ${beside}`);
  });
  return [...outside.map(([text]) => `${text} outside`), ...touching];
})"""


@pytest.fixture(scope="module")
def long_report_url(tmp_path_factory):
    """A session of three hours with frames of every kind: the longest labels."""
    kinds = ("ok", "eyes_closed", "low_quality", "no_face", "ok")
    frames = {
        number: record(
            LOOKS_RIGHT if kinds[number % 5] == "ok" else None,
            validity=kinds[number % 5],
            video_time_ms=9000.0 * number,
        )
        for number in range(1, 1201)
    }
    report, store = examine(frames, maps_for(range(1, 600)))
    return write_report(report, store, tmp_path_factory.mktemp("long")).as_uri()


@pytest.mark.parametrize("width", [390, 433, 545, 705, 1280])
def test_text_in_the_figures_is_legible_at_any_width(browser, report_url, width):
    page = open_report(browser, report_url, width=width, scheme="light")

    assert min(page.evaluate(SIZES)) >= 14


@pytest.mark.parametrize("width", [320, 390, 433, 545, 1280])
def test_text_in_the_figures_has_room(browser, report_url, long_report_url, width):
    for url in (report_url, long_report_url):
        page = open_report(browser, url, width=width, scheme="light")

        assert page.evaluate(MISPLACED) == []


def test_a_link_downloads_the_file_beside_the_page(browser, report_url):
    page = open_report(browser, report_url, width=1280, scheme="light")

    with page.expect_download() as download:
        page.click('li a[href="fixations.csv"]')

    assert download.value.suggested_filename == "fixations.csv"


def contrast(one, other):
    """Return the contrast ratio of two RGB colours (WCAG 2.2)."""

    def luminance(colour):
        parts = [each / 255 for each in colour[:3]]
        parts = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
