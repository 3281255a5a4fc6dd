"""Draws how accurate the gaze model is: a page, and its figures as files that a document can show."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from research.evaluation import svg
from research.evaluation.accuracy import (
    COLUMNS,
    FEW_PICTURES,
    ROWS,
    TARGET_5_DOTS_DEG,
    TARGET_9_DOTS_DEG,
    TARGET_DEG,
    Ablation,
    Calibrated,
    Estimator,
    Evaluation,
    LearningStep,
    Pictures,
    Rung,
    ScreenMap,
    Summary,
    bin_errors,
    map_errors,
    summarise,
)
from research.evaluation.svg import (
    BLUE,
    FAINT,
    GROUND,
    INK,
    LEFT_PX,
    MUTED,
    ORANGE,
    RIGHT_PX,
    Bar,
    Drawing,
    KeyKind,
    Scale,
    tell,
)

PAGE = "accuracy.html"
FIGURES = "accuracy"
"""The folder of the single figures, beside the page."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that the error may depend on.

    Attributes:
        name: Of the figure's file.
        title: Of the figure.
        axis: What the values are, with their unit.
        edges: Between the bins, rising; the first and the last bin are open.
        in_range: Least and largest value that accuracy is promised for; None where there is no such promise.
        caption: What the figure means and what it does not.
    """

    name: str
    title: str
    axis: str
    edges: tuple[float, ...]
    in_range: tuple[float, float] | None
    caption: str

    def is_beyond(self, low: float, high: float) -> bool:
        """Whether nothing is promised for a bin."""
        return self.in_range is not None and (low < self.in_range[0] or high > self.in_range[1])


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A drawing with the name of its file and its caption."""

    name: str
    drawing: Drawing
    caption: str


YAW = Quantity(
    "yaw",
    "Error by head yaw",
    "head yaw, degrees (+ nose to the viewer's own right)",
    (-25, -15, -5, 5, 15, 25),
    (-25, 25),
    "What a head turned aside costs; a turned head also looks at other places, so a rise is not the head's alone.",
)
PITCH = Quantity(
    "pitch",
    "Error by head pitch",
    "head pitch, degrees (+ nose up)",
    (-15, -9, -3, 3, 9, 15),
    (-15, 15),
    "What a raised or lowered head costs, as the camera sees it: a camera that stands low or high changes the pitch of "
    "a head that does not move.",
)
ROLL = Quantity(
    "roll",
    "Error by head roll",
    "head roll, degrees (+ tilted to the viewer's own right)",
    (-10, -6, -2, 2, 6, 10),
    (-10, 10),
    "What a tilted head costs; tilts far to the side are rare here, so the outer bins weigh little in the mean.",
)
DISTANCE = Quantity(
    "distance",
    "Error by distance",
    "distance of the eyes from the camera, mm",
    (400, 500, 600, 700, 800),
    (400, 800),
    "What sitting farther away costs in degrees; the same error in degrees is more millimetres on the screen there.",
)
IRIS = Quantity(
    "iris",
    "Error by size of the iris in the picture",
    "iris diameter, px",
    (8, 10, 12, 16, 20),
    None,
    "What few pixels cost, since the gaze is read from the iris; its size mixes distance, field of view and the "
    "picture's width, and does not tell them apart.",
)


def write_figures(evaluation: Evaluation, folder: Path) -> Path:
    """Write the page and its figures into a folder; return the page.

    The page `accuracy.html` needs no other file. The same figures lie beside it, `accuracy/*.svg`; what an earlier
    evaluation left there is gone.

    Args:
        evaluation: What to draw.
        folder: Made when missing.

    Raises:
        OSError: The folder cannot be written.
    """
    sections = draw_sections(evaluation)
    figures = folder / FIGURES
    figures.mkdir(parents=True, exist_ok=True)
    for stale in figures.glob("*.svg"):
        stale.unlink()
    for _, drawn in sections:
        for figure in drawn:
            (figures / f"{figure.name}.svg").write_text(figure.drawing.render_file(), encoding="utf-8")
    page = folder / PAGE
    page.write_text(_render(evaluation, sections), encoding="utf-8")
    return page


