"""Client of gaze-function: send webcam frames, calibrate a viewer, get the score of a viewing.

Copy this file into your own code. It needs Python 3.11 and requests; OpenCV only if you send arrays instead of files.

    with GazeClient("http://localhost:8080") as client:
        calibration = client.start_calibration()
        for target in FIVE_TARGETS:
            calibration.measure(target, show_and_capture(target))
        print(calibration.finish().accuracy_deg)

        viewing = client.start_viewing("sample", calibration=calibration)
        for image, video_time_ms in watch():
            print(viewing.send(image, video_time_ms=video_time_ms).gaze)
        print(viewing.complete().final_score)

Positions are shares of the screen's width and height from its top left corner, as in the function's HTTP interface.
Clients and sessions can be shared between threads.
"""

import dataclasses
import email.utils
import itertools
import json
import math
import os
import random
import statistics
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Never, Protocol, Self, TypedDict
from urllib.parse import urlsplit

import requests

Point = tuple[float, float]
FIVE_TARGETS: tuple[Point, ...] = ((0.5, 0.5), (0.1, 0.1), (0.9, 0.1), (0.1, 0.9), (0.9, 0.9))
NINE_TARGETS: tuple[Point, ...] = (*FIVE_TARGETS, (0.5, 0.1), (0.5, 0.9), (0.1, 0.5), (0.9, 0.5))
VALIDATION_TARGETS: tuple[Point, ...] = ((0.3, 0.35), (0.7, 0.65))

MAX_BATCH = 32
"""Frames that the function accepts in one request."""

FIRST_DELAY_S = 0.25
MAX_DELAY_S = 8.0
LAST_FRAME_TIMEOUT_S = 300.0
JPEG_QUALITY = 90
TEMPORARY = frozenset({408, 429, 502, 503, 504})
SESSION_OVER = frozenset({401, 409, 410})
"""Statuses that all later frames of the session would get, too."""

_PART_BYTES = 1000
"""More than the fields and multipart headers of a frame usually take."""


class GazeClientError(Exception):
    """A frame or a session could not be processed.

    Attributes:
        status: HTTP status; None if there was no answer.
        type: Type of the problem document (RFC 9457), such as `/problems/bad-request`; None without a document.
        fields: Names of the invalid fields.
        problem: The whole document; empty without one.
        frame_numbers: Frames of this call that are not known to be stored. Send them again under these numbers.
        replies: Replies to the other frames of this call, which are stored.
    """

    def __init__(
        self,
        reason: str,
        *,
        status: int | None = None,
        problem: Mapping[str, Any] | None = None,
        frame_numbers: Iterable[int] = (),
        replies: "Mapping[int, FrameReply] | None" = None,
    ) -> None:
        self.status = status
        self.problem = problem or {}
        self.type: str | None = self.problem.get("type")
        self.fields = tuple(str(each.get("field")) for each in _list_objects(self.problem, "errors"))
        self.frame_numbers = tuple(frame_numbers)
        self.replies = replies or {}
        numbers = ", ".join(map(str, self.frame_numbers[:5])) + (", …" if len(self.frame_numbers) > 5 else "")
        where = f"frame{'s' if len(self.frame_numbers) > 1 else ''} {numbers}: " if numbers else ""
        parts = [str(status or ""), str(self.problem.get("title", "")), reason]
        parts += [f"{each.get('field')}: {each.get('detail')}" for each in _list_objects(self.problem, "errors")]
        super().__init__(where + "; ".join(part for part in parts if part))


class GazeRequestError(GazeClientError):
    """The function refused a request or a frame: repeating it unchanged would not help."""


class GazeUnavailableError(GazeClientError):
    """The function did not answer, or was over capacity, until attempts or time were used up."""


class ArrayImage(Protocol):
    """A NumPy array, without a dependency on NumPy."""

    def __array__(self) -> Any:  # noqa: ANN401 - NumPy's own type
        """Return the array."""


Image = bytes | ArrayImage
"""A JPEG, PNG or WebP file, or an RGB array of shape (height, width, 3), uint8."""


