"""What a steady number of viewers needs."""

import math
from dataclasses import dataclass

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.queues import probability_of_blocking

SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a steady number of viewers needs.

    Attributes:
        viewers: How many.
        frames_fps: That they send.
        busy_cores: Of the function.
        requested_cores: At the autoscaler's target.
        pods: Likewise.
        clusters: That hold so many pods.
        ingress_bytes_s: Requests that come in.
        session_cores: Of the session API.
        database_cores: Of its database.
        writes_s: Of the session API to its database.
        reads_s: Likewise.
        shards: That take these writes.
        written_bytes_day: Records of a day, once.
        kept_bytes: Records that are there at a time, in all copies.
        scorings_s: Sessions that end.
        session_read_bytes_s: Of the session API, for scoring.
        map_read_bytes_s: Of MongoDB, for scoring.
        scoring_refused_percent: Last frames that find every place for scoring taken and come again.
    """

    viewers: float
    frames_fps: float
    busy_cores: float
    requested_cores: float
    pods: int
    clusters: int
    ingress_bytes_s: float
    session_cores: float
    database_cores: float
    writes_s: float
    reads_s: float
    shards: int
    written_bytes_day: float
    kept_bytes: float
    scorings_s: float
    session_read_bytes_s: float
    map_read_bytes_s: float
    scoring_refused_percent: float


def size(assumptions: Assumptions, viewers: float) -> Footprint:
    """Return what a steady number of viewers needs, at the autoscaler's target and with no bound on the pods."""
    frames_fps = viewers * assumptions.frame_rate_fps
    busy_cores = frames_fps * assumptions.cpu_per_frame_s
    # The autoscaler's own ceil, with a grain of tolerance for what is exact but for rounding.
    pods = max(
        assumptions.min_pods,
        math.ceil(100 * busy_cores / (assumptions.target_percent * assumptions.request_cores) - 1e-9),
    )
    writes_s = frames_fps * assumptions.writes_per_frame
    scorings_s = viewers / assumptions.video_s
    scoring_s = assumptions.video_s * assumptions.frame_rate_fps * assumptions.scoring_ms / 1000
    return Footprint(
        viewers=viewers,
        frames_fps=frames_fps,
        busy_cores=busy_cores,
        requested_cores=pods * assumptions.request_cores,
        pods=pods,
        clusters=math.ceil(pods / assumptions.cluster_pods),
        ingress_bytes_s=frames_fps * assumptions.request_bytes,
        session_cores=frames_fps * assumptions.session_cpu_ms / 1000,
        database_cores=frames_fps * assumptions.database_cpu_ms / 1000,
        writes_s=writes_s,
        reads_s=frames_fps * assumptions.reads_per_frame,
        shards=math.ceil(writes_s / assumptions.shard_writes),
        written_bytes_day=frames_fps * assumptions.watching_s_a_day * assumptions.stored_bytes,
        kept_bytes=frames_fps * assumptions.kept_s * assumptions.stored_bytes * assumptions.shard_replicas,
        scorings_s=scorings_s,
        session_read_bytes_s=frames_fps * assumptions.record_bytes * assumptions.session_reads,
        map_read_bytes_s=frames_fps * assumptions.map_bytes,
        scoring_refused_percent=100
        * probability_of_blocking(assumptions.scoring_places, scorings_s / pods * scoring_s),
    )
