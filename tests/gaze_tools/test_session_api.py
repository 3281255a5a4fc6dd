"""The old contract of the session API, and what ours promises beside it."""

import json

import pytest
from pymongo.errors import AutoReconnect

from gaze_tools.stack import sessions
from tests.fakes.session_api_client import NOT_FOUND, SCORED, Api


@pytest.fixture
def api(database):
    return Api(database)


class TestOldContract:
    def test_a_new_session_is_201_with_its_id(self, api):
        assert api.make() == (201, {"session_id": "s"})

    def test_an_existing_session_is_200_with_a_message(self, api):
        api.make()

        assert api.make() == (200, {"message": "Session Already Exist"})

    def test_older_clients_create_a_session_with_its_components_alone(self, api):
        body = {"session_id": "s", "components": {"gaze_tracking": {}}}

        assert api.call("POST", "/mk-session", body) == (201, {"session_id": "s"})
        assert api.frames() == {}

    def test_what_older_clients_create_a_session_with_is_stored(self, api):
        api.call("POST", "/mk-session", {"session_id": "s", "components": {"gaze_tracking": {"1": [400, 300]}}})

        assert api.frames() == {"1": [400, 300]}

    def test_a_session_is_read_with_every_component(self, api):
        api.make()
        api.put({"17": {"gaze": None}})

        assert api.get() == (
            200,
            {
                "session_id": "s",
                "ip_address": "203.0.113.7",
                "video_id": "contents1",
                "created_at": "2126-01-01T10:00:00+00:00",
                "last_accessed": "2126-01-01T10:00:00+00:00",
                "components": {"gaze_tracking": {"17": {"gaze": None}}, "blink_detection": {}, "emotion_analysis": {}},
            },
        )

    def test_an_update_is_200_with_a_message(self, api):
        api.make()

        status, body = api.put({"17": {}})

        assert (status, body["message"]) == (200, "Session Updated Successfully")

    def test_an_unknown_session_is_404_with_an_error(self, api):
        assert api.get("nobody") == (404, NOT_FOUND)
        assert api.put({"17": {}}, "nobody") == (404, NOT_FOUND)

    def test_the_flat_form_of_an_update_is_accepted(self, api):
        api.make()

        status, _ = api.call("PUT", "/update_session/s", {"component": "blink_detection", "data": {"17": 1}})

        assert status == 200
        assert api.frames("blink_detection") == {"17": 1}

    def test_an_update_merges_by_key(self, api):
        api.make()
        api.put({"17": "a", "screen": {"width_mm": 345, "height_mm": 194}})
        api.put({"18": "b", "screen": {"width_mm": 310}})

        assert api.frames() == {"17": "a", "18": "b", "screen": {"width_mm": 310}}

    def test_components_do_not_touch_each_other(self, api):
        api.make()
        api.put({"17": "ours", "result": 1})
        api.put({"17": "theirs", "screen": 2}, component="blink_detection")
        api.put({"17": "others"}, component="a.$b")

        assert api.get()[1]["components"] == {
            "gaze_tracking": {"17": "ours", "result": 1},
            "blink_detection": {"17": "theirs", "screen": 2},
            "emotion_analysis": {},
            "a.$b": {"17": "others"},
        }

    def test_several_components_may_be_updated_at_once(self, api):
        api.make()
        data = {"components": {"gaze_tracking": {"1": "a"}, "emotion_analysis": {"1": "b"}}}

        api.call("PUT", "/update_session/s", {"component": "gaze_tracking", "data": data})

        assert (api.frames(), api.frames("emotion_analysis")) == ({"1": "a"}, {"1": "b"})

    def test_a_client_may_send_all_it_knows_each_time(self, api):
        api.make()
        for count in (40, 80, 120):
            _, answer = api.put({str(number): number for number in range(count)})

        assert sorted(answer["written"]) == list(range(80, 120))
        assert len(answer["stored"]) == 120
        assert api.frames() == {str(number): number for number in range(120)}