class ScreenFields(TypedDict, total=False):
    """Visible area of the screen; width and height go together. Default: a 15.6-inch laptop."""

    width_mm: float
    height_mm: float
    width_px: int
    height_px: int


class CameraFields(TypedDict, total=False):
    """The camera; offsets are from the middle of the screen's top edge, right and up as the viewer sees it."""

    vertical_fov_deg: float
    offset_x_mm: float
    offset_y_mm: float
    tilt_deg: float
    mirrored: bool


class ViewportFields(TypedDict):
    """Where the video is on the screen, as shares of the screen. Default: the whole screen."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Frame:
    """One webcam frame."""

    image: Image
    video_time_ms: float | None = None  # position in the video when the frame was captured
    timestamp_ms: float | None = None  # time of capture
    viewport: ViewportFields | None = None  # where the video was, if it moves
    frame_number: int | None = None  # from 1, unique in the session; None takes the next one
    fields: Mapping[str, object] = field(default_factory=dict)  # further fields of the HTTP interface


@dataclass(frozen=True, slots=True)
class PointOfGaze:
    """Point of gaze, normalised to the screen; may lie off-screen."""

    x: float
    y: float
    on_screen: bool


@dataclass(frozen=True, slots=True)
class FrameReply:
    """Reply to a stored frame. What it lacks is None or empty; fields that are new to this client are in `body`."""

    frame_number: int
    gaze: PointOfGaze | None
    validity: str  # ok, no_face, eyes_closed or low_quality
    flags: tuple[str, ...]  # reasons for low_quality, and remarks such as several_faces
    calibrated: bool | None  # whether `gaze` is corrected; None without a calibration
    warnings: tuple[str, ...]  # what had no effect
    latency_ms: float  # duration of the attempt that succeeded
    body: Mapping[str, Any] = field(repr=False)

    @staticmethod
    def from_body(frame_number: int, body: Mapping[str, Any], latency_ms: float) -> "FrameReply":
        """Read the body of a reply."""
        found = _get_object(body, "gaze")
        x, y = _get_number(found, "x"), _get_number(found, "y")
        gaze = None if x is None or y is None else PointOfGaze(x, y, on_screen=bool(found.get("on_screen")))
        validity, calibrated = str(body.get("validity", "unknown")), body.get("calibrated")
        flags, warnings = _get_texts(body, "flags"), _get_texts(body, "warnings")
        return FrameReply(frame_number, gaze, validity, flags, calibrated, warnings, latency_ms, body)


@dataclass(frozen=True, slots=True)
class MeasuredTarget:
    """A target and the replies to its frames."""

    target: Point
    replies: tuple[FrameReply, ...]

    @property
    def usable(self) -> int:
        """Number of frames with a gaze."""
        return sum(reply.gaze is not None for reply in self.replies)

    @property
    def spread(self) -> float | None:
        """Median distance of the gaze from its median, as a share of the screen; None without a gaze."""
        points = [(reply.gaze.x, reply.gaze.y) for reply in self.replies if reply.gaze]
        if not points:
            return None
        x, y = (statistics.median_high(values) for values in zip(*points, strict=True))
        return statistics.median_high(math.hypot(px - x, py - y) for px, py in points)


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """Whether a calibration is used and how accurate it is; errors are degrees at the eye, None if unknown."""

    used: bool  # whether later gaze is corrected
    reason: str | None  # why not, such as too_few_dots, no_improvement or mirrored
    accuracy_deg: float | None  # mean error at the targets, each corrected by the calibration from the other ones
    generic_accuracy_deg: float | None  # mean error without the calibration
    validation_accuracy_deg: float | None  # mean error at the validation targets
    refreshed: bool | None  # whether an earlier calibration was refreshed; None if none was named
    seems_mirrored: bool | None  # whether the camera's `mirrored` seems to be wrong; None if the targets do not tell
    body: Mapping[str, Any] = field(repr=False)  # everything that the function reports

    @staticmethod
    def from_body(body: Mapping[str, Any]) -> "CalibrationReport":
        """Read the `calibration` of a result."""
        accuracy, generic = _get_number(body, "accuracy_deg"), _get_number(body, "generic_accuracy_deg")
        validation = _get_number(_get_object(body, "validation"), "accuracy_deg")
        used, refreshed = body.get("used") is True, body.get("refreshed")
        mirrored = _get_object(body, "mirrored").get("suspected")
        return CalibrationReport(used, body.get("reason"), accuracy, generic, validation, refreshed, mirrored, body)


@dataclass(frozen=True, slots=True)
class ResultReply:
    """Score of a viewing."""

    final_score: float  # percentage of scored frames whose gaze hits the most salient 30 % of the video
    score_valid: bool  # whether the score means anything
    score_invalid_reason: str | None  # why not, such as too_few_frames
    chance_level: float | None  # expected score of a random gaze
    interval_95: Point | None  # 95 % confidence interval of the score; None if it is unknown
    coverage: float | None  # share of the expected frames that could be scored
    calibration: CalibrationReport | None  # calibration of the gaze; None if none was requested
    warnings: tuple[str, ...]  # what had no effect, and doubts about the session
    latency_ms: float  # duration of the attempt that succeeded
    body: Mapping[str, Any] = field(repr=False)

    @property
    def result(self) -> dict[str, Any]:
        """The whole result, as /openapi.json describes it."""
        return _get_object(self.body, "result")

    @staticmethod
    def from_body(body: Mapping[str, Any], latency_ms: float) -> "ResultReply":
        """Read the reply to a last frame.

        Raises:
            GazeRequestError: It has no score.
        """
        final_score = _get_number(body, "final_score")
        if final_score is None:
            raise GazeRequestError("the answer to the last frame has no final_score", status=200, problem=body)
        result = _get_object(body, "result")
        calibration, interval = _get_object(result, "calibration"), result.get("interval_95")
        ends = dict(enumerate(interval)) if isinstance(interval, list) else {}
        low, high = _get_number(ends, 0), _get_number(ends, 1)
        return ResultReply(
            final_score,
            result.get("score_valid") is True,
            result.get("score_invalid_reason"),
            _get_number(result, "chance_level"),
            None if low is None or high is None else (low, high),
            _get_number(result, "coverage"),
            CalibrationReport.from_body(calibration) if calibration else None,
            _get_texts(body, "warnings"),
            latency_ms,
            body,
        )


class GazeClient:
    """Sends requests to `/gaze`, and repeats those that can succeed later.

    Repeated are connection errors, time-outs, answers that are not JSON, 408, 429, 502, 503 and 504, after a random
    delay that grows exponentially (full jitter) and not before `Retry-After`. Nothing counts twice: the function stores
    a frame number once. Other answers raise `GazeRequestError`.
    """

    def __init__(
        self,
        function_url: str,
        *,
        timeout_s: float = 30.0,
        total_timeout_s: float = 90.0,
        attempts: int = 10,
        max_batch: int = 16,
        max_body_bytes: int = 8 * 2**20,
        make_http: Callable[[], requests.Session] | None = None,
    ) -> None:
        """Prepare the client, without connecting.

        Args:
            function_url: Base address of the function or of a gateway, such as `http://localhost:8080`.
            timeout_s: Maximum time of one attempt without receiving anything.
            total_timeout_s: Time for a request, after which it is not repeated; the last frame has at least 300 s.
            attempts: Maximum number of attempts per request.
            max_batch: Maximum number of frames per request, 1 to 32.
            max_body_bytes: Maximum size of a request; the function's MAX_BODY_BYTES.
            make_http: Makes an HTTP session, to use a proxy, a CA bundle or headers of a gateway; there is one for each
                concurrent request. By default proxies of the environment are not used.
        """
        parts = urlsplit(function_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0 or parts.query:
            raise ValueError(f"function_url must look like http://localhost:8080, not {function_url!r}")
        if not 1 <= max_batch <= MAX_BATCH:
            raise ValueError(f"max_batch must be 1 to {MAX_BATCH}, not {max_batch}")
        self._url = f"{function_url.rstrip('/')}/gaze"
        self._timeout_s, self._total_timeout_s, self._attempts = timeout_s, total_timeout_s, attempts
        self._max_batch, self._max_body_bytes = max_batch, max_body_bytes
        self._make_http = make_http or _make_http
        # Appending to a list and popping from it are atomic.
        self._idle: list[requests.Session] = []
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop().close()

    def start_viewing(
        self,
        video_id: str,
        *,
        ip_address: str = "127.0.0.1",
        session_id: str | None = None,
        session_token: str | None = None,
        calibration: "CalibrationSession | str | None" = None,
        calibration_token: str | None = None,
        screen: ScreenFields | None = None,
        camera: CameraFields | None = None,
        viewport: ViewportFields | None = None,
    ) -> "ViewingSession":
        """Start a viewing of a video. This sends nothing yet.

        Args:
            video_id: Video that is watched.
            ip_address: The viewer's address, or a pseudonym. A gateway may replace it.
            session_id: Session id. None derives it from address and video: the viewer then cannot watch the video again
                until the session has expired.
            session_token: Token of this session, if the function demands tokens.
            calibration: Calibration session that corrects the gaze, or its id.
            calibration_token: Session token of the calibration, if `calibration` is an id.
            screen: The viewer's screen.
            camera: The viewer's camera.
            viewport: Where the video is on the screen, unless each frame says it.
        """
        shared = _describe_calibration(calibration, calibration_token)
        shared |= {"video_id": video_id, "ip_address": ip_address}
        shared |= {"screen": screen, "camera": camera, "viewport": viewport}
        session_id = session_id or make_session_id(ip_address, video_id)
        return ViewingSession(self, session_id, session_token, shared)

    def start_calibration(
        self,
        *,
        video_id: str = "calibration",
        ip_address: str = "127.0.0.1",
        session_id: str | None = None,
        session_token: str | None = None,
        refresh: "CalibrationSession | str | None" = None,
        refresh_token: str | None = None,
        screen: ScreenFields | None = None,
        camera: CameraFields | None = None,
    ) -> "CalibrationSession":
        """Start a calibration in a separate session with a random id. The arguments are those of `start_viewing`.

        With `refresh`, an earlier calibration session or its id, one target is enough.
        """
        shared = _describe_calibration(refresh, refresh_token)
        shared |= {"video_id": video_id, "ip_address": ip_address, "screen": screen, "camera": camera}
        session_id = session_id or f"calibration-{uuid.uuid4()}"
        return CalibrationSession(self, session_id, session_token, shared)

    def exchange(
        self, shared: Mapping[str, object], frames: Mapping[int, "_Outgoing"], *, min_timeout_s: float = 0.0
    ) -> dict[int, tuple[dict[str, Any], float]]:
        """Send frames by number in as few requests as possible; return each one's reply and latency in ms.

        Sessions call this. `min_timeout_s` is a lower limit of both time-outs, for requests that may take long.

        Raises:
            GazeRequestError: The function refused a frame, after all others were sent; or a whole request or session.
            GazeUnavailableError: Attempts or time are used up.
        """
        waiting, limit = dict(frames), self._max_batch
        stored: dict[int, tuple[dict[str, Any], float]] = {}
        refused: list[dict[str, Any]] = []

        def fail(kind: type[GazeClientError], status: int | None, problem: Mapping[str, Any], reason: str) -> Never:
            replies = {number: FrameReply.from_body(number, *reply) for number, reply in stored.items()}
            missing = [number for number in frames if number not in stored]
            raise kind(reason, status=status, problem=problem, frame_numbers=missing, replies=replies)

        total_s, failures = max(self._total_timeout_s, min_timeout_s), 0
        deadline_s = time.monotonic() + total_s
        while waiting:
            batch = self._take_batch(waiting, limit)
            left_s = max(0.001, deadline_s - time.monotonic())
            answer = self._attempt(shared, batch, min(left_s, max(self._timeout_s, min_timeout_s)))
            entries = answer.list_entries(len(batch))
            for number, entry in zip(batch, entries, strict=False):
                status = entry.get("status")
                if status == "success":
                    stored[number] = (entry, answer.latency_ms)
                elif isinstance(status, int) and status not in TEMPORARY:
                    refused.append(entry)
                else:
                    continue
                del waiting[number]
            over = next((each for each in refused if each["status"] in SESSION_OVER), None)
            if over is not None:
                fail(GazeRequestError, over["status"], over, str(over.get("detail", "")))
            left = waiting.keys() & batch.keys()
            if len(left) < len(batch):
                failures, deadline_s = 0, time.monotonic() + total_s
            if not left:
                limit = min(self._max_batch, limit + 1)
                continue
            # A busy function may have room for some of the frames, and a smaller body may pass another size limit.
            limit = max(1, len(batch) // 2)
            if answer.status == 413 and len(batch) > 1:
                continue
            if answer.status is not None and answer.status not in {200, *TEMPORARY}:
                fail(GazeRequestError, answer.status, answer.body, answer.reason)
            failures += 1
            wait_s = answer.find_retry_after_s(entries)
            delay_s = retry_delay_s(failures, wait_s, random.random())  # noqa: S311 - not a secret
            if failures >= self._attempts or time.monotonic() + delay_s >= deadline_s:
                fail(GazeUnavailableError, answer.status, answer.body, answer.reason)
            time.sleep(delay_s)
        if refused:
            fail(GazeRequestError, refused[0]["status"], refused[0], str(refused[0].get("detail", "")))
        return stored

    def _take_batch(self, waiting: Mapping[int, "_Outgoing"], limit: int) -> dict[int, "_Outgoing"]:
        batch: dict[int, _Outgoing] = {}
        size = _PART_BYTES
        for number, frame in itertools.islice(waiting.items(), limit):
            size += len(frame.image or b"") + _PART_BYTES
            if batch and size > self._max_body_bytes:
                break
            batch[number] = frame
        return batch

    def _attempt(self, shared: Mapping[str, object], batch: Mapping[int, "_Outgoing"], timeout_s: float) -> "_Answer":
        entries = [{**frame.fields, "frame_number": number} for number, frame in batch.items()]
        metadata = json.dumps({**shared, **(entries[0] if len(entries) == 1 else {"frames": entries})}, allow_nan=False)
        images = [frame.image for frame in batch.values() if frame.image is not None]
        parts = [("frame", ("frame", image, "application/octet-stream")) for image in images]
        body: dict[str, Any] = (
            {"files": [("metadata", (None, metadata, "application/json")), *parts]}
            if parts
            else {"data": metadata, "headers": {"Content-Type": "application/json"}}
        )
        timeouts_s = (min(timeout_s, self._timeout_s), timeout_s)  # to connect, and to receive something
        http = self._take_http()
        started_s = time.perf_counter()
        try:
            response = http.post(self._url, **body, timeout=timeouts_s, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:  # such as a chunk with a negative size
            if isinstance(error, requests.RequestException) and isinstance(error, ValueError):
                raise  # misuse: an invalid header or proxy address
            return _Answer(None, {}, f"no answer: {error}")
        finally:
            self._idle.append(http)
        latency_ms = 1000 * (time.perf_counter() - started_s)
        retry_after_s = _read_retry_after(response.headers.get("Retry-After", ""))
        try:
            value = json.loads(response.content)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            return _Answer(response.status_code, {}, "the answer is not a JSON object", retry_after_s, latency_ms)
        reason = str(value.get("detail", "the answer is unexpected"))
        return _Answer(response.status_code, value, reason, retry_after_s, latency_ms)

    def _take_http(self) -> requests.Session:
        """Return an HTTP session that no other thread uses: those of requests must not be shared."""
        if self._pid != os.getpid():  # a fork must not use the connections of its parent
            self._idle, self._pid = [], os.getpid()
        try:
            return self._idle.pop()
        except IndexError:
            return self._make_http()


class GazeSession:
    """Frames of one session. The base of `ViewingSession` and `CalibrationSession`.

    Whatever sends frames raises `GazeRequestError` if the function refused one, and `GazeUnavailableError` if the
    function did not answer in time.
    """

    def __init__(
        self, client: GazeClient, session_id: str, session_token: str | None, shared: dict[str, object]
    ) -> None:
        self.session_id = session_id
        self.session_token = session_token
        self._client = client
        shared = {"session_id": session_id, "session_token": session_token, **shared}
        self._shared = {name: value for name, value in shared.items() if value is not None}
        json.dumps(self._shared, allow_nan=False)  # misuse is found before anything is sent
        self._last_number = 0
        self._stored: set[int] = set()
        self._lock = threading.Lock()

    def send(
        self,
        image: Image,
        *,
        video_time_ms: float | None = None,
        timestamp_ms: float | None = None,
        viewport: ViewportFields | None = None,
        frame_number: int | None = None,
        **fields: object,
    ) -> FrameReply:
        """Send a frame and return its point of gaze. The arguments are those of `Frame`."""
        (reply,) = self.send_batch([Frame(image, video_time_ms, timestamp_ms, viewport, frame_number, fields)])
        return reply

    def send_batch(self, frames: Iterable[Frame | Image]) -> list[FrameReply]:
        """Send any number of frames in as few requests as possible, and return the replies in order.

        Frames that failed temporarily are sent again, alone. A broken image does not keep the other frames from being
        sent; the error has their `replies`. An invalid field refuses a whole request, and nothing more is sent.
        """
        prepared = [_prepare(each if isinstance(each, Frame) else Frame(each)) for each in frames]
        numbered: dict[int, _Outgoing] = {}
        with self._lock:
            for frame in prepared:
                number = self._last_number + 1 if frame.number is None else frame.number
                if number in numbered:
                    raise ValueError(f"frame_number {number} occurs twice")
                numbered[number] = frame
                self._last_number = max(self._last_number, number)
        stored: Iterable[int] = ()
        try:
            stored = replies = self._client.exchange(self._shared, numbered)
        except GazeClientError as error:
            stored = error.replies
            raise
        finally:
            with self._lock:
                self._stored.update(stored)
        return [FrameReply.from_body(number, *replies[number]) for number in numbered]

    def measure(
        self, target: Point, images: Iterable[Frame | Image], *, use: Literal["fit", "validate"] = "fit"
    ) -> MeasuredTarget:
        """Send frames of the viewer looking at a target.

        Args:
            target: Position of the target on the screen, each coordinate from 0 to 1.
            images: 10 to 15 frames, captured from 0.7 s after the target appeared.
            use: `fit` to calibrate, `validate` to measure how good the calibration is.
        """
        fields = {"calibration_target": [float(target[0]), float(target[1])], "calibration_use": use}
        frames = [each if isinstance(each, Frame) else Frame(each) for each in images]
        replies = self.send_batch(dataclasses.replace(each, fields={**each.fields, **fields}) for each in frames)
        return MeasuredTarget(target, tuple(replies))

    def _end(self, frame_number: int | None, total_frames: int | None) -> ResultReply:
        with self._lock:
            if frame_number is None:
                frame_number, total_frames = self._last_number + 1, total_frames or len(self._stored) or None
        total = {} if total_frames is None else {"total_frames": total_frames}
        last = _Outgoing(None, {"last_frame": True, **total}, frame_number)
        replies = self._client.exchange(self._shared, {frame_number: last}, min_timeout_s=LAST_FRAME_TIMEOUT_S)
        return ResultReply.from_body(*replies[frame_number])


class ViewingSession(GazeSession):
    """A viewer who watches a video. Frames with a calibration target do not count as frames of the video."""

    def complete(self, *, frame_number: int | None = None, total_frames: int | None = None) -> ResultReply:
        """End the viewing and return its score; a repeated call returns the same.

        Args:
            frame_number: Number after the last frame; None if all frames were sent through this object.
            total_frames: Number of frames sent. None: those stored through this object, or with a `frame_number` all
                numbers before it.
        """
        return self._end(frame_number, total_frames)


class CalibrationSession(GazeSession):
    """A viewer who looks at targets: `measure` some to fit and a few to validate, then `finish`."""

    def finish(self) -> CalibrationReport:
        """End the calibration and return how good it is. More targets may follow, and another `finish`."""
        return self._end(None, None).calibration or CalibrationReport.from_body({})


def make_session_id(ip_address: str, video_id: str) -> str:
    """Return the session id that gateways derive from a viewer's address and a video."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{ip_address}:{video_id}"))


