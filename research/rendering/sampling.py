"""Samples sessions and scenes: position, screen, camera, light and fixated point.

The numbers of seed, identity, session and frame determine a scene, so any scene can be reproduced on its own.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gaze_core.gaze import gaze_direction, screen_point_mm
from gaze_core.head_pose import focal_length_px
from gaze_core.types import Camera, GazePoint, Screen
from research.rendering.eye import fick_angles_deg
from research.rendering.identity import Identity
from research.rendering.light import sample_light, sample_optics, vary_optics
from research.rendering.scene import Backdrop, Lighting, Optics, Scene, triple

SCREENS = (
    (Screen(width_mm=345.0, height_mm=194.0), 0.34, (300.0, 850.0)),  # 15.6 inches
    (Screen(width_mm=294.0, height_mm=166.0), 0.14, (300.0, 800.0)),  # 13.3 inches
    (Screen(width_mm=531.0, height_mm=299.0), 0.16, (400.0, 900.0)),  # 24 inches
    (Screen(width_mm=598.0, height_mm=336.0), 0.2, (400.0, 900.0)),  # 27 inches
    (Screen(width_mm=160.0, height_mm=229.0), 0.08, (250.0, 600.0)),  # tablet held upright, 11 inches
    (Screen(width_mm=71.0, height_mm=154.0), 0.08, (250.0, 450.0)),  # phone held upright, 6.7 inches
)
"""Screens, how often each occurs, and the range of the distance at which it is watched."""

IMAGE_SIZES = (((640, 480), 0.7), ((1280, 720), 0.3))
"""Sizes of images and how often each occurs; upright devices swap width and height."""

DISTANCE_MM = (250.0, 900.0)
"""Range of the distance between camera and eyes."""

YAW_LIMIT_DEG, PITCH_LIMIT_DEG, ROLL_LIMIT_DEG = 30.0, 18.0, 12.0
EYE_LIMITS_DEG = (35.0, 22.0, 40.0)
"""Maximum rotation of the eyes in the head: sideways, up, down."""

_HAND_SHARE = 0.05
"""Share of the scenes with a hand near the face."""

_MOST_ATTEMPTS = 100
"""Maximum attempts to find a scene in which the eyes reach the target; the last one is used anyway."""

CALIBRATION_TARGETS = tuple(GazePoint(x, y) for y in (0.1, 0.5, 0.9) for x in (0.1, 0.5, 0.9))
"""Positions of the nine calibration targets."""

NO_TARGET = -1
"""Target index of a scene whose fixated point is no calibration target."""

# Standard deviations of the shift after a calibration: sideways, up, towards the screen; pitch, yaw and roll.
_MOVED_MM = (30.0, 20.0, 40.0)
_MOVED_DEG = (3.0, 5.0, 2.0)

# Standard deviations of the head's sway during one fixation.
_SWAY_MM = 1.5
_SWAY_DEG = 0.4

# Margins around the midpoint between the eyes that must lie inside the image: sideways, above, below.
_FACE_MM = (82.0, 85.0, 125.0)


@dataclass(frozen=True, slots=True)
class RenderedSession:
    """The constants of one person's session in front of one screen.

    Attributes:
        identity_id: Number of the person.
        session_id: Number of the session within the plan.
        seed: Seed of the plan.
        image_width_px: Width of the images.
        image_height_px: Height of the images.
        screen: The person's screen.
        camera: The person's webcam.
        place_mm: Mean position of the midpoint between the eyes, camera frame.
        pose_deg: Mean pitch, yaw and roll of the head.
        follow: Share of the gaze angle that the head follows, horizontally and vertically.
        restlessness: Scale of head and body motion, about 1.
        wears_glasses: Whether the person wears glasses.
        lighting: Light on the person.
        backdrop: Background behind the person.
        optics: Optics of the camera; motion blur and the noise's seed differ between frames.
    """

    identity_id: int
    session_id: int
    seed: int
    image_width_px: int
    image_height_px: int
    screen: Screen
    camera: Camera
    place_mm: tuple[float, float, float]
    pose_deg: tuple[float, float, float]
    follow: tuple[float, float]
    restlessness: float
    wears_glasses: bool
    lighting: Lighting
    backdrop: Backdrop
    optics: Optics


def sample_session(identity: Identity, session_id: int, seed: int) -> RenderedSession:
    """Return the session with this number; deterministic."""
    rng = np.random.default_rng([seed, identity.identity_id, session_id, 11])
    screen, _, range_mm = SCREENS[rng.choice(len(SCREENS), p=[share for _, share, _ in SCREENS])]
    (width, height), _ = IMAGE_SIZES[rng.choice(len(IMAGE_SIZES), p=[share for _, share in IMAGE_SIZES])]
    longer = math.radians(rng.uniform(55, 90))  # field of view along the longer side
    vertical_fov_deg = 2 * math.degrees(math.atan(math.tan(longer / 2) * height / width))
    is_upright = screen.height_mm > screen.width_mm
    if is_upright:
        width, height, vertical_fov_deg = height, width, math.degrees(longer)
    offset_x, offset_y, tilt = _sample_mount(rng, screen)
    camera = Camera(vertical_fov_deg=vertical_fov_deg, offset_x_mm=offset_x, offset_y_mm=offset_y, tilt_deg=tilt)
    place = _sample_place(rng, width, height, vertical_fov_deg, range_mm)
    middle_x_deg, middle_y_deg = gaze_direction(screen_point_mm(GazePoint(0.5, 0.5), screen, camera) - np.array(place))
    towards_screen = rng.uniform(0.2, 1.0)
    lighting, backdrop, electrons, metering = sample_light(rng)
    return RenderedSession(
        identity_id=identity.identity_id,
        session_id=session_id,
        seed=seed,
        image_width_px=width,
        image_height_px=height,
        screen=screen,
        camera=camera,
        place_mm=place,
        pose_deg=(
            float(np.clip(towards_screen * middle_y_deg + rng.normal(2, 5), -15, 15)),
            float(np.clip(towards_screen * middle_x_deg + rng.normal(0, 7), -26, 26)),
            float(rng.normal(0, 3)),
        ),
        follow=(float(rng.uniform(0.0, 0.75)), float(rng.uniform(0.0, 0.6))),
        restlessness=float(rng.uniform(0.4, 1.6)),
        wears_glasses=identity.glasses is not None and bool(rng.random() < 0.85),
        lighting=lighting,
        backdrop=backdrop,
        optics=sample_optics(rng, electrons, metering),
    )


def sample_scene(session: RenderedSession, identity: Identity, frame: int, target_index: int) -> Scene:
    """Return one scene of a session; deterministic.

    Args:
        session: The session.
        identity: The person in it.
        frame: Number within the session.
        target_index: Index into `CALIBRATION_TARGETS` of the fixated target, or `NO_TARGET` for a random point.
    """
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, frame, 13])
    if target_index == NO_TARGET:
        return _within_reach(rng, session, lambda: _sample_point(rng), calibrating=False)
    return _within_reach(rng, session, lambda: CALIBRATION_TARGETS[target_index], calibrating=True)


def sample_fixation(session: RenderedSession, identity: Identity, target_index: int, frame: int) -> Scene:
    """Return one scene of a calibration; deterministic.

    The head only sways during a fixation and moves between fixations. 4 % of the scenes show a blink.

    Args:
        session: The session.
        identity: The person in it.
        target_index: Index into `CALIBRATION_TARGETS`. From `len(CALIBRATION_TARGETS)` a validation target: a random
            point on the screen, fixated after the person has shifted in the chair.
        frame: Number of the frame within this fixation.
    """
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, target_index, 17])
    if target_index < len(CALIBRATION_TARGETS):
        point = CALIBRATION_TARGETS[target_index]
    else:
        point = GazePoint(float(rng.uniform(0.05, 0.95)), float(rng.uniform(0.05, 0.95)))
        session = _move(session)
    scene = _within_reach(rng, session, lambda: point, calibrating=True)
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, target_index, frame, 19])
    pitch, yaw, roll = rng.normal(0, _SWAY_DEG, 3)
    place = _inside(np.array(scene.origin_mm) + rng.normal(0, _SWAY_MM, 3), session)
    blinks = rng.random() < 0.04
    return replace(
        scene,
        origin_mm=triple(place),
        pitch_deg=scene.pitch_deg + float(pitch),
        yaw_deg=scene.yaw_deg + float(yaw),
        roll_deg=scene.roll_deg + float(roll),
        openness=float(rng.uniform(0, 0.5) if blinks else np.clip(scene.openness + rng.normal(0, 0.03), 0.7, 1.2)),
        optics=vary_optics(rng, session.optics),
    )


def _move(session: RenderedSession) -> RenderedSession:
    """Return the session after the person has shifted in the chair; deterministic."""
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, 23])
    place = np.array(session.place_mm) + rng.normal(0, _MOVED_MM)
    place *= np.clip(np.linalg.norm(place), *DISTANCE_MM) / np.linalg.norm(place)
    return replace(
        session,
        place_mm=triple(_inside(place, session)),
        pose_deg=triple(np.array(session.pose_deg) + rng.normal(0, _MOVED_DEG)),
    )


def _within_reach(
    rng: np.random.Generator, session: RenderedSession, choose_point: Callable[[], GazePoint], *, calibrating: bool
) -> Scene:
    """Return a scene whose target the eyes can reach, or the last attempt."""
    attempt = 0
    while True:
        # If the eyes cannot reach the target, the head turns further.
        effort = min(max(attempt - 10, 0) / 20, 1.0)
        scene = _try_scene(rng, session, choose_point(), effort, calibrating=calibrating)
        if _eyes_reach(scene) or attempt >= _MOST_ATTEMPTS:
            return scene
        attempt += 1


def _try_scene(
    rng: np.random.Generator, session: RenderedSession, point: GazePoint, effort: float, *, calibrating: bool
) -> Scene:
    target = screen_point_mm(point, session.screen, session.camera)
    calm = session.restlessness * (0.6 if calibrating else 1.0)
    place = np.array(session.place_mm) + rng.normal(0, 1, 3) * np.array([11.0, 8.0, 14.0]) * calm
    place *= np.clip(np.linalg.norm(place), *DISTANCE_MM) / np.linalg.norm(place)
    place = _inside(place, session)
    gaze_x_deg, gaze_y_deg = gaze_direction(target - place)
    pitch, yaw, roll = session.pose_deg
    follow_x, follow_y = np.maximum(session.follow, effort)
    pitch += follow_y * (gaze_y_deg - pitch) + rng.normal(0, 3.0) * calm
    yaw += follow_x * (gaze_x_deg - yaw) + rng.normal(0, 4.0) * calm
    roll += rng.normal(0, 2.5) * calm + 0.08 * (yaw - session.pose_deg[1])
    if not calibrating and rng.random() < 0.15:
        yaw, pitch = rng.uniform(-YAW_LIMIT_DEG, YAW_LIMIT_DEG), rng.uniform(-PITCH_LIMIT_DEG, PITCH_LIMIT_DEG)
        roll = rng.uniform(-ROLL_LIMIT_DEG, ROLL_LIMIT_DEG)
    return Scene(
        identity_id=session.identity_id,
        image_width_px=session.image_width_px,
        image_height_px=session.image_height_px,
        screen=session.screen,
        camera=session.camera,
        target_mm=triple(target),
        origin_mm=triple(place),
        pitch_deg=float(np.clip(pitch, -PITCH_LIMIT_DEG, PITCH_LIMIT_DEG)),
        yaw_deg=float(np.clip(yaw, -YAW_LIMIT_DEG, YAW_LIMIT_DEG)),
        roll_deg=float(np.clip(roll, -ROLL_LIMIT_DEG, ROLL_LIMIT_DEG)),
        openness=_sample_openness(rng, calibrating=calibrating),
        expression=_sample_expression(rng),
        trunk_yaw_deg=float(0.35 * yaw + rng.normal(0, 3)),
        wears_glasses=session.wears_glasses,
        lighting=session.lighting,
        backdrop=session.backdrop,
        optics=vary_optics(rng, session.optics),
        hand=_sample_hand(rng) if rng.random() < _HAND_SHARE else None,
    )


def _sample_hand(rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return a hand at chin, cheek, temple or brow, coming from below or from its side; see `Scene.hand`."""
    side = float(rng.choice((-1, 1)))
    x, y, turn_deg = {
        "chin": (side * rng.uniform(0, 25), rng.uniform(80, 100), rng.normal(180, 25)),
        "cheek": (side * rng.uniform(54, 72), rng.uniform(25, 60), 180 - side * rng.normal(20, 15)),
        "temple": (side * rng.uniform(50, 68), rng.uniform(-25, 10), 180 - side * rng.normal(30, 15)),
        "brow": (side * rng.uniform(10, 40), rng.uniform(-62, -38), side * rng.normal(80, 20)),
    }[str(rng.choice(("chin", "cheek", "temple", "brow")))]
    return float(x), float(y), float(rng.uniform(-45, -25)), float(turn_deg)


