import numpy as np
import pytest
from click.testing import CliRunner
from pytest import approx

from gaze_tools.bench.comparison import ALPHA, MIN_EFFECT, Verdict, adjust_holm, block_medians, compare_reports
from gaze_tools.bench.results import MeasuredQuantity, write_report
from gaze_tools.cli import main
from tests.gaze_tools.bench_inputs import make_bench_report, make_number

STEPS = 10


def draw_report(generator, *, factors=None, samples=100, **kwargs):
    """Return a report of `STEPS` steps whose times scatter by 5 %, on a machine whose speed wanders by 10 %."""
    speed = np.exp(np.cumsum(generator.normal(0, 0.01, samples)))
    numbers = [
        make_number((factors or {}).get(at, 1.0) * speed * generator.lognormal(at / 10, 0.05, samples), f"step {at}")
        for at in range(STEPS)
    ]
    baseline = make_number(speed * generator.lognormal(0, 0.05, samples), "baseline", is_reference=True)
    related = [number.model_copy(update={"baselines": ("baseline",)}) for number in numbers]
    return make_bench_report(baseline, *related, **kwargs)


def verdicts(comparison):
    return {change.name: change.verdict for change in comparison.changes}


def test_equal_distributions_are_no_change_in_at_least_95_of_100_comparisons():
    generator = np.random.default_rng(0)

    changed = [
        compare_reports(draw_report(generator), draw_report(generator)).find(Verdict.BETTER, Verdict.WORSE)
        for _ in range(20)
    ]

    assert sum(map(bool, changed)) <= 1


@pytest.mark.slow
def test_the_adjustment_alone_keeps_the_error_of_all_tests_together_near_alpha():
    """Independent samples without a baseline and no minimum effect: only the p-values decide."""
    generator = np.random.default_rng(1)

    def draw():
        return make_bench_report(*(make_number(generator.lognormal(0, 0.1, 40), f"step {at}") for at in range(STEPS)))

    changed = [compare_reports(draw(), draw(), min_effect=0.0).find(Verdict.BETTER, Verdict.WORSE) for _ in range(60)]

    assert sum(map(bool, changed)) <= 3


def test_a_step_that_became_10_percent_slower_is_found_and_no_other():
    generator = np.random.default_rng(2)

    found = compare_reports(draw_report(generator), draw_report(generator, factors={7: 1.1}))

    assert [change.name for change in found.find(Verdict.WORSE)] == ["step 7"]
    assert found.find(Verdict.BETTER) == []
    (change,) = found.find(Verdict.WORSE)
    assert change.effect == approx(0.1, abs=0.03)


def test_a_step_that_became_10_percent_faster_is_better():
    generator = np.random.default_rng(3)

    found = compare_reports(draw_report(generator), draw_report(generator, factors={7: 0.9}))

    assert [change.name for change in found.find(Verdict.BETTER)] == ["step 7"]


def test_a_machine_of_half_the_speed_changes_no_ratio():
    one = draw_report(np.random.default_rng(4))
    half = make_bench_report(
        *(number.model_copy(update={"samples": tuple(2 * np.array(number.samples))}) for number in one.numbers)
    )

    found = compare_reports(one, half)

    assert found.find(Verdict.BETTER, Verdict.WORSE) == []
    assert verdicts(found)["baseline"] is Verdict.REFERENCE


def test_more_frames_per_second_are_better():
    reports = [
        make_bench_report(make_number(np.linspace(low, low + 1, 40), quantity=MeasuredQuantity.FRAMES_PER_S))
        for low in (50.0, 60.0)
    ]

    assert verdicts(compare_reports(*reports)) == {"step": Verdict.BETTER}


@pytest.mark.parametrize(("factor", "verdict"), [(1.04, Verdict.NO_CHANGE), (1.06, Verdict.WORSE)])
def test_a_change_counts_from_5_percent(factor, verdict):
    samples = np.linspace(1.0, 1.001, 40)

    found = compare_reports(make_bench_report(make_number(samples)), make_bench_report(make_number(factor * samples)))

    assert verdicts(found) == {"step": verdict}
    assert MIN_EFFECT == 0.05


