"""Two deployments never move the same traffic."""

from datetime import UTC, datetime, timedelta

from gaze_tools.deploy import lock
from tests.deploy.conftest import FIRST, NEW, SECOND


def test_a_second_deployment_is_refused(serving, deploy):
    serving.add_lease("laptop-1", datetime.now(UTC))
    serving.digest = NEW

    done = deploy()

    assert done.status == 1
    assert "another deployment is running: laptop-1" in done.error
    serving.settle()
    assert list(serving.serving.revisions) == [FIRST]


def test_the_lock_of_a_deployment_that_was_killed_ends(serving, deploy):
    serving.add_lease("laptop-1", datetime.now(UTC) - timedelta(seconds=121))
    serving.digest = NEW

    assert deploy().status == 0

    assert not [name for kind, _, name in serving.objects if kind == "leases"]


def test_the_lock_lasts_two_minutes_and_is_renewed_in_time(serving, deploy):
    seen = []

    def note(cluster):
        seen.extend(found.content["spec"] for (kind, _, _), found in cluster.objects.items() if kind == "leases")

    serving.on_tick.append(note)
    deploy()

    assert {spec["leaseDurationSeconds"] for spec in seen} == {120}
    assert lock.RENEW_AFTER_S == 20


def test_a_deployment_that_has_lost_the_lock_stops(serving, deploy, monkeypatch):
    monkeypatch.setattr(lock, "RENEW_AFTER_S", 0)
    serving.digest = NEW
    serving.act_once_when(
        lambda found: found.serving.find_shares().get(SECOND) == 10,
        lambda found: found.add_lease("laptop-2", datetime.now(UTC)),
    )

    done = deploy()

    assert done.status == 1
    assert "another deployment has taken the lock" in done.error
    assert serving.serving.find_shares() == {FIRST: 90, SECOND: 10}


def test_a_lock_that_is_renewed_has_not_ended_whatever_its_holder_s_clock_says(serving, deploy):
    """The clock of the other machine is ten minutes behind."""
    behind = timedelta(minutes=10)
    serving.add_lease("laptop-1", datetime.now(UTC) - behind)
    serving.on_tick.append(lambda found: found.add_lease("laptop-1", datetime.now(UTC) - behind))
    serving.digest = NEW

    done = deploy()

    assert done.status == 1
    assert "another deployment is running: laptop-1" in done.error
    assert list(serving.serving.revisions) == [FIRST]


def test_an_ended_lock_is_looked_at_for_as_long_as_two_renewals_take():
    assert lock.OBSERVATIONS * 5 == 2 * lock.RENEW_AFTER_S
