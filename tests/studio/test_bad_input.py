"""Cameras, films, browsers and viewers that misbehave, in a real browser."""

import contextlib
import os

import cv2
import numpy as np
import pytest
from pymongo import MongoClient

from func.adapters.saliency_store import read_facts
from tests.studio.browser import WAIT_MS, Page, find_browser
from tests.studio.film_maker import make_film
from tests.studio.waiting import wait_until

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra dev: pip install playwright")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CAMERA = """
  window.camera = { mode: "person", width: 640, height: 480, rate: 20, ...(%s) };
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const about = await (await fetch("/api/sample-person")).json();
    const looks = [];
    for (const { url } of about.targets.slice(0, 8)) {
      looks.push(await createImageBitmap(await (await fetch(url)).blob()));
    }
    const canvas = document.createElement("canvas");
    const context = canvas.getContext("2d");
    let turn = 0;
    const draw = () => {
      const { mode, width, height } = window.camera;
      if (mode === "frozen") {
        // The same image is delivered again.
        context.drawImage(canvas, 0, 0);
        return;
      }
      if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
      context.fillStyle = mode === "black" ? "#000" : "#667";
      context.fillRect(0, 0, width, height);
      if (mode === "black") return;
      if (mode !== "away") {
        context.save();
        context.translate(width / 2, height / 2);
        if (mode === "on its side") context.rotate(Math.PI / 2);
        const scale = Math.max(width / 640, height / 480);
        context.drawImage(looks[turn %% looks.length], -320 * scale, -240 * scale, 640 * scale, 480 * scale);
        context.restore();
      }
      turn += 1;
      // The noise of a sensor, in a stripe beside the person.
      for (let y = 0; y < height; y += height / 32) {
        context.fillStyle = `rgb(${90 + 60 * Math.random()} 100 100)`;
        context.fillRect(0, y, width / 32, height / 32);
      }
    };
    draw();
    window.camera.timer = setInterval(draw, 1000 / window.camera.rate);
    const stream = canvas.captureStream(window.camera.rate);
    Object.assign(window.camera, { wanted, stream });
    return stream;
  };
