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
    """

    session_id: str
    ip_address: str
    video_id: str
    created_at: str
    frames: Mapping[int, Any] = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredUpdate:
    """What the session API made of an update.

    Attributes:
        stored: The values that now stand under the keys of the update that are written once (frame numbers and
            `result`); with an older service, which does not say, the values that were sent.
        written: Those of these keys that this very update wrote; with an older service all of them.
    """

    stored: Mapping[str, Any]
    written: frozenset[str]


class SessionStore(Protocol):
    """The central session API: the only place that keeps state."""

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

    def store_settings(self, session_id: str, settings: Mapping[str, Any]) -> StoredUpdate:
        """Store keys of the session as a whole, such as `result`, whose first value stands.

        Raises:
            SessionNotFoundError: The API does not know the session.
            SessionStoreError: The API failed; SessionStoreTimeoutError: it did not answer in time.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the API answers at all."""
        ...


@dataclass(frozen=True, slots=True)
class VideoMaps:
    """The saliency maps of a video, or those of some of its frames.

    Attributes:
        maps: Pairs of frame number and map; a map that cannot be used is its `SaliencyMapError`. Read once. Frames
            during which one map is held come one after the other, with the very same array.
        digest: What tells this set of maps from another; None when nobody wrote it down.
        fps: Frames a second of the video, to tell its frame from a position in time; None when nobody wrote it down.
        held_every: A map stands for so many frames, its own and those after it; None when for its own alone.
    """

    maps: Iterator[tuple[int, SaliencyMap | Exception]]
    digest: str | None
    fps: float | None = None
    held_every: int | None = None


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
