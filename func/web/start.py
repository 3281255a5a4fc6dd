"""Startup shared by both servers: settings, logging and the handler."""

import logging
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import NoReturn

from func.arenas import limit_arenas
from func.bootstrap import ModelDigests, OncePerProcess, build_application, check_model_files, find_version
from func.core_dumps import disable_core_dumps
from func.errors import SettingsError, UnusableModelError
from func.log_lines import Event, JsonFormatter, RateLimit, SessionHash, TextFormatter, set_levels, write_json_lines
from func.settings import Settings, read_settings
from func.web.handler import Handler
from func.web.management import open_management_socket
from func.web.metrics import Metrics

_log = logging.getLogger(__name__)

_SHOWN_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Started:
    """Handler, the settings and metrics that it uses, and the socket of the management port if there is one."""

    handler: Handler
    settings: Settings
    metrics: Metrics
    management: socket.socket | None


def report_end(reason: str) -> None:
    """Write the line with which the process ends, because it cannot start."""
    line = f"gaze-function cannot start: {reason}"
    if _writes_json():
        _log.critical(Event("cannot start", detail=line))
    else:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()


def end(reason: str) -> NoReturn:
    """End the process, because it cannot start."""
    report_end(reason)
    sys.exit(1)


def start(environ: Mapping[str, str]) -> Started:
    """Read the settings, configure logging and create the handler.

    Exits with one line on stderr if a setting is invalid or a model file is wrong. Runs before a server forks; models
    and landmarkers are loaded later, in the process that serves.
    """
    disable_core_dumps()
    limit_arenas(environ)
    if environ.get("LOG_FORMAT", "").strip() == "json":  # before anything can fail
        _use(JsonFormatter())
    try:
        settings = read_settings(environ)
        digests = check_model_files(settings)
        port = settings.management_port
        management = None if port is None else open_management_socket(port, environ)
    except SettingsError as error:
        end(str(error))
    except UnusableModelError as error:
        end(error.line)
    metrics = Metrics()
    metrics.describe_build(describe_build(settings, digests))
    hash_session = SessionHash(settings.token_keys)
    _configure_log(settings, metrics, hash_session)
    if not settings.token_keys:
        _log.warning(
            Event("SESSION_TOKEN_KEYS is not set", effect="anyone who guesses a session id can use the session")
        )
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # its warnings contain paths with session ids
    application = OncePerProcess(partial(build_application, settings, metrics))
    return Started(Handler(settings, metrics, application, hash_session), settings, metrics, management)


def describe_build(settings: Settings, digests: ModelDigests) -> dict[str, str]:
    """Return the labels of the metric about the build."""
    found = {name: (digest or "")[:_SHOWN_DIGITS] for name, digest in asdict(digests).items()}
    python = ".".join(map(str, sys.version_info[:3]))
    return {"version": find_version(), "python": python, "engine": settings.face_landmarker, **found}


def _configure_log(settings: Settings, metrics: Metrics, hash_session: SessionHash) -> None:
    _use(JsonFormatter(hash_session) if settings.log_format == "json" else TextFormatter())
    for handler in logging.getLogger().handlers:
        handler.addFilter(RateLimit(metrics.count_suppressed_log_line))
    set_levels(settings.log_level, settings.log_frames)


def _use(formatter: logging.Formatter) -> None:
    logging.basicConfig()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
    if isinstance(formatter, JsonFormatter):
        write_json_lines(formatter)


def _writes_json() -> bool:
    return any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers)
