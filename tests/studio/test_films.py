"""Films of viewers at the gateway: odd ones, broken ones, and films whose maps are gone."""

import contextlib
import resource
import socket
import threading
import time
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from func.adapters.saliency_store import read_facts
from gaze_tools.film import open_film
from gaze_tools.studio.conversion import convert
from gaze_tools.studio.films import FilmLibrary
from gaze_tools.studio.gateway import GatewaySetup, make_gateway
from gaze_tools.studio.removal import RemovalTimes
from tests.adapters.upstream_services import serve
from tests.studio.film_maker import draw, make_film, make_sound, read_number
from tests.studio.waiting import wait_until

until = partial(wait_until, limit_s=30)

pytestmark = pytest.mark.slow

VARIABLE_MS = [0, 40, 80, 200, 210, 220, 500, 900, 940, 1400, 1500, 1540, 2000]
LATE_MS = [500 + 40 * number for number in range(30)]


AS_THEY_ARE = {"plain.mp4", "late.mp4", "alpha.webm", "one frame.mp4"}
"""Films that browsers play without a conversion."""


@pytest.fixture
def app(mongo_uri, database, tmp_path):
    setup = GatewaySetup("http://127.0.0.1:9", "http://127.0.0.1:9", mongo_uri, tmp_path / "studio")
    return make_gateway(database, setup)


@pytest.fixture
def client(app):
    return app.test_client()


def add(client, path):
    return client.post("/api/films", query_string={"name": path.name}, data=path.read_bytes())


def wait_for(client, film_id):
    deadline_s = time.monotonic() + 60
    while (film := client.get(f"/api/films/{film_id}").json)["state"] == "preparing":
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    return film


def prepare(client, path):
    return wait_for(client, add(client, path).json["film_id"])


def read_played(client, film_id, place):
    """Return the times (ms) and the numbers shown by the frames that the browser gets."""
    answer = client.get(f"/api/films/{film_id}/video")
    path = place / f"played.{answer.content_type.rpartition('/')[2]}"
    path.write_bytes(answer.data)
    with open_film(path) as film:
        return [(1000 * frame.time_s, read_number(frame.rgb())) for frame in film]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("plain.mp4", {"sound": "aac"}),
        ("late.mp4", {"times_ms": LATE_MS}),
        ("alpha.webm", {"codec": "libvpx-vp9", "pixel_format": "yuva420p"}),
        (
            "hevc.mp4",
            {"codec": "libx265", "pixel_format": "yuv420p10le", "options": {"x265-params": "log-level=0"}},
        ),
        ("ten bits.mp4", {"pixel_format": "yuv420p10le"}),
        ("wrong name.mp4", {"container": "matroska"}),
        ("disc.mpg", {"codec": "mpeg2video", "sound": "mp2"}),
        ("old.avi", {"codec": "mpeg4"}),
        ("studio.mov", {"codec": "prores_ks", "pixel_format": "yuv422p10le"}),
        ("alpha.mov", {"codec": "qtrle", "pixel_format": "argb"}),
        ("odd.mkv", {"codec": "ffv1", "pixel_format": "yuv444p", "width": 161, "height": 97}),
        ("variable.mkv", {"times_ms": VARIABLE_MS}),
        ("late.mkv", {"times_ms": LATE_MS}),
        ("one frame.mp4", {"frames": 1}),
    ],
)
def test_frame_n_of_the_film_has_map_n(client, database, tmp_path, name, options):
    film = prepare(client, make_film(tmp_path / name, **options))
    played = read_played(client, film["film_id"], tmp_path)
    facts = read_facts(database, film["film_id"])
    stored = database["videos"].find_one({"_id": film["film_id"]})

    assert (film["state"], film["problem"]) == ("ready", None)
    sent = client.get(f"/api/films/{film['film_id']}/video").data
    assert (sent == (tmp_path / name).read_bytes()) is (name in AS_THEY_ARE)
    assert [number for _, number in played] == list(range(1, stored["frame_count"] + 1))
    for time_ms, number in played:
        assert facts.times.find_frame(time_ms + 2) == number


@pytest.mark.parametrize("second_hz", [48000, 44100])
def test_joined_recordings_keep_images_and_sound(tmp_path, second_hz):
    """Their times start again in the middle, and the sound may have another format from there on."""
    parts = [
        make_film(tmp_path / f"part {number}.ts", sound="aac", sound_hz=sound_hz)
        for number, sound_hz in enumerate((48000, second_hz))
    ]
    film = tmp_path / "joined.ts"
    film.write_bytes(b"".join(part.read_bytes() for part in parts))

    convert(film, tmp_path / "play.webm")

    with open_film(tmp_path / "play.webm") as played:
        assert [read_number(frame.rgb()) for frame in played] == [*range(1, 51)] * 2
    with av.open(str(tmp_path / "play.webm")) as played:
        sound = [(frame.time, frame.samples) for frame in played.decode(audio=0)]
    # Each part has 1.96 s of a tone.
    assert sum(samples for _, samples in sound) / 48000 == pytest.approx(2 * 1.96, abs=0.1)
    assert np.diff([time_s for time_s, _ in sound]).max() < 0.05


