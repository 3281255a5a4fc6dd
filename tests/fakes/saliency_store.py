"""Saliency map store in memory."""

import numpy as np

from func.adapters.saliency_store import check_video_id
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_core.ports import UnusableMap, UsableMap, VideoMaps
from gaze_core.saliency import check_map
from gaze_core.video_times import VideoTimes


class FakeSaliencyMaps:
    """Streams the maps of `by_video`: arrays or errors, by video and frame number."""

    def __init__(
        self, by_video=None, *, digest=None, fps=None, held_every=None, duration_s=None, times=None, faces=None
    ):
        self.by_video = {} if by_video is None else by_video
        self.digest = digest
        self.fps = fps
        self.held_every = held_every
        self.times = times
        self.faces = faces
        self.duration_s = duration_s
        self.error = None
        """Error to raise on every call except `is_reachable`; None for none."""
        self.is_up = True

    def extract_saliencyMap(self, video_id, *, frame_nums=None):
        check_video_id(video_id)
        if self.error is not None:
            raise self.error
        maps = self.by_video.get(video_id)
        if not maps:
            raise SaliencyMapNotFoundError(video_id)
        stands_for = {}
        for number in sorted(maps if frame_nums is None else set(frame_nums)):
            reach = 1 if frame_nums is None else self.held_every or 1
            stored = next((number - back for back in range(reach) if number - back in maps), None)
            if stored is not None:
                stands_for.setdefault(stored, []).append(number)
        found = (_check(maps[stored], tuple(frames)) for stored, frames in stands_for.items())
        count = None if self.fps is None or self.duration_s is None else round(self.fps * self.duration_s)
        times = self.times or VideoTimes(self.fps, count, self.duration_s, held_every=self.held_every or 1)
        return VideoMaps(found, self.digest, fps=times.fps, held_every=self.held_every, times=times, faces=self.faces)

    def is_reachable(self):
        return self.is_up


def _check(saliency_map, frame_nums):
    if isinstance(saliency_map, Exception):
        return UnusableMap(frame_nums, str(saliency_map))
    try:
        return UsableMap(frame_nums, check_map(np.asarray(saliency_map)))
    except SaliencyMapError as error:
        return UnusableMap(frame_nums, str(error))
