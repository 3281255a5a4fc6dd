"""Deploying to plain Kubernetes: the Deployment replaces its pods, and goes back if the new ones fail."""

import time

from gaze_tools.deploy.health import PodFailures
from gaze_tools.deploy.kubectl import DeployError, Kubectl, KubectlError, Manifest
from gaze_tools.deploy.overlay import FUNCTION, Overlay
from gaze_tools.deploy.pace import Polling
from gaze_tools.deploy.pods import Pod, describe_pods, read_pod
from gaze_tools.deploy.policies import PolicyChange
from gaze_tools.deploy.rollout import Report, is_left_alone

DEPLOYMENT = f"deployments.apps/{FUNCTION}"
KINDS = "deployments.apps,replicasets.apps,pods"
REVISION = "deployment.kubernetes.io/revision"


class PlainDeployment:
    """One deployment or rollback of the Deployment.

    Its strategy (`maxUnavailable: 0`) never removes an old pod before a new one is ready, so there are never fewer pods
    than before.
    """

    def __init__(self, kubectl: Kubectl, overlay: Overlay, polling: Polling, report: Report) -> None:
        self._kubectl = kubectl
        self._overlay = overlay
        self._polling = polling
        self._report = report
        self._policies = PolicyChange(kubectl, overlay.policies)

    def deploy(self) -> None:
        """Apply the overlay and wait until all pods are new.

        Raises:
            DeployError: It failed; the earlier pods serve, or are being started again.
        """
        before = self._kubectl.find(DEPLOYMENT)
        try:
            self._policies.widen()
            self._kubectl.apply(self._overlay.others)
            self._kubectl.apply([self._overlay.workload])
            self._wait()
        except BaseException as error:
            if not is_left_alone(error):
                self._report(f"failed: {error}")
                self._restore(before)
            raise
        self._policies.finish()
        self._report(f"deployment {FUNCTION} serves {self._overlay.image}")

    def roll_back(self, revision: str | None) -> None:
        """Go back to an earlier pod template.

        Args:
            revision: Its number in `kubectl rollout history`; by default the previous one.

        Raises:
            DeployError: It failed.
        """
        self._undo(revision)
        self._wait()
        self._report(
            f"deployment {FUNCTION} is back; write its image into {self._overlay.folder}, "
            "or the next deployment upgrades again"
        )

    def _wait(self) -> None:
        """Wait until all pods are new and ready.

        Raises:
            DeployError: They do not become ready.
        """
        pace = self._polling.pace
        failures = PodFailures(self._kubectl, pace.grace_polls)
        details, failed_reads = "", 0
        for _ in self._polling.count(pace.timeout_polls):
            try:
                items = self._kubectl.get(KINDS)["items"]
            except KubectlError:
                failed_reads += 1
                if failed_reads > pace.grace_polls:
                    raise
                continue
            failed_reads = 0
            deployment = next((item for item in items if is_function(item, "Deployment")), None)
            if deployment is None:
                raise DeployError(f"something else has deleted the deployment {FUNCTION}")
            if is_complete(deployment):
                return
            pods = find_new_pods(items, deployment)
            failures.check(pods)
            details = describe_pods(pods)
        raise DeployError(f"not all pods became ready in time. {details}".strip())

    def _restore(self, before: Manifest | None) -> None:
        if before is not None:
            self._report("going back to the earlier pods")
            for attempts_left in reversed(range(self._polling.pace.timeout_polls)):
                try:
                    after = self._kubectl.get(DEPLOYMENT)
                    if after["spec"]["template"] != before["spec"]["template"]:
                        self._undo(before["metadata"].get("annotations", {}).get(REVISION))
                except KubectlError:
                    if not attempts_left:
                        raise
                    time.sleep(self._polling.pace.poll_s)
                else:
                    break
        self._policies.undo()

    def _undo(self, revision: str | None) -> None:
        number = [f"--to-revision={revision}"] if revision else []
        self._kubectl.ask("rollout", "undo", DEPLOYMENT, *number)


def is_function(item: Manifest, kind: str) -> bool:
    """Return whether an object is the function's, of a kind."""
    return bool(item["kind"] == kind and item["metadata"]["name"] == FUNCTION)


def is_complete(deployment: Manifest) -> bool:
    """Return whether all pods of a Deployment come from its current template and are available."""
    status = deployment.get("status", {})
    wanted = deployment["spec"].get("replicas", 1)
    return bool(
        status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
        and status.get("updatedReplicas", 0)
        == status.get("replicas", 0)
        == status.get("availableReplicas", 0)
        == wanted
    )


def find_new_pods(items: list[Manifest], deployment: Manifest) -> tuple[Pod, ...]:
    """Return the pods that come from the current template of a Deployment."""
    revision = deployment["metadata"].get("annotations", {}).get(REVISION)
    hashes = {
        item["metadata"].get("labels", {}).get("pod-template-hash")
        for item in items
        if item["kind"] == "ReplicaSet"
        and item["metadata"].get("labels", {}).get("app.kubernetes.io/name") == FUNCTION
        and item["metadata"].get("annotations", {}).get(REVISION) == revision
    }
    pods = (read_pod(item) for item in items if item["kind"] == "Pod")
    return tuple(pod for pod in pods if pod is not None and pod.owner in hashes)
