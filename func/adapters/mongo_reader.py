"""Read from MongoDB before the deadline of the request, with one retry and our own errors."""

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pymongo
from bson.errors import BSONError
from pymongo import MongoClient
from pymongo.cursor import Cursor
from pymongo.database import Database
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from func.adapters.upstream_observer import Unobserved, UpstreamObserver
from func.deadline import find_deadline
from func.log_lines import Event
from func.tracing import find_trace, measure
from gaze_core.errors import SaliencyStoreError, SaliencyStoreRefusedError, SaliencyStoreTimeoutError

_REACHABLE_TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)

_CODES_OF_DENIED_ACCESS = frozenset({11, 13, 18, 8000})
"""UserNotFound, Unauthorized, AuthenticationFailed, and Atlas's own error for wrong credentials."""

_SERVICE = "saliency_store"
_KINDS: Mapping[type[SaliencyStoreError], str] = {
    SaliencyStoreRefusedError: "denied",
    SaliencyStoreTimeoutError: "timeout",
}

_T = TypeVar("_T")
Document = dict[str, Any]


class MongoReader:
    """Reads from one database; thread-safe, and may be created before a fork."""

    def __init__(
        self,
        uri: str,
        *,
        database: str,
        timeout_s: float,
        ca_bundle: Path | None = None,
        observer: UpstreamObserver | None = None,
    ) -> None:
        """Prepare to read, without connecting.

        Args:
            uri: URI of MongoDB.
            database: Name of the database.
            timeout_s: Timeout of one exchange with the server, including its selection.
            ca_bundle: PEM file of the certificate authorities to trust, unless `uri` has one; None for the system's.
            observer: Counts and times the calls; None for nobody.

        Raises:
            ValueError: `timeout_s` is not positive.
        """
        if not timeout_s > 0:
            raise ValueError("timeout_s must be positive")
        self._uri = uri
        self._database_name = database
        self._timeout_s = timeout_s
        self._tls_options = find_tls_options(uri, ca_bundle)
        self._lock = threading.Lock()
        self._client: MongoClient[Document] | None = None
        self._client_pid = 0
        self._has_reported_refusal = False
        self._observer = observer or Unobserved()

    def read(self, operation: Callable[[Database[Document]], _T]) -> _T:
        """Return the result of a read operation, restarted once if the connection breaks.

        The driver itself only repeats the first exchange of a query.

        Raises:
            SaliencyStoreError: Reading failed.
            SaliencyStoreRefusedError: The store denies access.
            SaliencyStoreTimeoutError: Reading took too long.
        """
        with measure(
            "read saliency maps",
            kind="client",
            is_stage=False,
            attributes={"service": _SERVICE},
            observe=self._observe,
        ):
            try:
                database = self._find_database()
                try:
                    return operation(database)
                except AutoReconnect as error:
                    if error.timeout:
                        raise
                    self._observer.count_retry(_SERVICE)
                    return operation(database)
            except (PyMongoError, BSONError) as error:
                failure = _translate(error)
                self._observer.count_upstream_error(_SERVICE, _KINDS.get(type(failure), "failed"))
                raise failure from error

    def _observe(self, duration_s: float) -> None:
        self._observer.observe_call(_SERVICE, duration_s)

    def limit_exchange(self) -> contextlib.AbstractContextManager[None]:
        """Limit one exchange with the server to its own timeout and to the deadline of the request.

        Raises:
            SaliencyStoreTimeoutError: The deadline has passed.
        """
        deadline = find_deadline()
        timeout_s = self._timeout_s if deadline is None else min(self._timeout_s, deadline.remaining_s())
        if timeout_s <= 0:
            raise SaliencyStoreTimeoutError("the saliency store was not read: the deadline of the request has passed")
        return pymongo.timeout(timeout_s)

    def iterate(self, cursor: Cursor[Document]) -> Iterator[Document]:
        """Yield the documents of a cursor, with a limit on each exchange."""
        while True:
            with self.limit_exchange():
                document = next(cursor, None)
            if document is None:
                return
            yield document

    def is_reachable(self) -> bool:
        """Return whether the server answers within a second."""
        try:
            with pymongo.timeout(min(self._timeout_s, _REACHABLE_TIMEOUT_S)):
                self._find_database().command("ping")
        except PyMongoError as error:
            failure = _translate(error)
            if isinstance(failure, SaliencyStoreRefusedError) and not self._has_reported_refusal:
                self._has_reported_refusal = True
                _log.warning(Event("saliency store denies access", detail=failure))
            return False
        except SaliencyStoreError:
            return False
        return True

    def _find_database(self) -> Database[Document]:
        """Return the database through a client of this process, because clients do not survive a fork."""
        with self._lock:
            if self._client is None or self._client_pid != os.getpid():
                timeout_ms = max(1, round(self._timeout_s * 1000))
                try:
                    self._client = MongoClient(
                        self._uri,
                        appname="gaze-function",
                        connectTimeoutMS=timeout_ms,
                        serverSelectionTimeoutMS=timeout_ms,
                        socketTimeoutMS=timeout_ms,
                        timeoutMS=timeout_ms,
                        **self._tls_options,
                    )
                except (PyMongoError, ValueError, OSError) as error:
                    raise SaliencyStoreError("the saliency store's URI or CA bundle cannot be used") from error
                self._client_pid = os.getpid()
            return self._client[self._database_name]


def find_tls_options(uri: str, ca_bundle: Path | None) -> Mapping[str, Any]:
    """Return the driver's options for a CA bundle: none if `uri` does not use TLS or has its own bundle."""
    options = {name.lower(): value.lower() for name, value in re.findall(r"[?&;]([A-Za-z]+)=([^&;]*)", uri)}
    switch = options.get("tls", options.get("ssl", "true" if uri.startswith("mongodb+srv:") else "false"))
    if ca_bundle is None or switch != "true" or "tlscafile" in options:
        return {}
    return {"tlsCAFile": str(ca_bundle)}


def describe_request() -> str | None:
    """Return the ids of the request as the comment of a command, for the log of MongoDB; None outside a request."""
    trace = find_trace()
    return None if trace is None else f"request_id={trace.request_id} trace_id={trace.trace_id}"


def _translate(error: Exception) -> SaliencyStoreError:
    """Return our error for one of the driver, without its message, which may contain host and user names."""
    if isinstance(error, OperationFailure) and error.code in _CODES_OF_DENIED_ACCESS:
        return SaliencyStoreRefusedError(
            f"the saliency store denies access (code {error.code}): check user, password and authSource in MONGO_URI, "
            "and that the user may read MONGO_DATABASE"
        )
    if isinstance(error, PyMongoError) and error.timeout:
        return SaliencyStoreTimeoutError("the saliency store did not answer in time")
    return SaliencyStoreError(f"the saliency store failed: {type(error).__name__}")
