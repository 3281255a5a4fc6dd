"""The target of functions-framework: `functions-framework --source func/main.py --target handle`.

The server loads this file once, before it forks: settings are read here, and everything else is built in the process
that serves, at its first request or readiness probe.
"""

import logging
import os
import sys
from functools import partial

import flask

from func.bootstrap import OncePerProcess, build_application
from func.core_dumps import disable_core_dumps
from func.errors import SettingsError
from func.settings import read_settings
from func.web.handler import Handler
from func.web.metrics import Metrics

_log = logging.getLogger("func.main")  # functions-framework loads this file under another name


def _start() -> Handler:
    """Return the handler; a wrong variable ends the process with one line that names it."""
    disable_core_dumps()
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.exit(f"gaze-function cannot start: {error}")
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("func").setLevel(settings.log_level)
    if not settings.token_keys:
        _log.warning("SESSION_TOKEN_KEYS is not set: anybody who guesses a session id can use the session")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings hold paths, and these session ids
    metrics = Metrics()
    return Handler(settings, metrics, OncePerProcess(partial(build_application, settings, metrics)))


_handler = _start()


def handle(request: flask.Request) -> flask.Response:
    """Answer one request."""
    return _handler.handle(request)
