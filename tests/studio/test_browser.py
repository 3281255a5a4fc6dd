"""The studio in a real browser, with a rendered person."""

import pytest
import requests

from gaze_tools.client import Frame, GazeClient
from tests.running import run_function, serve_upstream
from tests.studio.browser import WAIT_MS, Page
from tests.studio.waiting import wait_until

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs the extra dev")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


KEEP_CAMERA = """
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => (window.cameraOfTest = await open(wanted));
"""
"""Lets a test reach the camera that the page has opened."""


def session_ids(services, video_id="sample"):
    return list(dict.fromkeys(metadata["session_id"] for metadata, _, _ in services.relay.requests_of(video_id)))


def test_the_whole_way_gives_the_score_of_the_python_client(page, services):
    page.open(services)
    page.take_sample_person()
    assert page.calibrate().startswith("Average error: ")
    page.start_film()
    shown = page.await_score()
    result = page.read_result()
    session_id = session_ids(services)[-1]
    last = services.relay.requests_of("sample")[-1][0]

    frames = services.relay.frames_of(session_id)
    with GazeClient(services.function_url) as client:
        viewing = client.start_viewing(
            "sample", session_id=f"again-{session_id}", calibration=last["calibration_session"]
        )
        viewing.send_batch(
            Frame(image, frame_number=number, fields={name: fields[name] for name in fields if name != "frame_number"})
            for number, (fields, image) in frames.items()
        )
        python_result = viewing.complete().result

    assert python_result["final_score"] == result["final_score"]
    assert python_result["trace"] == result["trace"]
    assert shown == str(round(result["final_score"]))
    assert result["calibration"]["used"]
    assert result["lost"]["missing"] == 0
    # The person follows the salient object; chance is 30.
    assert result["final_score"] > 45

    files = f"{services.page_url.replace('localhost', '127.0.0.1')}/api/sessions/{session_id}"
    assert requests.get(f"{files}/session.json", timeout=60).text.count('"validity"') >= len(frames)
    report = requests.get(f"{files}/report.html", timeout=60)
    assert "Attention report for sample" in report.text
    assert requests.get(f"{files}/trace.csv", timeout=60).text.count("\n") == len(frames) + 1


def test_a_camera_is_watched_without_a_calibration(page, services):
    page.page.add_init_script(KEEP_CAMERA)
    page.open(services)
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.fill("#distance", "470")
    page.page.click("#camera-done")
    page.skip_calibration()
    page.start_film()
    page.await_score()
    result = page.read_result()

    # The camera is off again, and comes back for another film.
    assert page.page.evaluate("cameraOfTest.getTracks().every(({ readyState }) => readyState === 'ended')")
    page.page.click("#again")
    page.wait_for("#watch:not([disabled])")
    assert page.page.evaluate("cameraOfTest.getTracks().every(({ readyState }) => readyState === 'live')")
    # The clip was rendered with 50°; 470 mm was measured.
    sent = services.relay.requests_of("sample")[-1][0]["camera"]
    assert 47 <= sent["vertical_fov_deg"] <= 53
    assert result["frames"]["received"] > 40
    assert result["coverage"] > 0.6
    assert result["calibration"] is None


def test_wrong_numbers_are_refused_and_a_measured_distance_is_shown_at_once(page, services):
    page.open(services)
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.fill("#distance", "47")
    page.page.click("#camera-done")
    page.wait_for("#number-problem:not([hidden])")

    assert "in millimetres, 200 to 2000" in page.page.inner_text("#number-problem")
    # Message and field can be seen at the same time.
    assert page.page.evaluate("document.activeElement.id") == "distance"
    field, message = (page.page.locator(each).bounding_box() for each in ("#distance", "#number-problem"))
    assert field["y"] >= 0
    assert field["y"] + field["height"] <= message["y"]
    assert message["y"] + message["height"] <= page.page.viewport_size["height"]
    # With the usual field of view, the person seems to be 35 cm away.
    page.page.fill("#distance", "470")
    page.until("/about 4[5-9] cm/.test(document.getElementById('hint').textContent)")
    page.page.fill("#screen-width", "")
    page.page.click("#camera-done")
    page.until("document.activeElement.id === 'screen-width'")
    assert "in millimetres, 50 to 3000" in page.page.inner_text("#number-problem")
    # Manufacturers state sizes with decimals.
    page.page.fill("#screen-width", "344.5")
    page.page.click("#camera-done")
    page.wait_for('[data-view="calibration"]:not([hidden])')
    remembered = page.page.evaluate("JSON.parse(localStorage.getItem('gaze-studio'))")
    assert remembered["screenMm"] == [344.5, 194]
    assert 47 <= remembered["fovDeg"] <= 53


