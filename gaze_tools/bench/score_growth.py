"""CPU time of scoring against the length of a session and the size of its maps; without services."""

import gc
import itertools
import json
import time
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bson
import click
import numpy as np
from rich.table import Table

from func.adapters.model_file import load_gaze_model
from func.adapters.saliency_documents import decode_map
from func.adapters.saliency_floats import decode_document
from func.session.expected_frames import ExpectedFrames
from func.session.frame_record import read_record
from func.session.result import SessionResult
from func.session.session_score import SessionScorer
from func.settings import read_settings
from gaze_core.errors import SessionNotFoundError
from gaze_core.ports import GazeModel, Session, UsableMap, VideoMaps
from gaze_core.types import Floats
from gaze_core.video_times import VideoTimes
from gaze_tools.bench.score import CALIBRATION_ID, describe_calibration, describe_session
from gaze_tools.command_line import console
from gaze_tools.saliency.models import make_model
from gaze_tools.saliency.pixels import quantise

DISTINCT_MAPS = 50
_FRAMES_PER_PAGE = 2000
_SHORT = 5_000


@dataclass(frozen=True, slots=True)
class ScoringLoad:
    """A session to score.

    Attributes:
        frames: Frames of the session.
        every: Distance between maps in frames; each is held until the next one.
        size: Height and width of the maps.
        form: `bytes` for zlib-compressed bytes, `floats` for nested lists of doubles, as old documents have them.
        calibrate: Whether the viewer is calibrated, to `accuracy_deg`.
        accuracy_deg: Scatter of the gaze around calibration targets, in degrees.
    """

    frames: int
    every: int = 1
    size: tuple[int, int] = (270, 480)
    form: str = "bytes"
    calibrate: bool = False
    accuracy_deg: float = 1.6

    def describe(self) -> str:
        """Return the maps in words."""
        often = "every frame" if self.every == 1 else f"every {self.every}"
        return f"{self.size[1]}×{self.size[0]} {self.form}, {often}"


@dataclass(frozen=True, slots=True)
class ScoringCost:
    """What scoring a session cost.

    Attributes:
        cpu_s: CPU time of this process, without making the session and its maps.
        result: The result.
    """

    cpu_s: float
    result: SessionResult


@click.command()
@click.option(
    "--frames",
    multiple=True,
    type=click.IntRange(min=1),
    default=(1, 30, 900, 3_600, 18_000),
    show_default=True,
    help="Length of a session; repeat the option for several.",
)
@click.option(
    "--repeats", type=click.IntRange(min=1), default=3, show_default=True, help="Pairs of up to 5,000 frames."
)
@click.option(
    "--map-frames", type=click.IntRange(min=1), default=300, show_default=True, help="Frames for each map size."
)
def score_growth(frames: tuple[int, ...], repeats: int, map_frames: int) -> None:
    """Show how the CPU time of scoring grows with the session, the size and the form of its maps.

    Sessions are JSON and maps BSON in memory, so that neither services nor the network count. Uncalibrated and
    calibrated sessions are measured in turn; the ratio is the median over the pairs.
    """
    model = load_gaze_model(read_settings({"MONGO_URI": "mongodb://localhost"}).gaze_model)
    loads = [ScoringLoad(count, every) for every in (1, 5) for count in sorted(frames)]
    sizes = ((90, 160), (270, 480), (480, 640), (1080, 1920))
    loads += [ScoringLoad(map_frames, size=size, form=form) for form in ("bytes", "floats") for size in sizes[:3]]
    loads += [ScoringLoad(map_frames, size=sizes[3])]
    measure_scoring(ScoringLoad(60, calibrate=True), model)
    table = Table(title="CPU time of scoring", title_justify="left")
    for column in ("frames", "maps", "s", "calibrated, s", "ratio", "calibrated, ms per frame"):
        table.add_column(column, justify="left" if column == "maps" else "right")
    for load in loads:
        turns = repeats if load.frames <= _SHORT else 1
        costs = [
            (measure_scoring(load, model), measure_scoring(replace(load, calibrate=True), model)) for _ in range(turns)
        ]
        plain_s, calibrated_s = (float(np.median([pair[side].cpu_s for pair in costs])) for side in (0, 1))
        ratio = np.median([calibrated.cpu_s / plain.cpu_s for plain, calibrated in costs])
        table.add_row(
            f"{load.frames}",
            load.describe(),
            f"{plain_s:.3f}",
            f"{calibrated_s:.3f}",
            f"{ratio:.2f}",
            f"{1000 * calibrated_s / load.frames:.3f}",
        )
    console.print(table)


