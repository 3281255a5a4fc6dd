"""Writes a card's numbers as Markdown: the README's tables and those of docs/accuracy.md."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FEWEST_IN_README = 20
"""A slice with fewer pictures is in the card and in docs/accuracy.md alone."""

CALIBRATIONS = (("without calibration", "none"), ("after 5 dots", "5 dots"), ("after 9 dots", "9 dots"))

Metrics = Mapping[str, Any]


def describe_for_readme(metrics: Metrics, data: Mapping[str, Any]) -> str:
    """Return the README's tables of a card's metrics and data, in Markdown."""
    test, in_range, trained = metrics["test"], metrics["in_range"], data["training"]
    baselines = {name.split(":")[0]: errors for name, errors in metrics["baselines"].items()}
    slices = [
        (f"{kind}: {name}", errors)
        for kind, each in metrics["slices"].items()
        for name, errors in each.items()
        if errors["images"] >= FEWEST_IN_README
    ]
    worst, worst_errors = max(slices, key=lambda entry: float(entry[1]["mean"]))
    low, high = in_range["angular_error_deg"]["mean_95_percent_interval"]
    people, calibrated, budget = metrics["people"], metrics["calibration"], metrics["error_budget"]
    rows = [
        ("the model", in_range["angular_error_deg"]),
        ("linear in the same features", baselines["all, linear"]),
        ("no learning: the direction of the irises", baselines["eyes, not learned"]),
        ("no learning: where the nose points", baselines["head, not learned"]),
        ("always the mean direction", baselines["centre"]),
        (f"the model on all {test['images']} pictures, those beyond the ranges too", test["angular_error_deg"]),
        (f"the worst slice of those ({worst})", worst_errors),
    ]
    on_whom = (
        f"On {in_range['images']} rendered pictures of {in_range['identities']} people of whom no picture was "
        f"trained on ({trained['identities']} others were), [in range](docs/accuracy.md), one picture at a time, "
        "without calibration (`make evaluate`):"
    )
    five = calibrated["5 dots"]
    after_dots = (
        f"{five['people']} people of the test group also look at dots, shift in the chair, and look at "
        f"{five['places']} places that were no dots, up to ten frames each; {five['in_range']['places']} of these "
        f"places, of {five['in_range']['people']} people, are in range:"
    )
    means = (
        f"The first mean's 95 % interval over people is {low:.1f} to {high:.1f}°; of the {people['people']} people "
        f"with {people['fewest_pictures']} pictures or more in range the best has "
        f"{people['mean_angular_error_deg_of_the_best']:.1f}°, the worst "
        f"{people['mean_angular_error_deg_of_the_worst']:.1f}°. On the screen the mean is "
        f"{in_range['screen_error_mm']['mean']:.0f} mm. After 5 dots {five['worse_than_without']} of {five['people']} "
        f"people are worse off than without, after 9 {calibrated['9 dots']['worse_than_without']}. The goals, 4° "
        "without calibration, 2° after 5 dots and 1.5° after 9, are not reached. Fitted and tested with irises, eyes "
        f"and head where they truly are, the model errs by {budget['all true']['mean']:.1f}° instead of "
        f"{budget['as measured']['mean']:.1f}° (all pictures with both eyes open): what is missing is a better "
        "measurement of where irises and eyeballs are. No number here was measured on real people; "
        "[a recording of yours](docs/recordings.md) can be. "
        "[More numbers and how to read them](docs/accuracy.md), [figures](docs/accuracy.html)."
    )
    return "\n".join(
        [
            on_whom,
            "",
            *make_table(
                ("angular error at the eyes, degrees", "mean", "median", "95th percentile"),
                [(name, *_degrees(errors)) for name, errors in rows],
            ),
            "",
            after_dots,
            "",
            *make_table(
                (
                    "mean angular error at the eyes, degrees",
                    "in range: median of a place's frames",
                    "all: median of a place's frames",
                    "all: single frame",
                    "correction used",
                ),
                [
                    (
                        label,
                        _degree(calibrated[name]["in_range"]["mean"]),
                        f"{calibrated[name]['median_of_frames_deg']['mean']:.1f}",
                        f"{calibrated[name]['single_frame_deg']['mean']:.1f}",
                        _used(calibrated[name]),
                    )
                    for label, name in CALIBRATIONS
                ],
            ),
            "",
            means,
        ]
    )


def describe_for_docs(metrics: Metrics) -> str:
    """Return the tables of docs/accuracy.md, in Markdown."""
    test, in_range = metrics["test"], metrics["in_range"]
    slices = [
        (
            f"{kind}: {name}",
            str(errors["images"]),
            str(errors["identities"]),
            *_degrees(errors),
        )
        for kind, each in metrics["slices"].items()
        for name, errors in each.items()
    ]
    whole = [
        (f"**{name}**", str(errors["images"]), str(errors["identities"]), *_degrees(errors["angular_error_deg"]))
        for name, errors in (("in range", in_range), ("all", test))
    ]
    calibrated = metrics["calibration"]
    groups = [
        (f"{kind}: {name}", str(parts["none"]["people"]), *(_degree(parts[each]["mean"]) for _, each in CALIBRATIONS))
        for kind, each_group in calibrated["slices"].items()
        for name, parts in each_group.items()
    ]
    told = [
        (
            label,
            _degree(calibrated[name]["in_range"]["mean"]),
            *_degrees(calibrated[name]["median_of_frames_deg"]),
            " to ".join(f"{end:.1f}" for end in calibrated[name]["median_of_frames_deg"]["mean_95_percent_interval"]),
            _degree(calibrated[name]["single_frame_deg"]["mean"]),
            _degree(calibrated[name]["median_of_frames_deg"]["worst"]),
            _used(calibrated[name]),
            str(calibrated[name].get("worse_than_without", "–")),
            _degree(calibrated[name].get("told_accuracy_deg")),
        )
        for label, name in CALIBRATIONS
    ]
    ablation = metrics["ablation"]
    estimators = [
        (name, *_degrees(errors), f"{errors['ms_a_prediction']:.2f}" if "ms_a_prediction" in errors else "–")
        for name, errors in metrics["estimators"].items()
    ]
    parts: list[Sequence[str]] = [
        ("### Without calibration, by slices", "", "Of all pictures but for the first row.", ""),
        make_table(
            ("angular error, degrees", "pictures", "people", "mean", "median", "95th percentile"), whole + slices
        ),
        ("", "### With calibration", ""),
        make_table(
            (
                "each person's mean of places' medians, degrees",
                "mean in range",
                "mean",
                "median",
                "95th percentile",
                "95 % interval of the mean",
                "single frame",
                "worst person",
                "correction used",
                "worse off than without",
                "told to the viewer",
            ),
            told,
        ),
        ("",),
        make_table(("mean by groups of people, degrees", "people", "without", "5 dots", "9 dots"), groups),
        ("", "### Features", "", "Cross-validated on training people, all their pictures.", ""),
        make_table(
            ("angular error, degrees", "mean", "median", "95th percentile"),
            [(name, *_degrees(errors, digits=2)) for name, errors in ablation.items()],
        ),
        ("", "### Estimators", "", "Likewise; the best of each kind's candidates, and one prediction's time.", ""),
        make_table(("angular error, degrees", "mean", "median", "95th percentile", "ms"), estimators),
        (
            "",
            "### Would more people help?",
            "",
            "On the test group, in range; outline and trees learnt from fewer.",
            "",
        ),
        make_table(
            ("people learnt from", "mean error, degrees", "least and most of the draws"),
            [
                (
                    str(step["people"]),
                    f"{step['mean_angular_error_deg']:.2f}",
                    f"{step['least']:.2f}–{step['most']:.2f}",
                )
                for step in metrics["learning_curve"]
            ],
        ),
        ("", "### What the error is made of", "", "On the test group, all pictures with both eyes open.", ""),
        make_table(
            ("angular error, degrees", "mean", "median", "95th percentile"),
            [
                ("measured, every landmark by kernel ridge, not seven features", *_degrees(metrics["every_landmark"])),
                *((name, *_degrees(errors)) for name, errors in metrics["error_budget"].items()),
            ],
        ),
    ]
    return "\n".join(line for part in parts for line in part)


def make_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table: names to the left, numbers to the right."""
    return [
        f"| {' | '.join(header)} |",
        f"|---|{'--:|' * (len(header) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def put_between(path: Path, marker: str, text: str) -> None:
    """Put a text between a document's two markers.

    Raises:
        ValueError: The document has no such place.
    """
    before, begin, rest = path.read_text().partition(f"<!-- {marker}: begin -->\n")
    _, end, after = rest.partition(f"<!-- {marker}: end -->")
    if not begin or not end:
        raise ValueError(f"{path.name} has no place for the {marker}")
    path.write_text(f"{before}{begin}{text}\n{end}{after}")


def _degrees(errors: Mapping[str, Any], *, digits: int = 1) -> tuple[str, str, str]:
    return (
        _degree(errors["mean"], digits=digits),
        _degree(errors["median"], digits=digits),
        _degree(errors["p95"], digits=digits),
    )


def _degree(value: float | None, *, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _used(calibrated: Mapping[str, Any]) -> str:
    return f"{calibrated['used']} of {calibrated['people']}" if "used" in calibrated else "–"
