"""Rate limit of log lines, so that an attacker cannot fill the log."""

import logging
import threading
import time
from collections.abc import Callable

LINES_PER_SECOND = 5
"""Maximum per event; lines with the same logger, level and message template are one event."""


class RateLimit(logging.Filter):
    """Limits lines per event and second. The next line that passes has the number of suppressed ones."""

    def __init__(
        self,
        count_suppressed: Callable[[], None],
        *,
        lines_per_second: int = LINES_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._count_suppressed = count_suppressed
        self._lines_per_second = lines_per_second
        self._clock = clock
        self._lock = threading.Lock()
        self._second = 0
        self._passed: dict[tuple[str, int, str], int] = {}
        self._suppressed: dict[tuple[str, int, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a line."""
        event = (record.name, record.levelno, str(record.msg))
        with self._lock:
            second = int(self._clock())
            if second != self._second:
                self._second = second
                self._passed.clear()
            passed = self._passed.get(event, 0)
            if passed >= self._lines_per_second:
                self._suppressed[event] = self._suppressed.get(event, 0) + 1
                self._count_suppressed()
                return False
            self._passed[event] = passed + 1
            suppressed = self._suppressed.pop(event, 0)
        if suppressed:
            record.msg = f"{record.getMessage()} suppressed_lines={suppressed}"
            record.args = None
        return True