class TestWrittenOnce:
    def test_the_first_value_of_an_integer_key_stands_and_is_answered(self, api):
        api.make()

        assert api.put({"17": {"a": 1}})[1]["stored"] == {"17": {"a": 1}}
        assert api.put({"17": {"a": 2}})[1]["stored"] == {"17": {"a": 1}}
        assert api.frames() == {"17": {"a": 1}}

    def test_a_put_names_what_it_wrote_first(self, api):
        api.make()

        assert api.put({"17": 1, "result": 2, "screen": 3})[1]["written"] == [17, "result"]
        assert api.put({"17": 1, "result": 2, "screen": 3})[1]["written"] == []

    def test_a_put_returns_whose_session_it_is(self, api):
        api.make()

        answer = api.put({"17": 1})[1]

        assert (answer["video_id"], answer["ip_address"]) == ("contents1", "203.0.113.7")

    @pytest.mark.parametrize("key", ["0", "-1", "299", "300", "999999999999999"])
    def test_any_integer_is_written_once(self, api, key):
        api.make()
        api.put({key: "first"})

        assert api.put({key: "second"})[1]["stored"] == {key: "first"}
        assert api.frames() == {key: "first"}

    @pytest.mark.parametrize("key", ["007", "+7", "1.0", "-0", "٣", "1e3", "1" * 30])
    def test_what_only_looks_like_an_integer_is_replaced(self, api, key):
        api.make()
        api.put({key: "first"})

        assert api.put({key: "second"})[1]["stored"] == {}
        assert api.frames() == {key: "second"}

    def test_frames_come_in_order(self, api):
        api.make()
        for number in (1000, 5, 99, 100, 20):
            api.put({str(number): number})
        text = api._client.get("/get_session/s").text

        assert text.index('"5":5') < text.index('"20":20') < text.index('"99":99') < text.index('"1000":1000')


class TestAfterTheResult:
    @pytest.fixture(autouse=True)
    def score(self, api):
        api.make()
        api.put({"17": "a"})
        api.put({"result": {"final_score": 50.0}})

    def test_a_new_frame_is_refused(self, api):
        assert api.put({"18": "b"}) == (409, SCORED)
        assert api.put({"1800": "b"}) == (409, SCORED)
        assert api.frames() == {"17": "a", "result": {"final_score": 50.0}}

    def test_nothing_of_a_refused_update_is_stored(self, api):
        assert api.put({"18": "b", "screen": 1}) == (409, SCORED)
        assert "screen" not in api.frames()

    def test_a_stored_frame_is_answered_with_what_stands(self, api):
        status, body = api.put({"17": "other"})

        assert (status, body["stored"], body["written"]) == (200, {"17": "a"}, [])

    def test_other_components_go_on(self, api):
        assert api.put({"18": "b"}, component="blink_detection")[0] == 200

    def test_other_keys_are_still_replaced(self, api):
        api.put({"result_delivered": False})
        api.put({"result_delivered": True})

        assert api.frames()["result_delivered"] is True

    def test_frames_prolong_the_session_no_more(self, api):
        api.wait(200)
        api.put({"17": "a"})
        api.put({"18": "b"})
        api.get()
        api.wait(101)

        assert api.get()[0] == 404