def draw_sections(evaluation: Evaluation) -> list[tuple[str, list[Figure]]]:
    """Return the headings of the page and the figures below each; none is empty."""
    pictures = evaluation.pictures
    sections = [
        ("Over the screen", _draw_screen(pictures)),
        ("How large, and what it depends on", [_draw_distribution(pictures), *_draw_quantities(pictures)]),
        ("What calibration gains", _draw_calibrations(evaluation)),
        ("What would help", _draw_learning(evaluation.learning) + _draw_ladder(evaluation.ladder)),
        ("What the model needs", _draw_ablation(evaluation.ablation) + _draw_estimators(evaluation.estimators)),
    ]
    return [(heading, figures) for heading, figures in sections if figures]


# Places of the map's cells, in px: those beyond the screen are smaller.
_CELL_X = tuple(34.0 + along for along in (0, 48, 106, 164, 222, 280, 338, 376))
_CELL_Y = tuple(64.0 + along for along in (0, 46, 104, 162, 220, 266))
_MAP_PX = 414.0


def _draw_screen(pictures: Pictures) -> list[Figure]:
    found = map_errors(pictures)
    return [
        Figure(
            "screen",
            _draw_map(found),
            "Where on the screen an uncalibrated answer is better and where worse; screens of all sizes lie over each "
            "other here, so a cell is a share of the screen and not an angle.",
        ),
        Figure(
            "offset",
            _draw_offsets(found),
            "What all people's answers have in common at a place; a short arrow does not mean a small error, since the "
            "errors of different people point different ways and cancel.",
        ),
    ]


def _draw_map(found: ScreenMap) -> Drawing:
    drawing = Drawing(
        "Mean error by the place looked at", "degrees, and number of pictures, without calibration", height_px=_MAP_PX
    )
    enough = found.images >= FEW_PICTURES
    shown = found.mean_deg[enough]
    low, high = (float(np.floor(shown.min())), float(np.ceil(shown.max()))) if len(shown) else (0.0, 1.0)
    high = max(high, low + 1)
    for row, column in np.ndindex(found.images.shape):
        (x, y), (width, height) = _cell(row, column)
        images, mean_deg = int(found.images[row, column]), float(found.mean_deg[row, column])
        middle, colour = x + width / 2, MUTED
        hint = f"{_count(images, 'picture')}, mean error {_deg(mean_deg, 2)}" if images else "no picture"
        if enough[row, column]:
            fill, colour = svg.find_colour((mean_deg - low) / (high - low))
            drawing.box((x, y), (width, height), fill, edge="#ffffff", hint=hint)
        else:
            drawing.box((x + 2, y + 2), (width - 4, height - 4), "#ffffff", edge=FAINT, dash="3 3", hint=hint)
        if images:
            drawing.text(middle, y + height / 2 + 1, f"{mean_deg:.1f}", colour=colour, anchor="middle", is_bold=True)
        drawing.text(middle, y + height / 2 + 16, f"{images:,}", size_px=11.5, colour=colour, anchor="middle")
    _frame_screen(drawing)
    for step in range(40):
        drawing.box((34 + 4 * step, 376), (4.4, 12), svg.find_colour((step + 0.5) / 40)[0])
    for value in (low, (low + high) / 2, high):
        drawing.note(34 + 160 * (value - low) / (high - low), 403, f"{value:g}°", anchor="middle")
    return drawing


def _draw_offsets(found: ScreenMap) -> Drawing:
    drawing = Drawing(
        "Mean offset by the place looked at",
        "from there towards the answer, with its length in degrees",
        height_px=_MAP_PX,
    )
    enough = found.images >= FEW_PICTURES
    length_deg = np.hypot(found.offset_deg[..., 0], found.offset_deg[..., 1])
    longest_deg = max(float(length_deg[enough].max()) if enough.any() else 0.0, 0.5)
    px_per_deg = 42 / longest_deg
    for row, column in np.ndindex(found.images.shape):
        (x, y), (width, height) = _cell(row, column)
        if enough[row, column]:
            drawing.box((x, y), (width, height), GROUND, edge="#ffffff")
        else:
            drawing.box((x + 2, y + 2), (width - 4, height - 4), "#ffffff", edge=FAINT, dash="3 3")
    _frame_screen(drawing)
    for row, column in np.argwhere(enough).tolist():
        (x, y), (width, height) = _cell(row, column)
        start = (x + width / 2, y + height / 2 - 5)
        right, up = (float(each) for each in found.offset_deg[row, column])
        drawing.dot(start, 2.2, BLUE, hint=f"{tell(right, '+.2f')}° to the right, {tell(up, '+.2f')}° up")
        drawing.arrow(start, (start[0] + right * px_per_deg, start[1] - up * px_per_deg), BLUE)
    for row, column in np.argwhere(enough).tolist():
        (x, y), (width, height) = _cell(row, column)
        told = f"{length_deg[row, column]:.1f}"
        drawing.text(x + width / 2, y + height - 5, told, size_px=11.5, colour=MUTED, anchor="middle", has_halo=True)
    key_deg = next((each for each in (10.0, 5.0, 2.0, 1.0) if each <= longest_deg), 0.5)
    drawing.dot((40, 382), 2.2, BLUE)
    drawing.arrow((40, 382), (40 + key_deg * px_per_deg, 382), BLUE)
    drawing.note(50 + key_deg * px_per_deg, 387, f"{key_deg:g}°")
    return drawing


