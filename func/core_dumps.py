"""Keep faces off the disk: a core dump of this process would hold the frames it is working on."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def disable_core_dumps() -> None:
    """Let neither this process nor the workers it forks write a core dump.

    The size limit stops the kernel's own core files. A collector that the kernel pipes dumps to, such as
    systemd-coredump, ignores that limit; only a process that is not dumpable is kept from it. As a side effect,
    debuggers and py-spy need root to attach.

    Raises:
        OSError: The system refuses.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE) failed")
