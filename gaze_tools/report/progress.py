"""Progress of a report: how many frames of the video have been compared with their saliency maps."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console

from gaze_core.ports import SaliencyMaps, UnusableMap, UsableMap, VideoMaps
from gaze_tools.command_line import make_progress

if TYPE_CHECKING:
    from rich.progress import Progress

SHOWN_AFTER_S = 3.0
"""A report that takes less time shows no progress."""

OnRead = Callable[[int, int], None]
"""Gets the number of frames whose maps have been read, and the number of all that were asked for."""


class WatchedMaps:
    """Saliency maps of another store that tell how many have been read."""

    def __init__(self, maps: SaliencyMaps, on_read: OnRead) -> None:
        """Prepare to read the maps of `maps`."""
        self._maps = maps
        self._on_read = on_read

    def extract_saliencyMap(self, video_id: str, *, frame_nums: Collection[int] | None = None) -> VideoMaps:
        """Return the maps of the other store."""
        video = self._maps.extract_saliencyMap(video_id, frame_nums=frame_nums)
        return video if frame_nums is None else replace(video, stored=self._watch(video.stored, len(frame_nums)))

    def is_reachable(self) -> bool:
        """Return whether the other store is reachable."""
        return self._maps.is_reachable()

    def _watch(self, stored: Iterator[UsableMap | UnusableMap], total: int) -> Iterator[UsableMap | UnusableMap]:
        done = 0
        for each in stored:
            yield each
            done += len(each.frame_nums)
            self._on_read(done, total)


class LateProgress:
    """Progress bar on a terminal's stderr that appears only when work has taken `SHOWN_AFTER_S`.

    Args:
        label: Text before the bar.
        console: Where to draw; None for stderr.
        clock: Seconds that pass.
    """

    def __init__(
        self, label: str, *, console: Console | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._clock = label, clock
        self._console = Console(stderr=True) if console is None else console
        self._shown_at_s = clock() + SHOWN_AFTER_S
        self._progress: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` frames are done."""
        if self._progress is None:
            if not self._console.is_terminal or self._clock() < self._shown_at_s:
                return
            self._progress = make_progress(self._label, console=self._console)
            self._progress.add_task("", total=total)
            self._progress.start()
        self._progress.update(self._progress.task_ids[0], completed=done, total=total)
