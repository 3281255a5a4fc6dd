"""Comparison of real and rendered people, on synthetic faces."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from pytest import approx

from gaze_core.landmarks import IRIS, LEFT, RIGHT, Landmarks
from research.dataset.table import write_table
from research.realism.__main__ import main
from research.realism.compare import compare, compare_scatter
from research.realism.faces import Clip, Faces, faces_of, find_takes
from research.realism.jitter import compare_jitter, match_lags, measure_rotation_deg
from research.realism.report import describe, make_report, read_clip
from tests.fakes.synthetic_face import make_face
from tests.fakes.synthetic_table import make_table


def make_points(count, *, seed=0, noise_px=0.0, opening_mm=9.0, blinks=()):
    """Return faces in pixels with noisy landmarks and random lid motion, shape (count, 478, 2)."""
    rng = np.random.default_rng(seed)
    openings_mm = opening_mm + rng.normal(0, 0.4, count)
    openings_mm[list(blinks)] = 1.0
    shut, open_1_mm = (full_face(opening_mm).points[:, :2] for opening_mm in (0.0, 1.0))
    points = (shut + openings_mm[:, None, None] * (open_1_mm - shut)) * [640, 480]  # lids move in proportion
    return points + np.random.default_rng(seed + 1000).normal(0, noise_px, points.shape)


def full_face(opening_mm=9.0):
    """Return a face with the landmarks of brows and mid lids, which `make_face` leaves out."""
    face = make_face(lid_opening_mm=opening_mm)
    points = face.points
    for middle, outer, inner in ((386, 387, 385), (374, 373, 380), (159, 160, 158), (145, 144, 153)):
        points[middle] = (points[outer] + points[inner]) / 2
    for brow, below in ((295, 385), (282, 387), (65, 158), (52, 160)):
        points[brow] = points[below] - [0.0, 0.04, 0.0]
    return Landmarks(points, face.image_width_px, face.image_height_px)


def faces_from(points, *, person=None, sequence=None):
    count = len(points)
    person = np.zeros(count, dtype=np.int64) if person is None else person
    return Faces(points, np.ones(count, bool), person, person if sequence is None else sequence, np.arange(count))


def clip_from(points, name="clip.mp4"):
    return Clip(name, "00", len(points), (640, 480), faces_from(points))


def complete(table):
    """Add the landmarks that `make_face` leaves out to the faces of a table."""
    face = full_face().points
    for index in (386, 374, 159, 145, 295, 282, 65, 52):
        table.landmarks[:, index] = table.landmarks[:, IRIS[LEFT if index > 200 else RIGHT][0]]
        table.landmarks[:, index] += face[index] - face[IRIS[LEFT if index > 200 else RIGHT][0]]
    return table


def test_equal_people_lie_within_each_others_range():
    person = np.repeat(np.arange(20), 30)
    rendered = faces_from(make_points(600, noise_px=0.3), person=person)

    compared = compare([faces_from(make_points(200, seed=5, noise_px=0.3))], rendered)

    assert compared["iris_diameter"].inside == approx(0.9, abs=0.07)
    assert compared["iris_diameter"].rendered.count == 600
    assert compared["difference_x"].real.median == approx(compared["difference_x"].rendered.median, abs=0.01)


def test_wider_open_eyes_lie_outside_and_above_all_rendered_people():
    rendered = faces_from(make_points(600), person=np.repeat(np.arange(20), 30))

    compared = compare([faces_from(make_points(50, opening_mm=13.0, seed=3))], rendered)["lid_aperture"]

    assert (compared.inside, compared.rank) == (0.0, (1.0,))


def test_gaze_towards_the_camera_is_compared_separately():
    points = np.concatenate([make_points(40), make_points(40, opening_mm=12.0)])
    rendered = dataclasses.replace(faces_from(points), looks_at_camera=np.repeat([False, True], 40))

    compared = compare([faces_from(make_points(40))], rendered)["lid_aperture"]

    assert compared.towards_camera.median == approx(compared.real.median * 12 / 9, rel=0.05)
    assert compare([faces_from(points)], faces_from(points))["lid_aperture"].towards_camera is None


def test_blinks_are_left_out():
    compared = compare([faces_from(make_points(50, blinks=(4, 5, 6)))], faces_from(make_points(60)))

    assert compared["lid_aperture"].real.count == 47


def test_clips_of_one_take_are_recognised_by_their_lids():
    take, other = make_points(60, noise_px=0.02), make_points(60, seed=7)
    again = take + np.random.default_rng(9).normal(0, 0.02, take.shape)

    assert find_takes([clip_from(take), clip_from(other), clip_from(again)]) == (0, 1, 0)
    assert find_takes([clip_from(take[:10]), clip_from(again[:10])]) == (0, 1)


def test_scatter_at_rest_is_within_a_fixation_and_over_poses_within_a_person():
    points = make_points(400, noise_px=0.0)
    fixation = np.repeat(np.arange(40), 10)
    # The left iris moves by 0.5 px (standard deviation) between fixations and by 0.1 px within one.
    rng = np.random.default_rng(4)
    points[:, 473, 0] += rng.normal(0, 0.5, 40)[fixation] + rng.normal(0, 0.1, 400)
    one_person = np.zeros(400, dtype=np.int64)
    over_poses, resting = faces_from(points), faces_from(points, person=one_person, sequence=fixation)
    mm_per_px = 11.7 / 7.6

    scattered = compare_scatter([over_poses], over_poses, resting)["difference_x"]

    assert scattered.rest == approx(0.1 * mm_per_px, rel=0.15)
    assert scattered.poses == approx(0.5 * mm_per_px, rel=0.25)
    assert scattered.real == (scattered.poses,)


def test_jitter_is_measured_for_clips_rendered_people_and_another_encoding():
    calm = make_points(600)
    clips = [clip_from(calm + np.random.default_rng(seed).normal(0, 0.1, calm.shape)) for seed in (1, 2)]
    resting = faces_from(
        make_points(600, noise_px=0.2), person=np.repeat(np.arange(4), 150), sequence=np.repeat(np.arange(40), 15)
    )

    jitter = compare_jitter(clips, (0, 0), (1, 3), resting)["both_irises_x"]

    # The noise of both clips is independent, so their difference is the jitter.
    assert jitter.encoding == approx(jitter.real[0], rel=0.15)
    assert jitter.rendered.median == approx(2 * jitter.real[0], rel=0.15)
    assert jitter.rendered.count == jitter.same_size.count == 4
    # Independent noise is the same at a lag of three frames.
    assert jitter.moved == (jitter.real[0], approx(jitter.real[1], rel=0.15))


def test_a_clip_whose_head_moves_a_third_as_far_has_a_lag_of_three_frames():
    still = make_points(1)
    steps = np.arange(60)[:, None, None] * np.array([1.0, 0.0])
    resting = faces_from(still + 3 * steps, sequence=np.repeat(np.arange(6), 10))

    assert match_lags([clip_from(still + steps), clip_from(still + 0 * steps)], resting) == (3, 15)
    assert match_lags([clip_from(still + steps)], None) == (None,)


def test_rendered_irises_of_another_size_are_not_as_large_as_the_clips():
    resting = faces_from(3 * make_points(30))

    jitter = compare_jitter([clip_from(make_points(30))], (0,), (None,), resting)["both_irises_x"]

    assert jitter.rendered is not None
    assert jitter.same_size is None


def test_the_frames_of_a_fixation_are_a_sequence():
    table = make_table(identities=2, frames=4, held_out=1)
    table.target_index[:] = [1, 1, 0, 0, 1, 1, 0, 0]

    faces = faces_of(table)

    assert faces.sequence.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert faces.frame.tolist() == [2, 3, 0, 1, 2, 3, 0, 1]
    assert faces.points_px[0, 33] == approx(table.landmarks[2, 33, :2] * [640, 480])


def test_eyes_that_follow_a_swaying_head_turn_as_much_as_it_sways():
    table = make_table(identities=1, frames=800, held_out=0)
    table.target_index[:] = 0
    table.target_mm[:] = 0.0
    table.origin_mm[:] = [0.0, 0.0, 600.0]
    table.pose_deg[:] = 0.0
    table.pose_deg[:, 1] = np.random.default_rng(3).normal(0, 0.4, 800)

    assert measure_rotation_deg(table) == approx((0.4, 0.0), rel=0.1, abs=0.01)


class Landmarker:
    """Finds a face with jitter in bright images and none in dark ones."""

    def __init__(self):
        self.points = make_points(40, noise_px=0.1)
        self.seen = 0

    def detect(self, frame):
        if frame.mean() < 50:
            return []
        height, width = frame.shape[:2]
        self.seen += 1
        points = np.column_stack([self.points[self.seen - 1] / [640, 480], full_face().points[:, 2]])
        return [Landmarks(points, width, height)]


@pytest.fixture
def video(tmp_path):
    """A clip of three dark frames, 25 bright ones, two dark ones and two bright ones."""
    path = tmp_path / "person.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 48))
    for brightness in [0] * 3 + [180] * 25 + [0] * 2 + [180] * 2:
        writer.write(np.full((48, 64, 3), brightness, np.uint8))
    writer.release()
    return path


def test_a_clip_is_read_without_faces_in_too_few_consecutive_frames(video):
    clip = read_clip(video, Landmarker())

    assert (clip.name, clip.frames, clip.size_px, len(clip.faces)) == ("person.mp4", 32, (64, 48), 25)
    assert clip.faces.frame.tolist() == list(range(3, 28))
    assert clip.faces.is_frontal.all()


def test_a_clip_must_exist_and_show_a_face(video, tmp_path):
    class Blind:
        def detect(self, frame):
            return []

    with pytest.raises(ValueError, match=r"no face found in person\.mp4"):
        read_clip(video, Blind())
    with pytest.raises(OSError, match=r"cannot open missing\.mp4"):
        read_clip(tmp_path / "missing.mp4", Blind())


def test_without_a_calibration_table_the_report_says_so_with_dashes():
    report = make_report([clip_from(make_points(40))], complete(make_table()), None, truth_people=None)

    assert (report.rotation_deg, report.truth, report.jitters["iris_x"].rendered) == (None, None, None)
    assert "| rendered, over poses: 12 people |" in describe(report)["realism-clips"]
    assert "| – |" in describe(report)["realism-scatter"]


@pytest.mark.slow
def test_the_command_writes_numbers_and_a_figure_and_renews_the_document(video, tmp_path, monkeypatch):
    monkeypatch.setattr("research.realism.__main__.make_landmarker", Landmarker)
    resting = complete(make_table(identities=2, frames=30, held_out=1))
    resting.target_index[:] = np.tile(np.repeat([0, 1, 2], 10), 2)
    write_table(complete(make_table()), tmp_path / "table.npz")
    write_table(resting, tmp_path / "resting.npz")
    page = tmp_path / "page.md"
    names = ("clips", "ratios", "scatter", "jitter", "jitter-degrees")
    page.write_text("".join(f"<!-- realism-{name}: begin -->\nold\n<!-- realism-{name}: end -->\n" for name in names))

    result = CliRunner().invoke(
        main,
        [
            str(video),
            *("--table", str(tmp_path / "table.npz")),
            *("--calibration-table", str(tmp_path / "resting.npz")),
            *("--out", str(tmp_path / "out"), "--page", str(page)),
        ],
        catch_exceptions=False,
    )

    written = json.loads((tmp_path / "out" / "realism.json").read_text())
    assert written["rendered"]["people_at_rest"] == 2
    assert (tmp_path / "out" / "realism.png").read_bytes() == (tmp_path / "realism.png").read_bytes()
    text = page.read_text()
    assert "| person.mp4 | 1 | 64 × 48 | 32 | 25 |" in text
    assert "old" not in text.split()
    assert "iris diameter / eye width" in result.stdout
    assert str(tmp_path) not in text
