"""The Python blocks of docs/python.md, in order, with the real function."""

import re

import pytest

from gaze_tools.sample_clip import SAMPLE, count_frames, seed_sample_maps
from gaze_tools.stack.launcher import start_function, start_upstream_services
from tests.docs.test_links import ROOT

BLOCKS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/python.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_every_block_runs_and_does_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {"__name__": "python_md"}
    with start_upstream_services(tmp_path) as upstream:
        seed_sample_maps(upstream, count_frames(str(SAMPLE / "video.mp4")))
        with start_function(upstream, tmp_path) as url:
            for number, block in enumerate(BLOCKS, 1):
                code = compile(block.replace("http://localhost:8080", url), f"docs/python.md, block {number}", "exec")
                exec(code, names)

    assert (names["reply"].validity, names["reply"].gaze.on_screen) == ("ok", True)
    assert names["report"].used
    assert names["report"].validation_accuracy_deg is not None
    assert [reply.frame_number for reply in names["replies"]] == list(range(1, 201))
    assert names["result"].score_valid
    assert names["result"].final_score > names["result"].chance_level
    assert names["result"].result["frames"]["received"] == 200
    refused = names["refused"]
    assert (refused.status, refused.type) == (415, "/problems/unsupported-media-type")
    assert (refused.frame_numbers, list(refused.replies)) == ((2,), [1])
