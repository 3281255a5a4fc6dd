"""CPU time of the stack's processes, read from /proc."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
PARTS = {"function": "functions-framework", "session API": "gaze_tools.stack.session_api", "database": "secantusd"}
"""Text in the command lines of the processes of each part."""


def read_cpu_s(part: str) -> float:
    """Return the user and system time of a part of the stack so far; only descendants of this process count."""
    ticks = 0
    for process in _list_descendants(os.getpid()):
        # A process may end meanwhile.
        with suppress(OSError):
            if PARTS[part] in (process / "cmdline").read_text():
                fields = _read_fields(process)
                ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_A_SECOND


def _list_descendants(pid: int) -> Iterable[Path]:
    parents: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                parents[int(process.name)] = int(_read_fields(process)[1])
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return [Path("/proc", str(child)) for child in sorted(found - {pid})]
        found |= more


def _read_fields(process: Path) -> list[str]:
    """Return the fields of `stat` after the name, which may contain spaces."""
    return (process / "stat").read_text().rpartition(")")[2].split()
