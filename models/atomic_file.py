"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def open_replacement(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` when the block ends without an error.

    Raises:
        FileExistsError: The path exists and is not a regular file. Without this check, root would replace a device such
            as /dev/null.
        OSError: The file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is not a regular file; choose another path")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as stream:
            yield stream
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Raises:
        FileExistsError: The path exists and is not a regular file.
        OSError: The file cannot be written.
    """
    with open_replacement(path) as stream:
        stream.write(content)
