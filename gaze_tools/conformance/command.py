"""The command `gaze conformance`."""

import difflib
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from func.setting_parsers import parse_ca_bundle
from func.setting_urls import parse_proxy_url
from gaze_tools.command_line import check_session_api, describe_error, find_version
from gaze_tools.conformance.catalogue import CHECKS
from gaze_tools.conformance.checks import ConformanceCheck
from gaze_tools.conformance.clients import ServiceTarget
from gaze_tools.conformance.exchanges import summarise
from gaze_tools.conformance.files import write_json, write_junit
from gaze_tools.conformance.kit import CALLS, PREFIX, Run
from gaze_tools.conformance.runner import (
    CheckOutcome,
    CheckVerdict,
    UnreachableError,
    remove_sessions,
    require_reachable,
    run_checks,
)
from gaze_tools.conformance.tables import make_console, show_catalogue, show_outcomes, show_times

FAILED, COULD_NOT_RUN = 1, 2
"""Exit statuses: a required check failed; nothing could be checked."""

_NAMES = {"session": "session API", "aggregator": "aggregator"}


class CouldNotRunError(click.ClickException):
    """Nothing could be checked."""

    exit_code = COULD_NOT_RUN


def _check_file(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    if value is not None and not value.absolute().parent.is_dir():
        raise click.BadParameter(f"{value.parent} is not a directory.")
    return value


def _check_proxy(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    try:
        return parse_proxy_url(value) if value else None
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _check_ca_bundle(_context: click.Context, _parameter: click.Parameter, value: str | None) -> Path | None:
    try:
        return parse_ca_bundle(value) if value else None
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from error


def _select(_context: click.Context, _parameter: click.Parameter, value: Sequence[str]) -> tuple[ConformanceCheck, ...]:
    """Return the named checks; the name of a service stands for all of its checks."""
    known = [each.id for each in CHECKS]
    for name in value:
        if name not in known and name not in _NAMES:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else "--list shows all of them."
            raise click.BadParameter(f"there is no check {name}: {hint}")
    return tuple(each for each in CHECKS if not value or each.id in value or each.service in value)


_file_type = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--session-url", callback=check_session_api, help="Base URL of the session API, as SESSION_API_URL.")
@click.option("--aggregator-url", callback=check_session_api, help="Base URL of the aggregator, as AGGREGATOR_URL.")
@click.option(
    "--only",
    "checks",
    metavar="ID",
    multiple=True,
    callback=_select,
    help="Run only this check, or all checks of this service; repeatable.",
)
@click.option("--list", "lists", is_flag=True, help="List the checks and exit.")
@click.option("--json", "json_path", type=_file_type, callback=_check_file, help="Write the outcomes to a JSON file.")
@click.option("--junit", "junit_path", type=_file_type, callback=_check_file, help="Write the outcomes as JUnit XML.")
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=0, min_open=True),
    envvar="HTTP_TIMEOUT_S",
    show_envvar=True,
    default=5.0,
    show_default=True,
    help="Timeout of a request.",
)
@click.option(
    "--wait-s",
    type=click.FloatRange(min=0),
    default=0.0,
    help="Maximum time to wait for a session to expire.  [default: do not wait]",
)
@click.option(
    "--ttl-s",
    type=click.FloatRange(min=0, min_open=True),
    help="Lifetime of a session, if the service does not report it.",
)
@click.option(
    "--results-url", callback=check_session_api, help="URL that lists the aggregator's results, if it has one."
)
@click.option(
    "--ca-bundle",
    callback=_check_ca_bundle,
    envvar="CA_BUNDLE",
    show_envvar=True,
    help="PEM file of the certificate authorities to trust.",
)
@click.option(
    "--proxy", callback=_check_proxy, envvar="OUTBOUND_PROXY", show_envvar=True, help="HTTP proxy to the services."
)
def conformance(session_url: str | None, aggregator_url: str | None, *, lists: bool, **options: Any) -> None:  # noqa: ANN401
    """Check whether a session API and an aggregator work with the function.

    Uses the function's own clients. Writes only sessions and results whose names begin with gaze-conformance, so it can
    run against production. Exit status: 0 all required checks passed, 1 one failed, 2 nothing could be checked.
    """
    console = make_console()
    if lists:
        show_catalogue(console)
        return
    urls = {
        service: url for service, url in (("session", session_url), ("aggregator", aggregator_url)) if url is not None
    }
    if not urls:
        raise click.UsageError("Add --session-url, --aggregator-url or both.")
    selected = [each for each in options["checks"] if each.service in urls]
    if not selected:
        raise click.UsageError("None of the named checks is for the given service.")
    targets = {
        service: ServiceTarget(url, options["timeout_s"], options["ca_bundle"], options["proxy"])
        for service, url in urls.items()
    }
    run = Run(
        secrets.token_hex(4),
        wait_s=options["wait_s"],
        ttl_s=options["ttl_s"],
        results_url=options["results_url"],
    )
    outcomes, left = _run(selected, targets, run)
    show_outcomes(console, outcomes)
    times = summarise([each for each in run.log.read() if each.call in CALLS])
    console.print()
    show_times(console, times)
    status = FAILED if any(each.verdict is CheckVerdict.FAILED for each in outcomes) else 0
    console.print(f"\n{_describe_traces(run, urls, left)}\n{_count(outcomes)}", highlight=False)
    try:
        if options["json_path"] is not None:
            write_json(
                options["json_path"],
                outcomes,
                times,
                run_id=run.run_id,
                version=find_version(),
                urls=urls,
                exit_status=status,
                sessions_left=left if "session" in urls else None,
            )
        if options["junit_path"] is not None:
            write_junit(options["junit_path"], outcomes)
    except OSError as error:
        raise CouldNotRunError(describe_error(error)) from error
    sys.exit(status)


