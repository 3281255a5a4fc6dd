"""`gaze conformance` as a user types it."""

import json
import re
import xml.etree.ElementTree as ET

import pytest
from click.testing import CliRunner

from func.adapters.http_client import _REACHABLE_TIMEOUT_S
from func.settings import describe_settings
from gaze_tools.cli import main
from gaze_tools.conformance import command
from gaze_tools.conformance.catalogue import CHECKS
from gaze_tools.conformance.exchanges import find_percentile, shorten
from gaze_tools.conformance.http_checks import REQUEST_TIMEOUT_S
from gaze_tools.conformance.kit import Kit
from gaze_tools.conformance.values import find_difference, make_result
from tests.adapters.hostile_servers import make_certificate
from tests.adapters.upstream_services import refused_url
from tests.conformance import broken_services as broken
from tests.conformance.broken_services import MemorySessions, aggregator, session_api, spoil
from tests.conformance.running import serve
from tests.docs.test_links import ROOT

UPSTREAM = (ROOT / "docs/upstream.md").read_text()


def gaze(*arguments, **variables):
    done = CliRunner().invoke(main, ["conformance", *map(str, arguments)], env={"COLUMNS": "160", **variables})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


class TestOutcome:
    def test_conforming_services_end_with_0(self):
        with serve(session_api.create_app()) as sessions, serve(aggregator.create_app()) as results:
            done = gaze(
                "--session-url", sessions, "--aggregator-url", results, "--only", "session.read", "--only",
                "aggregator.accept",
            )  # fmt: skip

        assert done.exit_code == 0, done.output
        assert "All required checks passed: 2 passed, 0 warnings, 0 skipped." in done.output

    def test_a_required_check_that_fails_ends_with_1_and_shows_request_answer_and_advice(self):
        with serve(spoil(session_api.create_app(), broken.html_404)) as url:
            done = gaze("--session-url", url, "--only", "session.unknown")

        assert done.exit_code == 1
        assert "1 required check failed: 0 passed" in done.output
        for text in (
            "GET /get_session/gaze-conformance-",
            "<html>404</html>",
            "Session Not Found",
            "docs/upstream.md#",
        ):
            assert text in done.output

    def test_a_recommended_check_that_fails_is_a_warning_and_ends_with_0(self):
        with serve(spoil(session_api.create_app(), broken.text_content_type)) as url:
            done = gaze("--session-url", url, "--only", "session.content-type")

        assert done.exit_code == 0
        assert "0 passed, 1 warning," in done.output

    def test_a_check_is_skipped_if_one_that_it_needs_failed(self):
        with serve(spoil(session_api.create_app(), broken.html_with_status_200)) as url:
            done = gaze("--session-url", url, "--only", "session.read", "--only", "session.update")

        assert re.search(r"1 more +skipped +because session\.read failed: update", done.output)

    def test_the_name_of_a_service_stands_for_all_of_its_checks(self):
        with serve(aggregator.create_app()) as url:
            done = gaze("--aggregator-url", url, "--only", "aggregator")

        own = [each for each in CHECKS if each.service == "aggregator"]
        assert f"{len(own) - 1} passed, 0 warnings, 1 skipped" in done.output


class TestSafety:
    def test_it_makes_only_sessions_of_its_own_and_removes_them(self):
        sessions = MemorySessions()
        sessions.create("somebody", "203.0.113.7", "contents1")
        made = []
        create = sessions.create
        sessions.create = lambda *arguments: made.append(arguments[0]) or create(*arguments)

        with serve(session_api.create_app(sessions)) as url:
            done = gaze("--session-url", url, "--only", "session.ids", "--only", "session.create")

        assert len(made) > 5
        assert all(name.startswith("gaze-conformance-") for name in made)
        assert list(sessions.sessions) == ["somebody"]
        assert re.search(r"Sessions made and removed: \d+ \(gaze-conformance-", done.output)

    def test_sessions_that_cannot_be_removed_are_named(self):
        def without_removal(call):
            return broken.answer(405, {}) if call.method == "DELETE" else call.forward()

        with serve(spoil(session_api.create_app(), without_removal)) as url:
            done = gaze("--session-url", url, "--only", "session.create")

        assert re.search(r"Sessions made: 2 \(gaze-conformance-\w{8}-…\); not removed: 2, which expire by", done.output)

    def test_scores_name_videos_of_its_own(self):
        scores = aggregator.MemoryScores()
        with serve(aggregator.create_app(scores)) as url:
            gaze("--aggregator-url", url, "--only", "aggregator.delivery")

        (score,) = scores.by_key.values()
        assert score["video_id"].startswith("gaze-conformance-")
        assert scores.rows == []

    def test_sessions_are_removed_after_ctrl_c_too(self, monkeypatch):
        sessions = MemorySessions()

        def interrupted(_checks, targets, run, *, begin):
            del begin
            Kit(targets["session"], run, "check").create()
            assert len(sessions.sessions) == 1
            raise KeyboardInterrupt
            yield

        monkeypatch.setattr(command, "run_checks", interrupted)
        with serve(session_api.create_app(sessions)) as url:
            done = gaze("--session-url", url)

        assert done.exit_code == 130
        assert sessions.sessions == {}


