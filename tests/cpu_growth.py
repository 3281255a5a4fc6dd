"""How the CPU time of a function grows with its input."""

import time
from collections.abc import Callable

MIN_ROUNDS, MAX_ROUNDS = 3, 30


def cpu_growth(run: Callable[[int], object], size: int, *, factor: int = 4, enough: float = 9.0) -> float:
    """Return by which factor CPU time grows when the size grows by `factor`; the least of all runs of each counts.

    Linear time gives about `factor`, quadratic time about its square. Other load slows some runs of either size, so
    it measures until the growth is below `enough`, at least 3 and at most 30 times.

    Args:
        run: Function of the size.
        size: Smaller size, large enough to take milliseconds.
        factor: Larger size as a multiple of the smaller one.
        enough: Growth below which more measurements are not needed.
    """
    least_s = {size: float("inf"), factor * size: float("inf")}
    growth = float("inf")
    for number in range(MAX_ROUNDS):
        for each, before_s in least_s.items():
            start_s = time.thread_time()
            run(each)
            least_s[each] = min(before_s, time.thread_time() - start_s)
        growth = least_s[factor * size] / least_s[size]
        if number + 1 >= MIN_ROUNDS and growth < enough:
            break
    return growth
