"""What a frame costs on this machine: two real functions and their neighbours under a bounded load on loopback.

CPU is read as the processes' own time from /proc, since wall time says as much about what else runs on the machine.
"""

import base64
import itertools
import json
import os
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import cv2
import requests
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from gaze_tools.capacity.model import Assumptions
from gaze_tools.capacity.queues import closed_throughput, mean_wait_s
from gaze_tools.demo import SAMPLE, SAMPLE_VIDEO_ID, read_frames, read_truth, seed_sample_maps
from gaze_tools.stack.gateway import JPEG_QUALITY
from gaze_tools.stack.launcher import Neighbours, start_function, start_neighbours
from gaze_tools.stack.session_api import create_app

FRAMES = 200
"""Of the sample clip; a load starts again from the first."""

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PARTS = {"function": "functions-framework", "session API": "gaze_tools.stack.session_api", "database": "secantusd"}
"""What the command lines of their processes hold."""

OPEN_INTERVAL_S = 0.2
"""Between two frames of a viewer of the open load: 5 a second, so that a slow machine keeps up."""

_STORE_FRAMES = 400
_MAPS = 1000
"""So that every frame of the session that is scored has one."""

_REQUEST_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load.

    Attributes:
        frames: Answered 200.
        refused: Answered otherwise.
        duration_s: From the first request to the last answer.
        latencies_s: Of the frames that were answered 200; for an open load from the moment they were due.
        cpu_s: Of each part of the stack, and of the client.
    """

    frames: int
    refused: int
    duration_s: float
    latencies_s: tuple[float, ...]
    cpu_s: Mapping[str, float]

    @property
    def throughput_fps(self) -> float:
        """Frames answered a second."""
        return self.frames / self.duration_s

    @property
    def latency_s(self) -> float:
        """Median."""
        return statistics.median(self.latencies_s)

    def cpu_per_frame_s(self, *parts: str) -> float:
        """Return the CPU time of a frame in these parts; without any, in all of them."""
        return sum(self.cpu_s[part] for part in parts or self.cpu_s) / self.frames


@dataclass(frozen=True, slots=True)
class StoreCosts:
    """What a frame leaves behind and asks for in the stores.

    Attributes:
        request_bytes: Body of its request to the function.
        record_bytes: Of its record, as JSON.
        stored_bytes: In the session API's database, its share of everything around it included, uncompressed.
        map_bytes: Of its saliency map's document, compressed as it is stored.
        writes: Commands that write, by the session API for each frame.
        writes_described: Likewise when every frame describes the viewer's screen and camera.
        reads: Commands that read, for each frame.
    """

    request_bytes: float
    record_bytes: float
    stored_bytes: float
    map_bytes: float
    writes: float
    writes_described: float
    reads: float


@dataclass(frozen=True, slots=True)
class Scoring:
    """What the last frame of a session took.

    Attributes:
        frames: Of the session; those whose gaze is unknown have no score.
        cpu_s: Of the function.
        duration_s: From the request to the answer.
    """

    frames: int
    cpu_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Start:
    """What the start of one function took, from its process to readiness."""

    cpu_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Crowding:
    """One function with more clients than it has threads.

    Attributes:
        clients: Each waits for an answer before the next request.
        load: What came of theirs.
        probe_s: Median time of a readiness probe meanwhile.
    """

    clients: int
    load: Load
    probe_s: float


@dataclass(frozen=True, slots=True)
class Measurement:
    """One run.

    Attributes:
        start: Of the first function.
        alone: One function, one client, closed loop: what everything else is predicted from.
        opened: Two functions; viewers who send frames at their own pace.
        closed: Two functions; clients who send the next frame when the last is answered.
        detect_s: Mean time for which a frame of `alone` held a landmarker, its features and prediction included.
        scoring: Of a session of `alone`.
        store: What the frames of `alone` left behind.
        crowding: Far more clients than threads, on one function.
        open_rate_fps: What the viewers of `opened` sent.
        closed_clients: How many clients `closed` had.
    """

    start: Start
    alone: Load
    opened: Load
    closed: Load
    detect_s: float
    scoring: Scoring
    store: StoreCosts
    crowding: Crowding
    open_rate_fps: float
    closed_clients: int


def measure(
    log_dir: Path,
    assumptions: Assumptions,
    *,
    duration_s: float = 10.0,
    open_rate_fps: float = 10.0,
    closed_clients: int = 4,
    crowding_clients: int = 150,
) -> Measurement:
    """Start the stack with the cluster's settings, load it four times, stop it.

    Args:
        log_dir: Where the processes' output goes.
        assumptions: Say the settings of the functions.
        duration_s: Of each load.
        open_rate_fps: Frames a second of the open load.
        closed_clients: Of the closed load.
        crowding_clients: Of the last load.
    """
    settings = {
        "THREADS": str(assumptions.threads),
        "LANDMARKERS": str(assumptions.landmarkers),
        "SCORING_PLACES": str(assumptions.scoring_places),
        "LANDMARKER_WAIT_S": str(assumptions.landmarker_wait_s),
    }
    jpegs = encode_clip()
    sessions = itertools.count(1)
    with ExitStack() as stack:
        neighbours = stack.enter_context(start_neighbours(log_dir))
        seed_sample_maps(neighbours, _MAPS)
        started_s = time.monotonic()
        first = stack.enter_context(start_function(neighbours, log_dir, name="first", settings=settings))
        start = Start(read_cpu_s("function"), time.monotonic() - started_s)
        run_load([Client(first, next(sessions))], jpegs, duration_s=2)
        before = read_stage(first, "detect")
        viewer = Client(first, next(sessions))
        alone = run_load([viewer], jpegs, duration_s=duration_s)
        after = read_stage(first, "detect")
        scoring = measure_scoring(viewer, alone.frames)
        store = measure_store(neighbours, jpegs)
        second = stack.enter_context(start_function(neighbours, log_dir, name="second", settings=settings))
        run_load([Client(second, next(sessions))], jpegs, duration_s=2)
        functions = itertools.cycle((first, second))
        viewers = max(1, round(open_rate_fps * OPEN_INTERVAL_S))
        opened = run_load(
            [Client(next(functions), next(sessions)) for _ in range(viewers)],
            jpegs,
            duration_s=duration_s,
            interval_s=OPEN_INTERVAL_S,
        )
        closed = run_load(
            [Client(next(functions), next(sessions)) for _ in range(closed_clients)], jpegs, duration_s=duration_s
        )
        crowd = [Client(first, next(sessions)) for _ in range(crowding_clients)]
        with probe(first) as waits_s:
            load = run_load(crowd, jpegs, duration_s=duration_s)
        # The first few find no queue yet.
        crowding = Crowding(crowding_clients, load, statistics.median(waits_s[len(waits_s) // 4 :]))
    return Measurement(
        start=start,
        alone=alone,
        opened=opened,
        closed=closed,
        detect_s=(after[0] - before[0]) / (after[1] - before[1]),
        scoring=scoring,
        store=store,
        crowding=crowding,
        open_rate_fps=viewers / OPEN_INTERVAL_S,
        closed_clients=closed_clients,
    )


@dataclass(frozen=True, slots=True)
class Check:
    """A quantity of a run beside what the plan's formulas make of the run's first load.

    Attributes:
        name: With its unit.
        predicted: By the formulas.
        measured: In the run.
    """

    name: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.predicted


def check_predictions(measurement: Measurement, *, cores: int, request_cores: float = 1.0) -> list[Check]:
    """Predict the two loads on two functions from the one on one function, and compare.

    Functions, neighbours and clients share this machine: one station with its cores as servers, whose work takes longer
    than its CPU time by the factor by which it did in the first load.

    Args:
        measurement: Of a run.
        cores: Of this machine.
        request_cores: CPU request of a pod, for the utilisation that the autoscaler would see.
    """
    alone, opened, closed = measurement.alone, measurement.opened, measurement.closed
    cpu_s = alone.cpu_per_frame_s("function")
    stretch = max(1.0, alone.latency_s / alone.cpu_per_frame_s(*PARTS))
    demand_s = alone.cpu_per_frame_s() * stretch
    rate_fps = measurement.open_rate_fps
    closed_fps = closed_throughput(measurement.closed_clients, demand_s, servers=cores)
    open_latency_s = alone.latency_s + mean_wait_s(cores, rate_fps, demand_s, variation=0.5)
    return [
        Check("open load: throughput, frames/s", rate_fps, opened.throughput_fps),
        Check("open load: CPU of the function, ms a frame", 1000 * cpu_s, 1000 * opened.cpu_per_frame_s("function")),
        Check(
            "open load: utilisation of two pods' requests, %",
            100 * rate_fps * cpu_s / (2 * request_cores),
            100 * opened.cpu_s["function"] / opened.duration_s / (2 * request_cores),
        ),
        Check("open load: latency, ms", 1000 * open_latency_s, 1000 * opened.latency_s),
        Check("closed load: CPU of the function, ms a frame", 1000 * cpu_s, 1000 * closed.cpu_per_frame_s("function")),
        Check("closed load: throughput, frames/s", closed_fps, closed.throughput_fps),
        Check("closed load: latency, ms", 1000 * measurement.closed_clients / closed_fps, 1000 * closed.latency_s),
    ]


def encode_clip() -> list[bytes]:
    """Return the pictures of the sample clip as the gateway sends them."""
    return [
        cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
        for frame in read_frames(str(SAMPLE / "clip.mp4"), FRAMES)
    ]


@dataclass(frozen=True, slots=True)
class Client:
    """Who sends the frames of one session.

    Attributes:
        function_url: Where to.
        session: Its number.
    """

    function_url: str
    session: int

    def make_body(self, frame_number: int, jpeg: bytes | None) -> bytes:
        """Return the request of a frame, or of the end when there is none."""
        body: dict[str, object] = {
            "session_id": f"session-{self.session}",
            "video_id": SAMPLE_VIDEO_ID,
            "ip_address": "127.0.0.1",
            "frame_number": frame_number,
            "last_frame": jpeg is None,
            "timestamp_ms": 50.0 * frame_number,
            "video_time_ms": 50.0 * frame_number,
        }
        if jpeg is not None:
            body["frame"] = base64.b64encode(jpeg).decode()
        return json.dumps(body).encode()


def run_load(
    clients: Sequence[Client], jpegs: Sequence[bytes], *, duration_s: float, interval_s: float | None = None
) -> Load:
    """Send frames for a while and count what it costs; stops by itself.

    Args:
        clients: Each sends from a thread of its own and waits for an answer before the next request.
        jpegs: The pictures, used again and again.
        duration_s: No request starts later.
        interval_s: Between the moments at which a client's frames are due, whatever the answers take; None sends the
            next when the last is answered.
    """
    before = {part: read_cpu_s(part) for part in PARTS}
    client_cpu_s, started_s = time.process_time(), time.monotonic()
    with ThreadPoolExecutor(len(clients)) as pool:
        lists = pool.map(
            lambda pair: _send(
                pair[1],
                jpegs,
                until_s=started_s + duration_s,
                interval_s=interval_s,
                # So that the clients of an open load do not send at the same moment.
                first_due_s=started_s + (0.0 if interval_s is None else interval_s * pair[0] / len(clients)),
            ),
            enumerate(clients),
        )
        latencies_s = [latency_s for latencies in lists for latency_s in latencies]
    ended_s = time.monotonic()
    after = {part: read_cpu_s(part) for part in PARTS}
    answered = tuple(latency_s for latency_s in latencies_s if latency_s is not None)
    return Load(
        frames=len(answered),
        refused=len(latencies_s) - len(answered),
        duration_s=ended_s - started_s,
        latencies_s=answered,
        cpu_s={part: after[part] - before[part] for part in PARTS} | {"client": time.process_time() - client_cpu_s},
    )


def _send(
    client: Client, jpegs: Sequence[bytes], *, until_s: float, interval_s: float | None, first_due_s: float
) -> list[float | None]:
    """Return how long each frame took, None for one that was refused."""
    latencies_s: list[float | None] = []
    with requests.Session() as http:
        http.trust_env = False
        for number in itertools.count(1):
            body = client.make_body(number, jpegs[(number - 1) % len(jpegs)])
            due_s = time.monotonic()
            if interval_s is not None:
                due_s = first_due_s + (number - 1) * interval_s
                time.sleep(max(0.0, due_s - time.monotonic()))
            if due_s >= until_s or time.monotonic() >= until_s:
                return latencies_s
            status = _post(http, client, body).status_code
            latencies_s.append(time.monotonic() - due_s if status == 200 else None)
    raise AssertionError("unreachable")


def _post(http: requests.Session, client: Client, body: bytes) -> requests.Response:
    return http.post(
        f"{client.function_url}/gaze",
        data=body,
        headers={"Content-Type": "application/json"},
        timeout=_REQUEST_TIMEOUT_S,
    )


@contextmanager
def probe(function_url: str) -> Iterator[list[float]]:
    """Ask a function every half a second whether it is ready; yield how long each answer took."""
    waits_s: list[float] = []
    stop = threading.Event()

    def ask() -> None:
        while not waits_s or not stop.wait(0.5):
            asked_s = time.monotonic()
            requests.get(f"{function_url}/health/readiness", timeout=_REQUEST_TIMEOUT_S).raise_for_status()
            waits_s.append(time.monotonic() - asked_s)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield waits_s
    finally:
        stop.set()
        thread.join()


def measure_scoring(client: Client, frames: int) -> Scoring:
    """Say that a session is over after so many frames, and return what its scoring took."""
    with requests.Session() as http:
        http.trust_env = False
        cpu_s, started_s = read_cpu_s("function"), time.monotonic()
        answer = _post(http, client, client.make_body(frames + 1, None))
        duration_s = time.monotonic() - started_s
    answer.raise_for_status()
    return Scoring(frames=frames, cpu_s=read_cpu_s("function") - cpu_s, duration_s=duration_s)


def measure_store(neighbours: Neighbours, jpegs: Sequence[bytes]) -> StoreCosts:
    """Say what the frames that were sent left behind, and which commands a frame costs."""
    client: MongoClient[dict[str, Any]]
    with MongoClient(neighbours.mongo_uri, serverSelectionTimeoutMS=10_000) as client:
        raw = client["session_api"].with_options(bson.CodecOptions(document_class=RawBSONDocument))
        parts = list(raw["parts"].find())
        stored_bytes = sum(len(document.raw) for document in itertools.chain(parts, raw["sessions"].find()))
        records = [text for part in parts for key, text in bson.decode(part.raw)["values"].items() if key.isdecimal()]
        maps = [
            len(document.raw)
            for document in client["saliency_db"]
            .with_options(bson.CodecOptions(document_class=RawBSONDocument))[SAMPLE_VIDEO_ID]
            .find()
        ]
        writes, reads = count_commands(neighbours.mongo_uri, records[0], described=False)
        writes_described, _ = count_commands(neighbours.mongo_uri, records[0], described=True)
    request_bytes = statistics.mean(len(Client("", 1).make_body(1, jpeg)) for jpeg in jpegs)
    return StoreCosts(
        request_bytes=request_bytes,
        record_bytes=statistics.mean(map(len, records)),
        stored_bytes=stored_bytes / len(records),
        map_bytes=statistics.mean(maps),
        writes=writes,
        writes_described=writes_described,
        reads=reads,
    )


def count_commands(mongo_uri: str, record: str, *, described: bool) -> tuple[float, float]:
    """Return how many commands that write and that read the session API sends its database for each frame.

    Args:
        mongo_uri: Of any server.
        record: Of a frame, as JSON.
        described: Whether every frame describes the viewer's screen and camera.
    """
    listener = _CommandCounter()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongo_uri, serverSelectionTimeoutMS=10_000, event_listeners=[listener]) as client:
        name = f"capacity_{'described' if described else 'plain'}"
        # 20 frames a second, whatever this machine does.
        api = create_app(client[name], clock=lambda: now + timedelta(milliseconds=50 * listener.frames)).test_client()
        api.post("/mk-session", json={"session_id": "s", "ip_address": "", "video_id": ""})
        listener.commands.clear()
        truth = read_truth()
        settings = {"screen": truth["screen"], "camera": truth["camera"]} if described else {}
        for number in range(1, _STORE_FRAMES + 1):
            listener.frames = number
            values = {str(number): json.loads(record), **settings}
            answer = api.put("/update_session/s", json={"component": "gaze_tracking", "data": values})
            assert answer.status_code == 200  # noqa: S101  ours
        client.drop_database(name)
    writes = sum(listener.commands[name] for name in ("update", "insert", "findAndModify"))
    return writes / _STORE_FRAMES, listener.commands["find"] / _STORE_FRAMES


class _CommandCounter(CommandListener):
    def __init__(self) -> None:
        self.frames = 0
        self.commands: Counter[str] = Counter()

    def started(self, event: CommandStartedEvent) -> None:
        self.commands[event.command_name] += 1

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


def read_stage(function_url: str, stage: str) -> tuple[float, float]:
    """Return the seconds and the number of frames that a function has spent in a stage so far."""
    text = requests.get(f"{function_url}/metrics", timeout=10, proxies={"no_proxy": "*"}).text
    found = [
        float(line.rpartition(" ")[2])
        for name in ("sum", "count")
        for line in text.splitlines()
        if line.startswith(f'gaze_stage_seconds_{name}{{stage="{stage}"}}')
    ]
    return found[0], found[1]


def read_cpu_s(part: str) -> float:
    """Return the user and system time that a part of the stack has used so far: those of our descendants."""
    ticks = 0
    for process in _list_descendants(os.getpid()):
        # A process may end while it is read.
        with suppress(OSError):
            if PARTS[part] in (process / "cmdline").read_text():
                fields = _read_fields(process)
                ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND


def _list_descendants(pid: int) -> Iterable[Path]:
    parents: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                parents[int(process.name)] = int(_read_fields(process)[1])
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return [Path("/proc", str(child)) for child in sorted(found - {pid})]
        found |= more


def _read_fields(process: Path) -> list[str]:
    """Return what follows the name in `stat`; the name may hold blanks."""
    return (process / "stat").read_text().rpartition(")")[2].split()
