"""The local aggregator: its contract, one effect for each delivery, a row of three."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gaze_tools.stack import aggregator
from gaze_tools.stack.aggregator import create_app

SUCCESS = (200, {"status": "success", "message": "Score received"})


class Api:
    def __init__(self, database):
        self._client = create_app(database).test_client()

    def send(self, model_type="gaze", score=50.0, key=None, **more):
        body = {"video_id": "v", "final_score": score, "ip_address": "203.0.113.7", "model_type": model_type, **more}
        headers = {} if key is None else {"Idempotency-Key": key}
        response = self._client.post("/aggregate", json=body, headers=headers)
        return response.status_code, response.get_json()

    def results(self):
        return self._client.get("/results").get_json()

    def rows(self):
        return [{name: value for name, value in row.items() if name != "written_at"} for row in self.results()["rows"]]


@pytest.fixture
def api(database):
    return Api(database)


def test_a_score_is_received(api):
    assert api.send() == SUCCESS


def test_what_arrived_can_be_read(api):
    api.send(key="k", session_id="s", score_valid=False, coverage=0.5)

    assert api.results() == {
        "deliveries": [
            {
                "idempotency_key": "k",
                "count": 1,
                "video_id": "v",
                "final_score": 50.0,
                "ip_address": "203.0.113.7",
                "model_type": "gaze",
                "session_id": "s",
                "score_valid": False,
                "coverage": 0.5,
            }
        ],
        "rows": [],
    }


def test_the_same_key_has_the_same_answer_and_counts_once(api):
    assert [api.send(score=1.0, key="k"), api.send(score=2.0, key="k")] == [SUCCESS, SUCCESS]

    (entry,) = api.results()["deliveries"]
    assert (entry["final_score"], entry["count"]) == (1.0, 2)


def test_without_a_key_every_delivery_counts(api):
    api.send()
    api.send()

    assert [entry["count"] for entry in api.results()["deliveries"]] == [1, 1]


def test_three_model_types_of_a_viewer_and_video_make_a_row(api):
    api.send("gaze", 10.0)
    api.send("emotion", 20.0)
    assert api.rows() == []
    api.send("blink_detection", 30.0)

    assert api.rows() == [
        {"ip_address": "203.0.113.7", "video_id": "v", "gaze": 10.0, "emotion": 20.0, "blink_detection": 30.0}
    ]


def test_viewers_and_videos_do_not_mix(api):
    api.send("gaze")
    api.send("emotion", ip_address="203.0.113.8")
    api.send("blink_detection", video_id="w")

    assert api.rows() == []


def test_a_late_repeat_starts_no_second_row(api):
    for model_type in ("gaze", "emotion", "blink_detection"):
        api.send(model_type, key=model_type)
    api.send("gaze", key="gaze")
    api.send("emotion", key="emotion 2")
    api.send("blink_detection", key="blink 2")

    assert len(api.rows()) == 1


def test_another_viewing_makes_another_row(api):
    for turn in ("1", "2"):
        for model_type in ("gaze", "emotion", "blink_detection"):
            api.send(model_type, float(turn), key=model_type + turn)

    assert sorted(row["gaze"] for row in api.rows()) == [1.0, 2.0]


def test_simultaneous_repeats_count_once(api):
    jobs = [(model_type, model_type) for model_type in ("gaze", "emotion", "blink_detection")] * 6

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda job: api.send(job[0], key=job[1]), jobs))

    assert answers == [SUCCESS] * 18
    assert sorted(entry["count"] for entry in api.results()["deliveries"]) == [6, 6, 6]
    assert len(api.rows()) == 1


def test_a_row_that_a_killed_process_began_is_finished_by_the_next_delivery(api, monkeypatch):
    api.send("gaze", 10.0)
    api.send("emotion", 20.0)
    with monkeypatch.context() as patch:
        patch.setattr(aggregator, "_write_row", lambda *_args: None)
        api.send("blink_detection", 30.0)
    assert api.rows() == []

    api.send("gaze", 99.0)

    assert [row["gaze"] for row in api.rows()] == [10.0]


@pytest.mark.parametrize(
    "change",
    [
        {"score": None},
        {"score": True},
        {"score": "50"},
        {"score": -1},
        {"score": 100.5},
        {"score": float("nan")},
        {"score": 10**400},
        {"video_id": ""},
        {"ip_address": 5},
        {"ip_address": "\ud800"},
        {"model_type": "other"},
    ],
)
def test_a_bad_body_is_400(api, change):
    status, body = api.send(**change)

    assert (status, body["status"]) == (400, "error")
    assert api.results()["deliveries"] == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_400(api, content):
    response = api._client.post("/aggregate", data=content)

    assert (response.status_code, response.get_json()["status"]) == (400, "error")


def test_trouble_is_500_with_status_error_and_no_details(api, monkeypatch):
    def fail(*_args):
        raise RuntimeError("secret")

    monkeypatch.setattr(aggregator, "_apply", fail)

    assert api.send() == (500, {"status": "error", "message": "The aggregator failed"})
