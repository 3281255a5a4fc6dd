"""The `curl` commands of the README work against what `make serve` starts."""

import json
import re
import shutil
import subprocess

import pytest

from gaze_tools.sample_clip import SAMPLE, count_frames, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services
from tests.docs.test_links import ROOT

COMMANDS = re.findall(r"^curl .*?'$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_frame_and_a_last_frame_get_a_gaze_and_a_score(tmp_path):
    with start_upstream_services(tmp_path) as services:
        seed_sample_maps(services, count_frames(str(SAMPLE / "video.mp4")))
        with start_function(services, tmp_path) as url:
            frame, result = (
                json.loads(subprocess.check_output(command.replace("localhost:8080", url), shell=True, cwd=ROOT))
                for command in COMMANDS
            )

    assert frame["gaze"]["on_screen"]
    assert result["result"]["score_invalid_reason"] == "too_few_frames"
    assert result["result"]["frames"]["scored"] == 1
