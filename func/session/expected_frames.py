"""Which frames a session must have before it is complete."""

from gaze_core.ports import Session


class ExpectedFrames:
    """Frames that a last request promises.

    Without a total these are the frames 1 to `frame_number`, the last one only if the request has an image or the frame
    is there anyway. With a total, any numbers count.
    """

    def __init__(
        self, frame_number: int, has_image: bool, total_frames: int | None, viewing_start_ms: int | None = None
    ) -> None:
        self.viewing_start_ms = viewing_start_ms
        self._total = total_frames
        self._last = frame_number
        self._required = frame_number if has_image else frame_number - 1

    def counts(self, number: int) -> bool:
        """Return whether a frame with this number belongs to the score of the session."""
        return number >= 1 and (self._total is not None or number <= self._last)

    def count_beyond(self, session: Session) -> int:
        """Return the number of stored frames that are numbered beyond the last request, and so do not count."""
        return 0 if self._total is not None else sum(number > self._last for number in session.frames)

    @property
    def promised(self) -> int:
        """Number of frames according to the last request; without an image and a total there may be one more."""
        return self._required if self._total is None else self._total

    def has_any(self, session: Session) -> bool:
        """Return whether the session has any frame that counts."""
        return any(self.counts(number) for number in session.frames)

    def is_met_by(self, session: Session) -> bool:
        """Return whether the session has all expected frames, and at least one."""
        return self.has_any(session) and self.count_missing(session) == 0

    def find_range(self, session: Session) -> tuple[int, int | None]:
        """Return the lowest and highest number of frames that may still arrive; None for no limit."""
        if self._total is not None:
            return 1, None
        first = 1
        while first in session.frames:
            first += 1
        return first, self._last

    def count(self, session: Session) -> int:
        """Return the number of expected frames."""
        if self._total is not None:
            return max(self._total, self._count_received(session))
        return self._required + (self._last > self._required and self._last in session.frames)

    def count_missing(self, session: Session) -> int:
        """Return the number of expected frames that are not in the session."""
        if self._total is not None:
            return max(0, self._total - self._count_received(session))
        # Iterates over the stored frames, not the expected ones: a client may claim two billion frames.
        return self._required - sum(1 <= number <= self._required for number in session.frames)

    def _count_received(self, session: Session) -> int:
        return sum(self.counts(number) for number in session.frames)