def test_a_blocked_camera_is_explained(launch, services):
    browser = launch(allowed=False)
    studio = Page(browser.new_page(locale="en-GB"))
    studio.open(services)
    studio.take_camera()
    studio.wait_for("#alert:not([hidden])")

    assert "The camera is blocked" in studio.page.inner_text("#alert")
    browser.close()


def test_without_the_service_the_film_waits_and_no_frame_is_lost(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.start_film()
    services.relay.is_down = True
    page.wait_for("#film-trouble:not([hidden])")
    assert page.page.evaluate("document.getElementById('film').paused")
    services.relay.is_down = False
    page.page.wait_for_selector("#film-trouble", state="hidden")
    page.await_score()
    result = page.read_result()

    assert result["lost"]["missing"] == 0
    assert result["frames"]["received"] == result["frames"]["expected"]


def test_on_a_slow_network_frames_go_out_together(page, services):
    services.relay.delay_s = 1.0
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.start_film()
    page.await_score()
    result = page.read_result()

    session_id = session_ids(services)[-1]
    sizes = [
        len(metadata["frames"])
        for metadata, _, _ in services.relay.requests_of("sample")
        if metadata["session_id"] == session_id and "frames" in metadata
    ]
    assert max(sizes) > 4
    assert max(sizes) <= 16
    assert result["lost"]["missing"] == 0


def test_a_reload_begins_a_new_session(page, services):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    known = len(session_ids(services))
    page.start_film()
    wait_until(lambda: len(session_ids(services)) > known, limit_s=WAIT_MS / 1000)
    first = session_ids(services)[-1]
    page.page.reload()
    page.take_sample_person()
    page.skip_calibration()
    page.start_film()
    page.await_score()
    second = session_ids(services)[-1]

    assert first != second
    assert page.read_result()["frames"]["received"] == len(services.relay.frames_of(second))


def test_two_tabs_are_two_sessions(page, services):
    """Both tabs watch at the same time; a hidden one would pause, so each has a window of its own."""
    others = [Page(page.page.context.new_page()) for _ in range(2)]
    for each in others:
        each.open(services)
        each.take_sample_person()
        each.skip_calibration()
        each.start_film()
    for each in others:
        each.await_score()
        session_id = each.page.get_attribute("#get-csv", "href").split("/")[3]

        assert each.read_result()["frames"]["received"] == len(services.relay.frames_of(session_id))


def test_a_camera_that_is_unplugged_pauses_the_film(page, services):
    page.page.add_init_script(KEEP_CAMERA)
    page.open(services)
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.click("#camera-done")
    page.skip_calibration()
    page.start_film()
    # What a browser does when a camera is unplugged: its track ends.
    page.page.evaluate("""() => {
      for (const track of window.cameraOfTest.getTracks()) {
        track.stop();
        track.dispatchEvent(new Event("ended"));
      }
    }""")
    page.wait_for("#film-trouble:not([hidden])")
    assert "camera was disconnected" in page.page.inner_text("#film-trouble")
    assert page.page.evaluate("document.getElementById('film').paused")
    page.page.click("#film-finish")
    page.await_score()

    assert page.read_result()["frames"]["received"] == len(services.relay.frames_of(session_ids(services)[-1]))


def test_the_place_of_the_film_is_followed_out_of_full_screen(page, services):
    page.open(services)
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.click("#camera-done")
    page.skip_calibration()
    page.start_film()
    assert page.page.evaluate("document.fullscreenElement !== null")
    page.page.evaluate("document.exitFullscreen()")
    page.until("document.fullscreenElement === null")
    page.await_score()

    places = [fields["viewport"] for fields, _ in services.relay.frames_of(session_ids(services)[-1]).values()]
    assert places[0] == {"x": 0, "y": 0, "width": 1, "height": 1}
    assert places[-1]["width"] == pytest.approx(1280 / 1920, abs=0.01)
    assert places[-1]["height"] == pytest.approx(720 / 1080, abs=0.01)
    assert page.read_result()["lost"]["missing"] == 0


def test_an_own_film_is_prepared_and_offered(page, services, video):
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.page.set_input_files("#film-file", str(video))
    page.page.wait_for_selector('#films input[value^="film-"]:checked')
    page.wait_for("#watch:not([disabled])")

    assert page.page.evaluate("document.getElementById('films').querySelectorAll('li').length") == 2


def test_a_file_that_is_not_a_film_is_explained(page, services, tmp_path):
    (tmp_path / "notes.mp4").write_text("not a film")
    page.open(services)
    page.take_sample_person()
    page.skip_calibration()
    page.page.set_input_files("#film-file", str(tmp_path / "notes.mp4"))
    page.wait_for("#alert:not([hidden])")

    assert "not a film" in page.page.inner_text("#alert")


@pytest.mark.parametrize(("scheme", "width", "text_px"), [("light", 320, 17), ("dark", 1280, 34)])
def test_the_steps_are_accessible(browser, services, scheme, width, text_px):
    """On the narrowest screen, and with text of twice the size."""
    services.relay.recover()
    context = browser.new_context(viewport={"width": width, "height": 844}, locale="ko", color_scheme=scheme)
    page = Page(context.new_page())
    page.open(services)
    assert page.page.evaluate("getComputedStyle(document.documentElement).fontSize") == "17px"
    page.page.evaluate("(px) => { document.documentElement.style.fontSize = `${px}px`; }", text_px)
    assert page.page.inner_text("h1:visible") == "영상을 보고, 무엇에 주목했는지 확인하세요."
    found = {"start": check(page)}
    page.page.click("#use-sample")
    page.wait_for('#hint[data-state="good"]')
    found["camera"] = check(page)
    page.page.click("#camera-done")
    found["calibration"] = check(page)
    page.page.check("#record")
    page.page.click("#calibrate")
    page.wait_for("#recording-link")
    found["calibrated"] = check(page)
    page.page.click("#calibration-done")
    page.wait_for("#watch:not([disabled])")
    found["watch"] = check(page)
    page.page.click("#watch")
    page.finish_at(3)
    page.wait_for("#fixation-list")
    for summary in page.page.query_selector_all("summary"):
        summary.click()
    found["score"] = check(page)
    context.close()

    assert {step: rules for step, rules in found.items() if rules} == {}


def check(page):
    """Return the rules of axe-core that a view breaks seriously, and whether it is wider than the window."""
    answer = axe.Axe().run(page.page, options={"rules": {"target-size": {"enabled": True}}}).response
    broken = [each["id"] for each in answer["violations"] if each["impact"] in ("serious", "critical")]
    if page.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        broken.append("wider than the window")
    return broken


def test_a_listed_page_of_another_origin_posts_to_the_function(browser, services, tmp_path):
    """The page of the studio is the other origin here."""
    origin = services.page_url
    post = """async (url) => {
      const { encodeJpeg } = await import("/static/gaze-client.js");
      const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
      canvas.getContext("2d").fillRect(0, 0, 64, 48);
      const form = new FormData();
      const metadata = { session_id: "s", video_id: "v", ip_address: "203.0.113.7", frame_number: 1 };
      form.append("metadata", new Blob([JSON.stringify(metadata)], { type: "application/json" }));
      form.append("frame", await encodeJpeg(canvas, 0.9));
      const tries = [
        () => fetch(url, { method: "POST", body: form }),
        () => fetch(url, {
          method: "POST",
          headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ ...metadata, last_frame: true }),
        }),
      ];
      return Promise.all(tries.map((each) => each().then((answer) => answer.status, (error) => error.name)));
    }"""
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"{origin}/static/icon.svg")
    page.goto(f"{origin}/")
    answers = []
    with serve_upstream() as upstream:
        for settings in ({}, {"CORS_ORIGINS": origin}):
            with run_function(upstream, tmp_path, **settings) as running:
                _await_ready(running)
                answers.append(page.evaluate(post, running.url("/gaze")))
    context.close()

    assert answers == [["TypeError", "TypeError"], [200, 200]]


def _await_ready(running):
    import time

    for _ in range(600):
        if requests.get(running.url("/health/readiness"), timeout=60).status_code == 200:
            return
        time.sleep(0.1)
    raise TimeoutError
