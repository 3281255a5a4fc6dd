"""Makes the checks of a run and collects their outcomes."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote

from gaze_core.errors import GazeError
from gaze_tools.conformance.checks import ConformanceCheck, Level, NotApplicableError, NotConformingError
from gaze_tools.conformance.clients import NotAnsweredError, ServiceTarget, Wire
from gaze_tools.conformance.exchanges import WireExchange
from gaze_tools.conformance.kit import Kit, Run, is_own_id


class CheckVerdict(StrEnum):
    """Outcome of a check."""

    PASSED = "passed"
    FAILED = "failed"
    WARNING = "warning"
    """A recommended check failed."""
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """Outcome of a check.

    Attributes:
        check: The check.
        verdict: The verdict.
        detail: What was seen, what is wrong, or why it was skipped.
        duration_s: Duration of the check.
        exchange: Request and answer that show a failure; None without one.
        cause: Check because of which this one was not made; None if it was, or cannot be made here.
    """

    check: ConformanceCheck
    verdict: CheckVerdict
    detail: str
    duration_s: float = 0.0
    exchange: WireExchange | None = None
    cause: str | None = None


class UnreachableError(Exception):
    """A service cannot be reached, so that nothing can be checked."""


def require_reachable(service: str, target: ServiceTarget, run: Run) -> None:
    """Check that a service answers anything.

    Raises:
        UnreachableError: It does not.
    """
    try:
        Wire(target, Kit(target, run, "").log).call("GET", "/")
    except NotAnsweredError as error:
        reason = str(error).partition("not answered: ")[2]
        raise UnreachableError(f"the {service} at {target.base_url} cannot be reached: {reason}") from error


def run_checks(
    checks: Sequence[ConformanceCheck],
    targets: Mapping[str, ServiceTarget],
    run: Run,
    *,
    begin: Callable[[ConformanceCheck], None],
) -> Iterator[CheckOutcome]:
    """Make checks one after another and yield their outcomes.

    Args:
        checks: The checks, each after those that it needs.
        targets: Services by the first part of the checks' ids; checks of others are left out.
        run: The run.
        begin: Called before each check.
    """
    verdicts: dict[str, CheckVerdict] = {}
    causes: dict[str, str] = {}
    for each in checks:
        if each.service not in targets:
            continue
        begin(each)
        cause = next((need for need in each.needs if _stops(verdicts.get(need))), None)
        if cause is None:
            outcome = _make(each, targets[each.service], run)
        else:
            cause = causes[each.id] = causes.get(cause, cause)
            was = "was skipped" if verdicts[cause] is CheckVerdict.SKIPPED else "failed"
            outcome = CheckOutcome(each, CheckVerdict.SKIPPED, f"because {cause} {was}", cause=cause)
        verdicts[each.id] = outcome.verdict
        yield outcome


def _stops(verdict: CheckVerdict | None) -> bool:
    return verdict in {CheckVerdict.FAILED, CheckVerdict.WARNING, CheckVerdict.SKIPPED}


def _make(each: ConformanceCheck, target: ServiceTarget, run: Run) -> CheckOutcome:
    kit, started_s = Kit(target, run, each.id), time.perf_counter()
    exchange: WireExchange | None = None
    try:
        detail = each.run(kit)
        verdict = CheckVerdict.PASSED
    except NotApplicableError as error:
        verdict, detail = CheckVerdict.SKIPPED, str(error)
    except NotConformingError as error:
        verdict, detail, exchange = _failure(each), str(error), error.exchange or kit.log.find_last()
    except GazeError as error:
        verdict, detail, exchange = _failure(each), f"the function's client: {error}", _find_failed(kit)
    except NotAnsweredError as error:
        verdict, detail, exchange = _failure(each), str(error), _find_failed(kit)
    except Exception as error:  # a service may answer with anything; other checks go on
        verdict, detail, exchange = _failure(each), f"unexpected answer: {type(error).__name__}", kit.log.find_last()
    return CheckOutcome(each, verdict, detail, time.perf_counter() - started_s, exchange)


def _failure(each: ConformanceCheck) -> CheckVerdict:
    return CheckVerdict.FAILED if each.level is Level.REQUIRED else CheckVerdict.WARNING


def _find_failed(kit: Kit) -> WireExchange | None:
    """Return the last request that got no answer of the contract, else the last one: others may have ended after it."""
    seen = kit.log.read()
    return next((each for each in reversed(seen) if each.status not in {200, 201, 404, 409}), kit.log.find_last())


def remove_sessions(target: ServiceTarget, run: Run) -> tuple[int, str | None]:
    """Remove the sessions of a run; return how many are left, and why.

    Only the call that this repository's session API offers to operators can remove sessions; elsewhere they expire.
    """
    wire, has_removed = Kit(target, run, "").wire, False
    for done, session_id in enumerate(run.session_ids):
        if not is_own_id(session_id):
            raise AssertionError(f"{session_id!r} was not made by this kit")
        try:
            answer = wire.call("DELETE", f"/sessions/{quote(session_id, safe='')}")
        except NotAnsweredError as error:
            return len(run.session_ids) - done, str(error)
        has_removed |= answer.status == 200
        # Without the call the status is 404 as well, with another error.
        is_gone = answer.status == 404 and (has_removed or answer.body.get("error") == "Session Not Found")
        if answer.status != 200 and not is_gone:
            return len(run.session_ids) - done, "the service does not offer to remove sessions"
    return 0, None
