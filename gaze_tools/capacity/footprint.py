"""Resources that a constant number of viewers needs."""

import math
from dataclasses import dataclass

from gaze_tools.capacity.assumptions import Assumptions


@dataclass(frozen=True, slots=True)
class Footprint:
    """Resources that a constant number of viewers needs.

    Attributes:
        viewers: Number of viewers.
        frames_fps: Frames/s that they send.
        busy_cores: CPU usage of the function.
        requested_cores: CPU requests of the function at the autoscaler's target.
        pods: Pods of the function at the autoscaler's target.
        clusters: Clusters that so many pods need.
        ingress_bytes_s: Size of the incoming requests.
        session_cores: CPU usage of the session API.
        database_cores: CPU usage of the session API's database.
        writes_s: Writes/s of the session API to its database.
        reads_s: Reads/s of the session API from its database.
        shards: Database shards for these writes.
        written_bytes_day: Records written per day, without replicas.
        kept_bytes: Records stored at any time, with replicas.
        scorings_s: Sessions that end per second.
        session_read_bytes_s: Records read from the session API for scoring.
        map_read_bytes_s: Maps read from MongoDB for scoring.
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


def size(assumptions: Assumptions, viewers: float) -> Footprint:
    """Return the resources for a constant number of viewers, at the autoscaler's target and with unlimited pods."""
    frames_fps = viewers * assumptions.frame_rate_fps
    busy_cores = frames_fps * assumptions.cpu_per_frame_s
    # Rounded up like the autoscaler does; the tolerance absorbs floating-point errors of exact quotients.
    pods = max(
        assumptions.min_pods,
        math.ceil(100 * busy_cores / (assumptions.target_percent * assumptions.request_cores) - 1e-9),
    )
    writes_s = frames_fps * assumptions.writes_per_frame
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
        scorings_s=viewers / assumptions.video_s,
        session_read_bytes_s=frames_fps * assumptions.record_bytes * assumptions.session_reads,
        map_read_bytes_s=frames_fps * assumptions.map_bytes,
    )
