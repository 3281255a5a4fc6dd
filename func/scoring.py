"""The last frame: wait for stragglers, score the whole session, store the result, deliver it.

The result is stored before it is sent, and the first one stored stands. Whoever stored it delivers it; whoever finds it
stored but not marked as delivered delivers it again under the same idempotency key. So a result is delivered at least
once, whichever process dies when, and a repeated last frame changes nothing.
"""

import contextlib
import logging
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from func.errors import ScoringBusyError
from func.records import FrameRecord, read_record
from gaze_core.errors import (
    GazeError,
    ResultSinkError,
    SaliencyMapError,
    SaliencyMapNotFoundError,
    SessionNotFoundError,
)
from gaze_core.gaze import screen_to_video
from gaze_core.ports import ResultSink, SaliencyMaps, Session, SessionStore
from gaze_core.saliency import calc
from gaze_core.types import Validity, Viewport

RESULT_VERSION = 1

_log = logging.getLogger(__name__)


class Scorer:
    """Turns complete sessions into delivered results."""

    def __init__(
        self,
        sessions: SessionStore,
        maps: SaliencyMaps,
        sink: ResultSink,
        *,
        model_digest: str,
        barrier_timeout_s: float = 10.0,
        poll_s: float = 0.2,
        places: int = 2,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sessions = sessions
        self._maps = maps
        self._sink = sink
        self._model_digest = model_digest
        self._barrier_timeout_s = barrier_timeout_s
        self._poll_s = poll_s
        self._places = threading.BoundedSemaphore(places)
        self._clock = clock
        self._sleep = sleep

    def complete_session(
        self,
        session_id: str,
        *,
        video_id: str,
        ip_address: str,
        frame_number: int,
        has_image: bool,
        total_frames: int | None = None,
    ) -> dict[str, Any]:
        """Return the session's result, scoring and delivering it unless that has been done.

        Args:
            session_id: Of the session; one without a frame gives a result that says so.
            video_id: Of the video whose maps count.
            ip_address: Of the viewer, for the aggregator.
            frame_number: Of the last request.
            has_image: Whether that request carried a picture, so that its number counts as a frame's.
            total_frames: How many distinct frames were sent, when the client said so.

        Raises:
            ScoringBusyError: As many sessions as allowed are being scored.
            SessionStoreError: The session API failed; its timeout likewise.
            SaliencyStoreError: The saliency store failed; its timeout likewise.
            ResultSinkError: The result is stored but could not be delivered; a repeat delivers it.
        """
        if not self._places.acquire(blocking=False):
            raise ScoringBusyError
        try:
            expected = _Expectation(frame_number, has_image, total_frames)
            session = self._await_frames(session_id, expected, video_id=video_id, ip_address=ip_address)
            if "result" in session.settings:
                result, is_ours = session.settings["result"], False
            else:
                result = self._score(session, expected, video_id)
                update = self._sessions.store_settings(session_id, {"result": result})
                result, is_ours = update.stored["result"], "result" in update.written
            if is_ours or not self._is_delivered(session):
                self._deliver(session, result, video_id=video_id, ip_address=ip_address)
            return dict(result)
        finally:
            self._places.release()

    def _await_frames(self, session_id: str, expected: "_Expectation", *, video_id: str, ip_address: str) -> Session:
        """Return the session once every expected frame is in it, it has a result, or the time is over."""
        deadline = self._clock() + self._barrier_timeout_s
        while True:
            session = self._read(session_id, video_id=video_id, ip_address=ip_address)
            if "result" in session.settings or expected.is_met_by(session) or self._clock() >= deadline:
                return session
            self._sleep(self._poll_s)

    def _read(self, session_id: str, *, video_id: str, ip_address: str) -> Session:
        try:
            return self._sessions.get_session(session_id)
        except SessionNotFoundError:
            self._sessions.create_session(session_id, ip_address=ip_address, video_id=video_id)
            return self._sessions.get_session(session_id)

    def _is_delivered(self, session: Session) -> bool:
        """Return whether somebody else has delivered the result, giving whoever stored it time to do so.

        The mark is true after a delivery and false after one that failed; without a mark somebody may be at it.
        """
        deadline = self._clock() + self._barrier_timeout_s
        while True:
            mark = session.settings.get("result_delivered")
            if mark is not None or self._clock() >= deadline:
                return bool(mark)
            self._sleep(self._poll_s)
            session = self._sessions.get_session(session.session_id)

    def _deliver(self, session: Session, result: Mapping[str, Any], *, video_id: str, ip_address: str) -> None:
        # One viewing, one key: the gateway uses a session's id again when the viewer comes back after it has expired.
        key = uuid.uuid5(uuid.NAMESPACE_URL, f"{session.session_id}:{session.created_at}")
        try:
            self._sink.send_result(
                result["final_score"],
                video_id,
                ip_address,
                session_id=session.session_id,
                score_valid=result["score_valid"],
                coverage=result["coverage"],
                idempotency_key=str(key),
            )
        except ResultSinkError:
            with contextlib.suppress(GazeError):
                self._sessions.store_settings(session.session_id, {"result_delivered": False})
            raise
        self._sessions.store_settings(session.session_id, {"result_delivered": True})

    def _score(self, session: Session, expected: "_Expectation", video_id: str) -> dict[str, Any]:
        """Return the result of a session's frames: see the README for what each key means."""
        records = {number: read_record(value) for number, value in session.frames.items() if expected.counts(number)}
        lost = Counter({"missing": expected.count_missing(session)})
        lost.update(_reason_lost(record) for record in records.values())
        valid = {
            number: record.gaze
            for number, record in records.items()
            if record is not None and record.validity is Validity.OK and record.gaze is not None
        }
        viewport = _read_viewport(session)
        hits, off_video, scored = 0, 0, 0
        chances: list[float] = []
        digest: str | None = None
        reason = None if records else "no_frames"
        if records and not valid:
            reason = "no_valid_gaze"
        if valid:
            unmapped = set(valid)
            try:
                video = self._maps.extract_saliencyMap(video_id, frame_nums=sorted(valid))
                digest = video.digest
                for number, saliency_map in video.maps:
                    unmapped.discard(number)
                    point = screen_to_video(valid[number], viewport)
                    try:
                        if isinstance(saliency_map, Exception):
                            raise saliency_map
                        score = calc([[point.x, point.y]], saliency_map)
                    except SaliencyMapError as error:
                        lost["bad_map"] += 1
                        _log.warning("saliency map of frame %d of a video left out: %s", number, error)
                        continue
                    scored += 1
                    hits += int(score.hits[0])
                    off_video += int(not point.on_screen)
                    chances.append(score.chance)
            except SaliencyMapNotFoundError:
                reason = "no_maps"
            lost["no_map"] += len(unmapped)
            if reason is None and not scored:
                reason = "nothing_scored"
        del lost["ok"]
        expected_count = expected.count(session)
        final_score = round(100 * hits / scored, 2) if scored else 0.0
        chance_level = round(100 * sum(chances) / scored, 2) if scored else None
        return {
            "version": RESULT_VERSION,
            "video_id": video_id,
            "final_score": final_score,
            "score_valid": reason is None,
            "score_invalid_reason": reason,
            "chance_level": chance_level,
            "lift_points": None if chance_level is None else round(final_score - chance_level, 2),
            "coverage": round(scored / expected_count, 4) if expected_count else 0.0,
            "frames": {
                "expected": expected_count,
                "received": len(records),
                "valid": len(valid),
                "scored": scored,
                "hits": hits,
                "off_video": off_video,
            },
            "lost": {name: lost[name] for name in _LOST},
            "model_digest": self._model_digest,
            "maps_digest": digest,
        }


_LOST = ("missing", "no_face", "eyes_closed", "low_quality", "old_format", "unreadable", "no_map", "bad_map")


def _reason_lost(record: FrameRecord | None) -> str:
    if record is None:
        return "unreadable"
    return "old_format" if record.validity is None else str(record.validity)


def _read_viewport(session: Session) -> Viewport:
    stored = session.settings.get("viewport")
    try:
        return Viewport(**stored) if stored else Viewport()
    except (TypeError, ValueError):
        _log.warning("the stored viewport of a session is unreadable; the video counts as filling the screen")
        return Viewport()


class _Expectation:
    """Which frames a session must have before it is complete."""

    def __init__(self, frame_number: int, has_image: bool, total_frames: int | None) -> None:
        self._total = total_frames
        self._last = frame_number
        self._required = frame_number if has_image else frame_number - 1

    def counts(self, number: int) -> bool:
        """Return whether a frame of that number belongs to the session's score."""
        return number >= 1 and (self._total is not None or number <= self._last)

    def is_met_by(self, session: Session) -> bool:
        return self.count_missing(session) == 0

    def count(self, session: Session) -> int:
        """Return how many frames are expected."""
        if self._total is not None:
            return max(self._total, self._count_received(session))
        return self._required + (self._last > self._required and self._last in session.frames)

    def count_missing(self, session: Session) -> int:
        if self._total is not None:
            return max(0, self._total - self._count_received(session))
        # Over what is there and not over what is expected: a client may claim two thousand million frames.
        return self._required - sum(1 <= number <= self._required for number in session.frames)

    def _count_received(self, session: Session) -> int:
        return sum(self.counts(number) for number in session.frames)
