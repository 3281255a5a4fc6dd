"""From an image to a gaze sample, with landmarks that are known."""

from dataclasses import replace

import numpy as np
import pytest
from pytest import approx

from gaze_core.calibration import Calibration, Fitted
from gaze_core.correction import Correction
from gaze_core.detector import GazeDetector
from gaze_core.errors import EyeNetworkError
from gaze_core.fusion import blendshape_gaze, fuse_eyes
from gaze_core.gaze import rotate_directions
from gaze_core.landmarks import IRIS, LEFT, RIGHT, Landmarks
from gaze_core.one_eye import direction_from_midpoint
from gaze_core.types import Camera, Validity
from tests.fakes.eye_network import FakeEyeNetwork, make_gazes
from tests.fakes.painted_eyes import paint_eyes
from tests.fakes.synthetic_face import make_face, mirror

NOISE = np.repeat(np.random.default_rng(0).integers(90, 160, (480, 640, 1), dtype=np.uint8), 3, axis=2)
DOWN_AND_TO_THE_RIGHT = (-100.0, 80.0, 0.0)
"""What the eyes look at, in the camera frame: 100 mm to the viewer's right and 80 mm below the camera."""


class Faces:
    """A landmarker that finds given faces and remembers the first image."""

    def __init__(self, *faces):
        self.faces = faces
        self.seen = None

    def detect(self, frame):
        if self.seen is None:
            self.seen = frame
        return list(self.faces)


class Straight:
    """A model without learning: the combined gaze vector's own angles."""

    digest = "straight"
    estimates = ("landmarks",)

    def predict(self, features):
        x, y, z = features[:, 0], features[:, 1], features[:, 2]
        return np.degrees(np.column_stack([np.arctan2(-x, -z), np.arctan2(-y, np.hypot(x, z))]))


class Fused(Straight):
    """The same model, as if trained with all estimates."""

    estimates = ("landmarks", "network", "blendshapes")


def photograph(*faces):
    """Return an image that shows the eyes of these faces."""
    image = NOISE
    for face in faces:
        image = paint_eyes(image, face)
    return image


IMAGE = photograph(make_face())


def detect(*faces, camera=None, image=None):
    """Detect with the geometry of the irises alone: faces made of points have lids that do not follow the eyes."""
    image = photograph(*faces) if image is None else image
    return GazeDetector(Faces(*faces), Straight(), camera=camera, eye_region=None).process_single_frame(image)


def test_the_gaze_point_is_where_the_eyes_look():
    sample = detect(make_face(target_mm=DOWN_AND_TO_THE_RIGHT))

    assert sample.validity is Validity.OK
    # 100 mm right of the middle of 345 mm; 80 mm below a camera that is 8 mm above the edge of 194 mm.
    assert (sample.gaze.x, sample.gaze.y) == approx((0.790, 0.371), abs=0.01)


def test_a_mirrored_camera_is_turned_back_before_anything_else():
    faces = Faces()
    image = np.arange(480 * 640 * 3, dtype=np.uint32).astype(np.uint8).reshape(480, 640, 3)

    GazeDetector(faces, Straight(), camera=Camera(mirrored=True)).process_single_frame(image)

    assert np.array_equal(faces.seen, image[:, ::-1])


def test_no_face_is_ordinary():
    sample = detect()

    assert (sample.validity, sample.gaze, sample.features) == (Validity.NO_FACE, None, None)


def test_shut_eyes_have_no_gaze_but_a_head():
    sample = detect(make_face(lid_opening_mm=1.0, yaw_deg=10))

    assert (sample.validity, sample.gaze) == (Validity.EYES_CLOSED, None)
    assert sample.head_pose.yaw_deg == approx(10, abs=0.01)


def test_a_dark_image_is_of_low_quality_with_a_reason():
    sample = detect(make_face(), image=np.zeros((480, 640, 3), np.uint8))

    assert (sample.validity, sample.gaze, sample.quality_issues) == (Validity.LOW_QUALITY, None, ("no_contrast",))


