import dataclasses
import json

import numpy as np
import pytest
from pytest import approx

from gaze_core.landmarks import Landmarks
from gaze_core.types import EyeGazes
from research.dataset import shards
from research.dataset.plan import Plan
from research.dataset.shards import gather, make_shard, make_shards, shard_path
from research.dataset.table import KEPT_LANDMARKS, load_table, write_table
from tests.fakes.inline_pool import InlinePool
from tests.fakes.synthetic_face import make_face

PLAN = Plan(identities=5, frames_per_identity=20, seed=9, held_out=1)


class Landmarker:
    """Finds a face in every image except the ones numbered in `blind`; its landmarks are random unless `is_face`."""

    def __init__(self, blind=()):
        self.seen = 0
        self.blind = blind
        self.is_face = False

    def detect(self, frame):
        self.seen += 1
        if self.seen - 1 in self.blind:
            return []
        height, width = frame.shape[:2]
        numbers = np.random.default_rng(self.seen)
        points = numbers.uniform(-0.1, 0.9, (478, 3))
        if self.is_face:
            points = make_face(width_px=width, height_px=height).points
        return [Landmarks(points, width, height, numbers.uniform(0, 1, (2, 7)))]


class Network:
    """Answers with the mean grey value of each eye image, the head's pitch, and a spread of 3 degrees."""

    digest = "e" * 64

    def estimate_images(self, images, head_deg):
        grey = images.mean(axis=(1, 2))
        return EyeGazes(
            np.column_stack([grey, np.full(2, head_deg[0])]),
            np.full((2, 2), 3.0),
            np.array([1.0, 2.0]),
            np.full(2, 3.0),
        )


def replace_rendering(patch):
    """Make shards of black images and random faces; return the landmarker."""
    landmarker = Landmarker()
    patch.setattr(shards, "_workbench", lambda: (None, landmarker))
    patch.setattr(shards, "process_pool", InlinePool)
    patch.setattr(
        "research.rendering.photograph.photograph",
        lambda renderer, scene, identity: np.zeros((scene.image_height_px, scene.image_width_px, 3), np.uint8),
    )
    return landmarker


@pytest.fixture
def bench(monkeypatch):
    """Shards without rendering."""
    return replace_rendering(monkeypatch)


@pytest.fixture(scope="module")
def random_faces(tmp_path_factory):
    """The table of all shards of the plan, with random faces; not to be changed."""
    folder = tmp_path_factory.mktemp("random")
    with pytest.MonkeyPatch.context() as patch:
        replace_rendering(patch)
        make_shards(PLAN, folder, jobs=2, show_progress=False)
    return gather(PLAN, folder)


@pytest.fixture(scope="module")
def folder_of_faces(tmp_path_factory):
    """A folder with all shards of the plan, with faces; not to be changed."""
    folder = tmp_path_factory.mktemp("faces")
    with pytest.MonkeyPatch.context() as patch:
        replace_rendering(patch).is_face = True
        make_shards(PLAN, folder, jobs=1, show_progress=False)
    return folder


def test_the_last_identities_are_the_test_group():
    plan = Plan(identities=10, frames_per_identity=3, seed=1, held_out=2)

    assert plan.first_held_out == 8
    assert plan.images == 30


def test_the_plan_and_its_digest_follow_from_the_arguments_alone():
    again = Plan(identities=5, frames_per_identity=20, seed=9, held_out=1)

    assert PLAN.digest() == again.digest()
    assert list(PLAN.frames(3)) == list(again.frames(3))
    assert PLAN.digest() != dataclasses.replace(PLAN, seed=10).digest()
    assert PLAN.digest() != dataclasses.replace(PLAN, held_out=2).digest()


def test_a_plan_must_leave_people_to_train_on():
    with pytest.raises(ValueError, match="held_out"):
        Plan(identities=3, frames_per_identity=1, seed=1, held_out=3)


def test_a_session_begins_with_the_calibration_targets():
    frames = list(Plan(identities=1, frames_per_identity=20, seed=1, held_out=0).frames(0))

    assert [frame.target_index for frame in frames] == [0, 1, 2, 3, 4, 5, 6, 7, 8] + 11 * [-1]
    assert {frame.session_id for frame in frames} == {0}


