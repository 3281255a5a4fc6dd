"""Deploying to Knative: the new revision gets the traffic step by step, and only with the pods for it.

Serving itself would move everything to one pod if the old revision was pinned. Its own `rollout-duration` moves traffic
by time alone, whether or not the new pods keep up.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gaze_tools.deploy.cluster import (
    ClusterState,
    Revision,
    read_cluster,
    reset_min_scale,
    set_min_scale,
    set_traffic,
)
from gaze_tools.deploy.health import PodFailures, PodPages, StepHealth
from gaze_tools.deploy.kubectl import DeployError, Kubectl, KubectlError
from gaze_tools.deploy.lock import LockLostError
from gaze_tools.deploy.pace import InterruptedDeployError, Polling
from gaze_tools.deploy.pods import describe_pods
from gaze_tools.deploy.traffic import (
    Target,
    count_needed_pods,
    name_targets,
    split_traffic,
    without_defaults,
)

Report = Callable[[str], None]

WRITE_ATTEMPTS = 20


class ForeignChangeError(DeployError):
    """Something else has changed the Service during the deployment."""


@dataclass(frozen=True, slots=True)
class RolloutRules:
    """What an operator chooses about a rollout."""

    steps: tuple[int, ...]
    """Percentages, increasing, the last one 100."""
    max_error_share: float
    allows_unreachable: bool
    """Whether the new revision may get traffic although it cannot reach an upstream service."""


class Rollout:
    """Moves the traffic from the revisions that serve to another one, or leaves it with them."""

    def __init__(self, kubectl: Kubectl, rules: RolloutRules, polling: Polling, report: Report) -> None:
        self._kubectl = kubectl
        self._rules = rules
        self._polling = polling
        self._pace = polling.pace
        self._report = report
        self._pages = PodPages(kubectl)
        self._tags: list[Target] = []
        self._generation: int | None = None
        """Generation of the Service after our last change of it; None before the first."""

    def begin(self, generation: int, tags: list[Target]) -> None:
        """Regard the Service of a generation as ours: any later change by something else ends the rollout."""
        self._generation = generation
        self._tags = tags

    def watch(self, polls: int) -> Iterator[ClusterState]:
        """Yield the state of the cluster again and again.

        Raises:
            ForeignChangeError: The Service was changed by something else.
            KubectlError: The cluster could not be read for as long as a failure may last.
        """
        failed_reads = 0
        for _ in self._polling.count(polls):
            try:
                state = read_cluster(self._kubectl)
            except KubectlError:
                failed_reads += 1
                if failed_reads > self._pace.grace_polls:
                    raise
                continue
            failed_reads = 0
            self._check_generation(state)
            yield state

    def wait_for_revision(self) -> Revision:
        """Return the revision of the Service's template once it is ready.

        Raises:
            DeployError: It does not become ready.
        """
        failures = PodFailures(self._kubectl, self._pace.grace_polls)
        revision, details = None, ""
        for state in self.watch(self._pace.timeout_polls):
            if not state.is_observed:
                continue
            revision = state.find_latest()
            if revision is None:
                if state.failure:
                    raise DeployError(f"Serving cannot create the revision: {state.failure}")
                continue
            if revision.is_ready:
                return revision
            failures.check(state.find_pods(revision.name))
            if revision.failure:
                raise DeployError(f"revision {revision.name} failed: {revision.failure}")
            details = describe_pods(state.find_pods(revision.name))
        name = revision.name if revision else "the new revision"
        raise DeployError(f"{name} did not become ready in time. {details}".strip())

    def move(self, shares: Mapping[str, int], revision: str) -> None:
        """Give a revision all the traffic.

        Args:
            shares: Percentages of the revisions that serve now.
            revision: Name of the revision.

        Raises:
            DeployError: It fails on the way; the traffic stays as it is then.
        """
        state = self._read()
        serving_pods = sum(state.count_ready(name) for name in shares)
        reached = shares.get(revision, 0)
        if reached == 0:
            # Serving heeds min-scale only where a revision is part of the traffic block.
            self._set_shares({**shares, revision: 0})
        for name in shares:
            if name != revision and name in state.revisions:
                self._hold(state.revisions[name], state.count_ready(name))
        for percent in (step for step in self._rules.steps if step > reached):
            state = self._read()
            serving_pods = max(serving_pods, sum(state.count_ready(name) for name in shares if name != revision))
            needed = self._wait_for_pods(revision, count_needed_pods(serving_pods, percent), percent)
            if reached == 0:
                self._check_upstream_services(revision, self._pace.grace_polls)
            pods = self._read().find_pods(revision)
            health = StepHealth(self._kubectl, self._pages, pods, needed, self._pace.grace_polls)
            self._set_shares(split_traffic(shares, revision, percent))
            reached = percent
            self._report(f"{percent} % of the traffic goes to {revision}")
            for number, state in enumerate(self.watch(self._pace.step_polls), start=1):
                health.check(state.find_pods(revision))
                if number % self._pace.grace_polls == 0 or number == self._pace.step_polls:
                    health.check_errors(state.find_pods(revision), self._rules.max_error_share)

    def settle(self, revision: Revision) -> None:
        """Wait until the first revision of a Service has its `min-scale` pods and the traffic.

        Raises:
            DeployError: It does not get them.
        """
        failures = PodFailures(self._kubectl, self._pace.grace_polls)
        details = ""
        for state in self.watch(self._pace.timeout_polls):
            pods = state.find_pods(revision.name)
            has_traffic = state.is_routed and state.shares == {revision.name: 100}
            if has_traffic and state.count_ready(revision.name) >= max(1, revision.min_scale):
                self._check_upstream_services(revision.name, self._pace.timeout_polls)
                return
            failures.check(pods)
            details = describe_pods(pods)
        raise DeployError(
            f"{revision.name} did not get its {revision.min_scale} pods and the traffic. {details}".strip()
        )

    def finish(self, targets: list[Target], revision: str) -> None:
        """Set the final traffic block."""
        self._set_targets(targets, {revision: 100})

    def restore(self, shares: Mapping[str, int]) -> None:
        """Give the traffic back to the revisions that served before, and keep their pods for one more step.

        Raises:
            DeployError: It was not possible.
        """
        for attempts_left in reversed(range(self._pace.timeout_polls)):
            try:
                if self._generation is not None:
                    # By name: a Service that asks for its latest revision gives a failed one that recovers everything.
                    self._set_shares(shares)
                    for _ in self._polling.count(self._pace.step_polls):
                        pass
            except InterruptedDeployError:
                pass  # the traffic block is written before anything that can be interrupted
            except KubectlError:
                if not attempts_left:
                    raise
                time.sleep(self._pace.poll_s)
                continue
            break
        self.release_pods()

    def release_pods(self) -> None:
        """Give all revisions their own `min-scale` back."""
        for revision in read_cluster(self._kubectl).revisions.values():
            reset_min_scale(self._kubectl, revision)

    def _read(self) -> ClusterState:
        """Return the state of the cluster, also if it does not answer for a moment."""
        return next(self.watch(self._pace.grace_polls + 1))

    def _hold(self, revision: Revision, pods: int) -> None:
        if pods > revision.min_scale:
            set_min_scale(self._kubectl, revision, pods)

    def _wait_for_pods(self, revision: str, needed: int, percent: int) -> int:
        """Return the number of ready pods that the revision needs for a percentage, once it has them."""
        found = self._read().revisions.get(revision)
        if found is None:
            raise DeployError(f"something else has deleted revision {revision}")
        if found.max_scale and needed > found.max_scale:
            self._report(f"{percent} % of the traffic needs {needed} pods; max-scale allows {found.max_scale}")
            needed = found.max_scale
        self._hold(found, needed)
        failures = PodFailures(self._kubectl, self._pace.grace_polls)
        ready, details = 0, ""
        for state in self.watch(self._pace.timeout_polls):
            pods = state.find_pods(revision)
            ready = state.count_ready(revision)
            if ready >= needed:
                return needed
            failures.check(pods)
            details = describe_pods(pods)
        raise DeployError(
            f"{revision} has {ready} of the {needed} pods that {percent} % of the traffic needs. {details}".strip()
        )

    def _check_upstream_services(self, revision: str, polls: int) -> None:
        """Check that a pod reaches its upstream services, which may just be starting.

        Args:
            revision: Name of the revision.
            polls: For how long they may be unreachable.

        Raises:
            DeployError: One stays unreachable.
        """
        unreachable: list[str] = []
        for number, state in enumerate(self.watch(polls)):
            found = self._pages.find_unreachable(state.find_pods(revision))
            if found is None:
                self._report(f"upstream services and errors are not checked: {self._pages.failure}")
                return
            if not found:
                return
            unreachable = found
            message = f"{revision} cannot reach: {', '.join(unreachable)}"
            if self._rules.allows_unreachable:
                self._report(message)
                return
            if number == 0:
                self._report(f"{message}; trying again")
        raise DeployError(
            f"{revision} cannot reach: {', '.join(unreachable)}; to deploy all the same: --allow-unreachable"
        )

    def _set_shares(self, shares: Mapping[str, int]) -> None:
        self._set_targets([*name_targets(shares), *self._tags], shares)

    def _set_targets(self, targets: list[Target], shares: Mapping[str, int]) -> None:
        """Set the traffic block and wait until Serving has moved the traffic.

        Raises:
            ForeignChangeError: Something else has changed the Service.
            DeployError: Serving does not move it.
        """
        self._write_targets(targets)
        wanted = {name: share for name, share in shares.items() if share}
        state = None
        for state in self.watch(self._pace.timeout_polls):
            if state.is_observed and state.is_routed and state.shares == wanted:
                return
        raise DeployError(
            f"Serving does not move the traffic to {wanted}; it is at {state.shares if state else 'unknown'}"
            + (
                ""
                if state is None or state.is_routed
                else ", and the ingress is not ready: kubectl get routes,kingress"
            )
        )

    def _write_targets(self, targets: list[Target]) -> None:
        for attempts_left in reversed(range(WRITE_ATTEMPTS)):
            try:
                self._write_targets_once(targets)
            except KubectlError as error:
                if not attempts_left or error.is_forbidden:
                    raise
                if not error.is_conflict:  # Serving writes the status all the time; then there is no need to wait
                    time.sleep(self._pace.poll_s)
            else:
                return

    def _write_targets_once(self, targets: list[Target]) -> None:
        state = read_cluster(self._kubectl)
        if without_defaults(state.spec_traffic) == targets and state.generation - (self._generation or 0) <= 1:
            self._generation = state.generation  # perhaps by a write of ours whose answer was lost
            return
        self._check_generation(state)
        if state.service is not None:
            version = state.service["metadata"]["resourceVersion"]
            self._generation = set_traffic(self._kubectl, targets, version)

    def _check_generation(self, state: ClusterState) -> None:
        if self._generation is not None and state.generation != self._generation:
            raise ForeignChangeError(
                "something else has changed the Service during the deployment; its traffic is left as it is. "
                "Deploy again to continue from there"
            )


def is_left_alone(error: BaseException) -> bool:
    """Return whether the traffic now belongs to somebody else, so that it must not be restored."""
    return isinstance(error, ForeignChangeError | LockLostError)
