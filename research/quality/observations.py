"""What the detector sees of frames whose eyes are visible, shut or covered."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gaze_core.eye_images import EyeViews, eye_views
from gaze_core.features import HIDDEN_EYE_YAW_DEG, find_quality_issues, measure_face
from gaze_core.landmarks import Landmarks
from gaze_core.plausible_face import describe_face
from gaze_core.ports import EyeNetwork, FaceLandmarker
from gaze_core.types import Floats, Frame
from gaze_core.visible_eyes import describe_eyes, eye_spreads_deg, find_iris_evidence, sample_eyes
from research.quality.changes import HARMLESS, turn
from research.quality.covers import OPAQUE, PARTIAL, cover_eyes, find_eyes
from research.quality.people import RenderedFrame

VISIBLE, HIDDEN, UNKNOWN = 1, 0, -1

SHUT_BELOW, OPEN_ABOVE = 0.05, 0.6
"""Rendered lids that hide the iris, and lids that show it; between them the eye counts neither way."""

STILL_VISIBLE = ("lenses, opacity 0.3", "lenses, opacity 0.5", "blur of 0.06 eye widths", "pixels of 0.12 eye widths")
"""Partial covers that let an iris be seen."""

HARD_COVERS = ("dark disc, 0.85 × 0.62 across", "coarse pixels", "disc of any colour")
"""Covers that resemble an eye; they are drawn three times as often as others."""

HARMLESS_CHANGES, COVERS, ONE_EYE_COVERS = 1, 4, 1
"""Changes and covers of each rendered frame, drawn at random."""

_COVER_SHARES = np.array([3.0 if name in HARD_COVERS else 1.0 for name in OPAQUE])
_COVER_SHARES /= _COVER_SHARES.sum()


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """The eyes of one frame.

    Attributes:
        kind: Name of the change or cover; `clean` without one.
        person: Number of the person.
        labels: `VISIBLE`, `HIDDEN` or `UNKNOWN` for the left and the right eye.
        features: Result of `describe_eyes`, shape (2, n).
        spread_deg: Standard deviation that the eye network predicts for each eye: the root mean square of its
            horizontal and vertical one, shape (2,).
    """

    kind: str
    person: int
    labels: tuple[int, int]
    features: Floats
    spread_deg: Floats


@dataclass(frozen=True, slots=True, eq=False)
class FaceObservation:
    """A face that the landmarker found.

    Attributes:
        person: Number of the person.
        is_upright: Whether the image is upright; otherwise it is upside down and the landmarks are nonsense.
        features: Result of `describe_face`, shape (n,).
    """

    person: int
    is_upright: bool
    features: Floats


def observe_faces(rendered: RenderedFrame, landmarker: FaceLandmarker) -> Iterator[FaceObservation]:
    """Yield the face found in a rendered frame, and the one found in the frame upside down.

    Args:
        rendered: The frame.
        landmarker: Landmarker.
    """
    for is_upright, frame in ((True, rendered.frame), (False, turn(rendered.frame, 180))):
        face = find_face(landmarker, frame)
        if face is not None:
            yield FaceObservation(rendered.identity, is_upright, describe_face(frame, face))


def observe_person(rendered: RenderedFrame, landmarker: FaceLandmarker, network: EyeNetwork) -> Iterator[Observation]:
    """Yield the eyes of a rendered frame as it is, changed, and covered; deterministic.

    Args:
        rendered: The frame.
        landmarker: Landmarker.
        network: Eye network.
    """
    frame, fov_deg, person = rendered.frame, rendered.vertical_fov_deg, rendered.identity
    clean = find_face(landmarker, frame)
    if clean is None or find_quality_issues(frame, clean, measure_face(clean, vertical_fov_deg=fov_deg)):
        return
    rng = np.random.default_rng(zlib.crc32(frame.tobytes()))
    seen = _label(rendered)
    eyes = find_eyes(clean)

    def observe(kind: str, image: Frame, labels: tuple[int, int]) -> Iterator[Observation]:
        found = find_views(landmarker, image, fov_deg)
        if found is not None:
            features = describe_eyes(sample_eyes(image, *found))
            yield Observation(kind, person, labels, features, eye_spreads_deg(network.estimate(image, found[1])))

    yield from observe("shut" if HIDDEN in seen else "clean", frame, seen)
    if VISIBLE not in seen:
        return
    for name in rng.choice(list(HARMLESS), HARMLESS_CHANGES, replace=False):
        # The mirror image swaps the eyes.
        labels = (seen[1], seen[0]) if name == "mirrored" else seen
        yield from observe(str(name), HARMLESS[name](frame, rng), labels)
    name = str(rng.choice(STILL_VISIBLE))
    yield from observe(name, cover_eyes(PARTIAL[name], frame, eyes, rng), seen)
    for name in rng.choice(list(OPAQUE), COVERS, replace=False, p=_COVER_SHARES):
        yield from observe(str(name), cover_eyes(OPAQUE[name], frame, eyes, rng), (HIDDEN, HIDDEN))
    for name in rng.choice(list(OPAQUE), ONE_EYE_COVERS, replace=False):
        side = int(rng.integers(2))
        covered = cover_eyes(OPAQUE[name], frame, [eyes[side]], rng)
        yield from observe(str(name), covered, (HIDDEN, seen[1]) if side == 0 else (seen[0], HIDDEN))


def find_evidence(
    landmarker: FaceLandmarker, frame: Frame, vertical_fov_deg: float, network: EyeNetwork | None
) -> Floats | None:
    """Return the evidence of an iris in both eyes of the largest face, shape (2,); None as for `find_views`.

    Args:
        landmarker: Landmarker.
        frame: RGB image.
        vertical_fov_deg: Vertical field of view of the camera.
        network: Eye network; None leaves its spread out.
    """
    found = find_views(landmarker, frame, vertical_fov_deg)
    if found is None:
        return None
    spread_deg = None if network is None else eye_spreads_deg(network.estimate(frame, found[1]))
    return find_iris_evidence(frame, *found, spread_deg=spread_deg)


def find_views(landmarker: FaceLandmarker, frame: Frame, vertical_fov_deg: float) -> tuple[Landmarks, EyeViews] | None:
    """Return the largest face and how the virtual camera sees its eyes; None without a face in front of the camera."""
    face = find_face(landmarker, frame)
    if face is None:
        return None
    try:
        geometry = measure_face(face, vertical_fov_deg=vertical_fov_deg)
        return face, eye_views(geometry, frame.shape[1], frame.shape[0], vertical_fov_deg)
    except ValueError:
        return None


def find_face(landmarker: FaceLandmarker, frame: Frame) -> Landmarks | None:
    """Return the largest face in a frame; None without any."""
    return max(landmarker.detect(frame), key=lambda face: face.area_px, default=None)


def _label(rendered: RenderedFrame) -> tuple[int, int]:
    """Return whether the left and the right eye of a frame without changes can be seen."""
    if rendered.openness < SHUT_BELOW:
        return HIDDEN, HIDDEN
    if rendered.openness < OPEN_ABOVE or rendered.has_hand:
        return UNKNOWN, UNKNOWN
    yaw_deg = rendered.pose_deg[1]
    if abs(yaw_deg) < HIDDEN_EYE_YAW_DEG - 5:
        return VISIBLE, VISIBLE
    return (VISIBLE, UNKNOWN) if yaw_deg > 0 else (UNKNOWN, VISIBLE)