class TestLifetime:
    def test_a_session_ends_after_its_lifetime(self, api):
        api.make()
        api.wait(299.9)
        assert api.put({"1": 1})[0] == 200
        api.wait(300)

        expired = {**NOT_FOUND, "expired_at": "2126-01-01T10:09:59.900000+00:00"}
        assert api.get() == (404, expired)
        assert api.put({"2": 2}) == (404, expired)

    @pytest.mark.parametrize("use", [lambda api: api.put({"1": 1}), lambda api: api.get()], ids=["update", "read"])
    def test_use_prolongs_it(self, api, use):
        api.make()
        for _ in range(4):
            api.wait(200)
            use(api)

        status, body = api.get()

        assert status == 200
        assert body["last_accessed"] == "2126-01-01T10:13:20+00:00"

    def test_the_lifetime_can_be_chosen(self, database):
        api = Api(database, ttl_s=10)
        api.make()
        api.wait(10)

        assert api.get()[0] == 404

    def test_a_session_of_the_same_id_starts_anew(self, api):
        api.make()
        api.put({"1": "old", "result": "old"})
        api.wait(301)

        assert api.make(video_id="contents2") == (201, {"session_id": "s"})
        assert api.get()[1]["video_id"] == "contents2"
        assert api.frames() == {}
        assert api.put({"1": "new"})[1]["stored"] == {"1": "new"}

    def test_the_end_of_a_session_is_remembered_after_it_is_removed(self, api):
        api.make()
        api.wait(301)
        api.make("other")

        assert api.get() == (404, {**NOT_FOUND, "expired_at": "2126-01-01T10:05:00+00:00"})

    def test_a_later_session_of_the_same_id_says_when_the_earlier_one_ended(self, api):
        api.make()
        assert api.get(query="?component=c")[1]["earlier_expired_at"] is None
        api.wait(301)
        api.make()

        assert api.get(query="?component=c")[1]["earlier_expired_at"] == "2126-01-01T10:05:00+00:00"

    def test_what_is_meant_for_an_earlier_session_does_not_reach_a_later_one(self, api):
        api.make()
        created_at = api.get()[1]["created_at"]
        body = {"component": "c", "data": {"result": 1}, "created_at": created_at}
        assert api.call("PUT", "/update_session/s", body)[0] == 200
        api.wait(301)
        api.make()

        assert api.call("PUT", "/update_session/s", body)[0] == 404
        assert api.get(query="?component=c")[1]["components"] == {"c": {}}

    def test_the_lifetime_is_said(self, database):
        api = Api(database, ttl_s=60)
        api.make()

        answers = [api.put({"1": 1}), api.get(query="?component=c"), api.call("GET", "/health")]

        assert [body["ttl_s"] for _, body in answers] == [60, 60, 60]

    def test_expired_sessions_are_removed_when_another_begins(self, api, database):
        for name in ("a", "b"):
            api.make(name)
            api.put({"1": 1, "500": 1, "screen": 1}, name)
        assert database["parts"].count_documents({}) == 6
        api.wait(301)
        api.make("c")

        assert [session["_id"] for session in database["sessions"].find()] == ["c"]
        assert database["parts"].count_documents({}) == 0

    @pytest.mark.parametrize("collection", ["sessions", "parts"])
    def test_mongodb_removes_what_nobody_else_does(self, api, database, collection):
        api.make()
        api.put({"1": 1})

        indexes = database[collection].index_information()
        assert indexes["remove_at_1"]["expireAfterSeconds"] == 0
        assert database[collection].find_one()["remove_at"].isoformat() == "2126-01-01T16:00:00"


class TestRanges:
    @pytest.fixture(autouse=True)
    def fill(self, api):
        api.make()
        api.put({str(number): number for number in (1, 2, 99, 100, 101, 249, 250)} | {"screen": "s"})
        api.put({"5": "blink"}, component="blink_detection")

    @pytest.mark.parametrize(
        ("query", "numbers"),
        [
            ("?from=99&to=101", [99, 100, 101]),
            ("?from=249", [249, 250]),
            ("?to=2", [1, 2]),
            ("?from=251", []),
            ("?from=3&to=2", []),
            ("?from=-5&to=1", [1]),
        ],
    )
    def test_a_range_of_frames_can_be_read(self, api, query, numbers):
        records = api.get(query=query)[1]["components"]["gaze_tracking"]

        assert records == {"screen": "s"} | {str(number): number for number in numbers}

    def test_one_component_can_be_read(self, api):
        assert api.get(query="?component=blink_detection")[1]["components"] == {"blink_detection": {"5": "blink"}}

    def test_an_unknown_component_is_empty(self, api):
        assert api.get(query="?component=other")[1]["components"] == {"other": {}}

    @pytest.mark.parametrize("query", ["?from=a", "?to=1.5", "?from=", "?to=" + "9" * 40])
    def test_a_range_needs_integers(self, api, query):
        assert api.get(query=query)[0] == 400


