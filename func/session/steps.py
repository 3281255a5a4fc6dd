"""Steps and outcomes of the completion of a session."""

from dataclasses import dataclass
from enum import StrEnum

from func.session.expected_frames import ExpectedFrames
from func.session.result import SessionResult
from gaze_core.ports import Session


@dataclass(frozen=True, slots=True)
class LastFrame:
    """Last request of a session.

    Attributes:
        session_id: Session id.
        video_id: Video id, used if the session has none.
        ip_address: Address of the viewer, used if the session has none.
        frame_number: Frame number of the request.
        has_image: Whether the request contained an image, so that a frame with this number exists.
        total_frames: Number of distinct frames that the client sent; None if it did not report it.
        viewing_start_ms: Start of the viewing, from its session token. Frames of other viewings with the same session
            id do not count. None without tokens.
    """

    session_id: str
    video_id: str
    ip_address: str
    frame_number: int
    has_image: bool
    total_frames: int | None = None
    viewing_start_ms: int | None = None

    @property
    def expected(self) -> ExpectedFrames:
        """Frames that the request promises."""
        return ExpectedFrames(self.frame_number, self.has_image, self.total_frames, self.viewing_start_ms)


class Outcome(StrEnum):
    """Outcome of a last frame."""

    DELIVERED = "delivered"
    """The result is stored, and this request delivered it."""
    REPEATED = "repeated"
    """The result was stored and delivered before."""
    EMPTY = "empty"
    """The session has no video frames; nothing is stored or delivered."""
    CALIBRATION = "calibration"
    """The session is a calibration session and has no score; nothing is stored or delivered."""


@dataclass(frozen=True, slots=True)
class MissingSession:
    """The session API does not know the session.

    Attributes:
        has_expired: Whether it existed before, according to the API or to an earlier read of this request.
    """

    has_expired: bool


@dataclass(frozen=True, slots=True)
class AwaitFrames:
    """Frames, or the session itself, may still arrive.

    Attributes:
        known: Session as read; its frames are numbers without records.
        deadline_s: End of the wait, on the clock of the completer.
    """

    known: Session | MissingSession
    deadline_s: float


@dataclass(frozen=True, slots=True)
class AwaitDelivery:
    """Another request stored the result and is probably delivering it.

    Attributes:
        session: Session without its frames.
        result: Stored result.
        deadline_s: End of the wait, on the clock of the completer.
    """

    session: Session
    result: SessionResult
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """The result is stored, and this request delivers it.

    Attributes:
        session: Session without its frames.
        result: Stored result.
        left_out: Number of stored frames that are numbered beyond the last request.
    """

    session: Session
    result: SessionResult
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """Pause, then advance; needs no scoring place.

    Attributes:
        pause_s: Length of the pause; 0 for none.
        last: Last request.
        then: State after the pause.
    """

    pause_s: float
    last: LastFrame
    then: AwaitFrames | AwaitDelivery | Deliver


@dataclass(frozen=True, slots=True)
class Score:
    """Advance once a scoring place is free, because reading maps and scoring take memory and CPU time.

    Attributes:
        last: Last request.
        session: Session with all its frames; None if it must be read again.
    """

    last: LastFrame
    session: Session | None


@dataclass(frozen=True, slots=True)
class Done:
    """The session is complete.

    Attributes:
        result: Result of the session.
        outcome: Outcome of the last frame.
        warnings: Warnings for the client, in plain text.
    """

    result: SessionResult
    outcome: Outcome
    warnings: tuple[str, ...] = ()


Step = Wait | Score | Done
