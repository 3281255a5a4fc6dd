"""Figures of docs/accuracy.md, drawn with matplotlib; equal errors give equal files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from research.evaluation.breakdown import (
    COLUMNS,
    GOAL_5_TARGETS_DEG,
    GOAL_9_TARGETS_DEG,
    MIN_IMAGES,
    ROWS,
    ErrorsByCalibration,
    ImageErrors,
    MeanError,
    ScreenMap,
    bin_errors,
    map_errors,
)

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#7a8691"
"""Colours of Okabe and Ito's palette, distinguishable with any colour vision."""

OUT_OF_RANGE = "#f0f1f3"

STAGES = ("uncalibrated", "5 targets", "9 targets")

STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "svg.hashsalt": "gaze-function",
}


@dataclass(frozen=True, slots=True)
class BinnedQuantity:
    """A quantity that the error may depend on.

    Attributes:
        label: Name and unit.
        edges: Edges between the bins, ascending; the first and the last bin are open.
        in_range: Smallest and largest value for which accuracy is stated; None if it is not limited.
    """

    label: str
    edges: tuple[float, ...]
    in_range: tuple[float, float] | None

    def is_out_of_range(self, low: float, high: float) -> bool:
        """Whether accuracy is not stated for a bin."""
        return self.in_range is not None and (low < self.in_range[0] or high > self.in_range[1])


YAW = BinnedQuantity("head yaw, degrees (viewer's right: +)", (-25, -15, -5, 5, 15, 25), (-25, 25))
PITCH = BinnedQuantity("head pitch, degrees (up: +)", (-15, -9, -3, 3, 9, 15), (-15, 15))
ROLL = BinnedQuantity("head roll, degrees (viewer's right: +)", (-10, -6, -2, 2, 6, 10), (-10, 10))
DISTANCE = BinnedQuantity("distance from the camera, mm", (400, 500, 600, 700, 800), (400, 800))
IRIS = BinnedQuantity("iris diameter, px", (8, 10, 12, 16, 20), None)


def draw_figures(
    errors: ImageErrors, median_gaze: ErrorsByCalibration, single_frames: ErrorsByCalibration
) -> dict[str, Figure]:
    """Return the figures by the names of their files.

    Args:
        errors: Uncalibrated errors on single images.
        median_gaze: Errors of the median gaze at validation targets.
        single_frames: Errors of single frames at validation targets.
    """
    with mpl.rc_context(STYLE):
        return {
            "screen": plot_screen(map_errors(errors)),
            "distribution": plot_distribution(errors),
            "quantities": plot_quantities(errors),
            "calibration": plot_calibration(median_gaze, single_frames),
        }


