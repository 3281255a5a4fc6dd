"""Faces in the frames of a video, and their place in the maps."""

import itertools

import cv2
import numpy as np
import pytest

from gaze_core.landmarks import Landmarks
from gaze_core.saliency import calc
from gaze_tools.saliency.compute import compute_maps, probe_video
from gaze_tools.saliency.face_search import FaceBox, FaceSearch, open_face_search, share_with_faces
from gaze_tools.saliency.film_faces import sample_frames
from gaze_tools.saliency.models import make_model
from gaze_tools.saliency.models.faces import FaceAwareModel, add_faces
from gaze_tools.saliency.models.spectral_residual import SpectralResidual
from gaze_tools.sample_clip import SAMPLE, read_frames

FACE = FaceBox(left=0.4, top=0.3, right=0.6, bottom=0.7, eyes_y=0.4)


class WhiteSquares:
    """A landmarker to which a white square is a face, unless it is small in the image."""

    def __init__(self):
        self.calls = 0
        self.shapes = set()

    def detect(self, frame):
        self.calls += 1
        self.shapes.add(frame.shape)
        height, width = frame.shape[:2]
        _, _, boxes, _ = cv2.connectedComponentsWithStats((frame[..., 0] > 250).astype(np.uint8))
        return [
            make_landmarks((left / width, top / height), ((left + wide) / width, (top + high) / height))
            for left, top, wide, high, _ in boxes[1:]
            if wide >= 0.11 * max(width, height)
        ]


class OnlyAtFirst(WhiteSquares):
    """A landmarker that sees faces in some calls only."""

    def __init__(self, last_call):
        super().__init__()
        self.last_call = last_call

    def detect(self, frame):
        found = super().detect(frame)
        return found if self.calls <= self.last_call else []


def make_landmarks(top_left, bottom_right):
    points = np.zeros((478, 3))
    points[:, :2] = np.mean([top_left, bottom_right], axis=0)
    points[0, :2], points[1, :2] = top_left, bottom_right
    return Landmarks(points, 640, 360)


def draw(*squares, height=360, width=640):
    """Return a dark frame with white squares at (x, y) of a side, in pixels."""
    frame = np.full((height, width, 3), 30, dtype=np.uint8)
    for x, y, side in squares:
        frame[y : y + side, x : x + side] = 255
    return frame


def find(frame):
    return FaceSearch(WhiteSquares()).find(frame)


