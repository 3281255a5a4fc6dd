"""Samples sessions and scenes: who sits where, before which screen, in which light, looking at what.

Everything follows from numbers alone (seed, identity, session, frame), so any scene can be made again by itself.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gaze_core.gaze import gaze_direction, screen_point_mm
from gaze_core.head_pose import focal_length_px
from gaze_core.types import Camera, GazePoint, Screen
from research.rendering.identity import Identity
from research.rendering.light import sample_light, sample_optics, vary_optics
from research.rendering.scene import Backdrop, Lighting, Optics, Scene, triple

SCREENS = (
    (Screen(width_mm=345.0, height_mm=194.0), 0.4),  # 15.6 inches
    (Screen(width_mm=294.0, height_mm=166.0), 0.15),  # 13.3 inches
    (Screen(width_mm=531.0, height_mm=299.0), 0.2),  # 24 inches
    (Screen(width_mm=598.0, height_mm=336.0), 0.25),  # 27 inches
)

IMAGE_SIZES = (((640, 480), 0.7), ((1280, 720), 0.3))

DISTANCE_MM = (350.0, 850.0)
"""Between the camera and the eyes."""

YAW_LIMIT_DEG, PITCH_LIMIT_DEG, ROLL_LIMIT_DEG = 30.0, 18.0, 12.0
EYE_LIMITS_DEG = (33.0, 20.0, 30.0)
"""How far eyes turn in the head: to the side, up, down."""

_MOST_ATTEMPTS = 100
"""How often a scene is tried until the eyes reach the target; a target far aside may stay out of reach."""

DOTS = tuple(GazePoint(x, y) for y in (0.1, 0.5, 0.9) for x in (0.1, 0.5, 0.9))
"""The calibration's dots."""

NO_DOT = -1

# How far somebody has moved after a calibration: to the side, up, towards the screen; pitch, yaw and roll.
_MOVED_MM = (30.0, 20.0, 40.0)
_MOVED_DEG = (3.0, 5.0, 2.0)

# How far a head wanders while its eyes rest on one dot.
_SWAY_MM = 1.5
_SWAY_DEG = 0.4

# What must lie inside the picture around the midpoint between the eyes: to the sides, above, below.
_FACE_MM = (82.0, 85.0, 125.0)


