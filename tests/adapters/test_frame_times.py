"""Presentation times in the facts about a video."""

import zlib

import numpy as np
import pytest

from func.adapters.frame_times import MAX_FRAMES, decode_times, digest_times, encode_times
from func.adapters.saliency_store import read_facts
from gaze_core.errors import SaliencyStoreError


def test_any_language_can_read_them():
    fact = encode_times(np.array([0.5, 0.7, 0.9000004]))

    assert {name: fact[name] for name in ("count", "encoding", "dtype")} == {
        "count": 3,
        "encoding": "zlib",
        "dtype": "int64",
    }
    # The first time, then steps, in microseconds: 64-bit integers, lowest byte first.
    assert [int.from_bytes(zlib.decompress(fact["steps_us"])[start : start + 8], "little") for start in (0, 8, 16)] == [
        500_000,
        200_000,
        200_000,
    ]


def test_times_come_back_to_the_microsecond():
    starts_s = np.sort(np.random.default_rng(0).uniform(0, 36_000, 5000))

    assert np.abs(decode_times(encode_times(starts_s)) - starts_s).max() <= 0.51e-6


@pytest.mark.slow
def test_three_hours_at_60_frames_a_second_fit_into_the_facts():
    rng = np.random.default_rng(0)
    regular_s = np.arange(648_000) / 60
    irregular_s = np.cumsum(rng.integers(1, 33_333, 648_000)) / 1e6

    assert len(encode_times(regular_s)["steps_us"]) < 20_000
    assert len(encode_times(irregular_s)["steps_us"]) < 3_000_000


@pytest.mark.parametrize("starts_s", [[], [0.0, 2.0, 1.0], [-0.1, 0.0]])
def test_times_that_are_missing_fall_or_are_negative_are_refused(starts_s):
    with pytest.raises(ValueError, match="times"):
        encode_times(np.array(starts_s))


def fact(**changes):
    return {**encode_times(np.array([0.0, 1.0, 2.0])), **changes}


@pytest.mark.parametrize(
    "malformed",
    [
        "text",
        fact(count=4),
        fact(count=2),
        fact(count=0),
        fact(count=True),
        fact(count=MAX_FRAMES + 1),
        fact(encoding="gzip"),
        fact(dtype="float64"),
        fact(steps_us=b"no zlib"),
        fact(steps_us=fact()["steps_us"][:-3]),
        fact(steps_us=zlib.compress(bytes(1_000_000))),
        fact(steps_us=zlib.compress(np.array([0, 2, -1], dtype="<i8").tobytes())),
        fact(steps_us=zlib.compress(np.array([-1, 2, 1], dtype="<i8").tobytes())),
    ],
)
def test_malformed_times_are_an_error_and_never_a_constant_rate(database, malformed):
    with pytest.raises(ValueError, match="times"):
        decode_times(malformed)
    database["videos"].insert_one({"_id": "v", "fps": 25.0, "frame_times": malformed})

    with pytest.raises(SaliencyStoreError, match="'v' are malformed"):
        read_facts(database, "v")


def test_the_digest_covers_times_and_duration():
    digests = {
        digest_times(fact(), 3.0),
        digest_times(fact(), 3.1),
        digest_times(encode_times(np.array([0.0, 1.0, 2.000001])), 3.0),
    }

    assert len(digests) == 3
    assert digest_times(fact(), 3.0) == (
        "d7b5ed073f0d522fdc3150309368044163bb899a1b3fd9269d006e6e2772b48f"  # SHA-256 of 0, 1000000, 1000000, 3000000
    )


@pytest.mark.parametrize(
    ("stored", "frame_count"),
    [
        ({"frame_count": 3, "first_frame": 1, "map_count": 5, "every": 1}, 5),
        ({"frame_count": 9, "first_frame": 1, "map_count": 5, "every": 1}, 9),
        ({"frame_count": 3, "first_frame": 2, "map_count": 2, "every": 5}, 7),
        ({"frame_count": 3}, 3),
        ({}, None),
    ],
)
def test_the_last_frame_is_never_before_the_last_map(database, stored, frame_count):
    database["videos"].insert_one({"_id": "v", "fps": 25.0, **stored})

    assert read_facts(database, "v").times.frame_count == frame_count
