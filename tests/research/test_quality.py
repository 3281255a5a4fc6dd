"""Covers, turns, drawings and the fit of the evidence; the detector on the sample recording's rendered person."""

import cv2
import numpy as np
import pytest
from pytest import approx

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from func.adapters.face_landmarker_mediapipe import MediapipeFaceLandmarker
from func.adapters.model_file import load_gaze_model
from gaze_core.detector import GazeDetector
from gaze_core.types import Camera
from models import EYE_NETWORK_PATH, FACE_LANDMARKER_PATH, GAZE_MODEL_PATH
from research.evaluation.quality import Trial, describe_outcome, read_images, tabulate, trade_off
from research.quality.changes import HARMLESS, turn
from research.quality.covers import OPAQUE, cover_eyes, find_eyes
from research.quality.drawings import draw_face
from research.quality.fit import fit_evidence
from research.quality.observations import find_face
from research.recordings.sample import SEED
from tests.fakes.painted_eyes import make_noise, paint_eyes
from tests.fakes.synthetic_face import make_face
from tests.research.test_recording_sample import SAMPLE

NOISE = make_noise(np.random.default_rng(3))


@pytest.fixture(scope="module")
def landmarker():
    engine = MediapipeFaceLandmarker(FACE_LANDMARKER_PATH, landmarkers=1, wait_s=30.0)
    yield engine
    engine.close()


@pytest.fixture(scope="module", params=[True, False], ids=["with network", "without"])
def detector(request, landmarker):
    network = OpencvEyeNetwork(EYE_NETWORK_PATH) if request.param else None
    camera = Camera(vertical_fov_deg=45.0)
    return GazeDetector(landmarker, load_gaze_model(GAZE_MODEL_PATH), camera=camera, eye_network=network)


@pytest.fixture(scope="module")
def person():
    """Return the first frame of the sample recording, a rendered person."""
    ((_, frame), *_) = read_images(SAMPLE / "frames", "both")
    return frame


def outcome(detector, frame):
    return describe_outcome(detector.process_single_frame(np.ascontiguousarray(frame)))


def test_a_rendered_person_has_a_gaze(detector, person):
    assert outcome(detector, person) == "gaze"


@pytest.mark.parametrize("change", HARMLESS)
def test_harmless_changes_leave_the_gaze(detector, person, change):
    assert outcome(detector, HARMLESS[change](person, np.random.default_rng(1))) == "gaze"


@pytest.mark.parametrize(("angle_deg", "roll_deg"), [(90, -90), (180, 180), (270, 90)])
def test_a_turned_frame_is_recognised_and_its_roll_is_the_turn(detector, person, angle_deg, roll_deg):
    sample = detector.process_single_frame(turn(person, angle_deg))

    assert (describe_outcome(sample), sample.gaze) == ("face_rotated", None)
    assert np.cos(np.radians(sample.head_pose.roll_deg - roll_deg)) == approx(1.0, abs=0.1)


@pytest.mark.parametrize("name", ["dark disc, 0.85 × 0.62 half axes", "opaque lenses", "bar", "hand", "strong blur"])
def test_covered_eyes_give_no_gaze(detector, landmarker, person, name):
    eyes = find_eyes(find_face(landmarker, person))

    covered = cover_eyes(OPAQUE[name], person, eyes, np.random.default_rng(2))

    assert outcome(detector, covered) in ("eyes_covered", "eyes_closed", "too_dark", "no_contrast")


@pytest.mark.parametrize("side", [0, 1])
def test_of_two_eyes_the_uncovered_one_is_used(detector, landmarker, person, side):
    eyes = find_eyes(find_face(landmarker, person))
    dark = OPAQUE["dark disc, 0.85 × 0.62 half axes"]

    sample = detector.process_single_frame(cover_eyes(dark, person, [eyes[side]], np.random.default_rng(2)))

    assert describe_outcome(sample) == "gaze, one eye"
    assert sample.covered_eyes == (side == 0, side == 1)


@pytest.mark.parametrize("style", ["line drawing", "comic", "big eyes"])
def test_a_drawing_is_no_person(detector, style):
    assert outcome(detector, draw_face(style, np.random.default_rng(0))) == "implausible_face"


@pytest.mark.parametrize("name", OPAQUE)
def test_a_cover_hides_the_eyes_and_leaves_the_mouth(name):
    face = make_face()
    image = paint_eyes(NOISE, face)

    covered = cover_eyes(OPAQUE[name], image, find_eyes(face), np.random.default_rng(0))

    change = np.abs(covered.astype(int) - image).mean(axis=2)
    assert change[218:226, 284:294].mean() > 5  # the right eye, 20 px wide around (289, 221)
    assert change[218:226, 346:356].mean() > 5
    assert not change[280:].any()


def test_a_quarter_turn_is_clockwise_and_loses_nothing():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)

    assert turn(image, 90).shape == (3, 2, 3)
    assert np.array_equal(turn(image, 90)[0, 1], image[0, 0])
    assert np.array_equal(turn(turn(image, 90), 270), image)


def test_other_angles_turn_clockwise_too():
    image = np.zeros((101, 101, 3), np.uint8)
    image[10, 50] = 255  # above the middle

    bright = np.argwhere(turn(image, 60)[..., 0] > 60)

    assert bright.mean(axis=0) == approx([50 - 40 * np.cos(np.pi / 3), 50 + 40 * np.sin(np.pi / 3)], abs=1.5)


def test_the_fit_finds_the_feature_that_tells_visible_from_hidden_eyes():
    rng = np.random.default_rng(SEED)
    features = rng.normal(size=(400, 3)) * [1.0, 10.0, 1.0]
    is_visible = features[:, 1] + rng.normal(size=400) > 2

    model = fit_evidence(features, is_visible)

    contributions = np.abs(model.weights * features.std(axis=0))
    assert contributions[1] > 5 * contributions[[0, 2]].max()
    assert ((model.score(features) > 0) == is_visible).mean() > 0.9


def test_an_outcome_is_counted_in_the_row_of_its_kind():
    trials = [Trial("opaque", "bar", "eyes_covered"), Trial("opaque", "bar", "gaze"), Trial("opaque", "bar", "gaze")]

    assert tabulate(trials).splitlines()[-1] == "| opaque | bar | 3 | 2 | 1 |"


def test_the_trade_off_counts_false_alarms_and_missed_covers():
    trials = [
        *(Trial("visible", "unchanged", "gaze", evidence) for evidence in (1.2, 4.0, 4.0, 4.0)),
        *(Trial("opaque", "bar", "gaze", evidence) for evidence in (-3.0, 2.2)),
    ]

    rows = {row.split("|")[1].strip(" *"): row.split("|")[2:4] for row in trade_off(trials).splitlines()}

    assert [value.strip() for value in rows["1.0"]] == ["0.00", "50.00"]
    assert [value.strip() for value in rows["1.5"]] == ["25.00", "50.00"]
    assert [value.strip() for value in rows["2.5"]] == ["25.00", "0.00"]


def test_halves_are_of_different_people(tmp_path):
    for name in ("1_a", "1_b", "2_a", "3_a"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), NOISE)

    names = {half: [name for name, _ in read_images(tmp_path, half)] for half in ("first", "second", "both")}

    assert names["first"] == ["1_a.png", "1_b.png", "3_a.png"]
    assert names["second"] == ["2_a.png"]
    assert len(names["both"]) == 4
