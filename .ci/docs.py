"""Write the generated tables of docs/: settings, metrics, errors and conformance checks.

    python .ci/docs.py           rewrite the tables
    python .ci/docs.py --check   exit with 1 if a table is out of date

Each table stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->`. The text around it is written by hand.
"""

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from func.settings import describe_settings
from func.web import problems
from func.web.metrics import Metrics
from gaze_tools.conformance.catalogue import list_rows
from gaze_tools.markdown import replace_section

ROOT = Path(__file__).parents[1]
_SUFFIXES = {"counter": "_total", "info": "_info"}


def main() -> None:
    """Rewrite or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    tables = {
        "settings": list_settings(),
        "metrics": list_metrics(),
        "http": list_problems(),
        "conformance": list_rows(),
    }
    outdated = []
    for name, rows in tables.items():
        path = ROOT / "docs" / f"{name}.md"
        old = path.read_text(encoding="utf-8")
        new = replace_section(old, name, format_table(rows))
        if new != old:
            outdated.append(str(path.relative_to(ROOT)))
            if not options.check:
                path.write_text(new, encoding="utf-8")
    if outdated:
        print(f"{'out of date, run `make docs`' if options.check else 'rewritten'}: {', '.join(outdated)}")  # noqa: T201
    sys.exit(1 if outdated and options.check else 0)


def list_settings() -> list[Sequence[str]]:
    """Return the heading and one row for each environment variable."""
    rows = [(f"`{each.variable}`", each.default, each.meaning) for each in describe_settings()]
    return [("variable", "default", "meaning"), *rows]


def list_metrics() -> list[Sequence[str]]:
    """Return the heading and one row for each metric of the function."""
    metrics = Metrics()
    registry = next(each for each in vars(metrics).values() if isinstance(each, CollectorRegistry))
    rows = []
    for collector in registry._collector_to_names:  # the public interface has no labels
        if isinstance(collector, MetricWrapperBase):
            described = collector.describe()
            name = f"{described[0].name}{_SUFFIXES.get(described[0].type, '')}"
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)
            rows.append((f"`{name}`", described[0].type, labels or "–", described[0].documentation))
    return [("metric", "type", "labels", "meaning"), *sorted(rows)]


def list_problems() -> list[Sequence[str]]:
    """Return the heading and one row for each kind of error, by status."""
    known = [
        *problems.PROBLEMS.values(),
        *(each for each in vars(problems).values() if isinstance(each, problems.Problem)),
    ]
    details: dict[tuple[int, str, str], list[str]] = {}
    for each in known:
        texts = details.setdefault((each.status, each.slug, each.title), [])
        text = each.detail or "`detail` says what is wrong."
        if text not in texts:
            texts.append(text)
    rows = [
        (str(status), f"`/problems/{slug}`", title, " ".join(details[status, slug, title]))
        for status, slug, title in sorted(details)
    ]
    return [("status", "`type`", "`title`", "`detail`"), *rows]


def format_table(rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table whose first row is the heading."""
    heading, *others = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows)
    return "\n".join([heading, re.sub(r"[^|]+", "---", heading), *others])


if __name__ == "__main__":
    main()