class RepeatedMaps:
    """Video of any length whose maps are BSON documents in memory, decoded each time as those of MongoDB are."""

    def __init__(self, documents: Sequence[bytes], every: int, fps: float, frames: int) -> None:
        """Prepare to serve `documents` in turn."""
        self._documents = documents
        self._every = every
        self._times = VideoTimes(fps, frames, held_every=every)

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of any video."""
        return VideoMaps(self._decode(sorted(frame_nums or ())), None, fps=self._times.fps, times=self._times)

    def is_reachable(self) -> bool:
        """Return that the maps are in memory."""
        return True

    def _decode(self, numbers: Sequence[int]) -> Iterator[UsableMap]:
        for turn, members in itertools.groupby(numbers, lambda number: (number - 1) // self._every):
            document = decode_document(self._documents[turn % len(self._documents)])
            yield UsableMap(tuple(members), decode_map([document]))


class JsonSessions:
    """Sessions as the text that the session API sends, read page by page; only to be read."""

    def __init__(self, pages: Mapping[str, Sequence[str]]) -> None:
        """Prepare to serve the pages of each session."""
        self._pages = pages

    def get_session(self, session_id: str, *, first: int | None = None, last: int | None = None) -> Session:
        """Return a whole session."""
        if session_id not in self._pages:
            raise SessionNotFoundError(session_id)
        frames: dict[int, Any] = {}
        for page in self._pages[session_id]:
            frames |= {int(key): read_record(value) for key, value in json.loads(page).items()}
        return Session(session_id, "192.0.2.1", "bench", "", frames=frames, settings={})


def measure_scoring(load: ScoringLoad, model: GazeModel) -> ScoringCost:
    """Return what scoring a session costs this process: reading, decoding and scoring, without network and services."""
    name = CALIBRATION_ID if load.calibrate else None
    records = {
        "session": _pages(describe_session(load.frames, calibration=name)),
        CALIBRATION_ID: _pages(describe_calibration(load.accuracy_deg)),
    }
    maps = RepeatedMaps(make_documents(load.size, load.form), load.every, 30.0, load.frames)
    sessions = JsonSessions(records)
    scorer = SessionScorer(sessions, maps, model=model)  # type: ignore[arg-type]
    expected = ExpectedFrames(load.frames + 1, has_image=False, total_frames=None)
    # What this process made before is no garbage of the scoring.
    gc.collect()
    gc.freeze()
    started_s = time.process_time()
    result = scorer.score(sessions.get_session("session"), expected, "bench")
    cpu_s = time.process_time() - started_s
    return ScoringCost(cpu_s, result)


def make_documents(size: tuple[int, int], form: str) -> list[bytes]:
    """Return documents with the maps of a bright square that moves in a circle."""
    return [_encode(saliency_map, form) for saliency_map in make_maps(size)]


def make_maps(size: tuple[int, int]) -> Iterator[Floats]:
    """Yield the maps of a bright square that moves in a circle."""
    height, width = size
    model = make_model("spectral_residual", faces=False)
    model.start(height=height, width=width)
    generator = np.random.default_rng(0)
    side = max(1, height // 18)
    for turn in np.linspace(0, 2 * np.pi, DISTINCT_MAPS, endpoint=False):
        frame = generator.integers(60, 100, (height, width, 3), dtype=np.uint8)
        x, y = round(width * (0.5 + 0.31 * np.cos(turn))), round(height * (0.5 + 0.3 * np.sin(turn)))
        frame[y - side : y + side, x - side : x + side] = 250
        yield np.asarray(model.map_frame(frame), dtype=np.float64)


def _encode(saliency_map: Floats, form: str) -> bytes:
    if form == "floats":
        return bson.encode({"saliency_map": saliency_map.tolist()})
    pixels = quantise(saliency_map.astype(np.float32))
    height, width = pixels.shape
    return bson.encode(
        {
            "height": height,
            "width": width,
            "dtype": "uint8",
            "encoding": "zlib",
            "saliency_map": zlib.compress(pixels.tobytes(), 3),
        }
    )


def _pages(records: Iterator[Mapping[str, Any]]) -> list[str]:
    numbered = ((str(number), record) for number, record in enumerate(records, start=1))
    pages = []
    while part := dict(itertools.islice(numbered, _FRAMES_PER_PAGE)):
        pages.append(json.dumps(part))
    return pages
