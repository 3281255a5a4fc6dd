"""`.ci/deploy` as a process, with a kubectl that talks to a `FakeCluster`."""

import gc
import math
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gaze_tools.deploy.command import main
from gaze_tools.deploy.kubectl import KubectlAnswer
from tests.deploy.fake_cluster import FakeCluster
from tests.deploy.fake_kubectl import ClusterServer, FakeKubectl
from tests.manifests.conftest import ROOT

OLD, NEW, NEWER = ("sha256:" + digit * 64 for digit in "abc")
FIRST, SECOND, THIRD = (f"gaze-function-0000{number}" for number in (1, 2, 3))
PACE = ("--poll-seconds=0.0001", "--step-seconds=0.0008", "--timeout-seconds=0.008")
"""8 polls for a step, 80 for a timeout: times are counted in polls, so a busy machine changes nothing."""


@dataclass
class Deployed:
    """How a deployment ended."""

    status: int
    output: str
    error: str


@pytest.fixture
def cluster():
    return FakeCluster(OLD)


@pytest.fixture
def deploy(cluster, capsys):
    """Return a function that runs the deployment in this process."""
    kubectl = FakeKubectl(cluster)

    def run(*arguments):
        capsys.readouterr()
        gc.disable()  # what a signal's handler raises is lost in a callback of the collector; Hypothesis has one
        try:
            status = main((*arguments, *PACE), lambda words, text: KubectlAnswer(*kubectl.answer(words, text)))
        finally:
            gc.enable()
        printed = capsys.readouterr()
        return Deployed(status, printed.out, printed.err)

    return run


@pytest.fixture
def server(cluster):
    with tempfile.TemporaryDirectory() as folder:  # the path of a socket must be short
        found = ClusterServer(cluster, Path(folder))
        yield found
        found.close()


@pytest.fixture
def not_under_nohup():
    """Let a deployment, here or in a process, see a SIGHUP, which it would ignore if these tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def start(server, not_under_nohup):
    """Return a function that starts `.ci/deploy`."""

    def run(*arguments):
        folder = Path(server.address).parent
        environ = {"PATH": f"{folder}:{os.environ['PATH']}", "FAKE_CLUSTER": server.address}
        return subprocess.Popen(
            [ROOT / ".ci/deploy", *arguments, *PACE],
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return run


@pytest.fixture
def serving(cluster, deploy):
    """Return the cluster after a first deployment; its history begins afterwards."""
    assert deploy().status == 0
    cluster.settle(20)
    cluster.serving.history.clear()
    cluster.log.clear()
    cluster.writes.clear()
    return cluster


@pytest.fixture
def killed_at_10_percent(serving, deploy):
    """Return the cluster after a deployment of another image that was killed when 10 % of the traffic had moved."""
    serving.digest = NEW

    def kill(found):
        if found.serving.find_shares().get(SECOND) == 10:
            raise KilledError  # nothing more is written

    serving.on_tick.append(kill)
    with pytest.raises(KilledError):
        deploy()
    assert serving.serving.find_shares() == {FIRST: 90, SECOND: 10}
    serving.on_tick.clear()
    serving.add_lease("killed", datetime.now(UTC) - timedelta(seconds=121))
    serving.serving.history.clear()
    return serving


class KilledError(BaseException):
    """Plays SIGKILL: every further call of kubectl ends like this."""


def signal_at(cluster, percent, number, pid=None):
    """Send a signal as soon as a revision other than the first one has a percentage of the traffic.

    By default, this process gets it, in which the deployment runs and should handle it.
    """
    sent = threading.Event()

    def act(found):
        shares = found.serving.find_shares()
        if not sent.is_set() and any(share >= percent and not name.endswith("1") for name, share in shares.items()):
            sent.set()
            assert pid is not None or signal.getsignal(number) not in {signal.SIG_DFL, signal.default_int_handler}
            os.kill(pid or os.getpid(), number)

    cluster.on_tick.append(act)


def find_shares(cluster):
    """Return the different traffic splits, in order."""
    splits = []
    for moment in cluster.serving.history:
        if not splits or splits[-1] != moment.shares:
            splits.append(moment.shares)
    return splits


def find_overload(cluster):
    """Return the moments at which a revision gets a greater share than its ready pods can serve."""
    before, found = None, []
    for moment in cluster.serving.history:
        for name, share in moment.shares.items():
            has_grown = before is not None and share > before.shares.get(name, 0)
            needed = math.ceil(cluster.serving.load_pods * share / 100)
            if has_grown and moment.ready.get(name, 0) < needed:
                found.append((moment.tick, name, share, moment.ready.get(name, 0), needed))
        before = moment
    return found
