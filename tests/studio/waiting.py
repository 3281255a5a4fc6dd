"""Waiting for what another thread or process does."""

import time


def wait_until(is_true, *, limit_s):
    """Wait until a function returns true."""
    deadline_s = time.monotonic() + limit_s
    while not is_true():
        assert time.monotonic() < deadline_s, f"waited in vain for {limit_s} s"
        time.sleep(0.01)
