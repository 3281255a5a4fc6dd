"""`.ci/deploy k8s-hpa/overlays/prod`."""

import pytest

from gaze_tools.deploy import lock
from tests.deploy.conftest import NEW, NEWER, OLD
from tests.deploy.rolling import RefusedError

OVERLAY = "k8s-hpa/overlays/prod"


@pytest.fixture
def plain(cluster, deploy):
    assert deploy(OVERLAY).status == 0
    cluster.rollout.history.clear()
    return cluster


def find_image(cluster):
    return cluster.rollout.deployment["spec"]["template"]["spec"]["containers"][0]["image"].partition("@")[2]


def test_a_new_image_replaces_the_pods_and_never_leaves_fewer(plain, deploy):
    plain.digest = NEW

    done = deploy(OVERLAY)

    assert done.status == 0, done.error
    assert plain.rollout.history[-1] == {"h1": 0, "h2": 3}
    assert min(sum(ready.values()) for ready in plain.rollout.history) == 3


def test_a_failed_pull_goes_back_early_and_names_the_reason(plain, deploy):
    plain.digest, plain.serving.faults = NEW, {NEW: "pull"}

    done = deploy(OVERLAY)

    assert done.status == 1
    assert "ImagePullBackOff" in done.error
    assert find_image(plain) == OLD
    assert {ready["h1"] for ready in plain.rollout.history} == {3}


def test_it_rolls_back(plain, deploy):
    for digest in (NEW, NEWER):
        plain.digest = digest
        assert deploy(OVERLAY).status == 0

    assert deploy(OVERLAY, "--rollback").status == 0

    assert find_image(plain) == NEW


def test_it_rolls_back_to_a_number(plain, deploy):
    for digest in (NEW, NEWER):
        plain.digest = digest
        assert deploy(OVERLAY).status == 0

    assert deploy(OVERLAY, "--rollback", "1").status == 0

    assert find_image(plain) == OLD


def test_a_missing_secret_is_named_first(cluster, deploy):
    cluster.delete("secrets", "gaze-mongo", "gaze-hpa")

    done = deploy(OVERLAY)

    assert "kubectl create secret generic gaze-mongo --namespace gaze-hpa" in done.error
    assert cluster.writes == []


def test_a_cluster_that_does_not_answer_for_a_moment_is_asked_again(plain, deploy, monkeypatch):
    plain.digest, left, check = NEW, [3], plain.check_rights

    def lose_the_connection(line):
        check(line)
        if line.startswith("get deployments.apps,") and left[0]:
            left[0] -= 1
            raise RefusedError("Unable to connect to the server: EOF")

    monkeypatch.setattr(plain, "check_rights", lose_the_connection)

    assert deploy(OVERLAY).status == 0

    assert left == [0]
    assert find_image(plain) == NEW


def test_a_deployment_that_has_lost_the_lock_leaves_the_pods_to_the_other_one(plain, deploy, monkeypatch):
    monkeypatch.setattr(lock, "RENEW_AFTER_S", 0)
    plain.digest = NEW

    def take(found):
        lease = found.objects["leases", "gaze-hpa", "gaze-function-deploy"]
        lease.content["spec"]["holderIdentity"] = "laptop-2"

    plain.act_once_when(lambda found: find_image(found) == NEW, take)

    done = deploy(OVERLAY)

    assert done.status == 1
    assert "another deployment has taken the lock" in done.error
    assert find_image(plain) == NEW