class TestNetwork:
    CHECKS = ("--only", "session.read", "--only", "session.keep-alive", "--only", "session.stored")

    def test_https_with_an_authority_of_ones_own(self, tmp_path):
        certificate, context = make_certificate(tmp_path)
        with serve(session_api.create_app(), tls=context) as url:
            done = gaze("--session-url", url, *self.CHECKS, CA_BUNDLE=str(certificate))

        assert "3 passed, 0 warnings" in done.output, done.output

    def test_https_with_an_unknown_authority_ends_with_2(self, tmp_path):
        _, context = make_certificate(tmp_path)
        with serve(session_api.create_app(), tls=context) as url:
            done = gaze("--session-url", url, *self.CHECKS)

        assert done.exit_code == 2
        assert "certificate verify failed" in done.output

    def test_a_proxy(self):
        with serve(session_api.create_app()) as proxy:
            done = gaze("--session-url", "http://session-service.invalid", *self.CHECKS, "--proxy", proxy)

        assert "3 passed, 0 warnings" in done.output, done.output

    def test_proxy_variables_of_the_shell_are_ignored(self):
        with serve(session_api.create_app()) as url:
            done = gaze("--session-url", url, *self.CHECKS, http_proxy=refused_url())

        assert done.exit_code == 0, done.output


class TestFiles:
    @pytest.fixture
    def files(self, tmp_path):
        with serve(spoil(session_api.create_app(), broken.hiding("stored", "message", when="PUT"))) as url:
            names = ("session.read", "session.update", "session.content-type", "session.stored")
            selected = [part for name in names for part in ("--only", name)]
            done = gaze("--session-url", url, *selected, "--json", tmp_path / "o.json", "--junit", tmp_path / "o.xml")
        assert done.exit_code == 1
        return json.loads((tmp_path / "o.json").read_text()), ET.parse(tmp_path / "o.xml").getroot()

    def test_json_has_each_outcome_with_its_evidence(self, files):
        document, _ = files
        by_id = {each["id"]: each for each in document["checks"]}

        assert document["exit_status"] == 1
        assert document["counts"] == {"passed": 1, "failed": 1, "warning": 1, "skipped": 1}
        assert by_id["session.update"]["verdict"] == "failed"
        assert by_id["session.update"]["request"].startswith("PUT /update_session/gaze-conformance-")
        assert by_id["session.update"]["answer"].startswith("200")
        assert by_id["session.read"]["request"] is None
        assert {each["call"] for each in document["calls"]} >= {"POST /mk-session", "PUT /update_session"}

    def test_junit_has_failures_and_shows_warnings_as_skipped(self, files):
        _, root = files
        suite = root.find("testsuite")
        cases = {each.get("name"): each for each in suite}

        assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("4", "1", "2")
        assert cases["session.update"].find("failure").get("message") == "the answer 200 has no text `message`"
        assert cases["session.stored"].find("skipped").get("message").startswith("warning: ")

    def test_a_directory_that_does_not_exist_is_said_before_the_run(self):
        done = gaze("--session-url", "http://127.0.0.1:1", "--json", "/nowhere/o.json")

        assert done.exit_code == 2
        assert "/nowhere is not a directory." in done.output


