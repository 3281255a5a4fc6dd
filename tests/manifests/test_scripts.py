"""`.ci/cluster-check`, run against a program that plays kubectl."""

import os
import subprocess

import pytest

from tests.manifests.conftest import ROOT

FAKE_CLUSTER = """#!/usr/bin/env bash
# Answers what a healthy cluster answers; $LACKS is a pattern of questions to which there is no answer.
if [ -n "${LACKS:-}" ] && [[ "$*" =~ $LACKS ]]; then exit 1; fi
case "$*" in
"version --output"*) cat <<END ;;
{"clientVersion": {"minor": "33"}, "serverVersion": {"major": "1",
 "minor": "${MINOR:-36}"}}
END
*ingress-class*) echo "${INGRESS:-kourier}.ingress.networking.knative.dev" ;;
*storageclass*) echo standard ;;
"get service "*go-template*) echo 192.0.2.1 ;;
*max-revision-timeout*) echo "${LIMIT:-}" ;;
"get services"*) echo "kourier-system/kourier" ;;
*config-domain*) echo "apps.example.com" ;;
esac
"""


@pytest.fixture
def check_cluster(tmp_path):
    def check(*arguments, **environ):
        (tmp_path / "kubectl").write_text(FAKE_CLUSTER)
        (tmp_path / "kubectl").chmod(0o755)
        return subprocess.run(
            [ROOT / ".ci/cluster-check", *arguments],
            env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return check


def test_a_cluster_that_has_everything_passes(check_cluster):
    done = check_cluster()

    assert done.returncode == 0, done.stdout
    assert "MISSING" not in done.stdout


@pytest.mark.parametrize(
    ("lacks", "remedy"),
    [
        ("^version", "kubectl cluster-info"),
        ("v1beta1.metrics.k8s.io", "install metrics-server"),
        ("get namespace", "kubectl create namespace gaze"),
        ("get secret gaze-mongo", "kubectl create secret generic gaze-mongo"),
        ("deployment/controller", "serving-core.yaml"),
        ("deployment/webhook", "get pods --namespace knative-serving"),
        ("deployment/autoscaler-hpa", "serving-hpa.yaml"),
        ("ingress-class", "ingress-class"),
        ("^get service kourier --namespace kourier-system", "EXTERNAL-IP"),
        ("config-domain", "domain-mapping.yaml"),
    ],
)
def test_what_a_cluster_lacks_is_named_with_its_remedy(check_cluster, lacks, remedy):
    done = check_cluster(LACKS=lacks)

    assert done.returncode == 1
    assert done.stdout.count("MISSING") == 1
    assert remedy in done.stdout.split("MISSING")[1]


def test_a_cluster_that_ends_requests_early_is_refused(check_cluster, render):
    service = render("knative/overlays/prod")["serving.knative.dev/v1", "Service", "gaze-function"]
    needed_s = service["spec"]["template"]["spec"]["timeoutSeconds"]
    assert check_cluster(LIMIT=str(needed_s)).returncode == 0

    assert "max-revision-timeout-seconds" in check_cluster(LIMIT=str(needed_s - 1)).stdout.split("MISSING")[1]


def test_a_cluster_without_knative_is_asked_for_less(check_cluster):
    done = check_cluster("k8s-hpa", LACKS="knative|^get services|^get service gaze-function|storageclass")

    assert done.returncode == 0, done.stdout
    assert "gaze-hpa" in done.stdout


def test_an_unknown_networking_layer_may_use_any_load_balancer(check_cluster):
    assert check_cluster(INGRESS="gateway-api").returncode == 0

    done = check_cluster(INGRESS="gateway-api", LACKS="^get services")

    assert "an address of the ingress" in done.stdout.split("MISSING")[1]


@pytest.mark.parametrize(("minor", "status"), [("29", 1), ("30", 0)])
def test_kubernetes_must_know_the_sleep_of_a_pod_that_stops(check_cluster, minor, status):
    assert check_cluster("k8s-hpa", MINOR=minor).returncode == status


def test_a_load_balancer_without_an_address_is_named(check_cluster):
    done = check_cluster("k8s-hpa", LACKS="go-template.*loadBalancer")

    assert "gaze-hpa/gaze-function" in done.stdout.split("MISSING")[1]


def test_a_default_storage_class_is_only_mentioned(check_cluster):
    done = check_cluster(LACKS="storageclass")

    assert done.returncode == 0
    assert "no default StorageClass: only the dev overlays" in done.stdout
