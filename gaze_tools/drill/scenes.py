"""Scenes of the drill: what is broken, what is sent meanwhile, and what to do about it."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from gaze_tools.drill.stack import DrillStack

FRAMES = 12
"""Frames of a viewing; half of them are sent while something is broken."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault.

    Attributes:
        name: What is broken.
        breaks: Breaks it in a stack until the block ends, then restores it.
        ends_session: Whether the last frame is sent during the fault, too.
        at_once: Concurrent requests during the fault.
        repeats: How often each frame is sent during the fault.
        advice: What an operator does.
    """

    name: str
    breaks: Callable[[DrillStack], AbstractContextManager[None]]
    advice: str
    ends_session: bool = False
    at_once: int = 1
    repeats: int = 1


@contextlib.contextmanager
def _stop_session_api(stack: DrillStack) -> Iterator[None]:
    stack.session_api.stop()
    try:
        yield
    finally:
        stack.session_api.start()


@contextlib.contextmanager
def _pause_session_api(stack: DrillStack) -> Iterator[None]:
    stack.session_api.pause()
    try:
        yield
    finally:
        stack.session_api.go_on()


@contextlib.contextmanager
def _stop_maps(stack: DrillStack) -> Iterator[None]:
    stack.maps.stop()
    try:
        yield
    finally:
        stack.maps.start()


@contextlib.contextmanager
def _overload(_: DrillStack) -> Iterator[None]:
    yield


SCENES = (
    Fault(
        "Session API down",
        _stop_session_api,
        "Look at the session API. Nothing to do here: the circuit closes within a second of its return, and gateways "
        "repeat the frames.",
    ),
    Fault(
        "Session API hangs",
        _pause_session_api,
        "As above. If it is only slow, `gaze_upstream_seconds` shows how slow.",
    ),
    Fault(
        "MongoDB down",
        _stop_maps,
        "Look at MongoDB. Frames are stored meanwhile; repeated last frames get their score.",
        ends_session=True,
    ),
    Fault(
        "Aggregator refuses",
        DrillStack.refuse_results,
        "Correct the credentials or the policy in front of the aggregator. The result is stored, and the repeated last "
        "frame delivers it.",
        ends_session=True,
    ),
    Fault(
        "Overload",
        _overload,
        "Raise the minimum or maximum of pods. Refused frames are repeated after `Retry-After`.",
        at_once=24,
        repeats=8,
    ),
)
