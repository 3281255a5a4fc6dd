"""Errors of the function: of requests, of the process under load, and of its settings.

    GazeError                           (gaze_core.errors)
    ├── RequestError
    │   ├── BadRequestError
    │   ├── SessionTokenError
    │   ├── UnknownPathError
    │   ├── MethodNotAllowedError
    │   ├── RequestTimeoutError
    │   ├── PayloadTooLargeError
    │   ├── UnsupportedMediaTypeError
    │   └── UndecodableImageError
    ├── OtherViewingError
    ├── NotReadyError
    │   └── PartNotLoadedError
    │       └── UnusableModelError
    └── BusyError
        ├── DetectionBusyError
        ├── ThreadsBusyError
        ├── BodiesFullError
        ├── WaitingListFullError
        └── ScoringBusyError
    SettingsError

The message of a `RequestError` is for the client and reveals nothing internal. `web.problems` maps errors to statuses.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gaze_core.errors import GazeError


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """Problem with one field of a request.

    Attributes:
        field: Path of the field, such as `camera.vertical_fov_deg`.
        detail: Requirement on the value, but never the value itself.
    """

    field: str
    detail: str


class RequestError(GazeError):
    """The request is invalid; the message may be shown to the client."""


class BadRequestError(RequestError):
    """The body, or a field in it, is malformed."""

    def __init__(self, message: str, fields: Sequence[FieldProblem] = ()) -> None:
        super().__init__(message)
        self.fields = tuple(fields)


class SessionTokenError(RequestError):
    """A required token is missing or does not match the request."""

    def __init__(self, field: str, *, is_missing: bool) -> None:
        reason = "is required" if is_missing else "does not match this session and IP address"
        super().__init__(f"`{field}` {reason}")
        self.field = field


class UnknownPathError(RequestError):
    """The path is unknown."""

    def __init__(self) -> None:
        super().__init__("nothing is served under this path; frames are sent to /gaze")


class MethodNotAllowedError(RequestError):
    """The path does not support this method."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(f"this path takes {', '.join(allowed)}")
        self.allowed = tuple(allowed)


class RequestTimeoutError(RequestError):
    """The body did not arrive in time."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the body did not arrive within {timeout_s:g} s")
        self.timeout_s = timeout_s


class PayloadTooLargeError(RequestError):
    """The body has too many bytes, or the image too many pixels."""


class UnsupportedMediaTypeError(RequestError):
    """The body's content type or encoding, or the image's format, is not supported."""


class UndecodableImageError(RequestError):
    """The image starts like a JPEG, PNG or WebP file but is broken."""


class OtherViewingError(GazeError):
    """The session has data of another viewing with the same session id."""

    def __init__(self) -> None:
        super().__init__("the session belongs to another viewing")


class NotReadyError(GazeError):
    """The models could not be loaded in this process."""


class PartNotLoadedError(NotReadyError):
    """One of the models could not be loaded; another try may succeed. The message may be shown to the client.

    Attributes:
        part: `gaze model`, `face landmarker` or `eye network`.
    """

    def __init__(self, part: str, reason: str = "the log says why") -> None:
        super().__init__(f"The {part} is not loaded: {reason}.")
        self.part = part


class UnusableModelError(PartNotLoadedError):
    """A model file, or what it needs, is wrong and stays so; the process ends.

    Attributes:
        variable: Environment variable with the path of the file.
        line: What is wrong and what to do, for the operator.
    """

    def __init__(self, part: str, variable: str, reason: str, library_message: str = "") -> None:
        super().__init__(part, reason)
        self.variable = variable
        said = f" ({' '.join(library_message.split())[:200]})" if library_message else ""
        self.line = f"{variable} cannot be used: {reason}{said}; check the file, its description and {variable}_SHA256"


class BusyError(GazeError):
    """The process has more to do than it can; a repeat later may succeed."""

    def __init__(self, message: str = "over capacity", retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class DetectionBusyError(BusyError):
    """The frame would wait too long for a landmarker."""

    def __init__(self, expected_wait_s: float) -> None:
        super().__init__(f"a frame would wait {expected_wait_s:.1f} s for a landmarker", max(1.0, expected_wait_s))


class ThreadsBusyError(BusyError):
    """The frame would wait too long for a thread that stores it: the session API is slow."""

    def __init__(self, expected_wait_s: float) -> None:
        super().__init__(f"a frame would wait {expected_wait_s:.1f} s to be stored", max(1.0, expected_wait_s))


class BodiesFullError(BusyError):
    """Request bodies take all the memory that they may take."""

    def __init__(self) -> None:
        super().__init__("request bodies take all the memory that they may take")


class WaitingListFullError(BusyError):
    """As many last frames are waiting as may wait, in all or of this client."""

    def __init__(self) -> None:
        super().__init__("every place for waiting last frames is taken", retry_after_s=2.0)


class ScoringBusyError(BusyError):
    """As many sessions as allowed are being scored."""

    def __init__(self, retry_after_s: float = 2.0) -> None:
        super().__init__("every place for scoring is taken", retry_after_s)


class SettingsError(Exception):
    """An environment variable is missing or wrong; the process cannot start.

    Attributes:
        variable: Name of the environment variable.
    """

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(f"{variable} {reason}")
        self.variable = variable
