"""Every setting of the function: its environment variable, its default and what it means.

`Settings` is the one place that documents them; `describe_settings` lists them for docs/settings.md. A variable that
is set to the empty string counts as not set. Not pydantic-settings: defaults computed from the machine, one line that
names the wrong variable and an environment passed as an argument would need about as much code, and python-dotenv in
the image.
"""

import logging
import math
import os
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from func.errors import SettingsError
from func.model_paths import locate_packaged_model, parse_model_path, parse_sha256, require_digest
from func.session_token import parse_keys, read_key_file

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


def _whole(minimum: int, maximum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def _number(minimum: float, maximum: float, *, unit: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not minimum <= value <= maximum:
            raise ValueError(f"must be a number of {unit} from {minimum:g} to {maximum:g}")
        return value

    return parse


def _seconds(minimum_s: float, maximum_s: float) -> Callable[[str], float]:
    return _number(minimum_s, maximum_s, unit="seconds")


def _parse_workers(text: str) -> int:
    if text != "1":
        raise ValueError("must be 1, since metrics are counted per process: scale with pods")
    return 1


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of: {', '.join(choices)}")
        return text

    return parse


def _parse_base_url(text: str) -> str:
    try:
        url = urlsplit(text)
        is_usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or url.query or url.fragment:
        raise ValueError("must be an http:// or https:// address without query and fragment")
    return text.rstrip("/")


def _parse_mongo_uri(text: str) -> str:
    if not re.fullmatch(r"mongodb(\+srv)?://[^/\s]+.*", text):
        raise ValueError("must be a mongodb:// or mongodb+srv:// address")
    return text


def _parse_database(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", text):
        raise ValueError("must be letters, digits, _ and -, at most 63")
    return text


def _parse_ca_bundle(text: str) -> Path:
    if not Path(text).is_file():
        raise ValueError("must be the path of a file")
    try:
        ssl.create_default_context(cafile=text)
    except ssl.SSLError as error:
        raise ValueError("must be a PEM file with certificates") from error
    except OSError as error:
        raise ValueError("must be a file that can be read") from error
    return Path(text)


def _count_default_landmarkers(start: _Start) -> int:
    """Return one landmarker for each CPU, but leave threads to waiting last frames, to health and to metrics."""
    spare = count_frame_threads(int(start.values["threads"])) - int(start.values["scoring_places"])
    return max(1, min(start.usable_cpus, spare))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says, checked."""

    session_api_url: str = _setting(
        "SESSION_API_URL", _parse_base_url, "Base URL of the session API.", default="http://session-service"
    )
    aggregator_url: str = _setting(
        "AGGREGATOR_URL",
        _parse_base_url,
        "Base URL of the result aggregator.",
        default="http://result-aggregator-service",
    )
    mongo_uri: str = _setting(
        "MONGO_URI",
        _parse_mongo_uri,
        "URI of the MongoDB with the saliency maps. It may contain a password and is never printed.",
        default=None,
        is_secret=True,
    )
    mongo_database: str = _setting(
        "MONGO_DATABASE",
        _parse_database,
        "Database of the saliency maps, with one collection for each video.",
        default="saliency_db",
    )
    face_landmarker: str = _setting(
        "FACE_LANDMARKER", _one_of("mediapipe"), "Engine that detects the face landmarks.", default="mediapipe"
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
    gaze_model: Path = _setting(  # noqa: RUF009 - likewise
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
        _whole(4, 1000),
        "Requests that one process serves at a time, two of them for health and metrics: frames beyond that get 503. "
        "functions-framework reads it too.",
        default=lambda start: 4 * start.host_cpus,
        default_text="4 × CPUs of the host",
    )
    workers: int = _setting(
        "WORKERS",
        _parse_workers,
        "Server processes. Must be 1, because metrics are counted per process: scale with pods.",
        default="1",
    )
    scoring_places: int = _setting(
        "SCORING_PLACES",
        _whole(1, 1000),
        "Last frames that may wait and be scored at a time; at most THREADS − 2 − LANDMARKERS, so that they never "
        "block the frames that they wait for.",
        default=lambda start: max(1, int(start.values["threads"]) // 4),
        default_text="a quarter of THREADS",
    )
    landmarkers: int = _setting(
        "LANDMARKERS",
        _whole(1, 256),
        "Frames whose landmarks are sought at a time; each costs 27 MB. Two pictures more may be decoded and wait.",
        default=_count_default_landmarkers,
        default_text="CPUs that this process may use, as far as THREADS has room",
    )
    landmarker_wait_s: float = _setting(
        "LANDMARKER_WAIT_S",
        _seconds(0, 60),
        "How long a frame waits to be decoded, and again for a free landmarker, before it is refused with 503.",
        default="2",
    )
    max_body_bytes: int = _setting(
        "MAX_BODY_BYTES",
        _whole(1024, 256 * 2**20),
        "Maximum size of a request body; larger ones get 413.",
        default=str(8 * 2**20),
    )
    body_timeout_s: float = _setting(
        "BODY_TIMEOUT_S",
        _seconds(0.1, 300),
        "How long a request body may take to come in all; beyond it 408. Not under func's own server.",
        default="10",
    )
    max_image_pixels: int = _setting(
        "MAX_IMAGE_PIXELS",
        _whole(1, 10**8),
        "Maximum image size, width × height, checked before decoding; larger ones get 413.",
        default=str(3840 * 2160),
    )
    request_timeout_s: float = _setting(
        "REQUEST_TIMEOUT_S",
        _seconds(0.1, 300),
        "Maximum time for a frame after its body is read, including all upstream calls and retries.",
        default="8",
    )
    last_frame_timeout_s: float = _setting(
        "LAST_FRAME_TIMEOUT_S",
        _seconds(0.1, 300),
        "Maximum time for waiting, scoring and delivering after a last frame; at least BARRIER_TIMEOUT_S.",
        default="270",
    )
    http_timeout_s: float = _setting(
        "HTTP_TIMEOUT_S",
        _seconds(0.05, 60),
        "Timeout of one HTTP call to an upstream service, from connecting to the last byte.",
        default="5",
    )
    http_retries: int = _setting(
        "HTTP_RETRIES",
        _whole(0, 10),
        "Maximum retries of a failed HTTP call, within the request's time and a budget of 20 % of all calls.",
        default="2",
    )
    ca_bundle: Path | None = _setting(  # noqa: RUF009 - a field, not a default
        "CA_BUNDLE",
        _parse_ca_bundle,
        "PEM file of the only certificate authorities trusted for upstream services, including MongoDB unless its URI "
        "has tlsCAFile.",
        default="",
        default_text="certifi's; for MongoDB the system's",
    )
    outbound_proxy: str | None = _setting(
        "OUTBOUND_PROXY",
        _parse_base_url,
        "HTTP proxy for calls to upstream services; HTTP_PROXY and similar variables are ignored.",
        default="",
        default_text="none",
        is_secret=True,
    )
    mongo_timeout_s: float = _setting("MONGO_TIMEOUT_S", _seconds(0.05, 60), "Timeout of a MongoDB call.", default="5")
    barrier_timeout_s: float = _setting(
        "BARRIER_TIMEOUT_S",
        _seconds(0, 300),
        "Maximum time that a last frame waits for missing frames.",
        default="10",
    )
    barrier_poll_s: float = _setting(
        "BARRIER_POLL_S", _seconds(0.01, 10), "Interval between checks for missing frames.", default="0.2"
    )
    calibration_refresh_s: float = _setting(
        "CALIBRATION_REFRESH_S",
        _seconds(0, 3600),
        "Cache lifetime of a viewer's calibration. Scoring always reads it again.",
        default="10",
    )
    scoring_smoothing: str = _setting(
        "SCORING_SMOOTHING",
        _one_of("none", "zero_lag"),
        "Smoothing of the gaze before scoring; `zero_lag` smooths symmetrically in time.",
        default="none",
    )
    gaze_accuracy_deg: float | None = _setting(
        "GAZE_ACCURACY_DEG",
        _number(0.1, 30, unit="degrees"),
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
        _one_of(*(name for name in logging.getLevelNamesMapping() if name not in {"NOTSET", "WARN", "FATAL"})),
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
    if settings.scoring_places > count_frame_threads(settings.threads) - settings.landmarkers:
        raise SettingsError(
            "SCORING_PLACES",
            f"must be at most THREADS − 2 − LANDMARKERS = {settings.threads} − 2 − {settings.landmarkers}, "
            f"not {settings.scoring_places}",
        )
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


def count_frame_threads(threads: int) -> int:
    """Return how many of a process's threads may answer frames; the others are for health and metrics."""
    return max(1, threads - 2)


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