def _cell(row: int, column: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return upper left corner and size of a cell, in px."""
    x, y = _CELL_X[column], _CELL_Y[row]
    return (x, y), (_CELL_X[column + 1] - x, _CELL_Y[row + 1] - y)


def _frame_screen(drawing: Drawing) -> None:
    """Draw the screen's edge and what is the same in both maps: their axes and what a dashed cell means."""
    left, right, top, bottom = _CELL_X[1], _CELL_X[-2], _CELL_Y[1], _CELL_Y[-2]
    drawing.box((left, top), (right - left, bottom - top), "none", edge=INK, edge_px=2)
    for place, value in zip(_CELL_X[1:-1], COLUMNS, strict=True):
        drawing.note(place, _CELL_Y[-1] + 15, f"{value:g}", anchor="middle")
    for place, value in zip(_CELL_Y[1:-1], ROWS, strict=True):
        drawing.note(_CELL_X[0] - 5, place + 4, f"{value:.2g}", anchor="end")
    middle = (left + right) / 2
    drawing.note(middle, _CELL_Y[-1] + 32, "x, as a share of the screen, which is the dark frame", anchor="middle")
    drawing.note(12, _CELL_Y[0] + 14, "y")
    drawing.box((214, 375), (22, 14), "#ffffff", edge=FAINT, dash="3 3")
    drawing.note(243, 387, f"fewer than {FEW_PICTURES} pictures")


def _draw_distribution(pictures: Pictures) -> Figure:
    drawing = Drawing(
        "How often the error is at most so large", "% of single pictures, without calibration", height_px=318
    )
    bottom = 240.0
    everything, in_range = np.sort(pictures.angular_deg), np.sort(pictures.angular_deg[pictures.is_in_range])
    across = Scale(0, max(1.0, float(np.ceil(np.percentile(everything, 99)))), LEFT_PX, RIGHT_PX)
    upward = Scale(0, 100, bottom, 66)
    drawing.axis_up(upward)
    for value in svg.find_ticks(0, across.high, about=10):
        drawing.tick(across.px(value), bottom, f"{value:g}")
    drawing.label_across(bottom + 38, "angular error, degrees")
    keys: list[tuple[KeyKind, str]] = [("dashed", f"all: {_count(len(everything), 'picture')}")]
    drawing.path(_accumulate(everything, across, upward), MUTED, width_px=1.5, dash="5 4")
    marked, colour = everything, MUTED
    if len(in_range):
        keys.append(("line", f"in range: {_count(len(in_range), 'picture')}"))
        drawing.path(_accumulate(in_range, across, upward), BLUE, width_px=2.5)
        marked, colour = in_range, BLUE
    for percent in (50, 95):
        value = float(np.percentile(marked, percent))
        x, y = across.px(value), upward.px(percent)
        told = f"{percent} %: at most {_deg(value)}"
        drawing.dot((x, y), 4.5, colour)
        if x < RIGHT_PX - 150:
            drawing.text(x + 9, y + 20, told, is_bold=True, has_halo=True)
        else:
            drawing.text(RIGHT_PX, y + 38, told, anchor="end", is_bold=True, has_halo=True)
    drawing.legend(bottom + 63, keys)
    return Figure(
        "distribution",
        drawing,
        "How often one uncalibrated answer is at most so far off; it does not say how much of that is the same every "
        "time for one person, which calibration could take away.",
    )


def _accumulate(ordered_deg: NDArray[np.float64], across: Scale, upward: Scale) -> list[svg.Point]:
    """Return the curve of the percentage of errors that are at most so large."""
    grid_deg = np.linspace(0, across.high, 180)
    percent = 100 * np.searchsorted(ordered_deg, grid_deg, side="right") / len(ordered_deg)
    return [(across.px(x), upward.px(y)) for x, y in zip(grid_deg.tolist(), percent.tolist(), strict=True)]


def _draw_quantities(pictures: Pictures) -> list[Figure]:
    """Return the figures of the error by head pose, distance and iris, all on one scale."""
    values = (
        (YAW, pictures.pose_deg[:, 1]),
        (PITCH, pictures.pose_deg[:, 0]),
        (ROLL, pictures.pose_deg[:, 2]),
        (DISTANCE, pictures.distance_mm),
        (IRIS, pictures.iris_diameter_px),
    )
    binned = [
        (quantity, bin_errors(each, pictures.angular_deg, pictures.identity, quantity.edges))
        for quantity, each in values
    ]
    mean_deg = float(pictures.angular_deg.mean())
    tops = [
        summary.interval_deg[1] if summary.interval_deg else summary.mean_deg
        for _, summaries in binned
        for summary in summaries
        if summary.images
    ]
    top_deg = svg.round_up(1.1 * max([mean_deg, *tops]))
    return [
        Figure(quantity.name, _draw_bins(quantity, summaries, mean_deg, top_deg), quantity.caption)
        for quantity, summaries in binned
    ]


def _draw_bins(quantity: Quantity, summaries: Sequence[Summary], mean_deg: float, top_deg: float) -> Drawing:
    drawing = Drawing(quantity.title, "mean error, degrees, with its 95 % interval over people", height_px=318)
    bottom = 232.0
    upward = Scale(0, top_deg, bottom, 66)
    edges = (-np.inf, *quantity.edges, np.inf)
    # Outer bins without a picture are not shown.
    filled = [number for number, summary in enumerate(summaries) if summary.images] or [0]
    shown = range(min(filled), max(filled) + 1)
    width = (RIGHT_PX - LEFT_PX) / len(shown)
    keys: list[tuple[KeyKind, str]] = [("dashed", f"all: {_deg(mean_deg)}")]
    beyond = [number for number in shown if quantity.is_beyond(edges[number], edges[number + 1])]
    for number in beyond:
        drawing.box((LEFT_PX + (number - shown.start) * width, 60), (width, bottom - 60), GROUND)
    if beyond:
        keys.append(("ground", "out of range"))
    if any(summaries[number].images and summaries[number].is_little_known for number in shown):
        keys.append(("ring", "little known"))
    drawing.axis_up(upward)
    drawing.line((LEFT_PX, upward.px(mean_deg)), (RIGHT_PX, upward.px(mean_deg)), MUTED, dash="5 4")
    drawing.note(LEFT_PX - 6, bottom + 34, "n", anchor="end")
    for place, number in enumerate(shown):
        left, summary = LEFT_PX + place * width, summaries[number]
        if place:
            drawing.tick(left, bottom, tell(edges[number]))
        drawing.note(left + width / 2, bottom + 34, f"{summary.images:,}", anchor="middle")
        if summary.images:
            _draw_summary(drawing, left + width / 2, upward, summary)
    drawing.label_across(bottom + 54, quantity.axis)
    drawing.legend(bottom + 77, keys)
    return drawing


def _draw_summary(drawing: Drawing, x: float, upward: Scale, summary: Summary) -> None:
    """Draw a mean, its interval and its value."""
    y = top = upward.px(summary.mean_deg)
    colour, ink = (FAINT, MUTED) if summary.is_little_known else (BLUE, INK)
    if summary.interval_deg:
        low, top = (upward.px(each) for each in summary.interval_deg)
        drawing.line((x, low), (x, top), colour, width_px=2)
        for end in (low, top):
            drawing.line((x - 5, end), (x + 5, end), colour, width_px=2)
    hint = f"{_count(summary.images, 'picture')} of {_count(summary.people, 'person', 'people')}"
    drawing.dot((x, y), 5, colour, is_hollow=summary.is_little_known, hint=hint)
    told = f"{summary.mean_deg:.1f}"
    drawing.text(x, top - 9, told, colour=ink, anchor="middle", is_bold=True, has_halo=True)


_LOG_TICKS_DEG = (0.1, 0.2, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48)


def _draw_calibrations(evaluation: Evaluation) -> list[Figure]:
    """Return the figures of what calibration gains, both on one scale."""
    given = (
        (
            evaluation.of_medians,
            "calibration",
            "Calibration, median of the frames",
            _OF_MEDIANS,
        ),
        (evaluation.of_frames, "calibration-frames", "Calibration, single frames", _OF_FRAMES),
    )
    found = np.concatenate([each.table_deg.ravel() for each, *_ in given if each is not None] or [np.empty(0)])
    found = found[np.isfinite(found)]
    if len(found) == 0:
        return []
    least = min(float(found.min()), TARGET_9_DOTS_DEG)
    low = max((tick for tick in _LOG_TICKS_DEG if tick <= least), default=_LOG_TICKS_DEG[0])
    high = max(1.1 * float(found.max()), 2 * TARGET_5_DOTS_DEG)
    return [
        Figure(name, _draw_calibration(calibrated, title, low, high), caption)
        for calibrated, name, title, caption in given
        if calibrated is not None
    ]


_OF_MEDIANS = (
    "What a viewer gains by looking at dots first, tried at places that the calibration did not see, after a shift in "
    "the chair; it does not say for how long a calibration holds."
)
_OF_FRAMES = (
    "The same for one answer by itself; what it has more than the median is scatter, which no calibration takes away."
)


def _draw_calibration(calibrated: Calibrated, title: str, low_deg: float, high_deg: float) -> Drawing:
    drawing = Drawing(title, "each person's mean error, degrees, logarithmic; bold: all", height_px=364)
    bottom = 284.0
    table = calibrated.table_deg
    upward = Scale(low_deg, high_deg, bottom, 66, is_log=True)
    drawing.axis_up(upward, [tick for tick in _LOG_TICKS_DEG if low_deg <= tick <= high_deg])
    places = (96.0, 222.0, 348.0)
    is_worse = table[:, 2] > table[:, 0]
    for person in np.argsort(is_worse, kind="stable").tolist():
        points = [(x, upward.px(y)) for x, y in zip(places, table[person].tolist(), strict=True) if np.isfinite(y)]
        if len(points) > 1:
            colour, opacity = (ORANGE, 0.9) if is_worse[person] else (BLUE, 0.3)
            drawing.path(points, colour, width_px=1.2, opacity=opacity)
    stages = [stage[np.isfinite(stage)] for stage in table.T]
    means = [(x, upward.px(float(stage.mean()))) for x, stage in zip(places, stages, strict=True) if len(stage)]
    if len(means) > 1:
        drawing.path(means, BLUE, width_px=3)
    named = zip(
        places,
        stages,
        ("no calibration", "5 dots", "9 dots"),
        (None, TARGET_5_DOTS_DEG, TARGET_9_DOTS_DEG),
        strict=True,
    )
    for x, stage, name, target_deg in named:
        told = _count(len(stage), "person", "people")
        if target_deg is not None:
            y = upward.px(target_deg)
            drawing.line((x - 44, y), (x + 44, y), INK, width_px=2, dash="3 3")
            told = f"{int((stage <= target_deg).sum())} of {len(stage)} within {target_deg:g}°"
        if len(stage):
            mean_deg = float(stage.mean())
            drawing.dot((x, upward.px(mean_deg)), 5.5, BLUE)
            drawing.text(x + 11, upward.px(mean_deg) - 7, _deg(mean_deg), is_bold=True, has_halo=True)
        drawing.text(x, bottom + 20, name, anchor="middle", is_bold=True)
        drawing.note(x, bottom + 38, told, anchor="middle")
    keys: list[tuple[KeyKind, str]] = [("target", "target for the mean")]
    if is_worse.any():
        keys.append(("warning", "worse with 9 dots"))
    drawing.legend(bottom + 68, keys)
    return drawing


def _draw_learning(steps: Sequence[LearningStep]) -> list[Figure]:
    if not steps:
        return []
    drawing = Drawing(
        "Error by number of people learnt from",
        "mean error on test people, degrees; band: all repeats",
        height_px=300,
    )
    bottom = 238.0
    least, most = min(step.low_deg for step in steps), max(step.high_deg for step in steps)
    room = 0.3 * max(most - least, 0.5)
    upward = Scale(max(0.0, float(np.floor(2 * (least - room)) / 2)), most + room, bottom, 66)
    across = Scale(steps[0].people, steps[-1].people, 80, RIGHT_PX - 30, is_log=True)
    drawing.axis_up(upward)
    middle = [(across.px(step.people), upward.px(step.mean_deg)) for step in steps]
    above = [(x, upward.px(step.high_deg)) for (x, _), step in zip(middle, steps, strict=True)]
    below = [(x, upward.px(step.low_deg)) for (x, _), step in zip(middle, steps, strict=True)]
    drawing.area([*above, *reversed(below)], BLUE, opacity=0.18)
    drawing.path(middle, BLUE, width_px=2.5)
    for step, place, (x, top) in zip(steps, middle, above, strict=True):
        drawing.dot(place, 5, BLUE, hint=f"{_deg(step.low_deg, 2)} to {_deg(step.high_deg, 2)}")
        drawing.text(
            x, min(top, place[1] - 2) - 9, f"{step.mean_deg:.2f}", anchor="middle", is_bold=True, has_halo=True
        )
        drawing.tick(x, bottom, f"{step.people:,}")
    drawing.label_across(bottom + 38, "people learnt from, logarithmic")
    return [
        Figure(
            "learning",
            drawing,
            "Whether more rendered people would help; the curve cannot show what rendering leaves out.",
        )
    ]


def _draw_ladder(rungs: Sequence[Rung]) -> list[Figure]:
    if not rungs:
        return []
    first = rungs[0]
    bars = [Bar(first.label, first.mean_deg, _deg(first.mean_deg, 2))] + [
        Bar(rung.label, rung.mean_deg, _deg(rung.mean_deg, 2), f"{tell(rung.mean_deg - first.mean_deg, '+.2f')}°")
        for rung in rungs[1:]
    ]
    drawing = svg.draw_bars(
        "Error budget: what if a part were true",
        f"the mean error, and how far it is from {first.label}",
        "mean error, degrees",
        bars,
    )
    return [
        Figure(
            "error-budget",
            drawing,
            "How far the error would fall if what is named were true and not measured, so where work would pay; what "
            "single parts gain need not add up.",
        )
    ]


def _draw_ablation(ablation: Sequence[Ablation]) -> list[Figure]:
    if not ablation:
        return []
    bars = [
        Bar(each.feature, each.rise_deg, f"{tell(each.rise_deg, '+.2f')}°", f"to {_deg(each.without_deg, 2)}")
        for each in sorted(ablation, key=lambda each: -each.rise_deg)
    ]
    drawing = svg.draw_bars(
        "Error without a feature",
        f"how much the mean error rises from {_deg(ablation[0].with_all_deg, 2)}, and to what",
        "rise of the mean error, degrees",
        bars,
    )
    return [
        Figure(
            "features",
            drawing,
            "What a feature tells that the others do not; one that costs little to leave out may still matter, when "
            "another one says the same.",
        )
    ]


def _draw_estimators(estimators: Sequence[Estimator]) -> list[Figure]:
    if not estimators:
        return []
    bars = [
        Bar(each.name, each.mean_deg, _deg(each.mean_deg, 2), _time(each.prediction_ms))
        for each in sorted(estimators, key=lambda each: each.mean_deg)
    ]
    drawing = svg.draw_bars(
        "Other kinds of model", "the mean error, and the time of one prediction", "mean error, degrees", bars
    )
    return [
        Figure(
            "estimators",
            drawing,
            "What others give on the same features and people; the times are one machine's, so only their ratios carry "
            "over.",
        )
    ]


def _deg(value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f}°"


def _time(time_ms: float) -> str:
    return f"{time_ms:.2g} ms" if time_ms < 10 else f"{time_ms:,.0f} ms"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _tell_headlines(evaluation: Evaluation) -> list[tuple[str, Summary, float | None]]:
    """Return what is measured, its mean over which people, and its target."""
    pictures = evaluation.pictures
    chosen = pictures.is_in_range
    headlines: list[tuple[str, Summary, float | None]] = [
        ("No calibration, in range", summarise(pictures.angular_deg[chosen], pictures.identity[chosen]), TARGET_DEG),
        ("No calibration, all", summarise(pictures.angular_deg, pictures.identity), None),
    ]
    if evaluation.of_medians is not None:
        for name, errors_deg, target in (
            ("After 5 dots", evaluation.of_medians.five_dots_deg, TARGET_5_DOTS_DEG),
            ("After 9 dots", evaluation.of_medians.nine_dots_deg, TARGET_9_DOTS_DEG),
        ):
            known = errors_deg[np.isfinite(errors_deg)]
            headlines.append((name, summarise(known, np.arange(len(known))), target))
    return [headline for headline in headlines if headline[1].images]


def _render_headline(name: str, summary: Summary, target_deg: float | None) -> str:
    interval = summary.interval_deg
    lines = [f"{interval[0]:.2f} to {interval[1]:.2f}°" if interval else "too few people for an interval"]
    if target_deg is not None:
        lines.append(f"target {target_deg:g}°: {'reached' if summary.mean_deg <= target_deg else 'missed'}")
    told = "".join(f"<span>{line}</span>" for line in lines)
    return f"<div><dt>{escape(name)}<dd><b>{_deg(summary.mean_deg, 2)}</b>{told}</div>\n"


def _render(evaluation: Evaluation, sections: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    pictures = evaluation.pictures
    shown = "".join(
        f"<section><h2>{escape(heading)}</h2>\n"
        f"<div class=figures>\n{''.join(map(_render_figure, figures))}</div></section>\n"
        for heading, figures in sections
    )
    return _PAGE.format(
        pictures=_count(len(pictures.angular_deg), "picture"),
        people=_count(len(np.unique(pictures.identity)), "rendered person", "rendered people"),
        yaw_deg=_limit(YAW),
        pitch_deg=_limit(PITCH),
        roll_deg=_limit(ROLL),
        distance_mm=_limit(DISTANCE),
        headlines="".join(_render_headline(*headline) for headline in _tell_headlines(evaluation)),
        sections=shown,
    )


def _render_figure(figure: Figure) -> str:
    caption = f"<figcaption>{escape(figure.caption)}</figcaption>"
    return f"<figure id={figure.name}>{figure.drawing.render()}{caption}</figure>\n"


def _limit(quantity: Quantity) -> str:
    """Return a quantity's promised range in words."""
    if quantity.in_range is None:
        return "any"
    low, high = quantity.in_range
    return f"±{high:g}" if low == -high else f"{low:g} to {high:g}"


_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>How accurate the gaze is</title>
<style>
:root {{ color-scheme: light; }}
body {{ margin: 0 auto; max-width: 60rem; padding: 1rem; font: 16px/1.5 system-ui, sans-serif; color: #1d2733;
  background: #fff; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }}
h2 {{ font-size: 1.2rem; margin: 2.5rem 0 1rem; padding-top: .75rem; border-top: 1px solid #dde3ea; }}
p {{ max-width: 46rem; margin: .5rem 0 1rem; }}
.headlines {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(10.5rem, 1fr)); gap: .75rem; margin: 0; }}
.headlines div {{ background: #f3f4f6; padding: .6rem .8rem; border-radius: 6px; }}
dt {{ font-size: .9rem; color: #56616d; }}
dd {{ margin: 0; }}
dd b {{ display: block; font-size: 1.7rem; line-height: 1.3; font-weight: 600; }}
dd span {{ display: block; font-size: .85rem; color: #56616d; }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); gap: 2rem; }}
figure {{ margin: 0 -.6rem; min-width: 0; }}
svg {{ display: block; width: 100%; max-width: 32rem; height: auto; }}
figcaption {{ font-size: .95rem; color: #3c4651; max-width: 32rem; padding: .5rem .6rem 0; }}
</style>
<h1>How accurate the gaze is</h1>
<p>Errors on {pictures} of {people}, held out by identity: the model learnt from none of them. An error is
the angle at the eyes between where the model says that somebody looks and where they do. In range means a head within
{yaw_deg}° of yaw, {pitch_deg}° of pitch and {roll_deg}° of roll, {distance_mm} mm from the camera, eyes open, and a
look at the screen. Intervals are 95 % ones over people. No number was measured on real people, where errors may be
larger. <code>make evaluate</code> makes this page.</p>
<dl class=headlines>
{headlines}</dl>
{sections}</html>
"""