def share_salient(saliency_map, face):
    """Return the share of the pixels of a face among the upper 30 % of a stored map."""
    height, width = saliency_map.shape
    rows, columns = (np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width
    points = [(x, y) for y, x in itertools.product(rows, columns) if face.contains(x, y)]
    return calc(points, np.round(saliency_map * 255).astype(np.uint8)).hits.mean()


class TestSearch:
    @pytest.mark.parametrize("place", [(0, 0), (200, 100), (600, 320), (300, 160), (130, 200), (0, 320), (420, 90)])
    def test_a_small_face_is_found_anywhere(self, place):
        (face,) = find(draw((*place, 30)))

        x, y = place
        assert (face.left * 640, face.top * 360) == pytest.approx((x, y), abs=1.5)
        assert (face.right * 640, face.bottom * 360) == pytest.approx((x + 30, y + 30), abs=1.5)

    def test_what_even_the_squares_do_not_show_is_not_found(self):
        assert find(draw((300, 160, 20))) == []

    def test_a_large_face_is_found_once(self):
        (face,) = find(draw((200, 40, 280)))

        assert (face.left, face.right) == pytest.approx((200 / 640, 480 / 640), abs=0.01)

    def test_several_faces_come_largest_first(self):
        found = find(draw((40, 40, 30), (300, 100, 90), (560, 300, 40)))

        assert [round(face.left * 640) for face in found] == [300, 560, 40]

    def test_a_portrait_film_is_searched_too(self):
        (face,) = find(draw((20, 580, 30), height=640, width=360))

        assert (round(face.left * 360), round(face.top * 640)) == (20, 580)

    def test_a_large_frame_is_searched_like_a_small_one(self):
        (face,) = find(draw((2400, 1300, 130), height=1440, width=2560))

        assert face.left * 2560 == pytest.approx(2400, abs=8)

    def test_large_frames_are_shrunk_to_360_pixels(self):
        landmarker = WhiteSquares()

        FaceSearch(landmarker).find(draw(height=1440, width=2560))

        assert landmarker.shapes == {(360, 640, 3), (216, 216, 3)}

    # A frame of 16:9 is searched as a whole and in 2 × 4 squares.
    @pytest.mark.parametrize(("last_call", "faces"), [(1, 0), (9, 0), (10, 0), (11, 1)])
    def test_a_face_must_be_found_again_in_both_checks(self, last_call, faces):
        assert len(FaceSearch(OnlyAtFirst(last_call)).find(draw((200, 40, 120)))) == faces

    def test_the_checks_show_the_face_at_half_and_a_third_of_the_image(self):
        landmarker = WhiteSquares()

        FaceSearch(landmarker).find(draw((200, 100, 120)))

        checks = landmarker.shapes - {(360, 640, 3), (216, 216, 3)}
        assert sorted(width for _, width, _ in checks) == pytest.approx([2 * 120, 3.2 * 120], abs=1)

    def test_the_share_of_frames(self):
        search = FaceSearch(WhiteSquares())

        assert share_with_faces(search, [draw(), draw((200, 40, 120)), draw(), draw()]) == 0.25
        assert share_with_faces(search, []) is None


class TestChannel:
    def test_without_faces_the_map_is_the_same(self):
        saliency_map = np.random.default_rng(0).random((9, 16)).astype(np.float32)

        assert add_faces(saliency_map, []) is saliency_map

    def test_at_its_edge_a_face_has_three_fifths_of_its_peak(self):
        found = add_faces(np.zeros((1000, 1000), dtype=np.float32), [FACE])

        # exp(-1/2) = 0.607, half a width beside the peak. The peak is between eyes (0.4) and middle (0.5).
        assert np.unravel_index(found.argmax(), found.shape) == pytest.approx((450, 500), abs=1)
        assert (found[450, 500], found[450, 600]) == pytest.approx((1.0, 0.607), abs=0.01)
        assert found[650, 500] == pytest.approx(0.607, abs=0.01)

    def test_the_edge_of_a_face_outranks_the_most_salient_other_place(self):
        saliency_map = np.zeros((100, 100), dtype=np.float32)
        saliency_map[:, 90:] = 1.0

        found = add_faces(saliency_map, [FACE])

        assert found[45, 40] > 1.15 * found[:, 90:].max()

    def test_the_rest_of_the_map_keeps_a_third_of_the_range(self):
        saliency_map = np.zeros((100, 100), dtype=np.float32)
        saliency_map[0, 0] = 1.0

        assert add_faces(saliency_map, [FACE])[0, 0] == pytest.approx(0.5, abs=0.01)
        saliency_map[45, 50] = 1.0
        assert add_faces(saliency_map, [FACE])[0, 0] == pytest.approx(1 / 3, abs=0.01)

    def test_two_faces_do_not_add_up(self):
        one = add_faces(np.zeros((100, 100), dtype=np.float32), [FACE])

        assert np.array_equal(add_faces(np.zeros((100, 100), dtype=np.float32), [FACE, FACE]), one)


class TestModel:
    def test_it_says_that_faces_count(self):
        assert make_model("itti_koch").source == (
            "Itti, Koch and Niebur 1998; Itti, Dhavale and Pighin 2003; faces: Cerf, Frady and Koch 2009"
        )
        assert not isinstance(make_model("itti_koch", faces=False), FaceAwareModel)

    def test_the_baseline_has_no_faces(self):
        assert not isinstance(make_model("centre_bias"), FaceAwareModel)

    def test_start_comes_first(self):
        with pytest.raises(ValueError, match="call start before map_frame"):
            make_model("itti_koch").map_frame(draw())

    @pytest.mark.parametrize("name", ["spectral_residual", "itti_koch"])
    def test_a_frame_without_a_face_has_the_same_map(self, name):
        frames = list(itertools.islice(read_frames(str(SAMPLE / "video.mp4"), 200), 0, 200, 40))
        with_faces, without = make_model(name), make_model(name, faces=False)
        for model in (with_faces, without):
            model.start(height=54, width=96)

        for frame in frames:
            assert np.array_equal(with_faces.map_frame(frame), without.map_frame(frame))
            assert with_faces.faces_found == 0


@pytest.fixture(scope="module")
def person():
    """A frame of a rendered person, 640×480."""
    return next(iter(read_frames(str(SAMPLE / "clip.mp4"), 1)))


@pytest.fixture(scope="module")
def search():
    return open_face_search()


class TestRenderedPerson:
    @pytest.mark.parametrize("name", ["spectral_residual", "itti_koch"])
    def test_a_face_is_salient_that_the_model_alone_would_miss(self, person, search, name):
        # A faint face among bright discs.
        frame = np.full((720, 1280, 3), 125, dtype=np.uint8)
        for x, y in np.random.default_rng(3).integers((40, 40), (1240, 680), (80, 2)).tolist():
            cv2.circle(frame, (x, y), 25, (255, 240, 40), -1)
        frame[200:680, 300:940] = 125 + 0.3 * (cv2.resize(person, (640, 480)).astype(float) - 125)
        (face,) = search.find(frame)
        shares = {}
        for faces in (True, False):
            model = make_model(name, faces=faces)
            model.start(height=135, width=240)
            shares[faces] = share_salient(model.map_frame(frame), face)

        assert shares[False] < 0.7
        assert shares[True] > 0.99

    def test_the_eyes_are_among_the_most_salient_twentieth(self, person, search):
        model = make_model("itti_koch")
        model.start(height=135, width=180)

        saliency_map = model.map_frame(person)

        (face,) = search.find(person)
        eyes = [(face.left + each * (face.right - face.left), face.eyes_y) for each in (0.3, 0.7)]
        assert calc(eyes, saliency_map).ranks.min() > 0.95

    def test_at_a_twelfth_of_the_height_a_face_is_found(self, person, search):
        (whole,) = search.find(person)
        scale = 0.083 * 720 / ((whole.bottom - whole.top) * 480)
        small = cv2.resize(person, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        frame = np.full((720, 1280, 3), 120, dtype=np.uint8)
        frame[40 : 40 + small.shape[0], 900 : 900 + small.shape[1]] = small

        (face,) = search.find(frame)

        assert (face.bottom - face.top) * 720 == pytest.approx(60, abs=6)
        assert 900 < face.left * 1280 < 900 + small.shape[1]


class TestFacts:
    @pytest.fixture
    def film(self, tmp_path):
        """A film at 10 frames a second; the second of its two seconds shows a face."""
        writer = cv2.VideoWriter(str(tmp_path / "film.mkv"), cv2.VideoWriter.fourcc(*"FFV1"), 10.0, (64, 36))
        for number in range(20):
            writer.write(draw(*([(30, 10, 14)] if number >= 10 else []), height=36, width=64))
        writer.release()
        return probe_video(tmp_path / "film.mkv")

    @staticmethod
    def model():
        return FaceAwareModel(SpectralResidual(), lambda: FaceSearch(WhiteSquares()))

    def test_the_channel_and_the_share_of_frames_are_stored(self, database, store, film):
        done = compute_maps(database, "v", film, self.model())

        assert database["videos"].find_one()["faces"] == {"channel": True, "share": 0.5}
        assert done.faces == 0.5
        assert (store.extract_saliencyMap("v").faces.channel, store.extract_saliencyMap("v").faces.share) == (True, 0.5)

    def test_without_the_channel_one_frame_a_second_is_searched(self, database, film):
        landmarker = WhiteSquares()

        compute_maps(database, "v", film, SpectralResidual(), face_search=FaceSearch(landmarker))

        assert database["videos"].find_one()["faces"] == {"channel": False, "share": 0.5}
        assert database["v"].count_documents({"faces": {"$exists": True}}) == 2

    def test_without_a_search_the_share_is_unknown(self, database, film):
        compute_maps(database, "v", film, SpectralResidual())

        assert database["videos"].find_one()["faces"] == {"channel": False, "share": None}

    def test_a_resumed_run_counts_the_faces_of_both_parts(self, database, film):
        def break_off(number, _made):
            if number == 14:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compute_maps(database, "v", film, self.model(), on_frame=break_off)

        done = compute_maps(database, "v", film, self.model())

        assert (done.made, done.faces) == (6, 0.5)

    def test_maps_with_and_without_faces_are_different_maps(self, database, film):
        with_faces = compute_maps(database, "v", film, self.model())
        without = compute_maps(database, "v", film, SpectralResidual())

        assert (with_faces.made, without.made) == (20, 20)
        assert with_faces.digest != without.digest
        assert database["videos"].find_one()["how"] == "spectral_residual (Hou and Zhang 2007)"

    @pytest.mark.parametrize(("limit", "bright"), [(300, [False, True]), (1, [False]), (10, [False, True])])
    def test_of_a_film_one_frame_a_second_is_looked_at(self, film, limit, bright):
        assert [bool(frame.max() > 250) for frame in sample_frames(film.path, limit)] == bright

    def test_of_a_long_film_300_frames_are_enough(self, tmp_path):
        writer = cv2.VideoWriter(str(tmp_path / "film.mkv"), cv2.VideoWriter.fourcc(*"FFV1"), 1.0, (64, 36))
        for _ in range(610):
            writer.write(draw(height=36, width=64))
        writer.release()

        assert sum(1 for _ in sample_frames(tmp_path / "film.mkv")) == 204  # every third

    def test_a_film_that_cannot_be_decoded_has_no_frames(self, tmp_path):
        (tmp_path / "film.mp4").write_text("not a video")

        assert list(sample_frames(tmp_path / "film.mp4")) == []
