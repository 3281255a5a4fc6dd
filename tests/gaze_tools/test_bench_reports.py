import json
import re

import pytest
from pytest import approx

from gaze_tools.bench.document import write_sections
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.rendering import format_value, list_tables, print_report, render_markdown
from gaze_tools.bench.results import MeasuredQuantity, join_numbers, read_report, to_numbers, write_report
from gaze_tools.bench.sampling import StepCost
from gaze_tools.bench.session_growth import GrowthCurve, list_curves
from tests.gaze_tools.bench_inputs import make_bench_report, make_number


@pytest.fixture
def report():
    return make_bench_report(
        make_number([10.0, 10.0, 10.0], "networks"),
        make_number([12.0, 13.0, 14.0], "frame", baselines=["networks"]),
        make_number([20.0, 30.0, 40.0], "frame", MeasuredQuantity.WALL_MS),
        skipped=["EyeTrax is not installed."],
    )


def test_a_report_read_from_its_file_is_the_one_that_was_written(report, tmp_path):
    write_report(report, tmp_path / "out" / "run.json")

    assert read_report(tmp_path / "out" / "run.json") == report


def test_the_file_has_medians_and_ratios_for_other_readers(report, tmp_path):
    write_report(report, tmp_path / "run.json")

    frame = json.loads((tmp_path / "run.json").read_text())["numbers"][1]

    assert (frame["median"], frame["quartiles"], frame["ratios"]) == (13.0, [12.5, 13.5], {"networks": 1.3})


def test_the_file_keeps_a_limited_number_of_samples(tmp_path):
    write_report(make_bench_report(make_number(range(1, 10_001))), tmp_path / "run.json")

    described = json.loads((tmp_path / "run.json").read_text())["numbers"][0]

    assert (len(described["samples"]), described["count"]) == (400, 10_000)


def test_a_report_of_another_format_is_refused(report, tmp_path):
    write_report(report.model_copy(update={"format": 2}), tmp_path / "run.json")

    with pytest.raises(ValueError, match="has format 2; this version reads 1"):
        read_report(tmp_path / "run.json")


def test_costs_become_cpu_and_wall_time_in_ms():
    numbers = to_numbers("frame", {"step": [StepCost(wall_s=0.002, cpu_s=0.001)]})

    assert {number.quantity: number.samples for number in numbers} == {
        MeasuredQuantity.CPU_MS: approx((1.0,)),
        MeasuredQuantity.WALL_MS: approx((2.0,)),
    }


def test_references_are_the_baselines_of_all_other_steps():
    costs = {"networks": [StepCost(1, 1)], "frame": [StepCost(1, 1)]}

    numbers = to_numbers("frame", costs, ["networks"])

    assert {number.name: number.baselines for number in numbers} == {"networks": (), "frame": ("networks",)}
    assert {number.name for number in numbers if number.is_reference} == {"networks"}


def test_passes_are_joined_to_one_number_with_the_samples_of_all():
    joined = join_numbers([make_number([1.0, 2.0], "a"), make_number([5.0], "b"), make_number([3.0], "a")])

    assert [(number.name, number.samples) for number in joined] == [("a", (1.0, 2.0, 3.0)), ("b", (5.0,))]


def test_a_table_has_median_spread_and_ratio(report):
    (table,) = list_tables(report)

    assert table.heading == ("step", "CPU, ms", "± %", "wall, ms", "± %", "× networks")
    assert table.rows == (("networks", "10.0", "0", "", "", ""), ("frame", "13.0", "4", "30.0", "17", "1.30"))


def test_a_baseline_that_was_not_measured_has_no_column():
    (table,) = list_tables(make_bench_report(make_number([1.0], baselines=["EyeTrax"])))

    assert table.heading == ("step", "CPU, ms", "± %")


def test_markdown_has_the_machine_the_tables_and_what_was_skipped(report):
    page = render_markdown(report)

    assert page.startswith("Example CPU, 2 cores, Python 3.11.9, numpy 2.3.0; commit 0123456789ab; load average 0.1")
    assert "| frame    | 13.0    | 4   |" in page
    assert "Skipped: EyeTrax is not installed." in page


def test_a_busy_machine_is_mentioned(report, capsys):
    print_report(make_bench_report(*report.numbers, load_before=3.0))

    assert "busy (load average 3 before, 1 after)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.01234, "0.0123"), (1.0, "1.00"), (9.876, "9.88"), (12.34, "12.3"), (1234.5, "1,234")],
)
def test_values_have_three_significant_digits(value, text):
    assert format_value(value) == text


def test_the_machine_has_cores_versions_and_load():
    facts = read_machine_facts()

    assert facts.cores >= 1
    assert re.fullmatch(r"3\.1[12]\.\d+", facts.python)
    assert "numpy" in facts.packages


def test_growth_curves_are_sorted_by_size():
    numbers = [
        make_number([size / 10], f"{size}, function", section="growth: frames in the session") for size in (100, 10)
    ]

    (curve,) = list_curves(make_bench_report(*numbers))

    assert (curve.size_name, curve.series, curve.sizes, curve.cpu_ms) == (
        "frames in the session",
        "function",
        (10, 100),
        (1.0, 10.0),
    )


@pytest.mark.parametrize(("cpu_ms", "exponent"), [((2.0, 2.0, 2.0), 0.0), ((1.0, 10.0, 100.0), 1.0)])
def test_the_exponent_tells_a_constant_cost_from_a_proportional_one(cpu_ms, exponent):
    assert GrowthCurve("frames", "function", (1, 10, 100), cpu_ms).exponent == approx(exponent, abs=1e-9)


def test_a_page_gets_the_tables_of_a_report_in_the_section_with_its_name(report):
    page = "Before\n<!-- run: begin -->\nold\n<!-- run: end -->\nAfter\n"

    written = write_sections(page, report)

    assert "old" not in written
    assert "| frame    | 13.0    | 4   | 30.0     | 17  |" in written


def test_wall_times_of_a_busy_machine_stay_out_of_a_page(report):
    busy = make_bench_report(*report.numbers, load_before=3.0)

    written = write_sections("<!-- run: begin -->\n<!-- run: end -->\n", busy)

    assert "CPU, ms" in written
    assert "wall, ms" not in written
