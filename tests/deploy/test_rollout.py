"""What `.ci/deploy` does to the traffic of a Knative Service."""

import pytest

from tests.deploy.conftest import FIRST, NEW, NEWER, SECOND, THIRD, find_overload, find_shares
from tests.deploy.rolling import RefusedError

STEPS = [
    {FIRST: 100},
    {FIRST: 99, SECOND: 1},
    {FIRST: 90, SECOND: 10},
    {FIRST: 50, SECOND: 50},
    {SECOND: 100},
]


def test_a_first_deployment_serves_with_its_min_scale(cluster, deploy):
    cluster.serving.load_pods = 1

    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(cluster) == [{}, {FIRST: 100}]
    assert cluster.serving.history[-1].ready == {FIRST: 3}


def test_a_new_image_gets_the_traffic_step_by_step(serving, deploy):
    serving.digest = NEW

    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(serving) == STEPS
    assert find_overload(serving) == []


@pytest.mark.parametrize("load_pods", [1, 30, 50])
def test_each_step_waits_for_the_pods_that_it_needs(serving, deploy, load_pods):
    serving.serving.load_pods = load_pods
    serving.settle(20)
    serving.digest = NEW

    assert deploy().status == 0

    assert find_shares(serving)[-5:] == STEPS
    assert find_overload(serving) == []


def test_an_older_release_of_serving_scales_too(serving, deploy):
    serving.serving.heeds_revision_annotations = False
    serving.serving.load_pods = 30
    serving.settle(20)
    serving.digest = NEW

    assert deploy().status == 0

    assert find_overload(serving) == []


def test_a_serving_that_ignores_targets_without_traffic_will_do(serving, deploy):
    serving.serving.heeds_targets_without_traffic = False
    serving.digest = NEW

    assert deploy().status == 0

    assert find_shares(serving) == STEPS
    assert find_overload(serving) == []


def test_the_old_pods_stay_until_the_last_step_has_been_watched(serving, deploy):
    serving.digest = NEW

    deploy()

    last_step = next(moment.tick for moment in serving.serving.history if moment.shares == {SECOND: 100})
    held = [moment.ready[FIRST] for moment in serving.serving.history if moment.tick <= last_step + 8]
    assert set(held) == {6}


def test_afterwards_both_revisions_scale_by_their_own_bounds(serving, deploy):
    serving.digest = NEW

    deploy()
    serving.serving.load_pods = 1
    serving.settle()

    assert serving.serving.history[-1].ready == {FIRST: 1, SECOND: 3}


def test_the_steps_can_be_chosen(serving, deploy):
    serving.digest = NEW

    assert deploy("--steps", "20,100").status == 0

    assert find_shares(serving) == [{FIRST: 100}, {FIRST: 80, SECOND: 20}, {SECOND: 100}]
    assert find_overload(serving) == []


def test_the_service_ends_as_the_overlay_describes_it(serving, deploy):
    serving.digest = NEW

    deploy()

    assert serving.serving.service["spec"]["traffic"] == [{"latestRevision": True, "percent": 100}]


def test_the_same_image_again_changes_nothing(serving, deploy):
    done = deploy()

    assert done.status == 0, done.error
    assert list(serving.serving.revisions) == [FIRST]
    assert find_shares(serving) == [{FIRST: 100}]


def test_the_next_deployment_continues_a_rollout_that_was_killed(killed_at_10_percent, deploy):
    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(killed_at_10_percent) == [{FIRST: 90, SECOND: 10}, {FIRST: 50, SECOND: 50}, {SECOND: 100}]
    assert find_overload(killed_at_10_percent) == []


def test_after_a_killed_rollout_nothing_keeps_its_pods(killed_at_10_percent, deploy):
    deploy()

    killed_at_10_percent.serving.load_pods = 1
    killed_at_10_percent.settle()
    assert killed_at_10_percent.serving.history[-1].ready == {FIRST: 1, SECOND: 3}


