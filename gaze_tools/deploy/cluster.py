"""The state of the Knative Service in the cluster."""

from dataclasses import dataclass
from functools import cached_property

from gaze_tools.deploy.kubectl import Kubectl, KubectlError, Manifest
from gaze_tools.deploy.overlay import FUNCTION, KNATIVE_SERVICE
from gaze_tools.deploy.pods import Pod, read_pod
from gaze_tools.deploy.traffic import Target, find_shares

KINDS = ",".join(
    (
        "services.serving.knative.dev",
        "configurations.serving.knative.dev",
        "routes.serving.knative.dev",
        "revisions.serving.knative.dev",
        "pods",
    )
)
MIN_SCALE = "autoscaling.knative.dev/min-scale"
MAX_SCALE = "autoscaling.knative.dev/max-scale"
HELD_MIN_SCALE = "gaze-function/min-scale-before-deploy"
"""Annotation of a revision whose `min-scale` a deployment has raised; its value is the earlier one."""

UNWANTED = "gaze-function/unwanted"
"""Annotation of a revision whose deployment failed or that was rolled back, and why."""


@dataclass(frozen=True, slots=True)
class Revision:
    """State of a revision."""

    name: str
    generation: int
    is_ready: bool
    failure: str | None
    """Reason and message of a condition that is False."""
    min_scale: int
    max_scale: int
    """0 means no limit."""
    held_min_scale: str | None
    is_unwanted: bool
    """Whether its deployment failed, or it was rolled back."""


@dataclass(frozen=True)
class ClusterState:
    """The Knative Service with its revisions and pods, as read in one call."""

    service: Manifest | None
    configuration: Manifest | None
    route: Manifest | None
    revisions: dict[str, Revision]
    pods: tuple[Pod, ...]

    @property
    def generation(self) -> int:
        """Generation of the Service."""
        return int(self.service["metadata"]["generation"]) if self.service else 0

    @property
    def is_observed(self) -> bool:
        """Whether Serving has processed the Service and its template; until then, everything else may be old."""
        return (
            self.service is not None
            and self.configuration is not None
            and _is_observed(self.service)
            and _is_observed(self.configuration)
        )

    @property
    def is_routed(self) -> bool:
        """Whether the ingress follows `shares`: Serving reports them before it has changed the ingress."""
        return (
            self.route is not None
            and _is_observed(self.route)
            and _find_condition(self.route, "IngressReady").get("status") == "True"
        )

    @cached_property
    def shares(self) -> dict[str, int]:
        """Percentage of each revision that serves."""
        return find_shares(self._status.get("traffic", []))

    @property
    def spec_traffic(self) -> list[Target]:
        """Traffic that the Service asks for."""
        return list(self.service["spec"].get("traffic", [])) if self.service else []

    @property
    def latest_ready(self) -> str:
        """Name of the newest revision that is ready."""
        return str(self._status.get("latestReadyRevisionName", ""))

    @property
    def url(self) -> str:
        """Address of the Service."""
        return str(self._status.get("url", ""))

    @property
    def _status(self) -> Manifest:
        return self.service.get("status", {}) if self.service else {}

    @property
    def failure(self) -> str | None:
        """Why Serving cannot create the revision of the template."""
        return _find_failure(self.configuration) if self.configuration else None

    def find_latest(self) -> Revision | None:
        """Return the revision of the current template; None while it does not exist."""
        if self.configuration is None:
            return None
        generation = int(self.configuration["metadata"]["generation"])
        return next((revision for revision in self.revisions.values() if revision.generation == generation), None)

    def find_pods(self, revision: str) -> tuple[Pod, ...]:
        """Return the pods of a revision."""
        return tuple(pod for pod in self.pods if pod.owner == revision)

    def count_ready(self, revision: str) -> int:
        """Return how many pods of a revision are ready."""
        return sum(pod.is_ready for pod in self.find_pods(revision))


