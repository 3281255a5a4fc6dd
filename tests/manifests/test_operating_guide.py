"""docs/operating.md names only what exists."""

import re

import pytest
import yaml

from func.errors import DetectionBusyError
from func.web.metrics import Metrics
from tests.manifests.conftest import ROOT

GUIDE = (ROOT / "docs/operating.md").read_text()


def test_every_metric_is_one_that_the_function_exposes():
    metrics = Metrics()
    metrics.observe_request("/gaze", "POST", 200, 0.01)
    metrics.count_frame("ok")
    metrics.count_failure(ValueError())
    metrics.count_failure(DetectionBusyError(1.0))
    metrics.count_score(is_valid=True)
    metrics.count_refused_connection("limit")
    metrics.watch_queue("detect", lambda: 0)
    with metrics.time_stage("store"):
        pass
    exposed = set(re.findall(r"^(gaze_\w+)", metrics.render().decode(), re.MULTILINE))
    known = exposed | {name.removesuffix("_bucket") for name in exposed}

    named = set(re.findall(r"\bgaze_(?!core|tools)\w+", GUIDE))
    assert "gaze_connections_refused_total" in named
    assert named <= known


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"(?<![\w./-])(?:knative|k8s-hpa|tests|func|\.ci)/[\w./-]*[\w/]", GUIDE)))
)
def test_every_file_is_there(path):
    assert (ROOT / path).exists()


def test_its_numbers_are_those_of_the_manifests(render):
    service = render("knative/overlays/prod")["serving.knative.dev/v1", "Service", "gaze-function"]
    settings = next(
        manifest for (_, kind, _), manifest in render("knative/overlays/prod").items() if kind == "ConfigMap"
    )
    spec = service["spec"]["template"]["spec"]

    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", GUIDE, re.MULTILINE))
    assert rows == {
        "LANDMARKERS": settings["data"]["LANDMARKERS"],
        "MAX_WAITING": settings["data"]["MAX_WAITING"],
        "SCORING_PLACES": settings["data"]["SCORING_PLACES"],
        "containerConcurrency": str(spec["containerConcurrency"]),
        "THREADS": settings["data"]["THREADS"],
        "timeoutSeconds": str(spec["timeoutSeconds"]),
    }
    assert yaml.safe_load((ROOT / "knative/upstream/external/inputs.yaml").read_text())["data"].keys() >= {
        "mongoSecret"
    }
    assert f"over {service['metadata']['annotations']['serving.knative.dev/rollout-duration'][:-1]} s" in GUIDE
