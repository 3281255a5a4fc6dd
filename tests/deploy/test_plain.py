"""`.ci/deploy k8s-hpa/overlays/prod`."""

import pytest

from tests.deploy.conftest import NEW, NEWER, OLD

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
