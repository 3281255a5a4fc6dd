"""What an operator sees of the function: answers, log, metrics, and conditions of alerts."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from func.web.metrics import SERVICES

Samples = Mapping[str, float]
"""Value of each series, such as `gaze_shed_total{reason="BusyError"}`."""

_QUIET = ("_bucket", "_sum", "process_", "gaze_request_seconds", "gaze_stage_seconds", "gaze_upstream_seconds")
_NOT_TROUBLE = re.compile(r"gaze_(frames|requests|results|scores|build|body|connections|frame_issues|calibration)")


@dataclass(frozen=True, slots=True)
class Condition:
    """Condition of an alert.

    Attributes:
        text: The alert, or the metric and its value.
        is_met: Returns whether it is met by the growth of each series during a scene.
    """

    text: str
    is_met: Callable[[Samples], bool]


def _sum(samples: Samples, start: str, *parts: str) -> float:
    return sum(
        value for name, value in samples.items() if name.startswith(start) and all(part in name for part in parts)
    )


def _fails(samples: Samples) -> bool:
    answered = _sum(samples, "gaze_requests_total", 'route="/gaze"')
    return _sum(samples, "gaze_requests_total", 'route="/gaze"', 'status="5') > 0.01 * answered


def _leaves_undelivered(samples: Samples) -> bool:
    return _sum(samples, "gaze_results_stored_total") - _sum(samples, "gaze_results_delivered_total") >= 1


def _fails_upstream(samples: Samples) -> bool:
    return any(
        _sum(samples, "gaze_upstream_errors_total", label) > 0.05 * _sum(samples, "gaze_upstream_seconds_count", label)
        for label in (f'service="{service}"' for service in SERVICES)
    )


CONDITIONS = (
    Condition("GazeErrors: more than 1 % of the answers of `/gaze` are 5xx", _fails),
    Condition("GazeFramesRefused: `gaze_shed_total` grows", lambda samples: _sum(samples, "gaze_shed_total") > 0),
    Condition("GazeResultsNotDelivered: stored minus delivered is at least 1", _leaves_undelivered),
    Condition("GazeUpstreamDown: `gaze_circuit_open` is 1", lambda samples: _sum(samples, "gaze_circuit_open") > 0),
    Condition("GazeUpstreamErrors: more than 5 attempts for 100 calls of a service fail", _fails_upstream),
)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen while something was broken.

    Attributes:
        frames: Statuses of the answers to frames, each once.
        last_frame: Status of the answer to the last frame; None if none was sent.
        events: Events in the log at level INFO and above, with their error or service, each once.
        metrics: Series that grew and mean trouble.
        conditions: Conditions of alerts that were met.
    """

    frames: tuple[int, ...]
    last_frame: int | None
    events: tuple[str, ...]
    metrics: tuple[str, ...]
    conditions: tuple[str, ...]


def read_samples(text: str) -> dict[str, float]:
    """Return the value of each series in Prometheus' text format."""
    return {
        f"{sample.name}{_format_labels(sample.labels)}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def find_growth(before: Samples, after: Samples) -> dict[str, float]:
    """Return by how much each series grew; gauges of circuit breakers as they are."""
    return {
        name: value if name.startswith("gaze_circuit_open") else value - before.get(name, 0.0)
        for name, value in after.items()
    }


def list_trouble(growth: Samples) -> tuple[str, ...]:
    """Return the series that grew and mean trouble."""
    return tuple(
        sorted(
            name
            for name, value in growth.items()
            if value > 0 and not any(part in name for part in _QUIET) and not _NOT_TROUBLE.match(name)
        )
    )


def list_conditions(growth: Samples) -> tuple[str, ...]:
    """Return the conditions of alerts that are met."""
    return tuple(condition.text for condition in CONDITIONS if condition.is_met(growth))


def read_events(log_path: Path, offset: int) -> tuple[str, ...]:
    """Return the events in the part of a JSON log that begins at an offset, each once, in order of appearance."""
    lines = log_path.read_bytes()[offset:].decode("utf-8", "replace").splitlines()
    return tuple(dict.fromkeys(_describe(json.loads(line)) for line in lines if line.startswith("{")))


def _describe(line: Mapping[str, object]) -> str:
    about = line.get("error") or line.get("service")
    return f"{line['event']} ({about})" if about else str(line["event"])


def _format_labels(labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
    return f"{{{inside}}}" if inside else ""


def join(parts: Iterable[object], *, code: bool = False) -> str:
    """Return parts as one cell of a table."""
    return "<br>".join(f"`{part}`" if code else str(part) for part in parts) or "–"
