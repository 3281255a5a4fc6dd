"""The figure of docs/realism.md: distributions only, no faces."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from research.realism.compare import QUANTITIES
from research.realism.faces import Faces, measure_open
from research.realism.jitter import TRACKED, Jitter
from research.realism.measures import Floats

_REAL, _RENDERED = "#d1495b", "#1b6ca8"
_MARKERS = ("o", "s", "^", "D", "v")
_BINS = 40


def draw(
    real: Sequence[Faces], rendered: Faces, jitters: Mapping[str, Jitter], clip_names: Sequence[str], path: Path
) -> None:
    """Draw the distributions of all quantities, real and rendered, and the jitter.

    Args:
        real: Faces of each take.
        rendered: Faces of many rendered people.
        jitters: Jitter by the names of `TRACKED`.
        clip_names: Names of the clips behind the jitter.
        path: PNG file to write.
    """
    figure = Figure(figsize=(11, 12), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(3, 1.9))[:, 0]
    grid = above.add_gridspec(3, 3)
    takes = [measure_open(faces)[0] for faces in real]
    values = measure_open(rendered)[0]
    for place, (name, title) in enumerate(QUANTITIES.items()):
        axes = above.add_subplot(grid[divmod(place, 3)])
        _draw_distribution(axes, [take[name] for take in takes], values[name])
        axes.set_title(title, fontsize=9)
    handles, labels = axes.get_legend_handles_labels()
    above.legend(handles, labels, loc="outside upper center", ncols=2, fontsize=9, frameon=False)
    _draw_jitters(below.subplots(), jitters, clip_names)
    below.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw_distribution(axes: Axes, takes: Sequence[Floats], rendered: Floats) -> None:
    rendered = rendered[np.isfinite(rendered)]
    everything = np.concatenate([*takes, np.percentile(rendered, [0.5, 99.5])])
    edges = np.linspace(float(everything.min()), float(everything.max()), _BINS + 1).tolist()
    low, high = np.percentile(rendered, [5, 95])
    axes.axvspan(low, high, color=_RENDERED, alpha=0.10)
    axes.hist(rendered, edges, density=True, color=_RENDERED, alpha=0.45, label="rendered images; shaded: 5–95 %")
    for number, take in enumerate(takes):
        axes.hist(
            take,
            edges,
            density=True,
            histtype="step",
            color=_REAL,
            linewidth=1.4,
            label="real frames, one line per take" if number == 0 else None,
        )
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_jitters(axes: Axes, jitters: Mapping[str, Jitter], clip_names: Sequence[str]) -> None:
    places = np.arange(len(TRACKED))
    for offset, alpha, label, spreads in (
        (0.05, 0.35, "rendered people: 5–95 %, median", [jitters[name].rendered for name in TRACKED]),
        (
            0.25,
            0.75,
            "rendered, irises as large as the first clip's",
            [jitters[name].same_size for name in TRACKED],
        ),
    ):
        rows = [(place, spread) for place, spread in zip(places, spreads, strict=True) if spread is not None]
        for number, (place, spread) in enumerate(rows):
            axes.hlines(
                place + offset,
                spread.low,
                spread.high,
                color=_RENDERED,
                linewidth=5,
                alpha=alpha,
                label=label if number == 0 else "",
            )
            axes.plot(spread.median, place + offset, "|", color="black", markersize=9)
    for number, name in enumerate(clip_names):
        lengths = [jitters[tracked].real[number] for tracked in TRACKED]
        marker = _MARKERS[number % len(_MARKERS)]
        axes.plot(lengths, places - 0.3, marker, color=_REAL, markersize=5, alpha=0.85, label=f"real: {name}")
        moved = [jitters[tracked].moved[number] for tracked in TRACKED]
        if None not in moved:
            axes.plot(
                moved,  # type: ignore[arg-type] # no None is left
                places - 0.15,
                marker,
                color=_REAL,
                markersize=5,
                markerfacecolor="none",
                label=f"real: {name}, between frames with the same head motion",
            )
    axes.set_yticks(places, list(TRACKED.values()), fontsize=9)
    axes.invert_yaxis()
    axes.set_xscale("log")
    ticks = [1, 2, 5, 10, 20, 50]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(axis="x", labelsize=8)
    axes.set_title("jitter from frame to frame, thousandths of the eye's width", fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
