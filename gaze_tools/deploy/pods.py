"""What the pods of a revision report."""

from collections.abc import Sequence
from dataclasses import dataclass

from gaze_tools.deploy.kubectl import Manifest

HOPELESS = {"InvalidImageName", "ErrImageNeverPull"}
"""Reasons that never pass without a change."""

FAILING = HOPELESS | {
    "ErrImagePull",
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
}
"""Reasons for which a container does not start. Most may pass: a registry is slow, a secret is created."""


@dataclass(frozen=True, slots=True)
class Pod:
    """State of a pod."""

    name: str
    owner: str
    """Knative revision, or the hash of the Deployment's pod template."""
    is_ready: bool
    restart_count: int
    failure: str | None
    """Why it does not start: one of `FAILING`."""
    message: str
    """The reason with its details, also where the pod only waits."""


def read_pod(manifest: Manifest) -> Pod | None:
    """Return the state of a pod; None if it is stopping or not one of the function's."""
    metadata = manifest["metadata"]
    labels = metadata.get("labels", {})
    owner = labels.get("serving.knative.dev/revision") or labels.get("pod-template-hash")
    status = manifest.get("status", {})
    if owner is None or "deletionTimestamp" in metadata or status.get("phase") in {"Failed", "Succeeded"}:
        return None
    conditions = {condition["type"]: condition for condition in status.get("conditions", [])}
    containers = status.get("containerStatuses", [])
    waiting = [state for container in containers if (state := container.get("state", {}).get("waiting"))]
    failing = [state for state in waiting if state.get("reason") in FAILING]
    scheduled = conditions.get("PodScheduled", {})
    details = failing or [scheduled] * (scheduled.get("status") == "False") or waiting
    return Pod(
        name=metadata["name"],
        owner=owner,
        is_ready=conditions.get("Ready", {}).get("status") == "True",
        restart_count=sum(container.get("restartCount", 0) for container in containers),
        failure=failing[0]["reason"] if failing else None,
        message=": ".join(filter(None, (details[0].get("reason"), details[0].get("message")))) if details else "",
    )


def describe_pods(pods: Sequence[Pod]) -> str:
    """Return why pods are not ready, each reason once, or an empty text."""
    return "; ".join(sorted({f"{pod.name}: {pod.message}" for pod in pods if not pod.is_ready and pod.message})[:3])