def save_figures(figures: Mapping[str, Figure], folder: Path, *, suffix: str = "svg") -> list[Path]:
    """Write figures into a folder, as SVG or PNG, and return their paths.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None, "Creator": None} if suffix == "svg" else {"Software": None}
    paths = []
    with mpl.rc_context(STYLE):
        for name, figure in figures.items():
            paths.append(folder / f"{name}.{suffix}")
            figure.savefig(paths[-1], metadata=metadata, dpi=110)
    return paths


def plot_screen(found: ScreenMap) -> Figure:
    """Return the mean error and the mean offset by position on the screen."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    x_edges, y_edges = _pad(COLUMNS), _pad(ROWS)
    x_centres, y_centres = ((edges[1:] + edges[:-1]) / 2 for edges in (x_edges, y_edges))
    is_known = found.images >= MIN_IMAGES
    shown = np.where(is_known, found.mean_deg, np.nan)
    colours = left.pcolormesh(x_edges, y_edges, np.ma.masked_invalid(shown), cmap="Blues", edgecolors="white")
    figure.colorbar(colours, ax=left, label="mean error, degrees", shrink=0.8)
    middle = float(np.mean(colours.get_clim()))
    for row, column in np.ndindex(found.images.shape):
        images, mean_deg = int(found.images[row, column]), float(found.mean_deg[row, column])
        text = f"{mean_deg:.1f}\n({images:,})" if images else "–"
        is_dark = is_known[row, column] and mean_deg > middle
        left.text(
            x_centres[column],
            y_centres[row],
            text,
            ha="center",
            va="center",
            fontsize=8,
            color="white" if is_dark else "black",
        )
    left.set_title("Mean error, degrees (images)")
    rows, columns = np.nonzero(is_known)
    arrows = right.quiver(
        x_centres[columns],
        y_centres[rows],
        found.offset_deg[rows, columns, 0],
        found.offset_deg[rows, columns, 1],
        angles="uv",
        units="inches",
        scale_units="inches",
        scale=8.0,
        color=BLUE,
        width=0.03,
    )
    right.quiverkey(arrows, 0.88, 1.03, 2, "2°", labelpos="E")
    right.set_title("Mean offset of the estimate", loc="left")
    for axes in (left, right):
        axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor="black", linewidth=1.5))
        axes.set_xlim(x_edges[0], x_edges[-1])
        axes.set_ylim(y_edges[-1], y_edges[0])
        axes.set_xlabel("x, share of the screen's width")
        axes.set_ylabel("y, share of the screen's height")
        axes.spines[["left", "bottom"]].set_visible(False)
    return figure


