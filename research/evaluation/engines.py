"""Compare the two landmark engines, frame by frame.

    python -m research.evaluation.engines --people 130            # rendered people, 18 images each
    python -m research.evaluation.engines --images PATH …         # your own images and videos, and variations of them

The variations are the cases in which engines tend to differ: cut off by each edge of the image, small, rotated, several
people. `docs/landmarkers.md` explains the differences.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_litert import LitertFaceLandmarker
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.web.images import decode_image
from gaze_core.detector import GazeDetector
from gaze_core.features import measure_face
from gaze_core.gaze import visual_angle_deg
from gaze_core.landmarks import IRIS, LEFT, RIGHT, Landmarks
from gaze_core.types import Frame, GazeSample
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from research.command_line import Command, make_progress
from research.dataset.plan import Plan
from research.markdown import make_table
from research.recordings.frames import MAX_PIXELS, CachedLandmarker
from research.recordings.recording import IMAGE_SUFFIXES

FRAMES_PER_PERSON = 18
SEED = 77
SMALL_SCALES = (0.15, 0.25, 0.4)
ROTATIONS_DEG = (-90, -45, -20, 20, 45, 90, 180)
VARIED_FRAME_PX = (640, 480)

MEASURES = {
    "landmarks, px": "all landmarks: largest distance in x and y",
    "irises, px": "ten points of both irises: largest distance in x and y",
    "head rotation, deg": "angle between the head poses",
    "distance, mm": "difference of the distance from camera to eyes",
    "blendshapes": "largest difference of the eyes' blendshapes",
    "gaze, deg": "angle between the gaze directions of the model",
}
"""Name and meaning of each measured difference."""


@dataclass(slots=True)
class Differences:
    """Differences between the engines on some frames.

    Attributes:
        frames: Number of frames.
        faces: Number of faces that both engines found.
        other_count: Names of the frames on which they found different numbers of faces.
        other_validity: Names of the frames with a different validity or different quality issues.
        values: For each of `MEASURES`, the difference for each face (the gaze: for each frame).
    """

    frames: int = 0
    faces: int = 0
    other_count: list[str] = field(default_factory=list)
    other_validity: list[str] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in MEASURES})


def compare_engines(frames: Iterable[tuple[str, Frame]]) -> Differences:
    """Return the differences between the engines on some frames.

    Args:
        frames: Name and RGB image of each frame.
    """
    model, network = load_gaze_model(GAZE_MODEL_PATH), OpencvEyeNetwork(EYE_NETWORK_PATH)
    pools = [
        engine(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60)
        for engine in (MediapipeFaceLandmarker, LitertFaceLandmarker)
    ]
    found = Differences()
    for name, frame in frames:
        found.frames += 1
        # Both detectors ask again, sometimes for the image upside down; a cache answers what was asked before.
        engines = [CachedLandmarker(pool) for pool in pools]
        first, second = (engine.detect(frame) for engine in engines)
        if len(first) != len(second):
            found.other_count.append(name)
        else:
            for faces in zip(first, second, strict=True):
                _compare_faces(found, *faces)
        samples = [GazeDetector(engine, model, eye_network=network).process_single_frame(frame) for engine in engines]
        _compare_samples(found, name, *samples)
    return found


def _compare_samples(found: Differences, name: str, first: GazeSample, second: GazeSample) -> None:
    if (first.validity, first.quality_issues) != (second.validity, second.quality_issues):
        found.other_validity.append(name)
    if first.direction is not None and second.direction is not None:
        found.values["gaze, deg"].append(float(visual_angle_deg(first.direction, second.direction)))


def _compare_faces(found: Differences, first: Landmarks, second: Landmarks) -> None:
    found.faces += 1
    size_px = (first.image_width_px, first.image_height_px)
    offsets_px = np.abs(first.points[:, :2] - second.points[:, :2]) * size_px
    found.values["landmarks, px"].append(float(offsets_px.max()))
    found.values["irises, px"].append(float(offsets_px[list(IRIS[LEFT] + IRIS[RIGHT])].max()))
    if first.eye_shapes is not None and second.eye_shapes is not None:
        found.values["blendshapes"].append(float(np.abs(first.eye_shapes - second.eye_shapes).max()))
    try:
        geometries = [measure_face(face) for face in (first, second)]
    except ValueError:
        return
    between = geometries[0].head_pose.head_rotation.T @ geometries[1].head_pose.head_rotation
    sine = float(np.linalg.norm(between - between.T)) / math.sqrt(8)
    found.values["head rotation, deg"].append(math.degrees(math.asin(min(1.0, sine))))
    found.values["distance, mm"].append(abs(geometries[0].distance_mm - geometries[1].distance_mm))


def render_frames(people: int, *, seed: int = SEED) -> Iterator[tuple[str, Frame]]:
    """Yield name and image of rendered people in all poses of the training data.

    Args:
        people: Number of people, with `FRAMES_PER_PERSON` images each.
        seed: Seed of the people; not that of the training data.
    """
    from research.rendering.identity import sample_identity  # noqa: PLC0415
    from research.rendering.photograph import photograph  # noqa: PLC0415
    from research.rendering.renderer import Renderer  # noqa: PLC0415
    from research.rendering.sampling import sample_scene, sample_session  # noqa: PLC0415

    renderer = Renderer()
    plan = Plan(identities=people, frames_per_identity=FRAMES_PER_PERSON, seed=seed, held_out=0)
    with make_progress() as progress:
        bar = progress.add_task("images", total=people * FRAMES_PER_PERSON)
        for number in plan.people:
            identity = sample_identity(number, seed)
            for planned in plan.frames(number):
                session = sample_session(identity, planned.session_id, seed)
                scene = sample_scene(session, identity, planned.frame, planned.target_index)
                yield f"person {number}, image {planned.frame}", photograph(renderer, scene, identity)
                progress.advance(bar)


def read_frames(paths: Sequence[Path], *, step: int) -> Iterator[tuple[str, Frame]]:
    """Yield name and image of every image file, and of every `step`-th frame of every video.

    Args:
        paths: Images, videos, or directories of images.
        step: Number of video frames from one to the next.
    """
    for path in paths:
        if path.is_dir():
            yield from read_frames(sorted(path.iterdir()), step=step)
        elif path.suffix.lower() in IMAGE_SUFFIXES:
            yield path.name, decode_image(path.read_bytes(), max_pixels=MAX_PIXELS)
        elif path.suffix.lower() in (".mp4", ".mov", ".avi", ".mkv", ".webm"):
            yield from _read_video(path, step)


def _read_video(path: Path, step: int) -> Iterator[tuple[str, Frame]]:
    capture = cv2.VideoCapture(str(path))
    number = 0
    while True:
        is_read, image = capture.read()
        if not is_read:
            return
        number += 1
        if number % step == 1 or step == 1:
            yield f"{path.name} {number}", np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def vary(name: str, frame: Frame, neighbour: Frame) -> Iterator[tuple[str, Frame]]:
    """Yield variations of an image: cut at each edge, small, rotated, and beside other people.

    Args:
        name: Name of the image.
        frame: RGB image of a face.
        neighbour: RGB image of another face.
    """
    height_px, width_px = frame.shape[:2]
    for share in (0.3, 0.45):
        dx, dy = int(share * width_px), int(share * height_px)
        for edge, part in {
            "left": frame[:, dx:],
            "right": frame[:, : width_px - dx],
            "top": frame[dy:],
            "bottom": frame[: height_px - dy],
        }.items():
            yield f"{name} cut at the {edge}", np.ascontiguousarray(part)
    for scale in SMALL_SCALES:
        yield f"{name} at {scale}", _shrink(frame, scale)
    for rotation_deg in ROTATIONS_DEG:
        matrix = cv2.getRotationMatrix2D((width_px / 2, height_px / 2), rotation_deg, 1.0)
        yield f"{name} at {rotation_deg}°", np.asarray(cv2.warpAffine(frame, matrix, (width_px, height_px)), np.uint8)
    other = np.asarray(cv2.resize(neighbour, (width_px, height_px)), np.uint8)
    yield f"{name} beside another", np.hstack([frame, other])
    yield f"{name} above another", np.vstack([other, frame])


def _shrink(frame: Frame, scale: float) -> Frame:
    """Return the image scaled, in the middle of a grey frame of `VARIED_FRAME_PX`."""
    width_px, height_px = VARIED_FRAME_PX
    factor = scale * height_px / frame.shape[0]
    small = cv2.resize(frame, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)[:, :width_px]
    canvas: NDArray[np.uint8] = np.full((height_px, width_px, 3), 90, np.uint8)
    top, left = (height_px - small.shape[0]) // 2, (width_px - small.shape[1]) // 2
    canvas[top : top + small.shape[0], left : left + small.shape[1]] = small
    return canvas


def vary_all(frames: Iterable[tuple[str, Frame]]) -> Iterator[tuple[str, Frame]]:
    """Yield the variations of all images, each beside the one before."""
    neighbour: Frame | None = None
    for name, frame in frames:
        yield from vary(name, frame, frame if neighbour is None else neighbour)
        neighbour = frame


def describe_differences(found: Differences) -> str:
    """Return the differences as a Markdown table and a sentence on the frames that are counted."""
    rows = []
    for name, values in found.values.items():
        if values:
            shown = [*np.quantile(values, [0.5, 0.95, 0.99]), max(values)]
            rows.append([name, *(f"{value:.2g}" for value in shown)])
    table = make_table(["difference", "median", "95th percentile", "99th percentile", "largest"], rows)
    return (
        f"{found.frames} frames, {found.faces} faces; {len(found.other_count)} frames with another number of faces, "
        f"{len(found.other_validity)} with another validity or quality issue.\n\n{table}"
    )


@click.command(cls=Command)
@click.option("--people", type=click.IntRange(min=0), default=0, help="Number of rendered people, 18 images each.")
@click.option(
    "--images",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    help="Image, video or directory of images; repeatable.",
)
@click.option("--step", type=click.IntRange(min=1), default=5, show_default=True, help="Use every n-th video frame.")
@click.option("--vary", "is_varied", is_flag=True, help="Compare variations of the images instead.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file for all differences.")
def main(people: int, images: tuple[Path, ...], step: int, *, is_varied: bool, out: Path | None) -> None:
    """Compare the two landmark engines, frame by frame."""
    if bool(people) == bool(images):
        raise click.UsageError("give either --people or --images")
    cv2.setNumThreads(1)
    frames = render_frames(people) if people else read_frames(images, step=step)
    found = compare_engines(vary_all(frames) if is_varied else frames)
    if found.frames == 0:
        raise click.ClickException("there are no images")
    click.echo(describe_differences(found))
    for title, names in (("number of faces", found.other_count), ("validity", found.other_validity)):
        if names:
            click.echo(f"Different {title}: {', '.join(names[:20])}")
    if out:
        out.write_text(json.dumps(found.values))


if __name__ == "__main__":
    main()
