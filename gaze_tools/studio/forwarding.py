"""Pass requests on to the function: the gateway only adds what the viewer's browser does not know."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import requests
from flask import Request, Response

from gaze_tools.client import make_session_id
from gaze_tools.studio.problems import StudioError, answer_problem, bad_request

CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 300.0
"""Longer than the function's LAST_FRAME_TIMEOUT_S."""

RETRY_AFTER_S = 1
_JSON = {"Content-Type": "application/json"}
_PASSED_ON = ("Content-Type", "Retry-After", "WWW-Authenticate", "Allow", "X-Request-Id")


class Forwarder:
    """Posts frames to the function over connections that stay open."""

    def __init__(self, function_url: str) -> None:
        """Prepare to forward, without connecting.

        Args:
            function_url: Base address of the function.
        """
        self._url = function_url.rstrip("/")
        self._http = requests.Session()
        self._http.trust_env = False
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=32)
        self._http.mount("http://", adapter)
        self._http.mount("https://", adapter)

    def post(self, metadata: Mapping[str, Any], images: Sequence[bytes]) -> Response:
        """Return the function's answer to a request, or a problem with Retry-After if it cannot be reached."""
        text = json.dumps(metadata)
        parts: list[tuple[str, tuple[str | None, str | bytes, str]]] = [("metadata", (None, text, "application/json"))]
        parts += [("frame", ("frame", image, "application/octet-stream")) for image in images]
        try:
            body: dict[str, Any] = {"files": parts} if images else {"data": text, "headers": _JSON}
            answer = self._http.post(f"{self._url}/gaze", timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S), **body)
        except requests.Timeout:
            error = StudioError(504, "function-timeout", "Function timed out", "The function did not answer in time.")
            return answer_problem(error, {"Retry-After": str(RETRY_AFTER_S)})
        except requests.RequestException:
            error = StudioError(502, "function-failed", "Function failed", "The function cannot be reached.")
            return answer_problem(error, {"Retry-After": str(RETRY_AFTER_S)})
        headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        return Response(answer.content, answer.status_code, headers)

    def is_ready(self) -> bool:
        """Return whether the function is ready."""
        try:
            return self._http.get(f"{self._url}/health/readiness", timeout=CONNECT_TIMEOUT_S).status_code == 200
        except requests.RequestException:
            return False


def read_frames(request: Request) -> tuple[dict[str, Any], list[bytes]]:
    """Return the metadata and images of a request to `/gaze`, JSON or multipart.

    Raises:
        StudioError: The body is malformed.
    """
    if request.mimetype == "multipart/form-data":
        text: str | bytes | None = request.form.get("metadata")
        if text is None and "metadata" in request.files:
            text = request.files["metadata"].read()
        images = [each.read() for each in request.files.getlist("frame")]
    else:
        text, images = request.get_data(), []
    try:
        metadata = json.loads(text or "")
    except (ValueError, RecursionError) as error:
        raise bad_request("The request contains no valid JSON.") from error
    if not isinstance(metadata, dict):
        raise bad_request("The JSON of the request is not an object.")
    return metadata, images


def complete_metadata(metadata: Mapping[str, Any], ip_address: str) -> dict[str, Any]:
    """Return the metadata with the viewer's address, which a browser cannot set, and a session id if it has none."""
    video_id = metadata.get("video_id")
    completed = {**metadata, "ip_address": ip_address}
    if "session_id" not in metadata and isinstance(video_id, str):
        completed["session_id"] = make_session_id(ip_address, video_id)
    return completed


def is_last(metadata: Mapping[str, Any]) -> bool:
    """Return whether a request ends its session."""
    frames = metadata.get("frames")
    parts = [metadata, *(frames if isinstance(frames, list) else [])]
    return any(isinstance(each, dict) and bool(each.get("last_frame")) for each in parts)
