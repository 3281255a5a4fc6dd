"""A signal at any moment of a deployment leaves one revision with all the traffic, and nothing else behind."""

import os
import signal

import pytest

from tests.deploy.conftest import FIRST, NEW, SECOND, find_overload


@pytest.mark.parametrize("ticks", range(1, 91, 5))
def test_at_any_moment_one_revision_has_everything_again(serving, deploy, ticks):
    serving.digest = NEW
    serving.act_once_at(ticks, lambda _: os.kill(os.getpid(), signal.SIGINT))

    done = deploy()

    serving.settle()
    assert done.status in {0, 130}, done.error
    assert serving.serving.find_shares() in ([{SECOND: 100}] if done.status == 0 else [{FIRST: 100}, {SECOND: 100}])
    assert find_overload(serving) == []
    assert not [name for kind, _, name in serving.objects if kind == "leases"]
    held = [
        name
        for name, found in serving.serving.revisions.items()
        if "gaze-function/min-scale-before-deploy" in found.annotations
    ]
    assert held == []
