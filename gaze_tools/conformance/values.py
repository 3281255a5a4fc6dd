"""Records like those of the function, and their exact comparison with what a service returns."""

from collections.abc import Mapping
from typing import Any

from gaze_tools.conformance.checks import NotConformingError


def make_record(number: int, *, shift: float = 0.0) -> dict[str, Any]:
    """Return a record with few and simple values, for checks of something else than values.

    Args:
        number: Frame number.
        shift: Point of gaze, for another record of the same frame.
    """
    return {"gaze": [0.25, 0.5 + shift], "validity": "ok", "timestamp_ms": 50 * number}


def make_full_record(number: int) -> dict[str, Any]:
    """Return a record as the function stores it for a frame, with numbers that differ from frame to frame."""
    x = (number * 7919 % 1_000_000) / 1_000_000
    angles = [round(-14.2 + 30 * x, 6), round(7.9 - 20 * x, 6)]
    return {
        "gaze": [round(x, 6), round(1 - x * 0.731529, 6)],
        "validity": "ok",
        "features": [round(0.1 * x - 0.05, 6), -0.007813, -0.999321, 3.141593, -8.000001, 0.4, round(571 + x, 6)],
        "origin_mm": [round(12.007 + x, 3), -31.25, 571.004],
        "distance_mm": round(571.0 + 0.001 * (number % 1000), 3),
        "eye_openness": [0.31234, 0.29871],
        "timestamp_ms": 1_764_181_234_567.25 + 50 * number,
        "video_time_ms": 50.0 * number,
        "target": None,
        "eyes": {"landmarks": angles, "left": [*angles, 1.25, 2.5], "right": [*angles, 1.375, 2.25], "both": angles},
        "head_pose_deg": {"pitch": 3.142, "yaw": -8.0, "roll": 0.4},
        "image_digest": f"{number * 2654435761 % 2**64:016x}",
        "video_id": "contents1",
    }


def make_result(size_bytes: int) -> dict[str, Any]:
    """Return a result of about this size, most of it the trace."""
    # A number takes 5.25 bytes on average.
    frames = max(1, round(size_bytes / 2 / 5.25))
    return {
        "final_score": 62.5,
        "score_valid": True,
        "coverage": 0.75,
        "trace": {"gaze_x": [number % 8 / 8 for number in range(frames)], "hits": [True, False] * 8},
        "padding": "01234567" * (size_bytes // 16),
    }


def find_difference(sent: object, received: object, where: str = "") -> str | None:
    """Return the first difference between JSON values as text; None if they are the same.

    Numbers are compared by value, because JSON does not tell 1 from 1.0; as 64-bit floats where one of them is a float:
    PostgreSQL writes 1e300 as an integer of 301 digits. Truth values are not numbers.
    """
    if isinstance(sent, Mapping) and isinstance(received, Mapping):
        for key in sent:
            if key not in received:
                return f"{where}{key!r} is missing"
            found = find_difference(sent[key], received[key], f"{where}{key!r} ")
            if found:
                return found
        more = [key for key in received if key not in sent]
        return f"{where}{more[0]!r} was not sent" if more else None
    if isinstance(sent, list | tuple) and isinstance(received, list | tuple):
        if len(sent) != len(received):
            return f"{where}has {len(received)} elements instead of {len(sent)}"
        found_in = (
            find_difference(a, b, f"{where}[{at}] ") for at, (a, b) in enumerate(zip(sent, received, strict=True))
        )
        return next((found for found in found_in if found), None)
    return None if _is_same(sent, received) else f"{where}is {_show(received)} instead of {_show(sent)}"


def _is_same(sent: object, received: object) -> bool:
    if isinstance(sent, bool) or isinstance(received, bool):
        return sent is received
    if isinstance(sent, int | float) and isinstance(received, int | float) and float in {type(sent), type(received)}:
        try:
            return float(sent) == float(received)
        except OverflowError:
            return False
    return sent == received


def demand_same(sent: object, received: object, what: str) -> None:
    """Check that a service returns what it was sent.

    Args:
        sent: What was sent.
        received: What came back.
        what: What it is, for the message.

    Raises:
        NotConformingError: It is something else.
    """
    difference = find_difference(sent, received)
    if difference is not None:
        raise NotConformingError(f"{what}: {difference}")


def demand(condition: object, message: str) -> None:
    """Check a condition.

    Raises:
        NotConformingError: It is not met.
    """
    if not condition:
        raise NotConformingError(message)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
