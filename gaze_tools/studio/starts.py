"""The start of viewings and calibrations: ids, repeats of a start, and calibrations of an earlier visit."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from flask import Flask, Response, jsonify, request

from func.adapters.saliency_store import check_video_id
from gaze_tools.session.api import is_session_id
from gaze_tools.studio.films import FilmLibrary
from gaze_tools.studio.kept import KeptSessions
from gaze_tools.studio.problems import StudioError, bad_request, not_found
from gaze_tools.studio.viewings import CHECK_VIDEO_ID, OPEN_S, OpenViewings, StartedViewing, start_viewing

_MAX_KEY = 200
MAX_REMEMBERED = 1000
"""Starts whose repeats are known; beyond it, the oldest are forgotten."""

_OPEN_VIDEO_IDS = ("calibration", CHECK_VIDEO_ID)
"""Video ids without a film: calibrations, and the check of the viewer's position."""


class Starts:
    """Viewings by the request that started them, so that its repeats start the same one. Thread-safe.

    Args:
        clock: Returns a time in seconds that only grows.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._started: dict[tuple[str, str, str], tuple[float, StartedViewing]] = {}

    def find(
        self, ip_address: str, video_id: str, key: str | None, start: Callable[[], StartedViewing]
    ) -> StartedViewing:
        """Return the viewing that a request starts: that of an earlier one with the same key, or a new one.

        Args:
            ip_address: Address of the viewer.
            video_id: Video id.
            key: Random text that the viewer's page chose for this start; None always starts a new one.
            start: Returns a new viewing.
        """
        if key is None:
            return start()
        now_s, name = self._clock(), (ip_address, video_id, key)
        with self._lock:
            while self._started and now_s - next(iter(self._started.values()))[0] >= OPEN_S:
                self._forget_oldest()
            if name not in self._started:
                if len(self._started) == MAX_REMEMBERED:
                    self._forget_oldest()
                self._started[name] = (now_s, start())
            return self._started[name][1]

    def _forget_oldest(self) -> None:
        del self._started[next(iter(self._started))]


def add_starts(
    app: Flask, films: FilmLibrary, kept: KeptSessions, viewings: OpenViewings, *, token_key: bytes | None
) -> None:
    """Add the requests that start and keep viewings.

    Args:
        app: Gateway.
        films: Films that can be watched.
        kept: Finished sessions and calibrations.
        viewings: Viewings that have no score yet.
        token_key: Key that signs session tokens; None if the function checks none.
    """
    starts = Starts()

    @app.post("/api/viewings")
    def start() -> tuple[Response, int]:
        body = request.get_json(force=True, silent=True)
        video_id = body.get("video_id") if isinstance(body, dict) else None
        if not isinstance(video_id, str):
            raise bad_request("video_id must be a text.")
        try:
            check_video_id(video_id)
        except ValueError as error:
            raise bad_request("video_id is not a video id.") from error
        key = request.headers.get("Idempotency-Key")
        if key is not None and not 0 < len(key) <= _MAX_KEY:
            raise bad_request(f"Idempotency-Key must have 1 to {_MAX_KEY} characters.")
        make = partial(start_viewing, find_address(), video_id, token_key=token_key)
        started = starts.find(find_address(), video_id, key, make)
        if video_id == CHECK_VIDEO_ID:
            return jsonify(asdict(started)), 201
        viewings.add(started)  # first, so that a film that is removed now waits for it
        try:
            if video_id not in _OPEN_VIDEO_IDS:
                films.require_ready(video_id)
            is_reserved = kept.reserve(started, find_address())
        except StudioError:
            viewings.give_up(started.session_id)
            raise
        viewings.confirm(started.session_id, is_reserved=is_reserved)
        return jsonify(asdict(started)), 201

    @app.post("/api/viewings/<session_id>")
    def note_alive(session_id: str) -> Response:
        """Keep the film of a viewing whose page is open, also while it is paused."""
        if not is_session_id(session_id):
            raise not_found("There is no such session.")
        viewings.note_alive(session_id)
        return jsonify(session_id=session_id)

    @app.post("/api/calibrations/<session_id>")
    def revive(session_id: str) -> Response:
        """Make a kept calibration usable again."""
        kept.revive_calibration(session_id)
        return jsonify(session_id=session_id)


def find_address() -> str:
    """Return the address of the viewer."""
    return request.remote_addr or "127.0.0.1"
