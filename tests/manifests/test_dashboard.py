"""Every query of dashboard and alerts is answered by a real Prometheus that scrapes the running function."""

import math
import os
import shutil
import time

import pytest

from tests.manifests.prometheus_server import monitor_function, send_everything
from tests.manifests.test_monitoring import ALERTS, list_queries

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TRAFFIC_S = 25


def fill_in(expression):
    """Replace Grafana's variables as Grafana does, for this short run."""
    return expression.replace("$__rate_interval", "30s").replace("$namespace", ".*")


@pytest.fixture(scope="module")
def monitored(tmp_path_factory):
    """Return Prometheus and a moment after traffic of all kinds."""
    if shutil.which("prometheus") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("prometheus is missing: .ci/install debian prometheus")
    with monitor_function(tmp_path_factory.mktemp("monitored")) as (url, prometheus):
        send_everything(url, seconds=TRAFFIC_S)
        time.sleep(2)
        yield prometheus, time.time()


@pytest.mark.parametrize("expression", list_queries())
def test_a_query_of_the_dashboard_has_an_answer(monitored, expression):
    prometheus, now_s = monitored

    samples = prometheus.query(fill_in(expression), now_s)
    assert samples
    assert all(math.isfinite(float(sample["value"][1])) for sample in samples)


@pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])
def test_prometheus_can_evaluate_an_alert(monitored, alert):
    prometheus, now_s = monitored

    assert isinstance(prometheus.query(alert["expr"], now_s), list)


def test_a_query_that_is_wrong_fails(monitored):
    prometheus, now_s = monitored

    with pytest.raises(ValueError, match="parse error"):
        prometheus.query("sum by (rate(gaze_frames_total[5m]))", now_s)