@pytest.mark.parametrize("order", [1, -1])
def test_the_largest_of_several_faces_counts(order):
    near = make_face(place_mm=(0, 0, 500), yaw_deg=15)
    far = make_face(place_mm=(150, 0, 900), yaw_deg=-15)

    sample = detect(*[near, far][::order])

    assert sample.several_faces
    assert sample.head_pose.yaw_deg == approx(15, abs=0.5)


def test_one_face_is_not_several():
    assert not detect(make_face()).several_faces


def test_eyes_turned_away_from_the_screen_have_no_point_of_gaze():
    class Behind(Straight):
        def predict(self, features):
            return np.array([[150.0, 0.0]])

    sample = GazeDetector(Faces(make_face()), Behind()).process_single_frame(IMAGE)

    assert (sample.validity, sample.gaze) == (Validity.LOW_QUALITY, None)
    assert sample.quality_issues == ("gaze_away_from_screen",)


def test_landmarks_that_span_no_face_are_of_low_quality():
    sample = detect(Landmarks(np.full((478, 3), 0.5), 640, 480))

    assert (sample.validity, sample.quality_issues) == (Validity.LOW_QUALITY, ("no_geometry",))


def test_a_frame_does_not_affect_the_next():
    detector = GazeDetector(Faces(make_face(target_mm=DOWN_AND_TO_THE_RIGHT)), Straight())

    first = detector.process_single_frame(IMAGE)
    detector.process_single_frame(np.zeros((480, 640, 3), np.uint8))

    assert detector.process_single_frame(IMAGE) == first


@pytest.mark.parametrize(
    "image", [np.zeros((480, 640), np.uint8), np.zeros((480, 640, 3)), np.zeros((0, 640, 3), np.uint8)]
)
def test_an_array_that_is_not_an_image_is_misuse(image):
    with pytest.raises(ValueError, match="frame must be RGB uint8"):
        detect(make_face(), image=image)


def test_mirrored_landmarks_have_the_mirrored_point_of_gaze():
    face = make_face(target_mm=DOWN_AND_TO_THE_RIGHT)

    sample, mirrored = detect(face), detect(mirror(face))

    assert mirrored.gaze.x == approx(1 - sample.gaze.x, abs=1e-3)
    assert mirrored.gaze.y == approx(sample.gaze.y, abs=1e-3)


def test_a_calibration_corrects_where_a_viewer_looks_but_not_the_sample():
    face = make_face(target_mm=DOWN_AND_TO_THE_RIGHT)
    calibration = Calibration(Fitted.OFFSET, Correction((-5.0, 0.0)), None, None)
    plain, calibrated = (GazeDetector(Faces(face), Straight(), calibration=each) for each in (None, calibration))

    sample = calibrated.process_single_frame(IMAGE)
    measured = ([sample.features], [sample.origin_mm], [np.mean(sample.eye_openness)])
    (generic,), (corrected,) = plain.locate(*measured), calibrated.locate(*measured)

    assert sample.gaze == plain.process_single_frame(IMAGE).gaze
    assert (generic.x, generic.y) == approx((sample.gaze.x, sample.gaze.y), abs=1e-9)
    # 5 degrees at about 570 mm are 50 to 52 mm of a screen 345 mm wide.
    assert generic.x - corrected.x == approx(0.148, abs=0.008)


def test_nothing_to_locate_is_nowhere():
    assert GazeDetector(Faces(), Straight()).locate([], [], []) == []


def read_eyes(face, network, *, model=None, image=None, camera=None):
    image = photograph(face) if image is None else image
    detector = GazeDetector(Faces(face), model or Fused(), eye_region=None, eye_network=network, camera=camera)
    return detector.process_single_frame(image)


def direction_in_head(sample):
    return rotate_directions(sample.direction, sample.head_pose.head_rotation.T)


def test_the_gaze_fuses_all_estimates_that_the_model_was_trained_with():
    shapes = np.random.default_rng(3).uniform(0, 0.5, (2, 7))
    face = make_face(target_mm=DOWN_AND_TO_THE_RIGHT, yaw_deg=10, eye_shapes=shapes)

    sample = read_eyes(face, FakeEyeNetwork(make_gazes(both_deg=(10.0, -8.0))))

    fused = fuse_eyes(sample.eyes.landmarks, sample.eyes.network, blendshape_gaze(shapes))
    assert direction_in_head(sample) == approx(fused)
    assert sample.eyes.blendshapes == approx(blendshape_gaze(shapes))


