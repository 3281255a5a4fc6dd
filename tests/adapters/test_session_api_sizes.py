"""Limits on the size and the pages of answers of the session API."""

import pytest
from flask import Flask, jsonify, request

from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SessionStoreError
from tests.adapters.upstream_services import Answer, misbehave, serve


def frames_of(size_bytes):
    """Return the frames of a session whose answer has about `size_bytes`."""
    return {str(number): "x" * 1000 for number in range(size_bytes // 1010)}


class TestLongAnswers:
    def test_an_older_service_may_answer_with_fifty_megabytes_at_once(self):
        frames = frames_of(50_000_000)
        with misbehave(Answer(200, {"components": {"gaze_tracking": frames}})) as service:
            session = HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

        assert len(session.frames) == len(frames)

    def test_no_service_may_answer_with_seventy(self):
        with misbehave(Answer(200, b" " * 70_000_000)) as service:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)
            with pytest.raises(SessionStoreError, match="session API: GET /get_session was answered with more"):
                store.get_session("s")

    @pytest.mark.parametrize(
        "said",
        [
            ("GET", {"components": {}, "next_from": None}),
            ("PUT", {"message": "ok", "stored": {"result": 1}, "written": []}),
        ],
        ids=["GET", "PUT"],
    )
    def test_the_size_limit_of_a_page_depends_on_the_requested_frames(self, said):
        method, answer = said
        page = {"components": {"gaze_tracking": frames_of(20_000_000)}, "next_from": None}
        with misbehave(Answer(200, answer), Answer(200, page)) as service:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)
            store.get_session("s") if method == "GET" else store.store_settings("s", {"result": 1})

            assert len(store.get_session("s").frames) == 20_000_000 // 1010
            with pytest.raises(SessionStoreError, match="more than"):
                store.get_session("s", first=1, last=100)

    def test_a_put_is_answered_with_a_megabyte_at_most(self):
        answer = {"message": "x" * 1_000_000}
        with misbehave(Answer(200, answer), Answer(200, {"message": "x" * 1_100_000})) as service:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)
            store.store_settings("s", {"screen": 1})

            with pytest.raises(SessionStoreError, match="more than 1048576 bytes"):
                store.store_settings("s", {"screen": 1})

    def test_the_answer_to_a_result_may_hold_the_trace_of_an_hour(self):
        result = {"trace": ["x" * 1000] * 4000}
        with misbehave(Answer(200, {"message": "ok", "stored": {"result": result}})) as service:
            store = HttpSessionStore(service.url, timeout_s=60, retries=0)

            assert store.store_settings("s", {"result": result}).stored == {"result": result}

    def test_a_page_may_end_before_the_last_frame_asked_for(self):
        pages = [
            Answer(200, {"components": {"gaze_tracking": {"1": "a", "2": "b"}}, "next_from": 3}),
            Answer(200, {"components": {"gaze_tracking": {"3": "c"}}, "next_from": 4}),
            Answer(200, {"components": {"gaze_tracking": {"4": "d"}}, "next_from": None}),
        ]
        with misbehave(*pages) as service:
            session = HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

        assert session.frames == {1: "a", 2: "b", 3: "c", 4: "d"}

    @pytest.mark.parametrize("next_from", [3, 2, "4", 4.0, True])
    def test_a_page_that_does_not_lead_on_is_an_error(self, next_from):
        pages = [
            Answer(200, {"components": {}, "next_from": 3}),
            Answer(200, {"components": {}, "next_from": next_from}),
        ]
        with misbehave(*pages) as service, pytest.raises(SessionStoreError, match=r"next page|`next_from`"):
            HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

    def test_the_number_of_pages_is_limited(self):
        app, asked = Flask("circles"), []

        @app.get("/get_session/<_id>")
        def get(_id):
            asked.append(request.args["to"])
            return jsonify(components={}, next_from=int(asked[-1]) + 1)

        with serve(app) as url:
            store = HttpSessionStore(url, timeout_s=60, retries=0)
            with pytest.raises(SessionStoreError, match="more than 200 pages"):
                store.get_session("s")

        assert len(asked) == 200
