"""Declare settings as fields of a dataclass, and read them from environment variables.

`func.settings` has the list. Not pydantic-settings: defaults that depend on the machine, an error that names the
variable, and an environment passed as an argument would need about as much code, and python-dotenv in the image.
"""

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from func.errors import SettingsError

_METADATA_KEY = "setting"

_MAX_SHOWN_LENGTH = 100
"""Maximum length of a value that a message contains."""
_CGROUP_CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True, slots=True)
class Setting:
    """Description of one environment variable.

    Attributes:
        variable: Name of the environment variable.
        default: Default value, in words if it is computed; `required` if there is none.
        meaning: One sentence.
    """

    variable: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True)
class DefaultContext:
    """What computed defaults depend on.

    Attributes:
        host_cpus: CPUs of the host.
        usable_cpus: CPUs that this process may use.
        values: Settings read so far, by field name.
    """

    host_cpus: int
    usable_cpus: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Reader:
    """How to convert a variable to a value."""

    parse: Callable[[str], Any]
    default: str | Callable[[DefaultContext], Any] | None
    is_secret: bool


def setting(
    variable: str,
    parse: Callable[[str], Any],
    meaning: str,
    *,
    default: str | Callable[[DefaultContext], Any] | None,
    default_text: str | None = None,
    is_secret: bool = False,
) -> Any:  # noqa: ANN401 - like dataclasses.field, it stands for a value of any type
    """Return the dataclass field of a setting.

    Args:
        variable: Name of the environment variable.
        parse: Converts the text; raises ValueError with the requirement on the value.
        meaning: One sentence for the documentation.
        default: Text to parse, empty for None; a function that computes the value; None for a required variable.
        default_text: Default as shown in the documentation, if it is not `default` itself.
        is_secret: Keep the value out of messages and `repr`.
    """
    shown = default_text or (default if isinstance(default, str) else "required")
    described = Setting(variable, shown, meaning)
    return field(repr=not is_secret, metadata={_METADATA_KEY: (described, _Reader(parse, default, is_secret))})


def list_settings(settings_class: type) -> list[Setting]:
    """Return the settings of a dataclass in the order of its fields."""
    return [described for _, described, _ in _list_fields(settings_class)]


def read_fields(
    settings_class: type, environ: Mapping[str, str], *, host_cpus: int | None, usable_cpus: int | None
) -> dict[str, Any]:
    """Return the values of a dataclass's settings by field name. An empty variable counts as not set.

    Raises:
        SettingsError: A variable is missing or invalid.
    """
    values: dict[str, Any] = {}
    context = DefaultContext(
        host_cpus=host_cpus or os.cpu_count() or 1, usable_cpus=usable_cpus or count_usable_cpus(), values=values
    )
    for name, described, reader in _list_fields(settings_class):
        values[name] = _read(described.variable, reader, environ, context)
    return values


def count_usable_cpus() -> int:
    """Return the number of CPUs in this process's affinity mask, limited by the CPU quota of its container."""
    cpus = len(os.sched_getaffinity(0))
    try:
        quota, period = _CGROUP_CPU_LIMIT.read_text(encoding="ascii").split()
        limit = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max": no limit
        return cpus
    return max(1, min(cpus, limit))


def _list_fields(settings_class: type) -> list[tuple[str, Setting, _Reader]]:
    return [(entry.name, *entry.metadata[_METADATA_KEY]) for entry in fields(settings_class)]


def _read(variable: str, reader: _Reader, environ: Mapping[str, str], context: DefaultContext) -> Any:  # noqa: ANN401
    text = environ.get(variable, "").strip()
    if not _is_unicode(text):
        raise SettingsError(variable, "must be UTF-8 text")
    try:
        if text:
            return reader.parse(text)
        if reader.default is None:
            raise SettingsError(variable, "must be set")
        if callable(reader.default):
            return reader.default(context)
        return reader.parse(reader.default) if reader.default else None
    except ValueError as error:
        # A value may contain a password, a key in the query of a URL, or the content of a key file.
        is_shown = text and not reader.is_secret and len(text) <= _MAX_SHOWN_LENGTH and not re.search("[@?]", text)
        sent = f", not {text!r}" if is_shown else ""
        raise SettingsError(variable, f"{error}{sent}") from error


def _is_unicode(text: str) -> bool:
    """Return whether a variable is UTF-8: the driver and paths in messages fail with any other bytes."""
    return not re.search("[\ud800-\udfff]", text)
