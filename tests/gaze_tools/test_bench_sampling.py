import itertools

import pytest
from pytest import approx

from gaze_tools.bench.sampling import StepCost, alternate, median_ratio, sample, summarise, thin_out, timed


def test_the_order_of_cases_is_reversed_from_round_to_round():
    assert list(alternate(["a", "b", "c"], 3)) == ["a", "b", "c", "c", "b", "a", "a", "b", "c"]


def test_in_each_turn_all_steps_run_once_in_alternating_order():
    ran = []

    def step(name):
        return lambda _turn: (ran.append(name), StepCost(1.0, 1.0))[1]

    sample({"first": step("first"), "second": step("second")}, turns=2, warm_up=0)

    assert ran == ["first", "second", "second", "first"]


def test_turns_of_the_warm_up_do_not_count():
    numbers = itertools.count(1)

    found = sample({"step": lambda _turn: StepCost(0.0, next(numbers))}, turns=2, warm_up=3)

    assert [cost.cpu_s for cost in found["step"]] == [4, 5]


def test_steps_get_the_number_of_the_turn_counted_from_the_first_turn_of_the_warm_up():
    turns = []

    sample({"step": lambda turn: (turns.append(turn), StepCost(0.0, 0.0))[1]}, turns=2, warm_up=1)

    assert turns == [0, 1, 2]


def test_the_cost_of_several_calls_is_that_of_one(monkeypatch):
    monkeypatch.setattr("time.perf_counter", itertools.count(0, 6).__next__)
    monkeypatch.setattr("time.process_time", itertools.count(0, 3).__next__)
    called = []

    cost = timed(called.append, calls=3)(7)

    assert (called, cost) == ([7, 7, 7], StepCost(wall_s=2.0, cpu_s=1.0))


def test_a_summary_has_median_quartiles_and_the_99th_percentile():
    summary = summarise([float(value) for value in range(101)])

    assert (summary.lower_quartile, summary.median, summary.upper_quartile, summary.p99) == approx((25, 50, 75, 99))
    assert summary.count == 101


def test_the_relative_spread_is_half_the_distance_between_the_quartiles():
    assert summarise([8.0, 9.0, 10.0, 11.0, 12.0]).relative_spread == approx(0.1)


def test_nothing_cannot_be_summarised():
    with pytest.raises(ValueError, match="no samples"):
        summarise([])


def test_a_ratio_is_taken_turn_by_turn_so_that_slow_turns_do_not_matter():
    assert median_ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == 2.0


def test_a_ratio_to_a_baseline_with_other_turns_is_that_of_the_medians():
    assert median_ratio([4.0, 6.0], [1.0, 2.0, 9.0]) == 2.5


def test_a_ratio_needs_a_baseline_above_zero():
    with pytest.raises(ValueError, match="above zero"):
        median_ratio([1.0], [0.0])


def test_thinning_out_keeps_samples_from_the_whole_run():
    assert thin_out(list(range(101)), 5) == [0, 25, 50, 75, 100]


def test_few_samples_are_all_kept():
    assert thin_out([1.0, 2.0], 5) == [1.0, 2.0]