@pytest.mark.parametrize(("share", "verdict"), [(0.009, Verdict.NO_CHANGE), (0.011, Verdict.WORSE)])
def test_a_change_of_less_than_a_thousandth_of_the_baseline_does_not_count(share, verdict):
    """A step that takes `share` of its baseline becomes 10 % slower."""

    def make(factor):
        noise = np.linspace(1.0, 1.001, 40)
        networks = make_number(np.ones(40), "networks", is_reference=True)
        return make_bench_report(networks, make_number(factor * share * noise, baselines=["networks"]))

    assert verdicts(compare_reports(make(1.0), make(1.1)))["step"] is verdict


def test_a_handful_of_samples_decides_nothing():
    before, after = (make_bench_report(make_number([low, low, low])) for low in (1.0, 2.0))

    assert verdicts(compare_reports(before, after)) == {"step": Verdict.TOO_FEW_SAMPLES}


def test_wall_time_of_a_busy_machine_is_not_judged_but_cpu_time_is():
    def make(low, **machine):
        samples = np.linspace(low, low + 0.01, 40)
        return make_bench_report(
            make_number(samples, "elapsed", MeasuredQuantity.WALL_MS), make_number(samples, "computed"), **machine
        )

    found = compare_reports(make(1.0), make(2.0, load_before=0.6))

    assert verdicts(found) == {"elapsed": Verdict.BUSY, "computed": Verdict.WORSE}
    assert any("busy" in warning for warning in found.warnings)


def test_a_load_average_of_half_a_core_of_two_is_not_busy():
    found = compare_reports(*(make_bench_report(make_number([1.0]), load_before=0.5) for _ in range(2)))

    assert found.warnings == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cpu": "Other CPU"}, "CPU: Example CPU and Other CPU"),
        ({"cores": 4}, "number of cores: 2 and 4"),
        ({"packages": {"numpy": "2.4.0"}}, "numpy: 2.3.0 and 2.4.0"),
        ({"packages": {}}, "numpy: 2.3.0 and not installed"),
    ],
)
def test_a_comparison_says_how_the_machines_differ(changes, said):
    found = compare_reports(make_bench_report(make_number([1.0])), make_bench_report(make_number([1.0]), **changes))

    assert said in " ".join(found.warnings)


def test_numbers_that_only_one_report_has_are_listed():
    before, after = make_bench_report(make_number([1.0], "old")), make_bench_report(make_number([1.0], "new"))

    found = compare_reports(before, after)

    assert found.only_before == (("frame 640×480", "old", "CPU, ms"),)
    assert found.only_after == (("frame 640×480", "new", "CPU, ms"),)


def test_holm_multiplies_the_smallest_p_value_by_their_number_and_never_decreases():
    assert adjust_holm([0.04, 0.01, 0.03]) == approx([0.06, 0.03, 0.06])


def test_holm_stops_at_one():
    assert adjust_holm([0.9, 0.8]) == approx([1.0, 1.0])


def test_blocks_are_of_consecutive_samples():
    assert block_medians([1, 2, 9, 4, 5, 6], 2).tolist() == [2, 5]


def test_a_hundred_samples_become_twenty_blocks():
    assert len(block_medians(list(range(100)))) == 20


def test_few_samples_are_compared_themselves():
    assert block_medians([3.0, 1.0, 2.0], 2).tolist() == [3.0, 1.0, 2.0]


def test_five_of_a_hundred_runs_without_a_change_may_report_one():
    assert ALPHA == 0.05


@pytest.fixture
def files(tmp_path):
    generator = np.random.default_rng(5)
    paths = [tmp_path / "before.json", tmp_path / "after.json"]
    for path, factors in zip(paths, ({}, {7: 1.3}), strict=True):
        write_report(draw_report(generator, factors=factors), path)
    return [str(path) for path in paths]


def test_the_command_prints_the_changes_and_fails_only_on_request(files):
    told = CliRunner().invoke(main, ["bench", "compare", *files])
    failed = CliRunner().invoke(main, ["bench", "compare", "--fail", *files])

    assert "step 7" in told.output
    assert "step 8" not in told.output
    assert (told.exit_code, failed.exit_code) == (0, 1)


def test_the_command_lists_all_numbers_on_request(files):
    assert "step 8" in CliRunner().invoke(main, ["bench", "compare", "--all", *files]).output


def test_a_file_that_is_no_report_is_an_error_of_one_line(tmp_path, files):
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"name": "run"}')

    result = CliRunner().invoke(main, ["bench", "compare", str(wrong), files[0]])

    assert result.exit_code == 1
    assert "wrong.json is not a benchmark report" in result.output
