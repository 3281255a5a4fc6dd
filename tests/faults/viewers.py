"""Viewers who stream frames and repeat as the documents ask, and what must be true of their sessions afterwards."""

import contextlib
import itertools
import threading
import time
import uuid
from dataclasses import dataclass, field

import requests

from tests.faults.images import SHADES, make_image
from tests.faults.maps import VIDEO

REPEATED = frozenset({429, 502, 503, 504})
"""Statuses after which docs/operating.md asks for a repeat."""
PATIENCE_S = 90.0
"""How long a viewer repeats one request before the test fails."""
LONGEST_PAUSE_S = 2.0
"""How long a viewer waits at most before it repeats a request."""
IMAGES = [make_image(shade) for shade in range(SHADES)]
_viewers = itertools.count(1)


def make_address():
    """Return another viewer's IP address."""
    number = next(_viewers)
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


class NotServedError(AssertionError):
    """A request got a status after which the documents ask for no repeat, or no good answer in time."""


@dataclass
class Ledger:
    """What was acknowledged to all viewers; safe to use from several threads."""

    acknowledged: int = 0
    repeats: int = 0
    slowest_answer_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, duration_s=0.0, acknowledged=0, repeats=0):
        with self.lock:
            self.acknowledged += acknowledged
            self.repeats += repeats
            self.slowest_answer_s = max(self.slowest_answer_s, duration_s)


class Viewer:
    """One viewing: posts frames to the functions in turn, as behind a load balancer."""

    def __init__(
        self,
        function_urls,
        ledger,
        *,
        ip_address=None,
        images=IMAGES,
        patience_s=PATIENCE_S,
        longest_pause_s=LONGEST_PAUSE_S,
    ):
        self.ip_address = ip_address or make_address()
        self.session_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.ip_address}:{VIDEO}"))
        self.gazes = {}
        """The answered gaze of each acknowledged frame."""
        self.completed = None
        """The answer to the last frame."""
        self._urls = itertools.cycle(function_urls)
        self._ledger = ledger
        self._images = images
        self._patience_s = patience_s
        self._longest_pause_s = longest_pause_s
        self._http = requests.Session()
        self._http.trust_env = False

    def watch(self, frames):
        """Stream a whole viewing."""
        for number in range(1, frames + 1):
            self.post_frame(number)
        return self.complete(frames + 1)

    def post_frame(self, number, **fields):
        """Post a frame until it is acknowledged."""
        # Five images on each time: so they differ from frame to frame, and every image has its turn.
        image = self._images[5 * number % len(self._images)]
        body = self._post({"frame_number": number, "last_frame": False, "frame": image, **fields})
        gaze = body["gaze"]
        self.gazes[number] = None if gaze is None else [gaze["x"], gaze["y"]]
        self._ledger.count(acknowledged=1)
        return body

    def watch_in_batches(self, frames, size):
        """Stream a whole viewing with several frames in each request; the last request has the last frame."""
        for first in range(1, frames + 1, size):
            numbers = range(first, min(first + size, frames + 1))
            last = [{"frame_number": frames + 1, "last_frame": True}] if numbers[-1] == frames else []
            self._post_frames(list(numbers), last)
        return self.completed

    def _post_frames(self, numbers, last):
        """Post frames, and the last one, until each is acknowledged."""
        deadline_s = time.monotonic() + self._patience_s
        while numbers or last:
            if time.monotonic() > deadline_s:
                raise NotServedError(f"frames {numbers} were not served")
            sent = [{"frame_number": each, "frame": self._images[5 * each % len(self._images)]} for each in numbers]
            body = self._post({"frames": [*sent, *last]})
            for answer in body["frames"]:
                if answer["status"] == "success" and "result" in answer:
                    self.completed, last = answer, []
                elif answer["status"] == "success":
                    gaze = answer["gaze"]
                    self.gazes[answer["frame_number"]] = None if gaze is None else [gaze["x"], gaze["y"]]
                    self._ledger.count(acknowledged=1)
                    numbers.remove(answer["frame_number"])
                elif answer["status"] not in REPEATED:
                    raise NotServedError(f"frame {answer['frame_number']} ended with {answer['status']}")
            if numbers or last:
                self._ledger.count(repeats=1)
                time.sleep(0.2)

    def complete(self, number, **fields):
        """Post the last frame until it is answered."""
        self.completed = self._post({"frame_number": number, "last_frame": True, **fields})
        return self.completed

    def try_once(self, fields):
        """Return the response to one request; None when the connection fails."""
        body = {"session_id": self.session_id, "video_id": VIDEO, "ip_address": self.ip_address, **fields}
        started_s = time.monotonic()
        try:
            response = self._http.post(f"{next(self._urls)}/gaze", json=body, timeout=60)
        except requests.RequestException:
            return None
        self._ledger.count(duration_s=time.monotonic() - started_s)
        return response

    def _post(self, fields):
        deadline_s = time.monotonic() + self._patience_s
        outcome = "nothing"
        while time.monotonic() < deadline_s:
            response = self.try_once(fields)
            if response is None:
                outcome, pause_s = "a connection error", 0.1
            elif response.status_code == 200:
                return response.json()
            else:
                outcome = f"{response.status_code} {response.text[:300]}"
                if response.status_code not in REPEATED:
                    break
                pause_s = min(float(response.headers.get("Retry-After", 0.2)), self._longest_pause_s)
            self._ledger.count(repeats=1)
            time.sleep(pause_s)
        raise NotServedError(f"frame {fields.get('frame_number', 'of several')} ended with {outcome}")


