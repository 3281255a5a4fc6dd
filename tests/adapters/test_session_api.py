"""Behaviour of every session store: the fake, and the real one with our session API."""

import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from func.adapters.session_api import HttpSessionStore
from gaze_core.errors import SessionNotFoundError, SessionScoredError
from gaze_tools.stack.session_api import create_app
from tests.adapters.upstream_services import is_reached, serve
from tests.fakes.session_api import FakeSessionStore

VIEWER = {"ip_address": "203.0.113.7", "video_id": "contents1"}
FIRST = {"gaze": [0.25, 0.75], "validity": "ok", "target": None}
SECOND = {"gaze": None, "validity": "no_face", "target": None}


def test_only_the_return_value_of_read_frame_is_kept(database):
    with serve(create_app(database)) as url:
        store = HttpSessionStore(url, timeout_s=60, retries=0, read_frame=lambda record: record["validity"])
        store.update_session("s", 1, FIRST, **VIEWER)

        assert store.get_session("s").frames == {1: "ok"}


@pytest.fixture(params=["fake", "real"])
def store(request):
    if request.param == "fake":
        yield FakeSessionStore()
    else:
        with serve(create_app(request.getfixturevalue("database"))) as url:
            yield HttpSessionStore(url, timeout_s=60, retries=0)


def test_a_new_session_knows_its_viewer_and_has_no_frames(store):
    store.create_session("s", **VIEWER)

    session = store.get_session("s")

    assert (session.session_id, session.ip_address, session.video_id) == ("s", "203.0.113.7", "contents1")
    assert session.created_at.startswith("20")
    assert (session.frames, session.settings) == ({}, {})


def test_creating_a_session_again_changes_nothing(store):
    store.create_session("s", **VIEWER)
    store.update_session("s", 1, FIRST, **VIEWER)
    before = store.get_session("s")

    store.create_session("s", ip_address="192.0.2.1", video_id="other")

    assert store.get_session("s") == before


def test_an_unknown_session_is_not_found(store):
    with pytest.raises(SessionNotFoundError, match="'nobody'"):
        store.get_session("nobody")


def test_a_frame_of_an_unknown_session_creates_it(store):
    store.update_session("s", 17, FIRST, **VIEWER)

    session = store.get_session("s")

    assert session.video_id == "contents1"
    assert session.frames == {17: FIRST}


def test_the_first_record_of_a_frame_stays(store):
    store.update_session("s", 17, FIRST, **VIEWER)

    update = store.update_session("s", 17, SECOND, **VIEWER)

    assert update.stored == {"17": FIRST}
    assert update.written == frozenset()
    assert store.get_session("s").frames == {17: FIRST}


def test_an_update_reports_whose_session_it_is(store):
    first = store.update_session("s", 17, FIRST, ip_address="203.0.113.7", video_id="contents1")
    second = store.update_session("s", 18, FIRST, ip_address="198.51.100.9", video_id="contents2")

    for update in (first, second):
        assert (update.video_id, update.ip_address) == ("contents1", "203.0.113.7")


def test_a_new_frame_is_reported_as_written(store):
    update = store.update_session("s", 17, FIRST, **VIEWER)

    assert (update.stored, update.written) == ({"17": FIRST}, {"17"})


def test_several_frames_are_stored_in_one_update(store):
    store.update_session("s", 99, FIRST, **VIEWER)

    update = store.update_frames("s", {99: SECOND, 101: SECOND, 100: FIRST, 98: FIRST}, **VIEWER)

    assert update.stored == {"99": FIRST, "101": SECOND, "100": FIRST, "98": FIRST}
    assert update.written == {"98", "100", "101"}
    assert store.get_session("s").frames == {98: FIRST, 99: FIRST, 100: FIRST, 101: SECOND}


def test_several_frames_of_an_unknown_session_create_it(store):
    update = store.update_frames("s", {1: FIRST, 2: SECOND}, **VIEWER)

    assert update.written == {"1", "2"}
    assert (store.get_session("s").video_id, store.get_session("s").frames) == ("contents1", {1: FIRST, 2: SECOND})


def test_new_frames_among_several_are_refused_after_the_result(store):
    store.update_frames("s", {1: FIRST, 2: FIRST}, **VIEWER)
    store.store_settings("s", {"result": {}})

    with pytest.raises(SessionScoredError, match="'s'"):
        store.update_frames("s", {2: FIRST, 3: FIRST}, **VIEWER)
    assert store.update_frames("s", {1: SECOND, 2: SECOND}, **VIEWER).stored == {"1": FIRST, "2": FIRST}
    assert sorted(store.get_session("s").frames) == [1, 2]


