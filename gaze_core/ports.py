"""What the core and the scoring need from the world outside, as small protocols."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gaze_core.landmarks import Landmarks
from gaze_core.types import Frame, SaliencyMap


class FaceLandmarker(Protocol):
    """Finds faces; safe to call from several threads."""

    def detect(self, frame: Frame) -> Sequence[Landmarks]:
        """Return the landmarks of every face found, in any order; empty without a face.

        Args:
            frame: RGB uint8, shape (height, width, 3), not mirrored.

        Raises:
            LandmarkerError: The engine failed.
            LandmarkerBusyError: Every engine is taken and none became free in time.
        """
        ...


class GazeModel(Protocol):
    """Predicts gaze directions from features."""

    @property
    def digest(self) -> str:
        """SHA-256 of the model's file, in hexadecimal."""
        ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze_x and gaze_y in degrees, shape (n, 2), as `GazeDirection` defines them.

        Args:
            features: In the order of `features.FEATURE_NAMES`, shape (n, 7).

        Raises:
            ValueError: Another shape or a value that is not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """What the central session API knows of a session, our component only.

    Attributes:
        session_id: Its id.
        ip_address: Of the viewer, as the gateway saw it.
        video_id: What is watched.
        created_at: As the session API wrote it.
        frames: Record of each frame by its number, as stored; see `contracts` of the session API.
        settings: The keys that are not frame numbers: `screen`, `camera`, `viewport`,
            `calibration_session`, `result`, `result_delivered`.
        earlier_expired_at: When an earlier session under this id expired, as the session API wrote it; None when the
            API knows of none. An older API knows nothing of the past.
        ttl_s: How long a session lives after its last use; None with an older API, which does not say.
    """

    session_id: str
    ip_address: str
    video_id: str
    created_at: str
    frames: Mapping[int, Any] = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)
    earlier_expired_at: str | None = None
    ttl_s: float | None = None


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """What the session API made of an update.

    Attributes:
        stored: The values that now stand under the keys of the update that are written once (frame numbers and
            `result`); with an older service, which does not say, the values that were sent.
        written: Those of these keys that this very update wrote; with an older service all of them.
        earlier_expired_at: When the earlier session under this id expired, if this update had to create the session
            anew after that: the frames stored before are lost. None otherwise.
    """

    stored: Mapping[str, Any]
    written: frozenset[str]
    earlier_expired_at: str | None = None


class SessionStore(Protocol):
    """The central session API: the only place that keeps state."""

    @property
    def ttl_s(self) -> float | None:
        """How long a session lives after its last use; None until the API has said it."""
        ...

    def create_session(self, session_id: str, *, ip_address: str, video_id: str) -> None:
        """Create the session unless it exists.

        Raises:
            SessionStoreError: The API failed; SessionStoreTimeoutError: it did not answer in time.
        """
        ...

    def get_session(self, session_id: str, *, first: int | None = None, last: int | None = None) -> Session:
        """Return the session, with all its frames or with those of a range; an older API answers with all of them.

        Args:
            session_id: Of the session.
            first: Lowest frame number wanted.
            last: Highest frame number wanted.

        Raises:
            SessionNotFoundError: The API does not know it.
            SessionStoreError: The API failed; SessionStoreTimeoutError: it did not answer in time.
        """
        ...

    def update_session(
        self,
        session_id: str,
        frame_number: int,
        gaze_data: Mapping[str, Any],
        *,
        ip_address: str,
        video_id: str,
        settings: Mapping[str, Any] | None = None,
    ) -> StoredUpdate:
        """Store the record of one frame; a missing session is created once and the update tried once more.

        Idempotent: the first record of a frame number stands.

        Args:
            session_id: Of the session.
            frame_number: 1-based.
            gaze_data: The record, JSON values only.
            ip_address: For a session that must be created.
            video_id: Likewise.
            settings: Keys of the session as a whole to store with it.

        Raises:
            SessionScoredError: The session has its result and this frame is new.
            SessionNotFoundError: It is missing even after having been created.
            SessionStoreError: The API failed; SessionStoreTimeoutError: it did not answer in time.
        """
        ...

    def store_settings(
        self, session_id: str, settings: Mapping[str, Any], *, created_at: str | None = None
    ) -> StoredUpdate:
        """Store keys of the session as a whole, such as `result`, whose first value stands.

        Args:
            session_id: Id of the session.
            settings: The keys and their JSON values.
            created_at: Store them only in the session created then, not in a later one under the same id; None for
                any. An older API does not check it.

        Raises:
            SessionNotFoundError: The API does not know the session, or only a later one.
            SessionStoreError: The API failed; SessionStoreTimeoutError: it did not answer in time.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the API answers at all."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class UsableMap:
    """A saliency map and the frames of the video that it stands for.

    Attributes:
        frame_nums: Numbers of the frames, ascending, at least one.
        saliency_map: The map, shape (height, width).
    """

    frame_nums: tuple[int, ...]
    saliency_map: SaliencyMap


@dataclass(frozen=True, slots=True)
class UnusableMap:
    """A stored saliency map that cannot be used, and the frames of the video that it was meant for.

    Attributes:
        frame_nums: Numbers of the frames, ascending, at least one.
        reason: What is wrong with it.
    """

    frame_nums: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class VideoMaps:
    """The saliency maps of a video, or those of some of its frames.

    Attributes:
        stored: Each stored map once, in the order of the frames. Can be read once.
        digest: Identifies this set of maps; None when it was not written down.
        fps: Frame rate of the video, to find its frame at a position in time; None when it was not written down.
        held_every: How many frames a map stands for, its own and those after it; None when for its own alone.
    """

    stored: Iterator[UsableMap | UnusableMap]
    digest: str | None
    fps: float | None = None
    held_every: int | None = None

    @property
    def maps(self) -> Iterator[tuple[int, SaliencyMap]]:
        """Pairs of frame number and usable map; reads `stored`."""
        for each in self.stored:
            if isinstance(each, UsableMap):
                for number in each.frame_nums:
                    yield number, each.saliency_map


class SaliencyMaps(Protocol):
    """Where the saliency maps of videos are."""

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of a video, streamed in the order of their frame numbers.

        Args:
            video_id: Of the video.
            frame_nums: Only these frames; None means every map under its own number. Where maps are held, a frame is
                answered with the latest map among the `held_every` frames that end with it. Frames without a map are
                left out. Nothing is read before the first map is asked for, so that a call without reading tells the
                `fps` cheaply.

        Raises:
            SaliencyMapNotFoundError: Not one map is stored for the video.
            SaliencyStoreError: The store failed; SaliencyStoreTimeoutError: it did not answer in time.
                Both can also come while the maps are read.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the store answers at all."""
        ...


class ResultSink(Protocol):
    """The result aggregator."""

    def send_result(
        self,
        final_result: float,
        video_id: str,
        ip_address: str,
        *,
        session_id: str,
        score_valid: bool,
        coverage: float,
        idempotency_key: str,
    ) -> None:
        """Deliver a score, 0 to 100; safe to repeat under the same key.

        Raises:
            ResultSinkError: The aggregator failed; ResultSinkTimeoutError: it did not answer in time.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the aggregator answers at all."""
        ...
