"""Draw where time goes as a flame graph: a box for each function, as wide as its share, above the one that calls it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape

WIDTH_PX = 1200
ROW_PX = 20
HEAD_PX = 56
"""Height of title and legend."""

FONT_PX = 12.5
LETTER_PX = 7.0
"""Width of a letter, at which names are cut off to fit into their box."""

MIN_WIDTH_PX = 2.0
"""Narrower boxes, and what is above them, are left out."""

NETWORKS, CORE, FUNCTION, LIBRARY = "#8ecae6", "#f4a261", "#7fb8a4", "#d9d9d9"
LEGEND = ((NETWORKS, "LiteRT, MediaPipe"), (CORE, "gaze_core"), (FUNCTION, "func"), (LIBRARY, "other libraries"))
INK, PAPER = "#1b1b1b", "#ffffff"

_ROOTS = (
    "BaseEventLoop.run_forever (asyncio/base_events.py)",
    "_worker (concurrent/futures/thread.py)",
    "_WorkItem.run (concurrent/futures/thread.py)",
)
"""What all work is called by; frames up to the last of these are left out."""

_WAITING = (
    "_worker (concurrent/futures/thread.py)",
    "_log_lines (func/web/native_output.py)",
    "BaseSelectorEventLoop._write_to_self (asyncio/selector_events.py)",
    "EpollSelector.select (selectors.py)",
    "LimitedSocket.recv_into (func/adapters/limited_socket.py)",
    "Condition.wait (threading.py)",
    "Event.wait (threading.py)",
)
"""Functions that wait for work, a lock or the network when they call nothing else.

