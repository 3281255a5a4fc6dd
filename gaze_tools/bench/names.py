"""Names of steps and sections that several modules use, without what it takes to measure them."""

from collections.abc import Sequence

ENGINES = ("mediapipe", "litert")
BARE_NETWORKS = "bare networks"
LOAD = "load"


def name_load(engine: str, clients: int) -> str:
    """Return the name of the step with an engine and a number of clients."""
    return f"{engine}, {clients} client{'s' * (clients > 1)}"


def name_size(size: Sequence[int]) -> str:
    """Return the size of an image as text, such as 640×480."""
    return f"{size[0]}×{size[1]}"


def name_frame(size: Sequence[int]) -> str:
    """Return the name of the section with the stages of a frame of a size."""
    return f"frame {name_size(size)}"