def test_many_frames_are_several_sessions():
    plan = Plan(identities=2, frames_per_identity=100, seed=1, held_out=0, frames_per_session=40)

    assert [frame.session_id for frame in plan.frames(1)] == 34 * [3] + 34 * [4] + 32 * [5]


def test_a_calibration_has_nine_calibration_and_six_validation_targets_of_ten_frames():
    plan = Plan(identities=10, frames_per_identity=150, seed=1, held_out=4, calibrations=2)

    frames = list(plan.frames(9))

    assert list(plan.people) == [8, 9]
    assert plan.images == 300
    assert [frame.target_index for frame in frames] == [target for target in range(15) for _ in range(10)]
    assert {frame.session_id for frame in frames} == {1_000_009}


def test_only_the_test_group_calibrates():
    with pytest.raises(ValueError, match="calibrations must not exceed held_out"):
        Plan(identities=10, frames_per_identity=150, seed=1, held_out=4, calibrations=5)


def test_a_calibration_has_its_own_number_of_frames():
    with pytest.raises(ValueError, match="must be 150"):
        Plan(identities=10, frames_per_identity=20, seed=1, held_out=4, calibrations=2)


def test_a_calibration_table_contains_only_people_who_calibrate(bench, tmp_path):
    plan = Plan(identities=5, frames_per_identity=150, seed=9, held_out=2, calibrations=1)
    make_shards(plan, tmp_path, jobs=1, show_progress=False)

    table = gather(plan, tmp_path)

    assert bench.seen == 150
    assert set(table.identity.tolist()) == {4}
    assert np.bincount(table.target_index).tolist() == 15 * [10]


def test_existing_shards_are_not_rendered_again(bench, tmp_path):
    make_shards(PLAN, tmp_path, jobs=1, show_progress=False)
    assert bench.seen == 100
    shard_path(tmp_path, 2).unlink()
    kept = shard_path(tmp_path, 1).stat().st_mtime_ns

    make_shards(PLAN, tmp_path, jobs=1, show_progress=False)

    assert bench.seen == 120
    assert shard_path(tmp_path, 1).stat().st_mtime_ns == kept


def test_the_order_of_work_does_not_matter(bench, random_faces, tmp_path):
    for identity in (4, 0, 3, 1, 2):
        make_shard(PLAN, identity, tmp_path)
    shuffled = gather(PLAN, tmp_path)

    for name in ("gaze_deg", "origin_mm", "pose_deg", "identity", "session", "target_index", "openness"):
        assert np.array_equal(getattr(random_faces, name), getattr(shuffled, name))


def test_an_interrupted_shard_leaves_no_file(bench, tmp_path, monkeypatch):
    def break_off(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "detect", break_off)
    with pytest.raises(KeyboardInterrupt):
        make_shard(PLAN, 0, tmp_path)

    assert not shard_path(tmp_path, 0).exists()


def test_images_without_a_face_are_counted_and_listed(bench, tmp_path):
    bench.blind = (0, 25)
    make_shards(PLAN, tmp_path, jobs=1, show_progress=False)

    table = gather(PLAN, tmp_path)

    assert len(table) == 98
    assert table.description["images"] == 100
    assert table.description["faces_found"] == 98
    assert table.description["no_face"] == [[0, 0, 0], [1, 1, 5]]


def test_a_table_is_the_same_after_writing_and_loading(random_faces, tmp_path):
    table = random_faces
    write_table(table, tmp_path / "table.npz")

    loaded = load_table(tmp_path / "table.npz")

    assert np.array_equal(loaded.identity, table.identity)
    assert loaded.gaze_deg == approx(table.gaze_deg, rel=1e-6)
    assert loaded.first_held_out == 4
    assert loaded.is_held_out.sum() == 20
    assert loaded.description == table.description
    assert loaded.landmarks.shape == (100, 478, 3)
    assert np.isnan(loaded.landmarks[:, 200]).all()  # not stored