@dataclass(frozen=True, slots=True)
class Session:
    """What stays the same while one person sits before one screen.

    Attributes:
        identity_id: Who.
        session_id: Number of the session within the whole plan.
        seed: Of the plan.
        image_width_px: Of the pictures.
        image_height_px: Of the pictures.
        screen: Before them.
        camera: On the screen.
        place_mm: Where the midpoint between the eyes usually is, camera frame.
        pose_deg: Usual pitch, yaw and roll of the head.
        follow: Share of the gaze angle that the head turns along, horizontally and vertically.
        restlessness: How much head and body move, about 1.
        wears_glasses: All the time.
        lighting: Of the person.
        backdrop: Behind them.
        optics: Of the camera; blur and noise's seed differ from frame to frame.
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


def sample_session(identity: Identity, session_id: int, seed: int) -> Session:
    """Return the session of that number; the same for the same arguments."""
    rng = np.random.default_rng([seed, identity.identity_id, session_id, 11])
    screen = SCREENS[rng.choice(len(SCREENS), p=[share for _, share in SCREENS])][0]
    (width, height), _ = IMAGE_SIZES[rng.choice(len(IMAGE_SIZES), p=[share for _, share in IMAGE_SIZES])]
    horizontal = math.radians(rng.uniform(55, 90))
    vertical_fov_deg = 2 * math.degrees(math.atan(math.tan(horizontal / 2) * height / width))
    offset_x, offset_y, tilt = _sample_mount(rng, screen)
    camera = Camera(vertical_fov_deg=vertical_fov_deg, offset_x_mm=offset_x, offset_y_mm=offset_y, tilt_deg=tilt)
    place = _sample_place(rng, width, height, vertical_fov_deg)
    middle_x_deg, middle_y_deg = gaze_direction(screen_point_mm(GazePoint(0.5, 0.5), screen, camera) - np.array(place))
    towards_screen = rng.uniform(0.2, 1.0)
    lighting, backdrop, photons, metering = sample_light(rng)
    return Session(
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
        optics=sample_optics(rng, photons, metering),
    )


def sample_scene(session: Session, identity: Identity, frame: int, dot: int) -> Scene:
    """Return one scene of a session; the same for the same arguments.

    Args:
        session: Of which.
        identity: Its person.
        frame: Number within the session.
        dot: Index into `DOTS` of the calibration dot that is looked at, or `NO_DOT`.
    """
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, frame, 13])
    return _within_reach(
        rng, session, lambda: DOTS[dot] if dot != NO_DOT else _sample_point(rng), calibrating=dot != NO_DOT
    )


def sample_look(session: Session, identity: Identity, dot: int, frame: int) -> Scene:
    """Return one scene of a calibration: the head rests while the eyes are on a dot, and has moved by the next.

    The same for the same arguments. Now and then it catches a blink.

    Args:
        session: Of which.
        identity: Its person.
        dot: Index into `DOTS`; from `len(DOTS)` on any place on the screen, looked at after the person has moved.
        frame: Number among the frames of this dot.
    """
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, dot, 17])
    if dot < len(DOTS):
        point = DOTS[dot]
    else:
        point = GazePoint(float(rng.uniform(0.05, 0.95)), float(rng.uniform(0.05, 0.95)))
        session = _move(session)
    scene = _within_reach(rng, session, lambda: point, calibrating=True)
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, dot, frame, 19])
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


def _move(session: Session) -> Session:
    """Return a session whose person has shifted in the chair; the same for the same session."""
    rng = np.random.default_rng([session.seed, session.identity_id, session.session_id, 23])
    place = np.array(session.place_mm) + rng.normal(0, _MOVED_MM)
    place *= np.clip(np.linalg.norm(place), *DISTANCE_MM) / np.linalg.norm(place)
    return replace(
        session,
        place_mm=triple(_inside(place, session)),
        pose_deg=triple(np.array(session.pose_deg) + rng.normal(0, _MOVED_DEG)),
    )


def _within_reach(
    rng: np.random.Generator, session: Session, choose_point: Callable[[], GazePoint], *, calibrating: bool
) -> Scene:
    """Return a scene whose target the eyes reach, or the last one tried."""
    attempt = 0
    while True:
        # Where the eyes cannot reach, the head must help.
        effort = min(max(attempt - 10, 0) / 20, 1.0)
        scene = _try_scene(rng, session, choose_point(), effort, calibrating=calibrating)
        if _eyes_reach(scene) or attempt >= _MOST_ATTEMPTS:
            return scene
        attempt += 1


def _try_scene(
    rng: np.random.Generator, session: Session, point: GazePoint, effort: float, *, calibrating: bool
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
    )


def _sample_mount(rng: np.random.Generator, screen: Screen) -> tuple[float, float, float]:
    """Return where a camera sits: offset to the right, up, and tilt."""
    where = rng.choice(("built in", "on top", "below", "beside", "on a stand"), p=(0.5, 0.2, 0.1, 0.1, 0.1))
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
    rng: np.random.Generator, width: int, height: int, vertical_fov_deg: float
) -> tuple[float, float, float]:
    focal_px = focal_length_px(height, vertical_fov_deg)
    central = rng.random() < 0.7  # people mostly sit before their camera, but not always
    while True:
        z = rng.uniform(*DISTANCE_MM)
        side, top, bottom = _room_mm(z, focal_px, width, height)
        if side < 8 or bottom - top < 8:
            continue
        if central:
            x, y = np.clip(rng.normal(0, 60), -side, side), np.clip(rng.normal(30, 55), top, bottom)
        else:
            x, y = rng.uniform(-side, side), rng.uniform(top, bottom)
        if DISTANCE_MM[0] < math.hypot(x, y, z) < DISTANCE_MM[1]:
            return float(x), float(y), float(z)


def _room_mm(z: float, focal_px: float, width: int, height: int) -> tuple[float, float, float]:
    """Return how far the eyes may lie to the side, and the least and largest y, for the face to be whole."""
    half_width, half_height = z * width / 2 / focal_px, z * height / 2 / focal_px
    side, above, below = _FACE_MM
    return half_width - side, -half_height + above, half_height - below


def _inside(place: np.ndarray, session: Session) -> np.ndarray:
    """Move a place to the nearest where the face is whole in the picture."""
    focal_px = focal_length_px(session.image_height_px, session.camera.vertical_fov_deg)
    side, top, bottom = _room_mm(float(place[2]), focal_px, session.image_width_px, session.image_height_px)
    side = max(side, 0.0)
    middle = 0.5 * (top + bottom)
    top, bottom = min(top, middle), max(bottom, middle)
    return np.array([np.clip(place[0], -side, side), np.clip(place[1], top, bottom), place[2]])


def _sample_point(rng: np.random.Generator) -> GazePoint:
    """Return a point on the screen, now and then up to 30 % of its size beyond."""
    low, high = (-0.3, 1.3) if rng.random() < 0.55 else (0.0, 1.0)
    return GazePoint(float(rng.uniform(low, high)), float(rng.uniform(low, high)))


def _eyes_reach(scene: Scene) -> bool:
    x, y, z = scene.target_in_head_mm()
    sideways = abs(math.degrees(math.atan2(x, -z)))
    up = math.degrees(math.atan2(-y, math.hypot(x, z)))
    side_limit, up_limit, down_limit = EYE_LIMITS_DEG
    return sideways < side_limit and -down_limit < up < up_limit


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
