"""The reference pages in docs/ say what the code does."""

import os
import re
import subprocess
import sys

from func.settings import describe_settings
from func.web.schemas import FrameRequest
from tests.docs.test_links import ROOT

METRICS = (ROOT / "docs/metrics.md").read_text()
HTTP = (ROOT / "docs/http.md").read_text()
SETTINGS = (ROOT / "docs/settings.md").read_text()


def test_the_generated_tables_are_up_to_date():
    """After a change: `make docs`."""
    done = subprocess.run(
        [sys.executable, ".ci/docs.py", "--check"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_is_listed():
    listed = re.findall(r"^\| `([A-Z0-9_]+)` \|", SETTINGS, re.MULTILINE)

    assert listed == [setting.variable for setting in describe_settings()]


def test_every_named_metric_is_exposed():
    table = METRICS.split("<!-- metrics: begin -->")[1].split("<!-- metrics: end -->")[0]
    exposed = set(re.findall(r"^\| `(gaze_\w+)`", table, re.MULTILINE))

    assert len(exposed) > 5
    assert set(re.findall(r"\bgaze_\w+", METRICS)) == exposed


def test_every_field_of_a_request_is_described():
    table = HTTP.split("## Send a frame")[1].split("## Answer to a frame")[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) != []
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == FrameRequest.model_fields.keys()


def test_every_status_of_the_table_has_advice():
    advice, table = HTTP.split("## Errors")[1].split("<!-- http: begin -->")

    assert {status for status in re.findall(r"^\| (\d+) \|", table, re.MULTILINE) if status not in advice} == set()