class TestMisuse:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "Add --session-url, --aggregator-url or both."),
            (["--session-url", "session-service"], "Invalid value for '--session-url'"),
            (["--session-url", "http://user:secret@host"], "must be a URL without user name and password"),
            (["--session-url", "http://127.0.0.1:1", "--only", "session.reed"], "did you mean session.read?"),
            (["--session-url", "http://127.0.0.1:1", "--only", "nothing"], "there is no check nothing"),
            (["--session-url", "http://127.0.0.1:1", "--only", "aggregator.once"], "None of the named checks"),
            (["--session-url", "http://127.0.0.1:1", "--timeout-s", "0"], "Invalid value for '--timeout-s'"),
            (["--session-url", "http://127.0.0.1:1", "--ca-bundle", "/nowhere"], "must be the path of a file"),
            (["--session-url", "http://127.0.0.1:1", "--proxy", "proxy"], "Invalid value for '--proxy'"),
        ],
    )
    def test_a_wrong_use_is_said_and_ends_with_2(self, arguments, said):
        done = gaze(*arguments)

        assert done.exit_code == 2
        assert said in done.output

    def test_a_password_in_a_url_is_not_repeated(self):
        assert "secret" not in gaze("--session-url", "http://user:secret@host").output

    def test_an_unreachable_service_ends_with_2(self):
        done = gaze("--session-url", refused_url())

        assert done.exit_code == 2
        assert "the session API at http://127.0.0.1:" in done.output
        assert "cannot be reached: Connection refused" in done.output

    def test_a_service_that_does_not_answer_ends_with_2(self):
        app = spoil(aggregator.create_app(), broken.slow_after(20.0, "GET", ""))
        with serve(app) as url:
            done = gaze("--aggregator-url", url, "--timeout-s", "0.1")

        assert done.exit_code == 2
        assert "cannot be reached: no answer in time" in done.output

    def test_settings_of_the_function_count(self):
        assert "'HTTP_TIMEOUT_S'" in gaze("--session-url", "http://127.0.0.1:1", HTTP_TIMEOUT_S="soon").output


class TestCatalogue:
    def test_list_names_every_check(self):
        done = gaze("--list")

        assert done.exit_code == 0
        assert re.findall(r"^((?:session|aggregator)\.[a-z-]+) ", done.output, re.MULTILINE) == [
            each.id for each in CHECKS
        ]

    def test_ids_are_unique(self):
        assert len({each.id for each in CHECKS}) == len(CHECKS)

    @pytest.mark.parametrize("each", CHECKS, ids=lambda each: each.id)
    def test_a_check_says_what_why_where_and_what_to_do(self, each):
        anchors = {
            re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", UPSTREAM, re.M)
        }

        assert each.section in anchors
        assert all(text.endswith((".", "?")) for text in (each.asserts, each.why, each.advice))

    def test_the_limit_of_durations_is_the_functions_default(self):
        defaults = {each.variable: each.default for each in describe_settings()}

        assert f"{REQUEST_TIMEOUT_S:g}" == defaults["REQUEST_TIMEOUT_S"]

    def test_the_limit_of_an_answer_to_get_root_is_a_second(self):
        assert _REACHABLE_TIMEOUT_S == 1.0


class TestValues:
    @pytest.mark.parametrize(
        ("sent", "received", "difference"),
        [
            ({"a": [1, 2.5]}, {"a": [1.0, 2.5]}, None),
            ({"a": None}, {}, "'a' is missing"),
            ({}, {"a": 1}, "'a' was not sent"),
            ({"a": [1, 2]}, {"a": [1]}, "'a' has 1 elements instead of 2"),
            ({"a": [0.1]}, {"a": [0.10000000149011612]}, "'a' [0] is 0.10000000149011612 instead of 0.1"),
            ({"a": True}, {"a": 1}, "'a' is 1 instead of True"),
        ],
    )
    def test_the_first_difference_is_named(self, sent, received, difference):
        assert find_difference(sent, received) == difference

    def test_a_result_has_about_the_size_that_was_asked_for(self):
        assert len(json.dumps(make_result(1_000_000), separators=(",", ":"))) == pytest.approx(1_000_000, rel=0.05)

    def test_a_long_body_is_shortened_in_the_middle(self):
        shown = shorten(b"a" * 5000 + b"z" * 5000)

        assert shown == f"{'a' * 300} … (10000 bytes) … {'z' * 300}"

    def test_a_body_cannot_command_the_terminal(self):
        assert shorten(b"\x1b[2J") == "\\x1b[2J"

    def test_percentiles_are_values_that_were_measured(self):
        values = [float(value) for value in range(1, 101)]

        assert [find_percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
