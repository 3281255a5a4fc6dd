"""Which model files the settings may name.

The files of the package `models` are as trustworthy as the code beside them. Any other model file needs a digest from
the operator: its card lies beside it, so anyone who can replace the model can replace the card, and unpickling a
replaced model runs its code.
"""

import importlib.util
import re
from pathlib import Path

from func.errors import SettingsError


def locate_packaged_model(name: str) -> Path:
    """Return the path of a file of the package `models`, without importing that package.

    Raises:
        ValueError: No such package is installed.
    """
    spec = importlib.util.find_spec("models")
    if spec is None or not spec.submodule_search_locations:
        raise ValueError("must be set, since no package `models` is installed")
    return Path(spec.submodule_search_locations[0]) / name


def parse_model_path(text: str) -> Path:
    """Return the path of a model file; a FIFO would block its reader for ever, and a device may never end.

    Raises:
        ValueError: It is not the path of a regular file.
    """
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError:
        is_file = False
    if not is_file:
        raise ValueError("must be the path of a regular file that this process can read")
    return path


def parse_sha256(text: str) -> str:
    """Return a SHA-256 in lower case.

    Raises:
        ValueError: It is not 64 hexadecimal digits.
    """
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", text):
        raise ValueError("must be a SHA-256, 64 hexadecimal digits")
    return text.lower()


def require_digest(variable: str, path: Path, sha256: str | None) -> None:
    """Demand the digest of a model file outside the package `models`.

    Args:
        variable: The environment variable that names the file.
        path: The file; a link counts as what it leads to.
        sha256: The digest, where the settings have one.

    Raises:
        SettingsError: The digest is missing.
    """
    if sha256 is None and not _is_packaged(path):
        raise SettingsError(
            f"{variable}_SHA256",
            f"must be set to the SHA-256 of {str(path)!r}, since {variable} is not in the packaged folder",
        )


def _is_packaged(path: Path) -> bool:
    try:
        folder = locate_packaged_model("").resolve()
    except ValueError:
        return False
    return path.resolve().parent == folder