@dataclass
class Tally:
    """What went wrong in finished sessions: all zero is right. Safe to use from several threads."""

    lost: int = 0
    doubled: int = 0
    problems: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, *, lost=0, doubled=0, problems=()):
        with self.lock:
            self.lost += lost
            self.doubled += doubled
            self.problems += problems

    @property
    def outcome(self):
        """Lost, doubled and problems; `NOTHING_WRONG` is right."""
        return self.lost, self.doubled, self.problems


NOTHING_WRONG = (0, 0, [])


def read_until_answered(url, *, post=None, patience_s=PATIENCE_S):
    """Return the JSON answered with 200 to a GET, or to a POST; repeats while the service is down."""
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        with contextlib.suppress(requests.RequestException):
            response = requests.request("GET" if post is None else "POST", url, json=post, timeout=30)
            if response.status_code == 200:
                return response.json()
            assert response.status_code >= 500, f"{url} answered {response.status_code} {response.text[:300]}"
        time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")


def read_stored(session_api_url, viewer):
    """Return the records of a session in the session API."""
    session = read_until_answered(f"{session_api_url}/get_session/{viewer.session_id}")
    return session["components"]["gaze_tracking"]


def check_session(session_api_url, viewer, tally):
    """Compare what was acknowledged to a viewer with what is stored and with the result."""
    stored = read_stored(session_api_url, viewer)
    result = viewer.completed["result"]
    received = result["frames"]["received"]
    wrong = [number for number, gaze in viewer.gazes.items() if stored.get(str(number), {}).get("gaze", 0) != gaze]
    numbers = [key for key in stored if key.isdigit()]
    problems = []
    if wrong:
        problems.append(f"{viewer.session_id}: frames {wrong} are not stored as they were answered")
    if result["score_invalid_reason"] not in {None, "too_few_frames"}:
        problems.append(f"{viewer.session_id}: {result['score_invalid_reason']}")
    if stored["result"]["final_score"] != viewer.completed["final_score"]:
        problems.append(f"{viewer.session_id}: another result than the answered one is stored")
    tally.count(
        lost=max(len(wrong), len(viewer.gazes) - received, result["lost"]["missing"]),
        doubled=max(0, len(numbers) - len(viewer.gazes), received - len(viewer.gazes)),
        problems=problems,
    )


def find_deliveries(aggregator_url, viewer):
    """Return what the aggregator got of a viewer's session, an entry for each key."""
    results = read_until_answered(f"{aggregator_url}/results")
    return [entry for entry in results["deliveries"] if entry.get("session_id") == viewer.session_id]


def check_results(aggregator_url, viewers, tally):
    """Check that the result of each viewing took effect at the aggregator once, and as it was answered."""
    for viewer in viewers:
        for model_type in ("emotion", "blink_detection"):
            score = {"model_type": model_type, "final_score": 50.0, "video_id": VIDEO, "ip_address": viewer.ip_address}
            read_until_answered(f"{aggregator_url}/aggregate", post=score)
    results = read_until_answered(f"{aggregator_url}/results")
    for viewer in viewers:
        delivered = [entry for entry in results["deliveries"] if entry.get("session_id") == viewer.session_id]
        in_effect = [row["gaze"] for row in results["rows"] if row["ip_address"] == viewer.ip_address]
        score = viewer.completed["final_score"]
        problems = []
        if any(entry["final_score"] != score for entry in delivered) or in_effect != [score]:
            problems.append(f"{viewer.session_id}: delivered {delivered}, in effect {in_effect}, answered {score}")
        tally.count(lost=not delivered, doubled=max(0, len(delivered) - 1, len(in_effect) - 1), problems=problems)
