"""Rendering of a dataset into resumable shards, one per person."""

import os
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.eye_images import EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX, eye_views
from gaze_core.features import measure_face
from gaze_core.landmarks import EYE_SHAPES, LANDMARK_COUNT, Landmarks
from gaze_core.types import Floats, Frame
from models import FACE_LANDMARKER_PATH
from models.atomic_file import open_replacement
from research.command_line import make_progress, process_pool
from research.dataset.plan import Plan
from research.dataset.table import FORMAT, KEPT_LANDMARKS, LOW, PLAIN_COLUMNS, RANGE, WIDE_COLUMNS, LandmarkTable

if TYPE_CHECKING:
    from func.adapters.eye_network_opencv import EyeImages, OpencvEyeNetwork
    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
    from research.rendering.renderer import Renderer

NETWORK_COLUMNS = ("network_deg", "network_spread_deg")
"""Columns of the table that are not in the shards, but computed from their eye images."""

RENDERED_COLUMNS = tuple(name for name in PLAIN_COLUMNS if name not in NETWORK_COLUMNS)

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "dataset"


def make_shards(plan: Plan, folder: Path, *, jobs: int, show_progress: bool = True) -> None:
    """Render every identity whose shard is missing.

    Args:
        plan: The images.
        folder: Folder of the shards; created if missing.
        jobs: Number of processes.
        show_progress: Whether to show a progress bar.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in plan.people if not shard_path(folder, number).is_file()]
    if not missing:
        return
    with make_progress(is_shown=show_progress) as progress, process_pool(jobs) as pool:
        bar = progress.add_task("images", total=len(missing) * plan.frames_per_identity)
        for future in as_completed([pool.submit(make_shard, plan, number, folder) for number in missing]):
            future.result()
            progress.advance(bar, plan.frames_per_identity)


def shard_path(folder: Path, identity_id: int) -> Path:
    """Return the path of one identity's shard."""
    return folder / f"identity-{identity_id:05d}.npz"


def make_shard(plan: Plan, identity_id: int, folder: Path) -> Path:
    """Render one identity, find the landmarks, cut out the eyes and write the shard atomically."""
    from research.rendering.identity import sample_identity  # noqa: PLC0415
    from research.rendering.photograph import photograph  # noqa: PLC0415
    from research.rendering.sampling import sample_fixation, sample_scene, sample_session  # noqa: PLC0415

    renderer, landmarker = _workbench()
    identity = sample_identity(identity_id, plan.seed)
    names = ("found", "landmarks", "eye_images", "head_deg", *RENDERED_COLUMNS)
    rows: dict[str, list[Any]] = {name: [] for name in names}
    for planned in plan.frames(identity_id):
        session = sample_session(identity, planned.session_id, plan.seed)
        if plan.calibrations:
            scene = sample_fixation(session, identity, planned.target_index, planned.frame)
        else:
            scene = sample_scene(session, identity, planned.frame, planned.target_index)
        frame = photograph(renderer, scene, identity)
        face = max(landmarker.detect(frame), key=lambda found: found.area_px, default=None)
        points = np.full((LANDMARK_COUNT, 3), np.nan) if face is None else face.points
        shapes = np.full((2, len(EYE_SHAPES)), np.nan)
        if face is not None and face.eye_shapes is not None:
            shapes = face.eye_shapes
        images, head_deg = _cut_out_eyes(frame, face, scene.camera.vertical_fov_deg)
        for name, value in (
            ("found", face is not None),
            ("landmarks", points),
            ("eye_images", images),
            ("head_deg", head_deg),
            ("eye_shapes", shapes),
            ("image_size_px", (scene.image_width_px, scene.image_height_px)),
            ("gaze_deg", (scene.direction.gaze_x_deg, scene.direction.gaze_y_deg)),
            ("target_mm", scene.target_mm),
            ("origin_mm", scene.origin_mm),
            ("distance_mm", scene.distance_mm),
            ("pose_deg", (scene.pitch_deg, scene.yaw_deg, scene.roll_deg)),
            (
                "camera",
                (
                    scene.camera.vertical_fov_deg,
                    scene.camera.offset_x_mm,
                    scene.camera.offset_y_mm,
                    scene.camera.tilt_deg,
                ),
            ),
            ("screen_mm", (scene.screen.width_mm, scene.screen.height_mm)),
            ("identity", planned.identity_id),
            ("session", planned.session_id),
            ("frame", planned.frame),
            ("target_index", planned.target_index),
            ("openness", scene.openness),
            ("wears_glasses", scene.wears_glasses),
            ("skin", float(np.mean(identity.skin.colour))),
            ("electrons", scene.optics.electrons),
            ("window", scene.backdrop.window),
            ("defocus_px", scene.optics.defocus_px),
            ("motion_px", scene.optics.motion_px),
            ("jpeg_quality", scene.optics.jpeg_quality),
        ):
            rows[name].append(value)
    path = shard_path(folder, identity_id)
    with open_replacement(path) as stream:
        arrays: dict[str, Any] = {name: np.array(values) for name, values in rows.items()}
        np.savez_compressed(stream, **arrays)
    return path


