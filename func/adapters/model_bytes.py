"""Read a model file: a regular file of bounded size, with the digest that the operator expects."""

import hashlib
import os
import stat
from pathlib import Path

MAX_MODEL_BYTES = 256 * 2**20
"""The largest model file that is read; the packaged ones have 0.1 and 3.8 MB."""


def read_model_bytes(path: Path, *, sha256: str | None = None) -> bytes:
    """Return the content of a model file or of its card.

    Args:
        path: A regular file; a FIFO, a directory or a device is refused without waiting for it.
        sha256: The digest that the content must have, in lower-case hexadecimal; None accepts any.

    Raises:
        OSError: It cannot be opened or read.
        ValueError: It is not a regular file, is too large, or has another digest.
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


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
