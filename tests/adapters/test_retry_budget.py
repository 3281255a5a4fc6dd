"""Number of retries that a budget allows."""

from func.adapters.retry_budget import RetryBudget


def count_retries(budget, calls):
    """Return the number of allowed retries if each call asks for one."""
    allowed = 0
    for _ in range(calls):
        budget.record_call()
        allowed += budget.take()
    return allowed


def test_at_first_a_burst_is_allowed():
    budget = RetryBudget()

    assert [budget.take() for _ in range(11)] == [True] * 10 + [False]


def test_in_the_long_run_a_fifth_of_the_calls_is_repeated():
    assert 205 <= count_retries(RetryBudget(), 1000) <= 210


def test_a_quiet_time_saves_up_no_more_than_the_burst():
    budget = RetryBudget(burst=3)
    for _ in range(1000):
        budget.record_call()

    assert [budget.take() for _ in range(4)] == [True, True, True, False]
