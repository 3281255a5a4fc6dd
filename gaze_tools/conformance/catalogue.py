"""All checks, in the order in which they are made."""

from types import ModuleType

from gaze_tools.conformance import (
    aggregator_checks,
    http_checks,
    session_basics,
    session_lifetime,
    session_repeats,
    session_results,
    session_values,
)
from gaze_tools.conformance.checks import ConformanceCheck

CONTRACT = "docs/upstream.md"
"""The contract that the checks refer to."""


def _list_checks(module: ModuleType) -> list[ConformanceCheck]:
    return [value for value in vars(module).values() if isinstance(value, ConformanceCheck)]


def _order(checks: list[ConformanceCheck]) -> tuple[ConformanceCheck, ...]:
    """Return checks in an order in which each comes after those that it needs."""
    ordered: list[ConformanceCheck] = []
    waiting = checks
    while waiting:
        known = {each.id for each in ordered}
        ready = [each for each in waiting if known.issuperset(each.needs)]
        if not ready:
            raise ValueError(f"checks need each other or unknown ones: {[each.id for each in waiting]}")
        ordered.append(ready[0])
        waiting = [each for each in waiting if each is not ready[0]]
    return tuple(ordered)


_SESSION_MODULES = (session_basics, session_values, session_repeats, session_results, session_lifetime)

CHECKS = _order(
    [
        *(each for module in _SESSION_MODULES for each in _list_checks(module)),
        http_checks.malformed,
        *http_checks.SESSION_HTTP_CHECKS,
        *_list_checks(aggregator_checks),
        *aggregator_checks.AGGREGATOR_HTTP_CHECKS,
    ]
)
"""Checks of both services."""


def list_rows() -> list[tuple[str, str, str, str]]:
    """Return heading and rows of the table of checks in the documentation."""
    rows = [
        (
            f"`{each.id}`",
            each.level.value,
            each.asserts.replace("<", "\\<"),
            f"[{each.section}](upstream.md#{each.section})",
        )
        for each in CHECKS
    ]
    return [("check", "level", "what the service does", "contract"), *rows]
