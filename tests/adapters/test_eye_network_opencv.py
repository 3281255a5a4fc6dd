"""Eye images cut out of frames whose content is known, and the packaged network."""

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from pytest import approx

from func.adapters.eye_network_opencv import OpencvEyeNetwork, cut_eye_images, normalise, read_gazes
from gaze_core.errors import EyeNetworkError
from gaze_core.eye_images import EyeViews, eye_views
from gaze_core.features import measure_face
from tests.fakes.synthetic_face import make_face, mirror

NETWORK = Path(__file__).resolve().parents[2] / "models" / "eye_network.onnx"
RANDOM = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)


def views_of(*homographies, scales=(1.0, 1.0), head_deg=(0.0, 0.0)):
    return EyeViews(np.eye(3), np.array(homographies, dtype=float), np.array(scales), np.array(head_deg))


def shift(x_px, y_px, scale=1.0):
    """Return the homography that moves a point of the image to the origin of the eye image."""
    return [[scale, 0.0, -scale * x_px], [0.0, scale, -scale * y_px], [0.0, 0.0, 1.0]]


def flip(x_px, y_px):
    return [[-1.0, 0.0, 71.0 + x_px], [0.0, 1.0, -y_px], [0.0, 0.0, 1.0]]


def look_at(face):
    width_px, height_px = face.image_width_px, face.image_height_px
    return eye_views(measure_face(face), width_px, height_px, 63.0)


