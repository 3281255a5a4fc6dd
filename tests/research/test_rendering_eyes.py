"""Eye regions against the same part of whole images; needs a software OpenGL and the head's data."""

import dataclasses
import os

import numpy as np
import pytest
from pytest import approx

from gaze_core.eye_images import eye_views
from research.dataset.bench import measure_costs
from research.dataset.eye_images import (
    EyePlan,
    cut_eye_images,
    find_window,
    photograph_eye_images,
    render_person,
    true_directions,
)
from research.dataset.eye_placement import corners_at_rest, find_true_eyes, load_placement_model, place_with_errors
from research.rendering.assets import CACHE, ENVIRONMENT_VARIABLE
from research.rendering.backdrop import draw_backdrop
from research.rendering.exposure import build_lit_points, estimate_gain, meter
from research.rendering.eye import fick_rotation
from research.rendering.head import build_head
from research.rendering.identity import sample_identity
from research.rendering.mesh import subdivide
from research.rendering.photograph import develop, photograph, photograph_eyes, window_of_light
from research.rendering.sampling import NO_TARGET, sample_scene, sample_session
from research.rendering.scene import Backdrop
from research.rendering.topology import Extent
from research.rendering.window import Window

pytestmark = pytest.mark.skipif(
    ENVIRONMENT_VARIABLE not in os.environ and not (CACHE / "mpfb2").is_dir(),
    reason="the head's data are not here; `make dataset` downloads them",
)

PEOPLE = (3, 13, *(pytest.param(number, marks=pytest.mark.slow) for number in (6, 8)))
SEED = 2


@pytest.fixture(scope="module")
def renderer():
    from research.rendering.renderer import Renderer

    with Renderer() as made:
        yield made


@pytest.fixture(scope="module", params=PEOPLE)
def shot(request, renderer):
    """A scene, its person, where the eyes are, the gain, and the whole image."""
    identity = sample_identity(request.param, SEED)
    session = sample_session(identity, request.param, SEED)
    scene = sample_scene(session, identity, 0, NO_TARGET)
    head = build_head(identity, Extent.EYES)
    true = find_true_eyes(scene, head, corners_at_rest(head))
    views = eye_views(
        place_with_errors(true, np.zeros(9)),
        scene.image_width_px,
        scene.image_height_px,
        scene.camera.vertical_fov_deg,
    )
    light, cover = renderer.draw(scene, identity)
    light = light + (1 - cover[..., None]) * draw_backdrop(scene.backdrop, scene.image_width_px, scene.image_height_px)
    return scene, identity, views, light


def test_a_region_of_the_eyes_equals_that_part_of_the_whole_image(renderer, shot):
    scene, identity, views, light = shot
    window = find_window(views, scene)
    whole = photograph(renderer, scene, identity)
    region = photograph_eyes(renderer, scene, identity, window, meter(light, scene))
    difference = np.abs(whole[window.slices].astype(float) - region)

    assert region.shape == (window.height_px, window.width_px, 3)
    assert difference.mean() < 3.0  # grey levels of 255
    assert np.percentile(difference, 95) < 12.0


def test_normalised_eye_images_differ_little_from_those_of_the_whole_image(renderer, shot):
    scene, identity, views, _ = shot

    def normalised(images):
        images = images.astype(float)
        return (images - images.mean(axis=(1, 2), keepdims=True)) / (images.std(axis=(1, 2), keepdims=True) + 4)

    whole = cut_eye_images(photograph(renderer, scene, identity), views)
    region = photograph_eye_images(renderer, scene, identity, views)

    assert np.abs(normalised(whole) - normalised(region)).mean() < 0.1  # standard deviations


def test_developing_a_window_gives_the_same_pixels_as_developing_the_image(shot):
    scene, _, views, light = shot
    window = find_window(views, scene)
    seen = window_of_light(scene, window)
    whole = Window.of_image(scene.image_width_px, scene.image_height_px)
    image = develop(light, scene, whole, whole, 0.6)
    part = develop(light[seen.slices], scene, seen, window, 0.6)
    difference = np.abs(image[window.slices].astype(int) - part)[2:-2, 2:-2]  # JPEG smooths colours across blocks

    assert difference.max() <= 2
    assert (difference == 0).mean() > 0.98


def test_the_estimated_gain_is_near_the_metered_one(shot):
    scene, identity, _, light = shot
    estimated = estimate_gain(scene, build_lit_points(build_head(identity, Extent.EYES)))

    assert estimated == approx(meter(light, scene), rel=0.35)  # one standard deviation is 9 %


