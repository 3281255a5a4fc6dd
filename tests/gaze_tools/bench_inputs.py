"""Benchmark reports to test with."""

from gaze_tools.bench.machine import MachineFacts
from gaze_tools.bench.results import BenchNumber, BenchReport, MeasuredQuantity


def make_machine(**changes):
    facts = {
        "cpu": "Example CPU",
        "cores": 2,
        "memory_gb": 8.0,
        "kernel": "Linux 6 x86_64",
        "python": "3.11.9",
        "packages": {"numpy": "2.3.0"},
        "commit": "0123456789ab",
        "started_at": "2026-11-26T12:00:00+00:00",
        "load_before": 0.1,
        "load_after": 1.0,
    }
    return MachineFacts(**(facts | changes))


def make_number(
    samples, name="step", quantity=MeasuredQuantity.CPU_MS, *, section="frame 640×480", baselines=(), is_reference=False
):
    return BenchNumber(
        section=section,
        name=name,
        quantity=quantity,
        samples=tuple(samples),
        baselines=tuple(baselines),
        is_reference=is_reference,
    )


def make_bench_report(*numbers, name="run", skipped=(), **machine):
    return BenchReport(name=name, machine=make_machine(**machine), numbers=numbers, skipped=skipped)
