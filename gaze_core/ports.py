"""Ports: the interfaces to landmarker, eye network, gaze model, session API, saliency maps and aggregator."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_images import EyeViews
from gaze_core.landmarks import Landmarks
from gaze_core.types import EyeGazes, Frame, SaliencyMap
from gaze_core.video_times import VideoTimes

PEOPLE_SHARE = 0.05
"""Share of frames with a face from which a video shows people: ignoring fewer faces moves a score by less than 5."""


class FaceLandmarker(Protocol):
    """Finds faces in frames; thread-safe."""

    def detect(self, frame: Frame) -> Sequence[Landmarks]:
        """Return the landmarks of every detected face, in any order; empty without a face.

        Args:
            frame: RGB uint8, shape (height, width, 3), not mirrored.

        Raises:
            LandmarkerError: The engine failed.
            LandmarkerBusyError: All engines are busy and none became free in time.
        """
        ...


class EyeNetwork(Protocol):
    """Reads the gaze from the images of both eyes; thread-safe."""

    @property
    def digest(self) -> str:
        """SHA-256 of the network's file, hexadecimal."""
        ...

    def estimate(self, frame: Frame, views: EyeViews) -> EyeGazes:
        """Return the gaze of both eyes in the virtual camera frame.

        Args:
            frame: RGB uint8, shape (height, width, 3), not mirrored.
            views: Where the eyes are in this frame.

        Raises:
            ValueError: The frame has the wrong type or shape.
            EyeNetworkError: The network failed.
        """
        ...


class GazeModel(Protocol):
    """Predicts uncalibrated gaze directions from features."""

    @property
    def estimates(self) -> Collection[str]:
        """Estimates of the eyes' direction in the features that it was trained on, among `fusion.ESTIMATES`."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of the model file, hexadecimal."""
        ...

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gaze directions in the camera frame, degrees, shape (n, 2), as `GazeDirection` defines them.

        Args:
            features: Model inputs in the order of `features.FEATURE_NAMES`, shape (n, 7).

        Raises:
            ValueError: The shape is wrong or a value is not finite.
        """
        ...


@dataclass(frozen=True, slots=True)
class Session:
    """Our component of a session in the central session API.

    Attributes:
        session_id: Session id.
        ip_address: Address of the viewer, as seen by the gateway.
        video_id: Id of the watched video.
        created_at: Creation time in the format of the session API.
        frames: Stored record of each frame, by frame number.
        settings: All other keys: `screen`, `camera`, `viewport`, `calibration_session`, `result`, `result_delivered`.
        earlier_expired_at: Expiry time of an earlier session with this id, in the format of the session API; None
            without one, and always None with an older session API.
        ttl_s: Lifetime of a session after its last use; None with an older session API.
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
    """Outcome of an update of a session.

    Frame numbers and `result` are write-once keys: the first value stays.

    Attributes:
        stored: Values now stored under the update's write-once keys. Older session APIs do not report them; then these
            are the values that were sent.
        written: Write-once keys that this update wrote; all of them with an older session API.
        earlier_expired_at: Expiry time of the earlier session with this id, if the update had to create the session
            again and the frames stored before are lost; None otherwise.
        video_id: Video id of the session; None if the session API does not report it with an update.
        ip_address: Address of the session's viewer; None if the session API does not report it with an update.
    """

    stored: Mapping[str, Any]
    written: frozenset[str]
    earlier_expired_at: str | None = None
    video_id: str | None = None
    ip_address: str | None = None


class SessionReader(Protocol):
    """Returns sessions: the session API, or an export of it."""

    def get_session(self, session_id: str, *, first: int | None = None, last: int | None = None) -> Session:
        """Return a session with all its frames or a range of them; older session APIs always return all frames.

        Args:
            session_id: Session id.
            first: Lowest frame number to return; None for no limit.
            last: Highest frame number to return; None for no limit.

        Raises:
            SessionNotFoundError: The session does not exist.
            SessionStoreError: The session API failed.
            SessionStoreTimeoutError: The session API did not answer in time.
        """
        ...


