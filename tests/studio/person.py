"""A rendered person in front of a page that is not the studio's: looks at its targets and watches its film."""

import contextlib
import csv
import json
from dataclasses import dataclass, field

import cv2
import pytest

from gaze_tools.sample_clip import SAMPLE, SAMPLE_FPS, read_frames
from tests.studio.browser import WAIT_MS, find_browser

playwright = pytest.importorskip("playwright.sync_api", reason="needs the extra dev: pip install playwright")

EVERY = 2
"""Of the clip's images, as few as the browser can hold decoded."""

# A target is an element of the class gaze-target; without one, the person watches the film in full screen.
IN_FRONT_OF_THE_CAMERA = """
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  let person = null;
  const load = async (name) => createImageBitmap(await (await fetch(`/of-the-test/${name}`)).blob());
  const find = () => {
    const box = document.querySelector(".gaze-target")?.getBoundingClientRect();
    const film = [...document.querySelectorAll("video")].find((each) => !each.srcObject && !each.paused);
    if (film && !box) return person.watching[Math.floor(film.currentTime * person.rate)] ?? person.watching.at(-1);
    const [x, y] = box ? [(box.x + box.width / 2) / innerWidth, (box.y + box.height / 2) / innerHeight] : [0.5, 0.5];
    const distance = ({ target }) => Math.hypot(target[0] - x, target[1] - y);
    return person.looking.reduce((best, each) => (distance(each) < distance(best) ? each : best)).image;
  };
  const pose = () => {
    const context = canvas.getContext("2d");
    draw.call(context, find(), 0, 0);
    // A camera has noise; without any, its image counts as frozen.
    context.fillStyle = `hsl(0 0% ${20 + 60 * Math.random()}%)`;
    context.fillRect(0, 0, 40, 40);
  };
  navigator.mediaDevices.getUserMedia = async () => {
    const { looking, watching, rate } = await (await fetch("/of-the-test/person.json")).json();
    person = {
      rate,
      looking: await Promise.all(looking.map(async ({ name, target }) => ({ target, image: await load(name) }))),
      watching: await Promise.all(watching.map(load)),
    };
    setInterval(pose, 50);
    window.cameraOfTest = canvas.captureStream();
    return window.cameraOfTest;
  };
  // A stream is late on a busy machine, and the person in it would look at the target before.
  CanvasRenderingContext2D.prototype.drawImage = function (image, ...box) {
    const isCamera = image.srcObject && image.srcObject === window.cameraOfTest;
    if (isCamera) pose();
    return draw.call(this, isCamera ? canvas : image, ...box);
  };
"""


BLOCKED_CAMERA = """
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("blocked", "NotAllowedError"));
"""


def make_person():
    """Return the files of the person by name."""
    with (SAMPLE / "recording/targets.csv").open(newline="", encoding="utf-8") as file:
        rows = {(row["x"], row["y"]): row["frame"] for row in csv.DictReader(file)}
    looking = [{"name": name, "target": [float(x), float(y)]} for (x, y), name in rows.items()]
    files = {name: (SAMPLE / "recording/frames" / name).read_bytes() for name in rows.values()}
    watching = []
    for number, frame in enumerate(read_frames(str(SAMPLE / "clip.mp4"), 200)):
        if number % EVERY == 0:
            watching.append(f"clip-{number}.jpg")
            files[watching[-1]] = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    about = {"looking": looking, "watching": watching, "rate": SAMPLE_FPS / EVERY}
    return {**files, "person.json": json.dumps(about).encode()}


@dataclass
class Seen:
    """What a page did: its errors, and the answers that it got."""

    errors: list = field(default_factory=list)
    responses: list = field(default_factory=list)

    def note(self, response):
        self.responses.append(response)

    @property
    def answers(self):
        """Status and address of each answer."""
        return [(response.status, response.url) for response in self.responses]

    def results(self):
        """Return the results of the sessions that ended, in order; while the page is open."""
        answers = [each.json() for each in self.responses if each.url.endswith("/gaze") and each.status == 200]
        return [answer["result"] for answer in answers if "result" in answer]

    def origins(self):
        return {"/".join(url.split("/")[:3]) for _, url in self.answers if not url.startswith(("blob:", "data:"))}


@contextlib.contextmanager
def open_page():
    """Yield an empty page of a real browser with the person as its camera, and what happens in it."""
    files = make_person()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        # The window is smaller than the screen, so that the place of a film depends on the full screen.
        size = {"viewport": {"width": 1280, "height": 720}, "screen": {"width": 1920, "height": 1080}}
        page = browser.new_context(**size, locale="en-GB").new_page()
        page.set_default_timeout(WAIT_MS)
        seen = Seen()
        page.on("pageerror", lambda error: seen.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and seen.errors.append(message.text))
        page.on("response", seen.note)
        page.add_init_script(IN_FRONT_OF_THE_CAMERA)
        page.route("**/of-the-test/*", lambda route: route.fulfill(body=files[route.request.url.rpartition("/")[2]]))
        try:
            yield page, seen
        finally:
            browser.close()
