"""docs/logging.md lists every event that the function logs, with its fields."""

import ast
import re

import pytest

from tests.running import ROOT

PAGE = (ROOT / "docs/logging.md").read_text()


def find_events():
    """Return the fields of each event in the code, as far as they are keywords."""
    found = {}
    for path in sorted((ROOT / "func").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Event" and node.args:
                names = [part.value for part in ast.walk(node.args[0]) if isinstance(part, ast.Constant)]
                for name in (each for each in names if isinstance(each, str)):
                    found.setdefault(name, set()).update(word.arg for word in node.keywords if word.arg)
    return found


def read_table():
    """Return the fields of each event in the table."""
    table = PAGE.split("<!-- events: begin -->")[1].split("<!-- events: end -->")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    return {event: set(re.findall(r"`(\w+)`", row[3])) for row in rows for event in re.findall(r"`([^`]+)`", row[0])}


EVENTS = find_events()


def test_every_event_is_listed_and_no_other():
    assert "circuit opened" in EVENTS
    assert sorted(EVENTS) == sorted(read_table())


@pytest.mark.parametrize("event", sorted(EVENTS))
def test_its_fields_are_listed(event):
    assert EVENTS[event] <= read_table()[event]
