"""The figures of the model's accuracy: what they say, odd evaluations, and a page that needs nothing else."""

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from research.evaluation.accuracy import Ablation, Calibrated, Estimator, Evaluation, LearningStep, Pictures, Rung
from research.evaluation.figures import draw_sections, write_figures
from research.evaluation.svg import WIDTH_PX

NAMES = [
    *("screen", "offset", "distribution", "yaw", "pitch", "roll", "distance", "iris", "calibration"),
    *("calibration-frames", "learning", "error-budget", "features", "estimators"),
]


def make_pictures(angular_deg=(1.0, 2.0, 4.0, 8.0), **changed):
    """Return pictures, at first all alike, of one person unless more are asked for."""
    count = len(angular_deg)
    given = {
        "point": np.full((count, 2), 0.5),
        "angular_deg": np.array(angular_deg),
        "offset_deg": np.zeros((count, 2)),
        "pose_deg": np.zeros((count, 3)),
        "distance_mm": np.full(count, 600.0),
        "iris_diameter_px": np.full(count, 9.0),
        "identity": np.zeros(count, dtype=np.int64),
        "is_in_range": np.ones(count, dtype=bool),
    }
    return Pictures(**(given | changed))


@pytest.fixture(scope="module")
def full():
    """An evaluation with everything, of 1,000 pictures and 40 people."""
    rng = np.random.default_rng(0)
    offset_deg = rng.normal(0, 3, (1000, 2))
    generic_deg = rng.uniform(3, 9, 40)
    calibrated = Calibrated(generic_deg, generic_deg**0.4, generic_deg**0.3)
    return Evaluation(
        pictures=make_pictures(
            np.hypot(*offset_deg.T),
            offset_deg=offset_deg,
            point=rng.uniform(-0.3, 1.3, (1000, 2)),
            pose_deg=rng.normal(0, (9, 13, 5), (1000, 3)),
            distance_mm=rng.uniform(350, 850, 1000),
            iris_diameter_px=rng.uniform(5, 30, 1000),
            identity=np.repeat(np.arange(40), 25),
            is_in_range=rng.random(1000) < 0.6,
        ),
        of_medians=calibrated,
        of_frames=calibrated,
        learning=(LearningStep(20, 6.0, 5.5, 6.5), LearningStep(300, 4.0, 3.9, 4.1)),
        ladder=(Rung("as shipped", 4.0), Rung("true irises", 3.25)),
        ablation=(Ablation("iris_z", 3.9, 4.0), Ablation("iris_x", 8.5, 4.0)),
        estimators=(Estimator("random forest", 4.5, 6.25), Estimator("linear", 5.0, 0.02)),
    )


def draw(evaluation):
    """Return the figures by name."""
    return {figure.name: figure for _, figures in draw_sections(evaluation) for figure in figures}


def texts(figure):
    """Return all lines of text of a figure."""
    root = ET.fromstring(figure.drawing.render())
    return ["".join(each.itertext()) for each in root.iter("text")]


def test_everything_that_was_measured_has_its_figure(full):
    assert list(draw(full)) == NAMES


def test_what_was_not_measured_has_no_figure_and_no_heading(full):
    sections = draw_sections(Evaluation(full.pictures))

    assert [heading for heading, _ in sections] == ["Over the screen", "How large, and what it depends on"]


def test_every_figure_has_a_caption_of_one_sentence(full):
    assert all(re.fullmatch(r"[A-Z][^.]+\.", figure.caption) for figure in draw(full).values())


def test_bins_show_mean_and_number_of_their_pictures():
    pose_deg = np.array([[0, -20, 0], [0, 0, 0], [0, 4, 0], [0, 30, 0]], dtype=float)
    shown = texts(draw(Evaluation(make_pictures(pose_deg=pose_deg)))["yaw"])

    assert [text for text in shown if re.fullmatch(r"\d\.\d", text)] == ["1.0", "3.0", "8.0"]
    assert [text for text in shown[shown.index("n") :] if text in ("0", "1", "2")] == ["1", "0", "2", "0", "0", "1"]
    assert "all: 3.8°" in shown


