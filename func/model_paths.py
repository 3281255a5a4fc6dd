"""Paths of model files in the settings.

The files in the package `models` are as trustworthy as the code. Any other model file needs a digest from the operator:
anyone who can replace the model can also replace the card beside it, and unpickling a replaced model runs its code.
"""

import importlib.util
import re
from pathlib import Path

from func.errors import SettingsError


def locate_packaged_model(name: str) -> Path:
    """Return the path of a file in the package `models`, without importing the package.

    Raises:
        ValueError: The package is not installed.
    """
    spec = importlib.util.find_spec("models")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("must be set, because the package `models` is not installed")
    return Path(spec.submodule_search_locations[0]) / name


def parse_model_path(text: str) -> Path:
    """Return the path of a model file, but refuse FIFOs, which block their reader, and devices, which may be endless.

    Raises:
        ValueError: The path is not that of a regular file.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise ValueError("must be the path of a regular file that is readable")
    return path


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower case.

    Raises:
        ValueError: The text is not 64 hexadecimal digits.
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise ValueError("must be a SHA-256, 64 hexadecimal digits")
    return text.lower()


def require_digest(variable: str, path: Path, sha256: str | None) -> None:
    """Check that there is a digest for a model file outside the package `models`.

    Args:
        variable: Environment variable with the path.
        path: Path of the file; links are followed.
        sha256: Digest from the settings; None without one.

    Raises:
        SettingsError: The digest is missing.
    """
    if sha256 is None and not _is_packaged(path):
        raise SettingsError(
            f"{variable}_SHA256",
            f"must be set to the SHA-256 of {str(path)!r}, because {variable} is not a packaged file",
        )


def _is_packaged(path: Path) -> bool:
    try:
        folder = locate_packaged_model("").resolve()
    except ValueError:
        return False
    return path.resolve().parent == folder
