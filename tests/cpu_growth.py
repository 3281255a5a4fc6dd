"""How the CPU time of a function grows with its input."""

import time
from collections.abc import Callable


def cpu_growth(run: Callable[[int], object], size: int, *, factor: int = 4) -> float:
    """Return by which factor CPU time grows when the size grows by `factor`; the least of three runs of each counts.

    Linear time gives about `factor`, quadratic time about its square.

    Args:
        run: Function of the size.
        size: Smaller size, large enough to take milliseconds.
        factor: Larger size as a multiple of the smaller one.
    """
    durations_s: dict[int, list[float]] = {size: [], factor * size: []}
    for _ in range(3):
        for each, taken_s in durations_s.items():
            start_s = time.thread_time()
            run(each)
            taken_s.append(time.thread_time() - start_s)
    return min(durations_s[factor * size]) / min(durations_s[size])
