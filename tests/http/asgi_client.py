"""Client for an ASGI application, based on werkzeug's test client."""

import asyncio
import sys
import threading
from functools import cache

from werkzeug.test import Client

PIECE_BYTES = 65536


@cache
def find_loop():
    """Return the event loop of all tested applications, which runs in its own thread."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="asgi", daemon=True).start()
    return loop


def make_client(application):
    """Return a client that blocks until the application has answered. It is thread-safe."""
    return Client(AsgiAdapter(application))


class AsgiAdapter:
    """WSGI interface of an ASGI application."""

    def __init__(self, application):
        self.application = application

    def __call__(self, environ, start_response):
        sent = asyncio.run_coroutine_threadsafe(self._run(environ), find_loop()).result()
        headers = [(name.decode().title(), value.decode()) for name, value in sent[0]["headers"]]
        start_response(f"{sent[0]['status']} ", headers)
        return [message.get("body", b"") for message in sent[1:]]

    async def _run(self, environ):
        """Send the body in pieces on demand; the client stays connected until it is answered."""
        body, left = environ["wsgi.input"], int(environ.get("CONTENT_LENGTH") or sys.maxsize)
        is_sent = False
        sent = []

        async def receive():
            nonlocal left, is_sent
            if is_sent:
                await asyncio.Event().wait()
            piece = body.read(min(PIECE_BYTES, left))
            left -= len(piece)
            is_sent = not piece or left <= 0
            return {"type": "http.request", "body": piece, "more_body": not is_sent}

        async def send(message):
            sent.append(message)

        await self.application(make_scope(environ), receive, send)
        return sent


def make_scope(environ):
    """Return the ASGI scope of a WSGI environment."""
    headers = [(name[5:], value) for name, value in environ.items() if name.startswith("HTTP_")]
    headers += [(name, environ[name]) for name in ("CONTENT_TYPE", "CONTENT_LENGTH") if environ.get(name)]
    return {
        "type": "http",
        "http_version": "1.1",
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"].encode("latin-1").decode(errors="replace"),
        "query_string": environ["QUERY_STRING"].encode(),
        "headers": [(name.lower().replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": (environ["SERVER_NAME"], int(environ["SERVER_PORT"])),
    }
