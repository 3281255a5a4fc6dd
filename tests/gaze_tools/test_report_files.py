"""The files of a report: the page, its figures, and the trace."""

import base64
import csv
import html
import json
import re
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from gaze_tools.report.charts import clock_time
from gaze_tools.report.events_list import EVENT_COLUMNS, write_fixation_columns
from gaze_tools.report.eye_events import EyeEvents, ScreenFixation
from gaze_tools.report.page import DATA_FILES, write_report, write_trace
from gaze_tools.report.trace import COLUMNS
from tests.fakes.report import LOOKS_LEFT, LOOKS_RIGHT, RIGHT, examine, maps_for, record, result_of, right_and_left
from tests.fakes.videos import write_video


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The page of a report, with its files beside it, which no test changes."""
    frames = right_and_left()
    frames[3] = record(validity="eyes_closed")
    report, store = examine(frames, maps_for(frames))
    return write_report(report, store, tmp_path_factory.mktemp("report"))


class TestFiles:
    def test_the_page_needs_nothing_from_outside(self, written):
        page = written.read_text()

        sources = re.findall(r'(?:src|href)="([^"]{0,30})', page)
        embedded = [source for source in sources if source.startswith("data:image/jpeg;base64,")]
        # A heat map, and four key frames with their saliency maps.
        assert len(embedded) == 1 + 2 * 4
        # The links on the page; the events link to their files once more.
        assert {source for source in sources if source not in embedded} == set(DATA_FILES)
        assert "<script" not in page
        assert "http:" not in page
        assert "https:" not in page

    def test_the_viewer_s_address_is_nowhere(self, written):
        assert all(b"203.0.113.7" not in file.read_bytes() for file in written.parent.iterdir())

    def test_there_are_a_page_its_figures_the_events_and_the_trace_twice(self, written):
        assert sorted(file.name for file in written.parent.iterdir()) == [
            *("blinks.csv", "coverage.svg", "fixations.csv", "fixations.svg", "heat_map.svg", "key_frames.svg"),
            *("report.html", "saccades.csv", "score.svg", "trace.csv", "trace.json"),
        ]

    def test_every_linked_file_is_beside_the_page(self, written):
        links = re.findall(r'<a href="([^"]+)" download>', written.read_text())

        assert set(links) == set(DATA_FILES)
        assert all((written.parent / link).is_file() for link in links)

    def test_an_overlay_is_linked_if_there_is_one(self, tmp_path):
        report, store = examine({1: record(LOOKS_RIGHT)}, {1: RIGHT})

        page = write_report(report, store, tmp_path, overlay="gaze.mp4").read_text()

        assert '<a href="gaze.mp4" download>gaze.mp4</a>: the video with the gaze' in page

    @pytest.mark.parametrize(
        ("name", "link"),
        [
            ("50% #1?.mp4", "50%25%20%231%3F.mp4"),
            ("javascript:x.mp4", "javascript%3Ax.mp4"),
            ('"><b>.mp4', "%22%3E%3Cb%3E.mp4"),
        ],
    )
    def test_any_name_of_an_overlay_is_an_address(self, tmp_path, name, link):
        report, store = examine({1: record(LOOKS_RIGHT)}, {1: RIGHT})

        page = write_report(report, store, tmp_path, overlay=name).read_text()

        assert f'<a href="{link}" download>{html.escape(name)}</a>' in page

    def test_a_position_before_the_start_is_negative(self, tmp_path):
        frames = {number: record(LOOKS_RIGHT, video_time_ms=50.0 * number - 1500) for number in range(1, 41)}
        report, store = examine(frames, maps_for(frames))

        assert "<td>−0:01.450" in write_report(report, store, tmp_path).read_text()
        assert [clock_time(time_s) for time_s in (-61.5, -1.0, -0.5, 0.5, 61.5)] == [
            "−1:01",
            "−0:01",
            "0:00",
            "0:00",
            "1:01",
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

    def test_fixations_and_saccades_are_tables_with_the_documented_columns(self, written):
        with (written.parent / "fixations.csv").open() as file:
            fixations = list(csv.DictReader(file))
        with (written.parent / "saccades.csv").open() as file:
            saccades = list(csv.DictReader(file))

        assert list(fixations[0]) == list(EVENT_COLUMNS["fixations"])
        assert list(saccades[0]) == list(EVENT_COLUMNS["saccades"])
        # The viewer looks right for half a second, and to the left from 0.5 s on.
        assert [(each["onset_s"], each["duration_s"], each["video_x"], each["samples"]) for each in fixations] == [
            ("0.0", "0.45", "0.95", "9"),
            ("0.5", "1.45", "0.05", "30"),
        ]
        assert (saccades[0]["onset_s"], float(saccades[0]["amplitude_deg"])) == ("0.45", pytest.approx(28.95, abs=0.1))

    def test_the_columns_of_the_fixations_have_no_more_digits_than_a_screen_shows(self, tmp_path):
        path = tmp_path / "fixations.json"
        seen = ScreenFixation(1.23456, 0.45678, 0.1, 0.2, 0.123456, -0.654321, 0.5, 9)
        write_fixation_columns(EyeEvents((seen,)), path)

        assert path.read_text() == '{"onset_ms":[1235],"duration_ms":[457],"x":[12346],"y":[-65432]}'

    def test_without_the_position_of_the_eyes_the_columns_are_null(self, tmp_path):
        write_fixation_columns(EyeEvents(), tmp_path / "fixations.json")

        assert set(json.loads((tmp_path / "fixations.json").read_text()).values()) == {None}

    def test_without_a_frame_the_trace_is_empty(self, tmp_path):
        report, _ = examine({})
        write_trace(report, tmp_path)

        assert json.loads((tmp_path / "trace.json").read_text())["frames"] == []
        assert (tmp_path / "trace.csv").read_text() == ",".join(COLUMNS) + "\n"

    def test_without_events_the_tables_have_their_header_only(self, tmp_path):
        report, store = examine({1: record(validity="no_face")}, {1: RIGHT})
        write_report(report, store, tmp_path)

        for kind, columns in EVENT_COLUMNS.items():
            assert (tmp_path / f"{kind}.csv").read_text() == ",".join(columns) + "\n"

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

        assert 'The first 30 of 40; all with more columns in <a href="fixations.csv" download>' in page
        assert len(json.loads((tmp_path / "trace.json").read_text())["fixations"]) == 40
        assert (tmp_path / "fixations.csv").read_text().count("\n") == 41

    def test_every_column_is_explained_on_the_page(self, written):
        page = written.read_text()

        documented = [*COLUMNS, *(name for columns in EVENT_COLUMNS.values() for name in columns)]
        assert all(f"<code>{name}</code>" in page for name in documented)

    def test_names_are_no_markup(self, tmp_path):
        report, store = examine(
            {1: record(LOOKS_RIGHT)}, {1: RIGHT}, result=result_of(100.0, model_digest="<script>alert(1)</script>")
        )

        page = write_report(report, store, tmp_path).read_text()

        assert "<script>" not in page
        assert "&lt;script&gt;" in page


class TestFigures:
    @pytest.mark.parametrize("name", ["heat_map", "key_frames", "score", "coverage", "fixations"])
    def test_each_is_a_file_of_its_own_with_title_description_and_text(self, written, name):
        root = ET.fromstring((written.parent / f"{name}.svg").read_text())
        texts = {element.tag.rpartition("}")[2]: element.text for element in root.iter()}

        assert root.get("role") == "img"
        assert root.get("aria-labelledby") == f"{name}-title {name}-desc"
        assert texts["title"]
        assert texts["desc"].endswith(".")
        assert texts["text"]
        assert "prefers-color-scheme: dark" in texts["style"]

    def test_the_scale_of_the_heat_map_says_its_unit(self, written):
        svg = (written.parent / "heat_map.svg").read_text()

        assert ">seconds of gaze per square degree<" in svg

    def test_ids_are_unique_on_the_page(self, written):
        ids = re.findall(r' id="([^"]+)"', written.read_text())

        assert len(ids) == len(set(ids)) == 14  # a title and a description each, and two colour scales

    def test_a_session_beside_the_video_has_no_heat_map(self, tmp_path):
        frames = {number: record([5.0, -3.0]) for number in range(1, 30)}
        report, store = examine(frames, maps_for(frames))
        page = write_report(report, store, tmp_path).read_text()

        assert "Heat map of the session" not in page
        assert "Gaze on the video" in page

    def test_the_heat_map_has_the_shape_of_the_film_and_its_image(self, tmp_path):
        film = write_video(tmp_path / "film.mp4", [np.full((64, 32, 3), 200, dtype=np.uint8)] * 2)
        report, store = examine({1: record([0.05, 0.05])}, {1: RIGHT})
        write_report(report, store, tmp_path, video=film)

        image = re.search(r"<image ([^>]+)>", (tmp_path / "heat_map.svg").read_text())[1]
        attributes = dict(re.findall(r'([a-zA-Z]+)="([^"]*)"', image))
        pixels = cv2.imdecode(
            np.frombuffer(base64.b64decode(attributes["href"].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR_RGB
        )
        assert float(attributes["height"]) == 2 * float(attributes["width"])
        assert pixels.shape == (640, 320, 3)
        # Grey where nobody looked, yellow at the point of gaze.
        assert pixels[600, 160].tolist() == pytest.approx([200, 200, 200], abs=6)
        assert pixels[32, 16, 2] < pixels[32, 16, 0] - 60

    def test_odd_values_keep_the_figures_valid(self, tmp_path):
        frames = {number: record([0.5, 0.5], video_time_ms=1e12 if number == 3 else 50.0) for number in range(1, 6)}
        report, store = examine(frames, maps_for(frames), viewport={"x": 0, "y": 0, "width": 1e-6, "height": 1.0})
        write_report(report, store, tmp_path)

        for path in tmp_path.glob("*.svg"):
            text = re.sub(r'"data:image[^"]*"', "", path.read_text())
            ET.fromstring(text.replace("href=", ""))
            assert not re.search(r"\b(nan|inf)\b", text)