def _sample_mount(rng: np.random.Generator, screen: Screen) -> tuple[float, float, float]:
    """Return a camera's offset to the right, its offset upwards and its tilt."""
    where = rng.choice(("built in", "on top", "below", "beside", "on a stand"), p=(0.5, 0.2, 0.1, 0.1, 0.1))
    if screen.height_mm > screen.width_mm:
        where = "built in"
    if where == "built in":
        return 0.0, float(rng.uniform(4, 12)), 0.0
    if where == "on top":
        return float(rng.normal(0, 40)), float(rng.uniform(15, 40)), float(rng.uniform(-18, 2))
    if where == "below":
        return float(rng.normal(0, 30)), -screen.height_mm - float(rng.uniform(5, 40)), float(rng.uniform(0, 20))
    if where == "beside":
        side = rng.choice((-1, 1)) * (screen.width_mm / 2 + rng.uniform(10, 80))
        return float(side), -float(rng.uniform(0, 1)) * screen.height_mm, float(rng.uniform(-5, 8))
    return float(rng.normal(0, 60)), float(rng.uniform(40, 150)), float(rng.uniform(-22, -5))


def _sample_place(
    rng: np.random.Generator, width: int, height: int, vertical_fov_deg: float, range_mm: tuple[float, float]
) -> tuple[float, float, float]:
    focal_px = focal_length_px(height, vertical_fov_deg)
    central = rng.random() < 0.7  # most people sit centrally in front of their camera
    while True:
        z = rng.uniform(*range_mm)
        side, top, bottom = _room_mm(z, focal_px, width, height)
        if side < 8 or bottom - top < 8:
            continue
        if central:
            x, y = np.clip(rng.normal(0, 60), -side, side), np.clip(rng.normal(30, 55), top, bottom)
        else:
            x, y = rng.uniform(-side, side), rng.uniform(top, bottom)
        if DISTANCE_MM[0] <= math.hypot(x, y, z) <= DISTANCE_MM[1]:
            return float(x), float(y), float(z)


