"""Two viewings with the same session id, and their frames and results."""

import pytest

from func.errors import OtherViewingError
from func.session.frame_record import FrameRecord
from func.session.viewing import is_of_viewing, keep_viewing, require_viewing
from gaze_core.ports import Session
from gaze_core.types import Validity
from tests.fakes.completion import HIT, MISS, CompletionWorld, record


@pytest.fixture
def world():
    return CompletionWorld()


def test_frames_of_another_viewing_are_not_scored(world):
    world.store(record(HIT, viewing_start_ms=1000), record(MISS, viewing_start_ms=2000))

    result = world.complete(3, total_frames=1, viewing_start_ms=1000)

    assert (result["frames"]["received"], result["final_score"], result["viewing_start_ms"]) == (1, 100.0, 1000)


def test_a_late_frame_of_another_viewing_is_not_waited_for(world):
    world.store(record(HIT, viewing_start_ms=1000))
    world.on_sleep[2.0] = lambda: world.store(record(MISS, viewing_start_ms=2000), start=2)

    result = world.complete(3, viewing_start_ms=1000)

    assert (result["frames"]["received"], result["lost"]["missing"], world.now_s) == (1, 1, 10.0)


def test_a_frame_of_another_viewing_that_arrives_during_scoring_is_not_scored(world):
    world.store(record(HIT, viewing_start_ms=1000))
    extract = world.maps.extract_saliencyMap

    def extract_late(*args, **kwargs):
        world.maps.extract_saliencyMap = extract
        world.store(record(MISS, viewing_start_ms=2000), start=2)
        return extract(*args, **kwargs)

    world.maps.extract_saliencyMap = extract_late

    assert world.complete(3, viewing_start_ms=1000)["frames"]["received"] == 1


def test_without_tokens_all_frames_are_scored(world):
    world.store(record(HIT, viewing_start_ms=1000), record(MISS))

    result = world.complete(3)

    assert result["frames"]["received"] == 2
    assert "viewing_start_ms" not in result


def test_the_result_of_another_viewing_is_not_returned(world):
    world.store(record(HIT, viewing_start_ms=1000))
    world.complete(2, viewing_start_ms=1000)

    with pytest.raises(OtherViewingError):
        world.complete(2, viewing_start_ms=2000)


@pytest.mark.parametrize(
    ("stored", "viewing_start_ms", "expected"),
    [
        ({"viewing_start_ms": 1000}, 1000, True),
        ({"viewing_start_ms": 1000}, 2000, False),
        ({"viewing_start_ms": "1000"}, 1000, False),
        ({"viewing_start_ms": [1000]}, 1000, False),
        ({"viewing_start_ms": {"ms": 1000}}, 1000, False),
        ({"viewing_start_ms": 1000}, None, True),
        ({}, 1000, True),
        ([320, 240], 1000, True),
        (None, 1000, True),
        (FrameRecord(Validity.OK, viewing_start_ms=1000), 1000, True),
        (FrameRecord(Validity.OK, viewing_start_ms=1000), 2000, False),
        (FrameRecord(Validity.OK), 2000, True),
    ],
)
def test_a_record_belongs_to_its_own_viewing_or_without_one_to_any(stored, viewing_start_ms, expected):
    assert is_of_viewing(stored, viewing_start_ms) is expected
    if expected:
        require_viewing(stored, viewing_start_ms)
    else:
        with pytest.raises(OtherViewingError):
            require_viewing(stored, viewing_start_ms)


def test_the_rest_of_a_session_is_kept():
    frames = {1: {"viewing_start_ms": 1000}, 2: {"viewing_start_ms": 2000}, 3: {}}
    session = Session("s", "203.0.113.7", "v", "2026", frames, {"screen": {}}, "2025", 300.0)

    assert keep_viewing(session, None) == session
    assert keep_viewing(session, 1000) == Session(
        "s", "203.0.113.7", "v", "2026", {1: {"viewing_start_ms": 1000}, 3: {}}, {"screen": {}}, "2025", 300.0
    )
