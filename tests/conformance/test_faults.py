"""Each fault of a service is found by the check that is meant for it, and by no other."""

import struct
from dataclasses import dataclass, field

import pytest

from func.adapters import http_client
from gaze_tools.conformance import http_checks
from gaze_tools.conformance.catalogue import CHECKS
from gaze_tools.conformance.runner import CheckVerdict
from tests.conformance import broken_services as broken
from tests.conformance.broken_services import FRAME_NUMBER, MemorySessions, aggregator, session_api, spoil
from tests.conformance.running import find_complaints, run_kit

TTL_S = 3.0
"""No session may expire because the machine is busy."""
SLOW_S = 0.1
NEVER_S = 20.0
"""Much longer than the limit of a check, after which the client waits no more."""
EXPIRING = {"wait_s": 10.0}


@dataclass(frozen=True)
class Fault:
    """A fault, and the checks that find it."""

    name: str
    found_by: set
    wire: object = None
    make_wire: object = None
    """Makes the fault of a new service, for faults with a memory."""
    sessions: object = MemorySessions
    options: dict = field(default_factory=dict)

    @property
    def service(self):
        return next(iter(self.found_by)).partition(".")[0]

    def make_app(self):
        if self.service == "session":
            app = session_api.create_app(self.sessions(TTL_S) if self.options == EXPIRING else self.sessions())
        else:
            app = aggregator.create_app(aggregator.MemoryScores())
        wire = self.wire if self.make_wire is None else self.make_wire()
        return app if wire is None else spoil(app, wire)


def single(value):
    """Return a float with the precision of 32 bits; other values, and floats that do not fit, as they are."""
    if not isinstance(value, float) or abs(value) > 1e38:
        return value
    return struct.unpack("f", struct.pack("f", value))[0]


def ascii_only(value):
    return value.encode("ascii", "replace").decode() if isinstance(value, str) else value


def without_target(value):
    return {**value, "target": None} if isinstance(value, dict) and value.get("target") else value


def on_session(name, *found_by, **details):
    return Fault(name, {f"session.{check}" for check in found_by}, **details)


def on_aggregator(name, *found_by, **details):
    return Fault(name, {f"aggregator.{check}" for check in found_by}, **details)