def test_bins_between_others_are_shown_even_when_empty():
    pose_deg = np.array([[0, -20, 0], [0, 0, 0], [0, 0, 0], [0, 30, 0]], dtype=float)
    shown = texts(draw(Evaluation(make_pictures(pose_deg=pose_deg)))["yaw"])

    assert [edge for edge in ("−25", "−15", "−5", "5", "15", "25") if edge in shown] == ["−15", "−5", "5", "15", "25"]


def test_a_cell_of_the_screen_shows_its_mean_and_number_of_pictures():
    shown = texts(draw(Evaluation(make_pictures()))["screen"])

    place = shown.index("3.8")
    assert shown[place + 1] == "4"


def test_a_cell_with_few_pictures_has_no_colour_and_no_arrow():
    figures = draw(Evaluation(make_pictures([1.0] * 9, offset_deg=np.ones((9, 2)))))

    assert figures["screen"].drawing.render().count("stroke-dasharray") == 36  # all 35 cells and the key
    assert "1.4" not in texts(figures["offset"])


def test_an_arrow_points_where_the_answers_lie():
    pictures = make_pictures([5.0] * 10, offset_deg=np.tile([3.0, 4.0], (10, 1)))
    drawing = draw(Evaluation(pictures))["offset"]

    # From the middle cell to the right and up, 42 px for the longest: 25.2 and 33.6.
    assert "5.0" in texts(drawing)
    assert 'fill="#0072b2"' in drawing.drawing.render()
    assert "M252.2 158.4" in drawing.drawing.render()


def test_the_distribution_tells_median_and_95th_percentile_in_range():
    is_in_range = np.arange(201) <= 100
    shown = texts(draw(Evaluation(make_pictures(np.linspace(0, 20, 201), is_in_range=is_in_range)))["distribution"])

    assert {"50 %: at most 5.0°", "95 %: at most 9.5°", "in range: 101 pictures", "all: 201 pictures"} <= set(shown)


def test_calibration_shows_means_and_who_is_within_the_target():
    calibrated = Calibrated(np.array([4.0, 8.0]), np.array([1.0, 3.0]), np.array([1.0, 1.5]))
    shown = texts(draw(Evaluation(make_pictures(), of_medians=calibrated))["calibration"])

    assert {"6.0°", "2.0°", "1.2°", "2 people", "1 of 2 within 2°", "2 of 2 within 1.5°"} <= set(shown)


@pytest.mark.parametrize(("after_deg", "is_told"), [(3.9, False), (4.1, True)])
def test_whom_calibration_harms_stands_out(after_deg, is_told):
    calibrated = Calibrated(np.array([4.0]), np.array([4.0]), np.array([after_deg]))
    shown = texts(draw(Evaluation(make_pictures(), of_medians=calibrated))["calibration"])

    assert ("worse with 9 dots" in shown) is is_told


def test_who_could_not_be_calibrated_is_left_out():
    calibrated = Calibrated(np.array([4.0, 8.0]), np.array([1.0, np.nan]), np.array([1.0, np.nan]))
    shown = texts(draw(Evaluation(make_pictures(), of_medians=calibrated))["calibration"])

    assert {"2 people", "1 of 1 within 2°"} <= set(shown)


def test_a_calibration_of_nobody_has_no_figure():
    nobody = Calibrated(*np.full((3, 2), np.nan))

    assert "calibration" not in draw(Evaluation(make_pictures(), of_medians=nobody))


def test_the_ladder_tells_how_far_each_rung_is_from_the_model_as_it_is(full):
    shown = texts(draw(full)["error-budget"])

    assert [text for text in shown if "°" in text] == ["4.00°", "3.25° −0.75°"]


def test_features_are_ordered_by_what_leaving_them_out_costs(full):
    shown = texts(draw(full)["features"])

    assert "how much the mean error rises from 4.00°, and to what" in shown
    assert shown[-4:] == ["iris_x", "+4.50° to 8.50°", "iris_z", "−0.10° to 3.90°"]


