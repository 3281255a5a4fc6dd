"""Every environment variable: default, invalid values, and that messages name it."""

import os
import re
import shutil
from dataclasses import fields
from pathlib import Path

import certifi
import pytest

from func import setting_fields
from func.errors import SettingsError
from func.setting_fields import count_usable_cpus
from func.settings import Settings, describe_settings, read_settings

REQUIRED = {"MONGO_URI": "mongodb://localhost"}


def test_the_defaults_are_those_of_the_documentation():
    settings = read_settings(REQUIRED, host_cpus=4, usable_cpus=2)

    assert (settings.session_api_url, settings.aggregator_url, settings.mongo_database, settings.outbound_proxy) == (
        "http://session-service",
        "http://result-aggregator-service",
        "saliency_db",
        None,
    )
    assert (settings.threads, settings.scoring_places, settings.landmarkers) == (16, 4, 2)
    assert (settings.max_body_bytes, settings.max_image_pixels) == (8_388_608, 8_294_400)
    assert (settings.body_timeout_s, settings.head_timeout_s, settings.answer_timeout_s) == (10.0, 5.0, 10.0)
    assert (settings.max_bodies_bytes, settings.workers) == (67_108_864, 1)
    assert (settings.max_connections, settings.max_connections_per_peer) == (1024, 512)
    assert (settings.max_waiting, settings.max_waiting_per_viewer) == (256, 16)
    assert (settings.http_timeout_s, settings.http_retries, settings.mongo_timeout_s) == (5.0, 2, 5.0)
    assert (settings.request_timeout_s, settings.last_frame_timeout_s, settings.ca_bundle) == (8.0, 270.0, None)
    assert (settings.barrier_timeout_s, settings.barrier_poll_s, settings.landmarker_wait_s) == (10.0, 0.2, 2.0)
    assert (settings.face_landmarker, settings.log_level) == ("mediapipe", "INFO")


def test_the_model_files_are_the_packaged_ones():
    settings = read_settings(REQUIRED)

    models = Path(__file__).parents[2] / "models"
    assert settings.face_landmarker_model == models / "face_landmarker.task"
    assert settings.gaze_model == models / "gaze_model.joblib"
    assert settings.eye_network == models / "eye_network.onnx"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SESSION_API_URL", "session-service"),
        ("SESSION_API_URL", "ftp://h"),
        ("SESSION_API_URL", "http://"),
        ("SESSION_API_URL", "http://h:99999"),
        ("AGGREGATOR_URL", "http://h/?a=b"),
        ("MONGO_URI", "http://h"),
        ("MONGO_URI", "mongodb://"),
        ("MONGO_URI", ""),
        ("MONGO_DATABASE", "a.b"),
        ("FACE_LANDMARKER", "dlib"),
        ("GAZE_MODEL", "/nowhere/gaze_model.joblib"),
        ("GAZE_MODEL", "/"),
        ("FACE_LANDMARKER_MODEL", "/dev/null"),
        ("GAZE_MODEL_SHA256", "cb53abd"),
        ("FACE_LANDMARKER_MODEL_SHA256", "g" * 64),
        ("LANDMARKERS", "0"),
        ("LANDMARKERS", "two"),
        ("LANDMARKERS", "1.5"),
        ("LANDMARKERS", "1_0"),
        ("LANDMARKER_WAIT_S", "-1"),
        ("MAX_BODY_BYTES", "8 MiB"),
        ("MAX_BODY_BYTES", "0"),
        ("MAX_IMAGE_PIXELS", "1e6"),
        ("HTTP_TIMEOUT_S", "nan"),
        ("HTTP_TIMEOUT_S", "inf"),
        ("HTTP_TIMEOUT_S", "0"),
        ("HTTP_RETRIES", "-1"),
        ("REQUEST_TIMEOUT_S", "0"),
        ("REQUEST_TIMEOUT_S", "301"),
        ("LAST_FRAME_TIMEOUT_S", "0"),
        ("LAST_FRAME_TIMEOUT_S", "301"),
        ("CA_BUNDLE", "/nowhere/ca.pem"),
        ("CA_BUNDLE", "/"),
        ("CA_BUNDLE", __file__),
        ("OUTBOUND_PROXY", "proxy:3128"),
        ("MONGO_TIMEOUT_S", "soon"),
        ("BARRIER_TIMEOUT_S", "301"),
        ("BARRIER_POLL_S", "0"),
        ("SCORING_PLACES", "0"),
        ("THREADS", "3"),
        ("WORKERS", "2"),
        ("WORKERS", "0"),
        ("BODY_TIMEOUT_S", "0"),
        ("HEAD_TIMEOUT_S", "0"),
        ("ANSWER_TIMEOUT_S", "0"),
        ("MAX_BODIES_BYTES", "1"),
        ("MAX_CONNECTIONS", "7"),
        ("MAX_CONNECTIONS_PER_PEER", "3"),
        ("MAX_WAITING", "0"),
        ("MAX_WAITING_PER_VIEWER", "0"),
        ("LOG_LEVEL", "verbose"),
    ],
)
def test_an_invalid_variable_is_named(variable, value):
    with pytest.raises(SettingsError, match=f"^{variable} must ") as caught:
        read_settings({**REQUIRED, variable: value})

    assert caught.value.variable == variable


