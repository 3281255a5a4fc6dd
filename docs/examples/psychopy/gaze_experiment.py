"""A PsychoPy experiment with a webcam as eye tracker: calibration, a movie, and the attention score.

    python gaze_experiment.py film.mp4 --url http://localhost:8080 --video-id sample --screen-mm 345x194

The functions from `run_experiment` to `Sender` do not know PsychoPy. They work with a `Display`, a `Camera` and `Rows`,
so the whole experiment also runs in a test without a window. `PsychoPyDisplay` and `Webcam` are the real ones.
"""

import argparse
import json
import queue
import sys
import threading
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import cv2

from gaze_tools.client import (  # or copy gaze_tools/client.py beside this file
    FIVE_TARGETS,
    VALIDATION_TARGETS,
    CalibrationReport,
    CalibrationSession,
    CameraFields,
    Frame,
    FrameReply,
    GazeClient,
    GazeClientError,
    Point,
    ResultReply,
    ScreenFields,
    ViewingSession,
    ViewportFields,
)

FRAMES_PER_TARGET = 12
SETTLE_S = 0.7
"""Time that the eyes need to reach a target."""

CAMERA_TIMEOUT_S = 10.0
MAX_WAITING = 600
"""Frames that may wait for the network, half a minute at 20 frames/s. Later ones are dropped and counted."""

BATCH = 16


class CancelledError(Exception):
    """The participant pressed Escape."""


class CameraError(Exception):
    """The camera delivers no images."""


@dataclass(frozen=True)
class CameraImage:
    """A JPEG file and the time when it was taken, Unix time in ms."""

    jpeg: bytes
    timestamp_ms: float


class Display(Protocol):
    """What the participant sees. Methods that show something return when it is on screen."""

    viewport: ViewportFields
    """Where the movie is on the screen."""

    def time_s(self) -> float:
        """Return the time since the start of the experiment."""

    def show_target(self, target: Point) -> None:
        """Show a target at a position from (0, 0), top left, to (1, 1)."""

    def start_movie(self) -> None:
        """Start the movie at its beginning."""

    def show_movie(self) -> float | None:
        """Show the movie's present image and return its time in ms; None at the end."""

    def is_cancelled(self) -> bool:
        """Return whether the participant wants to stop."""


class Camera(Protocol):
    """Delivers images of the participant's face."""

    def take(self) -> CameraImage | None:
        """Return the newest image; None if it was taken before."""


class Rows(Protocol):
    """Table of the results; PsychoPy's `data.ExperimentHandler` is one."""

    def addData(self, name: str, value: Any) -> None:
        """Set a column of the present row."""

    def nextEntry(self) -> None:
        """End the row."""


@dataclass(frozen=True)
class Outcome:
    """Calibration and score of a participant, and how many frames were dropped."""

    calibration: CalibrationReport
    result: ResultReply
    dropped: int


def run_experiment(
    client: GazeClient,
    display: Display,
    camera: Camera,
    rows: Rows,
    *,
    video_id: str,
    participant: str,
    screen: ScreenFields,
    camera_setup: CameraFields,
) -> Outcome:
    """Calibrate the participant, show the movie, and add a row for each camera frame.

    Args:
        client: Client of the function.
        display: Window.
        camera: Camera.
        rows: Receives the gaze.
        video_id: Id under which the function knows the movie's saliency maps.
        participant: Pseudonym; it stands for the viewer's address.
        screen: Size of the screen.
        camera_setup: Position and field of view of the camera.

    Raises:
        CancelledError: The participant pressed Escape.
        CameraError: The camera stopped.
        GazeClientError: The function refused a frame or was unavailable.
    """
    setup: dict[str, Any] = {"ip_address": participant, "screen": screen, "camera": camera_setup}
    calibration = client.start_calibration(**setup)
    for target in FIVE_TARGETS:
        if not measure_target(display, camera, calibration, target):
            measure_target(display, camera, calibration, target)
    for target in VALIDATION_TARGETS:
        measure_target(display, camera, calibration, target, use="validate")
    report = calibration.finish()

    # An id of its own: a participant may see the movie more than once.
    viewing = client.start_viewing(video_id, session_id=str(uuid.uuid4()), calibration=calibration, **setup)
    sender = Sender(viewing)
    try:
        with sender:
            show_movie(display, camera, sender)
    finally:  # what was measured before an error counts
        for frame, reply in sender.answered:
            add_row(rows, frame, reply)
    return Outcome(report, viewing.complete(), sender.dropped)


def measure_target(
    display: Display,
    camera: Camera,
    calibration: CalibrationSession,
    target: Point,
    *,
    use: Literal["fit", "validate"] = "fit",
) -> bool:
    """Show a target and send the frames of it; return whether half of them have a usable gaze."""
    frames: list[Frame] = []
    started_s = display.time_s()
    while len(frames) < FRAMES_PER_TARGET:
        display.show_target(target)
        shown_s = display.time_s() - started_s
        image = camera.take()
        if display.is_cancelled():
            raise CancelledError("the participant pressed Escape")
        if shown_s > CAMERA_TIMEOUT_S:
            raise CameraError(f"the camera delivered {len(frames)} images in {shown_s:.0f} s")
        if image is not None and shown_s >= SETTLE_S:
            frames.append(Frame(image.jpeg, timestamp_ms=image.timestamp_ms))
    return calibration.measure(target, frames, use=use).usable >= FRAMES_PER_TARGET / 2


