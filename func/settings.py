"""Settings of the function: environment variables, their defaults and meanings.

`make docs` writes docs/settings.md from this list.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from func.errors import SettingsError
from func.log_lines import FORMATS, FRAMES
from func.model_paths import locate_packaged_model, parse_model_path, parse_sha256, require_digest
from func.session_token import parse_keys, read_key_file
from func.setting_fields import Setting, list_settings, read_fields, setting
from func.setting_parsers import (
    number,
    one_of,
    parse_ca_bundle,
    parse_database,
    parse_workers,
    seconds,
    whole,
)
from func.setting_urls import parse_base_url, parse_mongo_uri, parse_origins, parse_proxy_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Checked settings of the process."""

    session_api_url: str = setting(
        "SESSION_API_URL", parse_base_url, "Base URL of the session API.", default="http://session-service"
    )
    aggregator_url: str = setting(
        "AGGREGATOR_URL",
        parse_base_url,
        "Base URL of the result aggregator.",
        default="http://result-aggregator-service",
    )
    mongo_uri: str = setting(
        "MONGO_URI",
        parse_mongo_uri,
        "URI of the MongoDB with the saliency maps. It may contain a password and is never printed.",
        default=None,
        is_secret=True,
    )
    mongo_database: str = setting(
        "MONGO_DATABASE",
        parse_database,
        "Database of the saliency maps, with one collection for each video.",
        default="saliency_db",
    )
    face_landmarker: str = setting(
        "FACE_LANDMARKER",
        one_of("mediapipe", "litert"),
        "Engine that detects the face landmarks: `litert` runs the same networks faster, and needs ai-edge-litert.",
        default="mediapipe",
    )
    face_landmarker_model: Path = setting(  # noqa: RUF009 - a field, not a default
        "FACE_LANDMARKER_MODEL",
        parse_model_path,
        "Path of the face landmarker bundle.",
        default=lambda _: locate_packaged_model("face_landmarker.task"),
        default_text="the packaged models/face_landmarker.task",
    )
    face_landmarker_model_sha256: str | None = setting(
        "FACE_LANDMARKER_MODEL_SHA256",
        parse_sha256,
        "Expected SHA-256 of the bundle. Required if FACE_LANDMARKER_MODEL is outside the packaged folder.",
        default="",
        default_text="none",
    )
    gaze_model: Path = setting(  # noqa: RUF009 - a field, not a default
        "GAZE_MODEL",
        parse_model_path,
        "Path of the gaze model, with its card beside it: `.joblib`, or `.onnx`, which needs no scikit-learn.",
        default=lambda _: locate_packaged_model("gaze_model.joblib"),
        default_text="the packaged models/gaze_model.joblib",
    )
    gaze_model_sha256: str | None = setting(
        "GAZE_MODEL_SHA256",
        parse_sha256,
        "Expected SHA-256 of the gaze model. Required if GAZE_MODEL is outside the packaged folder.",
        default="",
        default_text="none",
    )
    eye_network: Path = setting(  # noqa: RUF009 - a field, not a default
        "EYE_NETWORK",
        parse_model_path,
        "Path of the eye network, with its card beside it. Used if the gaze model was trained with it.",
        default=lambda _: locate_packaged_model("eye_network.onnx"),
        default_text="the packaged models/eye_network.onnx",
    )
    eye_network_sha256: str | None = setting(
        "EYE_NETWORK_SHA256",
        parse_sha256,
        "Expected SHA-256 of the eye network. Required if EYE_NETWORK is outside the packaged folder.",
        default="",
        default_text="none",
    )
    threads: int = setting(
        "THREADS",
        whole(4, 1000),
        "Threads that store frames in the session API. Frames that would wait too long for one get 503.",
        default=lambda context: 4 * context.host_cpus,
        default_text="4 × CPUs of the host",
    )
    workers: int = setting(
        "WORKERS",
        parse_workers,
        "Server processes. Must be 1, because metrics are counted per process: scale with pods.",
        default="1",
    )
    scoring_places: int = setting(
        "SCORING_PLACES",
        whole(1, 1000),
        "Maximum concurrent scorings. A last frame that waits for other frames takes none.",
        default=lambda context: max(1, int(context.values["threads"]) // 4),
        default_text="a quarter of THREADS",
    )
    landmarkers: int = setting(
        "LANDMARKERS",
        whole(1, 256),
        "Maximum concurrent landmark detections; each costs 27 MB.",
        default=lambda context: context.usable_cpus,
        default_text="CPUs that this process may use",
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS",
        parse_origins,
        "Origins of web pages that may post frames from a browser, separated by commas, such as "
        "`https://study.example`. Not needed behind a gateway of the same origin.",
        default=lambda _: (),
        default_text="none: browsers refuse pages of other origins",
    )
    landmarker_wait_s: float = setting(
        "LANDMARKER_WAIT_S",
        seconds(0, 60),
        "Maximum expected wait for a landmarker, and for a thread that stores; frames beyond it get 503 at once.",
        default="2",
    )
    max_body_bytes: int = setting(
        "MAX_BODY_BYTES",
        whole(1024, 256 * 2**20),
        "Maximum size of a request body; larger ones get 413.",
        default=str(8 * 2**20),
    )
    body_timeout_s: float = setting(
        "BODY_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time to receive a request body; slower ones get 408.",
        default="10",
    )
    max_bodies_bytes: int = setting(
        "MAX_BODIES_BYTES",
        whole(1024, 16 * 2**30),
        "Maximum memory of all request bodies; beyond it the largest unfinished one gets 503.",
        default=lambda context: max(64 * 2**20, int(context.values["max_body_bytes"])),
        default_text="64 MiB, or MAX_BODY_BYTES if that is more",
    )
    management_port: int | None = setting(
        "MANAGEMENT_PORT",
        whole(1, 65535),
        "Second port, for everything but `/gaze`. The first port then has neither `/metrics` nor `/openapi.json`, and "
        "its readiness has no details.",
        default="",
        default_text="none: one port serves everything",
    )
    head_timeout_s: float = setting(
        "HEAD_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time to receive a request line and headers; slower ones get 408. Not under func's own server.",
        default="5",
    )
    answer_timeout_s: float = setting(
        "ANSWER_TIMEOUT_S",
        seconds(0.1, 300),
        "Time after which a connection with an unread answer is cut. Not under func's own server.",
        default="10",
    )
    max_connections: int = setting(
        "MAX_CONNECTIONS",
        whole(8, 100_000),
        "Maximum open connections. A new one replaces the one idle longest; if none is idle, it gets 503. Not under "
        "func's own server.",
        default="1024",
    )
    max_connections_per_peer: int = setting(
        "MAX_CONNECTIONS_PER_PEER",
        whole(4, 100_000),
        "Maximum open connections of one peer address; a gateway is one peer. Not under func's own server.",
        default="512",
    )
    max_waiting: int = setting(
        "MAX_WAITING",
        whole(1, 100_000),
        "Maximum last frames that wait or are scored; more get 503.",
        default="256",
    )
    max_waiting_per_viewer: int = setting(
        "MAX_WAITING_PER_VIEWER",
        whole(1, 100_000),
        "Maximum waiting last frames with the same `ip_address`.",
        default="16",
    )
    max_image_pixels: int = setting(
        "MAX_IMAGE_PIXELS",
        whole(1, 10**8),
        "Maximum image size, width × height, checked before decoding; larger ones get 413.",
        default=str(3840 * 2160),
    )
    request_timeout_s: float = setting(
        "REQUEST_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time for a frame after its body is read, including all upstream calls and retries.",
        default="8",
    )
    last_frame_timeout_s: float = setting(
        "LAST_FRAME_TIMEOUT_S",
        seconds(0.1, 300),
        "Maximum time for waiting, scoring and delivering after a last frame; at least BARRIER_TIMEOUT_S.",
        default="270",
    )
    http_timeout_s: float = setting(
        "HTTP_TIMEOUT_S",
        seconds(0.05, 60),
        "Timeout of one HTTP call to an upstream service, from connecting to the last byte.",
        default="5",
    )
    http_retries: int = setting(
        "HTTP_RETRIES",
        whole(0, 10),
        "Maximum retries of a failed HTTP call, within the request's time and a budget of 20 % of all calls.",
        default="2",
    )
    ca_bundle: Path | None = setting(  # noqa: RUF009 - a field, not a default
        "CA_BUNDLE",
        parse_ca_bundle,
        "PEM file of the only certificate authorities trusted for upstream services, including MongoDB unless its URI "
        "has tlsCAFile.",
        default="",
        default_text="certifi's; for MongoDB the system's",
    )
    outbound_proxy: str | None = setting(
        "OUTBOUND_PROXY",
        parse_proxy_url,
        "HTTP proxy for calls to upstream services; HTTP_PROXY and similar variables are ignored.",
        default="",
        default_text="none",
        is_secret=True,
    )
    mongo_timeout_s: float = setting("MONGO_TIMEOUT_S", seconds(0.05, 60), "Timeout of a MongoDB call.", default="5")
    barrier_timeout_s: float = setting(
        "BARRIER_TIMEOUT_S",
        seconds(0, 300),
        "Maximum time that a last frame waits for missing frames.",
        default="10",
    )
    barrier_poll_s: float = setting(
        "BARRIER_POLL_S", seconds(0.01, 10), "Interval between checks for missing frames.", default="0.2"
    )
    calibration_refresh_s: float = setting(
        "CALIBRATION_REFRESH_S",
        seconds(0, 3600),
        "Cache lifetime of a viewer's calibration. Scoring always reads it again.",
        default="10",
    )
    scoring_smoothing: str = setting(
        "SCORING_SMOOTHING",
        one_of("none", "zero_lag"),
        "Smoothing of the gaze before scoring; `zero_lag` smooths symmetrically in time.",
        default="none",
    )
    gaze_accuracy_deg: float | None = setting(
        "GAZE_ACCURACY_DEG",
        number(0.1, 30, unit="degrees"),
        "Typical angular error in degrees. If set, sessions are also scored on maps blurred to it. A calibration's own "
        "error takes precedence.",
        default="",
        default_text="none",
    )
    session_token_keys: tuple[bytes, ...] = setting(
        "SESSION_TOKEN_KEYS",
        parse_keys,
        "Keys for session tokens, separated by commas: `hex:…`, `base64:…` or text, at least 32 bytes each.",
        default=lambda _: (),
        default_text="none: tokens are not checked",
        is_secret=True,
    )
    session_token_file_keys: tuple[bytes, ...] = setting(
        "SESSION_TOKEN_KEYS_FILE",
        read_key_file,
        "Path of a file with more keys, one per line or separated by commas.",
        default=lambda _: (),
        default_text="none",
        is_secret=True,
    )
    log_level: str = setting(
        "LOG_LEVEL",
        one_of(*(name for name in logging.getLevelNamesMapping() if name not in {"NOTSET", "WARN", "FATAL"})),
        "Minimum level of logged messages.",
        default="INFO",
    )
    log_format: str = setting(
        "LOG_FORMAT", one_of(*FORMATS), "Format of the log: `json` writes one JSON object per line.", default="text"
    )
    log_frames: str = setting(
        "LOG_FRAMES",
        one_of(*FRAMES),
        "Requests to log: `errors` are failed requests and completed sessions, `all` also every frame, `none` only "
        "requests that fail with 500 or more.",
        default="errors",
    )

    @property
    def token_keys(self) -> tuple[bytes, ...]:
        """All keys that verify session tokens."""
        return self.session_token_keys + self.session_token_file_keys


def read_settings(
    environ: Mapping[str, str], *, host_cpus: int | None = None, usable_cpus: int | None = None
) -> Settings:
    """Return the settings in the environment.

    Args:
        environ: Environment variables, such as `os.environ`.
        host_cpus: CPUs of the host, for the default of THREADS; None asks the system.
        usable_cpus: CPUs that this process may use; None asks the system.

    Raises:
        SettingsError: A variable is missing or invalid; the message names it.
    """
    settings = Settings(**read_fields(Settings, environ, host_cpus=host_cpus, usable_cpus=usable_cpus))
    if settings.max_bodies_bytes < settings.max_body_bytes:
        raise SettingsError("MAX_BODIES_BYTES", f"must be at least MAX_BODY_BYTES = {settings.max_body_bytes}")
    require_digest("FACE_LANDMARKER_MODEL", settings.face_landmarker_model, settings.face_landmarker_model_sha256)
    require_digest("EYE_NETWORK", settings.eye_network, settings.eye_network_sha256)
    require_digest("GAZE_MODEL", settings.gaze_model, settings.gaze_model_sha256)
    if settings.last_frame_timeout_s < settings.barrier_timeout_s:
        raise SettingsError(
            "LAST_FRAME_TIMEOUT_S",
            f"must be at least BARRIER_TIMEOUT_S = {settings.barrier_timeout_s:g}, "
            f"not {settings.last_frame_timeout_s:g}",
        )
    return settings


def describe_settings() -> list[Setting]:
    """Return all settings in the order of `Settings`."""
    return list_settings(Settings)
