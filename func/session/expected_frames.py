"""Which frames a session must have before it is complete."""

from gaze_core.ports import Session


class ExpectedFrames:
    """The frames that a last request promises."""

    def __init__(
        self, frame_number: int, has_image: bool, total_frames: int | None, viewing_start_ms: int | None = None
    ) -> None:
        self.viewing_start_ms = viewing_start_ms
        self._total = total_frames
        self._last = frame_number
        self._required = frame_number if has_image else frame_number - 1

    def counts(self, number: int) -> bool:
        """Return whether a frame of that number belongs to the session's score."""
        return number >= 1 and (self._total is not None or number <= self._last)

    @property
    def promised(self) -> int:
        """How many frames the last request says there are; one without an image may be one more."""
        return self._required if self._total is None else self._total

    def has_any(self, session: Session) -> bool:
        """Return whether a frame that counts is in the session."""
        return any(self.counts(number) for number in session.frames)

    def is_met_by(self, session: Session) -> bool:
        """Return whether every expected frame, and at least one, is in the session."""
        return self.has_any(session) and self.count_missing(session) == 0

    def find_range(self, session: Session) -> tuple[int, int | None]:
        """Return the numbers between which frames may still come, ends included; None means that there is no end."""
        if self._total is not None:
            return 1, None
        first = 1
        while first in session.frames:
            first += 1
        return first, self._last

    def count(self, session: Session) -> int:
        """Return how many frames are expected."""
        if self._total is not None:
            return max(self._total, self._count_received(session))
        return self._required + (self._last > self._required and self._last in session.frames)

    def count_missing(self, session: Session) -> int:
        """Return how many expected frames are not in the session."""
        if self._total is not None:
            return max(0, self._total - self._count_received(session))
        # Over what is there and not over what is expected: a client may claim two thousand million frames.
        return self._required - sum(1 <= number <= self._required for number in session.frames)

    def _count_received(self, session: Session) -> int:
        return sum(self.counts(number) for number in session.frames)
