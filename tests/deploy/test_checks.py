"""What `.ci/deploy` checks before it changes anything."""

import subprocess
import sys

import pytest

from gaze_tools.deploy.command import parse_arguments, read_pace
from tests.deploy.conftest import FIRST, NEW, SECOND, find_shares
from tests.deploy.rolling import RefusedError
from tests.manifests.conftest import ROOT


def test_a_missing_secret_is_named_with_the_command_that_creates_it(serving, deploy):
    serving.delete("secrets", "gaze-mongo")
    serving.digest = NEW

    done = deploy()

    assert done.status == 1
    command = "kubectl create secret generic gaze-mongo --namespace gaze --from-literal=MONGO_URI='mongodb://…'"
    assert command in done.error
    assert serving.writes == []


def test_a_secret_without_the_key_is_named(serving, deploy):
    serving.create_secret("gaze-mongo", key="uri")

    done = deploy()

    assert "secret gaze-mongo in namespace gaze has no key MONGO_URI" in done.error
    assert serving.writes == []


def test_the_optional_secret_is_not_required(serving, deploy):
    assert "gaze-session-tokens" not in deploy().error


@pytest.mark.parametrize(
    ("key", "remedy"),
    [
        (("namespaces", "", "gaze"), "kubectl create namespace gaze"),
        (("deployments", "knative-serving", "autoscaler-hpa"), "install serving-hpa.yaml"),
        (("apiservices", "", "v1beta1.metrics.k8s.io"), "install metrics-server"),
    ],
)
def test_what_is_missing_is_named_before_anything_changes(cluster, deploy, key, remedy):
    del cluster.objects[key]

    done = deploy()

    assert done.status == 1
    assert remedy in done.error
    assert cluster.writes == []


def test_without_serving_it_is_named(cluster, deploy):
    cluster.has_serving = False

    done = deploy()

    assert "Knative Serving is not installed" in done.error
    assert cluster.writes == []


def test_everything_that_is_missing_is_named_at_once(cluster, deploy):
    cluster.digest = "sha256:" + "0" * 64
    cluster.delete("secrets", "gaze-mongo")
    cluster.delete("apiservices", "v1beta1.metrics.k8s.io", "")

    error = deploy().error

    assert "placeholder" in error
    assert "gaze-mongo" in error
    assert "metrics-server" in error


def test_what_may_not_be_read_is_assumed_to_be_there(serving, deploy):
    serving.forbidden = ("get secret", "get apiservice", "get deployment")
    serving.digest = NEW

    assert deploy().status == 0


def test_optional_rights_are_optional_together(serving, deploy):
    serving.forbidden = (
        *("get secret", "get apiservice", "get deployment", "get namespace"),
        *("exec", "logs", "annotate podautoscalers", "delete revisions"),
    )
    real = serving.apply

    def refuse_namespaces(manifests, *arguments, **options):
        if any(manifest["kind"] == "Namespace" for manifest in manifests):
            raise RefusedError("Error from server (Forbidden): forbidden")
        real(manifests, *arguments, **options)

    serving.apply = refuse_namespaces
    serving.digest = NEW

    done = deploy()

    assert done.status == 0, done.error
    assert find_shares(serving)[-1] == {SECOND: 100}


def test_who_may_not_change_namespaces_can_deploy(serving, deploy):
    apply, serving.digest = serving.apply, NEW

    def refuse_namespaces(manifests, *arguments, **options):
        if any(manifest["kind"] == "Namespace" for manifest in manifests):
            raise RefusedError("Error from server (Forbidden): forbidden")
        apply(manifests, *arguments, **options)

    serving.apply = refuse_namespaces

    done = deploy()

    assert done.status == 0, done.error
    assert "namespace gaze is left as it is" in done.output


def test_a_dry_run_changes_nothing(serving, deploy):
    serving.digest = NEW

    done = deploy("--dry-run")

    assert done.status == 0
    assert f"serves now: {FIRST} 100 %. Steps for the new revision: 1, 10, 50, 100 %" in done.output
    assert "diff Service/gaze-function" in done.output
    assert serving.writes == []
    serving.settle()
    assert find_shares(serving) == [{FIRST: 100}]


def test_a_dry_run_of_the_first_deployment_lists_what_it_creates(cluster, deploy):
    cluster.delete("namespaces", "gaze", "")

    done = deploy("knative/overlays/dev", "--dry-run")

    assert done.status == 0, done.error
    assert "Namespace gaze, " in done.output
    assert cluster.writes == []


@pytest.mark.parametrize("steps", ["", "1,10", "50,10,100", "0,100", "a,100", "10,10,100"])
def test_steps_that_make_no_sense_are_refused(steps, deploy):
    with pytest.raises(SystemExit):
        deploy("--steps", steps)


def test_the_usual_rollout_takes_its_time():
    options = parse_arguments([])
    pace = read_pace(options)

    assert options.overlay == "knative/overlays/prod"
    assert (options.steps, options.max_errors, options.keep) == ((1, 10, 50, 100), 5, 2)
    assert (pace.poll_s, pace.step_polls, pace.grace_polls, pace.timeout_polls) == (5, 12, 6, 120)


def test_a_rollback_takes_one_step():
    assert parse_arguments(["--rollback"]).steps == (100,)


def test_it_needs_nothing_but_python():
    program = "import sys; sys.path.insert(0, sys.argv[1]); import gaze_tools.deploy.command"

    subprocess.run([sys.executable, "-I", "-S", "-c", program, ROOT], check=True)
