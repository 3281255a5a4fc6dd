"""Faces in the detector's answer, and the region of a frame around each."""

import math

import numpy as np
import pytest
from pytest import approx

from func.adapters.face_region import (
    FaceRegion,
    RegionCutter,
    find_face_regions,
    list_anchors,
    place_landmarks,
    whole_frame,
)

ANCHORS = list_anchors()
MIDDLE = 8 * 16 * 2 + 8 * 2  # first anchor of the cell right below the middle, at 8.5 / 16


def answer(*faces):
    """Return boxes and logits of a detector that found faces: anchor, logit, box (x, y, size), angle in degrees."""
    boxes, logits = np.zeros((896, 16), np.float32), np.full(896, -10, np.float32)
    for anchor, logit, (x, y, size), angle_deg in faces:
        logits[anchor] = logit
        cell = 128 * ANCHORS[anchor]
        across = 0.2 * size * np.array([math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))])
        eyes = np.array([x, y]) - cell + np.array([-across, across])
        boxes[anchor] = [x - cell[0], y - cell[1], size, size, *eyes.ravel(), *np.zeros(8)]
    return boxes, logits


def find(*faces, width_px=640, height_px=480, max_faces=4):
    return find_face_regions(*answer(*faces), ANCHORS, width_px=width_px, height_px=height_px, max_faces=max_faces)


def test_there_are_two_anchors_in_each_of_256_cells_and_six_in_each_of_64():
    assert ANCHORS.shape == (896, 2)
    assert ANCHORS[0] == approx([1 / 32, 1 / 32])
    assert ANCHORS[2] == approx([3 / 32, 1 / 32])
    assert ANCHORS[512] == approx([1 / 16, 1 / 16])
    assert ANCHORS[-1] == approx([15 / 16, 15 / 16])


def test_a_region_is_one_and_a_half_times_the_box_in_pixels_of_the_frame():
    # The detector's 128 px are the frame's 640, which has 80 px of black above and below.
    (region,) = find((MIDDLE, 2.0, (64, 64, 32), 0))

    assert (region.x_px, region.y_px) == approx((320, 240))
    assert (region.width_px, region.height_px) == approx((240, 240))
    assert region.rotation_rad == approx(0)


def test_a_region_of_an_upright_frame_has_the_black_at_its_sides():
    (region,) = find((MIDDLE, 2.0, (64, 32, 32), 0), width_px=480, height_px=640)

    assert (region.x_px, region.y_px) == approx((240, 160))


def test_a_region_is_rotated_like_the_eyes():
    (region,) = find((MIDDLE, 2.0, (64, 64, 32), 30))

    assert math.degrees(region.rotation_rad) == approx(30)


@pytest.mark.parametrize(("logit", "faces"), [(0.0, 1), (-0.01, 0)])
def test_a_face_needs_a_probability_of_a_half(logit, faces):
    assert len(find((MIDDLE, logit, (64, 64, 32), 0))) == faces


def test_overlapping_boxes_are_one_face_at_their_weighted_mean():
    # Probabilities 0.75 and 0.5, an overlap of 0.78.
    (region,) = find((MIDDLE, math.log(3), (62, 64, 32), 0), (MIDDLE + 1, 0.0, (66, 64, 32), 0))

    assert region.x_px == approx(5 * (0.6 * 62 + 0.4 * 66))


@pytest.mark.parametrize(("distance", "faces"), [(10, 1), (11, 2)])
def test_boxes_that_overlap_by_half_or_less_are_two_faces(distance, faces):
    # Squares of 32 px at a distance d overlap by (32 - d) / (32 + d): 0.52 and 0.49.
    regions = find((MIDDLE, 2.0, (64, 64, 32), 0), (MIDDLE + 1, 1.0, (64 + distance, 64, 32), 0))

    assert len(regions) == faces


def test_the_most_certain_faces_come_first_up_to_the_maximum():
    faces = [(index, logit, (x, 64, 16), 0) for index, logit, x in ((100, 1.0, 20), (200, 3.0, 60), (300, 2.0, 100))]

    assert [region.x_px for region in find(*faces, max_faces=2)] == approx([300, 500])


def test_a_box_without_an_area_is_no_face():
    assert find((MIDDLE, 2.0, (64, 64, 0), 0)) == []


def test_the_whole_frame_is_a_square_with_the_longer_side():
    assert whole_frame(np.zeros((480, 640, 3), np.uint8)) == FaceRegion(320, 240, 640, 640, 0)


def cut_region(frame, region, size_px, *, repeat_edge):
    return RegionCutter(size_px, repeat_edge=repeat_edge).cut(frame, region)


def test_a_region_in_pixels_of_the_frame_is_cut_out_unchanged():
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)

    assert np.array_equal(cut_region(frame, FaceRegion(30, 20, 16, 16, 0), 16, repeat_edge=True), frame[12:28, 22:38])


def test_a_face_that_lies_on_its_side_is_cut_out_upright():
    frame = np.random.default_rng(0).integers(0, 256, (41, 41, 3), dtype=np.uint8)
    # A quarter turn clockwise: the top of the face is on the right.
    cut = cut_region(frame, FaceRegion(20, 20, 16, 16, math.pi / 2), 16, repeat_edge=True)

    assert np.array_equal(cut[0, 0], frame[12, 28])
    assert np.array_equal(cut[0, 15], frame[27, 28])
    assert np.array_equal(cut[15, 0], frame[12, 13])


@pytest.mark.parametrize(("repeat_edge", "value"), [(True, 200), (False, 0)])
def test_beyond_the_frame_its_edge_is_repeated_or_black(repeat_edge, value):
    frame = np.full((20, 20, 3), 200, np.uint8)

    assert (cut_region(frame, FaceRegion(0, 0, 16, 16, 0), 16, repeat_edge=repeat_edge)[0, 0] == value).all()


def test_the_same_region_of_another_frame_is_cut_out_of_that_frame():
    cutter, region = RegionCutter(16, repeat_edge=True), FaceRegion(30, 20, 16, 16, 0)
    first, second = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), dtype=np.uint8)
    cutter.cut(first, region)

    assert np.array_equal(cutter.cut(second, region), second[12:28, 22:38])


def test_another_region_of_the_same_frame_is_cut_out_anew():
    cutter = RegionCutter(16, repeat_edge=True)
    frame = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    cutter.cut(frame, FaceRegion(30, 20, 16, 16, 0))

    assert np.array_equal(cutter.cut(frame, FaceRegion(31, 20, 16, 16, 0)), frame[12:28, 23:39])


def test_landmarks_return_to_where_they_were_cut_out():
    region = FaceRegion(300, 200, 120, 80, math.radians(90))
    points = np.array([[0.5, 0.5, 0.0], [1.0, 0.5, 0.1], [0.5, 1.0, 0.0]], np.float32)

    placed = place_landmarks(points, region, width_px=600, height_px=400)

    assert placed[:, :2] * (600, 400) == approx(np.array([[300, 200], [300, 260], [260, 200]]), abs=1e-4)


@pytest.mark.parametrize(("rotation_deg", "z"), [(0, 0.02), (90, 0.03)])
def test_z_is_in_units_of_the_side_that_the_face_lies_along(rotation_deg, z):
    region = FaceRegion(300, 200, 120, 120, math.radians(rotation_deg))
    placed = place_landmarks(np.array([[0.5, 0.5, 0.1]], np.float32), region, width_px=600, height_px=400)

    assert placed[0, 2] == approx(z)