def test_one_of_many_simultaneous_writers_wins_each_of_several_frames(store):
    store.create_session("s", **VIEWER)
    records = {writer: {number: {"writer": writer} for number in range(writer, writer + 10)} for writer in range(12)}

    with ThreadPoolExecutor(8) as pool:
        updates = list(pool.map(lambda writer: store.update_frames("s", records[writer], **VIEWER), records))

    stored = store.get_session("s").frames
    written = [(int(key), writer) for writer, update in enumerate(updates) for key in update.written]
    assert sorted(written) == sorted((number, record["writer"]) for number, record in stored.items())
    assert all(update.stored[str(n)] == stored[n] for w, update in enumerate(updates) for n in records[w])


def test_later_settings_replace_earlier_ones(store):
    store.create_session("s", **VIEWER)
    store.store_settings("s", {"viewport": {"x": 0.1}, "screen": {"width_mm": 345}})
    store.store_settings("s", {"viewport": {"x": 0.2}})

    assert store.get_session("s").settings == {"viewport": {"x": 0.2}, "screen": {"width_mm": 345}}


def test_settings_are_not_reported_since_they_are_not_write_once(store):
    store.create_session("s", **VIEWER)

    update = store.store_settings("s", {"screen": 1})

    assert (update.stored, update.written) == ({}, frozenset())


def test_the_first_result_in_a_session_stays(store):
    store.create_session("s", **VIEWER)
    first = store.store_settings("s", {"result": {"final_score": 63.21}})
    second = store.store_settings("s", {"result": {"final_score": 0.0}})

    assert (first.stored, first.written) == ({"result": {"final_score": 63.21}}, {"result"})
    assert (second.stored, second.written) == ({"result": {"final_score": 63.21}}, frozenset())
    assert store.get_session("s").settings == {"result": {"final_score": 63.21}}


def test_a_new_frame_after_the_result_is_refused(store):
    store.update_session("s", 1, FIRST, **VIEWER)
    store.store_settings("s", {"result": {}})

    with pytest.raises(SessionScoredError, match="'s'"):
        store.update_session("s", 2, FIRST, **VIEWER)
    assert store.get_session("s").frames == {1: FIRST}


def test_a_stored_frame_may_be_repeated_after_the_result(store):
    store.update_session("s", 1, FIRST, **VIEWER)
    store.store_settings("s", {"result": {}})

    update = store.update_session("s", 1, SECOND, **VIEWER)

    assert (update.stored, update.written) == ({"1": FIRST}, frozenset())


def test_settings_can_be_stored_after_the_result(store):
    store.create_session("s", **VIEWER)
    store.store_settings("s", {"result": {}})

    update = store.store_settings("s", {"result_delivered": True})

    assert (update.stored, update.written) == ({}, frozenset())
    assert store.get_session("s").settings == {"result": {}, "result_delivered": True}


def test_settings_of_an_unknown_session_are_not_stored(store):
    with pytest.raises(SessionNotFoundError):
        store.store_settings("nobody", {"result": {}})
    with pytest.raises(SessionNotFoundError):
        store.get_session("nobody")


def test_sessions_do_not_mix(store):
    store.update_session("a", 1, FIRST, **VIEWER)
    store.update_session("a:1", 1, SECOND, **VIEWER)

    assert store.get_session("a").frames == {1: FIRST}
    assert store.get_session("a:1").frames == {1: SECOND}


@pytest.mark.parametrize(
    "value",
    [0.1, 1e300, 2**70, -5, "ü\u2028\U0001f600", [], {"a.b": {"$set": 1, "": None}}, [[True, None], {}], "x" * 50_000],
    ids=lambda value: type(value).__name__,
)
def test_values_come_back_as_they_were(store, value):
    store.update_session("s", 1, {"value": value}, **VIEWER)
    store.store_settings("s", {"value": value})

    session = store.get_session("s")

    assert session.frames == {1: {"value": value}}
    assert session.settings == {"value": value}


@pytest.mark.parametrize("key", ["a.b", "$set", "%2E", "with blank", "007", "1.5", "values", "ü"])
def test_any_other_key_is_a_setting(store, key):
    store.create_session("s", **VIEWER)
    store.store_settings("s", {key: 1})

    assert store.get_session("s").settings == {key: 1}


def test_nan_is_refused(store):
    with pytest.raises(ValueError, match="Out of range float values"):
        store.update_session("s", 1, {"distance_mm": math.nan}, **VIEWER)


def test_one_of_many_simultaneous_writers_of_a_frame_wins(store):
    store.create_session("s", **VIEWER)

    with ThreadPoolExecutor(8) as pool:
        updates = list(pool.map(lambda writer: store.update_session("s", 5, {"writer": writer}, **VIEWER), range(24)))

    winners = [writer for writer, update in enumerate(updates) if update.written]
    assert len(winners) == 1
    assert all(update.stored == {"5": {"writer": winners[0]}} for update in updates)
    assert store.get_session("s").frames == {5: {"writer": winners[0]}}


