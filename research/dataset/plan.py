"""The images of a dataset."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from research.rendering.sampling import CALIBRATION_TARGETS, NO_TARGET

TARGET_COUNT, VALIDATION_COUNT, FRAMES_PER_TARGET = len(CALIBRATION_TARGETS), 6, 10
"""Calibration targets and validation targets of a rendered calibration, and the frames per target."""

FRAMES_PER_CALIBRATION = (TARGET_COUNT + VALIDATION_COUNT) * FRAMES_PER_TARGET

SHARD_FORMAT = 2
"""Format of the shards; since 2 they contain eye images and blendshapes."""

CALIBRATION_SESSION = 1_000_000
"""Number of the first calibration session."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The images to render.

    Attributes:
        identities: Number of people.
        frames_per_identity: Images per person.
        seed: Seed of everything that is sampled.
        held_out: Size of the test group: the last identities, excluded from training.
        frames_per_session: Maximum images of one person in one session.
        calibrations: If not 0, render calibrations of the last people of the test group instead; then
            `frames_per_identity` must be `FRAMES_PER_CALIBRATION`.

    Raises:
        ValueError: A number is out of range.
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
            raise ValueError("held_out must be smaller than identities")
        if not 0 <= self.calibrations <= self.held_out:
            raise ValueError("calibrations must not exceed held_out")
        if self.calibrations and self.frames_per_identity != FRAMES_PER_CALIBRATION:
            raise ValueError(f"frames_per_identity must be {FRAMES_PER_CALIBRATION} for calibrations")

    @property
    def people(self) -> range:
        """Numbers of the people to render."""
        return range(self.identities - self.calibrations if self.calibrations else 0, self.identities)

    @property
    def first_held_out(self) -> int:
        """Number of the first identity of the test group."""
        return self.identities - self.held_out

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.people) * self.frames_per_identity

    def digest(self) -> str:
        """Return a digest of the plan, the renderer's source and the shards' format, 16 hexadecimal digits."""
        described = json.dumps(
            {"plan": asdict(self), "source": source_digest(), "shards": SHARD_FORMAT}, sort_keys=True
        )
        return hashlib.sha256(described.encode()).hexdigest()[:16]

    def frames(self, identity_id: int) -> Iterator["PlannedFrame"]:
        """Yield the images of one person in order."""
        if self.calibrations:
            for number in range(self.frames_per_identity):
                yield PlannedFrame(
                    identity_id,
                    session_id=CALIBRATION_SESSION + identity_id,
                    frame=number,
                    target_index=number // FRAMES_PER_TARGET,
                )
            return
        sessions = -(-self.frames_per_identity // self.frames_per_session)
        per_session = -(-self.frames_per_identity // sessions)
        for number in range(self.frames_per_identity):
            session, frame = divmod(number, per_session)
            targets = _targets_in(min(per_session, self.frames_per_identity - session * per_session))
            yield PlannedFrame(
                identity_id=identity_id,
                session_id=identity_id * sessions + session,
                frame=frame,
                target_index=targets[frame] if frame < len(targets) else NO_TARGET,
            )


@dataclass(frozen=True, slots=True)
class PlannedFrame:
    """One image of the plan.

    Attributes:
        identity_id: Number of the person.
        session_id: Number of the session, counted over all identities.
        frame: Number within the session.
        target_index: Fixated target: 0 to 8 a calibration target, from 9 a validation target, `NO_TARGET` any point.
    """

    identity_id: int
    session_id: int
    frame: int
    target_index: int


@lru_cache(maxsize=1)
def source_digest() -> str:
    """Return the digest of the renderer's source, since its changes change the images."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).resolve().parents[1] / "rendering").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _targets_in(frames: int) -> list[int]:
    """Return the calibration targets at the start of a session: each of the nine twice, once, or none at all."""
    rounds = 2 if frames >= 36 else 1 if frames >= 18 else 0
    return [target for target in range(TARGET_COUNT) for _ in range(rounds)]
