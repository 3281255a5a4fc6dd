"""Child processes and Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gaze_tools.stack import launcher, processes
from gaze_tools.stack.processes import find_free_port, find_free_ports, run_process
from tests.running import ROOT


@pytest.fixture
def interruptible():
    """Make SIGINT raise KeyboardInterrupt; shells ignore it in background jobs."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
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


def test_a_local_function_never_calls_services_elsewhere(monkeypatch):
    seen = {}

    @contextlib.contextmanager
    def remember(_command, *, log_path, environment):
        seen.update(environment)
        yield None

    monkeypatch.setattr(launcher, "run_process", remember)
    monkeypatch.setattr(launcher, "await_ready", lambda *_arguments, **_options: None)
    for name in ("MONGO_DATABASE", "OUTBOUND_PROXY", "CA_BUNDLE", "MONGO_URI", "GAZE_ACCURACY_DEG"):
        monkeypatch.setenv(name, "the caller's")
    upstream = launcher.UpstreamServices("mongodb://here", "http://here:1", "http://here:2")

    with launcher.start_function(upstream, Path("logs"), settings={"LANDMARKERS": "1"}):
        pass

    assert not {"MONGO_DATABASE", "OUTBOUND_PROXY", "CA_BUNDLE"} & set(seen)
    assert (seen["MONGO_URI"], seen["GAZE_ACCURACY_DEG"], seen["LANDMARKERS"]) == (
        "mongodb://here",
        "the caller's",
        "1",
    )


def test_free_ports_differ_and_no_outgoing_connection_is_given_one():
    ports = [find_free_port() for _ in range(100)]

    assert len(set(ports)) == 100
    assert max(ports) < 32_768  # where those of Linux begin


def test_two_processes_that_look_for_a_port_at_the_same_time_get_different_ones():
    taken = find_free_port()
    program = (
        "from gaze_tools.stack import processes\n"
        f"processes._ports = iter([{taken}, *range(10_000, 20_000)])\n"
        "print(processes.find_free_port())"
    )

    other = int(subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT))

    assert other != taken


def test_ports_in_a_row_leave_out_those_of_another_process():
    taken = find_free_port()
    program = (
        "from gaze_tools.stack import processes\n"
        f"processes._ports = iter([*range({taken - 2}, 20_000), *range(10_000, 20_000)])\n"
        "print(*processes.find_free_ports(3))"
    )

    output = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT)

    first, *others = map(int, output.split())
    assert others == [first + 1, first + 2]
    assert taken not in {first, *others}


def test_each_of_several_ports_in_a_row_is_marked():
    assert [processes._mark_port(port) for port in find_free_ports(3)] == [None] * 3


def test_only_so_many_marks_of_ports_are_kept(monkeypatch):
    monkeypatch.setattr(processes, "_MARKS_KEPT", len(processes._marks) + 1)

    marks = [(find_free_port(), len(processes._marks))[1] for _ in range(3)]

    assert marks == [processes._MARKS_KEPT] * 3
