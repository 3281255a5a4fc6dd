r"""Estimate how much a viewer who comes back differs from another one, and write it into `viewer_return_prior`.

    python -m research.training.viewer_return --rooms 55 [--portraits DIR]

In each room, with one camera, screen and light, a person watches, gets up and sits down again, and then another
person sits down. Rooms with people of the training group yield the covariances; error rates are measured in
rooms with people of the test group. There, the first person also comes back with glasses put on or taken off, and in
another light. Each part is five random frames of nine, ten times: fewer than the service compares, and not at the same
targets.

With portraits named `PERSON_neutral.jpg` and `PERSON_smiling.jpg`, the error rates on real people are reported, too:
one image before and one after, with another expression.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.web.images import decode_image
from gaze_core.cues import find_cues
from gaze_core.ports import EyeNetwork, FaceLandmarker
from gaze_core.types import Frame
from gaze_core.viewer_change import TRAITS, ViewerPrior
from gaze_core.viewer_return import MAX_SPREAD_DEG, RETURN_PRIOR, find_viewer_change
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH
from models.atomic_file import open_replacement, replace_file
from research.command_line import Command
from research.estimates import estimate_frame
from research.rendering.identity import Identity, _sample_glasses, sample_identity
from research.rendering.light import sample_light
from research.rendering.photograph import photograph
from research.rendering.renderer import Renderer
from research.rendering.sampling import (
    CALIBRATION_TARGETS,
    DISTANCE_MM,
    RenderedSession,
    _inside,  # the modules of the renderer do not change: their digest names the rendered tables
    sample_scene,
    sample_session,
)
from research.rendering.scene import triple
from research.training.viewer_prior import render_prior

Floats = NDArray[np.float64]

PRIOR_PATH = Path(__file__).resolve().parents[2] / "gaze_core" / "viewer_return_prior.py"
CACHE = Path(__file__).resolve().parents[2] / ".cache" / "viewer_return"

SEED = 2
FIRST_HELD_OUT = 300
TEST_PEOPLE = 60
FIRST_TEST_ROOM = 1000
FIRST_SESSION = 7_000_000

MOVED_MM = (50.0, 30.0, 60.0)
MOVED_DEG = (4.0, 5.0, 2.0)
"""Standard deviations of where a viewer sits down again, and of the pose: wider than a shift in the chair."""

PART_FRAMES, PARTS = 5, 10

SHRINKAGE = 0.2
"""Share of the covariances between traits that is dropped, because there are few rooms."""

PORTRAIT_FOV_DEG = 20.0
MAX_PORTRAIT_PIXELS = 3840 * 2160

ROLES = ("before", "back", "other")

CHANGED_ROLES = ("glasses", "light")
"""The first person, who comes back with glasses put on or taken off, or in another light; in test rooms only."""


def find_people(room: int) -> tuple[int, int]:
    """Return the numbers of the person who comes back and of the other one."""
    if room < FIRST_TEST_ROOM:
        return 2 * room % FIRST_HELD_OUT, (2 * room + 1) % FIRST_HELD_OUT
    return FIRST_HELD_OUT + room % TEST_PEOPLE, FIRST_HELD_OUT + (room + 17) % TEST_PEOPLE


def plan_room(room: int) -> Iterator[tuple[str, RenderedSession, Identity]]:
    """Yield role, session and person of the parts of a room; deterministic."""
    rng = np.random.default_rng([9, room])
    first, second = (sample_identity(number, SEED) for number in find_people(room))
    session = sample_session(first, FIRST_SESSION + room, SEED)
    back = _sit_down_again(session, rng)
    wears_glasses = second.glasses is not None and bool(rng.random() < 0.85)
    other = replace(
        _sit_down_again(session, rng),
        identity_id=second.identity_id,
        wears_glasses=wears_glasses,
    )
    yield from zip(ROLES, (session, back, other), (first, first, second), strict=True)
    if room >= FIRST_TEST_ROOM:
        yield from zip(CHANGED_ROLES, *_change_viewer(room, back, first), strict=True)


def _change_viewer(
    room: int, session: RenderedSession, person: Identity
) -> tuple[tuple[RenderedSession, RenderedSession], tuple[Identity, Identity]]:
    """Return session and person with glasses put on or taken off, and in another light."""
    rng = np.random.default_rng([77, room])
    with_glasses = person if person.glasses is not None else replace(person, glasses=_sample_glasses(rng))
    lighting, backdrop, _, _ = sample_light(rng)
    return (
        (
            replace(session, wears_glasses=not session.wears_glasses),
            replace(session, lighting=lighting, backdrop=backdrop),
        ),
        (with_glasses, person),
    )


def _sit_down_again(session: RenderedSession, rng: np.random.Generator) -> RenderedSession:
    place = np.array(session.place_mm) + rng.normal(0, MOVED_MM)
    place *= np.clip(np.linalg.norm(place), *DISTANCE_MM) / np.linalg.norm(place)
    return replace(
        session,
        place_mm=triple(_inside(place, session)),
        pose_deg=triple(np.array(session.pose_deg) + rng.normal(0, MOVED_DEG)),
    )


def measure_frame(frame: Frame, landmarker: FaceLandmarker, network: EyeNetwork, fov_deg: float) -> Floats | None:
    """Return openness (hundredths) and cues of one frame, shape (7,); None without a gaze."""
    try:
        found = estimate_frame(frame, landmarker, vertical_fov_deg=fov_deg, network=network)
    except ValueError:
        return None
    geometry, eyes = found.geometry, found.eyes
    if geometry.features is None or eyes.network is None or eyes.blendshapes is None:
        return None
    if max(eyes.network.both_spread_deg) > MAX_SPREAD_DEG:
        return None
    estimates = np.array([[eyes.landmarks, eyes.network.both_deg, eyes.blendshapes]], dtype=np.float64)
    cues = find_cues(
        estimates,
        np.array([eyes.network.eyes_deg]),
        np.array([eyes.network.both_spread_deg]),
        np.array([geometry.distance_mm]),
        np.array([geometry.head_pose.yaw_deg]),
    )
    return np.concatenate([[100 * np.mean(geometry.eye_openness)], cues.differences_deg.reshape(-1)])


def measure_room(room: int, folder: Path) -> dict[str, Floats]:
    """Return the frames of each part, shape (n, 7); rendered once and then read from the folder."""
    path = folder / f"parts-{room:05d}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        landmarker, network = _make_engines()
        parts = {}
        with Renderer() as renderer:
            for place, (role, session, person) in enumerate(plan_room(room)):
                scenes = (
                    sample_scene(session, person, 100 * place + target, target)
                    for target in range(len(CALIBRATION_TARGETS))
                )
                rows = (
                    measure_frame(
                        photograph(renderer, scene, person), landmarker, network, session.camera.vertical_fov_deg
                    )
                    for scene in scenes
                )
                parts[role] = np.array([row for row in rows if row is not None]).reshape(-1, len(TRAITS) - 2)
        with open_replacement(path) as stream:
            np.savez(stream, **parts)  # type: ignore[arg-type]  # arrays by name
    with np.load(path, allow_pickle=False) as stored:
        return {role: stored[role] for role in stored.files}


def _make_engines() -> tuple[FaceLandmarker, EyeNetwork]:
    return MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=60), OpencvEyeNetwork(EYE_NETWORK_PATH)


def draw_pairs(rooms: list[dict[str, Floats]], seed: int, roles: tuple[str, ...] = ROLES) -> tuple[Floats, ...]:
    """Return traits for each role, by default before, of the viewer who came back, and of the other one.

    Shape (n, 7) each; rooms with fewer than `PART_FRAMES` frames in a part are left out.
    """
    rng = np.random.default_rng(seed)
    drawn: list[list[Floats]] = []
    for room in rooms:
        for _ in range(PARTS):
            parts = [room[role][rng.permutation(len(room[role]))[:PART_FRAMES]] for role in roles]
            if all(len(part) == PART_FRAMES for part in parts):
                medians = [_median(part) for part in parts]
                if np.isfinite(medians).all():
                    drawn.append(medians)
    return tuple(np.moveaxis(np.array(drawn).reshape(-1, len(roles), len(TRAITS) - 2), 1, 0))


def _median(frames: Floats) -> Floats:
    known = np.isfinite(frames).any(axis=0)
    found = np.full(frames.shape[1], np.nan)
    found[known] = np.nanmedian(frames[:, known], axis=0)
    return found


def fit_return_prior(first: Floats, back: Floats, other: Floats) -> ViewerPrior:
    """Return the covariances of returns and between people; those of the errors at targets are NaN.

    Args:
        first: Traits before, shape (n, 7).
        back: Traits of the same viewers after they came back, shape (n, 7).
        other: Traits of other viewers in the same places, shape (n, 7).
    """
    same, different = (_shrink((after - first).T @ (after - first) / len(first)) for after in (back, other))
    values, vectors = np.linalg.eigh((different - same) / 2)
    people = (vectors * np.maximum(values, 0.0)) @ vectors.T
    whole = [np.full((len(TRAITS), len(TRAITS)), np.nan) for _ in range(2)]
    for covariance, part in zip(whole, (people, same / 2), strict=True):
        covariance[2:, 2:] = part
    return ViewerPrior(whole[0], whole[1])


def _shrink(covariance: Floats) -> Floats:
    return (1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance))


def measure_changes(first: Floats, after: Floats, prior: ViewerPrior) -> float:
    """Return the share of pairs that count as a change of the viewer."""
    pad = np.full(2, np.nan)
    found = [
        find_viewer_change([np.concatenate([pad, one]), np.concatenate([pad, two])], prior) is not None
        for one, two in zip(first, after, strict=True)
    ]
    return float(np.mean(found))


def measure_portraits(folder: Path) -> tuple[Floats, Floats]:
    """Return the traits of people with a neutral and with a smiling portrait, shape (n, 7) each."""
    landmarker, network = _make_engines()
    found: dict[str, dict[str, Floats]] = {}
    for path in sorted(folder.glob("*.jpg")):
        person, _, expression = path.stem.rpartition("_")
        frame = decode_image(path.read_bytes(), max_pixels=MAX_PORTRAIT_PIXELS)
        row = measure_frame(frame, landmarker, network, PORTRAIT_FOV_DEG)
        if row is not None and np.isfinite(row).all():
            found.setdefault(person, {})[expression] = row
    both = [each for each in found.values() if {"neutral", "smiling"} <= each.keys()]
    return np.array([each["neutral"] for each in both]), np.array([each["smiling"] for each in both])


def render_return_prior(prior: ViewerPrior) -> str:
    """Return the source of `gaze_core.viewer_return_prior`."""
    return render_prior(
        prior,
        "Prior of `viewer_return`. Generated by `research.training.viewer_return`; do not edit by hand.",
        "Covariances of `viewer_change.TRAITS` between people, and between one viewer's places in one session.",
        "RETURNS",
    )


@click.command(cls=Command)
@click.option("--rooms", type=click.IntRange(10), default=55, show_default=True, help="Rooms of each group of people.")
@click.option(
    "--portraits", type=click.Path(path_type=Path), help="Folder of portraits, for error rates on real people."
)
@click.option("--keep", is_flag=True, help="Measure with the shipped prior, and write nothing.")
def main(rooms: int, portraits: Path | None, keep: bool) -> None:
    r"""Estimate how much one viewer who comes back differs from another one, and write it into `gaze_core`."""
    fitted = [measure_room(room, CACHE) for room in range(rooms)]
    tested = [measure_room(FIRST_TEST_ROOM + room, CACHE) for room in range(rooms)]
    prior = RETURN_PRIOR if keep else fit_return_prior(*draw_pairs(fitted, 1))
    for name, trained, seed in (("training", fitted, 1), ("test", tested, 2)):
        first, back, other = draw_pairs(trained, seed)
        alarms, found = (measure_changes(first, after, prior) for after in (back, other))
        click.echo(
            f"rendered, {name} group, {len(trained)} rooms, {len(first)} pairs: {alarms:.1%} false alarms, "
            f"{found:.1%} of other viewers found"
        )
    for role in CHANGED_ROLES:
        first, changed = draw_pairs(tested, 2, ("before", role))
        alarms = measure_changes(first, changed, prior)
        click.echo(f"rendered, test group, same viewer, other {role}, {len(first)} pairs: {alarms:.1%} false alarms")
    if portraits is not None:
        neutral, smiling = measure_portraits(portraits)
        one, two = np.nonzero(~np.eye(len(neutral), dtype=np.bool_))
        alarms = measure_changes(neutral, smiling, prior)
        found, with_another = (measure_changes(neutral[one], after[two], prior) for after in (neutral, smiling))
        click.echo(
            f"real, {len(neutral)} people: {alarms:.1%} false alarms (neutral, then smiling), {found:.1%} of "
            f"{len(one)} pairs of other people found, {with_another:.1%} with another expression"
        )
    if not keep:
        replace_file(PRIOR_PATH, render_return_prior(prior).encode())
        click.echo(f"wrote {PRIOR_PATH.name}", err=True)


if __name__ == "__main__":
    main()
