"""How busy the machine is, and what processes on it cost."""

import os
import subprocess
import sys

import pytest
from pytest import approx

from gaze_tools.bench.cpu_use import CpuUse, parse_cpu_use
from gaze_tools.bench.machine import read_machine_facts
from gaze_tools.bench.server import measure_cpu, pinned_to, read_cpu_s
from tests.gaze_tools.bench_inputs import make_machine

BEFORE = CpuUse(total_s=1000.0, busy_s=100.0, stolen_s=10.0, own_s=1.0)


def test_what_this_run_did_not_use_itself_is_other_work():
    now = CpuUse(total_s=1200.0, busy_s=180.0, stolen_s=10.0, own_s=51.0)

    assert now.percent_of_others(BEFORE) == approx(15.0)


def test_stolen_time_is_a_share_of_all_time():
    now = CpuUse(total_s=1200.0, busy_s=100.0, stolen_s=14.0, own_s=1.0)

    assert now.percent_stolen(BEFORE) == approx(2.0)


def test_other_work_is_never_negative():
    """The clocks of the system and of a process differ a little."""
    now = CpuUse(total_s=1200.0, busy_s=150.0, stolen_s=10.0, own_s=51.1)

    assert now.percent_of_others(BEFORE) == 0.0


def test_no_time_is_no_work():
    assert BEFORE.percent_of_others(BEFORE) == 0.0


def test_the_first_line_of_proc_stat_is_split_into_busy_idle_and_stolen():
    """User, nice, system, idle, waiting, interrupts, soft interrupts, stolen; guests are part of user and nice."""
    ticks = os.sysconf("SC_CLK_TCK")

    use = parse_cpu_use("cpu  10 20 30 400 50 6 4 80 7 7", own_s=0.0)

    assert use == CpuUse(total_s=600 / ticks, busy_s=70 / ticks, stolen_s=80 / ticks, own_s=0.0)


@pytest.mark.parametrize("line", ["cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3"])
def test_a_line_of_another_kind_tells_nothing(line):
    assert parse_cpu_use(line, own_s=0.0) is None


@pytest.mark.parametrize(
    ("others", "stolen", "is_busy"), [(10.0, 0.0, False), (10.1, 0.0, True), (6.0, 4.0, False), (6.0, 4.1, True)]
)
def test_a_machine_is_busy_if_others_and_the_host_take_more_than_a_tenth(others, stolen, is_busy):
    machine = make_machine(load_before=9.0, others_percent=others, stolen_percent=stolen)

    assert machine.was_busy is is_busy


def test_the_load_average_decides_only_where_the_share_of_others_is_unknown():
    assert [make_machine(load_before=load).was_busy for load in (0.5, 0.6)] == [False, True]


def test_the_load_is_told_in_words():
    machine = make_machine(load_before=0.1, load_after=2.0, others_percent=3.5, stolen_percent=0.2)

    assert machine.load == ("load average 0.1 before, 2 after; other work took 3.5 % of the CPU time, the host 0.2 %")


def test_the_facts_at_the_end_have_the_share_of_others_and_nothing_internal():
    facts = read_machine_facts().at_end()

    assert 0 <= facts.others_percent <= 100
    assert facts.use_before is None
    assert "use_before" not in facts.model_dump()


def run_script(script):
    return subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_cpu_time_of_a_process_is_known_to_the_millisecond():
    child = run_script("import time; sum(range(10**6)); print(time.process_time(), flush=True); input()")
    own_s = float(child.stdout.readline())

    cpu_s = read_cpu_s(child.pid)

    child.communicate("\n")
    assert own_s <= cpu_s <= own_s + 0.1
    assert round(1e9 * cpu_s) % 10_000_000 != 0  # a tick of the system takes 10 ms


def test_cpu_time_includes_children():
    script = (
        "import subprocess, sys; child = subprocess.Popen([sys.executable, '-c', "
        "'import time; sum(range(10**7)); print(time.process_time(), flush=True); input()'])"
        "; child.wait()"
    )
    parent = run_script(script)
    child_s = float(parent.stdout.readline())

    cpu_s = read_cpu_s(parent.pid)

    parent.communicate("\n")
    assert cpu_s > child_s


def test_a_process_that_has_ended_costs_nothing():
    child = run_script("")
    child.communicate()

    assert read_cpu_s(child.pid) == 0.0


def test_groups_of_processes_are_measured_by_name():
    with measure_cpu({"this": [os.getpid()], "none": []}) as cpu_s:
        sum(range(10**5))

    assert cpu_s["this"] > 0
    assert cpu_s["none"] == 0


def test_processes_stay_on_the_cores_on_which_they_were_started():
    before = os.sched_getaffinity(0)
    core = min(before)

    with pinned_to([core]):
        child = run_script("import os; input(); print(sorted(os.sched_getaffinity(0)))")

    assert os.sched_getaffinity(0) == before
    assert child.communicate("\n")[0] == f"[{core}]\n"
