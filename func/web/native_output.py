"""What C libraries write to stderr becomes log lines.

MediaPipe, TensorFlow Lite, libjpeg and libpng write there past Python, some for every broken image and with no switch
to turn it off. A pipe takes the place of file descriptor 2; Python's own stderr keeps the old one.
"""

import faulthandler
import io
import logging
import os
import sys
import threading

_log = logging.getLogger("func.native")


def divert_native_output() -> None:
    """Log what is written to file descriptor 2 as DEBUG; call once in a process, after it was forked."""
    kept = os.dup(2)
    own = io.TextIOWrapper(os.fdopen(kept, "wb", 0), encoding="utf-8", errors="backslashreplace", write_through=True)
    _move_handlers(sys.stderr, own)
    sys.stderr = own
    faulthandler.enable(file=own)  # a crash in C code still says where it was
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
                    _log.debug("%s", line.decode("utf-8", "replace").strip())


def _move_handlers(old: object, new: io.TextIOWrapper) -> None:
    """Let handlers that write to one stream write to another."""
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in list(logging.root.manager.loggerDict))]
    for logger in loggers:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is old:
                handler.setStream(new)