@pytest.mark.parametrize("variable", ["SESSION_API_URL", "AGGREGATOR_URL", "CA_BUNDLE", "THREADS"])
@pytest.mark.parametrize(
    "value", ["ftp://user:secret@host", "http://host?key=secret", "secret" * 100], ids=["address", "query", "long"]
)
def test_a_value_that_may_be_a_secret_in_the_wrong_variable_is_not_shown(variable, value):
    with pytest.raises(SettingsError, match=variable) as caught:
        read_settings({**REQUIRED, variable: value})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["SESSION_TOKEN_KEYS_FILE", "CA_BUNDLE", "GAZE_MODEL"])
def test_the_content_of_a_file_in_place_of_its_path_is_refused_without_showing_it(variable):
    with pytest.raises(SettingsError) as caught:
        read_settings({**REQUIRED, variable: "0123456789abcdef" * 20})

    assert str(caught.value).startswith(f"{variable} must be")
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize("variable", ["MONGO_URI", "OUTBOUND_PROXY"])
def test_a_url_that_may_contain_a_password_is_never_shown(variable):
    with pytest.raises(SettingsError) as caught:
        read_settings({**REQUIRED, variable: "ftp://user:secret@host"})

    assert "secret" not in str(caught.value)


def test_passwords_are_not_in_the_repr():
    settings = read_settings({"MONGO_URI": "mongodb://u:secret@h", "OUTBOUND_PROXY": "http://u:secret@h"})

    assert "secret" not in repr(settings)


KEY = "0123456789abcdef0123456789abcdef"


def test_without_keys_tokens_are_not_checked():
    assert read_settings(REQUIRED).token_keys == ()


def test_keys_come_from_a_variable_and_from_a_file(tmp_path):
    (tmp_path / "keys").write_text("hex:" + "61" * 32 + "\n")
    settings = read_settings({**REQUIRED, "SESSION_TOKEN_KEYS": KEY, "SESSION_TOKEN_KEYS_FILE": str(tmp_path / "keys")})

    assert settings.token_keys == (KEY.encode(), b"a" * 32)
    assert KEY not in repr(settings)
    assert "aaaa" not in repr(settings)


@pytest.mark.parametrize("value", ["too-short-a-key", "hex:not-hexadecimal", "base64:*not-base64*", "0" * 31])
def test_the_variable_of_an_invalid_key_is_named_without_the_key(value, tmp_path):
    (tmp_path / "keys").write_text(value)
    for variable, text in (("SESSION_TOKEN_KEYS", value), ("SESSION_TOKEN_KEYS_FILE", str(tmp_path / "keys"))):
        with pytest.raises(SettingsError, match=f"^{variable} ") as caught:
            read_settings({**REQUIRED, variable: text})

        assert value.partition(":")[2] not in str(caught.value) or ":" not in value
        assert value not in str(caught.value)


def test_a_key_file_that_is_missing_or_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("missing", "pipe"):
        with pytest.raises(SettingsError, match=r"^SESSION_TOKEN_KEYS_FILE must be the path of a file"):
            read_settings({**REQUIRED, "SESSION_TOKEN_KEYS_FILE": str(tmp_path / name)})


def test_an_empty_variable_counts_as_not_set():
    assert read_settings({**REQUIRED, "HTTP_RETRIES": ""}).http_retries == 2


def test_a_trailing_slash_of_a_url_is_removed():
    assert read_settings({**REQUIRED, "SESSION_API_URL": "http://h/api/"}).session_api_url == "http://h/api"


def test_the_memory_for_bodies_fits_at_least_one():
    with pytest.raises(SettingsError, match=r"^MAX_BODIES_BYTES must be at least MAX_BODY_BYTES = 8388608$"):
        read_settings({**REQUIRED, "MAX_BODIES_BYTES": "8388607"})


