"""How a session lists its parts, and sessions of earlier versions, which list them one by one."""

import pytest

from gaze_tools.stack.session_parts import entry_of, expand_entries
from tests.fakes.session_api_client import SCORED, Api


@pytest.fixture
def api(database):
    api = Api(database)
    api.make()
    return api


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("0:c", "0..9:c"),
        ("9:c", "0..9:c"),
        ("10:c", "10..19:c"),
        ("-1:c", "-10..-1:c"),
        ("3:a..b:c", "0..9:a..b:c"),
        ("settings:c", "settings:c"),
    ],
)
def test_ten_parts_are_listed_together(name, entry):
    assert entry_of(name) == entry
    assert name in expand_entries([entry])


def test_parts_that_are_listed_twice_are_named_once():
    assert expand_entries(["8:c", "8..9:c", "settings:c"]) == ["8:c", "9:c", "settings:c"]


def list_parts(database):
    return database["sessions"].find_one({"_id": "s"})["parts"]


def test_a_session_lists_a_thousand_frames_once(api, database):
    for number in (0, 250, 999):
        api.put({str(number): number}, component="gaze_tracking")
    assert list_parts(database) == ["0..9:gaze_tracking"]

    api.put({"1000": 0}, component="gaze_tracking")
    assert list_parts(database) == ["0..9:gaze_tracking", "10..19:gaze_tracking"]


@pytest.fixture
def older(api, database):
    """A session that an earlier version has written."""
    api.put({"1": "a", "150": "b"})
    component = list_parts(database)[0].partition(":")[2]
    database["sessions"].update_one({"_id": "s"}, {"$set": {"parts": [f"0:{component}", f"1:{component}"]}})
    return api


def test_an_older_session_is_read(older):
    assert older.frames() == {"1": "a", "150": "b"}


def test_an_older_session_gets_new_frames(older):
    older.put({"151": "c", "450": "d"})

    assert older.frames() == {"1": "a", "150": "b", "151": "c", "450": "d"}


def test_a_frame_of_an_older_session_with_a_result_is_repeated(older):
    older.put({"result": 1})

    assert older.put({"150": "late"})[1]["stored"] == {"150": "b"}
    assert older.put({"152": "late"}) == (409, SCORED)
    assert older.put({"450": "late"}) == (409, SCORED)


def test_a_missing_part_of_a_listed_group_is_closed_by_the_result(api):
    api.put({"1": "a", "result": 1})

    assert api.put({"950": "late"}) == (409, SCORED)


@pytest.mark.parametrize(("last", "next_from"), [(49, 50), (99, 400), (449, 450), (499, 5000), (5099, None)])
def test_a_page_says_where_the_next_frame_can_be(api, last, next_from):
    api.put({"1": 0, "60": 0, "450": 0, "5000": 0, "screen": 0})

    assert api.get(query=f"?to={last}")[1]["next_from"] == next_from


def test_after_the_result_no_page_follows_the_last_frame(api):
    api.put({"1": 0, "result": 0})

    assert api.get(query="?to=99")[1]["next_from"] is None