def test_a_turned_film_is_shown_and_mapped_upright(client, database, tmp_path):
    path = make_film(tmp_path / "phone.mp4", rotation=90)
    path.write_bytes(turn(path.read_bytes()))
    film = prepare(client, path)

    assert (film["width"], film["height"]) == (160, 96)
    assert [number for _, number in read_played(client, film["film_id"], tmp_path)] == list(range(1, 51))


def turn(data):
    """Return an MP4 file whose display matrix turns it by 90°."""
    at = data.index(b"tkhd") + 4 + 40
    matrix = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    return data[:at] + b"".join(value.to_bytes(4, "big", signed=True) for value in matrix) + data[at + 36 :]


def png():
    return cv2.imencode(".png", draw(1))[1].tobytes()


@pytest.mark.parametrize(
    ("make", "slug", "advice"),
    [
        (lambda path: path.write_text("<!doctype html><title>404</title>" * 50), "not-a-film", "copy it"),
        (lambda path: path.write_bytes(png()), "still-image", "Choose a film"),
        (make_sound, "no-video", "Choose a film"),
        (lambda path: cut(make_film(path), 0.5), "not-a-film", "copy it"),
    ],
    ids=["web page", "image", "sound", "half a film"],
)
def test_what_is_no_film_is_refused_with_what_to_do(client, tmp_path, make, slug, advice):
    make(tmp_path / "film.mp4")
    answer = add(client, tmp_path / "film.mp4")

    assert (answer.status_code, answer.json["type"]) == (415, f"/problems/{slug}")
    assert advice in answer.json["detail"]
    assert list_files(tmp_path / "studio" / "films") == []


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path


def list_files(directory):
    return [each.name for each in directory.rglob("*") if each.is_file()]


def damage(path):
    """Overwrite a part in the middle."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + len(data) // 10] = np.random.default_rng(1).bytes(len(data) // 10)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("spoil", [damage, lambda path: cut(path, 0.6)], ids=["damaged", "truncated"])
def test_a_damaged_film_is_converted_and_says_so(client, database, tmp_path, spoil):
    """What browsers make of a damaged place differs, so they get the frames that have maps."""
    path = spoil(make_film(tmp_path / "film.webm", codec="libvpx", frames=200, options={"g": "20"}))
    film = prepare(client, path)
    played = read_played(client, film["film_id"], tmp_path)
    stored = database["videos"].find_one({"_id": film["film_id"]})

    assert film["state"] == "ready"
    assert "damaged" in film["notes"]
    assert len(played) == stored["frame_count"] < 200


def test_a_film_of_a_second_says_that_it_is_too_short(client, tmp_path):
    assert prepare(client, make_film(tmp_path / "a.mp4", frames=25))["notes"] == ["short"]
    assert prepare(client, make_film(tmp_path / "b.mp4", frames=90))["notes"] == []


def test_a_film_over_the_limit_is_refused_before_it_is_read(client, tmp_path):
    answer = client.post("/api/films?name=a.mp4", environ_overrides={"CONTENT_LENGTH": str(3 * 2**30)})

    assert (answer.status_code, answer.json["type"]) == (413, "/problems/too-large")
    assert answer.json["detail"] == "The film is larger than 2 GiB. Cut it, or save it in a smaller size."


def test_an_upload_that_breaks_off_leaves_nothing(app, tmp_path):
    content = make_film(tmp_path / "film.mp4").read_bytes()
    with serve(app) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            head = f"POST /api/films?name=a.mp4 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}\r\n\r\n"
            connection.sendall(head.encode() + content[: len(content) // 2])
            until(lambda: list_files(tmp_path / "studio" / "films"))
        until(lambda: not list_files(tmp_path / "studio" / "films"))

        assert [film["film_id"] for film in app.test_client().get("/api/films").json["films"]] == ["sample"]


def test_the_same_film_twice_at_once_is_one_film(app, database, tmp_path):
    content = make_film(tmp_path / "film.mkv").read_bytes()
    answers = []

    def send():
        answers.append(app.test_client().post("/api/films?name=a.mkv", data=content).json["film_id"])

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    film = wait_for(app.test_client(), answers[0])

    assert len(set(answers)) == 1
    assert film["state"] == "ready"
    assert len(app.test_client().get("/api/films").json["films"]) == 2


@contextlib.contextmanager
def full_disk(limit):
    """Let no file of this process grow beyond a size; to the program it is as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_named_and_leaves_nothing(client, tmp_path):
    path = make_film(tmp_path / "film.mkv", codec="ffv1", pixel_format="yuv444p")
    with full_disk(4096):
        answer = add(client, path)

    assert (answer.status_code, answer.json["type"]) == (507, "/problems/disk-full")
    assert "free some space" in answer.json["detail"]
    assert list_files(tmp_path / "studio" / "films") == []


