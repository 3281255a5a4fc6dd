"""The page of `gaze report`, and the trace as CSV and JSON.

The numbers are recomputed from the session's records and the maps in the store, by the code that makes the function's
results; where the stored result differs, the page says so.
"""

import base64
import csv
import html
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gaze_core.ports import SaliencyMaps
from gaze_tools.report.examination import Report
from gaze_tools.report.figures import ReportFigure, clock_time, draw_figures
from gaze_tools.report.numbers import describe_numbers
from gaze_tools.report.trace import COLUMNS, TraceRow

MAX_LISTED_EVENTS = 30
"""Rows of an event table on the page; trace.json has all events."""


def write_report(report: Report, maps: SaliencyMaps, out: Path, *, video: Path | None = None) -> Path:
    """Write the page, its figures and the trace into a directory; return the path of the page.

    Args:
        report: Report to write.
        maps: Store with the saliency maps of the video, for the key frames.
        out: Directory, created if missing.
        video: Video file; None draws key frames on a dark background.

    Raises:
        OSError: A file cannot be written, or the video cannot be read.
        SaliencyStoreError: The store of the maps failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_trace(report, out)
    page = out / "report.html"
    page.write_text(_render(report, draw_figures(report, maps, out, video=video)), encoding="utf-8")
    return page


def write_trace(report: Report, out: Path) -> None:
    """Write the trace as CSV, and with the eye events as JSON, into a directory, which must exist.

    Raises:
        OSError: A file cannot be written.
    """
    with (out / "trace.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in report.rows:
            writer.writerow(["" if value is None else value for value in _values(row)])
    document = {
        "session_id": report.session_id,
        "video_id": report.video_id,
        "maps_digest": report.maps_digest,
        "columns": dict(COLUMNS),
        "frames": [dict(zip(COLUMNS, _values(row), strict=True)) for row in report.rows],
        **list_events(report),
    }
    (out / "trace.json").write_text(json.dumps(document, allow_nan=False) + "\n", encoding="utf-8")


def _values(row: TraceRow) -> list[Any]:
    return [
        round(value, 6) if isinstance(value, float) else value for value in (getattr(row, name) for name in COLUMNS)
    ]


def list_events(report: Report) -> dict[str, list[dict[str, float]] | None]:
    """Return fixations, saccades and blinks as JSON; None where the records lack what they need."""
    fields = {
        "fixations": ("onset_s", "duration_s", "x", "y"),
        "saccades": ("onset_s", "duration_s", "amplitude_deg", "peak_velocity_deg_per_s"),
        "blinks": ("onset_s", "duration_s"),
    }
    listed: dict[str, list[dict[str, float]] | None] = {}
    for kind, names in fields.items():
        events = getattr(report.events, kind)
        listed[kind] = None
        if events is not None:
            values = (asdict(event) for event in events)
            listed[kind] = [
                {"number": number, **{name: round(each[name], 6) for name in names}}
                for number, each in enumerate(values, start=1)
            ]
    return listed


def _render(report: Report, figures: Sequence[ReportFigure]) -> str:
    notes = list(report.notes)
    attention = report.attention
    if attention is None:
        reasons = (
            ", ".join(f"{count} {reason}" for reason, count in report.statuses.items()) or "the session has no frames"
        )
        notes.insert(0, f"There is no score: {reasons}.")
    elif not attention.final_score_percent.interval_reliable:
        notes.append("The session is too short for reliable 95 % intervals (in brackets).")
    rows = "".join(
        f"<tr><th scope=row>{html.escape(name)}<td class=value>{html.escape(value)}<td>{html.escape(meaning)}</tr>\n"
        for name, value, meaning in describe_numbers(report)
    )
    sections = "".join(
        f"<section><h2>{html.escape(figure.title)}</h2><p>{html.escape(figure.caption)}</p>"
        f'<img alt="{html.escape(figure.title)}" src="data:image/png;base64,'
        f'{base64.b64encode(figure.path.read_bytes()).decode()}"></section>\n'
        for figure in figures
    )
    columns = "".join(
        f"<tr><th scope=row><code>{html.escape(name)}</code><td>{html.escape(meaning)}</tr>\n"
        for name, meaning in COLUMNS.items()
    )
    model_digest = None if report.stored_result is None else report.stored_result.model_digest
    facts = [
        ("Session", report.session_id),
        ("Video", report.video_id),
        ("Digest of the maps", report.maps_digest or "not stored"),
        ("Gaze model", model_digest or "unknown"),
    ]
    about = "".join(f"<dt>{html.escape(name)}<dd>{html.escape(value)}\n" for name, value in facts)
    return _PAGE.format(
        title=html.escape(f"Attention report for {report.video_id}"),
        about=about,
        notes="".join(f"<p class=note>{html.escape(note)}</p>\n" for note in notes),
        rows=rows,
        figures=sections,
        events=_render_events(report),
        columns=columns,
    )


def _render_events(report: Report) -> str:
    """Return a folded table for each kind of event that occurred."""
    events = report.events
    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
        (
            "Fixations",
            ("onset", "duration, ms", "x", "y"),
            [
                (clock_time(each.onset_s), f"{1000 * each.duration_s:.0f}", f"{each.x:.2f}", f"{each.y:.2f}")
                for each in events.fixations or ()
            ],
        ),
        (
            "Saccades",
            ("onset", "amplitude, °", "peak velocity, °/s"),
            [
                (clock_time(each.onset_s), f"{each.amplitude_deg:.1f}", f"{each.peak_velocity_deg_per_s:.0f}")
                for each in events.saccades or ()
            ],
        ),
        (
            "Blinks",
            ("onset", "duration, ms"),
            [(clock_time(each.onset_s), f"{1000 * each.duration_s:.0f}") for each in events.blinks or ()],
        ),
    ]
    return "".join(_render_table(title, heading, rows) for title, heading, rows in tables if rows)


def _render_table(title: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th scope=col>{html.escape(cell)}" for cell in heading)
    body = "".join(f"<tr>{''.join(f'<td>{cell}' for cell in row)}</tr>\n" for row in rows[:MAX_LISTED_EVENTS])
    more = (
        f"<p>The first {MAX_LISTED_EVENTS} of {len(rows)}; all are in trace.json.</p>"
        if len(rows) > MAX_LISTED_EVENTS
        else ""
    )
    return (
        f"<details><summary>{title} ({len(rows)})</summary>"
        f"<table class=events><tr>{head}</tr>\n{body}</table>{more}</details>\n"
    )


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 46rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1d2733; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.15rem; margin: 2rem 0 .25rem; }}
p {{ margin: .25rem 0 .75rem; }}
.note {{ border-left: 4px solid #d1495b; background: #fdf3f4; padding: .5rem .75rem; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ border-top: 1px solid #dde3ea; padding: .5rem .75rem .5rem 0; text-align: left; vertical-align: top; }}
th {{ font-weight: 600; }}
.value {{ font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }}
img {{ display: block; width: 100%; height: auto; }}
dl {{ font-size: .85rem; color: #52606d; }}
dt {{ font-weight: 600; }}
dd {{ margin: 0 0 .4rem; overflow-wrap: anywhere; }}
summary {{ cursor: pointer; margin-top: 1rem; }}
.events {{ font-size: .85rem; font-variant-numeric: tabular-nums; width: auto; }}
.events th, .events td {{ padding: .2rem 1.25rem .2rem 0; text-align: right; }}
@media (max-width: 34rem) {{
  .numbers th, .numbers td {{ display: inline-block; border: 0; padding: 0; }}
  .numbers th {{ margin-right: .75rem; }}
  .numbers td:last-child {{ display: block; color: #52606d; }}
  .numbers tr {{ display: block; border-top: 1px solid #dde3ea; padding: .5rem 0; }}
}}
</style>
<h1>{title}</h1>
{notes}<table class=numbers>
{rows}</table>
{figures}{events}<details><summary>Columns of trace.csv and trace.json</summary>
<table>
{columns}</table></details>
<dl>
{about}</dl>
</html>
"""