def test_an_eye_image_of_scale_1_is_the_grey_value_of_its_part_of_the_frame():
    images = cut_eye_images(RANDOM, views_of(shift(300, 200), shift(100, 50)))

    grey = cv2.cvtColor(RANDOM, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(images[0], grey[200:248, 300:372])
    assert np.array_equal(images[1], grey[50:98, 100:172])


def test_a_mirrored_view_is_mirrored():
    images = cut_eye_images(RANDOM, views_of(flip(300, 200), shift(300, 200)))

    assert np.array_equal(images[0], images[1][:, ::-1])


def test_beyond_the_edge_of_the_frame_its_last_pixels_are_repeated():
    (image, _) = cut_eye_images(RANDOM, views_of(shift(-10, 200), shift(100, 50)))

    grey = cv2.cvtColor(RANDOM, cv2.COLOR_RGB2GRAY)
    assert np.array_equal(image[:, :10], np.repeat(grey[200:248, :1], 10, axis=1))
    assert np.array_equal(image[:, 10:], grey[200:248, :62])


@pytest.mark.parametrize("place", [(-500.0, 100.0), (900.0, 100.0), (100.0, -500.0), (100.0, 900.0)])
def test_an_eye_outside_the_frame_is_no_error(place):
    assert cut_eye_images(RANDOM, views_of(shift(*place), shift(100, 50))).shape == (2, 48, 72)


@pytest.mark.parametrize(
    "face",
    [
        make_face(place_mm=(0.0, 0.0, 600.0)),
        make_face(place_mm=(60.0, -40.0, 300.0), roll_deg=25, yaw_deg=-15),
        make_face(place_mm=(100.0, 60.0, 330.0), width_px=1280, height_px=720, pitch_deg=10),
    ],
)
def test_cutting_from_a_part_of_the_frame_gives_the_same_as_cutting_from_all_of_it(face):
    views = look_at(face)
    shape = (face.image_height_px, face.image_width_px, 3)
    frame = np.random.default_rng(1).integers(0, 255, shape, dtype=np.uint8)
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)

    images = cut_eye_images(frame, views)

    for side in (0, 1):
        source = grey
        if views.scales[side] < 0.7:
            source = cv2.GaussianBlur(grey, (0, 0), 0.45 / views.scales[side])
        whole = cv2.warpPerspective(
            source, views.homographies[side], (72, 48), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        # Interpolation works in steps of 1/32 px, so that the place of the part may change a value slightly.
        assert np.abs(images[side].astype(int) - whole).mean() < 0.5


def make_stripes(period_px):
    bright = np.arange(640) % period_px < period_px / 2
    return np.repeat(np.tile(np.where(bright, 255, 0).astype(np.uint8), (480, 1))[..., None], 3, axis=2)


def test_an_eye_that_is_large_in_the_frame_is_blurred_before_sampling():
    # Stripes of two px of the frame are less than a px of the eye image: without the blur they alias.
    view = shift(100, 100, scale=0.4)

    image, _ = cut_eye_images(make_stripes(2), views_of(view, view, scales=(0.4, 0.4)))

    assert image[:, 5:-5].std() < 10


@pytest.mark.parametrize(("scale", "is_blurred"), [(0.69, True), (0.7, False)])
def test_an_eye_that_is_small_in_the_frame_stays_as_sharp_as_it_is(scale, is_blurred):
    # Sampled at its own scale, so that only the blur changes anything.
    stripes = make_stripes(4)

    image, _ = cut_eye_images(stripes, views_of(shift(100, 100), shift(100, 100), scales=(scale, scale)))

    assert np.array_equal(image, stripes[100:148, 100:172, 0]) is not is_blurred


def test_the_blur_has_a_standard_deviation_of_0_45_px_of_the_eye_image():
    line = np.zeros((480, 640, 3), np.uint8)
    line[:, 136] = 250

    image, _ = cut_eye_images(line, views_of(shift(100, 100), shift(100, 100), scales=(0.3, 0.3)))

    # The peak of a Gaussian of 1.5 px of the frame is 0.266; a narrower or wider blur has another.
    assert image[24, 36] == approx(250 * 0.266, abs=3)


def test_normalised_images_have_no_mean_and_almost_unit_contrast():
    images = np.zeros((2, 48, 72), np.uint8)
    images[0, :, :36], images[1, :, :36] = 200, 8  # standard deviations of 100 and 4 grey levels

    normalised = normalise(images)

    assert normalised.mean(axis=(1, 2)) == approx([0.0, 0.0], abs=1e-5)
    # The floor of 4 grey levels halves the contrast of an almost uniform image.
    assert normalised.std(axis=(1, 2)) == approx([100 / 104, 0.5], rel=1e-4)


def test_the_networks_units_are_20_degrees_and_logarithms():
    eyes = np.array([[0.5, 0.25, np.log(0.1), np.log(0.2)], [0.5, 0.25, np.log(0.1), np.log(0.2)]])
    both = np.array([-0.1, 0.3, np.log(0.05), np.log(0.15)])

    gazes = read_gazes(eyes, both)

    assert gazes.eyes_deg[1] == approx([10.0, 5.0])
    assert gazes.eyes_spread_deg == approx(np.array([[2.0, 4.0], [2.0, 4.0]]))
    assert gazes.both_deg == approx([-2.0, 6.0])
    assert gazes.both_spread_deg == approx([1.0, 3.0])


def test_the_left_eye_is_mirrored_back():
    eyes = np.tile([0.5, 0.25, 0.0, 0.0], (2, 1))

    assert read_gazes(eyes, np.zeros(4)).eyes_deg[0] == approx([-10.0, 5.0])


@pytest.fixture(scope="module")
def network():
    return OpencvEyeNetwork(NETWORK)


def test_a_mirrored_frame_has_the_mirrored_gaze_of_each_eye(network):
    face = make_face(place_mm=(40.0, 20.0, 450.0), yaw_deg=12, pitch_deg=-5)
    smooth = cv2.GaussianBlur(RANDOM, (0, 0), 4.0)

    eyes_deg = network.estimate(smooth, look_at(face)).eyes_deg
    mirrored_deg = network.estimate(np.ascontiguousarray(smooth[:, ::-1]), look_at(mirror(face))).eyes_deg

    assert mirrored_deg[::-1] * [-1.0, 1.0] == approx(eyes_deg, abs=0.3)


def test_images_that_are_already_cut_out_give_the_same_answer(network):
    views = look_at(make_face())

    whole = network.estimate(RANDOM, views)
    cut = network.estimate_images(cut_eye_images(RANDOM, views), views.head_deg)

    assert np.array_equal(whole.eyes_deg, cut.eyes_deg)
    assert np.array_equal(whole.both_spread_deg, cut.both_spread_deg)


def test_the_heads_angles_change_the_answer(network):
    views = look_at(make_face())

    straight, turned = (network.estimate(RANDOM, replace(views, head_deg=np.array([0.0, yaw]))) for yaw in (0.0, 20.0))

    assert not np.array_equal(straight.both_deg, turned.both_deg)


class GivenOutputs:
    """Stands for a network of OpenCV: it gives the outputs of a test and remembers its inputs."""

    def __init__(self, *outputs):
        self.outputs = outputs
        self.inputs = {}

    def setInput(self, blob, name):
        self.inputs[name] = blob

    def forward(self, _names):
        return self.outputs


def run_with(given):
    network = OpencvEyeNetwork(NETWORK)
    network._idle.append(given)
    return network.estimate(RANDOM, views_of(shift(300, 200), shift(100, 50), head_deg=(-15.0, 6.0)))


def test_its_inputs_are_normalised_images_and_the_heads_angles_in_units_of_30_degrees():
    given = GivenOutputs(np.zeros((1, 2, 4), np.float32), np.zeros((1, 4), np.float32))

    run_with(given)

    grey = cv2.cvtColor(RANDOM, cv2.COLOR_RGB2GRAY)
    images = np.stack([grey[200:248, 300:372], grey[50:98, 100:172]])
    assert np.array_equal(given.inputs["images"], normalise(images)[None])
    assert given.inputs["head"] == approx(np.array([[-0.5, 0.2]]))
    assert (given.inputs["images"].dtype, given.inputs["head"].dtype) == (np.float32, np.float32)


@pytest.mark.parametrize(
    "outputs",
    [
        (np.zeros((1, 4), np.float32), np.zeros((1, 2, 4), np.float32)),
        (np.zeros((1, 2, 3), np.float32), np.zeros((1, 4), np.float32)),
        (np.zeros((1, 2, 4), np.float32),),
    ],
)
def test_outputs_of_another_shape_or_number_are_a_failure(outputs):
    with pytest.raises(EyeNetworkError):
        run_with(GivenOutputs(*outputs))


def test_it_knows_the_digest_of_its_file(network):
    assert network.digest == hashlib.sha256(NETWORK.read_bytes()).hexdigest()


def test_warming_up_makes_a_network_for_each_concurrent_frame():
    network = OpencvEyeNetwork(NETWORK)

    network.warm_up(3)

    assert len(network._idle) == 3


def test_an_answer_that_is_not_finite_is_a_failure_of_this_frame_only(network):
    views = look_at(make_face())

    with pytest.raises(EyeNetworkError, match="not finite"):
        network.estimate(RANDOM, replace(views, head_deg=np.array([np.nan, 0.0])))

    assert np.isfinite(network.estimate(RANDOM, views).both_deg).all()


@pytest.mark.parametrize("homographies", [np.full((2, 3, 3), np.nan), np.zeros((2, 3, 3))])
def test_views_that_cannot_be_cut_out_are_a_failure(network, homographies):
    views = look_at(make_face())

    with pytest.raises(EyeNetworkError, match="cut out"):
        network.estimate(RANDOM, replace(views, homographies=homographies))


def test_a_network_that_was_used_before_a_fork_works_in_the_child(network):
    views = look_at(make_face())
    parents = network.estimate(RANDOM, views).both_deg
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, network.estimate(RANDOM, views).both_deg.tobytes())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        childs = np.frombuffer(pipe.read())
    os.waitpid(child, 0)

    assert np.array_equal(childs, parents)


