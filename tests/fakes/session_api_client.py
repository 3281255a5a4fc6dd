"""A client of the session API without a server."""

from datetime import UTC, datetime, timedelta

from gaze_tools.stack.session_api import create_app

# Far from now, or MongoDB itself would remove what a test has just written.
START = datetime(2126, 1, 1, 10, tzinfo=UTC)
NOT_FOUND = {"error": "Session Not Found"}
SCORED = {"error": "Session Already Scored", "free_in_s": 300.0}


class Api:
    """A client of the API whose clock stands until it is moved."""

    def __init__(self, database, **kwargs):
        self.now = START
        self._client = create_app(database, clock=lambda: self.now, **kwargs).test_client()

    def call(self, method, path, body=None):
        response = self._client.open(path, method=method, json=body)
        return response.status_code, response.get_json()

    def make(self, session_id="s", **more):
        body = {"session_id": session_id, "ip_address": "203.0.113.7", "video_id": "contents1", **more}
        return self.call("POST", "/mk-session", body)

    def put(self, values, session_id="s", component="gaze_tracking"):
        body = {"component": component, "data": {"components": {component: values}}}
        return self.call("PUT", f"/update_session/{session_id}", body)

    def get(self, session_id="s", query=""):
        return self.call("GET", f"/get_session/{session_id}{query}")

    def frames(self, component="gaze_tracking"):
        return self.get()[1]["components"][component]

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
