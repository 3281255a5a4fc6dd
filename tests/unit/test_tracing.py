"""Ids of a request: what is taken from its headers, and what is passed on."""

import contextvars
import re
import time

import pytest

from func.tracing import RequestTrace, begin_trace, find_trace, measure, read_caller, read_request_id

TRACE_ID, SPAN_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def begin(should_record=None, **headers):
    return begin_trace({name.replace("_", "-"): value for name, value in headers.items()}.get, should_record)


@pytest.mark.parametrize(
    "sent", ["a", "abc-123", "1f0c7a52-3f6e-4d0a-9c39-5f1f6f0f2a10", "x" * 128, "Root=1-67/a:b+c@d"]
)
def test_a_valid_request_id_is_kept(sent):
    assert read_request_id(sent) == sent


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "a b", "a\nb", "ä", '"', "{}", "a;b"])
def test_an_invalid_request_id_is_replaced_by_a_uuid(sent):
    assert re.fullmatch(UUID, read_request_id(sent))


@pytest.mark.parametrize(("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True)])
def test_traceparent_is_read(flags, is_sampled):
    caller = read_caller(f"00-{TRACE_ID}-{SPAN_ID}-{flags}")

    assert (caller.trace_id, caller.span_id, caller.is_sampled) == (TRACE_ID, SPAN_ID, is_sampled)


def test_traceparent_of_a_later_version_may_be_longer():
    assert read_caller(f"01-{TRACE_ID}-{SPAN_ID}-01-more").trace_id == TRACE_ID


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}",
        f"00-{TRACE_ID[1:]}-{SPAN_ID}-01",
    ],
)
def test_an_invalid_traceparent_is_ignored(sent):
    assert read_caller(sent) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", True),
        ("tenant@vendor=1", True),
        ("rojo", False),
        ("a=b\nc", False),
        (",".join(f"k{number}=v" for number in range(33)), False),
        (f"a={'x' * 200},b={'x' * 200},c={'x' * 200}", False),
    ],
)
def test_tracestate_is_kept_if_it_is_valid(sent, kept):
    assert read_caller(f"00-{TRACE_ID}-{SPAN_ID}-01", sent).state == (sent if kept else "")


def test_upstream_services_get_the_ids():
    trace = begin(x_request_id="r-1", traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01", tracestate="rojo=1")

    assert trace.make_headers("b7ad6b7169203331") == {
        "X-Request-Id": "r-1",
        "traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01",
        "tracestate": "rojo=1",
    }


def test_a_request_without_ids_begins_a_trace_that_is_not_sampled():
    headers = begin().make_headers("b7ad6b7169203331")

    assert sorted(headers) == ["X-Request-Id", "traceparent"]
    assert re.fullmatch(r"00-[0-9a-f]{32}-b7ad6b7169203331-00", headers["traceparent"])


def test_two_requests_have_different_ids():
    first, second = begin(), begin()

    assert first.trace_id != second.trace_id
    assert first.request_id != second.request_id


def test_the_sampler_decides_from_the_trace_and_the_caller():
    asked = []
    trace = begin(lambda *arguments: asked.append(arguments) or False, traceparent=f"00-{TRACE_ID}-{SPAN_ID}-01")

    assert asked == [(TRACE_ID, trace.caller)]
    assert (trace.is_sampled, trace.spans) == (False, None)


def test_the_trace_is_the_current_one_within_its_block_and_in_copies_of_the_context():
    assert find_trace() is None
    with begin() as trace:
        assert contextvars.copy_context().run(find_trace) is trace
    assert find_trace() is None


def test_steps_are_timed_by_name_even_if_they_fail():
    with begin() as trace:
        for _ in range(2):
            with measure("decode"):
                pass
        with pytest.raises(KeyError), measure("store"):
            raise KeyError

    assert sorted(trace.stages_ms) == ["decode", "store"]
    assert trace.spans is None


def test_recorded_steps_are_children_of_the_step_around_them():
    with begin(lambda *_: True) as trace, measure("store") as outer:  # noqa: SIM117
        with measure(
            "PUT /update_session", kind="client", is_stage=False, attributes={"service": "session_api"}
        ) as inner:
            pass

    call, store = trace.spans
    assert (call.name, call.span_id, call.parent_id, call.kind) == (
        "PUT /update_session", inner.span_id, outer.span_id, "client",
    )  # fmt: skip
    assert (store.name, store.parent_id, store.kind) == ("store", trace.span_id, "internal")
    assert call.attributes == {"service": "session_api"}
    assert store.start_ns <= call.start_ns <= call.end_ns
    assert sorted(trace.stages_ms) == ["store"]


@pytest.mark.parametrize("step_s", [-3600.0, 3600.0])
def test_times_are_right_while_the_clock_is_set(monkeypatch, step_s):
    with begin(lambda *_: True) as trace:
        set_ns = time.time_ns() + int(1e9 * step_s)
        monkeypatch.setattr(time, "time_ns", lambda: set_ns)
        with measure("decode"):
            pass
        (span,) = trace.spans

        assert 0 <= trace.duration_ms < 1_800_000
        assert trace.started_ns <= span.start_ns <= span.end_ns < trace.started_ns + 1_800_000_000_000


def test_the_duration_of_a_request_is_in_milliseconds():
    trace = RequestTrace("r", TRACE_ID, SPAN_ID, started_s=time.perf_counter() - 100)

    assert 100_000 <= trace.duration_ms < 200_000


def test_a_moment_of_a_request_has_its_unix_time():
    trace = RequestTrace("r", TRACE_ID, SPAN_ID, started_ns=1_000_000_000_000, started_s=50.0)

    assert trace.find_unix_ns(52.5) == 1_002_500_000_000


def test_a_failed_step_is_marked():
    with begin(lambda *_: True) as trace, pytest.raises(KeyError), measure("store"):
        raise KeyError

    assert trace.spans[0].has_failed


def test_without_a_request_steps_are_only_observed():
    observed = []
    with measure("decode", observe=observed.append):
        pass

    assert len(observed) == 1


def test_the_session_id_is_not_in_the_repr_of_a_trace():
    trace = RequestTrace("r", TRACE_ID, SPAN_ID, session_id="viewer:7")

    assert "viewer:7" not in repr(trace)
