"""Errors of the whole project.

    GazeError
    ├── LandmarkerError
    ├── LandmarkerBusyError
    ├── ModelError
    ├── EyeNetworkError
    ├── SessionNotFoundError
    ├── SessionExpiredError
    ├── SessionScoredError
    ├── SessionStoreError
    │   ├── SessionStoreTimeoutError
    │   ├── SessionStoreRefusedError
    │   └── SessionStoreBusyError
    ├── SaliencyMapNotFoundError
    ├── SaliencyMapError
    ├── SaliencyStoreError
    │   ├── SaliencyStoreTimeoutError
    │   └── SaliencyStoreRefusedError
    └── ResultSinkError
        ├── ResultSinkTimeoutError
        ├── ResultSinkRefusedError
        └── ResultSinkBusyError

Absence is not an error: a frame without a face has a `Validity`. Misuse raises `ValueError`.
"""

import math


class GazeError(Exception):
    """Base class of all errors that this project raises deliberately."""


class LandmarkerError(GazeError):
    """The face landmarker could not be created, or failed on a frame."""


class LandmarkerBusyError(GazeError):
    """All face landmarkers are busy and none became free in time."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(f"no face landmarker became free within {waited_s:g} s")
        self.waited_s = waited_s


class ModelError(GazeError):
    """The model file is missing, does not match its card, or needs another scikit-learn version."""


class EyeNetworkError(GazeError):
    """The eye network's file is missing or wrong, or the network failed on a frame."""


class SessionNotFoundError(GazeError):
    """The session API does not know the session.

    Attributes:
        session_id: Id of the session.
        expired_at: Expiry time of an earlier session with this id, in the format of the session API; None without one.
    """

    def __init__(self, session_id: str, expired_at: str | None = None) -> None:
        super().__init__(f"no session {session_id!r}")
        self.session_id = session_id
        self.expired_at = expired_at


class SessionExpiredError(GazeError):
    """The session expired in the session API before its last frame, and its stored frames are lost."""

    def __init__(self, session_id: str) -> None:
        super().__init__(f"session {session_id!r} has expired")
        self.session_id = session_id


class SessionScoredError(GazeError):
    """The session already has its result and accepts no new frames.

    Attributes:
        session_id: Id of the session.
        free_in_s: Seconds until the id can be used again; None if the session API does not report it.
    """

    def __init__(self, session_id: str, free_in_s: float | None = None) -> None:
        free = "" if free_in_s is None else f", or wait {math.ceil(free_in_s)} s until this one is free"
        super().__init__(
            f"session {session_id!r} is already scored and takes no new frame; "
            f"for a new viewing use a new session_id{free}"
        )
        self.session_id = session_id
        self.free_in_s = free_in_s


class SessionStoreError(GazeError):
    """The session API failed or broke its contract."""


class SessionStoreTimeoutError(SessionStoreError):
    """The session API did not answer in time."""


class SessionStoreRefusedError(SessionStoreError):
    """The session API, or a proxy before it, denies access; only its operator or ours can change that."""


class SessionStoreBusyError(SessionStoreError):
    """The session API asks to be called later, or fails so often that it is not called for the moment."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class SaliencyMapNotFoundError(GazeError):
    """The video has no saliency map."""

    def __init__(self, video_id: str) -> None:
        super().__init__(f"no saliency map for video {video_id!r}")
        self.video_id = video_id


class SaliencyMapError(GazeError):
    """A saliency map is unusable: corrupt, of the wrong size, or with impossible values."""


class SaliencyStoreError(GazeError):
    """The saliency store failed."""


class SaliencyStoreTimeoutError(SaliencyStoreError):
    """The saliency store did not answer in time."""


class SaliencyStoreRefusedError(SaliencyStoreError):
    """The saliency store denies access; only its operator or ours can change that."""


class ResultSinkError(GazeError):
    """The result aggregator failed or refused the result."""


class ResultSinkTimeoutError(ResultSinkError):
    """The result aggregator did not answer in time."""


class ResultSinkRefusedError(ResultSinkError):
    """The result aggregator, or a proxy before it, denies access; only its operator or ours can change that."""


class ResultSinkBusyError(ResultSinkError):
    """The result aggregator asks to be called later, or fails so often that it is not called for the moment."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