def test_the_networks_answer_is_turned_from_the_virtual_camera_into_the_head():
    # A face straight ahead is where the virtual camera looks anyway, so its nose is 10 degrees off for both.
    sample = read_eyes(make_face(yaw_deg=10), FakeEyeNetwork(make_gazes(both_deg=(10.0, 0.0))))

    assert sample.eyes.network.both_deg == approx([0.0, 0.0], abs=3.0)
    assert sample.eyes.network.both_deg != approx([10.0, 0.0], abs=5.0)


def test_the_network_gets_the_views_for_the_cameras_field_of_view():
    network = FakeEyeNetwork()

    for fov_deg in (63.0, 40.0):
        read_eyes(make_face(vertical_fov_deg=fov_deg), network, camera=Camera(vertical_fov_deg=fov_deg))

    wide, narrow = network.seen_views
    # The same face at the same distance: a longer focal length shows it larger, so fewer eye px for each image px.
    assert narrow.scales[0] / wide.scales[0] == approx(0.594, abs=0.01)


@pytest.mark.parametrize("model", [Straight(), Fused()])
def test_without_a_network_the_gaze_is_that_of_the_landmarks(model):
    face = make_face(target_mm=DOWN_AND_TO_THE_RIGHT)

    assert read_eyes(face, None, model=model).gaze == detect(face).gaze


def test_a_model_trained_without_a_network_does_not_get_its_estimate():
    face, network = make_face(target_mm=DOWN_AND_TO_THE_RIGHT), FakeEyeNetwork(make_gazes(both_deg=(30.0, 30.0)))

    sample = read_eyes(face, network, model=Straight())

    assert (sample.gaze, sample.eyes) == (detect(face).gaze, None)
    assert network.seen_views == []


def test_a_network_that_fails_costs_its_estimate_but_not_the_frame():
    face, network = make_face(target_mm=DOWN_AND_TO_THE_RIGHT), FakeEyeNetwork()
    network.error = EyeNetworkError("broken")

    sample = read_eyes(face, network)

    assert (sample.validity, sample.gaze) == (Validity.OK, detect(face).gaze)
    assert sample.eye_network_failed
    assert sample.eyes.network is None


def test_a_network_that_answers_has_not_failed():
    assert not read_eyes(make_face(), FakeEyeNetwork()).eye_network_failed


@pytest.mark.parametrize("lid_opening_mm", [1.0, 9.0])
def test_a_frame_without_a_gaze_needs_no_network(lid_opening_mm):
    network = FakeEyeNetwork()
    image = IMAGE if lid_opening_mm == 1.0 else np.zeros_like(IMAGE)

    read_eyes(make_face(lid_opening_mm=lid_opening_mm), network, image=image)

    assert network.seen_views == []


@pytest.mark.parametrize("yaw_deg", [45.0, -45.0])
def test_a_hidden_eye_is_no_loss(yaw_deg):
    # The network is right about the near eye, and about both eyes it guesses wildly.
    right_about = make_gazes(left_deg=(2.0, 0.0), right_deg=(-2.0, 0.0), both_deg=(60.0, 60.0))

    sample = read_eyes(make_face(yaw_deg=yaw_deg, target_mm=(0, 0, 0)), FakeEyeNetwork(right_about))

    # Looking into the camera; the midpoint sees it at (0, 0).
    assert sample.direction == approx((0.0, 0.0), abs=6.0)


@pytest.mark.parametrize(
    ("roll_deg", "issues"), [(-45, ()), (45, ()), (-55, ("face_rotated",)), (90, ("face_rotated",))]
)
def test_beyond_50_degrees_of_roll_the_image_is_turned(roll_deg, issues):
    sample = detect(make_face(roll_deg=roll_deg))

    assert sample.quality_issues == issues
    assert (sample.gaze is None) == bool(issues)
    assert sample.head_pose.roll_deg == approx(roll_deg, abs=0.1)


