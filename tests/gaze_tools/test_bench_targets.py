import json

import pytest
from pytest import approx

from gaze_tools.bench.comparison import Verdict, compare_reports
from gaze_tools.bench.document import write_sections
from gaze_tools.bench.half_load import SHARE_OF_CAPACITY
from gaze_tools.bench.rendering import tabulate_shares, tabulate_targets
from gaze_tools.bench.results import Limit, MeasuredQuantity, read_report, write_report
from gaze_tools.bench.shares import REST, find_shares
from gaze_tools.bench.targets import Target, list_targets, measure_targets
from tests.gaze_tools.bench_inputs import make_bench_report, make_number

CPU_MS, WALL_MS = MeasuredQuantity.CPU_MS, MeasuredQuantity.WALL_MS


def make_target(limit=2.0, *, is_maximum=True, quantity=CPU_MS, **changes):
    facts = {"name": "frame ÷ networks", "section": "load", "step": "frame", "baseline": "networks"}
    return Target(limit=Limit(value=limit, is_maximum=is_maximum), quantity=quantity, **(facts | changes))


def make_numbers(frame=(10.0, 30.0, 30.0), networks=(10.0, 20.0, 10.0), quantity=CPU_MS):
    return [
        make_number(frame, "frame", quantity, section="load"),
        make_number(networks, "networks", quantity, section="load"),
    ]


def make_target_report(samples, limit, *, quantity=MeasuredQuantity.CPU_RATIO, **machine):
    number = make_number(samples, "gain", quantity, section="targets").model_copy(update={"limit": limit})
    return make_bench_report(number, **machine)


def test_a_target_is_compared_with_the_ratio_of_each_turn():
    (measured,) = measure_targets(make_numbers(), [make_target()])

    assert (measured.section, measured.name) == ("targets", "frame ÷ networks")
    assert measured.samples == approx((1.0, 1.5, 3.0))


def test_two_processes_that_need_as_much_cpu_time_as_one_answer_twice_as_many_frames():
    numbers = [make_number([10.0], "one", section="load"), make_number([10.0], "two", section="load")]

    (measured,) = measure_targets(numbers, [make_target(step="one", baseline="two", factor=2.0)])

    assert measured.samples == (2.0,)


def test_a_target_without_a_baseline_is_the_number_itself():
    (measured,) = measure_targets(make_numbers(), [make_target(baseline=None)])

    assert (measured.samples, measured.quantity) == ((10.0, 30.0, 30.0), CPU_MS)


@pytest.mark.parametrize(
    ("quantity", "ratio"), [(CPU_MS, MeasuredQuantity.CPU_RATIO), (WALL_MS, MeasuredQuantity.WALL_RATIO)]
)
def test_a_ratio_is_one_of_cpu_or_of_wall_times(quantity, ratio):
    (measured,) = measure_targets(make_numbers(quantity=quantity), [make_target(quantity=quantity)])

    assert measured.quantity is ratio


@pytest.mark.parametrize("missing", ["frame", "networks"])
def test_a_target_that_was_not_measured_is_left_out(missing):
    numbers = [number for number in make_numbers() if number.name != missing]

    assert measure_targets(numbers, [make_target()]) == []


def test_the_targets_are_those_of_the_project():
    limits = {target.name: (target.limit.value, target.limit.is_maximum) for target in list_targets()}

    assert limits == {
        "mediapipe: CPU time of a frame ÷ bare networks": (1.8, True),
        "mediapipe: whole request ÷ bare networks": (2.3, True),
        "mediapipe: p99 ÷ median at half load": (2.0, True),
        "mediapipe: two processes against one, by CPU time": (1.85, False),
        "mediapipe: start to first answered frame": (1.4, True),
        "mediapipe: memory after 200 frames": (241, True),
        "litert: CPU time of a frame ÷ bare networks": (1.35, True),
        "litert: whole request ÷ bare networks": (1.8, True),
        "litert: p99 ÷ median at half load": (2.0, True),
        "litert: two processes against one, by CPU time": (1.85, False),
        "litert: start to first answered frame": (0.9, True),
        "litert: memory after 200 frames": (157, True),
    }


def test_only_the_target_of_two_processes_is_a_multiple():
    assert {target.factor for target in list_targets() if "two processes" not in target.name} == {1.0}
    assert {target.factor for target in list_targets() if "two processes" in target.name} == {2.0}


