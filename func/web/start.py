"""Startup shared by both servers: settings, logging and the handler."""

import logging
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from func.arenas import limit_arenas
from func.bootstrap import OncePerProcess, build_application, check_model_files
from func.core_dumps import disable_core_dumps
from func.errors import SettingsError, UnusableModelError
from func.settings import Settings, read_settings
from func.web.handler import Handler
from func.web.log_lines import RateLimit
from func.web.management import open_management_socket
from func.web.metrics import Metrics

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """Handler, the settings and metrics that it uses, and the socket of the management port if there is one."""

    handler: Handler
    settings: Settings
    metrics: Metrics
    management: socket.socket | None


def describe_end(error: UnusableModelError) -> str:
    """Return the line on stderr with which the process ends."""
    return f"gaze-function cannot start: {error.line}"


def start(environ: Mapping[str, str]) -> Started:
    """Read the settings, configure logging and create the handler.

    Exits with one line on stderr if a setting is invalid or a model file is wrong. Runs before a server forks; models
    and landmarkers are loaded later, in the process that serves.
    """
    disable_core_dumps()
    limit_arenas(environ)
    try:
        settings = read_settings(environ)
        check_model_files(settings)
        port = settings.management_port
        management = None if port is None else open_management_socket(port, environ)
    except SettingsError as error:
        sys.exit(f"gaze-function cannot start: {error}")
    except UnusableModelError as error:
        sys.exit(describe_end(error))
    metrics = Metrics()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(RateLimit(metrics.count_suppressed_log_line))
    logging.getLogger("func").setLevel(settings.log_level)
    if not settings.token_keys:
        _log.warning("SESSION_TOKEN_KEYS is not set: anyone who guesses a session id can use the session")
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings contain paths with session ids
    application = OncePerProcess(partial(build_application, settings, metrics))
    return Started(Handler(settings, metrics, application), settings, metrics, management)