FAULTS = [
    on_session("creation is answered 202", "create", wire=broken.accepted_instead_of_created),
    on_session("an HTML page with status 200", "read", wire=broken.html_with_status_200),
    on_session(
        "reads are not answered in time",
        "read",
        wire=broken.slow_after(NEVER_S, "GET", "/get_session"),
        options={"timeout_s": 2.0},
    ),
    on_session("components and time of use are missing", "components", wire=broken.hiding("last_accessed")),
    on_session("a second creation replaces the session", "create-again", sessions=broken.CreatesTwice),
    on_session("created_at is the time of the read", "created-at", wire=broken.new_creation_time),
    on_session("500 for an unknown id", "unknown", wire=broken.server_error_for_unknown),
    on_session("an HTML page with status 404", "unknown", wire=broken.html_404),
    on_session("updates are redirected", "update", wire=broken.redirect),
    on_session("an update creates the session", "update-unknown", wire=broken.update_creates),
    on_session("404s are cached", "first-frame", sessions=broken.Unremembered),
    on_session("an update replaces the component", "merge", sessions=broken.ComponentReplaced),
    on_session("settings are write-once", "settings", sessions=broken.SettingsWrittenOnce),
    on_session("reads lag behind", "fresh-read", wire=broken.stale_range),
    on_session("removal without effect", "removal", wire=broken.removal_without_effect),
    on_session("floats with 32 bits", "numbers", wire=broken.changing_values(lambda value: broken.walk(value, single))),
    on_session("null is dropped", "null", wire=broken.changing_values(broken.without_nulls)),
    on_session("text is ASCII", "text", wire=broken.changing_values(lambda value: broken.walk(value, ascii_only))),
    on_session("unknown fields are dropped", "unknown-fields", sessions=broken.Forgetful),
    on_session("ids with a colon are refused", "ids", wire=broken.colons_refused),
    on_session("ids are case-insensitive", "id-case", sessions=broken.CaselessIds),
    on_session("frame numbers have 32 bits", "frame-numbers", sessions=broken.SmallNumbers),
    on_session("answers have 300 frames at most", "long", sessions=broken.AtMost1000),
    on_session("answers end after 1 MB", "result-size", wire=broken.large_answers_truncated),
    on_session("bodies above 1 MB are refused", "result-size", wire=broken.large_bodies_refused),
    on_session("a range does not say where the next one is", "sparse", sessions=broken.RangeWithoutEnd),
    on_session("ranges are ignored", "range", wire=broken.ranges_ignored),
    on_session("targets are dropped", "calibration", wire=broken.changing_values(without_target)),
    on_session("repeated frames are refused", "repeat", wire=broken.repeated_frames_refused),
    on_session(
        "the last value of a frame stays",
        "first-write",
        sessions=lambda: broken.Replacing(lambda key: FRAME_NUMBER.fullmatch(key) is not None),
    ),
    on_session("stored is not reported", "stored", wire=broken.hiding("stored", "written", when="PUT")),
    on_session("stored is what was sent", "stored-true", "concurrent-same", wire=broken.sent_values_reported_as_stored),
    on_session("batches are all or nothing", "batch", wire=broken.batches_with_repeated_frames_refused),
    on_session("concurrent updates are lost", "concurrent-frames", sessions=broken.ReadChangeWrite),
    on_session("other components are lost", "concurrent-components", sessions=broken.OtherComponentsRestored),
    on_session("creation looks first and creates later", "concurrent-start", sessions=broken.CreationRace),
    on_session("several writers win", "concurrent-same", sessions=broken.NoWinner),
    on_session(
        "created_at of the update is not understood",
        "result",
        wire=broken.for_calls("PUT")(
            lambda call: (
                broken.answer(400, {"error": "created_at"})
                if b'"created_at":"20' in call.raw and b'"2001' not in call.raw
                else call.forward()
            )
        ),
    ),
    on_session("the last result stays", "result-first", sessions=lambda: broken.Replacing(lambda key: key == "result")),
    on_session("repeated frames get 409 after the result", "after-result", sessions=broken.SealedForAll),
    on_session("late frames are accepted", "sealed", sessions=broken.NeverSealed),
    on_session("created_at is ignored", "condition", sessions=broken.NoCondition),
    on_session(
        "the lifetime is not reported",
        "lifetime",
        wire=broken.without_lifetime,
    ),
    on_session(
        "frames outlive their session",
        "expiry",
        sessions=broken.OldFramesComeBack,
        options=EXPIRING,
    ),
    on_session(
        "expiry is not remembered",
        "remembered",
        sessions=broken.ExpiryForgotten,
        options=EXPIRING,
    ),
    on_session(
        "reads do not keep a session",
        "kept-alive",
        sessions=broken.ReadsDoNotCount,
        options=EXPIRING,
    ),
    on_session(
        "refused frames prolong the session",
        "scored-expiry",
        sessions=broken.RefusalsProlong,
        options=EXPIRING,
    ),
    on_session("500 for malformed requests", "malformed", wire=broken.server_error_for_malformed),
    on_session(
        "no answer to GET /",
        "root",
        wire=lambda call: broken.slow_after(NEVER_S, "GET", "")(call) if call.path == "/" else call.forward(),
    ),
    on_session("text/plain", "content-type", wire=broken.text_content_type),
    on_session("one request for each connection", "keep-alive", wire=broken.one_request_per_connection),
    on_session("one broken connection", "steady", make_wire=broken.make_broken_connection),
    on_session("slow updates", "latency", wire=broken.slow_after(SLOW_S, "PUT", "session-latency")),
    on_aggregator("201 instead of 200", "accept", wire=broken.created_instead_of_ok),
    on_aggregator("fields of later versions are refused", "delivery", wire=broken.unknown_fields_refused),
    on_aggregator("0 is taken for missing", "scores", wire=broken.zero_taken_for_missing),
    on_aggregator("addresses are IPv4 only", "viewers", wire=broken.only_ipv4),
    on_aggregator("a repetition is a conflict", "repeat", make_wire=broken.make_conflicts),
    on_aggregator("concurrent repetitions fail", "concurrent", make_wire=broken.make_busy),
    on_aggregator("idempotency keys are ignored", "once", wire=broken.keys_ignored),
    on_aggregator("500 for malformed deliveries", "malformed", wire=broken.server_error_for_malformed),
    on_aggregator(
        "no answer to GET /",
        "root",
        wire=lambda call: broken.slow_after(NEVER_S, "GET", "")(call) if call.path == "/" else call.forward(),
    ),
    on_aggregator("text/plain", "content-type", wire=broken.text_content_type),
    on_aggregator("one request for each connection", "keep-alive", wire=broken.one_request_per_connection),
    on_aggregator("one broken connection", "steady", make_wire=broken.make_broken_delivery),
    on_aggregator("slow deliveries", "latency", wire=broken.slow_after(SLOW_S, "POST", "/aggregate")),
]
"""One fault for each check at least."""


def for_each(faults):
    return pytest.mark.parametrize("fault", faults, ids=[f"{each.service}: {each.name}" for each in faults])


@pytest.fixture
def short_limit(request, monkeypatch):
    """Of durations, for the faults that are about them; others must not fail on a busy machine."""
    found_by = request.getfixturevalue("fault").found_by
    if any(name.endswith(".latency") for name in found_by):
        monkeypatch.setattr(http_checks, "REQUEST_TIMEOUT_S", 3 * SLOW_S)
    if any(name.endswith(".root") for name in found_by):
        monkeypatch.setattr(http_client, "_REACHABLE_TIMEOUT_S", SLOW_S)


@for_each([each for each in FAULTS if not each.options])
@pytest.mark.usefixtures("short_limit")
def test_the_fault_is_found_by_its_check(fault):
    """Those with options wait for seconds: the slow test below finds them."""
    outcomes = run_kit(fault.service, fault.make_app(), only=fault.found_by)

    assert {name: each.verdict for name, each in outcomes.items() if name not in find_complaints(outcomes)} == {}


def test_each_check_finds_a_fault():
    assert {name for fault in FAULTS for name in fault.found_by} == {each.id for each in CHECKS}


@pytest.mark.slow
@for_each(FAULTS)
@pytest.mark.usefixtures("short_limit")
def test_the_fault_is_found_by_no_other_check(fault):
    outcomes = run_kit(fault.service, fault.make_app(), **fault.options)

    assert find_complaints(outcomes) == fault.found_by, {
        name: each.detail for name, each in outcomes.items() if each.verdict is not CheckVerdict.PASSED
    }
