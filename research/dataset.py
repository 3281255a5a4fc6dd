"""Makes the training table: pictures of people whose gaze is known, and the landmarks found in them.

    python -m research.dataset --identities 360 --frames-per-identity 18 --seed 2
    python -m research.dataset --identities 360 --calibrations 40 --seed 2 --out research/tables/calibration_table.npz

The second makes the table on which calibration is measured: people of the test group look at nine dots, ten frames
each, move, and look at places anywhere on the screen.

The plan follows from the arguments alone. Every identity is one shard in `.cache/dataset/<digest>`, where the digest
covers the plan and the renderer's source; finished shards are not made again. The table keeps landmarks and truth,
never features: `research.training` computes those with `gaze_core`, so that they cannot differ from the service's.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gaze_core.head_pose import CANONICAL_FACE
from gaze_core.landmarks import LANDMARK_COUNT, Landmarks
from gaze_core.types import Camera, Screen
from models import FACE_LANDMARKER_PATH

if TYPE_CHECKING:
    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
    from research.rendering.renderer import Renderer

FORMAT = 1
TABLES = Path(__file__).resolve().parent / "tables"
TRAINING_TABLE_PATH = TABLES / "training_table.npz"
CALIBRATION_TABLE_PATH = TABLES / "calibration_table.npz"
CACHE = Path(__file__).resolve().parents[1] / ".cache" / "dataset"

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
BROWS = (55, 65, 52, 105, 285, 295, 282, 334)
OUTLINE = (1, 4, 10, 152, 168, 234, 454, 61, 291, 13, 14)
KEPT_LANDMARKS = tuple(
    sorted({*range(468, 478), *RIGHT_EYE, *LEFT_EYE, *BROWS, *OUTLINE, *(int(row[0]) for row in CANONICAL_FACE)})
)

LOW = np.array([-0.5, -0.5, -1.0])
"""Least x, y and z that the table can hold."""

RANGE = 2.0
"""From the least to the largest; in 65,535 steps, each is 0.02 px in a picture 640 px wide."""

_STEPS = 65535

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


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The pictures in which a face was found, one row each, and the truth about them.

    Frames of reference are those of `gaze_core.types`.

    Attributes:
        landmarks: As `gaze_core.landmarks.Landmarks.points` has them, NaN where not kept, shape (n, 478, 3).
        image_size_px: Width and height, shape (n, 2).
        gaze_deg: The truth: gaze_x and gaze_y in the camera frame, shape (n, 2).
        target_mm: What is looked at, camera frame, shape (n, 3).
        origin_mm: Midpoint between the eyes' centres of rotation, camera frame, shape (n, 3).
        distance_mm: From the camera to that midpoint, shape (n,).
        pose_deg: True pitch, yaw and roll of the head, shape (n, 3).
        camera: Vertical field of view (degrees), offset to the right and up (mm), tilt (degrees), shape (n, 4).
        screen_mm: Width and height of the screen, shape (n, 2).
        identity: Number of the person, shape (n,).
        session: Number of the sitting, shape (n,).
        frame: Number within the session, shape (n,).
        dot: Calibration dot that is looked at, 0..8, -1 for none, from 9 on a place to try it on, shape (n,).
        openness: 1 as open as the gaze wants it, 0 shut, shape (n,).
        wears_glasses: Shape (n,).
        skin: Mean reflectance of the skin, linear, shape (n,).
        photons: Electrons at full scale, small in the dark, shape (n,).
        window: Brightness of a window behind the person, 0 for none, shape (n,).
        defocus_px: Blur at 640 px width, shape (n,).
        motion_px: Motion blur at 640 px width, shape (n,).
        jpeg_quality: Shape (n,).
        first_held_out: Identities from this number on are the test group: nobody may train on them.
        description: The plan, how many pictures there were and in which no face was found.
    """

    landmarks: NDArray[np.float64]
    image_size_px: NDArray[np.int64]
    gaze_deg: NDArray[np.float64]
    target_mm: NDArray[np.float64]
    origin_mm: NDArray[np.float64]
    distance_mm: NDArray[np.float64]
    pose_deg: NDArray[np.float64]
    camera: NDArray[np.float64]
    screen_mm: NDArray[np.float64]
    identity: NDArray[np.int64]
    session: NDArray[np.int64]
    frame: NDArray[np.int64]
    dot: NDArray[np.int64]
    openness: NDArray[np.float64]
    wears_glasses: NDArray[np.bool_]
    skin: NDArray[np.float64]
    photons: NDArray[np.float64]
    window: NDArray[np.float64]
    defocus_px: NDArray[np.float64]
    motion_px: NDArray[np.float64]
    jpeg_quality: NDArray[np.int64]
    first_held_out: int
    description: dict[str, Any]

    def __len__(self) -> int:
        return len(self.identity)

    @property
    def is_held_out(self) -> NDArray[np.bool_]:
        """Which rows belong to the test group, shape (n,)."""
        return np.asarray(self.identity >= self.first_held_out)

    def face(self, row: int) -> Landmarks:
        """Return one row's landmarks as the core takes them."""
        width, height = self.image_size_px[row].tolist()
        return Landmarks(self.landmarks[row], width, height)

    def camera_of(self, row: int) -> Camera:
        """Return one row's camera."""
        fov, right, up, tilt = self.camera[row].tolist()
        return Camera(vertical_fov_deg=fov, offset_x_mm=right, offset_y_mm=up, tilt_deg=tilt)

    def screen_of(self, row: int) -> Screen:
        """Return one row's screen; its size in pixels is not known."""
        width, height = self.screen_mm[row].tolist()
        return Screen(width_mm=width, height_mm=height)


