"""The studio's gateway, with a function that reports what arrives."""

import json
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from func.session import attention_score
from func.session_token import Viewing, sign_viewing
from gaze_tools.sample_clip import SAMPLE
from gaze_tools.studio import films, gateway, uploads
from gaze_tools.studio.guard import check_address, check_origin
from gaze_tools.studio.kept import FILES, FIXATIONS, OVERLAY, EndedSession, find_ended
from gaze_tools.studio.problems import StudioError
from gaze_tools.studio.studio_film import StudioFilm
from gaze_tools.studio.viewings import start_viewing
from tests.adapters.upstream_services import refused_url
from tests.studio.gateway_client import post
from tests.studio.kept_session import keep_session

KEY = b"0123456789abcdef0123456789abcdef"


@pytest.fixture
def client(make_client):
    return make_client()


class TestForwarding:
    def test_the_gateway_and_not_the_browser_says_the_address(self, client):
        sent = {"session_id": "s", "video_id": "sample", "frame_number": 1, "ip_address": "8.8.8.8"}

        assert post(client, sent, b"jpeg").json["metadata"]["ip_address"] == "127.0.0.1"

    def test_frames_and_fields_arrive_as_sent(self, client):
        sent = {"session_id": "s", "video_id": "v", "frames": [{"frame_number": 4}, {"frame_number": 5}]}

        answer = post(client, sent, b"123", b"12345").json

        assert answer["sizes"] == [3, 5]
        assert answer["metadata"] == {**sent, "ip_address": "127.0.0.1"}

    def test_a_client_without_sessions_gets_the_id_of_viewer_and_video(self, client):
        answer = client.post("/gaze", json={"video_id": "contents1", "frame_number": 1, "last_frame": True})

        assert answer.json["metadata"]["session_id"] == str(uuid.uuid5(uuid.NAMESPACE_URL, "127.0.0.1:contents1"))

    def test_a_problem_and_its_delay_are_passed_on(self, client):
        answer = post(client, {"video_id": "v", "frame_number": 99}, b"x")

        assert (answer.status_code, answer.headers["Retry-After"], answer.headers["X-Request-Id"]) == (503, "7", "r1")

    def test_without_the_function_the_browser_is_asked_to_come_back(self, make_client):
        answer = post(make_client(function_url=refused_url()), {"video_id": "v", "frame_number": 1}, b"x")

        assert (answer.status_code, answer.headers["Retry-After"]) == (502, "1")
        assert answer.json["type"] == "/problems/function-failed"

    def test_the_function_and_not_the_gateway_refuses_numbers_that_json_lacks(self, client):
        """A 502 would be repeated for ever."""
        answer = client.post("/gaze", data=b'{"video_id": "v", "frame_number": 1e999}', content_type="application/json")

        assert answer.status_code == 200  # the function of this test takes everything
        assert answer.json["metadata"]["frame_number"] == float("inf")

    @pytest.mark.parametrize("body", [b"", b"[1]", b"{", b"[" * 100_000])
    def test_what_is_not_an_object_is_refused(self, client, body):
        answer = client.post("/gaze", data=body, content_type="application/json")

        assert (answer.status_code, answer.content_type) == (400, "application/problem+json")

    def test_a_body_over_eight_mebibytes_is_refused(self, client):
        assert post(client, {"video_id": "v"}, b"x" * (8 * 2**20 + 1)).status_code == 413


class TestViewings:
    def test_every_viewing_has_an_id_of_its_own(self, client):
        ids = {client.post("/api/viewings", json={"video_id": "sample"}).json["session_id"] for _ in range(3)}

        assert len(ids) == 3

    def test_an_id_depends_on_viewer_video_time_and_nonce(self):
        viewing = start_viewing("203.0.113.7", "film", clock=lambda: 1.5, nonce=lambda: "n")

        assert viewing.session_id == f"studio-{uuid.uuid5(uuid.NAMESPACE_URL, '203.0.113.7:film:1500:n')}"

    def test_the_token_is_signed_for_this_viewing(self, make_client):
        started = make_client(token_key=KEY).post("/api/viewings", json={"video_id": "calibration"}).json

        start_ms = int(started["session_token"].split(".")[1])
        viewing = Viewing(started["session_id"], "127.0.0.1", "calibration", start_ms)
        assert started["session_token"] == sign_viewing(KEY, viewing)

    @pytest.mark.parametrize(
        ("body", "status"),
        [({"video_id": "unknown"}, 404), ({"video_id": "../x"}, 400), ({"video_id": 3}, 400), ([], 400), (None, 400)],
    )
    def test_only_films_that_are_here_are_watched(self, client, body, status):
        assert client.post("/api/viewings", json=body).status_code == status


