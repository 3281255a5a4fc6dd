"""Which pictures a dataset holds."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

DOTS, CHECKS, FRAMES_PER_DOT = 9, 6, 10
"""Of a calibration: its dots, the places that it is tried on, and the frames at each."""

CALIBRATION_SESSION = 1_000_000
"""Sittings for a calibration are counted from here."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which pictures there will be.

    Attributes:
        identities: Number of people.
        frames_per_identity: Pictures of each.
        seed: What everybody and everything is sampled from.
        held_out: How many people, the last ones, nobody may train on.
        frames_per_session: Pictures of one person at one sitting, at most.
        calibrations: When not 0, so many people of the test group, the last ones, each calibrate instead, and
            `frames_per_identity` follows from that.
    """

    identities: int
    frames_per_identity: int
    seed: int
    held_out: int
    frames_per_session: int = 40
    calibrations: int = 0

    def __post_init__(self) -> None:
        if self.identities < 1 or self.frames_per_identity < 1 or self.frames_per_session < 1:
            raise ValueError("identities, frames_per_identity and frames_per_session must be at least 1")
        if not 0 <= self.held_out < self.identities:
            raise ValueError("held_out must leave somebody to train on")
        if not 0 <= self.calibrations <= self.held_out:
            raise ValueError("calibrations must not exceed held_out: only the test group calibrates")
        if self.calibrations and self.frames_per_identity != (DOTS + CHECKS) * FRAMES_PER_DOT:
            raise ValueError(f"a calibration takes {(DOTS + CHECKS) * FRAMES_PER_DOT} frames")

    @property
    def people(self) -> range:
        """The numbers of those of whom there are pictures."""
        return range(self.identities - self.calibrations if self.calibrations else 0, self.identities)

    @property
    def first_held_out(self) -> int:
        """Identities from this number on are the test group."""
        return self.identities - self.held_out

    @property
    def images(self) -> int:
        """Number of pictures."""
        return len(self.people) * self.frames_per_identity

    def digest(self) -> str:
        """Return what distinguishes this plan, and this renderer, from all others."""
        described = json.dumps({"plan": asdict(self), "source": _source_digest()}, sort_keys=True)
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    def frames(self, identity_id: int) -> Iterator["PlannedFrame"]:
        """Yield the pictures of one person in order."""
        if self.calibrations:
            for number in range(self.frames_per_identity):
                dot = number // FRAMES_PER_DOT
                yield PlannedFrame(identity_id, session_id=CALIBRATION_SESSION + identity_id, frame=number, dot=dot)
            return
        sessions = -(-self.frames_per_identity // self.frames_per_session)
        per_session = -(-self.frames_per_identity // sessions)
        for number in range(self.frames_per_identity):
            session, frame = divmod(number, per_session)
            dots = _dots_in(min(per_session, self.frames_per_identity - session * per_session))
            yield PlannedFrame(
                identity_id=identity_id,
                session_id=identity_id * sessions + session,
                frame=frame,
                dot=dots[frame] if frame < len(dots) else -1,
            )


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """One picture of the plan.

    Attributes:
        identity_id: Who.
        session_id: Which sitting, counted over all identities.
        frame: Number within the session.
        dot: Index of the calibration dot that is looked at, -1 for none; from `DOTS` on another place to try it on.
    """

    identity_id: int
    session_id: int
    frame: int
    dot: int


@lru_cache(maxsize=1)
def _source_digest() -> str:
    """Return the digest of the renderer's source: another renderer, other pictures."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).resolve().parents[1] / "rendering").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _dots_in(frames: int) -> list[int]:
    """Return the calibration dots that a session of so many pictures begins with: 9 twice, 9 once or none."""
    rounds = 2 if frames >= 36 else 1 if frames >= 18 else 0
    return [dot for dot in range(9) for _ in range(rounds)]