def plot_distribution(errors: ImageErrors) -> Figure:
    """Return the cumulative distribution of the uncalibrated error."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    everything = np.sort(errors.angular_deg)
    in_range = np.sort(errors.angular_deg[errors.is_in_range])
    for values, colour, style, label in ((everything, GREY, "--", "all"), (in_range, BLUE, "-", "in range")):
        if len(values):
            share = 100 * np.arange(1, len(values) + 1) / len(values)
            axes.step(
                values, share, where="post", color=colour, linestyle=style, label=f"{label}: {len(values):,} images"
            )
    marked = in_range if len(in_range) else everything
    for percent in (50, 95):
        value_deg = float(np.percentile(marked, percent))
        axes.plot(value_deg, percent, "o", color=BLUE)
        axes.annotate(
            f"{percent} % below {value_deg:.1f}°", (value_deg, percent), xytext=(8, -14), textcoords="offset points"
        )
    axes.set_xlim(0, max(1.0, float(np.ceil(np.percentile(everything, 99)))))
    axes.set_ylim(0, 102)
    axes.set_xlabel("angular error, degrees")
    axes.set_ylabel("images, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    return figure


def plot_quantities(errors: ImageErrors) -> Figure:
    """Return the uncalibrated mean error by head pose, distance and iris size, on a common scale."""
    figure = Figure(figsize=(10, 5.6), layout="constrained")
    grid = figure.subplots(2, 3, sharey=True)
    values = (
        (YAW, errors.pose_deg[:, 1]),
        (PITCH, errors.pose_deg[:, 0]),
        (ROLL, errors.pose_deg[:, 2]),
        (DISTANCE, errors.distance_mm),
        (IRIS, errors.iris_diameter_px),
    )
    mean_deg = float(errors.angular_deg.mean())
    for axes, (quantity, each) in zip(grid.flat, values, strict=False):
        _plot_bins(axes, quantity, bin_errors(each, errors.angular_deg, errors.identity, quantity.edges), mean_deg)
    explanation = grid.flat[len(values)]
    explanation.axis("off")
    for handle, label in (
        ({"marker": "o", "color": BLUE}, "mean with its 95 % interval over people"),
        ({"marker": "o", "color": GREY, "markerfacecolor": "white"}, f"fewer than {MIN_IMAGES} images or 5 people"),
        ({"color": GREY, "linestyle": "--"}, f"all images: {mean_deg:.1f}°"),
        ({"color": OUT_OF_RANGE, "linewidth": 8}, "out of range"),
    ):
        explanation.plot([], [], label=label, **handle)
    explanation.legend(frameon=False, loc="center")
    for axes in grid[:, 0]:
        axes.set_ylabel("mean error, degrees")
    grid.flat[0].set_ylim(bottom=0)
    return figure


def _plot_bins(axes: Axes, quantity: BinnedQuantity, bins: Sequence[MeanError], mean_deg: float) -> None:
    edges = (-np.inf, *quantity.edges, np.inf)
    filled = [number for number, each in enumerate(bins) if each.images] or [0]
    shown = range(min(filled), max(filled) + 1)
    for number in shown:
        each = bins[number]
        if quantity.is_out_of_range(edges[number], edges[number + 1]):
            axes.axvspan(number - 0.5, number + 0.5, color=OUT_OF_RANGE, zorder=0)
        if not each.images:
            continue
        colour = GREY if each.is_uncertain else BLUE
        if each.interval_deg is not None:
            axes.vlines(number, *each.interval_deg, color=colour, linewidth=2)
        axes.plot(number, each.mean_deg, "o", color=colour, markerfacecolor="white" if each.is_uncertain else colour)
        axes.annotate(
            f"{each.images:,}",
            (number, 0.02),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize=7.5,
            color=GREY,
        )
    axes.axhline(mean_deg, color=GREY, linestyle="--", linewidth=1)
    boundaries = range(shown.start, shown.stop - 1)
    axes.set_xticks([number + 0.5 for number in boundaries], [f"{edges[number + 1]:g}" for number in boundaries])
    axes.set_xlim(shown.start - 0.5, shown.stop - 0.5)
    axes.set_xlabel(quantity.label)


def plot_calibration(median_gaze: ErrorsByCalibration, single_frames: ErrorsByCalibration) -> Figure:
    """Return each person's error uncalibrated, after 5 and after 9 targets, of the median gaze and of single frames."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    grid = figure.subplots(1, 2, sharey=True)
    titles = ("Median gaze of each validation target", "Single frames")
    for axes, errors, title in zip(grid, (median_gaze, single_frames), titles, strict=True):
        _plot_stages(axes, errors)
        axes.set_title(title)
    grid[0].set_ylabel("error of each person, degrees")
    ticks = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24)
    grid[0].set_yscale("log")
    grid[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    grid[0].minorticks_off()
    grid[0].set_ylim(bottom=1)
    grid[1].legend(frameon=False, loc="lower left", fontsize=8)
    return figure


def _plot_stages(axes: Axes, errors: ErrorsByCalibration) -> None:
    stages_deg = errors.stages_deg
    is_worse = stages_deg[:, 2] > stages_deg[:, 0]
    for mask, colour, label in (
        (~is_worse, BLUE, "a person"),
        (is_worse, ORANGE, "a person who is worse after 9 targets"),
    ):
        lines = axes.plot(range(3), stages_deg[mask].T, color=colour, alpha=0.35, linewidth=1)
        if lines:
            lines[0].set_label(label)
    means_deg = np.nanmean(stages_deg, axis=0)
    axes.plot(range(3), means_deg, "o-", color="black", linewidth=2, label="mean")
    for stage, mean_deg in enumerate(means_deg.tolist()):
        axes.annotate(
            f"{mean_deg:.1f}°",
            (stage, mean_deg),
            xytext=(6, 6),
            textcoords="offset points",
            weight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    for stage, goal_deg in ((1, GOAL_5_TARGETS_DEG), (2, GOAL_9_TARGETS_DEG)):
        axes.hlines(
            goal_deg, stage - 0.2, stage + 0.2, color="black", linestyle=":", label="goal" if stage == 1 else ""
        )
    axes.set_xticks(range(3), STAGES)
    axes.set_xlim(-0.2, 2.4)
    axes.grid(axis="y", alpha=0.3)


def _pad(edges: Sequence[float]) -> np.ndarray:
    """Return edges with one more cell on either side, for what lies beyond the screen."""
    return np.array([-0.15, *edges, 1.15])
