"""Log lines: events with fields, as text for people or JSON for machines.

    _log.warning(Event("circuit opened", service="aggregator", failures=5))

    2026-11-26 17:00:00,123 WARNING func.adapters.circuit_breaker circuit opened: service=aggregator failures=5
    {"time": "2026-11-26T17:00:00.123Z", "level": "warning", "event": "circuit opened", …}

The standard library and not structlog, because gunicorn, uvicorn, hypercorn and the libraries log with it anyway: all
of their lines need these formats, too.
"""

import hashlib
import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from func.tracing import RequestTrace, find_trace

FORMATS = ("text", "json")

FRAMES = ("all", "errors", "none")

FRAME_LOGGER = "func.requests.frames"
"""Logs each answered frame at level INFO; off unless LOG_FRAMES is `all`, or `errors` with LOG_LEVEL at DEBUG."""

SESSION_LOGGER = "func.requests.sessions"
"""Logs each completed session at level INFO."""

REQUEST_LOGGER = "func.requests"
"""Logs each failed request: at level INFO if the client can solve it, otherwise WARNING, or ERROR for a bug."""

LINES_PER_SECOND = 5
"""Maximum per event; lines with the same logger, level and event are one event."""

_ESCAPED = {code: repr(chr(code))[1:-1] for code in (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)}
"""Control characters and line breaks, with which a value could forge a line of text."""

_UNLIMITED = frozenset({FRAME_LOGGER, SESSION_LOGGER})


class Event:
    """Message of a log line: the name of an event, always the same, and its fields."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, /, **fields: object) -> None:
        self.name = name
        self.fields = fields

    def __str__(self) -> str:
        if not self.fields:
            return self.name
        return f"{self.name}: {' '.join(f'{name}={_as_text(value)}' for name, value in self.fields.items())}"


class RateLimit(logging.Filter):
    """Limits lines per event and second, so that an attacker cannot fill the log.

    The next line that passes has the number of suppressed ones.
    """

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
        if record.name in _UNLIMITED:
            return True
        message: object = record.msg
        event = (record.name, record.levelno, message.name if isinstance(message, Event) else str(message))
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
        if suppressed and isinstance(message, Event):
            record.msg = Event(message.name, **message.fields, suppressed_lines=suppressed)
        elif suppressed:
            record.msg = f"{record.getMessage()} suppressed_lines={suppressed}"
            record.args = None
        return True


class SessionHash:
    """Replaces session ids in logs and spans by a keyed hash (BLAKE2b, 64 bits).

    A session id is computed from the IP address and the video id, so that anybody could find the address of a hash
    without a key by trying all of them.
    """

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        """Derive the key.

        Args:
            keys: Keys for session tokens. Without any, the key is random and only this process has the same hashes.
        """
        secret = keys[0] if keys else os.urandom(32)
        self._key = hashlib.blake2b(b"gaze-log-session-v1", key=secret[:64]).digest()[:32]

    def __call__(self, session_id: str) -> str:
        """Return the hash of a session id, 16 hexadecimal digits."""
        return hashlib.blake2b(session_id.encode(), key=self._key, digest_size=8).hexdigest()


class TextFormatter(logging.Formatter):
    """One line of text for each event, with the request id if there is a request."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line without a traceback."""
        trace = find_trace()
        line = super().formatMessage(record)
        return line if trace is None else f"{line} request_id={trace.request_id}"


class JsonFormatter(logging.Formatter):
    """One JSON object for each event. Tracebacks have no messages, which may contain data of the viewer."""

    def __init__(self, hash_session: Callable[[str], str] | None = None) -> None:
        """Create the format.

        Args:
            hash_session: Returns what stands for a session id; None leaves sessions out.
        """
        super().__init__()
        self._hash_session = hash_session

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        message: object = record.msg
        line: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": message.name if isinstance(message, Event) else _merge(record),
            "logger": record.name,
        }
        trace = find_trace()
        if trace is not None:
            line.update(self._describe(trace))
        if isinstance(message, Event):
            line.update(message.fields)
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = describe_trace(record.exc_info[1])
        return json.dumps(line, default=str)

    def _describe(self, trace: RequestTrace) -> dict[str, object]:
        fields: dict[str, object] = {
            "request_id": trace.request_id,
            "trace_id": trace.trace_id,
            "span_id": trace.span_id,
        }
        if trace.session_id is not None and self._hash_session is not None:
            fields["session"] = self._hash_session(trace.session_id)
        if trace.frame_number is not None:
            fields["frame"] = trace.frame_number
        return fields


def write_json_lines(formatter: JsonFormatter) -> None:
    """Write everything that Python writes to the log as JSON: lines of all libraries, warnings and uncaught errors.

    gunicorn and hypercorn add handlers with formats of their own, after this call and in ways that change between their
    versions. So handlers of streams no longer use their own format.
    """
    logging.StreamHandler.format = lambda _, record: formatter.format(record)  # type: ignore[assignment]
    logging.captureWarnings(capture=True)
    log = logging.getLogger("func.process")

    def report_end(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical(Event("process ends", detail=str(error), trace=describe_trace(error)))

    def report_thread(ended: threading.ExceptHookArgs) -> None:
        if ended.exc_value is not None:
            log.error(Event("thread ended", trace=describe_trace(ended.exc_value)))

    def report_ignored(ignored: "sys.UnraisableHookArgs") -> None:
        if ignored.exc_value is not None:
            log.error(Event("error ignored", trace=describe_trace(ignored.exc_value)))

    sys.excepthook, threading.excepthook, sys.unraisablehook = report_end, report_thread, report_ignored


def set_levels(log_level: str, log_frames: str) -> None:
    """Set the levels of our loggers.

    Args:
        log_level: Minimum level.
        log_frames: `all` also logs answered frames, as `errors` does at level DEBUG; `none` only requests that fail
            with 500 or more.
    """
    level = logging.getLevelNamesMapping()[log_level]
    logging.getLogger("func").setLevel(level)
    loud = max(level, logging.WARNING)
    logging.getLogger(REQUEST_LOGGER).setLevel(loud if log_frames == "none" else level)
    shows_frames = log_frames == "all" or (log_frames == "errors" and level <= logging.DEBUG)
    logging.getLogger(FRAME_LOGGER).setLevel(level if shows_frames else loud)


def describe_trace(error: BaseException) -> str:
    """Return classes and stack frames of an error and its causes in one line; messages may contain viewer data."""
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        frames = [
            f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}"
            for frame, line in traceback.walk_tb(cause.__traceback__)
        ]
        parts.append(f"{type(cause).__qualname__} at {' > '.join(frames)}" if frames else type(cause).__qualname__)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return " caused by ".join(parts)


def _as_text(value: object) -> str:
    """Return a field for people: a mapping as `a:1,b:2`, a list as `a,b`."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{_as_text(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(_as_text, value))
    return str(value).translate(_ESCAPED)


def _merge(record: logging.LogRecord) -> str:
    """Return the message of a library; its format alone if the arguments do not fit, which would end in a traceback."""
    try:
        return record.getMessage()
    except Exception:  # a wrong format in a library must not cost its line
        return str(record.msg)


def round_stages(stages_ms: Mapping[str, float]) -> dict[str, Any]:
    """Return the times of a request's steps with a resolution of 0.01 ms."""
    return {name: round(took_ms, 2) for name, took_ms in stages_ms.items()}
