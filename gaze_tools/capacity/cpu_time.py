"""CPU time of running processes and their descendants, read from /proc."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def read_cpu_s(pids: Iterable[int]) -> float:
    """Return the user and system time that processes and their running descendants have used so far, in seconds."""
    ticks = 0
    for pid in _with_descendants(pids):
        # A process may end meanwhile.
        with suppress(OSError):
            fields = _read_fields(pid)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND


def _with_descendants(pids: Iterable[int]) -> set[int]:
    parents: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                parents[int(process.name)] = int(_read_fields(int(process.name))[1])
    found = set(pids)
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _read_fields(pid: int) -> list[str]:
    """Return the fields of `stat` after the name, which may contain spaces."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
