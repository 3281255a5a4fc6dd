"""Entry point of functions-framework: `functions-framework --source func/main.py --target handle`.

The server loads this file once, before it forks. `func.web.server` has the worker that then serves requests.
"""

import os
from typing import cast

from func.garbage import keep_all_objects

with keep_all_objects():
    import functions_framework.aio
    from starlette.requests import Request
    from starlette.responses import Response

    from func.web.server import install_worker
    from func.web.start import start

    _started = start(os.environ)
    install_worker(_started)


@functions_framework.aio.http
async def handle(_request: Request) -> Response:
    """Return the ASGI application that answers the request; Starlette calls it like a response."""
    return cast(Response, _started.handler)