def test_half_load_is_half_of_the_capacity():
    assert SHARE_OF_CAPACITY == 0.5


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        (Limit(value=1.5), "reached"),
        (Limit(value=1.4), "missed by 0.100"),
        (Limit(value=1.5, is_maximum=False), "reached"),
        (Limit(value=1.85, is_maximum=False), "missed by 0.350"),
    ],
)
def test_the_table_says_whether_the_median_reaches_the_target(limit, said):
    table = tabulate_targets(make_target_report([1.0, 1.5, 9.0], limit))

    assert table.rows[0][-1] == said


@pytest.mark.parametrize(
    ("quantity", "said"), [(MeasuredQuantity.WALL_RATIO, "busy machine"), (MeasuredQuantity.CPU_RATIO, "reached")]
)
def test_a_busy_machine_decides_nothing_about_wall_times(quantity, said, tmp_path):
    report = make_target_report([1.5], Limit(value=2.0), quantity=quantity, others_percent=50.0, stolen_percent=0.0)
    write_report(report, tmp_path / "run.json")

    assert tabulate_targets(report).rows[0][-1] == said
    expected = None if said == "busy machine" else True
    assert json.loads((tmp_path / "run.json").read_text())["numbers"][0]["is_reached"] is expected


def test_the_table_of_targets_has_the_limit_and_the_median():
    table = tabulate_targets(make_target_report([1.4, 1.5, 1.6], Limit(value=1.85, is_maximum=False)))

    assert table.rows == (("gain", "ratio of CPU times", "≥ 1.85", "1.50", "3", "missed by 0.350"),)


def test_a_report_without_targets_has_no_table_of_them():
    assert tabulate_targets(make_bench_report(make_number([1.0]))) is None


def test_the_file_says_whether_a_target_is_reached_and_keeps_it(tmp_path):
    report = make_target_report([1.5], Limit(value=1.4))
    write_report(report, tmp_path / "run.json")

    assert json.loads((tmp_path / "run.json").read_text())["numbers"][0]["is_reached"] is False
    assert read_report(tmp_path / "run.json") == report


@pytest.mark.parametrize(("is_maximum", "verdict"), [(True, Verdict.WORSE), (False, Verdict.BETTER)])
def test_a_larger_value_is_better_only_where_the_target_is_a_minimum(is_maximum, verdict):
    before, after = (
        make_target_report([low + at / 1000 for at in range(40)], Limit(value=1.0, is_maximum=is_maximum))
        for low in (1.0, 2.0)
    )

    (change,) = compare_reports(before, after).changes

    assert change.verdict is verdict


def make_frame_report():
    """Return a report in which the stages that are no networks take 1 ms each, and a frame through the server 25 ms."""
    frame = {"section": "frame 640×480", "baselines": ["bare networks"]}
    stages = ("parse the request", "decode the JPEG", "pose and geometry", "eye images and network", "features")
    stages += ("gaze model, ONNX", "record", "session update", "respond")
    return make_bench_report(
        make_number([10.0], "bare networks", section="frame 640×480", is_reference=True),
        *(make_number([1.0], stage, **frame) for stage in stages),
        make_number([11.0], "detect and landmarks, litert", **frame),
        make_number([20.0], "bare networks", section="load", is_reference=True),
        make_number([50.0], "litert, 1 client", section="load", baselines=["bare networks"]),
    )


def test_shares_are_relative_to_the_bare_networks_of_their_own_section():
    """The machine was half as fast under load, where a frame took 50 ms."""
    shares = find_shares(make_frame_report())["litert"]

    assert shares["decode the JPEG"] == approx(1 / 25)
    assert shares["detect and landmarks"] == approx(11 / 25)
    assert shares["bare networks"] == approx(10 / 25)


def test_the_rest_is_what_no_stage_accounts_for():
    assert find_shares(make_frame_report())["litert"][REST] == approx(5 / 25)


def test_an_engine_that_was_not_measured_has_no_shares():
    assert list(find_shares(make_frame_report())) == ["litert"]


def test_the_table_of_shares_is_in_percent():
    table = tabulate_shares(make_frame_report())

    assert table.heading == ("part of the function's CPU time of a frame", "litert, %")
    assert ("detect and landmarks", "44") in table.rows


def test_a_page_gets_targets_and_shares_in_sections_of_their_own():
    frame = make_frame_report()
    target = make_target_report([1.5], Limit(value=1.4)).numbers
    report = make_bench_report(*frame.numbers, *target)
    page = "".join(
        f"<!-- {name}: begin -->\nold\n<!-- {name}: end -->\n" for name in ("run", "run targets", "run shares")
    )

    run, targets, shares = write_sections(page, report).split(": end -->\n")[:3]

    assert ["missed by 0.100" in section for section in (run, targets, shares)] == [False, True, False]
    assert ["rest: HTTP" in section for section in (run, targets, shares)] == [False, False, True]
    assert "old" not in run + targets + shares