class TestGuard:
    @pytest.mark.parametrize("host", ["localhost:8084", "127.0.0.1:8084", "[::1]:8084", "LOCALHOST"])
    def test_loopback_names_are_answered(self, host):
        check_origin(host, None, None, ("localhost", "127.0.0.1", "[::1]"))

    @pytest.mark.parametrize(
        ("host", "origin", "site", "status"),
        [
            ("evil.example", None, None, 421),
            ("evil.example:8084", "http://evil.example:8084", None, 421),
            ("localhost:8084", "http://evil.example", None, 403),
            ("localhost:8084", "http://localhost:9", None, 403),
            ("localhost:8084", "null", None, 403),
            ("localhost:8084", None, "cross-site", 403),
            ("localhost:8084", None, "same-site", 403),
        ],
    )
    def test_other_hosts_and_origins_are_refused(self, host, origin, site, status):
        with pytest.raises(StudioError) as raised:
            check_origin(host, origin, site, ("localhost", "127.0.0.1", "[::1]"))
        assert raised.value.status == status

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1", None])
    def test_programs_on_this_machine_are_answered(self, address):
        check_address(address, ("localhost", "127.0.0.1"))

    @pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7", "nonsense"])
    def test_other_machines_are_refused_on_any_interface(self, address):
        with pytest.raises(StudioError) as raised:
            check_address(address, ("localhost", "127.0.0.1"))
        assert raised.value.status == 403

    def test_other_machines_may_reach_a_gateway_with_another_name(self):
        check_address("192.0.2.7", ("localhost", "studio.example"))

    def test_a_forged_host_name_does_not_help_another_machine(self, client):
        answer = client.get("/api/sessions", environ_base={"REMOTE_ADDR": "192.0.2.7"})

        assert (answer.status_code, answer.json["type"]) == (403, "/problems/other-machine")

    def test_every_answer_forbids_other_sources(self, client):
        for path in ("/", "/static/none.js", "/api/films", "/nowhere"):
            policy = client.get(path).headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'self'; ")
            assert "unsafe" not in policy

    def test_a_rebound_host_name_reads_nothing(self, client):
        answer = client.get("/api/films", headers={"Host": "evil.example"})

        assert (answer.status_code, answer.json["type"]) == (421, "/problems/wrong-host")

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"Host": "evil.example"}, 421),
            ({"Origin": "http://evil.example"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
        ],
    )
    def test_every_route_refuses_other_hosts_and_origins(self, client, kept_session, headers, status):
        rules = [each for each in client.application.url_map.iter_rules() if each.rule != "/"]
        assert len(rules) > 20
        for rule in rules:
            path = re.sub("<[^>]+>", kept_session, rule.rule)
            for method in rule.methods:
                answer = client.open(path, method=method, headers=headers)
                assert (answer.status_code, answer.headers.get("Access-Control-Allow-Origin")) == (status, None)

    def test_a_link_from_another_site_opens_the_page(self, client):
        assert client.get("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200


class TestFilms:
    def test_the_sample_is_ready_in_a_form_that_browsers_play(self, client):
        film = client.get("/api/films").json["films"][0]

        assert (film["film_id"], film["state"], film["duration_s"]) == ("sample", "ready", 10.0)
        assert client.get("/api/films/sample/video").content_type == "video/webm"

    def test_parts_of_a_film_are_served(self, client, monkeypatch):
        monkeypatch.setattr(films, "convert", lambda _path, out: out.write_bytes(b"0123456789"))
        answer = client.get("/api/films/sample/video", headers={"Range": "bytes=2-5"})

        assert (answer.status_code, answer.data) == (206, b"2345")

    def test_an_own_film_gets_maps_and_is_converted(self, client, video, store):
        film = client.post("/api/films?name=my film.mkv", data=video.read_bytes()).json
        found = _await(client, film["film_id"])

        assert (found["state"], found["title"], found["progress"]) == ("ready", "my film", 1.0)
        assert len(list(store.extract_saliencyMap(film["film_id"]).maps)) == 6  # 12 frames at 25 frames/s, 10 maps/s
        assert client.get(f"/api/films/{film['film_id']}/video").content_type == "video/webm"
        assert client.post("/api/films?name=again.mkv", data=video.read_bytes()).json["film_id"] == film["film_id"]

    def test_a_removed_film_is_gone(self, client, video):
        film_id = client.post("/api/films?name=a.mkv", data=video.read_bytes()).json["film_id"]

        assert client.delete(f"/api/films/{film_id}").status_code == 200
        assert client.get(f"/api/films/{film_id}").status_code == 404

    @pytest.mark.parametrize(
        ("name", "content", "status"),
        [("a.mp4", b"not a film", 415), ("a.mp4", b"", 400), ("", b"x", 400), ("../../a.mp4", b"no", 415)],
    )
    def test_what_is_not_a_film_is_refused_and_leaves_nothing(self, client, tmp_path, name, content, status):
        answer = client.post("/api/films", query_string={"name": name}, data=content)

        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
        assert [each.name for each in (tmp_path / "films").iterdir()] == ["sample"]

    def test_a_list_of_other_files_is_not_a_film(self, client, video, tmp_path):
        """FFmpeg would open them."""
        (tmp_path / "films" / "secret.mkv").write_bytes(video.read_bytes())

        answer = client.post("/api/films?name=a.mp4", data=b"ffconcat version 1.0\nfile secret.mkv\n")

        assert (answer.status_code, answer.json["type"]) == (415, "/problems/not-a-film")

    def test_a_film_of_huge_images_is_refused(self, client, video, monkeypatch):
        """A PNG film of 560 kB with two images of 16000×16000 pixels took 580 MB to look at."""
        assert uploads.MAX_FILM_PIXELS == 35_389_440  # 8K
        monkeypatch.setattr(uploads, "MAX_FILM_PIXELS", 1000)

        answer = client.post("/api/films?name=a.mkv", data=video.read_bytes())

        assert (answer.status_code, answer.json["type"]) == (413, "/problems/too-large-images")

    @pytest.mark.parametrize("film_id", ["nothing", "..", "%2e%2e%2fstatic", "sample%2f.."])
    def test_paths_lead_nowhere_else(self, client, film_id):
        assert client.get(f"/api/films/{film_id}/video").status_code == 404

    def test_films_are_here_again_after_a_restart(self, make_client, video):
        first = make_client()
        film_id = first.post("/api/films?name=a.mkv", data=video.read_bytes()).json["film_id"]
        _await(first, film_id)

        assert make_client().get(f"/api/films/{film_id}").json["state"] == "ready"


def _await(client, film_id):
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        film = client.get(f"/api/films/{film_id}").json
        if film["state"] != "preparing":
            return film
        time.sleep(0.05)
    raise TimeoutError


@pytest.fixture
def kept_session(client, tmp_path):
    return keep_session(tmp_path, "sample")


class TestFiles:
    @pytest.mark.parametrize("path", ["..%2f..%2ffilms%2fx/session.json", "unknown/session.json", "../x/report.html"])
    def test_only_kept_sessions_have_files(self, client, path):
        assert client.get(f"/api/sessions/{path}").status_code == 404

    @pytest.mark.parametrize("name", ["sessions", "calibrations"])
    def test_other_users_of_the_machine_cannot_read_them(self, client, tmp_path, name):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0

    def test_only_known_files_are_served(self, client, tmp_path):
        (tmp_path / "sessions" / "s").mkdir(parents=True)
        (tmp_path / "sessions" / "s" / "secret.txt").write_text("x")

        assert client.get("/api/sessions/s/secret.txt").status_code == 404

    def test_a_report_and_everything_that_it_links_to_are_served(self, client, kept_session):
        page = client.get(f"/api/sessions/{kept_session}/report.html")
        links = re.findall(r'<a href="([^"]+)"', page.text)

        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; img-src data:; style-src")
        assert set(links) == {*FILES, OVERLAY} - {"session.json", "report.html", FIXATIONS}
        for link in set(links):
            answer = client.get(f"/api/sessions/{kept_session}/{link}")
            assert (answer.status_code, answer.headers["Content-Disposition"]) == (200, f"attachment; filename={link}")

    @pytest.mark.parametrize("name", ["session.json", "report.html", "trace.csv", "fixations.json"])
    def test_no_browser_keeps_the_numbers_of_a_viewer(self, client, kept_session, name):
        assert client.get(f"/api/sessions/{kept_session}/{name}").headers["Cache-Control"] == "no-store"

    def test_the_fixations_of_the_page_wait_for_no_score(self, client, kept_session, monkeypatch):
        monkeypatch.setattr(attention_score, "SessionScore", None)

        # The session has no blink, and ten frames of one gaze from 0.05 to 0.5 s.
        assert client.get(f"/api/sessions/{kept_session}/fixations.json").json == {
            "onset_ms": [50],
            "duration_ms": [450],
            "x": [50000],
            "y": [50000],
        }

    def test_a_report_sends_nothing_anywhere(self, client, kept_session):
        policy = client.get(f"/api/sessions/{kept_session}/report.html").headers["Content-Security-Policy"]

        # default-src does not cover these.
        assert {"base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))

    def test_a_session_whose_film_is_gone_has_a_report_but_no_overlay(self, client, tmp_path):
        keep_session(tmp_path, "gone")

        assert "overlay.mp4" not in client.get("/api/sessions/s/report.html").text
        assert client.get("/api/sessions/s/overlay.mp4").status_code == 404

    def test_the_sample_person_has_images_of_nine_targets_and_two_to_test(self, client):
        images = client.get("/api/sample-person").json["targets"]

        assert len({tuple(each["target"]) for each in images}) == 11
        first = (SAMPLE / "recording" / "frames" / "0001.jpg").read_bytes()
        assert client.get(images[0]["url"]).data == first

    def test_the_clip_is_made_once_for_two_tabs(self, client, monkeypatch):
        running, most = [], []

        def make(_path, out):
            running.append(out)
            most.append(len(running))
            time.sleep(0.1)
            out.write_bytes(b"clip")
            running.pop()

        monkeypatch.setattr(gateway, "convert", make)
        app = client.application
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda _: app.test_client().get("/api/sample-person/clip.webm").data, range(2)))

        assert answers == [b"clip", b"clip"]
        assert most == [1]

    @pytest.mark.parametrize("name", ["0099.jpg", "..%2ftargets.csv", "targets.csv"])
    def test_no_other_file_of_the_sample_is_served(self, client, name):
        assert client.get(f"/api/sample-person/{name}").status_code == 404


def test_a_film_of_the_page_has_no_paths():
    assert set(StudioFilm("f", "t").as_json()) == {
        *("film_id", "title", "state", "progress", "problem", "duration_s", "width", "height", "reason", "notes")
    }


class TestEnded:
    def test_a_scored_viewing_has_ended(self):
        answer = {"session_id": "s", "result": {"score_invalid_reason": None}}
        assert find_ended(json.dumps(answer).encode()) == EndedSession("s", is_calibration=False)

    def test_a_calibration_has_ended(self):
        answer = {"session_id": "c", "result": {"score_invalid_reason": "calibration_session"}}
        assert find_ended(json.dumps(answer).encode()) == EndedSession("c", is_calibration=True)

    def test_the_last_of_several_frames_ends_a_viewing(self):
        answer = {"session_id": "s", "frames": [{"gaze": None}, {"result": {"score_invalid_reason": None}}]}
        assert find_ended(json.dumps(answer).encode()) == EndedSession("s", is_calibration=False)

    @pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"session_id": "s"}', b'{"frames": [1], "session_id": "s"}'])
    def test_other_answers_end_nothing(self, body):
        assert find_ended(body) is None
