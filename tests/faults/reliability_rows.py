"""What the slow tests measured, as rows of the table in docs/reliability.md.

`make reliability` runs the tests, which write their rows into a folder, and then this module, which makes the table:

python -m tests.faults.reliability_rows out/reliability docs/reliability.md
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from gaze_tools.markdown import replace_section

VARIABLE = "RELIABILITY_DIR"
"""Environment variable that names the folder; rows are not kept without it."""

HEAD = "| fault | runs | acknowledged | lost | doubled | slowest answer |\n|---|---:|---:|---:|---:|---:|"


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: What was done.
        runs: How often.
        acknowledged: Frames and last frames answered 200.
        lost: Acknowledged frames and results that were not there afterwards.
        doubled: Frames and results that took effect twice.
        slowest_answer_s: Longest time to any answer, whatever its status.
    """

    fault: str
    runs: int
    acknowledged: int
    lost: int
    doubled: int
    slowest_answer_s: float

    def as_markdown(self):
        counts = " | ".join(f"{count:,}" for count in (self.runs, self.acknowledged, self.lost, self.doubled))
        return f"| {self.fault} | {counts} | {self.slowest_answer_s:.1f} s |"


def keep_rows(name, rows):
    """Write rows into a file of the folder, if there is one."""
    if VARIABLE in os.environ:
        folder = Path(os.environ[VARIABLE])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def make_table(folder):
    """Return the table of all files of a folder."""
    rows = [Row(**row) for path in sorted(folder.glob("*.json")) for row in json.loads(path.read_text())]
    return "\n".join([HEAD, *(row.as_markdown() for row in rows)])


if __name__ == "__main__":
    document = Path(sys.argv[2])
    document.write_text(replace_section(document.read_text(), "reliability", make_table(Path(sys.argv[1]))))
