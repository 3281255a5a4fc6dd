# gateway.py
"""A minimal API gateway: makes session ids and tokens, adds the viewer's address, forwards frames, serves PAGE."""

import hashlib
import hmac
import json
import os
import time
import uuid
from pathlib import Path

import requests
from flask import Flask, request

FUNCTION_URL = os.environ.get("FUNCTION_URL", "http://localhost:8080")
TOKEN_KEY = os.environ.get("TOKEN_KEY", "").encode()
VIDEO_IDS = ("calibration", "check", "sample")  # your videos; the first two are sessions without one

app = Flask(__name__, static_folder=Path(os.environ["PAGE"]).absolute(), static_url_path="")
app.config["MAX_CONTENT_LENGTH"] = 8 * 2**20  # MAX_BODY_BYTES of the function
http = requests.Session()
http.trust_env = False  # no proxy of the environment, no .netrc


@app.get("/")
def page():
    return app.send_static_file("index.html")


@app.post("/api/viewings")
def start_viewing():
    body = request.get_json(silent=True)
    video_id = body.get("video_id") if isinstance(body, dict) else None
    if video_id not in VIDEO_IDS:
        return {"detail": "There is no such video."}, 404
    viewing = {"session_id": str(uuid.uuid4()), "video_id": video_id}
    if TOKEN_KEY:
        start_ms = time.time_ns() // 1_000_000
        lines = ("gaze-session-token-v1", viewing["session_id"], request.remote_addr, video_id, str(start_ms))
        code = hmac.new(TOKEN_KEY, "\n".join(lines).encode(), hashlib.sha256).hexdigest()
        viewing["session_token"] = f"v1.{start_ms}.{video_id}.{code}"
    return viewing, 201


@app.post("/gaze")
def forward():
    part = request.files.get("metadata")
    try:
        metadata = json.loads(part.read() if part else request.form["metadata"])
        metadata["ip_address"] = request.remote_addr  # never what the browser says
    except (KeyError, TypeError, ValueError, RecursionError):
        return {"detail": "The part metadata is not a JSON object."}, 400
    parts = [("metadata", (None, json.dumps(metadata), "application/json"))]
    parts += [("frame", ("frame", image.read(), "image/jpeg")) for image in request.files.getlist("frame")]
    try:
        answer = http.post(f"{FUNCTION_URL}/gaze", files=parts, timeout=(5, 300))
    except requests.RequestException as error:
        app.logger.warning("%s cannot be reached: %s", FUNCTION_URL, error)
        return {"detail": "The function cannot be reached."}, 502, {"Retry-After": "1"}
    kept = ("Content-Type", "Retry-After", "X-Request-Id")
    return answer.content, answer.status_code, {name: answer.headers[name] for name in kept if name in answer.headers}