def _run(
    checks: Sequence[ConformanceCheck], targets: dict[str, ServiceTarget], run: Run
) -> tuple[list[CheckOutcome], int]:
    """Run the checks, remove their sessions, and return the outcomes and the number of sessions that are left."""
    console = make_console()
    needed = {each.service for each in checks}
    try:
        for service in needed:
            require_reachable(_NAMES[service], targets[service], run)
    except UnreachableError as error:
        raise CouldNotRunError(str(error)) from error
    outcomes: list[CheckOutcome] = []
    left = 0
    with console.status("") as status:
        try:
            outcomes.extend(run_checks(checks, targets, run, begin=lambda each: status.update(f"{each.id} …")))
        finally:
            # Also after Ctrl-C.
            if run.session_ids:
                left, _ = remove_sessions(targets["session"], run)
    return outcomes, left


def _describe_traces(run: Run, urls: dict[str, str], left: int) -> str:
    """Return what the run leaves behind."""
    made = len(run.session_ids)
    sentences = []
    if "session" in urls:
        names = f"{PREFIX}-{run.run_id}-…"
        sentences.append(
            f"Sessions made: {made} ({names}); not removed: {left}, which expire by themselves."
            if left
            else f"Sessions made and removed: {made} ({names})."
        )
    if "aggregator" in urls:
        sentences.append(
            f"The aggregator has scores for the videos {PREFIX}-{run.run_id}-…, all of model type gaze: it writes no "
            "row for them if it waits for the other two types."
        )
    return "\n".join(sentences)


def _count(outcomes: Sequence[CheckOutcome]) -> str:
    counts = {verdict: sum(each.verdict is verdict for each in outcomes) for verdict in CheckVerdict}
    failed = f"{counts[CheckVerdict.FAILED]} required check{'' if counts[CheckVerdict.FAILED] == 1 else 's'} failed"
    verdict = "All required checks passed" if counts[CheckVerdict.FAILED] == 0 else failed
    return (
        f"{verdict}: {counts[CheckVerdict.PASSED]} passed, {_name_warnings(counts[CheckVerdict.WARNING])}, "
        f"{counts[CheckVerdict.SKIPPED]} skipped."
    )


def _name_warnings(count: int) -> str:
    return "1 warning" if count == 1 else f"{count} warnings"
