"""One request of the ASGI interface."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from werkzeug.http import parse_options_header

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Exchange:
    """Method, path and headers of a request, and the function that receives its body."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.peer: str = (scope.get("client") or ("",))[0]
        self.port: int | None = (scope.get("server") or ("", None))[1]
        self.receive = receive
        self._sent: Iterable[tuple[bytes, bytes]] = scope["headers"]
        self._headers: dict[bytes, bytes] = dict(self._sent)

    @property
    def content_length(self) -> int | None:
        """Content-Length in bytes; None if it is missing or invalid."""
        text = self._headers.get(b"content-length", b"")
        return int(text) if text.isdigit() and len(text) < 19 else None

    def find_header(self, name: str) -> str | None:
        """Return the value of a header; None without it.

        Args:
            name: Name in lower case.
        """
        value = self._headers.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def join_headers(self, name: str) -> str | None:
        """Return the values of all headers of one name as HTTP joins them, with commas; None without any.

        Args:
            name: Name in lower case.
        """
        key = name.encode()
        values = [value for each, value in self._sent if each == key]
        return b",".join(values).decode("latin-1") if values else None

    @property
    def content_encoding(self) -> str:
        """Content encoding in lower case."""
        return self._headers.get(b"content-encoding", b"identity").decode("latin-1").lower()

    def read_content_type(self) -> tuple[str, dict[str, str]]:
        """Return the media type in lower case and its parameters."""
        media_type, parameters = parse_options_header(self._headers.get(b"content-type", b"").decode("latin-1"))
        return media_type.lower(), parameters

    async def wait_until_gone(self) -> None:
        """Return once the client has closed its connection. Call it after the body has been read."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
