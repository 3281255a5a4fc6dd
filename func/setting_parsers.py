"""Parsers of environment variables. Each raises ValueError with the requirement on the value."""

import math
import re
import ssl
from collections.abc import Callable
from pathlib import Path


def whole(minimum: int, maximum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not minimum <= int(text) <= maximum:
            raise ValueError(f"must be a whole number from {minimum} to {maximum}")
        return int(text)

    return parse


def number(minimum: float, maximum: float, *, unit: str) -> Callable[[str], float]:
    """Return a parser of numbers."""

    def parse(text: str) -> float:
        is_number = re.fullmatch(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", text)
        value = float(text) if is_number else math.nan
        if not minimum <= value <= maximum:
            raise ValueError(f"must be a number of {unit} from {minimum:g} to {maximum:g}")
        return value

    return parse


def seconds(minimum_s: float, maximum_s: float) -> Callable[[str], float]:
    """Return a parser of durations in seconds."""
    return number(minimum_s, maximum_s, unit="seconds")


def parse_workers(text: str) -> int:
    """Return 1, the only number of processes that is supported."""
    if text != "1":
        raise ValueError("must be 1, because metrics are counted per process: scale with pods")
    return 1


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that accepts only these words."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be one of: {', '.join(choices)}")
        return text

    return parse


def parse_database(text: str) -> str:
    """Return the name of a MongoDB database."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,63}", text):
        raise ValueError("must be 1 to 63 letters, digits, _ or -")
    return text


def parse_ca_bundle(text: str) -> Path:
    """Return the path of a PEM file with certificates."""
    try:
        if not Path(text).is_file():
            raise ValueError("must be the path of a file")
        ssl.create_default_context(cafile=text)
    except ssl.SSLError as error:
        raise ValueError("must be a PEM file with certificates") from error
    except OSError as error:
        raise ValueError("must be a readable file") from error
    return Path(text)