def test_a_disk_that_fills_during_the_conversion_is_named_and_the_film_can_be_tried_again(
    mongo_uri, database, tmp_path
):
    library = FilmLibrary(tmp_path / "films", database)
    path = make_film(tmp_path / "film.mkv", frames=150)
    with path.open("rb") as stream:
        film_id = library.add("film.mkv", stream).film_id
        with full_disk(path.stat().st_size):
            until(lambda: library.get(film_id).state != "preparing")
    failed = library.get(film_id)
    library.prepare(film_id)
    until(lambda: library.get(film_id).state != "preparing")

    assert (failed.state, failed.reason) == ("failed", "disk_full")
    assert library.get(film_id).state == "ready"


class TestFilmsWithoutMaps:
    @pytest.fixture
    def film_id(self, client, tmp_path):
        return prepare(client, make_film(tmp_path / "film.mkv"))["film_id"]

    @pytest.mark.parametrize("removed", ["collection", "facts", "some"])
    def test_a_film_whose_maps_were_removed_is_not_watched_until_they_are_computed_again(
        self, client, database, film_id, removed
    ):
        maps = database[film_id].count_documents({})
        if removed == "facts":
            database["videos"].delete_one({"_id": film_id})
            database[film_id].drop()
        elif removed == "collection":
            database[film_id].drop()
        else:
            database[film_id].delete_one({"frame_num": 1})
        listed = client.get("/api/films").json["films"][1]
        refused = client.post("/api/viewings", json={"video_id": film_id})
        again = client.post(f"/api/films/{film_id}/maps")
        film = wait_for(client, film_id)

        assert (listed["state"], listed["reason"]) == ("no_maps", "no_maps")
        assert (refused.status_code, refused.json["type"]) == (409, "/problems/no-maps")
        assert (again.status_code, again.json["state"]) == (202, "preparing")
        assert film["state"] == "ready"
        generation = database["videos"].find_one({"_id": film_id})["generation"]
        assert database[film_id].count_documents({"generation": generation}) == maps
        assert client.post("/api/viewings", json={"video_id": film_id}).status_code == 201

    def test_the_maps_of_the_sample_are_computed_again_too(self, client, database):
        assert client.get("/api/films/sample").json["state"] == "no_maps"
        client.post("/api/films/sample/maps")

        assert wait_for(client, "sample")["state"] == "ready"
        assert database["sample"].count_documents({}) == 200

    def test_a_ready_film_is_not_computed_again(self, client, database, film_id):
        before = database["videos"].find_one({"_id": film_id})["generation"]
        answer = client.post(f"/api/films/{film_id}/maps")

        assert answer.json["state"] == "ready"
        assert database["videos"].find_one({"_id": film_id})["generation"] == before

    def test_a_film_that_is_uploaded_again_gets_its_maps_back(self, client, database, film_id, tmp_path):
        database[film_id].drop()
        assert add(client, tmp_path / "film.mkv").json["state"] == "preparing"
        assert wait_for(client, film_id)["state"] == "ready"


def test_a_studio_that_was_stopped_in_the_middle_goes_on(mongo_uri, database, tmp_path):
    path = make_film(tmp_path / "film.mkv")
    library = FilmLibrary(tmp_path / "films", database)
    with library._one_at_a_time, path.open("rb") as stream:  # the preparation does not begin
        film_id = library.add("film.mkv", stream).film_id
        later = FilmLibrary(tmp_path / "films", database)
        until(lambda: later.get(film_id).state != "preparing")

    assert later.get(film_id).state == "ready"
    until(lambda: library.get(film_id).state != "preparing")


def test_what_an_interrupted_upload_left_is_removed_at_the_start(database, tmp_path):
    left = tmp_path / "films" / "film-0123456789abcdef0123"
    left.mkdir(parents=True)
    (left / "original.mp4").write_bytes(b"half")
    (tmp_path / "films" / "upload-x.mp4").write_bytes(b"half")
    FilmLibrary(tmp_path / "films", database, removal_times=RemovalTimes(resume_s=0.0))

    assert not list(tmp_path.glob("films/upload-*"))
    until(lambda: not Path(left).exists())
