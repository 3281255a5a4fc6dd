"""The central session API over HTTP."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from func.adapters.http_client import MAX_ANSWER_BYTES, HttpClient, UpstreamAnswer, UpstreamErrors
from func.adapters.retry_budget import RetryBudget
from func.adapters.upstream_observer import UpstreamObserver
from gaze_core.errors import (
    SessionNotFoundError,
    SessionScoredError,
    SessionStoreBusyError,
    SessionStoreError,
    SessionStoreRefusedError,
    SessionStoreTimeoutError,
)
from gaze_core.ports import Session, StoredUpdate

COMPONENT = "gaze_tracking"

PAGE_FRAMES = 5000
"""Frames in one page: about two megabytes."""

MAX_TTL_S = 1e9
"""Upper limit of a plausible session lifetime."""

MAX_FRAME_BYTES = 2048
"""Size limit of the record of one frame in a page; ours have about 400 bytes."""

MAX_OTHER_RECORD_BYTES = 100 * 1024
"""Size limit of one of several records in the answer to an update, which another service may have written."""

MAX_SETTINGS_BYTES = 16 * 1024 * 1024
"""Size limit of the settings of a session, which include the result with its trace."""

MAX_WHOLE_SESSION_BYTES = 64 * 1024 * 1024
"""Size limit of a session that an older service returns at once: an hour at 20 frames/s with 900 bytes each."""

MAX_PAGES = 200
"""Maximum number of pages: a million frames."""

_FRAME_NUMBER = re.compile(r"0|-?[1-9][0-9]{0,14}")


class HttpSessionStore:
    """Stores sessions in the central session API. All calls are idempotent, so all of them may be retried."""

    def __init__(
        self,
        base_url: str,
        *,
        timeout_s: float,
        retries: int,
        proxy: str | None = None,
        ca_bundle: Path | None = None,
        observer: UpstreamObserver | None = None,
        retry_budget: RetryBudget | None = None,
        read_frame: Callable[[Any], Any] = lambda value: value,
    ) -> None:
        """Prepare to call the API, without connecting.

        Args:
            base_url: URL of the API.
            timeout_s: Timeout of one attempt.
            retries: Maximum number of retries.
            proxy: URL of a proxy; None for none.
            ca_bundle: PEM file of the certificate authorities to trust; None for those of certifi.
            observer: Counts and times the calls; None for nobody.
            retry_budget: Retry budget of all calls; None for the default one.
            read_frame: Applied to the record of each frame when it is read; only its return value is kept.

        Raises:
            ValueError: A value is out of range.
        """
        self._read_frame = read_frame
        self._ttl_s: float | None = None
        # Older services never report pages. The last answer decides.
        self._knows_pages = False
        self._client = HttpClient(
            base_url,
            service="session API",
            errors=UpstreamErrors(
                SessionStoreError, SessionStoreTimeoutError, SessionStoreBusyError, SessionStoreRefusedError
            ),
            timeout_s=timeout_s,
            retries=retries,
            proxy=proxy,
            ca_bundle=ca_bundle,
            observer=observer,
            retry_budget=retry_budget,
        )

    @property
    def ttl_s(self) -> float | None:
        """Lifetime of a session after its last use; None until the API has reported it."""
        return self._ttl_s

    def create_session(self, session_id: str, *, ip_address: str, video_id: str) -> None:
        """Create the session unless it exists."""
        answer = self._client.call(
            "POST",
            ("mk-session",),
            expected=(200, 201),
            payload={"session_id": session_id, "ip_address": ip_address, "video_id": video_id},
        )
        _demand_text(answer, "session_id" if answer.status == 201 else "message")

    def get_session(self, session_id: str, *, first: int | None = None, last: int | None = None) -> Session:
        """Return the session with all its frames or a range of them.

        It is read page by page, so that the text of a long session is never in memory as a whole. Older services
        ignore the query and return everything at once.

        Raises:
            SessionNotFoundError: The session does not exist.
            SessionStoreError: The session API failed or broke its contract.
            SessionStoreTimeoutError: The session API did not answer in time.
        """
        session: Session | None = None
        records: dict[int, Any] = {}
        for page in self.read_pages(session_id, first=first, last=last):
            records |= page.frames
            # Settings are those of the first page: a result among them is older than all frames of later pages.
            session = session or page
        assert session is not None  # noqa: S101  a session has at least one page
        return replace(session, frames=records)

    def read_pages(self, session_id: str, *, first: int | None = None, last: int | None = None) -> Iterator[Session]:
        """Yield a session page by page, each with its own frames only; see `get_session` for arguments and errors."""
        start = first
        for _ in range(MAX_PAGES):
            end = (start or 0) + PAGE_FRAMES - 1
            end = end if last is None else min(end, last)
            body = self._get_page(session_id, start, end)
            found = _find_records(body)
            yield Session(
                session_id=session_id,
                ip_address=str(body.get("ip_address") or ""),
                video_id=str(body.get("video_id") or ""),
                created_at=str(body.get("created_at") or ""),
                frames={
                    int(key): self._read_frame(each) for key, each in found.items() if _FRAME_NUMBER.fullmatch(key)
                },
                settings={key: value for key, value in found.items() if not _FRAME_NUMBER.fullmatch(key)},
                earlier_expired_at=_text(body.get("earlier_expired_at")),
                ttl_s=_seconds(body.get("ttl_s")),
            )
            next_from = body.get("next_from")
            if next_from is None or (last is not None and next_from > last):
                return
            if start is not None and next_from <= start:
                _refuse("the next page of a session starts before this one")
            start = next_from
        raise SessionStoreError(f"session API: a session has more than {MAX_PAGES} pages")

    def _get_page(self, session_id: str, first: int | None, last: int) -> Mapping[str, Any]:
        params = {"component": COMPONENT, "to": str(last)} | ({} if first is None else {"from": str(first)})
        frames = last - (first or 0) + 1
        page_bytes = MAX_ANSWER_BYTES + MAX_SETTINGS_BYTES + MAX_FRAME_BYTES * max(0, frames)
        answer = self._client.call(
            "GET",
            ("get_session", session_id),
            expected=(200, 404),
            params=params,
            max_answer_bytes=page_bytes if self._knows_pages else MAX_WHOLE_SESSION_BYTES,
        )
        if answer.status == 404:
            _demand_text(answer, "error")
            raise SessionNotFoundError(session_id, _text(answer.body.get("expired_at")))
        self._ttl_s = _seconds(answer.body.get("ttl_s")) or self._ttl_s
        self._knows_pages = "next_from" in answer.body
        next_from = answer.body.get("next_from")
        if next_from is not None and (isinstance(next_from, bool) or not isinstance(next_from, int)):
            _refuse("`next_from` of a session is not an integer")
        return answer.body

    def update_session(
        self,
        session_id: str,
        frame_number: int,
        gaze_data: Mapping[str, Any],
        *,
        ip_address: str,
        video_id: str,
    ) -> StoredUpdate:
        """Store the record of one frame. If the session is missing, create it and try once more."""
        return self.update_frames(session_id, {frame_number: gaze_data}, ip_address=ip_address, video_id=video_id)

    def update_frames(
        self,
        session_id: str,
        records: Mapping[int, Mapping[str, Any]],
        *,
        ip_address: str,
        video_id: str,
    ) -> StoredUpdate:
        """Store the records of several frames in one request. If the session is missing, create it and try again."""
        by_key = {str(number): record for number, record in records.items()}
        try:
            return self._put(session_id, by_key)
        except SessionNotFoundError as error:
            self.create_session(session_id, ip_address=ip_address, video_id=video_id)
            return replace(self._put(session_id, by_key), earlier_expired_at=error.expired_at)

    def store_settings(
        self, session_id: str, settings: Mapping[str, Any], *, created_at: str | None = None
    ) -> StoredUpdate:
        """Store settings of the session, such as `result`, whose first value stays."""
        return self._put(session_id, settings, created_at=created_at)

    def is_reachable(self) -> bool:
        """Return whether the API answers."""
        return self._client.is_reachable()

    def _put(self, session_id: str, records: Mapping[str, Any], *, created_at: str | None = None) -> StoredUpdate:
        condition = {} if created_at is None else {"created_at": created_at}
        answer = self._client.call(
            "PUT",
            ("update_session", session_id),
            expected=(200, 404, 409),
            payload={"component": COMPONENT, "data": {"components": {COMPONENT: records}}, **condition},
            # The answer contains what was stored first: other records, or another result.
            max_answer_bytes=MAX_ANSWER_BYTES
            + (MAX_SETTINGS_BYTES if "result" in records else MAX_OTHER_RECORD_BYTES * (len(records) - 1)),
        )
        if answer.status == 200:
            self._knows_pages = "stored" in answer.body
            _demand_text(answer, "message")
            self._ttl_s = _seconds(answer.body.get("ttl_s")) or self._ttl_s
            video_id, ip_address = (_text(answer.body.get(name)) for name in ("video_id", "ip_address"))
            return replace(_read_update(answer, records), video_id=video_id, ip_address=ip_address)
        _demand_text(answer, "error")
        if answer.status == 404:
            raise SessionNotFoundError(session_id, _text(answer.body.get("expired_at")))
        raise SessionScoredError(session_id, _seconds(answer.body.get("free_in_s")))


def _read_update(answer: UpstreamAnswer, records: Mapping[str, Any]) -> StoredUpdate:
    """Return the values now stored under the write-once keys, and the keys that this call wrote."""
    keys = [key for key in records if key == "result" or _FRAME_NUMBER.fullmatch(key)]
    stored = answer.body.get("stored")
    if stored is None:
        sent = _convert(records, keys)
        return StoredUpdate(sent, frozenset(sent))
    if not isinstance(stored, dict) or not stored.keys() >= set(keys):
        _refuse("`stored` in the answer to a PUT lacks a key that was sent")
    stored = {key: stored[key] for key in keys}
    written = answer.body.get("written")
    if written is None:
        sent = _convert(records, keys)
        return StoredUpdate(stored, frozenset(key for key in sent if stored[key] == sent[key]))
    if not isinstance(written, list):
        _refuse("`written` in the answer to a PUT is not a list")
    ours = {str(key) for key in written} & stored.keys()
    if answer.tries > 1:
        # An earlier attempt whose answer was lost may have written them.
        ours |= {key for key, value in _convert(records, keys).items() if stored[key] == value}
    return StoredUpdate(stored, frozenset(ours))


def _convert(records: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Return values as the service sees them: tuples become lists in JSON."""
    return {key: json.loads(json.dumps(records[key])) for key in keys}


def _find_records(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the records of our component by key; some older services store an update with its nesting."""
    components = session.get("components")
    if not isinstance(components, dict):
        _refuse("a session has no components")
    records = components.get(COMPONENT)
    if records is None:
        return {}
    if not isinstance(records, dict):
        _refuse(f"the component {COMPONENT} of a session is not an object")
    nested = records.get("components")
    if isinstance(nested, dict) and isinstance(nested.get(COMPONENT), dict):
        flat = {key: value for key, value in records.items() if key != "components"}
        return {**nested[COMPONENT], **flat}
    return records


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.isprintable() else None


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < MAX_TTL_S:
        return None
    return float(value)


def _demand_text(answer: UpstreamAnswer, key: str) -> None:
    if not isinstance(answer.body.get(key), str):
        _refuse(f"an answer {answer.status} has no `{key}`")


def _refuse(what: str) -> NoReturn:
    raise SessionStoreError(f"session API: {what}")
