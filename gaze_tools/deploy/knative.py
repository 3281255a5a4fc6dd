"""Deploying an overlay to Knative, and rolling back to an earlier revision."""

import copy

from gaze_tools.deploy.cluster import ClusterState, Revision, read_cluster
from gaze_tools.deploy.kubectl import DeployError, Kubectl, Manifest
from gaze_tools.deploy.overlay import Overlay
from gaze_tools.deploy.policies import PolicyChange
from gaze_tools.deploy.rollout import Report, Rollout, is_left_alone
from gaze_tools.deploy.traffic import Target, find_tags, name_targets


class KnativeDeployment:
    """One deployment or rollback of the Knative Service."""

    def __init__(self, kubectl: Kubectl, overlay: Overlay, rollout: Rollout, kept: int, report: Report) -> None:
        self._kubectl = kubectl
        self._overlay = overlay
        self._rollout = rollout
        self._kept = kept
        self._report = report
        self._policies = PolicyChange(kubectl, overlay.policies)

    def deploy(self) -> None:
        """Apply the overlay and give its revision the traffic.

        Raises:
            DeployError: It failed; the revisions that served before still serve.
        """
        before = read_cluster(self._kubectl)
        try:
            self._policies.widen()
            self._kubectl.apply(self._overlay.others)
            before = read_cluster(self._kubectl)  # Serving may be moving the traffic
            tags = find_tags(before.spec_traffic, before.latest_ready)
            applied = self._kubectl.apply_one(pin_traffic(self._overlay.workload, before, tags))
            self._rollout.begin(int(applied["metadata"]["generation"]), tags)
            revision = self._rollout.wait_for_revision()
            if before.shares:
                self._rollout.move(before.shares, revision.name)
            else:
                self._rollout.settle(revision)
            self._rollout.finish([*self._overlay.workload["spec"]["traffic"], *tags], revision.name)
        except BaseException as error:
            self._restore(before, error)
            raise
        self._rollout.release_pods()
        self._policies.finish()
        self._delete_old_revisions()
        self._report(f"revision {revision.name} serves: {read_cluster(self._kubectl).url}")

    def roll_back(self, name: str | None) -> None:
        """Give an earlier revision the traffic, and pin it.

        Args:
            name: The revision; by default the newest ready one that is older than those that serve.

        Raises:
            DeployError: It failed; the revisions that served before still serve.
        """
        before = read_cluster(self._kubectl)
        revision = choose_earlier(before, name)
        tags = find_tags(before.spec_traffic, before.latest_ready)
        self._report(f"rolling back to {revision.name}")
        self._rollout.begin(before.generation, tags)
        try:
            self._rollout.move(before.shares, revision.name)
            self._rollout.finish([*name_targets({revision.name: 100}), *tags], revision.name)
        except BaseException as error:
            self._restore(before, error)
            raise
        self._rollout.release_pods()
        self._report(
            f"revision {revision.name} serves and is pinned; write its image into {self._overlay.folder}, "
            "or the next deployment upgrades again"
        )

    def _restore(self, before: ClusterState, error: BaseException) -> None:
        if is_left_alone(error):
            return
        self._report(f"failed: {error}")
        if before.shares:
            served = ", ".join(f"{name} {share} %" for name, share in before.shares.items())
            self._report(f"the traffic stays on, or returns to: {served}")
            self._rollout.restore(before.shares)
        self._policies.undo()

    def _delete_old_revisions(self) -> None:
        """Delete revisions that neither serve nor are kept for a rollback: each keeps a pod."""
        for revision in find_superfluous(read_cluster(self._kubectl), self._kept):
            self._kubectl.ask(
                "delete", f"revisions.serving.knative.dev/{revision.name}", "--ignore-not-found", "--wait=false"
            )
            self._report(f"deleted {revision.name}")


def pin_traffic(service: Manifest, before: ClusterState, tags: list[Target]) -> Manifest:
    """Return the Service with the traffic named as it is now; a first one keeps the overlay's traffic."""
    pinned = copy.deepcopy(service)
    if before.shares:
        pinned["spec"]["traffic"] = [*name_targets(before.shares), *tags]
    return pinned


def choose_earlier(state: ClusterState, name: str | None) -> Revision:
    """Return the revision to roll back to.

    Raises:
        DeployError: There is none, or it is not ready.
    """
    if name is not None:
        if name not in state.revisions:
            raise DeployError(f"there is no revision {name}; there are: {', '.join(sorted(state.revisions)) or 'none'}")
        if not state.revisions[name].is_ready:
            raise DeployError(f"revision {name} is not ready: {state.revisions[name].failure or 'unknown'}")
        return state.revisions[name]
    serving = [state.revisions[share].generation for share in state.shares if share in state.revisions]
    earlier = [
        revision
        for revision in state.revisions.values()
        if serving and revision.is_ready and revision.generation < max(serving)
    ]
    if not earlier:
        raise DeployError("there is no earlier revision that is ready")
    return max(earlier, key=lambda revision: revision.generation)


def find_superfluous(state: ClusterState, kept: int) -> list[Revision]:
    """Return the revisions to delete: failed ones, and ready ones but for the newest `kept`."""
    latest = state.find_latest()
    used = {latest.name if latest else "", *state.shares}
    used |= {str(entry.get("revisionName")) for entry in state.spec_traffic}
    unused = sorted(
        (revision for revision in state.revisions.values() if revision.name not in used),
        key=lambda revision: revision.generation,
        reverse=True,
    )
    ready = [revision for revision in unused if revision.is_ready]
    return [revision for revision in unused if revision not in ready[:kept]]
