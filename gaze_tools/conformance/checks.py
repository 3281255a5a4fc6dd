"""A check: what it asserts about a service, and the function that finds out."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from gaze_tools.conformance.exchanges import WireExchange
from gaze_tools.conformance.kit import Kit


class Level(StrEnum):
    """What it means for the function if a check fails."""

    REQUIRED = "required"
    """Frames or results are lost, or requests fail."""
    RECOMMENDED = "recommended"
    """The function works, but something is slower, or noticed later or not at all."""


class NotConformingError(Exception):
    """The service does not do what the check asserts.

    Attributes:
        exchange: The request that shows it; None for the last one of the check.
    """

    def __init__(self, message: str, exchange: WireExchange | None = None) -> None:
        super().__init__(message)
        self.exchange = exchange


class NotApplicableError(Exception):
    """The check cannot be made here; the message says why."""


@dataclass(frozen=True, slots=True)
class ConformanceCheck:
    """A check of one service.

    Attributes:
        id: Identifier: the service, a dot, and words with hyphens.
        level: What a failure means.
        asserts: What the service does, as one sentence.
        why: Why the function needs it.
        section: Anchor of the section in docs/upstream.md.
        advice: What to do about a failure.
        needs: Checks without which this one would only fail for the same reason.
        run: Makes the check and returns what was seen, in a few words.
    """

    id: str
    level: Level
    asserts: str
    why: str
    section: str
    advice: str
    needs: tuple[str, ...]
    run: Callable[[Kit], str]

    @property
    def service(self) -> str:
        """`session` or `aggregator`."""
        return self.id.partition(".")[0]


def check(
    id: str,  # noqa: A002  the name of the attribute
    *,
    why: str,
    section: str,
    advice: str,
    level: Level = Level.REQUIRED,
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[[Kit], str]], ConformanceCheck]:
    """Return a decorator that makes a check of a function, whose docstring is what it asserts.

    See `ConformanceCheck` for the arguments. The function returns what it saw, and raises `NotConformingError`,
    `NotApplicableError` or any error of an adapter.
    """

    def decorate(run: Callable[[Kit], str]) -> ConformanceCheck:
        return ConformanceCheck(id, level, inspect.getdoc(run) or "", why, section, advice, needs, run)

    return decorate
