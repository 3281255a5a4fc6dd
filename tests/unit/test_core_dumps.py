"""The function does not write core dumps."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

REPORT = """
import ctypes, json, resource
PR_GET_DUMPABLE = 3
print(json.dumps([resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)]))
"""
ABORT = """
import resource
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
{disable}
import os
os.abort()
"""
DISABLE = "from func.core_dumps import disable_core_dumps; disable_core_dumps()"


def start(code, folder, **kwargs):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MONGO_URI": "mongodb://127.0.0.1"}
    return subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, **kwargs)


def dumps_core(code, folder):
    """Return whether a process that is killed by SIGABRT dumps core, according to the kernel."""
    process = start(code, folder)
    _, status = os.waitpid(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == -signal.SIGABRT
    return os.WCOREDUMP(status)


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_the_function_turns_core_dumps_off_when_it_starts(tmp_path):
    process = start(f"import func.main\n{REPORT}", tmp_path, stdout=subprocess.PIPE)
    reported, _ = process.communicate(timeout=250)

    assert json.loads(reported) == [[0, 0], 0]


def test_an_abort_then_leaves_no_core(tmp_path):
    assert not dumps_core(ABORT.format(disable=DISABLE), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_the_call_a_process_may_dump_core(tmp_path):
    reported, _ = start(REPORT, tmp_path, stdout=subprocess.PIPE).communicate(timeout=250)

    assert json.loads(reported)[1] == 1