def test_one_of_many_simultaneous_results_wins(store):
    store.create_session("s", **VIEWER)

    with ThreadPoolExecutor(8) as pool:
        updates = list(pool.map(lambda writer: store.store_settings("s", {"result": writer}), range(16)))

    winners = [writer for writer, update in enumerate(updates) if update.written]
    assert len(winners) == 1
    assert all(update.stored == {"result": winners[0]} for update in updates)


def test_frames_written_at_once_are_all_there(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.update_session("s", number, {"n": number}, **VIEWER), range(1, 251)))

    assert store.get_session("s").frames == {number: {"n": number} for number in range(1, 251)}


def test_a_range_holds_the_frames_between_its_ends_and_all_settings(store):
    for number in (1, 99, 100, 250, 251, 7000):
        store.update_session("s", number, {"n": number}, **VIEWER)
    store.store_settings("s", {"viewport": {"x": 0.2}})

    session = store.get_session("s", first=99, last=250)

    assert sorted(session.frames) == [99, 100, 250]
    assert session.settings == {"viewport": {"x": 0.2}}
    assert sorted(store.get_session("s", first=251).frames) == [251, 7000]
    assert store.get_session("s", first=0, last=0).frames == {}


def test_a_session_is_whole_however_many_pages_it_takes(store, monkeypatch):
    monkeypatch.setattr("func.adapters.session_api.PAGE_FRAMES", 10)
    numbers = [*range(1, 26), 1000, 1001, 2**31 - 1]
    for number in numbers:
        store.update_session("s", number, {"n": number}, **VIEWER)

    assert store.get_session("s").frames == {number: {"n": number} for number in numbers}


def test_a_running_store_is_reachable(store):
    assert is_reached(store)


class TestExpiry:
    """Stores that remember expired sessions."""

    @pytest.fixture(params=["fake", "real"])
    def expiring(self, request):
        if request.param == "fake":
            fake = FakeSessionStore()
            yield fake, lambda: fake.expire("s")
            return
        clock = {"now": datetime(2126, 1, 1, tzinfo=UTC)}
        with serve(create_app(request.getfixturevalue("database"), clock=lambda: clock["now"])) as url:
            store = HttpSessionStore(url, timeout_s=60, retries=0)
            yield store, lambda: clock.update(now=clock["now"] + timedelta(seconds=301))

    def test_the_error_for_an_expired_session_contains_the_expiry_time(self, expiring):
        store, expire = expiring
        store.create_session("s", **VIEWER)
        expire()

        with pytest.raises(SessionNotFoundError) as caught:
            store.get_session("s")
        assert caught.value.expired_at is not None

    def test_the_error_for_an_unknown_session_has_no_expiry_time(self, expiring):
        with pytest.raises(SessionNotFoundError) as caught:
            expiring[0].get_session("s")
        assert caught.value.expired_at is None

    def test_a_frame_that_creates_an_expired_session_again_gets_the_expiry_time(self, expiring):
        store, expire = expiring
        assert store.update_session("s", 1, FIRST, **VIEWER).earlier_expired_at is None
        expire()

        update = store.update_session("s", 2, FIRST, **VIEWER)

        assert update.earlier_expired_at is not None
        assert store.get_session("s").earlier_expired_at == update.earlier_expired_at
        assert store.get_session("s").frames == {2: FIRST}

    def test_a_result_does_not_reach_a_later_session_under_the_same_id(self, expiring):
        store, expire = expiring
        store.create_session("s", **VIEWER)
        created_at = store.get_session("s").created_at
        expire()
        store.update_session("s", 1, FIRST, **VIEWER)

        with pytest.raises(SessionNotFoundError):
            store.store_settings("s", {"result": {}}, created_at=created_at)
        assert store.get_session("s").settings == {}
        assert store.store_settings("s", {"result": {}}, created_at=store.get_session("s").created_at).written

    def test_the_error_for_a_refused_frame_contains_the_time_until_the_id_is_free(self, expiring):
        store, _ = expiring
        store.create_session("s", **VIEWER)
        store.store_settings("s", {"result": {}})

        with pytest.raises(SessionScoredError) as caught:
            store.update_session("s", 1, FIRST, **VIEWER)
        assert caught.value.free_in_s == 300.0

    def test_the_lifetime_is_known_once_a_session_has_been_read(self, expiring):
        store, _ = expiring
        store.create_session("s", **VIEWER)

        assert store.get_session("s").ttl_s == 300.0
        assert store.ttl_s == 300.0
