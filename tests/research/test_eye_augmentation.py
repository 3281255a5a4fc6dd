"""Augmentation of eye images; skipped without the extra `eyes`."""

import dataclasses
import math

import numpy as np
import pytest
from pytest import approx

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[eyes]")

from research.eye_network.augmentation import Augmentation, augment, make_batch, to_input, turn, warp  # noqa: E402
from research.eye_network.learning import batch_of  # noqa: E402
from research.eye_network.overlays import OverlayOptions, draw_overlays  # noqa: E402
from research.eye_network.recamera import CameraOptions, compress, make_sampling, photograph_again  # noqa: E402
from tests.fakes.eye_images import make_eye_images  # noqa: E402

NO_OVERLAYS = OverlayOptions(ramp=0, lid_shadow=0, patch=0, glint=0, cover=0, drop=0)
NO_CAMERA = CameraOptions(share=0)
NOTHING = Augmentation(
    shift_px=(0, 0),
    eye_shift_px=(0, 0),
    scale=0,
    eye_scale=0,
    stretch=0,
    roll_deg=0,
    eye_roll_deg=0,
    pitch_deg=0,
    yaw_deg=0,
    gain=0,
    gamma=0,
    overlays=NO_OVERLAYS,
    camera=NO_CAMERA,
)


def seeded(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pairs():
    return batch_of(make_eye_images(people=20, pairs_per_person=20))


def same(count=400):
    """Return many copies of one pair that looks 10 degrees to the right and 5 up."""
    one = batch_of(make_eye_images(people=1, pairs_per_person=1))
    return one.at(torch.zeros(count, dtype=torch.int64))


def grey(count=200, level=100.0):
    return torch.full((count, 2, 48, 72), level)


def find_dots(images):
    """Return the centres of bright dots from the middle of the images, (x, y) px, shape (n, 2, 2)."""
    y, x = torch.meshgrid(torch.arange(48) + 0.5 - 24, torch.arange(72) + 0.5 - 36, indexing="ij")
    weight = images / images.sum(dim=(2, 3), keepdim=True)
    return torch.stack([(weight * x).sum(dim=(2, 3)), (weight * y).sum(dim=(2, 3))], dim=-1)


def draw_dot(x_px, y_px, count=1):
    y, x = torch.meshgrid(torch.arange(48) + 0.5 - 24, torch.arange(72) + 0.5 - 36, indexing="ij")
    return torch.exp(-((x - x_px) ** 2 + (y - y_px) ** 2) / 8).expand(count, 2, 48, 72)


def test_no_augmentation_leaves_the_pairs_as_they_are(pairs):
    unchanged, expected = augment(pairs, NOTHING, seeded()), to_input(pairs)

    assert unchanged.images.numpy() == approx(expected.images.numpy(), abs=2e-3)
    for name in ("head", "eyes", "both"):
        assert getattr(unchanged, name).numpy() == approx(getattr(expected, name).numpy(), abs=1e-6)


def test_equal_seeds_give_equal_batches(pairs):
    first, second = (augment(pairs, Augmentation(), seeded(5)) for _ in range(2))

    assert torch.equal(first.images, second.images)


def test_directions_of_the_left_eye_are_mirrored_and_in_the_networks_units():
    eyes_deg = torch.tensor([[[10.0, 4.0], [20.0, 4.0]]])

    batch = make_batch(torch.zeros(1, 2, 48, 72), torch.tensor([[6.0, -15.0]]), eyes_deg, torch.tensor([[15.0, 4.0]]))

    assert batch.eyes[0].tolist() == [[-0.5, approx(0.2)], [1.0, approx(0.2)]]
    assert batch.both[0].tolist() == [0.75, approx(0.2)]
    assert batch.head[0].tolist() == [approx(0.2), -0.5]


@pytest.mark.parametrize(("x_px", "y_px"), [(3.0, 0.0), (0.0, -2.0)])
def test_a_displaced_eye_lies_there(x_px, y_px):
    one = torch.ones(1, 2)

    moved = warp(draw_dot(0, 0), x_px=x_px * one, y_px=y_px * one, angle=0 * one, width=one, height=one)

    assert find_dots(moved)[0, 0].tolist() == [approx(x_px, abs=0.05), approx(y_px, abs=0.05)]


def test_scaling_moves_things_away_from_the_middle_along_each_axis():
    one = torch.ones(1, 2)

    moved = warp(draw_dot(10, 6), x_px=0 * one, y_px=0 * one, angle=0 * one, width=1.2 * one, height=1.5 * one)

    assert find_dots(moved)[0, 0].tolist() == [approx(12, abs=0.1), approx(9, abs=0.1)]


def test_a_direction_turns_as_the_iris_does():
    """An iris at (x, y) looks towards (-x, -y) as (right, up)."""
    angle = torch.full((1, 2), math.radians(20))
    one = torch.ones(1, 2)

    moved = find_dots(warp(draw_dot(-10, -4), x_px=0 * one, y_px=0 * one, angle=angle, width=one, height=one))

    assert turn(torch.tensor([10.0, 4.0]), angle[0, 0]).tolist() == approx((-moved[0, 0]).tolist(), abs=0.1)


def test_common_roll_turns_the_truth_of_both_eyes_alike_in_the_true_frame():
    batch = same()

    rolled = augment(batch, dataclasses.replace(NOTHING, roll_deg=4.0), seeded())

    mirror = torch.tensor([[-1.0, 1.0], [1.0, 1.0]])
    true_eyes = rolled.eyes * mirror
    assert true_eyes[:, 0].numpy() == approx(true_eyes[:, 1].numpy(), abs=1e-6)
    assert rolled.both.numpy() == approx(true_eyes[:, 0].numpy(), abs=1e-6)
    turned = torch.atan2(rolled.both[:, 1], rolled.both[:, 0]) - torch.atan2(batch.both[:, 1], batch.both[:, 0])
    assert math.degrees(float(turned.std())) == approx(4, rel=0.1)


def test_common_roll_turns_the_images_opposite_ways_since_one_is_mirrored():
    dots = dataclasses.replace(same(), images=draw_dot(12, 0, 400) * 200)

    moved = find_dots(augment(dots, dataclasses.replace(NOTHING, roll_deg=4.0), seeded()).images.exp())

    assert np.corrcoef(moved[:, 0, 1], moved[:, 1, 1])[0, 1] < -0.99


def test_the_roll_of_one_eye_does_not_turn_the_truth():
    batch = same()

    rolled = augment(batch, dataclasses.replace(NOTHING, eye_roll_deg=5.0), seeded())

    assert torch.equal(rolled.both, batch.both)
    assert not torch.allclose(rolled.images, to_input(batch).images, atol=0.1)


def test_a_common_shift_moves_mirrored_images_opposite_ways_and_equally_down():
    dots = dataclasses.replace(same(), images=draw_dot(0, 0, 400) * 200)

    moved = find_dots(augment(dots, dataclasses.replace(NOTHING, shift_px=(2.0, 2.0)), seeded()).images.exp())

    assert np.corrcoef(moved[:, 0, 0], moved[:, 1, 0])[0, 1] < -0.99
    assert np.corrcoef(moved[:, 0, 1], moved[:, 1, 1])[0, 1] > 0.99


def test_head_angles_are_off_by_4_and_2_degrees():
    batch = same(4000)

    errors_deg = (augment(batch, Augmentation(), seeded()).head - batch.head) * 30

    assert errors_deg.std(dim=0).tolist() == [approx(4, rel=0.05), approx(2, rel=0.05)]


@pytest.mark.parametrize("option", ["ramp", "lid_shadow"])
def test_shading_changes_each_eye_differently(option):
    shaded = draw_overlays(grey(), dataclasses.replace(NO_OVERLAYS, **{option: 0.2}), seeded())

    assert (shaded - 100).abs().mean() > 3
    assert not torch.allclose(shaded[:, 0], shaded[:, 1], atol=1)


def test_the_lid_shadow_lies_above_the_lid_edge_only():
    shaded = draw_overlays(grey(), dataclasses.replace(NO_OVERLAYS, lid_shadow=0.3), seeded())

    assert shaded[:, :, 36:].numpy() == approx(100, abs=0.2)
    assert float(shaded[:, :, 0].std()) == approx(30, rel=0.2)


def test_reflections_lie_around_the_middle():
    lit = draw_overlays(grey(), dataclasses.replace(NO_OVERLAYS, glint=1.0, glint_spread_px=(3.0, 3.0)), seeded())

    brightest = (lit - 100).amax(dim=(2, 3))
    assert float(brightest.min()) > 10
    assert float((lit - 100)[:, :, :, 52:].abs().max()) < 1


def test_one_lamp_reflects_at_the_same_side_of_both_eyes():
    options = dataclasses.replace(NO_OVERLAYS, glint=1.0, patch=1.0, shared=1.0)

    lit = draw_overlays(grey(), options, seeded())

    assert lit[:, 0].numpy() == approx(lit[:, 1].flip(2).numpy(), abs=0.1)


def test_without_a_common_lamp_reflections_differ():
    lit = draw_overlays(grey(), dataclasses.replace(NO_OVERLAYS, glint=1.0, shared=0.0), seeded())

    assert not torch.allclose(lit[:, 0], lit[:, 1].flip(2), atol=5)


def test_a_dropped_eye_is_flat_and_the_other_one_is_left(pairs):
    images = pairs.images.float()

    covered = draw_overlays(images.clone(), dataclasses.replace(NO_OVERLAYS, drop=1.0), seeded())

    flat = covered.flatten(2).std(dim=2) < 0.1
    assert (flat.sum(dim=1) == 1).all()
    assert torch.equal(covered[~flat], images[~flat])
    assert 0.4 < float(flat[:, 0].float().mean()) < 0.6


def test_the_share_of_covered_eyes_is_as_set():
    covered = draw_overlays(grey(2000), dataclasses.replace(NO_OVERLAYS, cover=0.25, cover_px=(6.0, 9.0)), seeded())

    assert float(((covered - 100).abs().amax(dim=(2, 3)) > 1).float().mean()) == approx(0.25, abs=0.02)


def test_sampling_keeps_flat_images_flat():
    size, blur = torch.tensor([1.0, 2.3, 3.6]), torch.tensor([0.0, 1.0, 2.0])

    down, up = make_sampling(size, blur, 48, seeded())

    assert (up @ down).sum(dim=2).numpy() == approx(1, abs=1e-5)


def test_sampling_at_any_start_leaves_things_where_they_are():
    size = torch.full((50,), 3.0)
    down, up = make_sampling(size, torch.zeros(50), 48, seeded())
    ramp = torch.arange(48.0)

    assert (up @ down @ ramp)[:, 8:40].numpy() == approx(ramp[8:40].expand(50, 32).numpy(), abs=0.05)


def test_pixels_three_times_as_large_do_not_show_lines_of_two_pixels():
    lines = torch.tensor([0.0, 0.0, 200.0, 200.0]).repeat(18).expand(50, 2, 48, 72).contiguous()
    options = CameraOptions(share=1.0, coarseness=(3.0, 3.0), blur_px=0.0, noise_levels=0.0, jpeg=0.0)

    seen = photograph_again(lines, options, seeded())

    assert float(seen[..., 8:64].std()) < 0.4 * float(lines.std())


def test_blur_is_along_each_axis_alone():
    dots = draw_dot(0, 0, 300) * 200
    options = CameraOptions(share=1.0, coarseness=(1.0, 1.0), blur_px=3.0, noise_levels=0.0, jpeg=0.0)

    seen = photograph_again(dots, options, seeded()).reshape(-1, 48, 72)

    width, height = (seen.sum(dim=axis).amax(dim=1) for axis in (1, 2))
    assert abs(np.corrcoef(width, height)[0, 1]) < 0.2
    assert float(width.std()) > 1


def test_noise_is_at_most_as_strong_as_set():
    options = CameraOptions(share=1.0, coarseness=(1.0, 1.0), blur_px=0.0, noise_levels=20.0, jpeg=0.0)

    deviations = photograph_again(grey(), options, seeded()).flatten(2).std(dim=2)

    assert 12 < float(deviations.max()) < 20
    assert float(deviations.median()) < 6


def test_the_share_of_photographed_images_is_as_set():
    options = dataclasses.replace(CameraOptions(), share=0.3, noise_levels=50.0)

    changed = (photograph_again(grey(2000), options, seeded()) - 100).abs().amax(dim=(2, 3)) > 0.01

    assert float(changed.float().mean()) == approx(0.3, abs=0.02)


def test_compression_at_the_best_quality_changes_less_than_a_grey_level(pairs):
    images = pairs.images.float().reshape(-1, 48, 72)[:50]

    best, poor = (compress(images, torch.full((50,), quality)) for quality in (99.0, 30.0))

    assert float((best - images).abs().mean()) < 1
    assert float((poor - images).abs().mean()) > 2


def test_compression_keeps_the_mean_of_a_block_to_half_a_step():
    images = torch.full((1, 48, 72), 101.0)

    # At quality 50 the step of the mean is 16 / 8 grey levels.
    assert compress(images, torch.tensor([50.0])).numpy() == approx(102, abs=1.01)


def test_every_option_of_the_augmentation_is_described():
    described = Augmentation().describe()

    assert described["overlays"]["glints"] == 3
    assert described["camera"]["coarseness"] == (1.0, 3.6)
    assert described.keys() == {field.name for field in dataclasses.fields(Augmentation)}
