"""Plot of docs/capacity.md."""

from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gaze_tools.capacity.assumptions import Assumptions
from gaze_tools.capacity.footprint import size
from gaze_tools.capacity.simulation import KNATIVE_PLATFORM, STEP_S, Crowd, Simulation, least_min_pods, simulate

_UNBOUNDED_PODS = 10_000_000
_COLOURS = ("#1b6ca8", "#d1495b", "#66a182")


def draw(assumptions: Assumptions, path: Path) -> None:
    """Draw a crowd under three settings, and the resources for 10 to 1,000,000 viewers.

    Args:
        assumptions: Assumptions; the number of pods is not limited.
        path: Image file to write.
    """
    crowd = Crowd(viewers=1000)
    base = replace(assumptions, max_pods=_UNBOUNDED_PODS)
    enough = 2 * least_min_pods(base, crowd)
    runs = {
        f"target 50 %, min {base.min_pods}": simulate(base, crowd, KNATIVE_PLATFORM),
        f"target 70 %, min {base.min_pods}": simulate(replace(base, target_percent=70), crowd, KNATIVE_PLATFORM),
        f"target 50 %, min {enough}": simulate(replace(base, min_pods=enough), crowd, KNATIVE_PLATFORM),
    }
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    axes = figure.subplots(2, 2)
    _draw_pods(axes[0, 0], runs, crowd)
    _draw_utilisation(axes[0, 1], runs)
    _draw_refused(axes[1, 0], runs)
    _draw_sweep(axes[1, 1], assumptions)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_pods(axes: Axes, runs: dict[str, Simulation], crowd: Crowd) -> None:
    for (name, run), colour in zip(runs.items(), _COLOURS, strict=True):
        axes.plot(_minutes(run), [moment.ready for moment in run.moments], color=colour, label=name)
    viewers = next(iter(runs.values())).moments
    axes.plot(
        [moment.now_s / 60 for moment in viewers],
        [moment.viewers for moment in viewers],
        color="0.6",
        linestyle="--",
        label="viewers",
    )
    axes.set(title=f"{crowd.viewers:,.0f} viewers arrive in {crowd.ramp_s / 60:g} min: ready pods", ylabel="pods")
    _finish(axes)


def _draw_utilisation(axes: Axes, runs: dict[str, Simulation]) -> None:
    for (name, run), colour in zip(runs.items(), _COLOURS, strict=True):
        percents = [moment.utilisation_percent for moment in run.moments]
        axes.plot(_minutes(run), percents, color=colour, label=name)
    axes.set(title="CPU of the ready pods", ylabel="% of the request", ylim=(0, 110))
    _finish(axes)


def _draw_refused(axes: Axes, runs: dict[str, Simulation]) -> None:
    for (name, run), colour in zip(runs.items(), _COLOURS, strict=True):
        refused = [moment.refused_fps for moment in run.moments]
        axes.plot(_minutes(run), refused, color=colour, label=f"{name}: {sum(refused) * STEP_S / run.frames:.0%}")
    axes.set(title="503 responses, and their ratio to frames sent", ylabel="per second")
    _finish(axes)


def _draw_sweep(axes: Axes, assumptions: Assumptions) -> None:
    viewers = [10.0**power for power in range(1, 7)]
    needs = [size(assumptions, count) for count in viewers]
    lines: dict[str, list[float]] = {
        "pods at 50 %": [need.pods for need in needs],
        "busy cores": [need.busy_cores for need in needs],
        "session API and database, cores": [need.session_cores + need.database_cores for need in needs],
        "shards": [need.shards for need in needs],
        "stored in MongoDB, GB": [need.kept_bytes / 1e9 for need in needs],
    }
    for name, values in lines.items():
        axes.plot(viewers, values, marker="o", markersize=4, label=name)
    axes.set(xscale="log", yscale="log", title="Resources for a constant number of viewers", xlabel="viewers")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _minutes(run: Simulation) -> list[float]:
    return [moment.now_s / 60 for moment in run.moments]


def _finish(axes: Axes) -> None:
    axes.set_xlabel("min")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
