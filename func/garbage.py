"""Python's garbage collector while the process starts.

Imports and models create hundreds of thousands of objects that live as long as the process. The collector looks for
garbage among them again and again while they are created, and in every later full collection.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def keep_all_objects() -> Iterator[None]:
    """Pause the collector in the block, then exempt all objects that exist from it.

    Called before a fork, it also keeps the memory of these objects shared, because the collector writes to each object
    that it looks at.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()
