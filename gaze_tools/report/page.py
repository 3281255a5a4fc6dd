"""The page of `gaze report`, its figures, the trace and the eye events.

The numbers are recomputed from the session's records and the maps in the store, by the code that makes the function's
results; where the stored result differs, the page says so.
"""

import csv
import html
import json
from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from urllib.parse import quote

from gaze_core.ports import SaliencyMaps
from gaze_tools.report.charts import clock_time
from gaze_tools.report.events_list import EVENT_COLUMNS, list_events, write_events
from gaze_tools.report.examination import Report
from gaze_tools.report.figures import ReportFigure, draw_figures
from gaze_tools.report.numbers import describe_numbers
from gaze_tools.report.page_template import PAGE
from gaze_tools.report.scale import draw_scale
from gaze_tools.report.trace import COLUMNS

MAX_LISTED_EVENTS = 30
"""Rows of an event table on the page; the CSV files have all events."""

DATA_FILES: Mapping[str, str] = {
    "trace.csv": "every frame",
    "trace.json": "every frame and all eye events",
    "fixations.csv": "all fixations",
    "saccades.csv": "all saccades",
    "blinks.csv": "all blinks",
}
"""Data beside the page, and what each file contains."""


def write_report(
    report: Report, maps: SaliencyMaps, out: Path, *, video: Path | None = None, overlay: str | None = None
) -> Path:
    """Write the page, its figures, the trace and the eye events into a directory; return the path of the page.

    Args:
        report: Report to write.
        maps: Store with the saliency maps of the video, for the key frames.
        out: Directory, created if missing.
        video: Video file; None draws heat maps on a dark background.
        overlay: Name of the overlay video beside the page, to which it links; None without one.

    Raises:
        OSError: A file cannot be written, or the video cannot be read.
        SaliencyStoreError: The store of the maps failed.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_trace(report, out)
    write_events(report.events, out)
    figures = draw_figures(report, maps, video=video)
    for figure in figures:
        (out / f"{figure.svg.name}.svg").write_text(figure.svg.standalone(), encoding="utf-8")
    page = out / "report.html"
    page.write_text(_render(report, figures, overlay), encoding="utf-8")
    return page


def write_trace(report: Report, out: Path) -> None:
    """Write the trace as CSV, and with the eye events as JSON, into a directory, which must exist.

    Raises:
        OSError: A file cannot be written.
    """
    head = {
        "session_id": report.session_id,
        "video_id": report.video_id,
        "maps_digest": report.maps_digest,
        "columns": dict(COLUMNS),
    }
    read, to_json = attrgetter(*COLUMNS), json.JSONEncoder(allow_nan=False).encode
    with (
        (out / "trace.csv").open("w", newline="", encoding="utf-8") as table,
        (out / "trace.json").open("w", encoding="utf-8") as document,
    ):
        writer = csv.writer(table)
        writer.writerow(COLUMNS)
        # Row by row: the document of an hour takes more memory than all that it is made of.
        document.write(f'{to_json(head)[:-1]}, "frames": [')
        for index, row in enumerate(report.rows):
            values = [round(value, 6) if isinstance(value, float) else value for value in read(row)]
            writer.writerow(values)
            document.write(f"{', ' if index else ''}{to_json(dict(zip(COLUMNS, values, strict=True)))}")
        document.write(f"], {to_json(list_events(report.events))[1:]}\n")


def _render(report: Report, figures: Sequence[ReportFigure], overlay: str | None) -> str:
    notes = list(report.notes)
    attention = report.attention
    if attention is None:
        reasons = (
            ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in report.statuses.items())
            or "the session has no frames"
        )
        notes.insert(0, f"There is no score: {reasons}.")
    elif not attention.final_score_percent.interval_reliable:
        notes.append("The session is too short for reliable 95 % intervals (in brackets).")
    rows = "".join(
        f"<tr><th scope=row>{html.escape(name)}<td class=value>{html.escape(value)}<td>{html.escape(meaning)}</tr>\n"
        for name, value, meaning in describe_numbers(report)
    )
    sections = "".join(
        f"<section><h2>{html.escape(figure.title)}</h2><p>{html.escape(figure.caption)}</p>\n"
        f"{figure.svg.inline()}</section>\n"
        for figure in figures
    )
    model_digest = None if report.stored_result is None else report.stored_result.model_digest
    facts = [
        ("Session", report.session_id),
        ("Video", report.video_id),
        ("Digest of the maps", report.maps_digest or "not stored"),
        ("Gaze model", model_digest or "unknown"),
    ]
    about = "".join(f"<dt>{html.escape(name)}<dd>{html.escape(value)}\n" for name, value in facts)
    return PAGE.format(
        title=html.escape(f"Attention report for {report.video_id}"),
        about=about,
        headline=_render_headline(report),
        notes="".join(f"<p class=note>{html.escape(note)}</p>\n" for note in notes),
        rows=rows,
        figures=sections,
        events=_render_events(report),
        files=_render_files(overlay),
        columns=_render_columns(),
    )


def _render_headline(report: Report) -> str:
    """Return the score in large type with its scale; nothing if there is no valid score."""
    attention, stored = report.attention, report.stored_result
    if attention is None or (stored is not None and not stored.score_valid):
        return ""
    score, chance = attention.final_score_percent, attention.chance_level_percent
    interval = None if score.low is None or score.high is None else (score.low, score.high)
    meaning = (
        f"of the scored frames have the gaze in the most salient 30 % of the video frame. Chance is {chance:.1f} %."
    )
    scale = draw_scale(score.value, interval, chance).inline()
    return f"<p class=headline><strong>{score.value:.1f} %</strong> <span>{meaning}</span></p>\n{scale}\n"


def _render_files(overlay: str | None) -> str:
    files = dict(DATA_FILES) if overlay is None else {overlay: "the video with the gaze", **DATA_FILES}
    return "".join(
        f'<li><a href="{quote(name)}" download>{html.escape(name)}</a>: {what}\n' for name, what in files.items()
    )


def _render_columns() -> str:
    """Return a table of columns for each file."""
    tables = {"trace.csv and trace.json": COLUMNS, **{f"{kind}.csv": names for kind, names in EVENT_COLUMNS.items()}}
    return "".join(
        f"<h3>{title}</h3><table class=columns>"
        + "".join(
            f"<tr><th scope=row><code>{name}</code><td>{html.escape(text)}</tr>\n" for name, text in columns.items()
        )
        + "</table>\n"
        for title, columns in tables.items()
    )


def _render_events(report: Report) -> str:
    """Return a folded table for each kind of event that occurred."""
    events = report.events
    tables: list[tuple[str, tuple[str, ...], list[tuple[str, ...]]]] = [
        (
            "fixations",
            ("onset, min:s", "duration, ms", "x on the video, %", "y on the video, %", "dispersion, °"),
            [
                (
                    _precise_time(each.onset_s),
                    f"{1000 * each.duration_s:.0f}",
                    f"{100 * each.video_x:.0f}",
                    f"{100 * each.video_y:.0f}",
                    f"{each.dispersion_deg:.1f}",
                )
                for each in events.fixations or ()
            ],
        ),
        (
            "saccades",
            ("onset, min:s", "duration, ms, at most", "amplitude, °", "peak velocity, °/s, at least"),
            [
                (
                    _precise_time(each.onset_s),
                    f"{1000 * each.duration_s:.0f}",
                    f"{each.amplitude_deg:.1f}",
                    f"{each.peak_velocity_deg_per_s:.0f}",
                )
                for each in events.saccades or ()
            ],
        ),
        (
            "blinks",
            ("onset, min:s", "duration, ms"),
            [(_precise_time(each.onset_s), f"{1000 * each.duration_s:.0f}") for each in events.blinks or ()],
        ),
    ]
    return "".join(_render_table(kind, heading, rows) for kind, heading, rows in tables if rows)


def _render_table(kind: str, heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th scope=col>{html.escape(cell)}" for cell in ("number", *heading))
    body = "".join(
        f"<tr><th scope=row>{number}{''.join(f'<td>{cell}' for cell in row)}</tr>\n"
        for number, row in enumerate(rows[:MAX_LISTED_EVENTS], start=1)
    )
    link = f'<a href="{kind}.csv" download>{kind}.csv</a>'
    listed = f"The first {MAX_LISTED_EVENTS} of {len(rows)}; all" if len(rows) > MAX_LISTED_EVENTS else "The same"
    return (
        f"<details><summary>{kind.capitalize()} ({len(rows)})</summary>\n"
        f'<div class=wide role=region aria-label="Table of {kind}" tabindex=0>'
        f"<table class=events><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
        f"<p>{listed} with more columns in {link}.</p></details>\n"
    )


def _precise_time(time_s: float) -> str:
    seconds, milliseconds = divmod(round(1000 * abs(time_s)), 1000)
    return f"{'−' if time_s < 0 else ''}{clock_time(seconds)}.{milliseconds:03d}"
