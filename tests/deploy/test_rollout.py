"""What `.ci/deploy` does to the traffic of a Knative Service."""

from tests.deploy.conftest import NEW, find_overload, find_shares

FIRST, SECOND = "gaze-function-00001", "gaze-function-00002"


def test_a_first_deployment_serves_with_its_min_scale(cluster, deploy):
    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(cluster) == [{}, {FIRST: 100}]
    assert cluster.serving.history[-1].ready == {FIRST: 6}


def test_a_new_image_gets_the_traffic_step_by_step(serving, deploy):
    serving.digest = NEW

    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(serving) == [
        {FIRST: 100},
        {FIRST: 99, SECOND: 1},
        {FIRST: 90, SECOND: 10},
        {FIRST: 50, SECOND: 50},
        {SECOND: 100},
    ]
    assert find_overload(serving) == []
