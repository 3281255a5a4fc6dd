"""CPU time, memory and files of `gaze report` against the length of a session; without services."""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from func.adapters.model_file import load_gaze_model
from gaze_core.ports import Session
from gaze_tools.bench.score import CALIBRATION_ID, ERROR_DEG, describe_calibration, describe_session
from gaze_tools.bench.score_growth import RepeatedMaps, make_documents
from gaze_tools.bench.tables import print_wide
from gaze_tools.report.examination import examine_session, read_gazes
from gaze_tools.report.page import write_report
from gaze_tools.session.export_file import ExportedSessions, ExportHeader, write_export
from models import GAZE_MODEL_PATH

FRAMES_PER_S = 20.0
MAPS_EVERY = 2
"""Distance between maps in frames, as in the studio at this rate."""

MAP_SIZE = (270, 480)
_SESSION_ID = "bench"
_MB = 1e6


@dataclass(frozen=True, slots=True)
class ReportCost:
    """What the report on a session cost.

    Attributes:
        frames: Frames of the session.
        cpu_s: CPU time, from reading the export to the last file.
        peak_bytes: Peak memory of the process.
        page_bytes: Size of report.html, which contains the figures.
        largest_figure_bytes: Size of the largest SVG file.
        trace_bytes: Size of trace.json, the largest file.
    """

    frames: int
    cpu_s: float
    peak_bytes: int
    page_bytes: int
    largest_figure_bytes: int
    trace_bytes: int


@click.command()
@click.option(
    "--frames",
    multiple=True,
    type=click.IntRange(min=1),
    default=(9_000, 18_000, 36_000, 72_000),
    show_default=True,
    help="Length of a session at 20 frames per second; repeat the option for several.",
)
def report_growth(frames: tuple[int, ...]) -> None:
    """Show how CPU time, memory and files of a report grow with the session.

    The sessions are exports, calibrated, with maps in memory, each in a process of its own. Neither the database nor
    the film counts.
    """
    table = Table(title="Reports on sessions", title_justify="left")
    columns = (
        "frames",
        "CPU, s",
        "CPU, ms per frame",
        "peak, MB",
        "report.html, MB",
        "largest SVG, MB",
        "trace.json, MB",
    )
    for column in columns:
        table.add_column(column, justify="right")
    for count in frames:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            cost = pool.submit(measure_report, count).result()
        table.add_row(
            f"{count}",
            f"{cost.cpu_s:.1f}",
            f"{1000 * cost.cpu_s / count:.2f}",
            f"{cost.peak_bytes / _MB:.0f}",
            *(f"{each / _MB:.2f}" for each in (cost.page_bytes, cost.largest_figure_bytes, cost.trace_bytes)),
        )
    print_wide(table)


def measure_report(frames: int, size: tuple[int, int] = MAP_SIZE) -> ReportCost:
    """Return what the report on a session costs this process."""
    maps = RepeatedMaps(make_documents(size, "bytes"), MAPS_EVERY, FRAMES_PER_S, frames)
    with tempfile.TemporaryDirectory(prefix="report-") as scratch:
        path, out = Path(scratch, "session.json"), Path(scratch, "report")
        _write_session(path, frames)
        started_s = time.process_time()
        exported = ExportedSessions(path)
        session = exported.get_session(_SESSION_ID)
        gazes, accuracy = read_gazes(session, exported, lambda: load_gaze_model(GAZE_MODEL_PATH), [])
        report = examine_session(session, maps, gazes, accuracy=accuracy)
        page = write_report(report, maps, out)
        return ReportCost(
            frames,
            time.process_time() - started_s,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            page.stat().st_size,
            max(each.stat().st_size for each in out.glob("*.svg")),
            (out / "trace.json").stat().st_size,
        )


def _write_session(path: Path, frames: int) -> None:
    records = describe_session(frames, calibration=CALIBRATION_ID, frame_rate=FRAMES_PER_S)
    sessions = [_make_session(_SESSION_ID, records), _make_session(CALIBRATION_ID, describe_calibration(ERROR_DEG))]
    header = ExportHeader(_SESSION_ID, "", None, has_ip_address=False)
    write_export(path, header, [[session] for session in sessions])


def _make_session(session_id: str, records: Iterable[dict[str, Any]]) -> Session:
    return Session(session_id, "", "bench", "", frames=dict(enumerate(records, start=1)), settings={})
