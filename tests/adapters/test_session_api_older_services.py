"""The session store with services that are older than ours."""

import threading

import pytest
from flask import Flask, jsonify, request

from func.adapters.session_api import HttpSessionStore
from gaze_core.ports import Session
from tests.adapters.upstream_services import Answer, misbehave, serve

VIEWER = {"ip_address": "203.0.113.7", "video_id": "contents1"}
RECORD = {"gaze": [0.25, 0.75]}


class TestOlderServices:
    """They read, merge and write, do not report what was stored, and ignore unknown fields."""

    @pytest.fixture
    def older(self):
        app, sessions, lock = Flask("older"), {}, threading.Lock()

        @app.post("/mk-session")
        def make():
            body = request.get_json()
            with lock:
                if body["session_id"] in sessions:
                    return jsonify(message="Session Already Exist")
                sessions[body["session_id"]] = {
                    **{name: body[name] for name in ("session_id", "ip_address", "video_id")},
                    "created_at": "2026-01-01 10:00:00",
                    "components": {"gaze_tracking": {}, "blink_detection": {"1": "theirs"}, "emotion_analysis": {}},
                }
            return jsonify(session_id=body["session_id"]), 201

        @app.get("/get_session/<session_id>")
        def get(session_id):
            session = sessions.get(session_id)
            return jsonify(session) if session else (jsonify(error="Session Not Found"), 404)

        @app.put("/update_session/<session_id>")
        def put(session_id):
            with lock:
                if session_id not in sessions:
                    return jsonify(error="Session Not Found"), 404
                body = request.get_json()
                for component, values in body["data"]["components"].items():
                    sessions[session_id]["components"][component].update(values)
            return jsonify(message="Session Updated Successfully")

        with serve(app) as url:
            store = HttpSessionStore(url, timeout_s=60, retries=0)
            store.sessions = sessions
            yield store

    def test_sent_frames_count_as_stored_and_written(self, older):
        update = older.update_session("s", 17, {"gaze": (0.25, 0.75)}, **VIEWER)

        assert update.stored == {"17": {"gaze": [0.25, 0.75]}}
        assert update.written == {"17"}

    def test_a_sent_result_counts_as_stored_and_written(self, older):
        older.create_session("s", **VIEWER)

        update = older.store_settings("s", {"result": {"final_score": 1.5}, "screen": 1})

        assert (update.stored, update.written) == ({"result": {"final_score": 1.5}}, {"result"})

    def test_a_session_is_read_back(self, older):
        older.update_session("s", 17, RECORD, **VIEWER)
        older.store_settings("s", {"screen": {"width_mm": 345}})

        assert older.get_session("s") == Session(
            session_id="s",
            ip_address="203.0.113.7",
            video_id="contents1",
            created_at="2026-01-01 10:00:00",
            frames={17: {"gaze": [0.25, 0.75]}},
            settings={"screen": {"width_mm": 345}},
        )

    def test_data_of_other_components_is_kept(self, older):
        older.update_session("s", 17, RECORD, **VIEWER)

        assert older.sessions["s"]["components"]["blink_detection"] == {"1": "theirs"}

    @pytest.mark.parametrize(
        "records",
        [
            {"3": [400, 300], "4": {"gaze": [400, 300], "saliency_match": 1}, "screen": {}},
            {
                "components": {"gaze_tracking": {"3": [400, 300], "screen": {}}},
                "4": {"gaze": [400, 300], "saliency_match": 1},
            },
        ],
        ids=["flat", "nested once more"],
    )
    def test_old_records_are_kept_as_they_are(self, records):
        with misbehave(Answer(200, {"components": {"gaze_tracking": records}})) as service:
            session = HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

        assert session.frames == {3: [400, 300], 4: {"gaze": [400, 300], "saliency_match": 1}}
        assert session.settings == {"screen": {}}
        assert (session.ip_address, session.video_id, session.created_at) == ("", "", "")

    @pytest.mark.parametrize("components", [{}, {"gaze_tracking": None}, {"blink_detection": {"1": 1}}])
    def test_a_session_without_our_component_has_no_frames(self, components):
        with misbehave(Answer(200, {"components": components})) as service:
            session = HttpSessionStore(service.url, timeout_s=60, retries=0).get_session("s")

        assert (session.frames, session.settings) == ({}, {})