`_write_to_self` wakes up the event loop, which then holds Python's lock.
"""

NATIVE = "threads without Python (mediapipe/)"
"""Stands for the threads of MediaPipe."""

_LINE = re.compile(r":\d+\)$")
_THREAD = re.compile(r"thread \((\d+)\)")

Stack = tuple[str, ...]


@dataclass(slots=True)
class FlameBox:
    """A function in the graph.

    Attributes:
        frame: Name and file, such as `Handler.answer (func/web/handler.py)`.
        weight: CPU time of it and of what it called.
        called: What it called, by frame.
    """

    frame: str
    weight: float = 0.0
    called: dict[str, "FlameBox"] = field(default_factory=dict)


def read_stacks(lines: Iterable[str]) -> dict[int, dict[Stack, int]]:
    """Return the number of samples of each stack, outermost frame first, by native thread id, without those that wait.

    Stacks that do not begin at the root of a thread were torn, because the thread went on while they were read.

    Args:
        lines: Output of `py-spy record --format raw --threads`: a thread and its frames with `;` between them, then a
            space and the number of samples.
    """
    stacks: dict[int, dict[Stack, int]] = {}
    for line in lines:
        text, _, samples = line.rstrip().rpartition(" ")
        thread, *frames = (_LINE.sub(")", frame) for frame in text.split(";"))
        found = _THREAD.match(thread)
        roots = [index for index, frame in enumerate(frames) if frame in _ROOTS]
        if found is None or not roots or frames[-1] in _WAITING:
            continue
        if stack := tuple(frames[roots[-1] + 1 :]):
            of_thread = stacks.setdefault(int(found[1]), {})
            of_thread[stack] = of_thread.get(stack, 0) + int(samples)
    return stacks


def weigh(stacks: Mapping[int, Mapping[Stack, int]], cpu_s: Mapping[int, float]) -> dict[Stack, float]:
    """Return the CPU time of each stack in seconds: that of a thread, shared out by its samples.

    A profiler cannot see whether a thread that is able to run has a CPU, but the kernel counts its CPU time.

    Args:
        stacks: Result of `read_stacks`.
        cpu_s: CPU time of each thread. What threads without stacks took is that of `NATIVE`.
    """
    weights: dict[Stack, float] = {}
    for thread, spent_s in cpu_s.items():
        samples = stacks.get(thread) or {(NATIVE,): 1}
        for stack, count in samples.items():
            weights[stack] = weights.get(stack, 0.0) + spent_s * count / sum(samples.values())
    return {stack: weight for stack, weight in weights.items() if weight > 0}


def merge(weights: Mapping[Stack, float]) -> FlameBox:
    """Return a box around all stacks, with those that begin alike merged."""
    everything = FlameBox("")
    for stack, weight in weights.items():
        box = everything
        box.weight += weight
        for frame in stack:
            box = box.called.setdefault(frame, FlameBox(frame))
            box.weight += weight
    return everything


def choose_colour(frame: str) -> str:
    """Return the colour of a function, by its file."""
    file = frame.rpartition("(")[2]
    for folder, colour in (
        ("ai_edge_litert/", NETWORKS),
        ("mediapipe/", NETWORKS),
        ("gaze_core/", CORE),
        ("func/", FUNCTION),
    ):
        if file.startswith(folder):
            return colour
    return LIBRARY


def draw(weights: Mapping[Stack, float], title: str) -> str:
    """Return the graph as SVG; the title of each box has its file and share.

    Args:
        weights: Result of `weigh`.
        title: Title of the graph.

    Raises:
        ValueError: There is nothing to draw.
    """
    everything = merge(weights)
    if not everything.weight:
        raise ValueError("nothing to draw")
    scale = WIDTH_PX / everything.weight
    placed = list(_place(everything, 0, 0, MIN_WIDTH_PX / scale))
    rows = 1 + max(row for _, row, _ in placed)
    height_px = HEAD_PX + rows * ROW_PX + 4
    font = f'font-family="sans-serif" font-size="{FONT_PX}" fill="{INK}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH_PX} {height_px}" {font}>',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        f'<text x="6" y="20" font-size="16">{escape(title)}</text>',
        *_draw_legend(),
    ]
    for box, row, first in placed:
        width_px = box.weight * scale
        y_px = height_px - 4 - (row + 1) * ROW_PX
        name, _, file = box.frame.partition(" (")
        share = box.weight / everything.weight
        lines.append(
            f"<g><title>{escape(name)} {escape(file.rstrip(')'))}: {share:.1%}</title>"
            f'<rect x="{first * scale:.1f}" y="{y_px}" width="{width_px:.1f}" height="{ROW_PX - 1}" '
            f'fill="{choose_colour(box.frame)}" stroke="{PAPER}" stroke-width="0.6"/>'
            f"{_label(name, first * scale, y_px, width_px)}</g>"
        )
    return "\n".join([*lines, "</svg>", ""])


def _place(box: FlameBox, row: int, first: float, least: float) -> Iterator[tuple[FlameBox, int, float]]:
    """Yield what a box called, with its row and where it starts; boxes of one row are sorted by name."""
    for called in sorted(box.called.values(), key=lambda each: each.frame):
        if called.weight >= least:
            yield called, row, first
            yield from _place(called, row + 1, first, least)
        first += called.weight


def _label(name: str, x_px: float, y_px: int, width_px: float) -> str:
    """Return a name that fits into its box; of a method, rather its own name than that of its class."""
    room = int((width_px - 6) / LETTER_PX)
    shown = name if len(name) <= room else name.rpartition(".")[2]
    if len(shown) > room:
        shown = f"{shown[: room - 1]}…" if room >= 5 else ""
    return f'<text x="{x_px + 3:.1f}" y="{y_px + 14}">{escape(shown)}</text>' if shown else ""


def _draw_legend() -> Iterator[str]:
    x_px = 6.0
    for colour, name in LEGEND:
        yield f'<rect x="{x_px:.0f}" y="32" width="14" height="14" fill="{colour}"/>'
        yield f'<text x="{x_px + 20:.0f}" y="44">{escape(name)}</text>'
        x_px += 44 + LETTER_PX * len(name)
