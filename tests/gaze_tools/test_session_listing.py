"""What the session API offers to an operator: list, keep and remove sessions."""

import pytest

from tests.fakes.session_api_client import Api


@pytest.fixture
def api(database):
    return Api(database, operator_calls=True)


def listed(api):
    return api.call("GET", "/sessions")[1]["sessions"]


def test_a_session_is_listed_with_its_age_and_its_frames(api):
    api.make()
    api.put({str(number): {} for number in (1, 2, 350)})
    api.wait(100)

    (entry,) = listed(api)

    assert entry == {
        "session_id": "s",
        "video_id": "contents1",
        "created_at": "2126-01-01T10:00:00+00:00",
        "last_accessed": "2126-01-01T10:00:00+00:00",
        "age_s": 100.0,
        "left_s": 200.0,
        "frames": 3,
        "scored": False,
        "delivered": False,
    }


def test_a_list_does_not_prolong_a_session(api):
    api.make()
    api.wait(200)
    listed(api)
    api.wait(101)

    assert listed(api) == []
    assert api.get()[0] == 404


def test_a_result_and_its_delivery_are_listed(api):
    api.make()
    api.put({"1": {}, "result": {"final_score": 1}})
    assert [(each["scored"], each["delivered"]) for each in listed(api)] == [(True, False)]

    api.put({"result_delivered": True})
    assert [(each["scored"], each["delivered"]) for each in listed(api)] == [(True, True)]


def test_frames_of_other_services_do_not_count(api):
    api.make()
    api.put({"1": {}}, component="blink_detection")

    assert [each["frames"] for each in listed(api)] == [0]


def test_the_most_recently_used_session_comes_first(api):
    for session_id in ("a", "b"):
        api.make(session_id)
        api.wait(10)
    api.put({"1": {}}, session_id="a")

    assert [each["session_id"] for each in listed(api)] == ["a", "b"]


def test_a_removed_session_is_gone_with_its_frames(api, database):
    api.make()
    api.put({"1": {}, "250": {}, "screen": {}})

    assert api.call("DELETE", "/sessions/s") == (200, {"message": "Session Removed Successfully"})

    assert api.get()[0] == 404
    assert database["parts"].count_documents({}) == 0
    assert api.call("DELETE", "/sessions/s") == (404, {"error": "Session Not Found"})


@pytest.mark.parametrize(("method", "path"), [("GET", "/sessions"), ("DELETE", "/sessions/s")])
def test_both_calls_are_off_by_default(database, method, path):
    api = Api(database)
    api.make()

    assert api.call(method, path)[0] == 404
    assert api.get()[0] == 200


def test_a_session_to_keep_lives_that_long_even_if_it_is_scored(api):
    api.make(keep_s=3600)
    api.put({"1": {}, "result": {}})
    api.wait(3599)
    assert api.get()[0] == 200

    api.wait(2)
    assert api.get()[0] == 404


def test_use_near_the_end_still_prolongs_a_session_to_keep(api):
    api.make(keep_s=3600)
    api.wait(3500)
    api.get()
    api.wait(200)

    assert api.get()[0] == 200


def test_thirty_days_are_the_longest_lifetime(api):
    assert api.make(keep_s=30 * 24 * 3600)[0] == 201
    assert api.make("other", keep_s=30 * 24 * 3600 + 1)[0] == 400


@pytest.mark.parametrize("keep_s", [-1, True, "60", 1e9])
def test_a_lifetime_that_makes_no_sense_is_refused(api, keep_s):
    assert api.make(keep_s=keep_s)[0] == 400