def test_the_eye_images_lie_inside_their_window(shot):
    scene, _, views, _ = shot
    window = find_window(views, scene)
    for homography in np.linalg.inv(views.homographies):
        for x, y in ((0, 0), (71, 0), (0, 47), (71, 47)):
            column, row, w = homography @ [x, y, 1.0]

            assert window.left_px <= column / w <= window.right_px - 1
            assert window.top_px <= row / w <= window.bottom_px - 1


def test_who_looks_into_the_camera_looks_straight_in_the_virtual_camera(shot):
    scene, identity, views, _ = shot
    head = build_head(identity, Extent.EYES)
    into_camera = true_directions(dataclasses.replace(scene, target_mm=(0.0, 0.0, 0.0)), head, views)
    left, right = into_camera["eyes_deg"]
    vergence_deg = np.degrees(identity.ipd_mm / scene.distance_mm)

    assert np.abs(into_camera["both_deg"]).max() < 1.0  # the views point at the shown middle of the corners
    assert left[0] - right[0] == approx(vergence_deg, rel=0.2)


def test_a_window_of_the_backdrop_equals_that_part_of_it():
    backdrop = Backdrop(seed=5, brightness=0.5, window=2.0, blur_px=2.0)
    whole = draw_backdrop(backdrop, 640, 480)
    window = Window(201, 99, 120, 60)

    assert draw_backdrop(backdrop, 640, 480, window) == approx(whole[window.slices], abs=2e-3)


@pytest.mark.parametrize("number", PEOPLE)
def test_the_region_of_the_eyes_has_the_shape_of_the_whole_head(number):
    identity = sample_identity(number, SEED)
    whole, region = (build_head(identity, extent) for extent in Extent)
    rotations = np.stack([fick_rotation(8.0, -5.0)] * 2)
    lids = []
    for head in (whole, region):
        fine_mm, _ = head.pose(rotations, 0.8, {})
        lids.append(np.concatenate([fine_mm[rings.middle] for rings in head.topology.lids]))

    assert lids[0] == approx(lids[1], abs=0.05)
    assert corners_at_rest(whole) == approx(corners_at_rest(region), abs=0.05)


def test_normals_of_a_subdivided_cube_point_outwards():
    corners = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    surface = subdivide(quads, 8, 2, np.full(6, 2), corners)
    stretched = corners * [1.0, 1.0, 1.5]
    places = surface.refine(stretched)
    expected = places / np.array([1.0, 1.0, 1.5]) ** 2  # of an ellipsoid
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)

    assert (surface.normals(stretched) * expected).sum(axis=1).min() > 0.95
    assert surface.pose(stretched)[:, :3] == approx(places, abs=1e-6)
    assert surface.pose(stretched)[:, 3:] == approx(surface.normals(stretched), abs=1e-5)


def test_quads_are_drawn_with_their_own_number_of_subdivisions():
    corners = np.array([(x, y, z) for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)])
    quads = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    surface = subdivide(quads, 8, 2, np.array([0, 1, 2, -1, -1, -1]), corners)

    assert len(surface.triangles) == 2 * (1 + 4 + 16)


def test_a_shard_has_the_columns_of_the_training_data(renderer):
    rows = render_person(EyePlan(14, 2, SEED, 1), 13, renderer, load_placement_model())

    assert {name: (values.shape, values.dtype.name) for name, values in rows.items()} == {
        "images": ((2, 2, 48, 72), "uint8"),
        "head_deg": ((2, 2), "float32"),
        "eyes_deg": ((2, 2, 2), "float32"),
        "both_deg": ((2, 2), "float32"),
        "openness": ((2,), "float32"),
        "distance_mm": ((2,), "float32"),
        "iris_px": ((2,), "float32"),
        "identity": ((2,), "int32"),
        "session": ((2,), "int32"),
        "frame": ((2,), "int32"),
        "wears_glasses": ((2,), "bool"),
    }
    assert rows["identity"].tolist() == [13, 13]
    assert rows["frame"].tolist() == [0, 1]


def test_a_person_is_rendered_the_same_again(renderer):
    first, second = (render_person(EyePlan(14, 2, SEED, 1), 3, renderer, load_placement_model()) for _ in range(2))

    assert first["images"].tobytes() == second["images"].tobytes()
    assert first["eyes_deg"].tolist() == second["eyes_deg"].tolist()


def test_many_sizes_of_windows_do_not_pile_up(renderer):
    identity = sample_identity(3, SEED)
    scene = sample_scene(sample_session(identity, 3, SEED), identity, 0, NO_TARGET)
    for size in range(1, 40):
        renderer.draw(scene, identity, Window(0, 0, 32 * size, 16), Extent.EYES)

    assert len(renderer._targets) <= 24


@pytest.mark.slow
def test_the_costs_of_the_renderer_are_measured(renderer):
    faces, eyes = measure_costs(renderer, 1, 2, SEED)

    assert min(cost.image.cpu_s for cost in (faces, eyes)) > 0
