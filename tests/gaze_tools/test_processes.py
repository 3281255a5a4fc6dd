"""Child processes and Ctrl-C."""

import os
import signal
import sys

import pytest

from gaze_tools.stack import processes
from gaze_tools.stack.processes import run_process


def test_ctrl_c_while_a_child_starts_leaves_no_child_behind(tmp_path, monkeypatch):
    children, kept = [], processes.subprocess.Popen

    def start(*arguments, **options):
        os.kill(os.getpid(), signal.SIGINT)  # the handler of Python runs at the next bytecode
        children.append(kept(*arguments, **options))
        return children[0]

    monkeypatch.setattr(processes.subprocess, "Popen", start)
    with (
        pytest.raises(KeyboardInterrupt),
        run_process([sys.executable, "-c", "import time; time.sleep(60)"], log_path=tmp_path / "log"),
    ):
        pytest.fail("the interrupt was lost")

    assert children[0].returncode is not None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