def test_another_image_in_the_middle_of_a_rollout_takes_from_both(killed_at_10_percent, deploy):
    killed_at_10_percent.digest = NEWER

    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(killed_at_10_percent) == [
        {FIRST: 90, SECOND: 10},
        {FIRST: 89, SECOND: 10, THIRD: 1},
        {FIRST: 81, SECOND: 9, THIRD: 10},
        {FIRST: 45, SECOND: 5, THIRD: 50},
        {THIRD: 100},
    ]
    assert find_overload(killed_at_10_percent) == []


def test_the_gradual_rollout_of_serving_itself_stops_where_it_is(serving, deploy):
    """After a plain `kubectl apply`, Serving moves the traffic. A deployment then continues from there."""
    serving.digest = NEW
    serving.apply_overlay()
    while serving.serving.find_shares().get(SECOND, 0) < 20:
        serving.tick()
    serving.serving.history.clear()

    assert deploy().status == 0

    assert find_shares(serving)[-2:] == [{FIRST: 50, SECOND: 50}, {SECOND: 100}]


def test_tags_keep_their_revisions(serving, deploy):
    serving.apply_traffic([{"latestRevision": True, "percent": 100}, {"tag": "stable", "revisionName": FIRST}])
    serving.digest = NEW

    assert deploy().status == 0

    assert serving.serving.service["spec"]["traffic"] == [
        {"latestRevision": True, "percent": 100},
        {"tag": "stable", "revisionName": FIRST, "percent": 0, "latestRevision": False},
    ]


def test_a_tag_of_the_latest_revision_follows_it_again_at_the_end(serving, deploy):
    serving.apply_traffic([{"latestRevision": True, "percent": 100}, {"tag": "next", "latestRevision": True}])
    serving.digest = NEW

    assert deploy().status == 0

    assert serving.serving.service["spec"]["traffic"][1] == {"tag": "next", "latestRevision": True, "percent": 0}


def test_a_tag_in_the_overlay_does_not_occur_twice(serving, deploy):
    serving.replacements = [
        ("  - latestRevision: true\n    percent: 100", "  - latestRevision: true\n    percent: 100\n    tag: current")
    ]
    for digest in (NEW, NEWER):
        serving.digest = digest
        done = deploy("--steps", "100")
        assert done.status == 0, done.error

    assert [entry["tag"] for entry in serving.serving.service["spec"]["traffic"]] == ["current"]
    assert serving.serving.find_shares() == {THIRD: 100}


def test_a_plain_apply_afterwards_has_no_conflict(serving, deploy):
    serving.digest = NEW
    deploy()
    serving.digest = NEWER

    serving.apply_overlay()

    serving.settle(150)
    assert serving.serving.find_shares() == {THIRD: 100}


def test_old_revisions_are_deleted_but_for_those_to_go_back_to(serving, deploy):
    for digit in "1234":
        serving.digest = "sha256:" + digit * 64
        assert deploy("--keep", "1", "--steps", "100").status == 0

    assert sorted(serving.serving.revisions) == ["gaze-function-00004", "gaze-function-00005"]


def test_the_same_image_without_old_revisions_deletes_them(serving, deploy):
    serving.digest = NEW
    deploy()

    assert deploy("--keep", "0").status == 0

    assert list(serving.serving.revisions) == [SECOND]


@pytest.mark.parametrize("ticks", range(20, 60, 5))
def test_a_cluster_that_does_not_answer_for_a_moment_is_asked_again(serving, deploy, ticks):
    serving.digest = NEW
    serving.act_once_at(ticks, lambda found: setattr(found, "failing_reads", 3))

    assert deploy().status == 0

    assert find_shares(serving) == STEPS


@pytest.mark.parametrize("stage", ["check_rights", "note_change"])
def test_a_write_without_an_answer_is_repeated(serving, deploy, stage):
    """The connection breaks before the API server has changed the traffic, or afterwards."""
    serving.digest, act, left = NEW, getattr(serving, stage), [1]

    def lose_the_connection(what):
        is_write = what[0].startswith("services.") if stage == "note_change" else what.startswith("patch services.")
        act(what)
        if is_write and serving.serving.find_shares().get(SECOND) == 10 and left:
            left.pop()
            raise RefusedError("Unable to connect to the server: EOF")

    setattr(serving, stage, lose_the_connection)

    assert deploy().status == 0

    assert not left
    assert find_shares(serving) == STEPS
