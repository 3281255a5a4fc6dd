"""The calls to a session API that only the command line makes: list, create to keep, write in batches, remove."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import requests

from func.adapters.session_api import COMPONENT
from gaze_core.errors import SessionNotFoundError, SessionStoreError, SessionStoreTimeoutError

_TIMEOUT_S = 60.0
_LIST_PATH = "/sessions"
_SESSION_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


def is_session_id(text: str) -> bool:
    """Return whether the function accepts a session id; other session APIs may store others."""
    return _SESSION_ID.fullmatch(text) is not None and text not in {".", ".."}


def escape_control(text: str) -> str:
    """Return a text with its control characters escaped: they can command a terminal, and ids come from anyone."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


class SessionApi:
    """A session API, called as its operator."""

    def __init__(self, base_url: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        """Prepare to call the API, without connecting.

        Args:
            base_url: URL of the API.
            timeout_s: Timeout of a call.
        """
        self._timeout_s = timeout_s
        self._url = base_url.rstrip("/")
        self._http = requests.Session()
        self._http.trust_env = False

    def list_sessions(self) -> dict[str, Any]:
        """Return `sessions`, as `SessionListing.read` describes them, and `ttl_s`.

        Raises:
            SessionStoreError: The API failed, or does not list sessions.
        """
        status, body = self._call("GET", _LIST_PATH)
        if status == 200 and isinstance(body.get("sessions"), list):
            return body
        if status in (401, 403, 404, 405):
            raise SessionStoreError(
                "this session API does not list sessions. Ours does with --operator-calls, as `gaze serve` starts it"
            )
        raise SessionStoreError(f"session API: GET {_LIST_PATH} was answered with {status}")

    def create(self, session_id: str, *, ip_address: str, video_id: str, keep_s: float | None = None) -> bool:
        """Create a session; return False if it exists.

        Args:
            session_id: Session id.
            ip_address: Address of the viewer.
            video_id: Id of the video.
            keep_s: Minimum lifetime; other session APIs ignore it.

        Raises:
            SessionStoreError: The API failed.
        """
        body: dict[str, Any] = {"session_id": session_id, "ip_address": ip_address, "video_id": video_id}
        status, answer = self._call("POST", "/mk-session", body | ({} if keep_s is None else {"keep_s": keep_s}))
        if status not in (200, 201):
            raise SessionStoreError(f"session API: POST /mk-session was answered with {status}{_reason(answer)}")
        return status == 201

    def put(self, session_id: str, values: Mapping[str, Any]) -> None:
        """Merge values into our component of a session.

        Raises:
            SessionNotFoundError: The session does not exist.
            SessionStoreError: The API failed.
        """
        path = f"/update_session/{quote(session_id, safe='')}"
        payload = {"component": COMPONENT, "data": {"components": {COMPONENT: dict(values)}}}
        status, answer = self._call("PUT", path, payload)
        if status == 404:
            raise SessionNotFoundError(session_id)
        if status != 200:
            raise SessionStoreError(f"session API: PUT {path} was answered with {status}{_reason(answer)}")

    def remove(self, session_id: str) -> None:
        """Remove a session.

        Raises:
            SessionNotFoundError: The session does not exist.
            SessionStoreError: The API failed, or does not remove sessions.
        """
        status, answer = self._call("DELETE", f"{_LIST_PATH}/{quote(session_id, safe='')}")
        if status == 404 and answer.get("error") == "Session Not Found":
            raise SessionNotFoundError(session_id)
        if status in (401, 403, 404, 405):
            raise SessionStoreError("this session API does not remove sessions; they expire by themselves")
        if status != 200:
            raise SessionStoreError(f"session API: the removal was answered with {status}")

    def find_ttl_s(self) -> float | None:
        """Return the lifetime of a session after its last use; None if the API does not report it."""
        try:
            _, body = self._call("GET", "/health")
        except SessionStoreError:
            return None
        ttl_s = body.get("ttl_s")
        return float(ttl_s) if isinstance(ttl_s, int | float) and not isinstance(ttl_s, bool) else None

    def _call(self, method: str, path: str, payload: object = None) -> tuple[int, dict[str, Any]]:
        try:
            response = self._http.request(method, self._url + path, json=payload, timeout=self._timeout_s)
        except requests.Timeout as error:
            raise SessionStoreTimeoutError(
                f"session API {self._url} does not answer: {type(error).__name__}"
            ) from error
        except requests.RequestException as error:
            raise SessionStoreError(f"session API {self._url} cannot be reached: {type(error).__name__}") from error
        try:
            body = response.json()
        except ValueError:
            body = {}
        return response.status_code, body if isinstance(body, dict) else {}


def _reason(answer: Mapping[str, Any]) -> str:
    error = answer.get("error")
    return f": {error}" if isinstance(error, str) else ""


def describe_missing(error: SessionNotFoundError, api: SessionApi) -> str:
    """Return why a session cannot be read, and how to keep the next one.

    Args:
        error: Error of the read.
        api: The session API that was asked.
    """
    ttl_s = api.find_ttl_s()
    when = f"it expired at {error.expired_at}" if error.expired_at else "the id is unknown, or the session has expired"
    lives = "" if ttl_s is None else f" Sessions live {ttl_s:g} s after their last use, or after their result."
    return (
        f"no session {error.session_id!r} in the session API: {when}.{lives} "
        "Export in time: gaze session export ID. `gaze report FILE` reads an export."
    )
