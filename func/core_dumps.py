"""Disable core dumps, which would contain the frames that the process is working on."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def disable_core_dumps() -> None:
    """Disable core dumps of this process and of the workers that it forks.

    The size limit prevents core files of the kernel. A collector to which the kernel pipes dumps, such as
    systemd-coredump, ignores that limit, so the process is also made not dumpable. As a side effect, debuggers and
    py-spy need root to attach.

    Raises:
        OSError: The operating system refused.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