def read_cluster(kubectl: Kubectl) -> ClusterState:
    """Read everything that a deployment looks at."""
    items = kubectl.get(KINDS)["items"]
    named = {(item["kind"], item["metadata"]["name"]): item for item in items}
    revisions = [
        _read_revision(item)
        for item in items
        if item["kind"] == "Revision" and item["metadata"]["labels"].get("serving.knative.dev/service") == FUNCTION
    ]
    return ClusterState(
        service=named.get(("Service", FUNCTION)),
        configuration=named.get(("Configuration", FUNCTION)),
        route=named.get(("Route", FUNCTION)),
        revisions={revision.name: revision for revision in revisions},
        pods=tuple(pod for item in items if item["kind"] == "Pod" and (pod := read_pod(item)) is not None),
    )


def set_min_scale(kubectl: Kubectl, revision: Revision, pods: int) -> None:
    """Raise the `min-scale` of a revision and note the earlier value."""
    before = revision.held_min_scale or str(revision.min_scale)
    _annotate(kubectl, revision.name, f"{MIN_SCALE}={pods}", f"{HELD_MIN_SCALE}={before}")


def reset_min_scale(kubectl: Kubectl, revision: Revision) -> None:
    """Give a revision its own `min-scale` back."""
    if revision.held_min_scale is not None:
        _annotate(kubectl, revision.name, f"{MIN_SCALE}={revision.held_min_scale}", f"{HELD_MIN_SCALE}-")


def mark_unwanted(kubectl: Kubectl, revision: Revision, reason: str) -> None:
    """Note that a revision is nothing to go back to, so that the next deployment deletes it."""
    kubectl.annotate(f"revisions.serving.knative.dev/{revision.name}", f"{UNWANTED}={reason}")


def mark_wanted(kubectl: Kubectl, revision: Revision) -> None:
    """Remove the mark of a revision that now serves."""
    if revision.is_unwanted:
        kubectl.annotate(f"revisions.serving.knative.dev/{revision.name}", f"{UNWANTED}-")


def set_traffic(kubectl: Kubectl, targets: list[Target], resource_version: str) -> int:
    """Set the traffic and return the new generation of the Service.

    Raises:
        KubectlError: Its `is_conflict` is true if the Service has changed since it was read.
    """
    patch = {"metadata": {"resourceVersion": resource_version}, "spec": {"traffic": targets}}
    return int(kubectl.patch(KNATIVE_SERVICE, patch)["metadata"]["generation"])


def _annotate(kubectl: Kubectl, revision: str, *annotations: str) -> None:
    # Recent releases of Serving pass a revision's annotations on to its PodAutoscaler and overwrite them there; older
    # ones do neither. With both set, all of them scale.
    kubectl.annotate(f"revisions.serving.knative.dev/{revision}", *annotations)
    try:
        kubectl.annotate(f"podautoscalers.autoscaling.internal.knative.dev/{revision}", annotations[0])
    except KubectlError as error:
        if not (error.is_forbidden or error.is_not_found):
            raise


def _is_observed(manifest: Manifest) -> bool:
    return bool(manifest.get("status", {}).get("observedGeneration") == manifest["metadata"]["generation"])


def _read_revision(manifest: Manifest) -> Revision:
    metadata = manifest["metadata"]
    annotations = metadata.get("annotations", {})
    return Revision(
        name=metadata["name"],
        generation=int(metadata["labels"]["serving.knative.dev/configurationGeneration"]),
        is_ready=_find_condition(manifest, "Ready").get("status") == "True",
        failure=_find_failure(manifest),
        min_scale=int(annotations.get(MIN_SCALE, 0)),
        max_scale=int(annotations.get(MAX_SCALE, 0)),
        held_min_scale=annotations.get(HELD_MIN_SCALE),
        is_unwanted=UNWANTED in annotations,
    )


def _find_condition(manifest: Manifest, kind: str) -> Manifest:
    conditions: list[Manifest] = manifest.get("status", {}).get("conditions", [])
    return next((condition for condition in conditions if condition["type"] == kind), {})


def _find_failure(manifest: Manifest) -> str | None:
    ready = _find_condition(manifest, "Ready")
    if ready.get("status") != "False":
        return None
    return ": ".join(filter(None, (ready.get("reason"), ready.get("message")))) or "not ready"
