"""Tables of the card's metrics for the README and docs/accuracy.md."""

from collections.abc import Mapping
from typing import Any

from research.markdown import make_table

STAGES = (("uncalibrated", "uncalibrated"), ("after 5 targets", "5 targets"), ("after 9 targets", "9 targets"))

Metrics = Mapping[str, Any]

_SPREAD = ("mean", "median", "95th percentile")


def describe_for_readme(metrics: Metrics) -> str:
    """Return the README's table: errors on rendered people, in range."""
    calibration = metrics["calibration"]
    rows = [
        (
            f"median gaze per target, {label}",
            *_degrees(calibration[stage]["in_range"]),
        )
        for label, stage in STAGES
    ]
    single = metrics["in_range"]["angular_error_deg"]
    return make_table(
        ("angular error in degrees", *_SPREAD), [("single frames, uncalibrated", *_degrees(single)), *rows]
    )


def describe_for_docs(metrics: Metrics) -> dict[str, str]:
    """Return the tables of docs/accuracy.md by the names of their blocks."""
    return {
        "baselines": _describe_baselines(metrics),
        "slices": _describe_slices(metrics),
        "calibration": _describe_calibration(metrics),
        "calibration-groups": _describe_calibration_groups(metrics),
        "features": make_table(
            ("angular error in degrees", *_SPREAD),
            [(name, *_degrees(errors, digits=2)) for name, errors in metrics["ablation"].items()],
        ),
        "estimators": make_table(
            ("angular error in degrees", *_SPREAD, "prediction, ms"),
            [
                (name, *_degrees(errors), f"{errors['prediction_ms']:.2f}" if "prediction_ms" in errors else "–")
                for name, errors in metrics["estimators"].items()
            ],
        ),
        "learning-curve": make_table(
            ("training people", "mean error in degrees", "lowest to highest"),
            [
                (
                    str(step["people"]),
                    f"{step['mean_angular_error_deg']:.2f}",
                    f"{step['lowest']:.2f}–{step['highest']:.2f}",
                )
                for step in metrics["learning_curve"]
            ],
        ),
        "error-budget": make_table(
            ("angular error in degrees", *_SPREAD),
            [
                *((name, *_degrees(errors)) for name, errors in metrics["error_budget"].items()),
                ("as measured, kernel ridge on all landmarks", *_degrees(metrics["every_landmark"])),
            ],
        ),
        "geometry": _describe_geometry(metrics),
    }


def _describe_baselines(metrics: Metrics) -> str:
    rows = [("**the model**", *_degrees(metrics["in_range"]["angular_error_deg"]))]
    rows += [(name, *_degrees(errors)) for name, errors in metrics["baselines"].items()]
    return make_table(("angular error in degrees, in range", *_SPREAD), rows)


def _describe_slices(metrics: Metrics) -> str:
    whole = [
        (f"**{name}**", str(errors["images"]), str(errors["identities"]), *_degrees(errors["angular_error_deg"]))
        for name, errors in (("in range", metrics["in_range"]), ("all", metrics["test"]))
    ]
    slices = [
        (f"{quantity}: {name}", str(errors["images"]), str(errors["identities"]), *_degrees(errors))
        for quantity, parts in metrics["slices"].items()
        for name, errors in parts.items()
    ]
    return make_table(("angular error in degrees", "images", "people", *_SPREAD), whole + slices)


def _describe_calibration(metrics: Metrics) -> str:
    rows = []
    for label, stage in STAGES:
        part = metrics["calibration"][stage]
        median_gaze = part["error_of_median_gaze_deg"]
        rows.append(
            (
                label,
                _degree(part["in_range"]["mean"]),
                *_degrees(median_gaze),
                " to ".join(f"{end:.1f}" for end in median_gaze["mean_95_percent_interval"]),
                _degree(part["error_of_single_frames_deg"]["mean"]),
                _degree(median_gaze["worst"]),
                f"{part['used']} of {part['people']}" if "used" in part else "–",
                str(part.get("worse_than_uncalibrated", "–")),
                _degree(part.get("reported_accuracy_deg")),
            )
        )
    header = (
        "error of the median gaze in degrees",
        "mean in range",
        *_SPREAD,
        "95 % interval of the mean",
        "single frames",
        "worst person",
        "accepted",
        "worse than uncalibrated",
        "reported accuracy",
    )
    return make_table(header, rows)


def _describe_calibration_groups(metrics: Metrics) -> str:
    rows = [
        (
            f"{quantity}: {name}",
            str(parts["uncalibrated"]["people"]),
            *(_degree(parts[stage]["mean"]) for _, stage in STAGES),
        )
        for quantity, groups in metrics["calibration"]["slices"].items()
        for name, parts in groups.items()
    ]
    return make_table(("mean error in degrees", "people", *(label for label, _ in STAGES)), rows)


def _describe_geometry(metrics: Metrics) -> str:
    geometry = metrics["geometry"]
    distance, origin = geometry["distance_error_percent"], geometry["origin_error_mm"]
    angles = zip(("pitch", "yaw", "roll"), geometry["head_angle_error_deg"], strict=True)
    return make_table(
        ("absolute error", *_SPREAD),
        [
            ("distance, %", *_degrees(distance)),
            ("position of the eyes, mm", *_degrees(origin)),
            *((f"head {name}, degrees", _degree(error_deg), "–", "–") for name, error_deg in angles),
            ("point of gaze in range, mm", *_degrees(metrics["in_range"]["screen_error_mm"])),
            (
                "angular error with an undescribed camera, degrees",
                *_degrees(metrics["camera_not_described"]["angular_error_deg"]),
            ),
        ],
    )


def _degrees(errors: Mapping[str, Any], *, digits: int = 1) -> tuple[str, str, str]:
    return (
        _degree(errors["mean"], digits=digits),
        _degree(errors["median"], digits=digits),
        _degree(errors["p95"], digits=digits),
    )


def _degree(value: float | None, *, digits: int = 1) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