"""
"""A camera that a test controls through `window.camera`. It shows images of the rendered person."""


BLACK_PNG = cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1].tobytes()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        arguments = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--no-sandbox"]
        browser = driver.chromium.launch(executable_path=find_browser(), args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser, services):
    """Open the page with a camera and scripts that run before it; errors of the page fail the test."""
    services.relay.recover()
    with contextlib.ExitStack() as stack:

        def start(*scripts, camera="{}", **options):
            size = {"viewport": {"width": 1280, "height": 720}, "screen": {"width": 1280, "height": 720}}
            context = browser.new_context(**{**size, "locale": "en-GB", **options})
            stack.callback(context.close)
            studio = Page(context.new_page())
            for script in (CAMERA % camera, *scripts):
                studio.page.add_init_script(script)
            studio.open(services)
            stack.callback(lambda: pages.append(studio))
            return studio

        pages = []
        yield start
    assert [error for studio in pages for error in studio.errors] == []


def take_camera(page):
    """Go to the choice of a film with the camera of the test."""
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    page.page.click("#camera-done")
    page.skip_calibration()


def sent_frames(services):
    """Return fields and image of each frame of the latest viewing of the sample, in order."""
    session_id = services.relay.requests_of("sample")[-1][0]["session_id"]
    return [each for _, each in sorted(services.relay.frames_of(session_id).items())]


def is_paused(page):
    return page.page.evaluate("document.getElementById('film').paused")


def shows(page, selector):
    return page.page.is_visible(selector)


class TestCamera:
    @pytest.mark.parametrize(
        ("camera", "hint"),
        [
            ('{ mode: "black" }', "The image is black"),
            ('{ mode: "on its side" }', "The image is on its side"),
            ('{ mode: "away" }', "No face found"),
            ("{ width: 480, height: 640 }", "All good"),
        ],
    )
    def test_a_bad_image_is_explained_before_the_film(self, open_page, camera, hint):
        page = open_page(camera=camera)
        page.take_camera()

        page.until(f"document.getElementById('hint').textContent.startsWith('{hint}')")

    def test_an_image_that_stands_still_is_explained_before_the_film(self, open_page):
        page = open_page()
        page.take_camera()
        page.wait_for('#hint[data-state="good"]')
        page.page.evaluate("camera.mode = 'frozen'")
        page.until("document.getElementById('hint').textContent.includes('is frozen')")
        page.page.evaluate("camera.mode = 'person'")

        page.wait_for('#hint[data-state="good"]')

    def test_a_camera_that_freezes_sends_nothing_and_the_film_waits(self, open_page, services):
        page = open_page()
        take_camera(page)
        page.during_film(1.5, "camera.mode = 'frozen'")
        page.start_film()
        page.wait_for("#film-trouble:not([hidden])")
        assert "black or frozen" in page.page.inner_text("#film-trouble")
        assert is_paused(page)
        page.page.evaluate("camera.mode = 'person'")
        page.page.wait_for_selector("#film-trouble", state="hidden")
        assert not is_paused(page)
        result = page.finish_at(6)

        frames = sent_frames(services)
        assert len({image for _, image in frames}) == len(frames) == result["frames"]["received"]
        # About two seconds of the film went by before the camera counted as still.
        times_s = np.array([fields["video_time_ms"] for fields, _ in frames]) / 1000
        assert 1.2 < np.diff(times_s).max() < 4

    def test_a_film_does_not_begin_while_the_image_stands_still(self, open_page):
        page = open_page()
        take_camera(page)
        page.page.evaluate("camera.mode = 'frozen'")
        page.wait_for("#watch:not([disabled])")
        page.page.click("#watch")
        page.wait_for("#film-trouble:not([hidden])")
        assert is_paused(page)
        page.page.evaluate("camera.mode = 'person'")
        result = page.finish_at(2)

        assert result["frames"]["received"] > 3

    @pytest.mark.parametrize(("width", "height", "sent"), [(3840, 2160, (1280, 720)), (2160, 3840, (720, 1280))])
    def test_the_images_of_a_4k_camera_are_reduced(self, open_page, width, height, sent):
        page = open_page(camera=f"{{ width: {width}, height: {height}, rate: 5 }}")
        found = page.page.evaluate("""async () => {
          const { CameraSource } = await import("/static/gaze-client.js");
          const source = await CameraSource.open();
          await source.nextImage();
          const { blob } = await source.capture();
          const { width, height } = await createImageBitmap(blob);
          source.stop();
          return { bytes: blob.size, size: [width, height], wanted: camera.wanted.video };
        }""")

        assert found["wanted"]["width"] == {"ideal": 640}
        assert found["wanted"]["height"] == {"ideal": 480}
        assert tuple(found["size"]) == sent
        assert found["bytes"] < 250_000

    def test_a_slow_camera_sends_each_image_once(self, open_page, services):
        page = open_page(camera="{ rate: 5 }")
        take_camera(page)
        page.start_film()
        result = page.finish_at(6)

        frames = sent_frames(services)
        assert len({image for _, image in frames}) == len(frames)
        times_s = [fields["timestamp_ms"] / 1000 for fields, _ in frames]
        assert 3 <= result["frames"]["received"] <= 5 * (times_s[-1] - times_s[0]) + 2
        assert result["lost"]["missing"] == 0

    def test_a_phone_that_is_turned_in_mid_session_is_described_anew(self, open_page, services):
        """480×640 becomes 640×480: the vertical field of view becomes that along the shorter side."""
        page = open_page(camera="{ width: 480, height: 640 }")
        take_camera(page)
        page.during_film(2, "Object.assign(camera, { width: 640, height: 480 })")
        page.start_film()
        page.finish_at(5)

        frames = sent_frames(services)
        shapes = [cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR).shape[:2] for _, image in frames]
        angles = {}
        for (fields, _), shape in zip(frames, shapes, strict=True):
            angles.setdefault(shape, set()).add(fields["camera"]["vertical_fov_deg"])
        assert angles == {(640, 480): {63}, (480, 640): {49.4}}

    def test_a_camera_that_changes_its_resolution_is_the_same_camera(self, open_page, services):
        page = open_page()
        take_camera(page)
        page.during_film(2, "Object.assign(camera, { width: 1280, height: 960 })")
        page.start_film()
        result = page.finish_at(5)

        assert {fields["camera"]["vertical_fov_deg"] for fields, _ in sent_frames(services)} == {63}
        assert result["coverage"] > 0.8

    def test_a_withdrawn_permission_is_explained_and_the_camera_can_be_opened_again(self, open_page):
        page = open_page()
        page.take_camera()
        page.wait_for('#hint[data-state="good"]')
        page.page.evaluate("for (const track of camera.stream.getTracks()) track.stop()")
        page.wait_for("#camera-again:not([hidden])")
        assert "disconnected or blocked" in page.page.inner_text("#hint")
        page.page.click("#camera-again")

        page.wait_for('#hint[data-state="good"]')

    def test_a_camera_that_was_unplugged_is_replaced_by_another(self, open_page):
        refuse = """
          const open = navigator.mediaDevices.getUserMedia;
          navigator.mediaDevices.getUserMedia = (wanted) => {
            const isOld = Boolean(wanted.video.deviceId);
            return isOld ? Promise.reject(new DOMException("", "OverconstrainedError")) : open(wanted);
          };
        """
        page = open_page(refuse)
        take_camera(page)
        found = page.page.evaluate("""async () => {
          const { openCamera } = await import("/static/step-start.js");
          const take = (source) => Boolean(studio.source = source);
          const studio = { releases: 0, release() {}, take, showError() {}, showFailure() {} };
          return [await openCamera(studio, "gone"), studio.source.isLive];
        }""")

        assert found == [True, True]


class TestViewer:
    def test_a_viewer_who_leaves_and_comes_back_is_counted_and_not_disturbed(self, open_page, services):
        page = open_page()
        take_camera(page)
        page.during_film(2, "camera.mode = 'away'")
        page.during_film(
            5,
            """
              const [film, trouble] = ["film", "film-trouble"].map((id) => document.getElementById(id));
              window.shown = { isPaused: film.paused, isTrouble: !trouble.hidden };
              camera.mode = "person";
            """,
        )
        page.start_film()
        result = page.finish_at(8)
        assert page.page.evaluate("window.shown") == {"isPaused": False, "isTrouble": False}
        away = [fields for fields, _ in sent_frames(services) if 2600 < fields["video_time_ms"] < 4400]

        assert result["lost"]["no_face"] >= len(away) > 5
        assert result["lost"]["missing"] == 0
        assert 0.3 < result["coverage"] < 0.9
        assert result["score_valid"]
        traced = set(result["trace"]["frame_number"])
        assert len(traced) == result["frames"]["valid"] < result["frames"]["received"]
        rows = page.page.inner_text("#coverage")
        assert "no face" in rows

    def test_a_page_that_is_hidden_waits(self, open_page):
        """As when the lid of a laptop is closed."""
        page = open_page()
        take_camera(page)
        page.start_film()
        page.page.evaluate("""() => {
          Object.defineProperty(document, "hidden", { configurable: true, get: () => true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""")
        page.until("document.getElementById('film').paused")
        page.page.evaluate("delete document.hidden")
        page.page.click("#film-pause")
        result = page.finish_at(4)

        assert result["lost"]["missing"] == 0


class TestBrowser:
    def test_a_browser_that_stores_nothing_is_enough(self, open_page):
        forbid = """
          Object.defineProperty(window, "localStorage", { get() { throw new DOMException("", "SecurityError"); } });
        """
        page = open_page(forbid)
        page.page.select_option("#language", "ko")
        page.page.select_option("#language", "en")
        take_camera(page)

        page.wait_for("#watch:not([disabled])")
        assert not shows(page, "#alert")

    def test_without_full_screen_calibration_and_film_work_in_the_window(self, open_page, services):
        forbid = "Element.prototype.requestFullscreen = () => Promise.reject(new TypeError('refused'))"
        page = open_page(forbid, screen={"width": 1920, "height": 1080})
        page.take_sample_person()
        page.calibrate()
        page.start_film()
        result = page.finish_at(3)

        assert result["lost"]["missing"] == 0

    def test_a_browser_that_never_says_whether_it_is_in_full_screen_is_not_waited_for(self, open_page):
        silent = "Element.prototype.requestFullscreen = () => new Promise(() => {})"
        page = open_page(silent)
        page.take_sample_person()
        page.skip_calibration()
        page.start_film()
        result = page.finish_at(2)

        assert result["frames"]["received"] > 3

    def test_a_full_screen_that_comes_when_the_stage_is_over_does_not_stay(self, open_page):
        # A real one would need a click shortly before, and a machine that is not busy.
        late = """
          let shown = null;
          Object.defineProperty(document, "fullscreenElement", { get: () => shown });
          document.exitFullscreen = async () => { shown = null; window.hasLeft = true; };
          const granted = new Promise((resolve) => { window.grant = resolve; });
          Element.prototype.requestFullscreen = async function () { await granted; shown = this; };
        """
        page = open_page(late)
        page.take_sample_person()
        page.page.click("#calibrate")
        page.until("!document.getElementById('target').hidden")
        page.page.click("#stage-stop")
        page.until("document.getElementById('target-stage').hidden")
        page.page.evaluate("window.grant()")

        page.until("window.hasLeft")

    def test_a_browser_that_refuses_to_play_asks_for_a_click(self, open_page):
        refuse = """
          const play = HTMLMediaElement.prototype.play;
          let refused = 0;
          HTMLMediaElement.prototype.play = function () {
            if (this.id !== "film" || refused++) return play.call(this);
            return Promise.reject(new DOMException("play() failed", "NotAllowedError"));
          };
        """
        page = open_page(refuse)
        page.take_sample_person()
        page.skip_calibration()
        page.wait_for("#watch:not([disabled])")
        page.page.click("#watch")
        page.wait_for("#film-trouble:not([hidden])")
        assert "press Resume" in page.page.inner_text("#film-trouble")
        page.page.keyboard.press("Enter")  # the button has the focus
        result = page.finish_at(3)

        assert result["frames"]["received"] > 10
        assert not shows(page, "#film-trouble")

    @pytest.mark.parametrize(("zoom", "width_mm"), [(1, 342), (1.5, 228)])
    def test_the_screen_is_measured_right_on_a_zoomed_page(self, open_page, zoom, width_mm):
        """The card is 320 pixels of the page wide: with a zoom of 1.5, 480 of the screen's 1280."""
        page = open_page(f"Object.defineProperty(window, 'outerWidth', {{ get: () => innerWidth * {zoom} }})")
        page.take_camera()
        page.wait_for('#hint[data-state="good"]')
        page.page.fill("#card-size", "320")

        assert page.page.input_value("#screen-width") == str(width_mm)

    def test_a_screen_with_two_pixels_for_one_changes_no_place(self, open_page):
        places = []
        for scale in (1, 2):
            # Each new window is opened a little further to the right and below.
            corner = "for (const name of ['screenX', 'screenY']) Object.defineProperty(window, name, { value: 30 })"
            page = open_page(corner, device_scale_factor=scale, screen={"width": 1920, "height": 1080})
            places.append(
                page.page.evaluate("""async () => {
                  const { locateOnScreen } = await import("/static/gaze-client.js");
                  return locateOnScreen(document.body);
                }""")
            )

        assert places[0] == places[1]

    def test_a_window_on_another_screen_is_measured_again(self, open_page):
        page = open_page()
        take_camera(page)
        page.wait_for("#watch:not([disabled])")
        page.page.evaluate("Object.defineProperty(screen, 'width', { get: () => 2560 })")
        page.page.click("#watch")
        page.wait_for('[data-view="camera"]:not([hidden])')
        page.wait_for("#alert:not([hidden])")

        assert "not on the screen" in page.page.inner_text("#alert")


class TestFilm:
    def choose(self, page, path):
        page.take_sample_person()
        page.skip_calibration()
        page.page.set_input_files("#film-file", str(path))

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("disc.mpg", {"codec": "mpeg2video", "sound": "mp2", "frames": 75}),
            ("late.mp4", {"times_ms": [500 + 40 * number for number in range(60)]}),
            ("variable.mkv", {"times_ms": list(np.cumsum([40, 40, 200, 60, 100, 40, 300] * 6) - 40)}),
        ],
    )
    def test_the_browser_shows_frame_n_at_the_time_of_map_n(self, open_page, services, tmp_path, name, options):
        options = {key: [int(each) for each in value] if key == "times_ms" else value for key, value in options.items()}
        page = open_page()
        self.choose(page, make_film(tmp_path / name, **options))
        page.page.wait_for_selector('#films input[value^="film-"]:checked')
        film_id = page.page.get_attribute('#films input[value^="film-"]:checked', "value")
        page.wait_for("#watch:not([disabled])")
        shown = page.page.evaluate(WATCH_NUMBERS, f"/api/films/{film_id}/video")
        with MongoClient(services.upstream.mongo_uri) as client:
            times = read_facts(client["saliency_db"], film_id).times
        page.page.evaluate(f"fetch('/api/films/{film_id}', {{ method: 'DELETE' }})")

        assert len(shown) > 20
        assert [times.find_frame(time_ms) for time_ms, _ in shown] == [number for _, number in shown]

    @pytest.mark.parametrize(
        ("name", "write", "advice"),
        [
            ("page.mp4", lambda path: path.write_text("<!doctype html>" * 200), "not a film"),
            ("image.mp4", lambda path: path.write_bytes(BLACK_PNG), "still image"),
            ("huge.mp4", lambda path: (path.touch(), os.truncate(path, 2 * 2**30 + 1)), "larger than 2 GiB"),
        ],
    )
    def test_what_cannot_be_watched_is_refused_in_words(self, open_page, tmp_path, name, write, advice):
        write(tmp_path / name)
        page = open_page()
        self.choose(page, tmp_path / name)
        page.wait_for("#alert:not([hidden])")

        assert advice in page.page.inner_text("#alert")

    def test_a_film_whose_maps_are_gone_is_watched_only_after_they_are_computed_again(
        self, open_page, services, tmp_path
    ):
        page = open_page()
        self.choose(page, make_film(tmp_path / "film.mkv", frames=100))
        page.page.wait_for_selector('#films input[value^="film-"]:checked')
        film_id = page.page.get_attribute('#films input[value^="film-"]:checked', "value")
        page.wait_for("#watch:not([disabled])")
        with MongoClient(services.upstream.mongo_uri) as client:
            client["saliency_db"][film_id].drop()
        page.page.click("#watch")
        page.wait_for("#alert:not([hidden])")
        assert "saliency maps" in page.page.inner_text("#alert")
        page.wait_for("#watch[disabled]")
        page.page.click("#films button:has-text('Compute again')")
        page.wait_for("#watch:not([disabled])")
        page.start_film()
        page.await_score()
        result = page.read_result()
        page.page.evaluate(f"fetch('/api/films/{film_id}', {{ method: 'DELETE' }})")

        assert result["lost"]["no_map"] == 0
        assert result["frames"]["scored"] > 0

    def test_a_film_that_breaks_in_the_middle_ends_with_what_was_seen(self, open_page, services):
        page = open_page()
        page.take_sample_person()
        page.skip_calibration()
        known = len(services.relay.requests_of("sample"))
        page.during_film(2, "document.getElementById('film-pause').click()")
        page.start_film()
        # With the second request, the first one was answered: there is something to finish with.
        wait_until(lambda: len(services.relay.requests_of("sample")) >= known + 2, limit_s=WAIT_MS / 1000)
        page.until("document.getElementById('film').paused")
        page.page.evaluate("document.getElementById('film').dispatchEvent(new Event('error'))")
        page.wait_for("#film-trouble:not([hidden])")
        assert "Finish with what you have watched" in page.page.inner_text("#film-trouble")
        page.page.click("#film-finish")
        page.await_score()

        assert page.read_result()["frames"]["received"] > 10


WATCH_NUMBERS = """(url) => new Promise((resolve, reject) => {
  const video = Object.assign(document.createElement("video"), { src: url, muted: true });
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const shown = [];
  let last = null;
  const note = (_now, { mediaTime, presentedFrames, presentationTime }) => {
    // On a busy machine, the next image may be on the screen before the reported one was drawn.
    if (presentedFrames === last?.presentedFrames + 1 && presentationTime > last.drawnMs) shown.push(last.image);
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    context.drawImage(video, 0, 0);
    const drawnMs = performance.now();
    let number = 0;
    for (let bit = 0; bit < 8; bit += 1) {
      const place = [Math.floor((bit + 0.5) * canvas.width / 8), Math.floor(canvas.height / 4)];
      const [red] = context.getImageData(...place, 1, 1).data;
      if (red > 128) number += 1 << bit;
    }
    last = { presentedFrames, drawnMs, image: [1000 * mediaTime, number] };
    video.requestVideoFrameCallback(note);
  };
  video.requestVideoFrameCallback(note);
  video.addEventListener("ended", () => {
    last = null;
    if (shown.length > 20) resolve(shown);
    else video.play();
  });
  video.addEventListener("error", () => reject(new Error("unplayable")));
  video.play();
})"""
"""Plays a film, again if few images were caught, and returns the time (ms) and the number of each."""
