"""Outcomes as files for other programs: JSON and JUnit."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from gaze_tools.conformance.catalogue import CONTRACT
from gaze_tools.conformance.exchanges import CallTimes
from gaze_tools.conformance.runner import CheckOutcome, CheckVerdict

_NOT_IN_XML = {code: "�" for code in (*range(32), 0xFFFE, 0xFFFF) if code not in (9, 10, 13)}


def describe(outcome: CheckOutcome) -> dict[str, Any]:
    """Return an outcome as JSON values."""
    each = outcome.check
    shown = outcome.exchange if outcome.verdict in {CheckVerdict.FAILED, CheckVerdict.WARNING} else None
    return {
        "id": each.id,
        "level": each.level.value,
        "verdict": outcome.verdict.value,
        "detail": outcome.detail,
        "asserts": each.asserts,
        "why": each.why,
        "advice": each.advice,
        "contract": f"{CONTRACT}#{each.section}",
        "duration_s": round(outcome.duration_s, 3),
        "request": None if shown is None else shown.describe_request(),
        "answer": None if shown is None else shown.describe_answer(),
    }


def write_json(
    path: Path,
    outcomes: Sequence[CheckOutcome],
    times: Sequence[CallTimes],
    *,
    run_id: str,
    version: str,
    urls: Mapping[str, str],
    exit_status: int,
    sessions_left: int | None,
) -> None:
    """Write outcomes as JSON.

    Args:
        path: File to write.
        outcomes: Outcomes of all checks.
        times: Durations of the calls.
        run_id: Id of the run, a part of the ids of its sessions.
        version: Version of the kit.
        urls: URL of each service.
        exit_status: Exit status of the command.
        sessions_left: Number of sessions that could not be removed; None without a session API.
    """
    counts = {verdict.value: sum(each.verdict is verdict for each in outcomes) for verdict in CheckVerdict}
    document = {
        "version": version,
        "run": run_id,
        "services": dict(urls),
        "exit_status": exit_status,
        "counts": counts,
        "sessions_left": sessions_left,
        "checks": [describe(each) for each in outcomes],
        "calls": [
            {
                "call": each.call,
                "count": each.count,
                "p50_ms": round(each.p50_ms, 2),
                "p95_ms": round(each.p95_ms, 2),
                "p99_ms": round(each.p99_ms, 2),
                "slowest_ms": round(each.slowest_ms, 2),
            }
            for each in times
        ],
    }
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def write_junit(path: Path, outcomes: Sequence[CheckOutcome]) -> None:
    """Write outcomes in the format of JUnit, one suite for each service.

    JUnit has no warnings: a recommended check that failed is written as skipped, with its message.
    """
    root = ET.Element("testsuites", name="gaze conformance")
    for service in dict.fromkeys(each.check.service for each in outcomes):
        own = [each for each in outcomes if each.check.service == service]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=service,
            tests=str(len(own)),
            failures=str(sum(each.verdict is CheckVerdict.FAILED for each in own)),
            skipped=str(sum(each.verdict in {CheckVerdict.SKIPPED, CheckVerdict.WARNING} for each in own)),
            time=f"{sum(each.duration_s for each in own):.3f}",
        )
        for each in own:
            _add_case(suite, each)
    ET.indent(root)
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _add_case(suite: ET.Element, outcome: CheckOutcome) -> None:
    each = outcome.check
    case = ET.SubElement(suite, "testcase", classname=each.service, name=each.id, time=f"{outcome.duration_s:.3f}")
    if outcome.verdict is CheckVerdict.PASSED:
        ET.SubElement(case, "system-out").text = _clean(f"{each.asserts}\n{outcome.detail}")
        return
    message = outcome.detail if outcome.verdict is not CheckVerdict.WARNING else f"warning: {outcome.detail}"
    tag = "failure" if outcome.verdict is CheckVerdict.FAILED else "skipped"
    found = describe(outcome)
    lines = [each.asserts, each.why, f"Contract: {found['contract']}"]
    if outcome.verdict is not CheckVerdict.SKIPPED:
        lines += [each.advice]
    if found["request"] is not None:
        lines += [f"Request: {found['request']}", f"Answer: {found['answer']}"]
    ET.SubElement(case, tag, message=_clean(message)).text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    return text.translate(_NOT_IN_XML)
