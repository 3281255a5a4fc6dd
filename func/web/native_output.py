"""Redirect the stderr of C libraries to the log.

MediaPipe, TensorFlow Lite, libjpeg and libpng write to file descriptor 2 directly, some for every broken image, and it
cannot be switched off. File descriptor 2 becomes a pipe; Python's stderr continues to use the original file.
"""

import faulthandler
import io
import logging
import os
import sys
import threading

from func.log_lines import Event

_log = logging.getLogger("func.native")
_process_log = logging.getLogger("func.process")

_MAX_CRASH_BYTES = 32 * 1024


class CrashFile:
    """File in memory for the traceback of a crash in C code, so that another process can log it as one line.

    Create it before the fork; the server process writes, its parent reads.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("crash")

    def log(self) -> None:
        """Log the traceback, if there is one, and forget it."""
        text = os.pread(self.descriptor, _MAX_CRASH_BYTES, 0).decode("utf-8", "replace")
        if text:
            os.ftruncate(self.descriptor, 0)
            os.lseek(self.descriptor, 0, os.SEEK_SET)
            _process_log.critical(Event("process crashed", trace=" | ".join(text.split("\n"))))


def divert_native_output(crash_file: CrashFile | None = None) -> None:
    """Log output to file descriptor 2 at level DEBUG. Call it once per process, after any fork.

    Args:
        crash_file: Where to write the traceback of a crash in C code; None writes it to stderr.
    """
    kept = os.dup(2)
    own = io.TextIOWrapper(os.fdopen(kept, "wb", 0), encoding="utf-8", errors="backslashreplace", write_through=True)
    _move_handlers(sys.stderr, own)
    sys.stderr = own
    faulthandler.enable(file=own if crash_file is None else crash_file.descriptor)
    read_end, write_end = os.pipe()
    os.dup2(write_end, 2)
    os.close(write_end)
    threading.Thread(target=_log_lines, args=(read_end,), name="native-output", daemon=True).start()


def _log_lines(descriptor: int) -> None:
    with os.fdopen(descriptor, "rb", buffering=0) as source:
        rest = b""
        while piece := source.read(4096):
            *lines, rest = (rest + piece).split(b"\n")
            rest = rest[:4096]
            for line in lines:
                if line.strip():
                    _log.debug(Event("native output", line=line.decode("utf-8", "replace").strip()))


def _move_handlers(old: object, new: io.TextIOWrapper) -> None:
    """Move log handlers from one stream to another."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    for logger in loggers:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                handler.setStream(new)
