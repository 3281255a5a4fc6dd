"""The files of a report: the page, its figures, and the trace."""

import csv
import json
import re

import pytest

from gaze_tools.report.page import write_report
from gaze_tools.report.trace import COLUMNS
from tests.fakes.report import LOOKS_LEFT, LOOKS_RIGHT, RIGHT, examine, maps_for, record, result_of, right_and_left


class TestFiles:
    @pytest.fixture
    def written(self, tmp_path):
        frames = right_and_left()
        frames[3] = record(validity="eyes_closed")
        report, store = examine(frames, maps_for(frames))
        return write_report(report, store, tmp_path)

    def test_the_page_needs_nothing_from_outside(self, written):
        page = written.read_text()

        sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
        assert len(sources) == 4
        assert all(source.startswith("data:image/png;base64,") for source in sources)
        assert "http:" not in page
        assert "https:" not in page

    def test_the_viewer_s_address_is_nowhere(self, written):
        assert all(b"203.0.113.7" not in file.read_bytes() for file in written.parent.iterdir())

    def test_there_are_a_page_four_pictures_and_the_trace_twice(self, written):
        assert sorted(file.name for file in written.parent.iterdir()) == [
            *("coverage.png", "fixations.png", "key_frames.png", "report.html", "score.png", "trace.csv", "trace.json")
        ]

    def test_the_trace_has_the_documented_columns(self, written):
        with (written.parent / "trace.csv").open() as file:
            rows = list(csv.DictReader(file))
        document = json.loads((written.parent / "trace.json").read_text())

        assert list(rows[0]) == list(COLUMNS) == list(document["columns"])
        assert (rows[0]["frame_number"], rows[0]["hit"], rows[0]["rank"], rows[0]["status"]) == (
            "1",
            "1",
            "0.95",
            "scored",
        )
        assert (rows[2]["status"], rows[2]["screen_x"]) == ("eyes_closed", "")
        assert document["frames"][2]["screen_x"] is None
        assert document["frames"][39]["hit"] == 0
        assert len(rows) == len(document["frames"]) == 40

    def test_events_are_listed_on_the_page_and_in_the_json(self, written):
        page = written.read_text()
        document = json.loads((written.parent / "trace.json").read_text())

        assert "<summary>Fixations (2)</summary>" in page
        assert "<summary>Saccades (1)</summary>" in page
        assert [each["number"] for each in document["fixations"]] == [1, 2]
        assert list(document["saccades"][0]) == [
            *("number", "onset_s", "duration_s", "amplitude_deg", "peak_velocity_deg_per_s")
        ]
        assert document["blinks"] is None

    def test_a_long_table_is_cut_on_the_page_only(self, tmp_path):
        frames = {number: record(LOOKS_RIGHT if number // 10 % 2 else LOOKS_LEFT) for number in range(1, 401)}
        report, store = examine(frames, maps_for(frames))
        page = write_report(report, store, tmp_path).read_text()

        assert "The first 30 of 40; all are in trace.json." in page
        assert len(json.loads((tmp_path / "trace.json").read_text())["fixations"]) == 40

    def test_every_column_is_explained_on_the_page(self, written):
        page = written.read_text()

        assert all(f"<code>{name}</code>" in page for name in COLUMNS)

    def test_names_are_no_markup(self, tmp_path):
        report, store = examine(
            {1: record(LOOKS_RIGHT)}, {1: RIGHT}, result=result_of(100.0, model_digest="<script>alert(1)</script>")
        )

        page = write_report(report, store, tmp_path).read_text()

        assert "<script>" not in page
        assert "&lt;script&gt;" in page
