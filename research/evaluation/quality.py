"""Which frames get a gaze that should get none, and the other way round, on a folder of faces.

    python -m research.evaluation.quality DIR [--vertical-fov-deg 20] [--half second] [--trade-off]

Every image is measured as it is, with changes that leave the eyes visible, with covers over both eyes and over one, and
turned. Images that give no gaze as they are count only in the first row. Files are named as for `--looking-at-camera`.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import cv2
import numpy as np

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from func.errors import RequestError
from func.web.images import decode_image
from gaze_core.detector import GazeDetector
from gaze_core.ports import EyeNetwork, FaceLandmarker
from gaze_core.types import Camera, Frame, GazeSample, Validity
from gaze_core.visible_eyes import BOTH_COVERED_BELOW
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from research.command_line import Command
from research.evaluation.portraits import LANDMARKER_WAIT_S, Portrait
from research.markdown import make_table
from research.quality.changes import HARMLESS, TURNS_DEG, turn
from research.quality.covers import OPAQUE, PARTIAL, EyePlace, cover_eyes, find_eyes
from research.quality.drawings import STYLES, draw_face
from research.quality.observations import STILL_VISIBLE, find_evidence, find_face
from research.recordings.frames import MAX_PIXELS, CachedLandmarker
from research.recordings.recording import IMAGE_SUFFIXES

DRAWINGS = 20
"""Drawn faces of each style."""

EVIDENCE = tuple(np.arange(-4.0, 6.5, 0.5).tolist())
"""Thresholds of the trade-off."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One measured image.

    Attributes:
        group: `visible`, `opaque`, `partial`, `one eye`, `turned` or `drawn`.
        kind: Name of the change or cover.
        outcome: `gaze`, `gaze, one eye`, or the reason for the missing gaze.
        evidence: Larger evidence of an iris among both eyes; None without a face.
    """

    group: str
    kind: str
    outcome: str
    evidence: float | None = None


@dataclass(slots=True)
class QualityCheck:
    """Measures changed images.

    Attributes:
        detector: Detector for the camera of all images.
        landmarker: Its landmarker.
        network: Its eye network.
        trials: What was measured.
    """

    detector: GazeDetector
    landmarker: FaceLandmarker
    network: EyeNetwork | None = None
    trials: list[Trial] = field(default_factory=list)

    def try_image(self, frame: Frame, seed: str) -> None:
        """Measure an image, changed in all ways; deterministic.

        Args:
            frame: RGB image.
            seed: Name of the image.
        """
        self._measure("visible", "unchanged", frame)
        face = find_face(self.landmarker, frame)
        if face is None or self.trials[-1].outcome != "gaze":
            return
        for group, kind, changed in _change(frame, find_eyes(face), seed):
            self._measure(group, kind, changed)

    def try_drawings(self) -> None:
        """Measure drawn faces."""
        for style in STYLES:
            for number in range(DRAWINGS):
                self._measure("drawn", style, draw_face(style, np.random.default_rng([STYLES.index(style), number])))

    def _measure(self, group: str, kind: str, frame: Frame) -> None:
        sample = self.detector.process_single_frame(frame)
        fov_deg = self.detector.camera.vertical_fov_deg
        evidence = find_evidence(self.landmarker, frame, fov_deg, self.network)
        best = None if evidence is None else float(evidence.max())
        self.trials.append(Trial(group, kind, describe_outcome(sample), best))


def describe_outcome(sample: GazeSample) -> str:
    """Return what a frame gave, in a few words."""
    if sample.validity is Validity.OK:
        return "gaze, one eye" if any(sample.covered_eyes) else "gaze"
    return sample.quality_issues[0] if sample.quality_issues else str(sample.validity)


def tabulate(trials: Sequence[Trial]) -> str:
    """Return the outcomes of each kind as a Markdown table."""
    by_kind: dict[tuple[str, str], Counter[str]] = {}
    for trial in trials:
        by_kind.setdefault((trial.group, trial.kind), Counter())[trial.outcome] += 1
    outcomes = [name for name, _ in sum(by_kind.values(), Counter()).most_common()]
    rows = [
        (group, kind, str(counts.total()), *(str(counts[name] or "") for name in outcomes))
        for (group, kind), counts in by_kind.items()
    ]
    return make_table(("group", "kind", "images", *outcomes), rows)


def trade_off(trials: Sequence[Trial]) -> str:
    """Return, for each threshold of the evidence, false alarms and missed covers as a Markdown table."""
    visible = _evidence_of([each for each in trials if each.group == "visible" or each.kind in STILL_VISIBLE])
    opaque = _evidence_of([each for each in trials if each.group == "opaque"])
    rows = [
        (
            f"**{threshold:.1f}**" if threshold == BOTH_COVERED_BELOW else f"{threshold:.1f}",
            f"{100 * (visible < threshold).mean():.2f}",
            f"{100 * (opaque >= threshold).mean():.2f}",
        )
        for threshold in EVIDENCE
    ]
    return make_table(("evidence below", "visible eyes flagged, %", "opaque covers missed, %"), rows)


def read_images(folder: Path, half: str) -> Iterator[tuple[str, Frame]]:
    """Yield name and content of the images of every person, or of every other one.

    Args:
        folder: Folder of the images; other files are ignored.
        half: `first`, `second` or `both`.

    Raises:
        OSError: The folder or an image cannot be read.
    """
    paths = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES]
    people = sorted({Portrait(path.name, "").person for path in paths})
    for path in paths:
        if half != "both" and people.index(Portrait(path.name, "").person) % 2 != (half == "second"):
            continue
        try:
            yield path.name, decode_image(path.read_bytes(), max_pixels=MAX_PIXELS)
        except RequestError as error:
            click.echo(f"{path.name}: {error}", err=True)


def _change(frame: Frame, eyes: tuple[EyePlace, EyePlace], seed: str) -> Iterator[tuple[str, str, Frame]]:
    left, right = eyes

    def draw(kind: str) -> np.random.Generator:
        return np.random.default_rng(zlib.crc32(f"{seed} {kind}".encode()))

    for kind, change in HARMLESS.items():
        yield "visible", kind, change(frame, draw(kind))
    for kind, cover in OPAQUE.items():
        yield "opaque", kind, cover_eyes(cover, frame, [left, right], draw(kind))
    for kind, cover in PARTIAL.items():
        yield "partial", kind, cover_eyes(cover, frame, [left, right], draw(kind))
    for kind, cover in OPAQUE.items():
        rng = draw(kind)
        yield "one eye", kind, cover_eyes(cover, frame, [(left, right)[int(rng.integers(2))]], rng)
    for angle_deg in TURNS_DEG:
        yield "turned", f"by {angle_deg:.0f}°", turn(frame, angle_deg)


def _evidence_of(trials: Sequence[Trial]) -> np.ndarray:
    return np.array([each.evidence for each in trials if each.evidence is not None])


@click.command(cls=Command)
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="DIR")
@click.option("--vertical-fov-deg", default=20.0, show_default=True, help="Vertical field of view of the images.")
@click.option(
    "--half",
    type=click.Choice(["first", "second", "both"]),
    default="both",
    show_default=True,
    help="Every other person: the first half chose the thresholds.",
)
@click.option("--without-network", is_flag=True, help="Leave the eye network out.")
@click.option("--trade-off", "with_trade_off", is_flag=True, help="Also print the trade-off of the threshold.")
def main(*, folder: Path, vertical_fov_deg: float, half: str, without_network: bool, with_trade_off: bool) -> None:
    """Count which faces get a gaze when their eyes are covered, their image is turned, or nothing is wrong."""
    cv2.setNumThreads(1)
    network = None if without_network else OpencvEyeNetwork(EYE_NETWORK_PATH)
    engine = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=LANDMARKER_WAIT_S)
    landmarker = CachedLandmarker(engine)
    camera = Camera(vertical_fov_deg=vertical_fov_deg)
    model = load_gaze_model(GAZE_MODEL_PATH)
    detector = GazeDetector(landmarker, model, camera=camera, eye_network=network)
    check = QualityCheck(detector, landmarker, network)
    try:
        for name, frame in read_images(folder, half):
            check.try_image(frame, name)
        if not check.trials:
            raise ValueError(f"{folder} contains no image")
        check.try_drawings()
    finally:
        engine.close()
    click.echo(tabulate(check.trials))
    if with_trade_off:
        click.echo(trade_off(check.trials))


if __name__ == "__main__":
    main()
