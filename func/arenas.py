"""The number of glibc's memory arenas.

By default, each thread that allocates while others do gets an arena of its own, up to 8 for each CPU, and none of them
returns what it no longer uses. MediaPipe has four threads for each landmarker.
"""

import ctypes
from collections.abc import Mapping

ARENAS = 2
"""Maximum number of arenas, so that one thread that allocates does not stop all others."""

_M_ARENA_MAX = -8


def limit_arenas(environ: Mapping[str, str]) -> bool:
    """Limit the arenas of this process and of the workers that it forks; return whether the limit was set.

    Call it before there are other threads: existing arenas remain. It leaves a limit in `environ` as it is, and does
    nothing with C libraries other than glibc.

    Args:
        environ: Environment of the process.
    """
    if "MALLOC_ARENA_MAX" in environ or "glibc.malloc.arena_max" in environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, ARENAS) == 1
