"""Deploying an overlay to Knative, and rolling back to an earlier revision."""

import copy
from collections.abc import Collection

from gaze_tools.deploy.cluster import ClusterState, Revision, mark_unwanted, mark_wanted, read_cluster
from gaze_tools.deploy.kubectl import DeployError, Kubectl, KubectlError, Manifest
from gaze_tools.deploy.overlay import Overlay
from gaze_tools.deploy.policies import PolicyChange
from gaze_tools.deploy.rollout import Report, Rollout, is_left_alone
from gaze_tools.deploy.traffic import Target, find_final_tags, find_tags, name_targets


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
            targets = self._overlay.workload["spec"]["traffic"]
            self._rollout.finish([*targets, *find_final_tags(before.spec_traffic, targets)], revision.name)
        except BaseException as error:
            self._restore(before, error)
            if not is_left_alone(error):
                self._mark_new_revision(before)
            raise
        self._rollout.release_pods()
        mark_wanted(self._kubectl, revision)
        self._policies.finish()
        self._delete_old_revisions(before)
        self._report(f"revision {revision.name} serves: {read_cluster(self._kubectl).url}")

    def roll_back(self, name: str | None) -> None:
        """Give an earlier revision the traffic, and pin it.

        Args:
            name: The revision; by default the newest that is ready and older than those that serve, unless its
                deployment failed or it was rolled back.

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
            targets = name_targets({revision.name: 100})
            self._rollout.finish([*targets, *find_final_tags(before.spec_traffic, targets)], revision.name)
        except BaseException as error:
            self._restore(before, error)
            raise
        self._rollout.release_pods()
        mark_wanted(self._kubectl, revision)
        for other in before.revisions.values():
            if other.name in before.shares and other.generation > revision.generation:
                mark_unwanted(self._kubectl, other, "rolled-back")
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
            try:
                self._rollout.restore(before.shares)
            except DeployError as failure:
                self._report(f"the traffic could not be given back: {failure}")
                return  # the pods that serve may need what the policies allow now
        self._policies.undo()

    def _mark_new_revision(self, before: ClusterState) -> None:
        """Mark the revision of a failed deployment, which may be or become ready: no rollback goes to it."""
        try:
            state = read_cluster(self._kubectl)
            latest = state.find_latest()
            if latest is not None and latest.name not in before.revisions:
                mark_unwanted(self._kubectl, latest, "failed")
        except KubectlError as error:
            self._report(f"the new revision is not marked as failed: {error}")

    def _delete_old_revisions(self, before: ClusterState) -> None:
        """Delete revisions that neither serve nor are kept for a rollback: each keeps a pod."""
        for revision in find_superfluous(read_cluster(self._kubectl), before.shares, self._kept):
            resource = f"revisions.serving.knative.dev/{revision.name}"
            try:
                self._kubectl.ask("delete", resource, "--ignore-not-found", "--wait=false")
            except KubectlError as error:
                self._report(f"{revision.name} is not deleted: {error}")
            else:
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
        if serving and revision.is_ready and not revision.is_unwanted and revision.generation < max(serving)
    ]
    if not earlier:
        raise DeployError("there is no earlier revision that is ready")
    return max(earlier, key=lambda revision: revision.generation)


def find_superfluous(state: ClusterState, served: Collection[str], kept: int) -> list[Revision]:
    """Return the revisions to delete: failed and rolled back ones, and others but for the newest `kept`.

    Args:
        state: The cluster.
        served: Names of the revisions that served until now; they are kept even if they are not ready for a moment.
        kept: How many to keep.
    """
    latest = state.find_latest()
    used = {latest.name if latest else "", *state.shares}
    used |= {str(entry.get("revisionName")) for entry in state.spec_traffic}
    unused = sorted(
        (revision for revision in state.revisions.values() if revision.name not in used),
        key=lambda revision: revision.generation,
        reverse=True,
    )
    good = [
        revision for revision in unused if not revision.is_unwanted and (revision.is_ready or revision.name in served)
    ]
    return [revision for revision in unused if revision not in good[:kept]]