def test_one_large_body_fits_by_default():
    assert read_settings({**REQUIRED, "MAX_BODY_BYTES": str(2**28)}).max_bodies_bytes == 2**28


def test_the_time_of_a_last_frame_includes_its_maximum_wait():
    with pytest.raises(SettingsError, match=r"^LAST_FRAME_TIMEOUT_S must be at least BARRIER_TIMEOUT_S = 10, not 9$"):
        read_settings({**REQUIRED, "LAST_FRAME_TIMEOUT_S": "9"})


def test_a_bundle_of_certificates_is_accepted():
    assert read_settings({**REQUIRED, "CA_BUNDLE": certifi.where()}).ca_bundle == Path(certifi.where())


def test_a_bundle_without_a_certificate_is_refused(tmp_path):
    (tmp_path / "empty.pem").write_bytes(b"")

    with pytest.raises(SettingsError, match=r"^CA_BUNDLE must be a PEM file with certificates"):
        read_settings({**REQUIRED, "CA_BUNDLE": str(tmp_path / "empty.pem")})


def test_several_processes_are_refused():
    with pytest.raises(
        SettingsError, match=r"^WORKERS must be 1, because metrics are counted per process: scale with pods, not '2'$"
    ):
        read_settings({**REQUIRED, "WORKERS": "2"})


def test_every_setting_is_described():
    assert len(describe_settings()) == len(fields(Settings))
    for setting in describe_settings():
        assert setting.variable.isupper()
        assert setting.default
        assert setting.meaning.endswith(".")


@pytest.mark.parametrize(("limit", "cpus"), [("150000 100000", 2), ("10000 100000", 1), ("max 100000", 3)])
def test_usable_cpus_are_limited_by_the_container(tmp_path, monkeypatch, limit, cpus):
    (tmp_path / "cpu.max").write_text(limit)
    monkeypatch.setattr(setting_fields, "_CGROUP_CPU_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(setting_fields.os, "sched_getaffinity", lambda _: {0, 1, 2})

    assert count_usable_cpus() == cpus


MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture(
    params=[
        ("GAZE_MODEL", "gaze_model.joblib"),
        ("EYE_NETWORK", "eye_network.onnx"),
        ("FACE_LANDMARKER_MODEL", "face_landmarker.task"),
    ]
)
def elsewhere(request, tmp_path):
    """A variable, and a model file outside the packaged folder that it may name."""
    variable, name = request.param
    shutil.copy(MODELS / name, tmp_path)
    return variable, tmp_path / name


def test_a_model_outside_the_packaged_folder_needs_its_digest(elsewhere):
    variable, path = elsewhere

    with pytest.raises(
        SettingsError, match=rf"^{variable}_SHA256 must be set to the SHA-256 of '{re.escape(str(path))}'"
    ):
        read_settings({**REQUIRED, variable: str(path)})


def test_a_link_to_a_packaged_model_needs_no_digest(elsewhere):
    variable, path = elsewhere
    link = path.with_name("link")
    link.symlink_to(MODELS / path.name)

    read_settings({**REQUIRED, variable: str(link)})


def test_a_model_outside_the_packaged_folder_is_accepted_with_its_digest(elsewhere):
    variable, path = elsewhere

    settings = read_settings({**REQUIRED, variable: str(path), f"{variable}_SHA256": "AB" * 32})

    assert "ab" * 32 in {
        settings.gaze_model_sha256,
        settings.eye_network_sha256,
        settings.face_landmarker_model_sha256,
    }


def test_an_explicit_path_of_a_packaged_model_needs_no_digest():
    read_settings({**REQUIRED, "GAZE_MODEL": str(MODELS / "gaze_model.joblib")})


def test_a_fifo_as_model_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "gaze_model.joblib")

    with pytest.raises(SettingsError, match=r"^GAZE_MODEL must be the path of a regular file"):
        read_settings({**REQUIRED, "GAZE_MODEL": str(tmp_path / "gaze_model.joblib"), "GAZE_MODEL_SHA256": "ab" * 32})


@pytest.mark.parametrize("variable", ["MONGO_URI", "LOG_LEVEL", "GAZE_MODEL"])
def test_a_value_that_is_not_utf8_is_refused_and_not_shown(variable):
    with pytest.raises(SettingsError) as caught:
        read_settings({**REQUIRED, variable: b"mongodb://\xff".decode("utf-8", "surrogateescape")})

    assert str(caught.value) == f"{variable} must be UTF-8 text"
