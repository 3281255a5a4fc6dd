"""Training of the eye network; skipped without the extra `eyes`."""

import dataclasses
import hashlib

import numpy as np
import pytest
from click.testing import CliRunner
from pytest import approx

from models.card import read_eye_network_card
from tests.fakes.eye_images import make_eye_images, write_shards

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[eyes]")
pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e .[eyes]")

from research.eye_network.augmentation import Augmentation, to_input  # noqa: E402
from research.eye_network.inference import answer  # noqa: E402
from research.eye_network.learning import (  # noqa: E402
    TrainingOptions,
    batch_of,
    correct_spreads,
    predict,
    train_network,
)
from research.eye_network.network import EyeNetworkModule, Widths  # noqa: E402
from research.eye_network.overlays import OverlayOptions  # noqa: E402
from research.eye_network.train import main as train  # noqa: E402

TINY = Widths(channels=(4, 4, 4, 8, 8, 8), embedding=16, one_eye=8, both_eyes=8)
GENTLE = Augmentation(eye_shift_px=(0, 0), shift_px=(0, 0), overlays=OverlayOptions(cover=0, drop=0))


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in one thread have one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def learn(steps, *, seed=1, augmentation=GENTLE, **options):
    people = make_eye_images(people=60, pairs_per_person=10)
    chosen = TrainingOptions(steps, batch=32, widths=TINY, augmentation=augmentation, warm_up_steps=10, **options)
    return train_network(people.of_people(0, 50), people.of_people(50, 60), chosen, seed=seed, report=lambda line: None)


def list_weights(trained):
    return torch.cat([weights.flatten().double() for weights in trained.network.state_dict().values()])


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    return learn(200, average_decay=0.95, learning_rate=5e-3)


def test_it_learns_where_discs_look(trained):
    assert trained.curve[0].step == 200
    assert trained.curve[-1].both_deg < 5
    assert trained.curve[-1].eye_deg < 7


def test_its_spreads_are_as_large_as_its_errors(trained):
    batch = to_input(batch_of(make_eye_images(people=60, seed=9)))

    found = predict(trained.network, batch)

    relative = (found.both[:, :2] - batch.both.numpy()) / np.exp(found.both[:, 2:])
    assert 0.4 < np.sqrt(np.mean(relative**2)) < 1.6


def test_equal_seeds_give_equal_weights_in_one_thread():
    first, second, other = (learn(4, seed=seed, augmentation=Augmentation()) for seed in (1, 1, 2))

    assert torch.equal(list_weights(first), list_weights(second))
    assert not torch.equal(list_weights(first), list_weights(other))


def test_spreads_are_corrected_by_a_factor_that_differs_by_output():
    torch.manual_seed(1)
    network = EyeNetworkModule(TINY).eval()
    batch = batch_of(make_eye_images(people=40))
    before = predict(network, to_input(batch))

    corrections = correct_spreads(network, batch, GENTLE, torch.Generator().manual_seed(1))

    after = predict(network, to_input(batch))
    assert np.array_equal(after.both[:, :2], before.both[:, :2])
    for name, axis in (("right", 2), ("up", 3)):
        correction = corrections[f"both_{name}"]
        assert after.both[:, axis] == approx(before.both[:, axis] * correction.slope + correction.offset, abs=1e-5)
        correction = corrections[f"eye_{name}"]
        assert after.eyes[..., axis] == approx(before.eyes[..., axis] * correction.slope + correction.offset, abs=1e-5)
    truth = batch.both.numpy()
    assert np.sqrt(np.mean(((after.both[:, :2] - truth) / np.exp(after.both[:, 2:])) ** 2)) == approx(1, abs=0.1)


def test_the_learning_rate_rises_and_falls():
    options = TrainingOptions(1000, learning_rate=1.0, warm_up_steps=100)

    assert options.rate(0) == approx(0.01)
    assert options.rate(99) == approx(0.976, abs=0.001)
    assert options.rate(500) == approx(0.5)
    assert options.rate(999) < 1e-5


def test_the_network_is_measured_at_regular_steps_and_at_the_end():
    assert [point.step for point in learn(5, measure_every=2).curve] == [2, 4, 5]


def test_the_command_writes_network_card_and_curve(tmp_path):
    images = dataclasses.replace(make_eye_images(people=24), openness=np.full(192, 0.9))
    folder = write_shards(images, tmp_path / "set", held_out=4)
    out, figures = tmp_path / "eye_network.onnx", tmp_path / "figures"
    arguments = ["--images", folder, "--steps", 2, "--threads", 1, "--out", out, "--figures", figures]

    digests = []
    for _ in range(2):
        CliRunner().invoke(train, [str(argument) for argument in arguments], catch_exceptions=False)
        digests.append(hashlib.sha256(out.read_bytes()).hexdigest())

    card = read_eye_network_card(out.with_suffix(".json"))
    assert digests == [card.sha256] * 2
    assert (card.file, card.size_bytes) == ("eye_network.onnx", out.stat().st_size)
    assert card.data["training"] == {"people": 18, "pairs": 144}
    assert card.data["selection"] == {"people": 2, "pairs": 16}
    assert card.data["test"] == {"people": 4, "pairs": 32}
    assert card.data["sha256"] == images.digest()
    assert card.data["plan"] == {"people": 24, "first_held_out": 20}
    assert card.training["seed"] == 1
    assert card.training["augmentation"]["pitch_deg"] == 4.0
    assert card.training["widths"]["channels"] == [8, 16, 24, 32, 32, 32]
    assert card.versions["torch"] == torch.__version__
    assert (figures / "eye_network_training.csv").read_text().startswith("step,loss,both_deg,eye_deg\n2,")
    assert (figures / "eye_network_training.svg").is_file()
    assert answer(out, images).both_deg.shape == (192, 2)
