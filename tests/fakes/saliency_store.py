"""Saliency maps in memory."""

import numpy as np

from func.adapters.saliency_store import check_video_id
from gaze_core.errors import SaliencyMapError, SaliencyMapNotFoundError
from gaze_core.ports import VideoMaps
from gaze_core.saliency import check_map


class FakeSaliencyMaps:
    """Streams the maps of `by_video`: arrays, or what cannot be used, by frame number and video."""

    def __init__(self, by_video=None, *, digest=None):
        self.by_video = {} if by_video is None else by_video
        self.digest = digest
        self.error = None
        """Raised by every call but `is_reachable` while it is set."""
        self.is_up = True

    def extract_saliencyMap(self, video_id, *, frame_nums=None):
        check_video_id(video_id)
        if self.error is not None:
            raise self.error
        maps = self.by_video.get(video_id)
        if not maps:
            raise SaliencyMapNotFoundError(video_id)
        wanted = sorted(maps if frame_nums is None else maps.keys() & set(frame_nums))
        return VideoMaps(((number, _check(maps[number])) for number in wanted), self.digest)

    def is_reachable(self):
        return self.is_up


def _check(saliency_map):
    if isinstance(saliency_map, Exception):
        return saliency_map
    try:
        return check_map(np.asarray(saliency_map))
    except SaliencyMapError as error:
        return error
