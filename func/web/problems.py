"""HTTP status and problem document (RFC 9457) of each error."""

from collections.abc import Mapping
from dataclasses import dataclass

from func.errors import (
    BadRequestError,
    BodiesFullError,
    BusyError,
    DetectionBusyError,
    MethodNotAllowedError,
    NotReadyError,
    OtherViewingError,
    PartNotLoadedError,
    PayloadTooLargeError,
    RequestError,
    RequestTimeoutError,
    ScoringBusyError,
    SessionTokenError,
    ThreadsBusyError,
    UndecodableImageError,
    UnknownPathError,
    UnsupportedMediaTypeError,
    UnusableModelError,
    WaitingListFullError,
)
from gaze_core.errors import (
    EyeNetworkError,
    GazeError,
    LandmarkerBusyError,
    LandmarkerError,
    ModelError,
    ResultSinkBusyError,
    ResultSinkError,
    ResultSinkRefusedError,
    ResultSinkTimeoutError,
    SaliencyMapError,
    SaliencyMapNotFoundError,
    SaliencyStoreError,
    SaliencyStoreRefusedError,
    SaliencyStoreTimeoutError,
    SessionExpiredError,
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreBusyError,
    SessionStoreError,
    SessionStoreRefusedError,
    SessionStoreTimeoutError,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """How an error is reported to the client.

    Attributes:
        status: HTTP status.
        slug: Last part of `type` in the problem document.
        title: Title, the same for every occurrence.
        detail: Detail, the same for every occurrence; None uses the message of the error, if it is for the client.
        retry_after_s: Minimum value of the `Retry-After` header in seconds; None sends no header.
    """

    status: int
    slug: str
    title: str
    detail: str | None = None
    retry_after_s: float | None = None


_RETRY_DETAIL = "Repeat the request unchanged; frames that are already stored count once."

_DENIED_DETAIL = (
    "Access was denied. Repeating the request fails until an operator corrects the credentials. Frames that are "
    "already stored are kept as long as their session; repeating the request afterwards counts them once."
)

PROBLEMS: Mapping[type[GazeError], Problem] = {
    GazeError: Problem(500, "internal-error", "Internal error", "The request could not be answered."),
    RequestError: Problem(400, "bad-request", "Bad request"),
    BadRequestError: Problem(400, "bad-request", "Bad request"),
    SessionTokenError: Problem(401, "session-token", "Session token missing or wrong"),
    UnknownPathError: Problem(404, "unknown-path", "Unknown path"),
    MethodNotAllowedError: Problem(405, "method-not-allowed", "Method not allowed"),
    RequestTimeoutError: Problem(408, "body-timeout", "Body timed out"),
    SessionScoredError: Problem(409, "session-scored", "Session already scored"),
    SessionExpiredError: Problem(
        410,
        "session-expired",
        "Session expired",
        "The frames of the session have expired, or none was received. Nothing was scored. Start a new viewing.",
    ),
    OtherViewingError: Problem(
        409,
        "other-viewing",
        "Session belongs to another viewing",
        "Another viewing has already stored this frame or a result under the same session id. Use a new session id for "
        "each viewing.",
    ),
    PayloadTooLargeError: Problem(413, "too-large", "Too large"),
    UnsupportedMediaTypeError: Problem(415, "unsupported-media-type", "Unsupported media type"),
    UndecodableImageError: Problem(422, "undecodable-image", "Undecodable image"),
    LandmarkerError: Problem(
        500, "landmarker-failed", "Landmarker failed", "The face landmarks could not be detected."
    ),
    EyeNetworkError: Problem(500, "eye-network-failed", "Eye network failed", "The eye images could not be read."),
    ModelError: Problem(500, "model-failed", "Model failed", "The gaze could not be predicted."),
    # The session is missing even after it was created, or maps disappear while they are read: errors of the upstream
    # service, not of the client. A video without any map is not an error; the result says so.
    SessionNotFoundError: Problem(502, "session-api-failed", "Session API failed", _RETRY_DETAIL),
    SessionStoreError: Problem(502, "session-api-failed", "Session API failed", _RETRY_DETAIL),
    SessionStoreRefusedError: Problem(502, "session-api-denied", "Session API denied access", _DENIED_DETAIL),
    SaliencyMapNotFoundError: Problem(502, "saliency-store-failed", "Saliency store failed", _RETRY_DETAIL),
    SaliencyMapError: Problem(502, "saliency-store-failed", "Saliency store failed", _RETRY_DETAIL),
    SaliencyStoreError: Problem(502, "saliency-store-failed", "Saliency store failed", _RETRY_DETAIL),
    SaliencyStoreRefusedError: Problem(502, "saliency-store-denied", "Saliency store denied access", _DENIED_DETAIL),
    ResultSinkError: Problem(502, "aggregator-failed", "Result aggregator failed", _RETRY_DETAIL),
    ResultSinkRefusedError: Problem(502, "aggregator-denied", "Result aggregator denied access", _DENIED_DETAIL),
    LandmarkerBusyError: Problem(503, "busy", "Over capacity", "All landmarkers are busy.", retry_after_s=1),
    BusyError: Problem(503, "busy", "Over capacity", "Try again later."),
    DetectionBusyError: Problem(503, "busy", "Over capacity", "The frame would wait too long for a landmarker."),
    ThreadsBusyError: Problem(503, "busy", "Over capacity", "The frame would wait too long to be stored."),
    BodiesFullError: Problem(503, "busy", "Over capacity", "Request bodies use all the memory allowed for them."),
    WaitingListFullError: Problem(503, "busy", "Over capacity", "Too many last frames are waiting."),
    ScoringBusyError: Problem(503, "busy", "Over capacity", "Too many sessions are being scored."),
    NotReadyError: Problem(503, "not-ready", "Not ready", "The models are not loaded.", retry_after_s=5),
    PartNotLoadedError: Problem(503, "not-ready", "Not ready", retry_after_s=5),
    UnusableModelError: Problem(503, "not-ready", "Not ready", retry_after_s=5),
    SessionStoreBusyError: Problem(503, "session-api-busy", "Session API busy", _RETRY_DETAIL, retry_after_s=1),
    ResultSinkBusyError: Problem(503, "aggregator-busy", "Result aggregator busy", _RETRY_DETAIL, retry_after_s=1),
    SessionStoreTimeoutError: Problem(504, "session-api-timeout", "Session API timed out", _RETRY_DETAIL),
    SaliencyStoreTimeoutError: Problem(504, "saliency-store-timeout", "Saliency store timed out", _RETRY_DETAIL),
    ResultSinkTimeoutError: Problem(504, "aggregator-timeout", "Result aggregator timed out", _RETRY_DETAIL),
}
"""Every error class has an entry, which a test checks."""

UNEXPECTED = PROBLEMS[GazeError]


def find_problem(error: Exception) -> Problem:
    """Return how an error is reported; anything without an entry is an internal error."""
    return PROBLEMS.get(type(error), UNEXPECTED) if isinstance(error, GazeError) else UNEXPECTED


MALFORMED_REQUEST = Problem(400, "bad-request", "Bad request", "The request is not valid HTTP/1.1.")
HEAD_TIMEOUT = Problem(408, "head-timeout", "Request head timed out", "The request line and headers took too long.")
URI_TOO_LONG = Problem(414, "uri-too-long", "URI too long", "The request line is too long.")
HEAD_TOO_LARGE = Problem(431, "head-too-large", "Request head too large", "The request line and headers are too large.")
TOO_MANY_CONNECTIONS = Problem(503, "busy", "Over capacity", "Too many connections are open.", retry_after_s=1)
"""Problems found by the server before a request reaches the handler."""