def _cut_out_eyes(frame: Frame, face: Landmarks | None, vertical_fov_deg: float) -> "tuple[EyeImages, Floats]":
    """Return the eye images, shape (2, 48, 72), and the head's pitch and yaw in the virtual camera frame, shape (2,).

    Without a face, or if an eye cannot be seen, the images are black and the angles NaN.
    """
    from func.adapters.eye_network_opencv import cut_eye_images  # noqa: PLC0415

    if face is not None:
        try:
            geometry = measure_face(face, vertical_fov_deg=vertical_fov_deg)
            views = eye_views(geometry, face.image_width_px, face.image_height_px, vertical_fov_deg)
        except ValueError:  # the landmarks form no face, or an eye is behind the camera
            pass
        else:
            return cut_eye_images(frame, views), views.head_deg
    return np.zeros((2, EYE_IMAGE_HEIGHT_PX, EYE_IMAGE_WIDTH_PX), np.uint8), np.full(2, np.nan)


def gather(plan: Plan, folder: Path, network: "OpencvEyeNetwork | None" = None) -> LandmarkTable:
    """Return the table made of all shards.

    Args:
        plan: The images.
        folder: Folder of the shards.
        network: Eye network that reads the eye images; None leaves its columns NaN.

    Raises:
        FileNotFoundError: A shard is missing.
        EyeNetworkError: The network failed.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("landmarks", *PLAIN_COLUMNS)}
    missed: list[list[int]] = []
    for number in plan.people:
        with np.load(shard_path(folder, number), allow_pickle=False) as shard:
            points = shard["landmarks"][:, list(KEPT_LANDMARKS)]
            inside = ((points >= LOW) & (points <= LOW + RANGE)).all(axis=(1, 2))
            kept = shard["found"] & inside
            for name in ("landmarks", *RENDERED_COLUMNS):
                parts[name].append(shard[name][kept])
            answers = _read_eye_images(shard["eye_images"][kept], shard["head_deg"][kept], network)
            for name, values in zip(NETWORK_COLUMNS, answers, strict=True):
                parts[name].append(values)
            missed += np.stack([shard[name][~kept] for name in ("identity", "session", "frame")], axis=1).tolist()
    columns: dict[str, Any] = {name: np.concatenate(values) for name, values in parts.items()}
    for name in PLAIN_COLUMNS:
        columns[name] = columns[name].astype(WIDE_COLUMNS.get(name, np.float64))
    dropped = np.setdiff1d(np.arange(LANDMARK_COUNT), KEPT_LANDMARKS)
    columns["landmarks"][:, dropped] = np.nan
    description = {
        "format": FORMAT,
        "plan": asdict(plan),
        "digest": plan.digest(),
        "first_held_out": plan.first_held_out,
        "images": plan.images,
        "faces_found": len(columns["identity"]),
        "no_face": missed,
        "eye_network_sha256": None if network is None else network.digest,
    }
    return LandmarkTable(first_held_out=plan.first_held_out, description=description, **columns)


def _read_eye_images(
    images: NDArray[np.uint8], head_deg: Floats, network: "OpencvEyeNetwork | None"
) -> tuple[Floats, Floats]:
    """Return the network's directions and spreads of left eye, right eye and both, shape (n, 3, 2) each.

    Args:
        images: Eye images, shape (n, 2, 48, 72).
        head_deg: Pitch and yaw of the head, NaN where there are no eye images, shape (n, 2).
        network: Eye network; None gives NaN.
    """
    directions_deg, spread_deg = np.full((2, len(images), 3, 2), np.nan)
    if network is not None:
        for row in np.flatnonzero(np.isfinite(head_deg).all(axis=1)):
            gazes = network.estimate_images(images[row], head_deg[row])
            directions_deg[row] = [*gazes.eyes_deg, gazes.both_deg]
            spread_deg[row] = [*gazes.eyes_spread_deg, gazes.both_spread_deg]
    return directions_deg, spread_deg


@lru_cache(maxsize=1)
def _workbench() -> "tuple[Renderer, MediapipeFaceLandmarker]":
    """Return the renderer and the landmarker of this process."""
    os.environ["LP_NUM_THREADS"] = "1"  # the pool of processes provides the parallelism
    import cv2  # noqa: PLC0415

    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker  # noqa: PLC0415
    from research.rendering.renderer import Renderer  # noqa: PLC0415

    cv2.setNumThreads(1)
    return Renderer(), MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
