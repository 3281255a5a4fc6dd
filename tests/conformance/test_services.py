"""The services of this repository pass the kit, and so do the ones to start from in docs/examples."""

import json
import os
import re
import subprocess
import sys

import pytest

from gaze_tools.conformance.catalogue import CHECKS
from gaze_tools.conformance.clients import ServiceTarget, Wire
from gaze_tools.conformance.exchanges import ExchangeLog
from gaze_tools.conformance.kit import KitEffort, Run
from gaze_tools.conformance.runner import CheckVerdict, run_checks
from gaze_tools.stack.aggregator import create_app as create_aggregator
from gaze_tools.stack.session_api import create_app as create_session_api
from tests.conformance.broken_services import (
    MemorySessions,
    aggregator,
    answer,
    session_api,
    spoil,
    without_lifetime,
)
from tests.conformance.running import SMALL, find_complaints, run_kit, serve
from tests.docs.test_links import ROOT
from tests.faults.old_session_service import OldSessionService

EXPIRY = {"session.expiry", "session.remembered", "session.kept-alive", "session.scored-expiry"}


def find_unmade(outcomes):
    return {name: each.detail for name, each in outcomes.items() if each.verdict is not CheckVerdict.PASSED}


@pytest.mark.slow
def test_our_session_api_passes(database):
    outcomes = run_kit("session", create_session_api(database, operator_calls=True))

    assert find_unmade(outcomes).keys() == EXPIRY
    assert len(outcomes) == sum(each.service == "session" for each in CHECKS)


@pytest.mark.slow
def test_our_session_api_lets_sessions_expire_as_it_should(database):
    outcomes = run_kit("session", create_session_api(database, ttl_s=2.0), only=EXPIRY | {"session.lifetime"}, wait_s=9)

    assert find_unmade(outcomes) == {}


def test_our_aggregator_passes(database):
    assert find_unmade(run_kit("aggregator", create_aggregator(database))) == {}


def test_the_example_of_a_session_api_passes():
    assert find_unmade(run_kit("session", session_api.create_app())).keys() == EXPIRY


@pytest.mark.slow
def test_sessions_of_the_example_expire_as_they_should():
    app = session_api.create_app(MemorySessions(ttl_s=2.0))

    assert find_unmade(run_kit("session", app, only=EXPIRY | {"session.lifetime"}, wait_s=9)) == {}


def test_the_example_of_an_aggregator_passes():
    assert find_unmade(run_kit("aggregator", aggregator.create_app())) == {}


@pytest.mark.slow
def test_the_lifetime_of_sessions_can_be_given_where_it_is_not_reported():
    app = spoil(session_api.create_app(MemorySessions(ttl_s=1.0)), without_lifetime)

    outcomes = run_kit("session", app, only={"session.expiry", "session.kept-alive"}, wait_s=9, ttl_s=1.0)

    assert find_unmade(outcomes) == {}


def test_without_a_known_lifetime_no_expiry_is_waited_for():
    app = spoil(session_api.create_app(), without_lifetime)

    outcomes = run_kit("session", app, only={"session.expiry"}, wait_s=9)

    assert "add --ttl-s" in find_unmade(outcomes)["session.expiry"]


@pytest.mark.parametrize(
    "write",
    [
        lambda scores: json.dumps([each["video_id"] for each in scores]),
        lambda scores: "\n".join(f"{each['video_id']},{each['final_score']}" for each in scores),
        lambda scores: "".join(f"<tr><td>{each['video_id']}</td></tr>" for each in scores),
    ],
    ids=["JSON", "CSV", "HTML"],
)
def test_the_list_of_results_may_have_any_text_format(write):
    scores = aggregator.MemoryScores()

    def list_results(call):
        is_list = call.path == "/results"
        return answer(200, write(scores.describe()["deliveries"]).encode()) if is_list else call.forward()

    app = spoil(aggregator.create_app(scores), list_results)

    assert find_unmade(run_kit("aggregator", app, only={"aggregator.once"})) == {}


def test_sessions_are_removed_whatever_the_404_of_a_removed_one_says():
    sessions = MemorySessions()

    def in_other_words(call):
        response = call.forward()
        return answer(404, {"error": "nothing here"}) if response.status_code == 404 else response

    run_kit(
        "session",
        spoil(session_api.create_app(sessions), in_other_words),
        only={"session.create", "session.removal", "session.repeat"},
    )

    assert sessions.sessions == {}


def test_without_a_list_of_results_idempotency_is_not_judged():
    outcomes = run_kit("aggregator", aggregator.create_app(), has_results=False)

    assert find_complaints(outcomes) == set()
    assert outcomes["aggregator.once"].verdict is CheckVerdict.SKIPPED


def test_an_old_session_service_fails_where_it_loses_data_and_is_warned_of_the_rest():
    service = OldSessionService()

    outcomes = run_kit("session", service.app)

    failed = {name for name, each in outcomes.items() if each.verdict is CheckVerdict.FAILED}
    warned = {name for name, each in outcomes.items() if each.verdict is CheckVerdict.WARNING}
    assert {"session.first-write", "session.create"} & failed == {"session.first-write"}
    assert {"session.stored", "session.lifetime"} <= warned


def test_lost_updates_of_a_fast_service_are_found_by_the_length_of_the_session():
    """It reads and writes a short session so fast that concurrent updates hardly meet."""
    effort = KitEffort(threads=8, updates=24)
    outcomes = run_kit("session", OldSessionService().app, only={"session.concurrent-frames"}, effort=effort)

    assert re.match(r"\d+ of 24 frames are lost", outcomes["session.concurrent-frames"].detail)


@pytest.mark.parametrize("base_path", ["/a/b", "/a%20b"])
def test_the_url_may_have_a_path(base_path):
    app = session_api.create_app()

    def mounted(environ, start_response):
        prefix = base_path.replace("%20", " ")
        if not environ["PATH_INFO"].startswith(prefix + "/"):
            start_response("502 Bad Gateway", [])
            return [b""]
        inner = {**environ, "SCRIPT_NAME": prefix, "PATH_INFO": environ["PATH_INFO"].removeprefix(prefix)}
        return app(inner, start_response)

    outcomes = run_kit_at("session", mounted, base_path)

    assert find_complaints(outcomes) == set()


def run_kit_at(service, app, base_path):
    with serve(app) as url:
        checks = [each for each in CHECKS if each.id in {"session.create", "session.read", "session.update"}]
        targets = {service: ServiceTarget(url + base_path)}
        return {each.check.id: each for each in run_checks(checks, targets, Run("test", SMALL), begin=lambda _: None)}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["session_api", "aggregator"])
def test_the_example_runs_as_its_first_lines_say(name):
    """With gunicorn, and a connection that is kept."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "--bind", "127.0.0.1:0", "--threads", "4", f"{name}:create_app()"],
        cwd=ROOT / "docs/examples/upstream",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = next(each for each in process.stderr if "Listening at" in each)
        url = line.split("Listening at: ")[1].split()[0]
        answer = Wire(ServiceTarget(url), ExchangeLog()).call(
            "GET", "/results" if name == "aggregator" else "/get_session/x"
        )
        assert answer.status == (200 if name == "aggregator" else 404)
        assert json.loads(answer.exchange.received)
    finally:
        process.terminate()
        process.wait(120)