class UpsideDown:
    """A landmarker that finds a face only in the image turned by 180 degrees, and given faces in the image itself."""

    def __init__(self, image, *faces):
        self.image, self.faces = image, faces
        self.detections = 0

    def detect(self, frame):
        self.detections += 1
        return list(self.faces) if np.array_equal(frame, self.image) else [make_face(place_mm=(50, 0, 600))]


@pytest.mark.parametrize("nonsense", [(), (make_face(yaw_deg=5),)])
def test_an_image_that_is_upside_down_is_recognised(nonsense):
    image = np.ascontiguousarray(photograph(make_face(place_mm=(50, 0, 600)))[::-1, ::-1])

    sample = GazeDetector(UpsideDown(image, *nonsense), Straight()).process_single_frame(image)

    assert (sample.validity, sample.quality_issues) == (Validity.LOW_QUALITY, ("face_rotated",))
    assert (sample.gaze, sample.features) == (None, None)
    assert abs(sample.head_pose.roll_deg) == approx(180, abs=1.0)
    assert sample.origin_mm[0] < -40


def test_an_image_is_turned_without_exchanging_its_colours():
    frames = []

    class Recorder:
        def detect(self, frame):
            frames.append(frame)
            return []

    GazeDetector(Recorder(), Straight()).process_single_frame(NOISE)

    assert len(frames) == 2
    assert np.array_equal(frames[1], NOISE[::-1, ::-1])
    assert frames[1].flags.c_contiguous


def test_an_image_without_irises_that_is_not_upside_down_either_has_covered_eyes():
    landmarker = UpsideDown(NOISE, make_face())

    sample = GazeDetector(landmarker, Straight()).process_single_frame(NOISE)

    assert (sample.validity, sample.quality_issues) == (Validity.LOW_QUALITY, ("eyes_covered",))
    assert (sample.gaze, landmarker.detections) == (None, 2)


def test_a_frame_with_visible_eyes_is_detected_once():
    landmarker = UpsideDown(IMAGE, make_face())

    assert GazeDetector(landmarker, Straight()).process_single_frame(IMAGE).validity is Validity.OK
    assert landmarker.detections == 1


def test_eyes_without_an_iris_behind_low_lids_are_closed():
    sample = detect(make_face(lid_opening_mm=3.5), image=NOISE)

    assert (sample.validity, sample.features) == (Validity.EYES_CLOSED, None)


@pytest.mark.parametrize(("covered", "visible"), [(0, RIGHT), (1, LEFT)])
def test_with_one_eye_covered_the_other_gives_the_gaze(covered, visible):
    face = make_face(target_mm=DOWN_AND_TO_THE_RIGHT)
    points = face.points.copy()
    points[IRIS[(LEFT, RIGHT)[covered]][0], 0] += 0.005  # where the landmarker guesses the hidden iris

    sample = detect(Landmarks(points, 640, 480), image=paint_eyes(NOISE, face, [visible]))

    assert (sample.validity, sample.covered_eyes) == (Validity.OK, (covered == 0, covered == 1))
    assert (sample.gaze.x, sample.gaze.y) == approx((0.790, 0.371), abs=0.02)


def test_the_network_counts_only_for_the_eye_that_is_not_covered():
    face = make_face()
    gazes = make_gazes(left_deg=(9.0, 9.0), right_deg=(1.0, 2.0), both_deg=(5.0, 5.0))
    gazes.eyes_spread_deg[0] = 15.0
    network = FakeEyeNetwork(gazes)

    sample = read_eyes(face, network, image=paint_eyes(NOISE, face, [RIGHT]))

    assert sample.covered_eyes == (True, False)
    near = direction_from_midpoint(sample.eyes.network.eyes_deg[1], 1, sample.distance_mm)
    alone = replace(sample.eyes.network, both_deg=near)
    assert direction_in_head(sample) == approx(fuse_eyes(sample.eyes.landmarks, alone, None))


def test_a_face_of_one_colour_is_a_drawing():
    image = np.full_like(NOISE, 180)
    image[150:300, 270:370] = photograph(make_face())[150:300, 270:370] // 60 * 60

    sample = detect(make_face(), image=image)

    assert (sample.validity, sample.quality_issues) == (Validity.LOW_QUALITY, ("implausible_face",))
