"""Read model files safely: only regular files, of limited size, with the required digest."""

import hashlib
import json
import os
import stat
from pathlib import Path

MAX_MODEL_BYTES = 256 * 2**20
"""Size limit of a model file; the packaged files have 0.1 to 3.8 MB."""


def read_model_bytes(path: Path, *, sha256: str | None = None) -> bytes:
    """Return the content of a model file or of its card.

    Args:
        path: Path of a regular file; FIFOs, directories and devices are refused without blocking.
        sha256: Required SHA-256, lower-case hexadecimal; None accepts any content.

    Raises:
        OSError: The file cannot be opened or read.
        ValueError: The file is not a regular file, is too large, or has a different digest.
    """
    with open(path, "rb", opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ValueError(f"{path.name} is not a regular file")
        if status.st_size > MAX_MODEL_BYTES:
            raise ValueError(f"{path.name} has {status.st_size} bytes, more than {MAX_MODEL_BYTES}")
        content = file.read(MAX_MODEL_BYTES)
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise ValueError(f"{path.name} does not have the SHA-256 that the settings require")
    return content


def read_described_model(path: Path, *, sha256: str | None = None) -> bytes:
    """Return the content of a model file that has the digest in its card.

    Args:
        path: Path of the model file; the card has the same name with the suffix `.json`.
        sha256: Required SHA-256, in addition to that of the card; None trusts the card.

    Raises:
        ValueError: A file is missing, unreadable or not a regular file, or they do not match; the message says which.
    """
    card_path = path.with_suffix(".json")
    try:
        content = read_model_bytes(path, sha256=sha256)
        card = read_model_bytes(card_path)
    except OSError as error:
        raise ValueError(f"{Path(error.filename or path).name} cannot be read: {error.strerror}") from error
    try:
        expected = json.loads(card)["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{card_path.name} does not contain the sha256 of {path.name}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise ValueError(f"{path.name} does not match {card_path.name}: different SHA-256")
    return content


def read_digest(path: Path) -> str:
    """Return the SHA-256 in the card of a model file, which `read_described_model` has found to match."""
    return str(json.loads(read_model_bytes(path.with_suffix(".json")))["sha256"])


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
