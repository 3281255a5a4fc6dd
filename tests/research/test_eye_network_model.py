"""The eye network in PyTorch, its loss and its export; skipped without the extra `eyes`."""

import cv2
import numpy as np
import pytest
from pytest import approx

from func.adapters import eye_network_opencv as adapter

torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install -e .[eyes]")
pytest.importorskip("onnx", reason="ONNX is not installed: pip install -e .[eyes]")

from research.eye_network.export import export_onnx  # noqa: E402
from research.eye_network.loss import answer_loss, laplace_loss, total_loss  # noqa: E402
from research.eye_network.network import EyeNetworkModule, Widths, count_parameters, normalise  # noqa: E402

TRUE_TO_MIRRORED = torch.tensor([-1.0, 1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def network():
    """Return a network with weights and running means as large as trained ones."""
    torch.manual_seed(2)
    made = EyeNetworkModule(Widths())
    for layer in made.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.running_mean, std=0.5)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2.0)
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.3)
    for layer in (made.one_answer, made.both_answer):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return made.eval()


@pytest.fixture(scope="module")
def inputs():
    generator = torch.Generator().manual_seed(3)
    return torch.randn(5, 2, 48, 72, generator=generator), torch.randn(5, 2, generator=generator) / 3


def run(network, images, head):
    with torch.inference_mode():
        return network(images, head)


def test_mirroring_a_person_mirrors_the_answer_of_both_eyes(network, inputs):
    images, head = inputs

    both, mirrored = run(network, images, head)[1], run(network, images.flip(1), head * torch.tensor([1.0, -1.0]))[1]

    assert both[:, 0].abs().min() > 1e-3
    assert mirrored.numpy() == approx((both * TRUE_TO_MIRRORED).numpy(), abs=1e-5)


def test_mirroring_a_person_exchanges_the_answers_of_the_eyes(network, inputs):
    images, head = inputs

    eyes, mirrored = run(network, images, head)[0], run(network, images.flip(1), head * torch.tensor([1.0, -1.0]))[0]

    assert mirrored.numpy() == approx(eyes.flip(1).numpy(), abs=1e-5)


@pytest.mark.parametrize("side", [0, 1])
def test_an_eye_answers_without_the_other(network, inputs, side):
    images, head = inputs
    changed = images.clone()
    changed[:, 1 - side] += 1

    eyes, both = run(network, images, head)
    other_eyes, other_both = run(network, changed, head)

    assert torch.equal(eyes[:, side], other_eyes[:, side])
    assert not torch.allclose(both, other_both)


def test_it_has_at_most_240000_parameters(network):
    assert count_parameters(network) == 153_152


def test_images_are_normalised_as_in_the_function():
    images = np.random.default_rng(0).integers(0, 255, (1, 2, 48, 72), dtype=np.uint8)
    images[0, 1] //= 20

    assert normalise(torch.from_numpy(images).float())[0].numpy() == approx(adapter.normalise(images[0]), abs=1e-5)


def test_opencv_gives_the_same_answers(network, inputs):
    content = np.frombuffer(export_onnx(network), np.uint8)
    opencv = cv2.dnn.readNetFromONNX(content)
    eyes, both = run(network, *inputs)

    for row, (images, head) in enumerate(zip(*inputs, strict=True)):
        opencv.setInput(images[None].numpy(), "images")
        opencv.setInput(head[None].numpy(), "head")
        found_eyes, found_both = opencv.forward(("eyes", "both"))
        assert found_eyes == approx(eyes[row : row + 1].numpy(), abs=1e-4)
        assert found_both == approx(both[row : row + 1].numpy(), abs=1e-4)


def test_the_answers_compared_are_larger_than_the_tolerance(network, inputs):
    eyes, both = run(network, *inputs)

    assert min(eyes.abs().mean(), both.abs().mean()) > 0.05


def test_the_file_has_at_most_one_megabyte(network):
    assert len(export_onnx(network)) <= 1_000_000


def test_equal_weights_give_equal_bytes(network):
    copied = EyeNetworkModule(Widths())
    copied.load_state_dict(network.state_dict())

    assert export_onnx(copied.eval()) == export_onnx(network)


def test_the_loss_of_a_right_answer_is_the_logarithm_of_its_spread():
    assert float(laplace_loss(torch.zeros(1, 2), torch.full((1, 2), -1.5), torch.zeros(1, 2))) == -1.5


def test_the_loss_is_smallest_when_the_spread_is_that_of_a_laplace_distribution():
    errors = torch.from_numpy(np.random.default_rng(0).laplace(0, 0.2 / np.sqrt(2), (20_000, 2))).float()
    losses = {
        spread: float(laplace_loss(errors, torch.full_like(errors, np.log(spread)), torch.zeros_like(errors)))
        for spread in (0.16, 0.2, 0.25)
    }

    assert min(losses, key=losses.get) == 0.2


def test_spreads_beyond_the_limits_do_not_lower_the_loss_further():
    right = torch.zeros(1, 2)

    assert float(laplace_loss(right, torch.full((1, 2), -9.0), right)) == -4.5


def test_at_the_start_the_directions_do_not_depend_on_the_spreads():
    answers = torch.tensor([[0.3, 0.0, -3.0, 0.0], [0.3, 0.0, 0.0, 0.0]], requires_grad=True)

    answer_loss(answers, torch.zeros(2, 2), robust=True).backward()

    assert answers.grad[0, 0] == answers.grad[1, 0] > 0
    assert answers.grad[0, 2] < 0 < answers.grad[1, 2]


def test_single_eyes_count_half_as_much_as_both():
    answers = torch.tensor([0.5, 0.0, 0.0, 0.0])
    zero, true_both, true_eyes = torch.zeros(1, 4), torch.zeros(1, 2), torch.zeros(1, 2, 2)
    of_both = total_loss(zero.repeat(2, 1)[None], answers[None], true_eyes, true_both, robust=False)
    of_eyes = total_loss(answers.repeat(2, 1)[None], zero, true_eyes, true_both, robust=False)

    assert float(of_eyes) == approx(float(of_both) / 2)
