"""Rendering of a dataset into resumable shards, one per person."""

import os
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.landmarks import LANDMARK_COUNT
from models import FACE_LANDMARKER_PATH
from models.atomic_file import open_replacement
from research.command_line import make_progress, process_pool
from research.dataset.plan import Plan
from research.dataset.table import FORMAT, KEPT_LANDMARKS, LOW, PLAIN_COLUMNS, RANGE, WIDE_COLUMNS, LandmarkTable

if TYPE_CHECKING:
    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
    from research.rendering.renderer import Renderer

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
    """Render one identity, find the landmarks and write the shard atomically."""
    from research.rendering.identity import sample_identity  # noqa: PLC0415
    from research.rendering.photograph import photograph  # noqa: PLC0415
    from research.rendering.sampling import sample_fixation, sample_scene, sample_session  # noqa: PLC0415

    renderer, landmarker = _workbench()
    identity = sample_identity(identity_id, plan.seed)
    rows: dict[str, list[Any]] = {name: [] for name in ("found", "landmarks", *PLAIN_COLUMNS)}
    for planned in plan.frames(identity_id):
        session = sample_session(identity, planned.session_id, plan.seed)
        if plan.calibrations:
            scene = sample_fixation(session, identity, planned.target_index, planned.frame)
        else:
            scene = sample_scene(session, identity, planned.frame, planned.target_index)
        faces = landmarker.detect(photograph(renderer, scene, identity))
        face = max(faces, key=lambda found: found.area_px, default=None)
        points = np.full((LANDMARK_COUNT, 3), np.nan) if face is None else face.points
        for name, value in (
            ("found", face is not None),
            ("landmarks", points),
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


def gather(plan: Plan, folder: Path) -> LandmarkTable:
    """Return the table made of all shards.

    Raises:
        FileNotFoundError: A shard is missing.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("landmarks", *PLAIN_COLUMNS)}
    missed: list[list[int]] = []
    for number in plan.people:
        with np.load(shard_path(folder, number), allow_pickle=False) as shard:
            points = shard["landmarks"][:, list(KEPT_LANDMARKS)]
            inside = ((points >= LOW) & (points <= LOW + RANGE)).all(axis=(1, 2))
            kept = shard["found"] & inside
            for name, values in parts.items():
                values.append(shard[name][kept])
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
    }
    return LandmarkTable(first_held_out=plan.first_held_out, description=description, **columns)


@lru_cache(maxsize=1)
def _workbench() -> "tuple[Renderer, MediapipeFaceLandmarker]":
    """Return the renderer and the landmarker of this process."""
    os.environ["LP_NUM_THREADS"] = "1"  # the pool of processes provides the parallelism
    import cv2  # noqa: PLC0415

    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker  # noqa: PLC0415
    from research.rendering.renderer import Renderer  # noqa: PLC0415

    cv2.setNumThreads(1)
    return Renderer(), MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