def show_movie(display: Display, camera: Camera, sender: "Sender") -> None:
    """Show the movie, and send each camera image with the time of the movie's image on screen."""
    display.start_movie()
    while (video_time_ms := display.show_movie()) is not None:
        image = camera.take()
        if image is not None:
            sender.add(Frame(image.jpeg, video_time_ms, image.timestamp_ms, display.viewport))
        if display.is_cancelled():
            raise CancelledError("the participant pressed Escape")


def add_row(rows: Rows, frame: Frame, reply: FrameReply) -> None:
    """Add the row of a frame. `gaze_norm_x` and `gaze_norm_y` are in PsychoPy's units `norm`."""
    gaze = reply.gaze
    columns = {
        "frame_number": reply.frame_number,
        "video_time_ms": frame.video_time_ms,
        "timestamp_ms": frame.timestamp_ms,
        "gaze_x": gaze and gaze.x,
        "gaze_y": gaze and gaze.y,
        "gaze_norm_x": gaze and 2 * gaze.x - 1,
        "gaze_norm_y": gaze and 1 - 2 * gaze.y,
        "validity": reply.validity,
        "flags": " ".join(reply.flags),
    }
    for name, value in columns.items():
        rows.addData(name, value)
    rows.nextEntry()


class Sender:
    """Sends frames from a thread of its own, so that the network never delays the movie.

    Attributes:
        answered: Frames and replies.
        dropped: Number of frames for which the queue had no room.
    """

    def __init__(self, viewing: ViewingSession) -> None:
        self.answered: list[tuple[Frame, FrameReply]] = []
        self.dropped = 0
        self._viewing = viewing
        self._waiting: queue.Queue[Frame | None] = queue.Queue(MAX_WAITING)
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Wait until all frames are sent; after an exception, send no more."""
        if kind is not None:
            self._stop.set()
        self._waiting.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def add(self, frame: Frame) -> None:
        """Send a frame soon, unless too many are waiting."""
        try:
            self._waiting.put_nowait(frame)
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        is_last = False
        while not is_last:
            # Whatever waits goes out in one request: on a slow network, requests get fewer and larger.
            taken = [self._waiting.get()]
            while len(taken) < BATCH and not self._waiting.empty():
                taken.append(self._waiting.get())
            is_last = None in taken
            frames = [frame for frame in taken if frame is not None]
            if self._stop.is_set() or self._error is not None:
                continue  # empties the queue, so that nobody waits for room in it
            try:
                replies = self._viewing.send_batch(frames)
            except Exception as error:  # raised at the end; until then the queue must be emptied
                self._error = error
            else:
                self.answered += zip(frames, replies, strict=True)


class Webcam:
    """Reads a camera in a thread and keeps the newest image."""

    def __init__(self, source: int | str) -> None:
        """Open a camera by its number, or a recording of a face in its place by the file's name.

        Raises:
            CameraError: It cannot be opened.
        """
        self._capture = cv2.VideoCapture(source)
        if not self._capture.isOpened():
            raise CameraError(f"camera {source} cannot be opened; is another program using it?")
        # A recording is read at its own speed. A camera waits by itself.
        self._interval_s = 1 / (self._capture.get(cv2.CAP_PROP_FPS) or 30) if isinstance(source, str) else 0.0
        self._lock = threading.Lock()
        self._newest: tuple[Any, float] | None = None
        self._is_open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self) -> CameraImage | None:
        """Return the newest image; None if it was taken before."""
        with self._lock:
            newest, self._newest = self._newest, None
        if newest is None:
            return None
        # OpenCV's images are BGR, and so is what imencode expects.
        return CameraImage(cv2.imencode(".jpg", newest[0], [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes(), newest[1])

    def close(self) -> None:
        """Stop reading and release the camera."""
        self._is_open = False
        self._thread.join()
        self._capture.release()

    def _run(self) -> None:
        while self._is_open:
            started_s = time.monotonic()
            is_read, image = self._capture.read()
            if not is_read:
                if not self._interval_s:
                    return
                self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)  # a recording begins again
                continue
            with self._lock:
                self._newest = (image, 1000 * time.time())
            time.sleep(max(0.0, self._interval_s - (time.monotonic() - started_s)))


class PsychoPyDisplay:
    """A full-screen window of PsychoPy with the movie and the calibration target."""

    def __init__(self, movie: Path, screen: ScreenFields, *, number: int = 0) -> None:
        """Open the window and load the movie.

        Args:
            movie: Video file.
            screen: Size of the screen.
            number: Number of the screen, if there are several.
        """
        from psychopy import core, event, monitors, visual  # noqa: PLC0415 - not needed by the rest

        monitor = monitors.Monitor("gaze", width=screen["width_mm"] / 10, distance=60)
        monitor.setSizePix((screen["width_px"], screen["height_px"]))
        self._event = event
        self._clock = core.Clock()
        self._window = visual.Window(
            size=(screen["width_px"], screen["height_px"]),
            fullscr=True,
            screen=number,
            monitor=monitor,
            units="height",
            color="dimgrey",
            allowGUI=False,
        )
        # In the units `height`, the screen's height is 1, and its middle (0, 0). A circle stays round.
        width_px, height_px = self._window.size
        self._aspect = width_px / height_px
        self._target = [
            visual.Circle(self._window, radius=0.018, fillColor="white", lineColor=None),
            visual.Circle(self._window, radius=0.004, fillColor="black", lineColor=None),
        ]
        self._movie = visual.MovieStim(self._window, str(movie), units="height", autoStart=False)
        self.viewport = fit_movie(self._movie.videoSize, self._aspect)
        self._movie.size = (self.viewport["width"] * self._aspect, self.viewport["height"])

    def time_s(self) -> float:
        """Return the time since the window was opened."""
        return float(self._clock.getTime())

    def show_target(self, target: Point) -> None:
        """Show a target at a position from (0, 0), top left, to (1, 1)."""
        for circle in self._target:
            circle.pos = ((target[0] - 0.5) * self._aspect, 0.5 - target[1])
            circle.draw()
        self._window.flip()

    def start_movie(self) -> None:
        """Start the movie at its beginning."""
        self._event.clearEvents()
        self._movie.play()

    def show_movie(self) -> float | None:
        """Show the movie's present image and return its time in ms; None at the end."""
        self._movie.draw()
        self._window.flip()
        return None if self._movie.isFinished else 1000 * float(self._movie.movieTime)

    def is_cancelled(self) -> bool:
        """Return whether Escape was pressed."""
        return bool(self._event.getKeys(["escape"]))

    def close(self) -> None:
        """Close the window."""
        self._window.close()