def _room_mm(z: float, focal_px: float, width: int, height: int) -> tuple[float, float, float]:
    """Return the limits of |x| and of y within which the whole face is in the image."""
    half_width, half_height = z * width / 2 / focal_px, z * height / 2 / focal_px
    side, above, below = _FACE_MM
    return half_width - side, -half_height + above, half_height - below


def _inside(place: np.ndarray, session: RenderedSession) -> np.ndarray:
    """Return the nearest position at which the whole face is in the image."""
    focal_px = focal_length_px(session.image_height_px, session.camera.vertical_fov_deg)
    side, top, bottom = _room_mm(float(place[2]), focal_px, session.image_width_px, session.image_height_px)
    side = max(side, 0.0)
    middle = 0.5 * (top + bottom)
    top, bottom = min(top, middle), max(bottom, middle)
    return np.array([np.clip(place[0], -side, side), np.clip(place[1], top, bottom), place[2]])


def _sample_point(rng: np.random.Generator) -> GazePoint:
    """Return a random point on the screen or up to 30 % of its size beyond."""
    low, high = (-0.3, 1.3) if rng.random() < 0.55 else (0.0, 1.0)
    return GazePoint(float(rng.uniform(low, high)), float(rng.uniform(low, high)))


def _eyes_reach(scene: Scene) -> bool:
    left_deg, up_deg = fick_angles_deg(scene.target_in_head_mm()).tolist()
    side_limit_deg, up_limit_deg, down_limit_deg = EYE_LIMITS_DEG
    return bool(abs(left_deg) < side_limit_deg and -down_limit_deg < up_deg < up_limit_deg)


def _sample_openness(rng: np.random.Generator, *, calibrating: bool) -> float:
    kind = rng.random()
    if calibrating or kind > 0.10:
        return float(np.clip(rng.normal(1.0, 0.07), 0.75, 1.15))
    return float(rng.uniform(0.2, 0.75)) if kind > 0.04 else float(rng.uniform(0.0, 0.04))


def _sample_expression(rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    weights: dict[str, float] = {}
    if rng.random() < 0.3:
        weights["mouth-corner-puller"] = float(rng.uniform(0, 0.8))
    if rng.random() < 0.2:
        weights["mouth-open"] = float(rng.uniform(0, 0.3))
    if rng.random() < 0.15:
        shape = str(rng.choice(("mouth-compression", "mouth-pursing", "mouth-depression")))
        weights[shape] = float(rng.uniform(0, 0.6))
    if rng.random() < 0.25:
        direction, amount = str(rng.choice(("up", "down"))), rng.uniform(0, 0.7)
        for side in ("left", "right"):
            weights[f"eyebrows-{side}-{direction}"] = float(amount * rng.uniform(0.7, 1))
    return tuple(sorted(weights.items()))
