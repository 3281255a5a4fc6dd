"""Failed attempts to call an upstream service over HTTP."""

MAX_RETRY_AFTER_S = 3600.0
"""Upper limit of the header `Retry-After`."""


class FailedTryError(Exception):
    """An attempt failed to get an expected answer."""

    def __init__(
        self, reason: str, *, is_timeout: bool = False, may_repeat: bool = True, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.is_timeout = is_timeout
        self.may_repeat = may_repeat
        self.retry_after_s = retry_after_s

    @property
    def kind(self) -> str:
        """Kind of the failure, for metrics."""
        return "timeout" if self.is_timeout else "failed" if self.retry_after_s is None else "busy"


class CircuitOpenTryError(FailedTryError):
    """The service was not called, because it failed too often recently."""

    kind = "circuit_open"


class RefusedTryError(FailedTryError):
    """The service denied access."""

    kind = "denied"


def find_cause(error: BaseException) -> BaseException:
    """Return the innermost error that errors of urllib3 wrap."""
    while True:
        inner = getattr(error, "original_error", None) or (error.args[-1] if error.args else None)
        if not isinstance(inner, BaseException):
            return error
        error = inner


def parse_retry_after(value: str | None) -> float | None:
    """Return the seconds in the header; None without it, or if it is a date, which would need synchronised clocks."""
    if value is None or not (value.isascii() and value.isdigit() and len(value) < 10):
        return None
    return min(MAX_RETRY_AFTER_S, float(value))
