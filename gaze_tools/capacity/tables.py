"""Tables of the capacity plan."""

from dataclasses import replace

from gaze_tools.capacity.assumptions import Assumptions, list_origins
from gaze_tools.capacity.footprint import size
from gaze_tools.capacity.simulation import (
    KNATIVE_PLATFORM,
    KUBERNETES_PLATFORM,
    Crowd,
    Platform,
    Simulation,
    least_min_pods,
    simulate,
)
from gaze_tools.markdown import MarkdownTable

SWEEP = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
UNBOUNDED_PODS = 10_000_000


def tabulate_assumptions(assumptions: Assumptions) -> MarkdownTable:
    """Return every assumption with its value, source and command."""
    rows = [
        (f"--{name.replace('_', '-')}", f"{value:,g}", origin.meaning, origin.source, f"`{origin.command}`")
        for name, value, origin in list_origins(assumptions)
    ]
    return MarkdownTable(
        ("option", "value", "meaning", "source", "command"),
        [(*row[:4], row[4] if row[4] != "`none`" else "–") for row in rows],
    )


def tabulate_crowd(simulation: Simulation, *, every_s: float = 60.0) -> MarkdownTable:
    """Return the course of a simulation, one row per interval."""
    end_s = simulation.moments[-1].now_s
    rows = []
    for number in range(int(end_s // every_s) + 1):
        moment = simulation.at(number * every_s)
        rows.append(
            (
                f"{moment.now_s:,.0f}",
                f"{moment.viewers:,.0f}",
                f"{moment.pods:,}",
                f"{moment.ready:,}",
                f"{moment.utilisation_percent:.0f} %",
                f"{1000 * moment.wait_s:,.0f}",
                f"{moment.refused_fps:,.0f}",
                f"{moment.lost_fps:,.0f}",
            )
        )
    return MarkdownTable(
        ("s", "viewers", "pods", "ready", "utilisation", "wait, ms", "refused/s", "lost/s"),
        rows,
    )


def tabulate_comparison(assumptions: Assumptions, crowd: Crowd) -> MarkdownTable:
    """Return the outcome of the same crowd under other settings, with unlimited pods."""
    base = replace(assumptions, max_pods=UNBOUNDED_PODS)
    knative, kubernetes = KNATIVE_PLATFORM, KUBERNETES_PLATFORM
    least = least_min_pods(base, crowd)
    cases: list[tuple[str, Assumptions, Platform, Crowd]] = [
        ("Knative, as shipped", base, knative, crowd),
        ("target 70 %", replace(base, target_percent=70), knative, crowd),
        ("Kubernetes, as shipped", base, kubernetes, crowd),
        ("LANDMARKER_WAIT_S 0.5", replace(base, landmarker_wait_s=0.5, retry_wait_s=1.25), knative, crowd),
        ("LANDMARKER_WAIT_S 5", replace(base, landmarker_wait_s=5, retry_wait_s=8), knative, crowd),
        ("a refusal takes 0.5 ms of CPU", replace(base, refusal_cpu_ms=0.5), knative, crowd),
        ("spare CPU on nodes: 2 cores", replace(base, available_cores=2), knative, crowd),
        ("2 cores, LANDMARKERS 1", replace(base, available_cores=2, landmarkers=1), knative, crowd),
        ("2 cores, target 70 %", replace(base, available_cores=2, target_percent=70), knative, crowd),
        ("pods start in 90 s: new nodes", replace(base, pod_start_s=90), knative, crowd),
        (f"min-scale {least // 2}, half of the rule", replace(base, min_pods=least // 2), knative, crowd),
        (f"min-scale {least}, by the rule", replace(base, min_pods=least), knative, crowd),
        (f"min-scale {2 * least}", replace(base, min_pods=2 * least), knative, crowd),
        (f"min-scale {2 * least}, target 70 %", replace(base, min_pods=2 * least, target_percent=70), knative, crowd),
        ("arrival in 30 min", base, knative, replace(crowd, ramp_s=1800)),
        ("arrival in 30 min, target 70 %", replace(base, target_percent=70), knative, replace(crowd, ramp_s=1800)),
    ]
    rows = []
    for name, changed, platform, coming in cases:
        simulation = simulate(changed, coming, platform)
        settled = simulation.at(coming.ramp_s + coming.hold_s)
        rows.append(
            (
                name,
                f"{simulation.peak_pods:,}",
                f"{settled.pods:,}",
                f"{settled.utilisation_percent:.0f} %",
                f"{1000 * simulation.wait_percentile_s(95):,.0f}",
                f"{1000 * simulation.longest_wait_s:,.0f}",
                f"{simulation.refused_percent:,.1f}",
                f"{simulation.lost_percent:,.1f}",
                f"{simulation.pod_hours:,.0f}",
            )
        )
    return MarkdownTable(
        (
            "setting",
            "peak pods",
            "settled",
            "utilisation",
            "wait p95, ms",
            "longest wait, ms",
            "503 per 100",
            "lost %",
            "pod hours",
        ),
        rows,
    )


def tabulate_function(assumptions: Assumptions) -> MarkdownTable:
    """Return what growing audiences need of the function, at the target and at 70 %."""
    rows = []
    for viewers in SWEEP:
        need, at_70 = size(assumptions, viewers), size(replace(assumptions, target_percent=70), viewers)
        rows.append(
            (
                f"{viewers:,}",
                f"{need.frames_fps:,.0f}",
                f"{need.busy_cores:,.1f}",
                f"{need.pods:,}",
                f"{at_70.pods:,}",
                f"{need.clusters}",
                show_bytes(need.ingress_bytes_s) + "/s",
                f"{need.scorings_s:,.2f}",
            )
        )
    return MarkdownTable(
        (
            "viewers",
            "frames/s",
            "busy cores",
            f"pods at {assumptions.target_percent:g} %",
            "at 70 %",
            "clusters",
            "requests",
            "scorings/s",
        ),
        rows,
    )


def tabulate_upstream(assumptions: Assumptions) -> MarkdownTable:
    """Return what growing audiences need of the session API and of MongoDB."""
    rows = []
    for viewers in SWEEP:
        need = size(assumptions, viewers)
        rows.append(
            (
                f"{viewers:,}",
                f"{need.session_cores:,.1f}",
                f"{need.database_cores:,.1f}",
                f"{need.writes_s:,.0f}",
                f"{need.reads_s:,.0f}",
                f"{need.shards:,}",
                show_bytes(need.written_bytes_day),
                show_bytes(need.kept_bytes),
                show_bytes(need.session_read_bytes_s) + "/s",
                show_bytes(need.map_read_bytes_s) + "/s",
            )
        )
    return MarkdownTable(
        (
            "viewers",
            "session API, cores",
            "database, cores",
            "writes/s",
            "reads/s",
            "shards",
            "written per day",
            "stored, with replicas",
            "session reads",
            "map reads",
        ),
        rows,
    )


def tabulate_viewer(assumptions: Assumptions) -> MarkdownTable:
    """Return what one viewer needs, and how many viewers fit into the limits."""
    rate_fps, cpu_s = assumptions.frame_rate_fps, assumptions.cpu_per_frame_s
    busy = rate_fps * cpu_s
    target_cores = assumptions.request_cores * assumptions.target_percent / 100
    return MarkdownTable(
        ("quantity", "value"),
        [
            ("busy cores of the function per viewer", f"{busy:.3f}"),
            (
                f"requested cores per viewer at {assumptions.target_percent:g} %",
                f"{100 * busy / assumptions.target_percent:.3f}",
            ),
            ("requested cores per viewer at 70 %", f"{busy / 0.7:.3f}"),
            (
                "cores of session API and database per viewer",
                f"{rate_fps * (assumptions.session_cpu_ms + assumptions.database_cpu_ms) / 1000:.3f}",
            ),
            ("viewers per pod at the target", f"{target_cores / busy:.2f}"),
            ("viewers per full pod", f"{assumptions.pod_capacity_fps / rate_fps:.2f}"),
            (
                f"viewers of {assumptions.max_pods} pods at the target",
                f"{assumptions.max_pods * target_cores / busy:.0f}",
            ),
            (
                f"viewers of {assumptions.max_pods} full pods",
                f"{assumptions.max_pods * assumptions.pod_capacity_fps / rate_fps:.0f}",
            ),
        ],
    )


def show_bytes(amount: float) -> str:
    """Return a number of bytes with three significant digits and a unit."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    power = 0
    while amount >= 999.5 and power < len(units) - 1:
        amount, power = amount / 1000, power + 1
    return f"{amount:.3g} {units[power]}"
