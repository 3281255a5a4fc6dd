"""A real browser, and the studio's services with a relay before the function that records, waits and fails at will."""

import contextlib
import email.parser
import email.policy
import json
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from flask import Flask, Response, request

from gaze_tools.sample_clip import SAMPLE, count_frames, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services
from gaze_tools.studio.launcher import start_studio
from tests.adapters.upstream_services import serve

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WAIT_MS = 180_000
"""Much longer than anything takes on a busy machine; a wait that succeeds ends at once."""
STATE = """() => {
  const film = document.getElementById("film");
  const isShown = (element) => element.getClientRects().length > 0;
  return {
    view: document.querySelector("[data-view]:not([hidden])")?.dataset.view,
    said: [...document.querySelectorAll("#hint, #stage-text, #film-text, #film-trouble, [role=alert]")]
      .filter(isShown).map((element) => element.textContent.trim()).filter(Boolean),
    film: film && {at: film.currentTime, paused: film.paused, ready: film.readyState, error: film.error?.message},
    isHidden: document.hidden,
    fullScreen: document.fullscreenElement?.id,
  };
}"""
"""What the page shows, for the message of a test that waited in vain."""


def find_browser():
    """Return the path of a Chromium; the tests need one, as those of system calls need strace."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.fail(f"these tests need a browser, one of {', '.join(BROWSERS)}: Debian package chromium")
    return path


@dataclass
class Relay:
    """Stands before a function: records what the gateway sends, and can be slow, busy, down, or fail at the end."""

    function_url: str
    is_down: bool = False
    is_busy: bool = False
    fails_last: bool = False
    delay_s: float = 0.0
    bodies: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def recover(self):
        """Work as it should."""
        self.is_down = self.is_busy = self.fails_last = False
        self.delay_s = 0.0

    def make_app(self):
        app = Flask("relay")

        @app.get("/health/readiness")
        def ready():
            return {"status": "ready"}

        @app.post("/gaze")
        def forward():
            body, content_type = request.get_data(), request.headers["Content-Type"]
            if self.is_down:
                return {"title": "down", "status": 502}, 502
            if self.is_busy:
                return {"title": "busy", "status": 503}, 503
            if self.fails_last and b'"last_frame": true' in body:
                return {"title": "broken", "status": 500}, 500
            time.sleep(self.delay_s)
            answer = requests.post(
                f"{self.function_url}/gaze", data=body, headers={"Content-Type": content_type}, timeout=300
            )
            with self.lock:
                self.bodies.append((content_type, body, answer.json()))
            return Response(answer.content, answer.status_code, content_type=answer.headers["Content-Type"])

        return app

    def requests_of(self, video_id):
        """Return metadata, images and answer of each request for a video, in order of arrival."""
        with self.lock:
            parsed = [(*parse_request(kind, body), answer) for kind, body, answer in self.bodies]
        return [each for each in parsed if each[0]["video_id"] == video_id]

    def frames_of(self, session_id):
        """Return fields and image of each frame of a session, shared fields included, by frame number."""
        found = {}
        for metadata, images, _ in self.requests_of("sample"):
            if metadata["session_id"] != session_id or "frames" not in metadata:
                continue
            shared = {name: metadata[name] for name in ("screen", "camera") if name in metadata}
            for fields, image in zip(metadata["frames"], images, strict=True):
                found[fields["frame_number"]] = ({**shared, **fields}, image)
        return found


def parse_request(content_type, body):
    """Return the metadata and the images of a request to the function."""
    if content_type.startswith("application/json"):
        return json.loads(body), []
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    parts = {"metadata": [], "frame": []}
    for part in message.iter_parts():
        parts[part.get_param("name", header="content-disposition")].append(part.get_payload(decode=True))
    return json.loads(parts["metadata"][0]), parts["frame"]


@dataclass
class Services:
    """Addresses of the running services."""

    page_url: str
    function_url: str
    relay: Relay
    upstream: object


@contextlib.contextmanager
def run_services(directory):
    with start_upstream_services(directory / "logs") as upstream:
        seed_sample_maps(upstream, count_frames(str(SAMPLE / "video.mp4")))
        # A busy machine must not refuse frames here: overload has tests of its own.
        patient = {"LANDMARKER_WAIT_S": "60", "REQUEST_TIMEOUT_S": "120"}
        with start_function(upstream, directory / "logs", settings=patient) as function_url:
            relay = Relay(function_url)
            with (
                serve(relay.make_app()) as relay_url,
                start_studio(upstream, relay_url, directory / "logs", directory / "studio") as page_url,
            ):
                yield Services(page_url, function_url, relay, upstream)


class Page:
    """The studio's page, as a viewer uses it."""

    def __init__(self, page):
        self.page = page
        self.errors = []
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._note)

    def _note(self, message):
        # A failed request is a line of the console, too; those are part of some tests.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)

    def wait_for(self, selector):
        try:
            self.page.wait_for_selector(selector)
        except Exception as error:
            error.add_note(f"the page: {self.page.evaluate(STATE)}")
            raise

    def until(self, expression):
        """Wait until an expression is true. Playwright's own waiting needs eval, which the page's policy forbids."""
        deadline_s = time.monotonic() + WAIT_MS / 1000
        while not self.page.evaluate(expression):
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"{expression}: {self.page.evaluate(STATE)}")
            time.sleep(0.05)

    def open(self, services):
        self.page.goto(services.page_url)
        self.wait_for('[data-view="start"]:not([hidden])')

    def take_sample_person(self):
        self.page.click("#use-sample")
        self.wait_for('#hint[data-state="good"]')
        self.page.click("#camera-done")
        self.wait_for('[data-view="calibration"]:not([hidden])')

    def take_camera(self):
        self.page.check("#consent")
        self.page.click("#use-camera")

    def calibrate(self):
        self.page.click("#calibrate")
        self.wait_for("#calibration-result:not([hidden])")
        text = self.page.inner_text("#calibration-number")
        self.page.click("#calibration-done")
        return text

    def skip_calibration(self):
        self.page.click("#skip-calibration")

    def start_film(self):
        self.wait_for("#watch:not([disabled])")
        self.page.click("#watch")
        self.until("document.getElementById('film').currentTime > 0.5")

    def during_film(self, seconds, script):
        """Run a script in the page once the film is there, however late the test would be on a busy machine."""
        self.page.evaluate(f"""() => {{
          const look = () => {{
            if (document.getElementById("film").currentTime <= {seconds}) setTimeout(look, 20);
            else {{ {script} }}
          }};
          look();
        }}""")

    def finish_at(self, seconds):
        """Finish the film there and return the result."""
        self.during_film(seconds, "document.getElementById('film-finish').click()")
        self.await_score()
        return self.read_result()

    def await_score(self):
        self.wait_for("#score-body:not([hidden])")
        return self.page.inner_text("#score-number")

    def read_result(self):
        """Return the result that the page offers for download."""
        with self.page.expect_download() as download:
            self.page.click("#get-json")
        return json.loads(Path(download.value.path()).read_text(encoding="utf-8"))