def retry_delay_s(attempt: int, retry_after_s: float | None, share: float) -> float:
    """Return the delay after attempt number `attempt`, from 1; `share`, from 0 to 1, is random."""
    spread_s = share * min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(attempt - 1, 20))
    return max(FIRST_DELAY_S / 2, spread_s) if retry_after_s is None else retry_after_s + min(spread_s, 1.0)


def encode_jpeg(image: ArrayImage, *, quality: int = JPEG_QUALITY) -> bytes:
    """Return an **RGB** array of shape (height, width, 3), uint8, as a JPEG file.

    OpenCV's own functions deliver BGR: pass `image[..., ::-1]`, or the file from `cv2.imencode(".jpg", image)`.

    Raises:
        ImportError: OpenCV is not installed.
        ValueError: The array has another shape or type.
    """
    array: Any = image
    shape: tuple[int, ...] = getattr(image, "shape", ())
    if len(shape) != 3 or shape[2] != 3 or 0 in shape or str(array.dtype) != "uint8":
        raise ValueError("an image must be the bytes of a file, or a uint8 array of shape (height, width, 3)")
    try:
        import cv2  # noqa: PLC0415 - only needed for arrays
    except ImportError as error:
        raise ImportError("arrays need OpenCV (pip install opencv-python-headless); or pass JPEG files") from error
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(array, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(jpeg)


@dataclass(frozen=True, slots=True)
class _Outgoing:
    image: bytes | None
    fields: Mapping[str, object]
    number: int | None


def _prepare(frame: Frame) -> _Outgoing:
    times = {"video_time_ms": frame.video_time_ms, "timestamp_ms": frame.timestamp_ms}
    fields: dict[str, object] = {name: float(value) for name, value in times.items() if value is not None}
    if frame.viewport is not None:
        fields["viewport"] = frame.viewport
    fields |= frame.fields
    json.dumps([fields, frame.frame_number], allow_nan=False)  # misuse is found before anything is sent
    image = bytes(frame.image) if isinstance(frame.image, (bytes, bytearray, memoryview)) else encode_jpeg(frame.image)
    if not image:
        raise ValueError("an image is empty")
    return _Outgoing(image, fields, frame.frame_number)


@dataclass(frozen=True, slots=True)
class _Answer:
    """Outcome of an attempt; without an answer, the status is None."""

    status: int | None
    body: dict[str, Any]
    reason: str
    retry_after_s: float | None = None
    latency_ms: float = 0.0

    def list_entries(self, count: int) -> list[dict[str, Any]]:
        """Return what the answer says about each frame; nothing if it says nothing about single frames."""
        if count > 1:
            entries = _list_objects(self.body, "frames")
            return entries if len(entries) == count else []
        if self.status == 200:
            return [self.body] if self.body.get("status") == "success" else []
        return [{**self.body, "status": self.status}] if self.body else []

    def find_retry_after_s(self, entries: Iterable[Mapping[str, Any]]) -> float | None:
        waits_s = [self.retry_after_s, *(_get_number(entry, "retry_after_s") for entry in entries)]
        return max((wait_s for wait_s in waits_s if wait_s is not None and wait_s >= 0), default=None)


def _make_http() -> requests.Session:
    http = requests.Session()
    http.trust_env = False
    return http


def _describe_calibration(calibration: CalibrationSession | str | None, token: str | None) -> dict[str, object]:
    if isinstance(calibration, CalibrationSession):
        return {"calibration_session": calibration.session_id, "calibration_token": calibration.session_token}
    return {"calibration_session": calibration, "calibration_token": token}


def _read_retry_after(value: str) -> float | None:
    """Return the seconds of a header Retry-After, which is a number or a date; None if it is neither."""
    try:
        if value.strip().isdigit():
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _get_object(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _get_number(body: Mapping[Any, Any], name: object) -> float | None:
    value = body.get(name)
    return float(value) if isinstance(value, (int, float)) and abs(value) < 1e300 else None  # not NaN, not infinite


def _get_texts(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = body.get(name)
    return tuple(str(each) for each in value) if isinstance(value, list) else ()


def _list_objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = body.get(name)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
