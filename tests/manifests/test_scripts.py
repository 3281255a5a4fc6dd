"""`.ci/cluster-check` and `.ci/deploy`, run against programs that play kubectl and func."""

import os
import subprocess

import pytest

from tests.manifests.conftest import KUBECTL, ROOT

DIGEST = "sha256:" + "ab" * 32

FAKE_CLUSTER = """#!/usr/bin/env bash
# Answers what a healthy cluster answers; $LACKS is a pattern of questions to which there is no answer.
echo "$*" >> "$LOG"
if [ -n "${LACKS:-}" ] && [[ "$*" =~ $LACKS ]]; then exit 1; fi
case "$*" in
*ingress-class*) echo kourier.ingress.networking.knative.dev ;;
*max-revision-timeout*) echo "${LIMIT:-}" ;;
"get services"*) echo "kourier-system/kourier" ;;
*config-domain*) echo "apps.example.com" ;;
esac
"""

FAKE_KUBECTL = """#!/usr/bin/env bash
# Renders as kubectl does and plays a cluster whose state is the name of the revision that gets the traffic.
set -euo pipefail
if [ "$1" = kustomize ]; then "$KUBECTL_BINARY" kustomize "$ROOT/$2" | sed "s/sha256:0000*/$DIGEST/"; exit; fi
echo "kubectl $*" >> "$LOG"
case "$*" in
"apply"*) grep -E "^  - (latestRevision|revisionName)|^ *timeoutSeconds: 330" | sort -u >> "$LOG" ;;
*"status.traffic[0].revisionName"*) cat "$STATE" ;;
*"metadata.generation"*) echo 7 ;;
*latestReadyRevisionName*) echo gaze-function-00009 ;;
*autoscaling*class*) echo "${CLASS-hpa.autoscaling.knative.dev}" ;;
*status.url*) echo http://gaze-function.example.com ;;
esac
"""

FAKE_FUNC = """#!/usr/bin/env bash
echo "func $*" >> "$LOG"
if [ -n "${FUNC_FAILS:-}" ]; then exit 1; fi
for word; do if [ "${path:-}" = next ]; then echo "specVersion: rewritten" > "$word/func.yaml"; fi
  [ "$word" = --path ] && path=next || path=; done
"""


@pytest.fixture
def run_script(tmp_path):
    def run(script, *arguments, programs, **environ):
        for name, text in programs.items():
            (tmp_path / name).write_text(text)
            (tmp_path / name).chmod(0o755)
        log = tmp_path / "log"
        log.write_text("")
        state = tmp_path / "state"
        if not state.exists():
            state.write_text("")
        done = subprocess.run(
            [ROOT / ".ci" / script, *arguments],
            env={
                "PATH": f"{tmp_path}:{os.environ['PATH']}",
                "LOG": str(log),
                "STATE": str(state),
                "ROOT": str(ROOT),
                "KUBECTL_BINARY": str(KUBECTL),
                "DIGEST": DIGEST,
                **environ,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done, log.read_text().splitlines()

    return run


@pytest.fixture
def check_cluster(run_script):
    def check(*arguments, **environ):
        return run_script("cluster-check", *arguments, programs={"kubectl": FAKE_CLUSTER}, **environ)[0]

    return check


@pytest.fixture
def deploy(run_script, tmp_path):
    def run(overlay="knative/overlays/prod", serving="", **environ):
        (tmp_path / "state").write_text(serving)
        return run_script("deploy", overlay, programs={"kubectl": FAKE_KUBECTL, "func": FAKE_FUNC}, **environ)

    return run


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
        ("^get services", "EXTERNAL-IP"),
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
    done = check_cluster("k8s-hpa", LACKS="knative|^get services")

    assert done.returncode == 0, done.stdout
    assert "gaze-hpa" in done.stdout


def test_a_first_deployment_sends_traffic_to_the_revision_of_the_overlay(deploy):
    done, log = deploy()

    assert done.returncode == 0, done.stderr
    (func,) = [line for line in log if line.startswith("func ")]
    assert f"--image registry.example.com/gaze/gaze-function@{DIGEST} --build=false --push=false" in func
    after_func = log[log.index(func) :]
    assert "    timeoutSeconds: 330" in [f"    {line.strip()}" for line in after_func]
    assert any('{"spec":{"traffic":[{"latestRevision":true,"percent":100}]}}' in line for line in after_func)


def test_while_func_deploys_traffic_stays_where_it_was(deploy):
    done, log = deploy(serving="gaze-function-00007")

    assert done.returncode == 0, done.stderr
    traffic = [line for line in log if "traffic" in line and "patch" in line]
    func = next(number for number, line in enumerate(log) if line.startswith("func "))
    assert '"revisionName":"gaze-function-00007"' in traffic[0]
    assert log.index(traffic[0]) < func < log.index(traffic[1])
    assert "  - revisionName: gaze-function-00007" in log[func:]
    assert "  - latestRevision: true" not in log[func:]
    assert '"latestRevision":true' in traffic[1]


@pytest.mark.parametrize("failure", [{"FUNC_FAILS": "yes"}, {"CLASS": "kpa.autoscaling.knative.dev"}, {"CLASS": ""}])
def test_where_it_fails_traffic_stays_where_it_was(deploy, failure):
    done, log = deploy(serving="gaze-function-00007", **failure)

    assert done.returncode != 0
    traffic = [line for line in log if "traffic" in line and "patch" in line]
    assert len(traffic) == 1
    assert "gaze-function-00007" in traffic[0]


def test_func_rewrites_a_copy_of_its_file(deploy):
    before = (ROOT / "func.yaml").read_text()

    deploy()

    assert (ROOT / "func.yaml").read_text() == before


def test_a_placeholder_is_not_deployed(deploy):
    done, log = deploy(DIGEST="sha256:" + "0" * 64)

    assert done.returncode == 1
    assert "placeholder" in done.stderr
    assert log == []