def test_quantisation_moves_a_landmark_by_less_than_a_fiftieth_of_a_pixel(random_faces, tmp_path):
    table = random_faces
    write_table(table, tmp_path / "table.npz")
    loaded = load_table(tmp_path / "table.npz")

    moved_px = 640 * np.abs(loaded.landmarks - table.landmarks)[:, list(KEPT_LANDMARKS)]

    assert moved_px.max() < 0.01


def test_a_file_of_format_1_has_no_answers(random_faces, tmp_path):
    write_table(random_faces, tmp_path / "table.npz")
    with np.load(tmp_path / "table.npz") as stored:
        arrays = dict(stored)
    description = json.loads(str(arrays.pop("description"))) | {"format": 1}
    for name in ("eye_shapes", "network_deg", "network_spread_deg"):
        del arrays[name]
    np.savez(tmp_path / "old.npz", description=np.array(json.dumps(description)), **arrays)

    loaded = load_table(tmp_path / "old.npz")

    assert (loaded.face(0).eye_shapes, loaded.gazes_of(0)) == (None, None)


def test_the_same_table_gives_the_same_bytes(random_faces, tmp_path):
    table = random_faces
    for name in ("a.npz", "b.npz"):
        write_table(table, tmp_path / name)

    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_table_has_the_blendshapes_of_each_face(random_faces, tmp_path):
    table = random_faces
    write_table(table, tmp_path / "table.npz")
    loaded = load_table(tmp_path / "table.npz")

    seen = np.random.default_rng(1)
    seen.uniform(-0.1, 0.9, (478, 3))
    shapes = seen.uniform(0, 1, (2, 7))
    assert table.face(0).eye_shapes == approx(shapes)
    assert loaded.face(0).eye_shapes == approx(shapes, abs=0.0005)


def test_a_shard_has_the_eye_images(bench, tmp_path):
    bench.is_face = True
    make_shard(PLAN, 0, tmp_path)

    with np.load(shard_path(tmp_path, 0)) as shard:
        assert (shard["eye_images"].shape, shard["eye_images"].dtype) == ((20, 2, 48, 72), np.uint8)
        assert shard["head_deg"] == approx(np.zeros((20, 2)), abs=5)


def test_the_network_s_answers_are_in_the_table_not_in_the_shards(folder_of_faces, tmp_path):
    table = gather(PLAN, folder_of_faces, Network())
    write_table(table, tmp_path / "table.npz")
    loaded = load_table(tmp_path / "table.npz")

    gazes = loaded.gazes_of(7)
    assert (gazes.eyes_deg.shape, gazes.both_deg.tolist(), gazes.both_spread_deg.tolist()) == ((2, 2), [1, 2], [3, 3])
    assert gazes.eyes_deg[:, 0].tolist() == [0, 0]  # the images are black
    assert loaded.description["eye_network_sha256"] == "e" * 64
    with np.load(shard_path(folder_of_faces, 0)) as shard:
        assert "network_deg" not in shard


def test_without_a_network_there_are_no_answers(folder_of_faces):
    assert gather(PLAN, folder_of_faces).gazes_of(0) is None


def test_landmarks_that_form_no_face_give_no_answer(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "detect", lambda frame: [Landmarks(np.full((478, 3), 0.5), 640, 480)])
    make_shards(PLAN, tmp_path, jobs=1, show_progress=False)
    table = gather(PLAN, tmp_path, Network())

    assert table.gazes_of(0) is None
    assert table.face(0).eye_shapes is None


def test_a_row_gives_the_core_s_own_types(random_faces):
    table = random_faces

    assert table.face(0).image_width_px == table.image_size_px[0, 0]
    assert table.camera_of(0).vertical_fov_deg == approx(table.camera[0, 0])
    assert table.screen_of(0).width_mm == approx(table.screen_mm[0, 0])


def test_the_landmarks_that_features_need_are_kept():
    assert set(range(468, 478)) <= set(KEPT_LANDMARKS)  # the irises
    assert {33, 133, 263, 362, 160, 144, 158, 153, 387, 373, 385, 380} <= set(KEPT_LANDMARKS)  # corners and lids
    assert {4, 6, 10, 54, 284, 136, 365} <= set(KEPT_LANDMARKS)  # the canonical face