class SessionStore(SessionReader, Protocol):
    """The central session API, the only place that keeps state."""

    @property
    def ttl_s(self) -> float | None:
        """Lifetime of a session after its last use; None until the session API has reported it."""
        ...

    def create_session(self, session_id: str, *, ip_address: str, video_id: str) -> None:
        """Create a session unless it exists.

        Raises:
            SessionStoreError: The session API failed.
            SessionStoreTimeoutError: The session API did not answer in time.
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
    ) -> StoredUpdate:
        """Store the record of one frame. If the session is missing, create it and try once more.

        Idempotent: the first record of a frame number stays.

        Args:
            session_id: Session id.
            frame_number: Frame number, from 1.
            gaze_data: Record of the frame, JSON values only.
            ip_address: Address of the viewer, used to create a missing session.
            video_id: Id of the video, used to create a missing session.

        Raises:
            SessionScoredError: The session already has its result, and this frame is new.
            SessionNotFoundError: The session is still missing after it was created.
            SessionStoreError: The session API failed.
            SessionStoreTimeoutError: The session API did not answer in time.
        """
        ...

    def store_settings(
        self, session_id: str, settings: Mapping[str, Any], *, created_at: str | None = None
    ) -> StoredUpdate:
        """Store session settings, such as `result`, whose first value stays.

        Args:
            session_id: Id of the session.
            settings: Session settings, JSON values only.
            created_at: Creation time of the session to store in, to exclude a later session with the same id; None for
                any. Older session APIs ignore it.

        Raises:
            SessionNotFoundError: The session does not exist, or only a later one with the same id.
            SessionStoreError: The session API failed.
            SessionStoreTimeoutError: The session API did not answer in time.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the session API answers."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class UsableMap:
    """A saliency map and the video frames that it is valid for.

    Attributes:
        frame_nums: Frame numbers, ascending, at least one.
        saliency_map: Saliency map, shape (height, width).
    """

    frame_nums: tuple[int, ...]
    saliency_map: SaliencyMap


@dataclass(frozen=True, slots=True)
class UnusableMap:
    """A stored saliency map that is unusable, and the video frames that it was meant for.

    Attributes:
        frame_nums: Frame numbers, ascending, at least one.
        reason: Description of the defect.
    """

    frame_nums: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class FaceFacts:
    """What saliency maps know of the faces in their video.

    Attributes:
        channel: Whether faces are salient in the maps.
        share: Share of the frames that show a face, 0 to 1; None if nobody has looked.
    """

    channel: bool
    share: float | None = None

    @property
    def are_ignored(self) -> bool:
        """Whether the video shows people but the maps ignore faces."""
        return not self.channel and self.share is not None and self.share >= PEOPLE_SHARE


@dataclass(frozen=True, slots=True)
class VideoMaps:
    """Saliency maps of a video, or of some of its frames.

    Attributes:
        stored: Stored maps in order of frame number, each once; to be read once.
        digest: Identifier of this set of maps; None if not stored.
        fps: Frame rate of the video in frames per second; None if not stored.
        held_every: Number of frames that a map is valid for, starting with its own; None if for its own alone.
        times: Presentation times of the video's frames.
        faces: What the maps know of faces; None if not stored.
        duration_s: Duration of the video; None if not stored.
    """

    stored: Iterator[UsableMap | UnusableMap]
    digest: str | None
    fps: float | None = None
    held_every: int | None = None
    times: VideoTimes = field(default_factory=VideoTimes)
    faces: FaceFacts | None = None
    duration_s: float | None = None

    @property
    def maps(self) -> Iterator[tuple[int, SaliencyMap]]:
        """Pairs of frame number and usable map; consumes `stored`."""
        for each in self.stored:
            if isinstance(each, UsableMap):
                for number in each.frame_nums:
                    yield number, each.saliency_map


class SaliencyMaps(Protocol):
    """Store of the saliency maps of videos."""

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of a video, streamed in order of frame number.

        Maps are read lazily, so a call that only needs `fps` or `times` is cheap.

        Args:
            video_id: Id of the video.
            frame_nums: Frames to return; None returns every map under its own frame number. With `held_every`, a frame
                gets the latest map among the `held_every` frames that end with it. Frames without a map are left out.

        Raises:
            SaliencyMapNotFoundError: The video has no map.
            SaliencyStoreError: The store failed, possibly while the maps are read.
            SaliencyStoreTimeoutError: The store did not answer in time, possibly while the maps are read.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the store answers."""
        ...


class ResultSink(Protocol):
    """The result aggregator, which receives scores."""

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
        """Deliver a score from 0 to 100. Repeating the call with the same idempotency key has no further effect.

        Raises:
            ResultSinkError: The aggregator failed or refused the result.
            ResultSinkTimeoutError: The aggregator did not answer in time.
        """
        ...

    def is_reachable(self) -> bool:
        """Return whether the aggregator answers."""
        ...
