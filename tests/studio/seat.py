"""The rendered sample person as a camera of the browser: looks at the page's targets unless a test tells otherwise."""

SIT_DOWN = """
  const place = () => {
    const target = document.getElementById("target");
    return target.hidden ? null : ["--x", "--y"].map((name) => Number(target.style.getPropertyValue(name)));
  };
  // Tests set what the person does at a target, by its place and the number of the attempt: "away" or "wander".
  window.misbehave = () => null;
  // A program between camera and browser that flips the image, such as one for video calls.
  window.flipsImage = false;
  navigator.mediaDevices.getUserMedia = async () => {
    const { SamplePerson } = await import("/static/sample-person.js");
    const person = await SamplePerson.open();
    const seat = Object.assign(document.createElement("canvas"), { width: 640, height: 480 });
    const context = seat.getContext("2d");
    const attempts = new Map();
    const CORNERS = [[0.1, 0.1], [0.9, 0.9], [0.1, 0.9], [0.9, 0.1]];
    let turn = 0;
    let corner = 0;
    const target = document.getElementById("target");
    // The page inserts the target again whenever it shows it.
    new MutationObserver((changes) => {
      if (!changes.some(({ addedNodes }) => [...addedNodes].includes(target))) return;
      attempts.set(String(place()), (attempts.get(String(place())) ?? 0) + 1);
    }).observe(target.parentElement, { childList: true });
    document.addEventListener("play", ({ target: film }) => film.id === "film" && person.watch(film), true);
    const pose = () => {
      const at = place();
      const deed = at && window.misbehave(at, attempts.get(String(at)));
      turn += 1;
      if (at) person.lookAt(deed === "wander" ? CORNERS[corner % 4] : at);
      // An empty chair in the dark, with the noise of a camera.
      context.fillStyle = `rgb(${turn % 8}, ${turn % 8}, ${turn % 8})`;
      if (deed === "away") context.fillRect(0, 0, 640, 480);
      else {
        if (window.flipsImage) context.setTransform(-1, 0, 0, 1, 640, 0);
        context.drawImage(person.canvas, 0, 0);
        context.resetTransform();
      }
      // Without noise, an image that stays the same counts as frozen, also while the person's clip loads.
      context.fillStyle = `hsl(0 0% ${20 + 60 * Math.random()}%)`;
      context.fillRect(0, 0, 40, 40);
    };
    setInterval(pose, 40);
    const stream = seat.captureStream(25);
    // A camera has the same id whenever it is opened; a canvas does not.
    const [track] = stream.getVideoTracks();
    track.getSettings = () => ({ deviceId: "seat" });
    // A stream is late on a busy machine, and the person in it would look at the target before.
    const draw = CanvasRenderingContext2D.prototype.drawImage;
    CanvasRenderingContext2D.prototype.drawImage = function (image, ...box) {
      const isCamera = image.srcObject === stream;
      // A gaze that wanders is elsewhere in each image that is taken; the small ones are to find a frozen image.
      if (isCamera && box[2] > 100) corner += 1;
      if (isCamera) pose();
      return draw.call(this, isCamera ? seat : image, ...box);
    };
    return stream;
  };
"""

DISTANCE_MM = 470
"""Distance of the person in the images, which were rendered with a field of view of 50 degrees."""


def sit_down(page):
    """Let the person be the camera of a page that is not open yet."""
    page.page.add_init_script(SIT_DOWN)


def reach_calibration(page, *, measure=True):
    """Go from the first step to the third with the camera.

    Args:
        page: The page.
        measure: Whether the viewer enters the measured distance; otherwise what the page remembers is used.
    """
    page.take_camera()
    page.wait_for('#hint[data-state="good"]')
    if measure:
        page.page.fill("#distance", str(DISTANCE_MM))
    page.page.click("#camera-done")
    page.wait_for('[data-view="calibration"]:not([hidden])')