def fit_movie(movie_size: Iterable[float], screen_aspect: float) -> ViewportFields:
    """Return the largest place in the middle of the screen that has the movie's shape."""
    movie_width, movie_height = map(float, movie_size)
    share = movie_width / movie_height / float(screen_aspect)
    width, height = min(1.0, share), min(1.0, 1 / share)
    return {"x": (1 - width) / 2, "y": (1 - height) / 2, "width": width, "height": height}


def main() -> None:
    """Run the experiment and write `gaze.csv` and `result.json` for the participant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("movie", type=Path)
    parser.add_argument("--url", default="http://localhost:8080", help="function or gateway")
    parser.add_argument("--video-id", required=True, help="id of the movie's saliency maps")
    parser.add_argument("--participant", default=f"participant-{time.time():.0f}", help="pseudonym")
    parser.add_argument("--camera", default="0", help="number of the webcam, or a recording of a face")
    parser.add_argument("--screen-mm", default="345x194", help="size of the visible screen")
    parser.add_argument("--screen-px", default="1920x1080")
    parser.add_argument("--screen", type=int, default=0, help="number of the screen")
    parser.add_argument("--vertical-fov-deg", type=float, default=63.0, help="field of view of the webcam")
    parser.add_argument("--out", type=Path, default=Path("data"))
    options = parser.parse_args()
    out: Path = options.out / options.participant
    if out.exists():
        parser.error(f"{out} has the data of an earlier run: choose another --participant or --out")
    width_mm, height_mm = map(float, options.screen_mm.split("x"))
    width_px, height_px = map(int, options.screen_px.split("x"))
    screen = ScreenFields(width_mm=width_mm, height_mm=height_mm, width_px=width_px, height_px=height_px)

    from psychopy import data  # noqa: PLC0415 - not needed by the rest

    rows = data.ExperimentHandler(
        name="gaze", extraInfo={"participant": options.participant}, savePickle=False, saveWideText=False
    )
    camera = Webcam(int(options.camera) if options.camera.isdigit() else options.camera)
    display = PsychoPyDisplay(options.movie, screen, number=options.screen)
    try:
        with GazeClient(options.url) as client:
            outcome = run_experiment(
                client,
                display,
                camera,
                rows,
                video_id=options.video_id,
                participant=options.participant,
                screen=screen,
                camera_setup={"vertical_fov_deg": options.vertical_fov_deg},
            )
    except (CancelledError, CameraError, GazeClientError) as error:
        sys.exit(f"The experiment ended early: {error}. What was measured until then is in {out}.")
    finally:
        display.close()
        camera.close()
        out.mkdir(parents=True, exist_ok=True)
        rows.saveAsWideText(str(out / "gaze.csv"), fileCollisionMethod="rename")
    (out / "result.json").write_text(json.dumps(outcome.result.body, indent=1) + "\n")
    print(f"calibration: {outcome.calibration.accuracy_deg}° off, used: {outcome.calibration.used}")  # noqa: T201
    print(f"score: {outcome.result.final_score} (chance {outcome.result.chance_level})")  # noqa: T201
    if not outcome.result.score_valid:
        print(f"not valid: {outcome.result.score_invalid_reason}")  # noqa: T201


if __name__ == "__main__":
    main()
