"""Every setting of the function: its environment variable, its default and what it means.

`Settings` is the one place that documents them; `describe_settings` lists them for docs/settings.md. A variable that
is set to the empty string counts as not set. Not pydantic-settings: defaults computed from the machine, one line that
names the wrong variable and an environment passed as an argument would need about as much code, and python-dotenv in
the image.
"""

import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from func.errors import SettingsError
from func.model_paths import locate_packaged_model, parse_model_path, parse_sha256, require_digest
from func.session_token import parse_keys, read_key_file
from func.setting_parsers import (
    number,
    one_of,
    parse_base_url,
    parse_ca_bundle,
    parse_database,
    parse_mongo_uri,
    parse_workers,
    seconds,
    whole,
)

_METADATA_KEY = "setting"
_CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable.

    Attributes:
        variable: Its name.
        default: What holds when it is not set, in words where it is computed; `required` when there is none.
        meaning: One sentence.
    """

    variable: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a variable's text becomes a value."""

    parse: Callable[[str], Any]
    default: str | Callable[["_Start"], Any] | None
    is_secret: bool


@dataclass(frozen=True, slots=True)
class _Start:
    """What computed defaults depend on."""

    host_cpus: int
    usable_cpus: int
    values: Mapping[str, Any]


def _setting(
    variable: str,
    parse: Callable[[str], Any],
    meaning: str,
    *,
    default: str | Callable[[_Start], Any] | None,
    default_text: str | None = None,
    is_secret: bool = False,
) -> Any:  # noqa: ANN401 - like dataclasses.field, it stands for a value of any type
    """Return the field of a setting.

    Args:
        variable: Name of the environment variable.
        parse: Makes the value from its text; ValueError says what it must be.
        meaning: For `describe_settings`.
        default: Text, parsed like any other; a function that computes the value; None for a required variable.
        default_text: How `describe_settings` shows the default, where `default` does not say it.
        is_secret: Never show the value, as it may hold a password.
    """
    shown = default_text or (default if isinstance(default, str) else "required")
    described = Setting(variable, shown, meaning)
    return field(repr=not is_secret, metadata={_METADATA_KEY: (described, _Reader(parse, default, is_secret))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says, checked."""

    session_api_url: str = _setting(
        "SESSION_API_URL", parse_base_url, "Base URL of the session API.", default="http://session-service"
    )
    aggregator_url: str = _setting(
        "AGGREGATOR_URL",
        parse_base_url,
        "Base URL of the result aggregator.",
        default="http://result-aggregator-service",
    )
    mongo_uri: str = _setting(
        "MONGO_URI",
        parse_mongo_uri,
        "URI of the MongoDB with the saliency maps. It may contain a password and is never printed.",
        default=None,
        is_secret=True,
    )
    mongo_database: str = _setting(
        "MONGO_DATABASE",
        parse_database,
        "Database of the saliency maps, with one collection for each video.",
        default="saliency_db",
    )
    face_landmarker: str = _setting(
        "FACE_LANDMARKER", one_of("mediapipe"), "Engine that detects the face landmarks.", default="mediapipe"
    )
    face_landmarker_model: Path = _setting(  # noqa: RUF009 - a field, not a default
        "FACE_LANDMARKER_MODEL",
        parse_model_path,
        "Path of the face landmarker bundle.",
        default=lambda _: locate_packaged_model("face_landmarker.task"),
        default_text="the packaged models/face_landmarker.task",
    )
    face_landmarker_model_sha256: str | None = _setting(
        "FACE_LANDMARKER_MODEL_SHA256",
        parse_sha256,
        "Expected SHA-256 of the bundle. Required if FACE_LANDMARKER_MODEL is outside the packaged folder.",
        default="",
        default_text="none",
    )
    gaze_model: Path = _setting(  # noqa: RUF009 - a field, not a default
        "GAZE_MODEL",
        parse_model_path,
        "Path of the gaze model, with its card beside it.",
        default=lambda _: locate_packaged_model("gaze_model.joblib"),
        default_text="the packaged models/gaze_model.joblib",
    )
    gaze_model_sha256: str | None = _setting(
        "GAZE_MODEL_SHA256",
        parse_sha256,
        "Expected SHA-256 of the gaze model. Required if GAZE_MODEL is outside the packaged folder.",
        default="",
        default_text="none",
    )
    threads: int = _setting(
        "THREADS",
        whole(4, 1000),
        "Threads that store frames in the session API. Frames that would wait too long for one get 503.",
        default=lambda start: 4 * start.host_cpus,
        default_text="4 × CPUs of the host",
    )
    workers: int = _setting(
        "WORKERS",
        parse_workers,
        "Server processes. Must be 1, because metrics are counted per process: scale with pods.",
        default="1",
    )
    scoring_places: int = _setting(
        "SCORING_PLACES",
        whole(1, 1000),
        "Maximum concurrent scorings. A last frame that waits for other frames takes none.",
        default=lambda start: max(1, int(start.values["threads"]) // 4),
        default_text="a quarter of THREADS",
    )
    landmarkers: int = _setting(
        "LANDMARKERS",
        whole(1, 256),
        "Maximum concurrent landmark detections; each costs 27 MB.",
        default=lambda start: start.usable_cpus,
        default_text="CPUs that this process may use",
    )
    landmarker_wait_s: float = _setting(
        "LANDMARKER_WAIT_S",
        seconds(0, 60),
        "Maximum expected wait for a landmarker, and for a thread that stores; frames beyond it get 503 at once.",
        default="2",
    )
    max_body_bytes: int = _setting(
        "MAX_BODY_BYTES",
        whole(1024, 256 * 2**20),
        "Maximum size of a request body; larger ones get 413.",
        default=str(8 * 2**20),
    )
    body_timeout_s: float = _setting(
        "BODY_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time to receive a request body; slower ones get 408.",
        default="10",
    )
    max_bodies_bytes: int = _setting(
        "MAX_BODIES_BYTES",
        whole(1024, 16 * 2**30),
        "Maximum memory of all request bodies; beyond it the largest unfinished one gets 503.",
        default=lambda start: max(64 * 2**20, int(start.values["max_body_bytes"])),
        default_text="64 MiB, or MAX_BODY_BYTES if that is more",
    )
    head_timeout_s: float = _setting(
        "HEAD_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time to receive a request line and headers; slower ones get 408. Not under func's own server.",
        default="5",
    )
    answer_timeout_s: float = _setting(
        "ANSWER_TIMEOUT_S",
        seconds(0.1, 300),
        "Time after which a connection with an unread answer is cut. Not under func's own server.",
        default="10",
    )
    max_connections: int = _setting(
        "MAX_CONNECTIONS",
        whole(8, 100_000),
        "Maximum open connections. For a new one the longest idle one is closed; without such, it gets 503. Not under "
        "func's own server.",
        default="1024",
    )
    max_connections_per_peer: int = _setting(
        "MAX_CONNECTIONS_PER_PEER",
        whole(4, 100_000),
        "Maximum open connections of one peer address; a gateway is one peer. Not under func's own server.",
        default="512",
    )
    max_waiting: int = _setting(
        "MAX_WAITING",
        whole(1, 100_000),
        "Maximum last frames that wait or are scored; beyond it 503.",
        default="256",
    )
    max_waiting_per_viewer: int = _setting(
        "MAX_WAITING_PER_VIEWER",
        whole(1, 100_000),
        "Maximum waiting last frames with the same `ip_address`.",
        default="16",
    )
    max_image_pixels: int = _setting(
        "MAX_IMAGE_PIXELS",
        whole(1, 10**8),
        "Maximum image size, width × height, checked before decoding; larger ones get 413.",
        default=str(3840 * 2160),
    )
    request_timeout_s: float = _setting(
        "REQUEST_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time for a frame after its body is read, including all upstream calls and retries.",
        default="8",
    )
    last_frame_timeout_s: float = _setting(
        "LAST_FRAME_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time for waiting, scoring and delivering after a last frame; at least BARRIER_TIMEOUT_S.",
        default="270",
    )
    http_timeout_s: float = _setting(
        "HTTP_TIMEOUT_S",
        seconds(0.05, 60),
        "Timeout of one HTTP call to an upstream service, from connecting to the last byte.",
        default="5",
    )
    http_retries: int = _setting(
        "HTTP_RETRIES",
        whole(0, 10),
        "Maximum retries of a failed HTTP call, within the request's time and a budget of 20 % of all calls.",
        default="2",
    )
    ca_bundle: Path | None = _setting(  # noqa: RUF009 - a field, not a default
        "CA_BUNDLE",
        parse_ca_bundle,
        "PEM file of the only certificate authorities trusted for upstream services, including MongoDB unless its URI "
        "has tlsCAFile.",
        default="",
        default_text="certifi's; for MongoDB the system's",
    )
    outbound_proxy: str | None = _setting(
        "OUTBOUND_PROXY",
        parse_base_url,
        "HTTP proxy for calls to upstream services; HTTP_PROXY and similar variables are ignored.",
        default="",
        default_text="none",
        is_secret=True,
    )
    mongo_timeout_s: float = _setting("MONGO_TIMEOUT_S", seconds(0.05, 60), "Timeout of a MongoDB call.", default="5")
    barrier_timeout_s: float = _setting(
        "BARRIER_TIMEOUT_S",
        seconds(0, 300),
        "Maximum time that a last frame waits for missing frames.",
        default="10",
    )
    barrier_poll_s: float = _setting(
        "BARRIER_POLL_S", seconds(0.01, 10), "Interval between checks for missing frames.", default="0.2"
    )
    calibration_refresh_s: float = _setting(
        "CALIBRATION_REFRESH_S",
        seconds(0, 3600),
        "Cache lifetime of a viewer's calibration. Scoring always reads it again.",
        default="10",
    )
    scoring_smoothing: str = _setting(
        "SCORING_SMOOTHING",
        one_of("none", "zero_lag"),
        "Smoothing of the gaze before scoring; `zero_lag` smooths symmetrically in time.",
        default="none",
    )
    gaze_accuracy_deg: float | None = _setting(
        "GAZE_ACCURACY_DEG",
        number(0.1, 30, unit="degrees"),
        "Typical angular error in degrees. If set, sessions are also scored on maps blurred to it. A calibration's own "
        "error takes precedence.",
        default="",
        default_text="none",
    )
    session_token_keys: tuple[bytes, ...] = _setting(
        "SESSION_TOKEN_KEYS",
        parse_keys,
        "Keys for session tokens, separated by commas: `hex:…`, `base64:…` or text, at least 32 bytes each.",
        default=lambda _: (),
        default_text="none: tokens are not checked",
        is_secret=True,
    )
    session_token_file_keys: tuple[bytes, ...] = _setting(
        "SESSION_TOKEN_KEYS_FILE",
        read_key_file,
        "Path of a file with more keys, one per line or separated by commas.",
        default=lambda _: (),
        default_text="none",
        is_secret=True,
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        one_of(*(name for name in logging.getLevelNamesMapping() if name not in {"NOTSET", "WARN", "FATAL"})),
        "Minimum level of logged messages.",
        default="INFO",
    )

    @property
    def token_keys(self) -> tuple[bytes, ...]:
        """Every key that verifies session tokens."""
        return self.session_token_keys + self.session_token_file_keys


def read_settings(
    environ: Mapping[str, str], *, host_cpus: int | None = None, usable_cpus: int | None = None
) -> Settings:
    """Return the settings that the environment describes.

    Args:
        environ: Such as `os.environ`; read here and nowhere else.
        host_cpus: CPUs of the host, by which functions-framework counts its threads; None asks the system.
        usable_cpus: CPUs that this process may use; None asks the system.

    Raises:
        SettingsError: A variable is missing or wrong; the message names it.
    """
    values: dict[str, Any] = {}
    start = _Start(
        host_cpus=host_cpus or os.cpu_count() or 1, usable_cpus=usable_cpus or count_usable_cpus(), values=values
    )
    for name, setting, reader in _list_settings():
        values[name] = _read(setting.variable, reader, environ, start)
    settings = Settings(**values)
    if settings.max_bodies_bytes < settings.max_body_bytes:
        raise SettingsError("MAX_BODIES_BYTES", f"must be at least MAX_BODY_BYTES = {settings.max_body_bytes}")
    require_digest("FACE_LANDMARKER_MODEL", settings.face_landmarker_model, settings.face_landmarker_model_sha256)
    require_digest("GAZE_MODEL", settings.gaze_model, settings.gaze_model_sha256)
    if settings.last_frame_timeout_s < settings.barrier_timeout_s:
        raise SettingsError(
            "LAST_FRAME_TIMEOUT_S",
            f"must be at least BARRIER_TIMEOUT_S = {settings.barrier_timeout_s:g}, "
            f"not {settings.last_frame_timeout_s:g}",
        )
    return settings


def describe_settings() -> list[Setting]:
    """Return every variable with its default and meaning, in the order of `Settings`."""
    return [setting for _, setting, _ in _list_settings()]


def count_usable_cpus() -> int:
    """Return how many CPUs this process may use: its affinity, cut to the limit of its container."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_CPU_LIMIT.read_text(encoding="ascii").split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cpus
    return max(1, min(cpus, limit))


def _list_settings() -> list[tuple[str, Setting, _Reader]]:
    return [(entry.name, *entry.metadata[_METADATA_KEY]) for entry in fields(Settings)]


def _read(variable: str, reader: _Reader, environ: Mapping[str, str], start: _Start) -> Any:  # noqa: ANN401
    text = environ.get(variable, "").strip()
    try:
        if text:
            return reader.parse(text)
        if reader.default is None:
            raise SettingsError(variable, "must be set")
        if callable(reader.default):
            return reader.default(start)
        return reader.parse(reader.default) if reader.default else None
    except ValueError as error:
        sent = f", not {text!r}" if text and not reader.is_secret else ""
        raise SettingsError(variable, f"{error}{sent}") from error
