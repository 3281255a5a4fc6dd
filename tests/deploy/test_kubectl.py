"""The real kubectl knows every option that is used; the simulated one would accept anything."""

import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from gaze_tools.deploy.command import main
from gaze_tools.deploy.kubectl import KubectlAnswer
from tests.deploy.conftest import NEW, NEWER, PACE
from tests.deploy.fake_kubectl import FakeKubectl
from tests.manifests.conftest import KUBECTL

NOBODY = "--server=http://127.0.0.1:1"


@pytest.mark.slow
def test_the_real_kubectl_fails_only_because_there_is_no_cluster(cluster):
    kubectl, calls = FakeKubectl(cluster), {}

    def call(words, text):
        options = tuple(word.partition("=")[0] for word in words if word.startswith("--"))
        calls[words[0], options] = (words, text)
        return KubectlAnswer(*kubectl.answer(words, text))

    main(PACE, call)
    cluster.digest = NEW
    cluster.add_lease("killed", datetime.now(UTC) - timedelta(seconds=121))
    main(PACE, call)
    main(("--dry-run", *PACE), call)
    cluster.digest, cluster.serving.faults = NEWER, {NEWER: "crash"}
    main(PACE, call)
    main(("k8s-hpa/overlays/prod", *PACE), call)
    main(("k8s-hpa/overlays/prod", "--rollback", *PACE), call)

    remote = [call for (verb, options), call in calls.items() if verb != "kustomize" and "--local" not in options]
    verbs = {words[0] for words, _ in remote}
    assert verbs >= {"get", "apply", "patch", "annotate", "create", "replace", "delete", "exec", "logs", "diff"}
    for words, text in remote:
        done = subprocess.run([KUBECTL, NOBODY, *words], input=text, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "refused" in done.stderr, (words, done.stderr)