_PLAIN_COLUMNS = tuple(
    field.name for field in fields(Table) if field.name not in ("landmarks", "first_held_out", "description")
)
_WIDE = {
    "identity": np.int64,
    "session": np.int64,
    "frame": np.int64,
    "dot": np.int64,
    "image_size_px": np.int64,
    "jpeg_quality": np.int64,
    "wears_glasses": np.bool_,
}
_NARROW = {
    "identity": np.int32,
    "session": np.int32,
    "frame": np.int16,
    "dot": np.int8,
    "image_size_px": np.int16,
    "jpeg_quality": np.int8,
    "wears_glasses": np.bool_,
}


def load_table(path: Path) -> Table:
    """Return the table that `write_table` wrote.

    Raises:
        ValueError: The file has another format.
    """
    with np.load(path, allow_pickle=False) as stored:
        description = json.loads(str(stored["description"]))
        if description["format"] != FORMAT:
            raise ValueError(f"{path.name} has format {description['format']}, not {FORMAT}")
        columns: dict[str, Any] = {name: stored[name].astype(_WIDE.get(name, np.float64)) for name in _PLAIN_COLUMNS}
        kept = stored["kept_landmarks"].astype(np.int64)
        steps = _join_planes(stored["landmarks_high"], stored["landmarks_low"])
    landmarks = np.full((steps.shape[0], LANDMARK_COUNT, 3), np.nan)
    landmarks[:, kept] = LOW + steps * (RANGE / _STEPS)
    return Table(
        landmarks=landmarks, first_held_out=int(description["first_held_out"]), description=description, **columns
    )


def write_table(table: Table, path: Path) -> None:
    """Write a table, landmarks quantised to 16 bits; replaces the file at once or not at all.

    The same table gives the same bytes.

    Raises:
        ValueError: A landmark lies outside the range that the table can hold.
    """
    points = table.landmarks[:, list(KEPT_LANDMARKS)]
    steps = np.round((points - LOW) * (_STEPS / RANGE))
    if not (np.isfinite(steps).all() and steps.min(initial=0) >= 0 and steps.max(initial=0) <= _STEPS):
        raise ValueError("a landmark lies outside the table's range")
    high, low = _split_planes(steps.astype(np.int64))
    arrays: dict[str, NDArray[Any]] = {
        "description": np.array(json.dumps(table.description, sort_keys=True)),
        "kept_landmarks": np.array(KEPT_LANDMARKS, dtype=np.int16),
        "landmarks_high": high,
        "landmarks_low": low,
    }
    for name in _PLAIN_COLUMNS:
        arrays[name] = getattr(table, name).astype(_NARROW.get(name, np.float32))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in sorted(arrays.items()):
            entry = zipfile.ZipInfo(f"{name}.npy")  # its fixed date keeps the file reproducible
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.asarray(array, order="C"), allow_pickle=False)
    temporary.replace(path)