def test_estimators_are_ordered_by_error_and_have_their_time(full):
    shown = texts(draw(full)["estimators"])

    assert [text for text in shown if "ms" in text] == ["4.50° 6.2 ms", "5.00° 0.02 ms"]


@pytest.mark.parametrize("count", [1, 4])
def test_one_person_alone_has_no_interval(count):
    figures = draw(Evaluation(make_pictures([2.0] * count)))

    assert "little known" in texts(figures["distance"])


def test_every_line_of_text_lies_within_its_figure(full):
    for figure in draw(full).values():
        for text in ET.fromstring(figure.drawing.render()).iter("text"):
            # No usual typeface is wider than this on average.
            width_px = 0.57 * float(text.get("font-size")) * len("".join(text.itertext()))
            start_px = float(text.get("x")) - width_px * {"middle": 0.5, "end": 1.0}.get(text.get("text-anchor"), 0.0)
            assert start_px > -1, (figure.name, "".join(text.itertext()))
            assert start_px + width_px < WIDTH_PX + 1, (figure.name, "".join(text.itertext()))


def test_the_page_needs_nothing_from_anywhere(full, tmp_path):
    page = write_figures(full, tmp_path).read_text()

    assert "http://" not in page
    assert "https://" not in page
    assert not re.findall(r"<(?:img|script|link|iframe|image|use)\b|url\(|@import|\ssrc=|href=", page)
    assert "default-src 'none'" in page


def test_page_and_files_are_light(full, tmp_path):
    page = write_figures(full, tmp_path)

    assert page.stat().st_size < 400_000
    assert all(path.stat().st_size < 150_000 for path in (tmp_path / "accuracy").iterdir())


def test_the_page_begins_with_who_was_measured_and_how_to_make_it(full, tmp_path):
    page = write_figures(full, tmp_path).read_text()
    paragraph = " ".join(page[page.index("<p>") : page.index("</p>")].split())

    assert "Errors on 1,000 pictures of 40 rendered people, held out by identity" in paragraph
    assert "<code>make evaluate</code> makes this page" in paragraph
    assert "±25° of yaw, ±15° of pitch and ±10° of roll, 400 to 800 mm" in paragraph


def test_the_page_says_of_every_target_whether_it_is_reached(tmp_path):
    calibrated = Calibrated(np.full(5, 6.0), np.full(5, 2.004), np.full(5, 1.5))
    evaluation = Evaluation(make_pictures([3.0, 9.0], is_in_range=np.array([True, False])), of_medians=calibrated)
    page = write_figures(evaluation, tmp_path).read_text()
    told = re.findall(r"<dt>(.+?)<dd><b>(.+?)</b><span>(.+?)</span>(?:<span>(.+?)</span>)?</div>", page)

    assert told == [
        ("No calibration, in range", "3.00°", "too few people for an interval", "target 4°: reached"),
        ("No calibration, all", "6.00°", "too few people for an interval", ""),
        ("After 5 dots", "2.00°", "2.00 to 2.00°", "target 2°: missed"),
        ("After 9 dots", "1.50°", "1.50 to 1.50°", "target 1.5°: reached"),
    ]


def test_every_figure_is_also_a_file_of_its_own(full, tmp_path):
    write_figures(full, tmp_path)

    assert {path.stem for path in (tmp_path / "accuracy").iterdir()} == set(NAMES)
    for path in (tmp_path / "accuracy").iterdir():
        assert ET.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_figures_of_an_earlier_evaluation_are_gone(full, tmp_path):
    write_figures(full, tmp_path)
    write_figures(replace(full, learning=()), tmp_path)

    assert not (tmp_path / "accuracy/learning.svg").exists()


def test_the_same_evaluation_gives_the_same_bytes(full, tmp_path):
    first, again = write_figures(full, tmp_path / "a"), write_figures(full, tmp_path / "b")

    assert first.read_bytes() == again.read_bytes()
