"""Session APIs and aggregators that pass the kit, but for one fault each."""

import importlib.util
import json
import socket
import sys
import threading
import time
from io import BytesIO

from werkzeug.test import run_wsgi_app
from werkzeug.wrappers import Request, Response

from tests.docs.test_links import ROOT


def _load(name):
    spec = importlib.util.spec_from_file_location(f"upstream_{name}", ROOT / f"docs/examples/upstream/{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


session_api = _load("session_api")
aggregator = _load("aggregator")
FRAME_NUMBER = session_api.FRAME_NUMBER
MemorySessions = session_api.MemorySessions
RACE_S = 0.05
"""Time between reading and writing, long enough for other threads to come in between."""


class Call:
    """A request on its way to a service; `forward` sends it, `with_body` changes it."""

    def __init__(self, app, environ):
        self._app = app
        self.environ = environ
        self.request = Request(environ)
        self.raw = self.request.get_data()

    @property
    def method(self):
        return self.request.method

    @property
    def path(self):
        return self.request.path

    @property
    def body(self):
        return json.loads(self.raw)

    def forward(self, body=None, **environ):
        raw = self.raw if body is None else json.dumps(body).encode()
        changed = {**self.environ, "wsgi.input": BytesIO(raw), "CONTENT_LENGTH": str(len(raw)), **environ}
        iterable, status, headers = run_wsgi_app(self._app, changed, buffered=True)
        return Response(b"".join(iterable), status, headers)


def spoil(app, fault):
    """Return an application in which a fault decides on every call."""

    def spoiled(environ, start_response):
        return fault(Call(app, environ))(environ, start_response)

    return spoiled


def answer(status, body, content_type="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(content, status, content_type=content_type)


def change_answer(response, change):
    """Return a response with its JSON object changed."""
    body = json.loads(response.get_data())
    change(body)
    return answer(response.status_code, body)


def for_calls(method, *, path=""):
    """Return a decorator: the fault applies to these calls, all others are forwarded."""

    def decorate(fault):
        def decide(call):
            return fault(call) if call.method == method and path in call.path else call.forward()

        return decide

    return decorate


def changing_values(change):
    """Return a fault that changes the values of each record and setting before they are stored."""

    @for_calls("PUT")
    def fault(call):
        try:
            body = call.body
            components = body["data"]["components"]
            changed = {
                name: {key: change(value) for key, value in values.items()} for name, values in components.items()
            }
        except (ValueError, TypeError, KeyError, AttributeError):
            return call.forward()
        return call.forward({**body, "data": {"components": changed}})

    return fault


def walk(value, change):
    """Return a JSON value with each of its leaves changed."""
    if isinstance(value, dict):
        return {key: walk(each, change) for key, each in value.items()}
    if isinstance(value, list):
        return [walk(each, change) for each in value]
    return change(value)


def without_nulls(value):
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return [without_nulls(each) for each in value] if isinstance(value, list) else value


# Faults of a session API between it and the wire.


@for_calls("GET", path="/get_session")
def html_with_status_200(call):
    return answer(200, b"<html><body>Please log in</body></html>", "text/html")


@for_calls("PUT")
def redirect(call):
    return Response(b"", 308, {"Location": f"http://elsewhere.invalid{call.path}"})


@for_calls("GET", path="/get_session")
def server_error_for_unknown(call):
    response = call.forward()
    return answer(500, {"error": "KeyError"}) if response.status_code == 404 else response


@for_calls("GET", path="/get_session")
def html_404(call):
    response = call.forward()
    return answer(404, b"<html>404</html>", "text/html") if response.status_code == 404 else response


@for_calls("POST")
def accepted_instead_of_created(call):
    response = call.forward()
    response.status_code = 202 if response.status_code == 201 else response.status_code
    return response


@for_calls("PUT")
def update_creates(call):
    response = call.forward()
    if response.status_code == 404 and b"2001-01-01" not in call.raw:
        session_id = call.path.rpartition("/")[2]
        made = {"session_id": session_id, "ip_address": "", "video_id": ""}
        created = json.dumps(made).encode()
        changed = {"REQUEST_METHOD": "POST", "PATH_INFO": "/mk-session", "wsgi.input": BytesIO(created)}
        run_wsgi_app(call._app, {**call.environ, **changed, "CONTENT_LENGTH": str(len(created))}, buffered=True)
        return call.forward()
    return response


def hiding(*keys, when="GET"):
    """Return a fault that leaves keys out of answers."""

    @for_calls(when)
    def fault(call):
        response = call.forward()
        return change_answer(response, lambda body: [body.pop(key, None) for key in keys])

    return fault


def without_lifetime(call):
    if call.method == "PUT":
        return hiding("ttl_s", when="PUT")(call)
    return hiding("ttl_s")(call) if "/get_session" in call.path else call.forward()


@for_calls("GET", path="/get_session")
def new_creation_time(call):
    def change(body):
        if "created_at" in body:
            body["created_at"] = str(time.time_ns())

    return change_answer(call.forward(), change)


@for_calls("GET", path="/get_session")
def large_answers_truncated(call):
    response = call.forward()
    content = response.get_data()
    if len(content) > 1_000_000:
        response.set_data(content[:1_000_000])
    return response


@for_calls("PUT")
def large_bodies_refused(call):
    return answer(413, {"error": "Too Large"}) if len(call.raw) > 1_000_000 else call.forward()


@for_calls("GET", path="/get_session")
def stale_range(call):
    """Hide the last frame of a read of one frame: a replica that has not got it yet."""
    first, last = call.request.args.get("from"), call.request.args.get("to")

    def change(body):
        if first == last and first is not None and int(first) > 3:
            body.get("components", {}).get("gaze_tracking", {}).pop(last, None)

    return change_answer(call.forward(), change)


@for_calls("GET", path="/get_session")
def ranges_ignored(call):
    return call.forward(QUERY_STRING="")


@for_calls("PUT")
def repeated_frames_refused(call):
    response = call.forward()
    body = json.loads(response.get_data())
    repeated = set(body.get("stored", ())) - set(body.get("written", ())) - {"result"}
    return answer(409, {"error": "Frame Exists"}) if repeated else response


@for_calls("PUT")
def batches_with_repeated_frames_refused(call):
    response = call.forward()
    body = json.loads(response.get_data())
    stored = body.get("stored", {})
    is_bad = len(stored) > 2 and len(body["written"]) < len(stored)
    return answer(409, {"error": "Frame Exists"}) if is_bad else response


@for_calls("PUT")
def sent_values_reported_as_stored(call):
    def change(body):
        if "stored" in body:
            sent = next(iter(call.body["data"]["components"].values()))
            body["stored"] = {key: sent[key] for key in body["stored"]}
            body["written"] = list(body["stored"])

    return change_answer(call.forward(), change) if b'"data"' in call.raw else call.forward()


def server_error_for_malformed(call):
    response = call.forward()
    return answer(500, {"status": "error", "error": "x"}) if response.status_code == 400 else response


def text_content_type(call):
    response = call.forward()
    response.content_type = "text/plain"
    return response


def one_request_per_connection(call):
    response = call.forward()
    response.headers["Connection"] = "close"
    return response


def make_broken_connection():
    """Return a fault that closes the first connection of some session without an answer."""
    broken = []

    @for_calls("PUT", path="session-steady")
    def fault(call):
        if not broken:
            broken.append(True)
            call.environ["client.socket"].shutdown(socket.SHUT_RDWR)
        return call.forward()

    return fault


def slow_after(duration_s, method, path):
    """Return a fault that delays answers."""

    @for_calls(method, path=path)
    def fault(call):
        time.sleep(duration_s)
        return call.forward()

    return fault


@for_calls("DELETE")
def removal_without_effect(call):
    return answer(200, {"message": "Session Removed Successfully"})


def colons_refused(call):
    return answer(400, {"error": "Bad Id"}) if ":" in call.path or b":b:c" in call.raw else call.forward()


# Faults inside of a session API.


class ReadChangeWrite(MemorySessions):
    """Loses concurrent updates."""

    def update(self, session_id, components, created_at):
        before = self.copy(session_id)
        time.sleep(RACE_S)
        with self.lock:
            if before is not None and session_id in self.sessions:
                self.sessions[session_id]["components"] = before
        return super().update(session_id, components, created_at)

    def copy(self, session_id):
        with self.lock:
            session = self.sessions.get(session_id)
            return session and {name: dict(values) for name, values in session["components"].items()}


class OtherComponentsRestored(ReadChangeWrite):
    """Writes frames one by one, but all other components as they were before."""

    def update(self, session_id, components, created_at):
        before = self.copy(session_id)
        time.sleep(RACE_S)
        with self.lock:
            if before is not None and session_id in self.sessions:
                now = self.sessions[session_id]["components"]
                now.update({name: values for name, values in before.items() if name not in components})
        return MemorySessions.update(self, session_id, components, created_at)


class CreatesTwice(MemorySessions):
    def create(self, session_id, ip_address, video_id):
        self.sessions.pop(session_id, None)
        return super().create(session_id, ip_address, video_id)


class CreationRace(MemorySessions):
    """Looks first and creates later."""

    def create(self, session_id, ip_address, video_id):
        if session_id in self.sessions:
            return super().create(session_id, ip_address, video_id)
        # Some take longer than others.
        self.count = getattr(self, "count", 0) + 1
        time.sleep(2 * RACE_S * (self.count % 4))
        self.sessions.pop(session_id, None)
        return super().create(session_id, ip_address, video_id)


class NoWinner(MemorySessions):
    """Tells concurrent writers of one key that each of them has written it."""

    def __init__(self):
        super().__init__()
        self.busy = {}

    def update(self, session_id, components, created_at):
        own = threading.get_ident()
        self.busy[own] = session_id
        time.sleep(RACE_S)
        is_alone = list(self.busy.values()).count(session_id) == 1
        body, status = super().update(session_id, components, created_at)
        time.sleep(RACE_S)
        del self.busy[own]
        keys = [key for values in components.values() for key in values]
        if status == 200 and not is_alone and len(keys) == 1 and keys[0] in body["stored"]:
            body["stored"] = {keys[0]: next(iter(components.values()))[keys[0]]}
        return body, status


class Replacing(MemorySessions):
    """Lets later values replace write-once keys that match."""

    def __init__(self, replaces):
        super().__init__()
        self.replaces = replaces

    def update(self, session_id, components, created_at):
        with self.lock:
            session = self.sessions.get(session_id, {"components": {}})
            for name, values in components.items():
                for key in values:
                    known = session["components"].get(name, {})
                    if self.replaces(key) and key in known:
                        known[key] = values[key]
        return super().update(session_id, components, created_at)


class ComponentReplaced(MemorySessions):
    def update(self, session_id, components, created_at):
        with self.lock:
            for name in components:
                if session_id in self.sessions:
                    values = self.sessions[session_id]["components"].get(name, {})
                    kept = {key: value for key, value in values.items() if key in components[name]}
                    self.sessions[session_id]["components"][name] = kept
        return super().update(session_id, components, created_at)


class SettingsWrittenOnce(MemorySessions):
    def update(self, session_id, components, created_at):
        with self.lock:
            known = self.sessions.get(session_id, {"components": {}})["components"]
            kept = {
                name: {key: value for key, value in values.items() if key not in known.get(name, {}) or is_once(key)}
                for name, values in components.items()
            }
        return super().update(session_id, kept, created_at)


def is_once(key):
    return key == "result" or FRAME_NUMBER.fullmatch(key) is not None


class CaselessIds(MemorySessions):
    def create(self, session_id, ip_address, video_id):
        return super().create(session_id.lower(), ip_address, video_id)

    def read(self, session_id, component, first, last):
        found = super().read(session_id.lower(), component, first, last)
        return found and {**found, "session_id": session_id}

    def update(self, session_id, components, created_at):
        return super().update(session_id.lower(), components, created_at)

    def remove(self, session_id):
        return super().remove(session_id.lower())


class Forgetful(MemorySessions):
    """Keeps only the fields of records that it knows."""

    KNOWN = ("gaze", "validity", "features", "origin_mm", "distance_mm", "eye_openness", "timestamp_ms")
    KNOWN += ("video_time_ms", "target", "eyes", "head_pose_deg", "image_digest", "video_id", "calibration_use")
    KNOWN += ("calibration_session", "blink", "value")

    def update(self, session_id, components, created_at):
        kept = {
            name: {
                key: {field: each for field, each in value.items() if field in self.KNOWN}
                if FRAME_NUMBER.fullmatch(key) and isinstance(value, dict)
                else value
                for key, value in values.items()
            }
            for name, values in components.items()
        }
        return super().update(session_id, kept, created_at)


class RangeWithoutEnd(MemorySessions):
    """Leaves later frames out without saying where to go on."""

    def read(self, session_id, component, first, last):
        found = super().read(session_id, component, first, last)
        return found and {key: value for key, value in found.items() if key != "next_from"}


class SmallNumbers(MemorySessions):
    def update(self, session_id, components, created_at):
        if any(FRAME_NUMBER.fullmatch(key) and int(key) > 2**31 for values in components.values() for key in values):
            return {"error": "Out Of Range"}, 400
        return super().update(session_id, components, created_at)


class AtMost1000(MemorySessions):
    def read(self, session_id, component, first, last):
        found = super().read(session_id, component, first, last)
        if found is None:
            return None
        short = {name: dict(list(values.items())[:300]) for name, values in found["components"].items()}
        return {**found, "components": short}


class SealedForAll(MemorySessions):
    """Refuses also frames that exist once there is a result."""

    def update(self, session_id, components, created_at):
        values = self.sessions.get(session_id, {"components": {}})["components"].get("gaze_tracking", {})
        if "result" in values and any(FRAME_NUMBER.fullmatch(key) for each in components.values() for key in each):
            return {"error": "Session Already Scored"}, 409
        return super().update(session_id, components, created_at)


class NeverSealed(MemorySessions):
    def update(self, session_id, components, created_at):
        with self.lock:
            values = self.sessions.get(session_id, {"components": {}})["components"].get("gaze_tracking", {})
            result = values.pop("result", None)
        if result is not None:
            components = {
                name: {key: result if key == "result" else value for key, value in each.items()}
                for name, each in components.items()
            }
        done = super().update(session_id, components, created_at)
        if result is not None:
            values.setdefault("result", result)
        if result is not None and done[1] == 200:
            done[0]["written"] = [key for key in done[0]["written"] if key != "result"]
        return done


class NoCondition(MemorySessions):
    def update(self, session_id, components, created_at):
        return super().update(session_id, components, None)


class Unremembered(MemorySessions):
    """Remembers 404s: an id that was unknown once gets no frame for a minute."""

    def __init__(self):
        super().__init__()
        self.unknown = {}

    def update(self, session_id, components, created_at):
        if time.monotonic() < self.unknown.get(session_id, 0):
            return {"error": "Session Not Found"}, 404
        done = super().update(session_id, components, created_at)
        if done[1] == 404 and created_at is None:
            self.unknown[session_id] = time.monotonic() + 60
        return done


class OldFramesComeBack(MemorySessions):
    """Deletes a session but not its frames."""

    def create(self, session_id, ip_address, video_id):
        old = self.sessions.get(session_id)
        is_new = super().create(session_id, ip_address, video_id)
        kept = old or getattr(self, "gone", {}).get(session_id)
        if is_new and kept:
            self.sessions[session_id]["components"] = kept["components"]
        return is_new

    def find(self, session_id):
        old = self.sessions.get(session_id)
        found = super().find(session_id)
        if old is not None and found is None:
            self.gone = {**getattr(self, "gone", {}), session_id: old}
        return found


class ExpiryForgotten(MemorySessions):
    def find(self, session_id):
        found = super().find(session_id)
        self.expired.clear()
        return found


class ReadsDoNotCount(MemorySessions):
    def read(self, session_id, component, first, last):
        until_s = self.sessions.get(session_id, {}).get("expires_at_s")
        found = super().read(session_id, component, first, last)
        if found is not None:
            self.sessions[session_id]["expires_at_s"] = until_s
        return found


class RefusalsProlong(MemorySessions):
    def update(self, session_id, components, created_at):
        body, status = super().update(session_id, components, created_at)
        if status == 409:
            self.prolong(self.sessions[session_id])
        return body, status


# Faults of an aggregator.


@for_calls("POST")
def created_instead_of_ok(call):
    response = call.forward()
    response.status_code = 201 if response.status_code == 200 else response.status_code
    return response


@for_calls("POST")
def unknown_fields_refused(call):
    return answer(400, {"status": "error", "message": "coverage"}) if b'"coverage"' in call.raw else call.forward()


@for_calls("POST")
def zero_taken_for_missing(call):
    if b'"final_score":0,' in call.raw or b'"final_score":0.0,' in call.raw:
        return answer(400, {"status": "error", "message": "final_score is missing"})
    return call.forward()


@for_calls("POST")
def only_ipv4(call):
    is_other = b'"ip_address":"192.' not in call.raw and b'"ip_address"' in call.raw
    return answer(400, {"status": "error", "message": "ip_address"}) if is_other else call.forward()


@for_calls("POST")
def keys_ignored(call):
    return call.forward(HTTP_IDEMPOTENCY_KEY="")


def make_conflicts():
    """Return a fault that answers a known key with 409."""
    seen = set()

    @for_calls("POST")
    def fault(call):
        key = call.request.headers.get("Idempotency-Key")
        if key in seen and "-http-" not in key:
            return answer(409, {"status": "error", "message": "duplicate"})
        seen.add(key)
        return call.forward()

    return fault


def make_busy():
    """Return a fault that fails if a delivery with the same key is being stored."""
    busy, lock = set(), threading.Lock()

    @for_calls("POST")
    def fault(call):
        key = call.request.headers.get("Idempotency-Key")
        with lock:
            if key in busy:
                return answer(500, {"status": "error", "message": "UniqueViolation"})
            busy.add(key)
        time.sleep(RACE_S)
        response = call.forward()
        busy.discard(key)
        return response

    return fault


def make_broken_delivery():
    """Return a fault that closes the first connection of some delivery without an answer."""
    broken = []

    @for_calls("POST")
    def fault(call):
        if b"http-1" in call.raw and not broken:
            broken.append(True)
            call.environ["client.socket"].shutdown(socket.SHUT_RDWR)
        return call.forward()

    return fault