class TestBadInput:
    @pytest.mark.parametrize(
        "content",
        [b"", b"{", b"[]", b'"text"', b"\xff", b"[" * 100_000, b"{}", b'{"data": []}', b'{"data": {"1": 1}}']
        + [
            json.dumps(body).encode()
            for body in (
                {"component": 5, "data": {"1": 1}},
                {"component": "", "data": {"1": 1}},
                {"component": "a\0b", "data": {"1": 1}},
                {"component": "c", "data": {"components": []}},
                {"component": "c", "data": {"components": {"c": [1]}}},
                {"component": "c", "data": {"": 1}},
                {"component": "c", "data": {"\ud800": 1}},
                {"component": "c", "data": {"1": float("nan")}},
                {"component": "c", "data": {"1": {"x": [float("inf")]}}},
            )
        ],
    )
    def test_an_update_that_makes_no_sense_is_400(self, api, content):
        api.make()

        response = api._client.put("/update_session/s", data=content)

        assert response.status_code == 400
        assert list(response.get_json()) == ["error"]

    @pytest.mark.parametrize(
        "body",
        [{}, {"session_id": ""}, {"session_id": 5}, {"session_id": "s", "ip_address": []}, {"session_id": "\ud800"}],
    )
    def test_a_session_without_a_proper_id_is_400(self, api, body):
        status, answer = api.call("POST", "/mk-session", body)

        assert (status, list(answer)) == (400, ["error"])

    def test_a_huge_record_is_413(self, api):
        api.make()

        assert api.put({"1": "x" * 200_000})[0] == 413

    def test_a_huge_body_is_413(self, api):
        api.make()

        assert api.put({"result": "x" * 20_000_000})[0] == 413

    def test_a_result_of_ten_megabytes_is_kept(self, api):
        api.make()
        api.put({"result": "x" * 10_000_000})

        assert len(api.frames()["result"]) == 10_000_000

    def test_an_unknown_path_is_404_in_json(self, api):
        assert api.call("GET", "/nothing") == (404, {"error": "Not Found"})

    def test_a_failing_database_is_503(self, api, monkeypatch):
        def fail(*_args, **_kwargs):
            raise AutoReconnect("secret")

        api.make()
        monkeypatch.setattr(sessions.Sessions, "_write_once", fail)

        assert api.put({"1": 1}) == (503, {"error": "The Database Failed"})


class TestBatches:
    def test_the_frames_of_a_batch_are_written_and_reported(self, api):
        api.make()

        _, body = api.put({str(number): {"n": number} for number in range(95, 105)})

        assert sorted(body["written"]) == list(range(95, 105))
        assert api.frames() == {str(number): {"n": number} for number in range(95, 105)}

    def test_a_frame_that_another_process_has_just_written_stays(self, api, monkeypatch):
        api.make()
        api.put({"3": "first"})
        # As if it had been written after this batch looked.
        monkeypatch.setattr(sessions.Sessions, "_read_known", lambda *_: {})

        _, body = api.put({str(number): "second" for number in range(1, 6)})

        assert sorted(body["written"]) == [1, 2, 4, 5]
        assert body["stored"]["3"] == "first"
        assert api.frames() == {"1": "second", "2": "second", "3": "first", "4": "second", "5": "second"}

    @pytest.mark.parametrize("numbers", [range(2, 5), range(200, 205)], ids=["the same part", "a new part"])
    def test_a_batch_after_the_result_is_refused(self, api, numbers):
        api.make()
        api.put({"1": {}, "result": {}})

        assert api.put({str(number): {} for number in numbers}) == (409, SCORED)
        assert api.frames().keys() == {"1", "result"}

    def test_a_batch_is_one_write_for_each_part(self, api, database, monkeypatch):
        writes = []
        api.make()
        kept = sessions.Sessions._write_once
        monkeypatch.setattr(sessions.Sessions, "_write_once", lambda *given: writes.append(given) or kept(*given))

        api.put({str(number): {} for number in range(250)})

        assert writes == []
        assert database["parts"].count_documents({}) == 3
