"""What every eye network does: the fake one of other tests, and OpenCV's."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from func.adapters.eye_network_opencv import OpencvEyeNetwork
from gaze_core.eye_images import eye_views
from gaze_core.features import measure_face
from tests.fakes.eye_network import FakeEyeNetwork
from tests.fakes.synthetic_face import make_face

NETWORK = Path(__file__).resolve().parents[2] / "models" / "eye_network.onnx"
FRAME = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
VIEWS = eye_views(measure_face(make_face()), 640, 480, 63.0)


@pytest.fixture(scope="module", params=["fake", "opencv"])
def network(request):
    return FakeEyeNetwork() if request.param == "fake" else OpencvEyeNetwork(NETWORK)


def list_numbers(gazes):
    parts = (gazes.eyes_deg, gazes.eyes_spread_deg, gazes.both_deg, gazes.both_spread_deg)
    return np.concatenate([part.ravel() for part in parts])


def test_its_answer_is_finite(network):
    assert np.isfinite(list_numbers(network.estimate(FRAME, VIEWS))).all()


def test_its_spreads_are_positive(network):
    gazes = network.estimate(FRAME, VIEWS)

    assert (gazes.eyes_spread_deg > 0).all()
    assert (gazes.both_spread_deg > 0).all()


def test_the_same_frame_gets_the_same_answer(network):
    first = list_numbers(network.estimate(FRAME, VIEWS))
    network.estimate(np.zeros_like(FRAME), VIEWS)

    assert np.array_equal(list_numbers(network.estimate(FRAME, VIEWS)), first)


def test_it_does_not_change_the_frame(network):
    frame = FRAME.copy()

    network.estimate(frame, VIEWS)

    assert np.array_equal(frame, FRAME)


def test_threads_get_the_answers_to_their_own_frames(network):
    frames = [np.roll(FRAME, 7 * number, axis=1) for number in range(8)]
    alone = [list_numbers(network.estimate(frame, VIEWS)) for frame in frames]

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(lambda frame: list_numbers(network.estimate(frame, VIEWS)), frames * 5))

    assert all(np.array_equal(a, b) for a, b in zip(together, alone * 5, strict=True))


def test_its_digest_is_a_sha256(network):
    assert len(bytes.fromhex(network.digest)) == 32


@pytest.mark.parametrize(
    "frame", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 3)), np.zeros((0, 640, 3), np.uint8)]
)
def test_an_array_that_is_not_an_image_is_misuse(network, frame):
    with pytest.raises(ValueError, match="frame must be RGB uint8"):
        network.estimate(frame, VIEWS)