def _split_planes(steps: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return high and low bytes of the steps relative to each face's first landmark, which compress far better."""
    relative = steps.copy()
    relative[:, 1:] = (relative[:, 1:] - relative[:, :1] + (_STEPS + 1) // 2) % (_STEPS + 1)
    columns = np.moveaxis(relative, 0, -1)
    return (columns >> 8).astype(np.uint8), (columns & 255).astype(np.uint8)


def _join_planes(high: NDArray[np.uint8], low: NDArray[np.uint8]) -> NDArray[np.int64]:
    steps = np.moveaxis((high.astype(np.int64) << 8) | low, -1, 0).copy()
    steps[:, 1:] = (steps[:, 1:] + steps[:, :1] - (_STEPS + 1) // 2) % (_STEPS + 1)
    return steps


def make_shards(plan: Plan, folder: Path, *, jobs: int, show_progress: bool = True) -> None:
    """Render every identity whose shard is missing.

    Args:
        plan: Which pictures.
        folder: For the shards; made if need be.
        jobs: Number of processes.
        show_progress: Whether to draw a progress bar.
    """
    from tqdm import tqdm  # noqa: PLC0415 - of the extra `research`; loading a table needs none of it

    folder.mkdir(parents=True, exist_ok=True)
    missing = [number for number in plan.people if not shard_path(folder, number).is_file()]
    if not missing:
        return
    context = multiprocessing.get_context("spawn")  # neither OpenGL nor MediaPipe survives a fork
    with (
        tqdm(total=len(missing) * plan.frames_per_identity, unit="image", disable=not show_progress) as bar,
        ProcessPoolExecutor(jobs, mp_context=context) as pool,
    ):
        pending = [pool.submit(make_shard, plan, number, folder) for number in missing]
        try:
            for future in as_completed(pending):
                future.result()
                bar.update(plan.frames_per_identity)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def shard_path(folder: Path, identity_id: int) -> Path:
    """Return where one identity's shard lies."""
    return folder / f"identity-{identity_id:05d}.npz"


def make_shard(plan: Plan, identity_id: int, folder: Path) -> Path:
    """Render one identity and find the landmarks; the file appears at once or not at all."""
    from research.rendering.identity import sample_identity  # noqa: PLC0415
    from research.rendering.photograph import photograph  # noqa: PLC0415
    from research.rendering.sampling import sample_look, sample_scene, sample_session  # noqa: PLC0415

    renderer, landmarker = _workbench()
    identity = sample_identity(identity_id, plan.seed)
    rows: dict[str, list[Any]] = {name: [] for name in ("found", "landmarks", *_PLAIN_COLUMNS)}
    for planned in plan.frames(identity_id):
        session = sample_session(identity, planned.session_id, plan.seed)
        if plan.calibrations:
            scene = sample_look(session, identity, planned.dot, planned.frame)
        else:
            scene = sample_scene(session, identity, planned.frame, planned.dot)
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
            ("dot", planned.dot),
            ("openness", scene.openness),
            ("wears_glasses", scene.wears_glasses),
            ("skin", float(np.mean(identity.skin.colour))),
            ("photons", scene.optics.photons),
            ("window", scene.backdrop.window),
            ("defocus_px", scene.optics.defocus_px),
            ("motion_px", scene.optics.motion_px),
            ("jpeg_quality", scene.optics.jpeg_quality),
        ):
            rows[name].append(value)
    path = shard_path(folder, identity_id)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as stream:
        arrays: dict[str, Any] = {name: np.array(values) for name, values in rows.items()}
        np.savez_compressed(stream, **arrays)
    temporary.replace(path)
    return path


def gather(plan: Plan, folder: Path) -> Table:
    """Return the table of all shards.

    Raises:
        FileNotFoundError: A shard is missing.
    """
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in ("landmarks", *_PLAIN_COLUMNS)}
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
    for name in _PLAIN_COLUMNS:
        columns[name] = columns[name].astype(_WIDE.get(name, np.float64))
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
    return Table(first_held_out=plan.first_held_out, description=description, **columns)


@lru_cache(maxsize=1)
def _workbench() -> "tuple[Renderer, MediapipeFaceLandmarker]":
    """Return this process's renderer and landmarker."""
    os.environ["LP_NUM_THREADS"] = "1"  # the processes are the parallelism
    import cv2  # noqa: PLC0415

    from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker  # noqa: PLC0415
    from research.rendering.renderer import Renderer  # noqa: PLC0415

    cv2.setNumThreads(1)
    return Renderer(), MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)


@lru_cache(maxsize=1)
def _source_digest() -> str:
    """Return the digest of the renderer's source: another renderer, other pictures."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).resolve().parent / "rendering").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _dots_in(frames: int) -> list[int]:
    """Return the calibration dots that a session of so many pictures begins with: 9 twice, 9 once or none."""
    rounds = 2 if frames >= 36 else 1 if frames >= 18 else 0
    return [dot for dot in range(9) for _ in range(rounds)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the table."""
    parser = argparse.ArgumentParser(prog="python -m research.dataset", description=__doc__.splitlines()[0])
    parser.add_argument("--identities", type=int, default=360, help="number of people")
    parser.add_argument("--frames-per-identity", type=int, default=18, help="pictures of each")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--held-out", type=int, help="people of the test group; a sixth unless given")
    parser.add_argument("--calibrations", type=int, default=0, help="people of the test group who calibrate instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="number of processes")
    parser.add_argument("--out", type=Path, default=TRAINING_TABLE_PATH)
    options = parser.parse_args(arguments)
    held_out = options.identities // 6 if options.held_out is None else options.held_out
    frames = (DOTS + CHECKS) * FRAMES_PER_DOT if options.calibrations else options.frames_per_identity
    plan = Plan(options.identities, frames, options.seed, held_out, calibrations=options.calibrations)
    folder = CACHE / plan.digest()
    make_shards(plan, folder, jobs=options.jobs)
    table = gather(plan, folder)
    write_table(table, options.out)
    share, size_mb = len(table) / plan.images, options.out.stat().st_size / 1e6
    print(f"a face in {len(table)} of {plan.images} pictures ({share:.2%}); {options.out} has {size_mb:.2f} MB")


if __name__ == "__main__":
    main()
