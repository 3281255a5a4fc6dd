"""Waiting for what another thread or process does."""

import time


def wait_until(is_true, *, limit_s):
    """Wait until a function returns true."""
    deadline_s = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited in vain for {limit_s} s"
        time.sleep(0.01)


def end_removals(removals):
    """Let a library remove nothing any more, as if its process had ended; a step that runs ends first."""
    with removals._lock:
        pending = sorted(removals._pending)
    for film_id in pending:
        removals.cancel(film_id)
