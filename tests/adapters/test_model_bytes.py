"""Which files are accepted as model files."""

import os
from pathlib import Path

import pytest

from func.adapters import model_bytes
from func.adapters.model_bytes import read_model_bytes

ABC_SHA256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_regular_file_is_read(tmp_path):
    (tmp_path / "model").write_bytes(b"abc")

    assert read_model_bytes(tmp_path / "model", sha256=ABC_SHA256) == b"abc"


def test_a_different_digest_is_refused(tmp_path):
    (tmp_path / "model").write_bytes(b"abd")

    with pytest.raises(ValueError, match=r"^model does not have the SHA-256"):
        read_model_bytes(tmp_path / "model", sha256=ABC_SHA256)


def test_a_fifo_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "model")

    with pytest.raises(ValueError, match=r"^model is not a regular file$"):
        read_model_bytes(tmp_path / "model")


def test_a_device_is_refused():
    with pytest.raises(ValueError, match=r"^zero is not a regular file$"):
        read_model_bytes(Path("/dev/zero"))


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        read_model_bytes(tmp_path)


def test_a_file_over_the_limit_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "model").open("wb") as file:
        file.truncate(model_bytes.MAX_MODEL_BYTES + 1)  # sparse: takes no space

    with pytest.raises(ValueError, match=r"^model has 268435457 bytes, more than 268435456$"):
        read_model_bytes(tmp_path / "model")