def test_the_error_for_a_missing_file_contains_only_its_name(tmp_path):
    with pytest.raises(EyeNetworkError) as missing:
        OpencvEyeNetwork(tmp_path / "eye_network.onnx")

    assert str(missing.value) == "eye_network.onnx cannot be read: No such file or directory"


def save(folder, content):
    path = folder / "eye_network.onnx"
    path.write_bytes(content)
    path.with_suffix(".json").write_text(json.dumps({"sha256": hashlib.sha256(content).hexdigest()}))
    return path


def test_a_file_with_one_changed_byte_is_refused(tmp_path):
    content = bytearray(NETWORK.read_bytes())
    content[1000] ^= 1
    (tmp_path / NETWORK.name).write_bytes(content)
    shutil.copy(NETWORK.with_suffix(".json"), tmp_path)

    with pytest.raises(EyeNetworkError, match=r"does not match eye_network\.json"):
        OpencvEyeNetwork(tmp_path / NETWORK.name)


def test_a_pinned_digest_is_required_even_if_the_card_matches():
    with pytest.raises(EyeNetworkError, match=r"^eye_network\.onnx does not have the SHA-256"):
        OpencvEyeNetwork(NETWORK, sha256="0" * 64)


@pytest.mark.parametrize("content", [b"", b"no network", NETWORK.read_bytes()[:5000]])
def test_a_file_that_is_not_a_network_is_refused(tmp_path, content):
    with pytest.raises(EyeNetworkError):
        OpencvEyeNetwork(save(tmp_path, content))
