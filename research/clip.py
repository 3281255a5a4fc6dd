"""Render the sample: a short video, and a webcam clip of a person watching it.

    python -m research.clip --out gaze_tools/sample

`video.mp4` is the watched video, `clip.mp4` the webcam's recording, and `truth.json` the true gaze of each frame. The
viewer follows the salient object of the video with a latency of 0.2 s, glances elsewhere three times, once off the
screen, and blinks. The viewer is not in the training table, because the seed differs.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray

from gaze_core.gaze import screen_point_mm
from gaze_core.types import Camera, Frame, GazePoint, Screen
from research.command_line import Command
from research.rendering.identity import sample_identity
from research.rendering.photograph import photograph
from research.rendering.renderer import Renderer
from research.rendering.scene import Backdrop, Lighting, Optics, Scene

SEED = 20260
IDENTITY_ID = 11
FRAMES_PER_S = 20
FRAMES = 200
CLIP_SIZE_PX = (640, 480)
VIDEO_SIZE_PX = (480, 270)
SCREEN = Screen()
CAMERA = Camera(vertical_fov_deg=50.0, offset_x_mm=0.0, offset_y_mm=8.0)
PLACE_MM = (8.0, 22.0, 470.0)
LATENCY_S = 0.2
CODEC = "mp4v"

# Glances away from the salient object: from, to (seconds), point on the screen.
GLANCES = ((1.3, 1.8, (0.72, 0.68)), (5.3, 5.9, (1.28, 0.4)), (7.4, 8.0, (0.15, 0.3)))
BLINKS_S = (0.7, 3.1, 4.6, 6.9, 9.2)
_BLINK = (0.55, 0.08, 0.0, 0.25, 0.75)  # openness, frame by frame


@dataclass(frozen=True, slots=True)
class SalientObject:
    """A salient object in the video.

    Attributes:
        start_s: Time of its appearance; the next object replaces it.
        shape: `ball`, `star` or `box`.
        colour: BGR.
        path: Normalised positions in the video that it passes at equal intervals.
    """

    start_s: float
    shape: str
    colour: tuple[int, int, int]
    path: tuple[tuple[float, float], ...]


OBJECTS = (
    SalientObject(0.0, "ball", (40, 60, 235), ((0.25, 0.35), (0.27, 0.32), (0.24, 0.36))),
    SalientObject(2.0, "ball", (40, 60, 235), ((0.24, 0.36), (0.55, 0.25), (0.82, 0.35), (0.76, 0.74))),
    SalientObject(4.6, "star", (40, 220, 250), ((0.2, 0.76), (0.22, 0.74))),
    SalientObject(6.1, "box", (235, 190, 50), ((0.58, 0.2), (0.68, 0.26), (0.6, 0.34), (0.52, 0.26), (0.58, 0.2))),
    SalientObject(8.1, "ball", (70, 225, 90), ((0.45, 0.6), (0.6, 0.5), (0.4, 0.45), (0.55, 0.62))),
)


def find_object(time_s: float) -> tuple[SalientObject, float, float]:
    """Return the salient object at a time and its position, normalised to the video."""
    number = max(index for index, each in enumerate(OBJECTS) if each.start_s <= max(time_s, 0.0))
    salient = OBJECTS[number]
    end_s = OBJECTS[number + 1].start_s if number + 1 < len(OBJECTS) else FRAMES / FRAMES_PER_S
    along = min((max(time_s, 0.0) - salient.start_s) / (end_s - salient.start_s), 1.0) * (len(salient.path) - 1)
    knots = np.arange(len(salient.path))
    x, y = (float(np.interp(along, knots, [place[axis] for place in salient.path])) for axis in (0, 1))
    return salient, x, y


def gaze_path() -> list[GazePoint]:
    """Return the fixated point of each frame, normalised to the screen."""
    rng = np.random.default_rng([SEED, 1])
    drift = np.zeros(2)
    path: list[GazePoint] = []
    for frame in range(FRAMES):
        time_s = frame / FRAMES_PER_S
        _, x, y = find_object(time_s - LATENCY_S)
        for start_s, end_s, place in GLANCES:
            if start_s <= time_s < end_s:
                x, y = place
        drift = 0.8 * drift + rng.normal(0, 0.002, 2)  # fixations drift
        wanted = np.array([x, y]) + drift
        if path:
            before = np.array([path[-1].x, path[-1].y])
            if np.linalg.norm(wanted - before) > 0.12:  # the frame shows a saccade
                wanted = before + 0.65 * (wanted - before)
        path.append(GazePoint(float(wanted[0]), float(wanted[1])))
    return path


def openness_path() -> list[float]:
    """Return the eye opening of each frame, 0..1."""
    openness = [1.0] * FRAMES
    for blink_s in BLINKS_S:
        for step, value in enumerate(_BLINK):
            openness[round(blink_s * FRAMES_PER_S) + step] = value
    return openness


def draw_video_frame(frame: int) -> Frame:
    """Return one frame of the watched video: BGR uint8, shape (270, 480, 3)."""
    width, height = VIDEO_SIZE_PX
    rng = np.random.default_rng([SEED, 2])
    coarse = rng.uniform(70, 125, (5, 8, 3)).astype(np.float32)
    fine = rng.normal(0, 9, (height // 3, width // 3)).astype(np.float32)
    shift = np.array([[1, 0, 6 * math.sin(frame / 40)], [0, 1, 4 * math.cos(frame / 55)]], dtype=np.float32)
    ground = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    ground = ground + np.asarray(cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR))[..., None]
    ground = cv2.warpAffine(ground, shift, (width, height), borderMode=cv2.BORDER_REFLECT)
    image = np.clip(ground, 0, 255).astype(np.uint8)
    salient, x, y = find_object(frame / FRAMES_PER_S)
    centre = (round(x * width), round(y * height))
    radius = round(0.085 * height)
    if salient.shape == "ball":
        cv2.circle(image, centre, radius, salient.colour, -1, cv2.LINE_AA)
        highlight = (centre[0] - radius // 3, centre[1] - radius // 3)
        cv2.circle(image, highlight, radius // 4, (245, 245, 245), -1, cv2.LINE_AA)
    elif salient.shape == "star":
        turn = np.arange(10) * math.pi / 5 + 0.05 * frame
        reach = np.where(np.arange(10) % 2 == 0, 1.25 * radius, 0.55 * radius)
        corners = np.stack([centre[0] + reach * np.sin(turn), centre[1] - reach * np.cos(turn)], axis=1)
        cv2.fillPoly(image, [np.round(corners).astype(np.int32)], salient.colour, cv2.LINE_AA)
    else:
        box = cv2.boxPoints((centre, (1.8 * radius, 1.8 * radius), 3.0 * frame))
        cv2.fillConvexPoly(image, np.round(box).astype(np.int32), salient.colour, cv2.LINE_AA)
    return image


def scenes() -> list[Scene]:
    """Return the scene of each frame of the clip."""
    openness, points = openness_path(), gaze_path()
    sway = _smooth_noise(6)
    lagging = np.array([points[0].x, points[0].y])
    result = []
    for frame, point in enumerate(points):
        lagging = lagging + 0.18 * (np.array([point.x, point.y]) - lagging)  # the head follows the eyes
        head_target = screen_point_mm(GazePoint(float(lagging[0]), float(lagging[1])), SCREEN, CAMERA)
        place = np.array(PLACE_MM) + sway[frame, :3] * np.array([7.0, 4.0, 9.0])
        x, y, z = head_target - place
        yaw = 0.35 * math.degrees(math.atan2(-x, -z)) + 2.2 * sway[frame, 3] + 1.5
        pitch = 0.3 * math.degrees(math.atan2(-y, -z)) + 1.5 * sway[frame, 4] - 2.0
        result.append(
            Scene(
                identity_id=IDENTITY_ID,
                image_width_px=CLIP_SIZE_PX[0],
                image_height_px=CLIP_SIZE_PX[1],
                screen=SCREEN,
                camera=CAMERA,
                target_mm=_triple(screen_point_mm(point, SCREEN, CAMERA)),
                origin_mm=_triple(place),
                pitch_deg=float(pitch),
                yaw_deg=float(yaw),
                roll_deg=float(1.6 * sway[frame, 5] - 1.0),
                openness=openness[frame],
                expression=(("mouth-corner-puller", 0.15 + 0.1 * float(sway[frame, 1])),),
                trunk_yaw_deg=float(0.3 * yaw),
                wears_glasses=False,
                lighting=Lighting(
                    key_direction=(0.55, -0.55, -0.7),
                    key=(0.62, 0.6, 0.56),
                    sky=(0.34, 0.35, 0.37),
                    ground=(0.16, 0.15, 0.14),
                    screen=(0.07, 0.08, 0.09),
                    rim_direction=(-0.8, -0.3, 0.6),
                    rim=(0.12, 0.12, 0.13),
                ),
                backdrop=Backdrop(seed=17, brightness=0.42, window=0.0, blur_px=6.0),
                optics=Optics(
                    electrons=9000.0,
                    read_noise=4.0,
                    exposure=0.24,
                    face_metering=0.6,
                    white_balance=(1.0, 1.0),
                    contrast=0.3,
                    saturation=1.0,
                    defocus_px=0.45,
                    motion_px=0.0,
                    motion_angle_deg=0.0,
                    sharpening=0.3,
                    denoising=0.5,
                    vignetting=0.12,
                    distortion=0.0,
                    jpeg_quality=92,
                    seed=frame,
                ),
            )
        )
    return result


def describe(planned: Sequence[Scene]) -> dict[str, Any]:
    """Return the ground truth of the clip, JSON values only."""
    openness, points = openness_path(), gaze_path()
    return {
        "seed": SEED,
        "identity": IDENTITY_ID,
        "frames_per_s": FRAMES_PER_S,
        "screen": {"width_mm": SCREEN.width_mm, "height_mm": SCREEN.height_mm},
        "camera": {
            "vertical_fov_deg": CAMERA.vertical_fov_deg,
            "offset_x_mm": CAMERA.offset_x_mm,
            "offset_y_mm": CAMERA.offset_y_mm,
            "tilt_deg": CAMERA.tilt_deg,
        },
        "frames": [
            {
                "frame_number": number,
                "x": round(point.x, 5),
                "y": round(point.y, 5),
                "gaze_x_deg": round(scene.direction.gaze_x_deg, 4),
                "gaze_y_deg": round(scene.direction.gaze_y_deg, 4),
                "origin_mm": [round(value, 2) for value in scene.origin_mm],
                "pitch_deg": round(scene.pitch_deg, 3),
                "yaw_deg": round(scene.yaw_deg, 3),
                "roll_deg": round(scene.roll_deg, 3),
                "openness": wide,
                "follows_video": _follows(number - 1),
            }
            for number, (point, scene, wide) in enumerate(zip(points, planned, openness, strict=True), start=1)
        ],
    }


def write_video(path: Path, images: Sequence[Frame]) -> None:
    """Write BGR frames as a video.

    Raises:
        OSError: OpenCV cannot write it.
    """
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*CODEC), FRAMES_PER_S, (width, height))
    if not writer.isOpened():
        raise OSError(f"OpenCV cannot write {path.name}")
    for image in images:
        writer.write(image)
    writer.release()


def _follows(frame: int) -> bool:
    """Return whether the viewer follows the salient object in a frame."""
    return not any(start_s <= frame / FRAMES_PER_S < end_s for start_s, end_s, _ in GLANCES)


def _smooth_noise(columns: int) -> NDArray[np.float64]:
    """Return slow random motion, about -1..1, shape (FRAMES, columns)."""
    rng = np.random.default_rng([SEED, 3])
    time_s = np.arange(FRAMES)[:, None] / FRAMES_PER_S
    total = np.zeros((FRAMES, columns))
    for frequency in (0.11, 0.23, 0.42, 0.8):
        total += np.sin(2 * np.pi * (frequency * time_s + rng.random(columns))) * 0.5 / (1 + 2 * frequency)
    return total


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


@click.command(cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("gaze_tools/sample"),
    show_default=True,
    help="Folder for the three files.",
)
def main(out: Path) -> None:
    """Render the sample: a short video, and a webcam clip of a person watching it."""
    out.mkdir(parents=True, exist_ok=True)
    planned = scenes()
    (out / "truth.json").write_text(json.dumps(describe(planned), indent=1) + "\n")
    write_video(out / "video.mp4", [draw_video_frame(frame) for frame in range(FRAMES)])
    identity = sample_identity(IDENTITY_ID, SEED)
    with Renderer() as renderer:
        write_video(out / "clip.mp4", [photograph(renderer, scene, identity)[..., ::-1] for scene in planned])
    for name in ("video.mp4", "clip.mp4", "truth.json"):
        click.echo(f"{out / name}: {(out / name).stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
