"""What the completion of a session has to do next, and what it ends with."""

from dataclasses import dataclass
from enum import StrEnum

from func.session.expected_frames import ExpectedFrames
from func.session.result import SessionResult
from gaze_core.ports import Session


@dataclass(frozen=True, slots=True)
class LastFrame:
    """The last request of a session.

    Attributes:
        session_id: Id of the session.
        video_id: Video whose maps count, for a session that does not say.
        ip_address: Address of the viewer, for a session that does not say.
        frame_number: Frame number of the request.
        has_image: Whether the request carried an image, so that its number is that of a frame.
        total_frames: How many distinct frames were sent; None when the client did not say.
        viewing_start_ms: Start of the viewing, from its session token: frames of other viewings under the same id do
            not count. None without tokens.
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
        """The frames that the request promises."""
        return ExpectedFrames(self.frame_number, self.has_image, self.total_frames, self.viewing_start_ms)


class Outcome(StrEnum):
    """How a last frame ended."""

    DELIVERED = "delivered"
    """The result is stored, and this request delivered it."""
    REPEATED = "repeated"
    """The result had been stored and delivered before."""
    EMPTY = "empty"
    """The session has no frame of a video; nothing is stored or delivered."""
    CALIBRATION = "calibration"
    """The session is a calibration, which has no score; nothing is stored or delivered."""


@dataclass(frozen=True, slots=True)
class MissingSession:
    """The session API does not know the session.

    Attributes:
        has_expired: Whether there was one, as the API says or this request has seen.
    """

    has_expired: bool


@dataclass(frozen=True, slots=True)
class AwaitFrames:
    """Frames, or the session itself, may still come.

    Attributes:
        known: What has been read; its frames are numbers without their records.
        deadline_s: When the wait ends, on the clock of the completer.
    """

    known: Session | MissingSession
    deadline_s: float


@dataclass(frozen=True, slots=True)
class AwaitDelivery:
    """Another request stored the result and may be delivering it."""

    session: Session
    result: SessionResult
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Deliver:
    """The result is stored; this request delivers it."""

    session: Session
    result: SessionResult


@dataclass(frozen=True, slots=True)
class Wait:
    """Advance after a pause; holds nothing that is scarce.

    Attributes:
        pause_s: How long to pause first; 0 for not at all.
    """

    pause_s: float
    last: LastFrame
    then: AwaitFrames | AwaitDelivery | Deliver


@dataclass(frozen=True, slots=True)
class Score:
    """Advance when there is a scoring place: reading maps and scoring take memory and processor time.

    Attributes:
        session: With all its frames; None when it must be read again.
    """

    last: LastFrame
    session: Session | None


@dataclass(frozen=True, slots=True)
class Done:
    """The answer.

    Attributes:
        result: The session's result.
        outcome: How it ended.
        warnings: What the client should know, in plain text.
    """

    result: SessionResult
    outcome: Outcome
    warnings: tuple[str, ...] = ()


Step = Wait | Score | Done
