"""A Knative Serving that runs in the test: Services, revisions, pods and traffic, one step at every tick.

It behaves as Serving 1.23 was observed to behave on a real control plane, traps included: status lags behind spec,
`min-scale` counts only for revisions in the traffic block, and a Service that goes from a pin to its latest revision
gives that revision everything at once.
"""

import copy
import math
from dataclasses import dataclass, field

START_TICKS = 3
"""Ticks from the creation of a pod to its readiness."""
STABLE_TICKS = 10
"""Ticks for which Kubernetes' autoscaler waits before it removes pods."""
PROGRESS_TICKS = 200
"""Ticks after which a revision without a pod counts as failed."""
GRADUAL_STEP = 1
"""Percentage that Serving's own gradual rollout moves at each tick."""
HPA_CLASS = "hpa.autoscaling.knative.dev"
AUTOSCALING = "autoscaling.knative.dev"


@dataclass
class FakePod:
    """A pod, which is ready after some ticks unless its image or the cluster has a fault."""

    name: str
    age: int = 0
    restarts: int = 0
    is_ready: bool = False
    waiting: str = "ContainerCreating"
    message: str = ""


@dataclass
class FakeRevision:
    """A revision with its pods."""

    name: str
    generation: int
    template: dict
    annotations: dict
    autoscaler_annotations: dict
    pods: list = field(default_factory=list)
    created_pods: int = 0
    is_ready: bool = False
    failure: tuple = ()
    age: int = 0
    low_ticks: int = 0

    @property
    def image(self):
        return self.template["spec"]["containers"][0]["image"]

    @property
    def ready_pods(self):
        return sum(pod.is_ready for pod in self.pods)


@dataclass(frozen=True)
class Moment:
    """Traffic and ready pods at a tick."""

    tick: int
    shares: dict
    ready: dict


class FakeServing:
    """The controllers of Serving and Kubernetes' autoscaler, for one Service."""

    def __init__(self, load_pods, find_secret_keys):
        self.load_pods = load_pods
        """Pods that all the traffic needs."""
        self.heeds_revision_annotations = True
        """False for older releases, which read the PodAutoscaler's own annotations instead."""
        self.heeds_targets_without_traffic = True
        """Whether `min-scale` counts for a revision with 0 % in the traffic block."""
        self.is_ingress_stuck = lambda _shares: False
        """Whether the networking layer does not follow a split: the status then runs ahead of the traffic."""
        self.faults = {}
        """What is wrong with an image, by digest: see `_run_pod`."""
        self._find_secret_keys = find_secret_keys
        self.service = None
        self.configuration = None
        self.revisions = {}
        self.status = {}
        self.history = []
        self.tick_number = 0
        self._seen = {}
        self._traffic_tick = 0

    def tick(self):
        """Let every controller run once."""
        self.tick_number += 1
        if self.service is not None:
            self._reconcile_service()
            self._reconcile_configuration()
            for revision in list(self.revisions.values()):
                self._reconcile_revision(revision)
            self._reconcile_route()
        self.history.append(
            Moment(
                self.tick_number, self.find_shares(), {name: found.ready_pods for name, found in self.revisions.items()}
            )
        )

    @property
    def is_ingress_ready(self):
        return self.tick_number > self._traffic_tick and not self.is_ingress_stuck(self.find_shares())

    def find_shares(self):
        shares = {}
        for entry in self.status.get("traffic", []):
            if entry["percent"]:
                shares[entry["revisionName"]] = shares.get(entry["revisionName"], 0) + entry["percent"]
        return shares

    def _is_due(self, kind, generation):
        """Return whether a generation was there at an earlier tick already: controllers take a moment."""
        if self._seen.get(kind) == generation:
            return True
        self._seen[kind] = generation
        return False

    def _reconcile_service(self):
        generation = self.service["metadata"]["generation"]
        if self.status.get("observedGeneration") == generation or not self._is_due("service", generation):
            return
        template = self.service["spec"]["template"]
        if self.configuration is None:
            self.configuration = {"generation": 1, "template": copy.deepcopy(template), "observed": 0}
        elif self.configuration["template"] != template:
            self.configuration["generation"] += 1
            self.configuration["template"] = copy.deepcopy(template)
        self.status["observedGeneration"] = generation

    def _reconcile_configuration(self):
        configuration = self.configuration
        if configuration is None:
            return
        generation = configuration["generation"]
        latest = configuration.get("latestCreated")
        if configuration["observed"] != generation and self._is_due("configuration", generation):
            latest = f"gaze-function-{generation:05d}"
            configuration["observed"] = generation
            configuration["latestCreated"] = latest
        if latest and latest not in self.revisions and configuration["observed"] == generation:
            annotations = dict(configuration["template"]["metadata"].get("annotations", {}))
            self.revisions[latest] = FakeRevision(
                latest, generation, copy.deepcopy(configuration["template"]), annotations, dict(annotations)
            )
        ready = [revision for revision in self.revisions.values() if revision.is_ready]
        if ready:
            configuration["latestReady"] = max(ready, key=lambda revision: revision.generation).name
        self.status["latestCreatedRevisionName"] = configuration.get("latestCreated", "")
        self.status["latestReadyRevisionName"] = configuration.get("latestReady", "")

    @property
    def is_configuration_ready(self):
        configuration = self.configuration or {}
        return bool(
            configuration.get("latestCreated")
            and configuration["latestCreated"] == configuration.get("latestReady")
            and configuration["observed"] == configuration["generation"]
        )

    def _is_reachable(self, revision):
        spec = self.service["spec"]["traffic"]
        targets = [*spec, *self.status.get("traffic", [])]
        named = {
            entry.get("revisionName") for entry in targets if entry.get("percent") or self.heeds_targets_without_traffic
        }
        if any(entry.get("latestRevision") for entry in spec):
            named.add(self.configuration.get("latestCreated"))
        return revision.name in named

    def _find_desired_pods(self, revision):
        source = revision.annotations if self.heeds_revision_annotations else revision.autoscaler_annotations
        min_scale = int(source.get(f"{AUTOSCALING}/min-scale", 0))
        max_scale = int(source.get(f"{AUTOSCALING}/max-scale", 0)) or math.inf
        is_hpa = source.get(f"{AUTOSCALING}/class") == HPA_CLASS
        share = self.find_shares().get(revision.name, 0)
        load = math.ceil(self.load_pods * share / 100)
        if not self._is_reachable(revision):
            # One pod at first (initial-scale); the class HPA never goes below one.
            return 1 if is_hpa or not revision.is_ready else 0
        current = len(revision.pods)
        # The class KPA scales on concurrency, which hardly grows with the CPU.
        by_load = min(load, max(2 * current, current + 4)) if is_hpa else 1
        return min(max(min_scale, by_load, 1), max_scale)

    def _reconcile_revision(self, revision):
        revision.age += 1
        desired = self._find_desired_pods(revision)
        current = len(revision.pods)
        revision.low_ticks = revision.low_ticks + 1 if desired < current else 0
        if desired > current:
            for _ in range(desired - current):
                revision.created_pods += 1
                revision.pods.append(FakePod(f"{revision.name}-pod-{revision.created_pods}"))
        elif revision.low_ticks > STABLE_TICKS:
            del revision.pods[desired:]
        for pod in revision.pods:
            self._run_pod(revision, pod)
        if revision.ready_pods:
            revision.is_ready, revision.failure = True, ()
        elif not revision.is_ready and self._find_fault(revision) == "no such image":
            revision.failure = ("ContainerMissing", f"Unable to fetch image {revision.image!r}")
        elif not revision.is_ready and revision.age > PROGRESS_TICKS:
            revision.failure = ("ProgressDeadlineExceeded", "Initial scale was never achieved")

    def _find_fault(self, revision):
        return self.faults.get(revision.image.rpartition("@")[2])

    def _run_pod(self, revision, pod):
        pod.age += 1
        fault = self._find_fault(revision)
        share = self.find_shares().get(revision.name, 0)
        missing = self._find_missing_secret(revision)
        pod.message = ""
        if fault == "no room" and pod.name.rpartition("-")[2] not in {"1", "2", "3"}:
            pod.waiting, pod.message = "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu."
        elif fault in {"pull", "no such image"}:
            pod.waiting = "ErrImagePull" if pod.age < START_TICKS else "ImagePullBackOff"
            pod.message = f"Back-off pulling image {revision.image!r}"
        elif missing and not pod.is_ready:
            pod.waiting, pod.message = "CreateContainerConfigError", f'secret "{missing}" not found'
        elif fault == "crash":
            pod.waiting, pod.restarts = "CrashLoopBackOff", pod.age // START_TICKS
        elif fault == "slow registry" and pod.age < 2 * START_TICKS:
            pod.waiting = "ImagePullBackOff"
        else:
            pod.waiting = "" if pod.age >= START_TICKS else "ContainerCreating"
        pod.is_ready = not pod.waiting
        if fault == "unready at 10 %" and share >= 10 and pod.name.endswith(("-1", "-2")):
            pod.is_ready = False
        if fault == "restarts at 50 %" and share >= 50 and pod.name.endswith("-1"):
            pod.restarts = 1

    def _find_missing_secret(self, revision):
        for variable in revision.template["spec"]["containers"][0].get("env", []):
            reference = variable.get("valueFrom", {}).get("secretKeyRef", {})
            is_optional = reference.get("optional", not reference)
            if not is_optional and reference["key"] not in self._find_secret_keys(reference["name"]):
                return reference["name"]
        return None

    def _reconcile_route(self):
        if self.status.get("observedGeneration") != self.service["metadata"]["generation"]:
            return
        self.status["isRouted"] = False
        targets = []
        for entry in self.service["spec"]["traffic"]:
            name = entry.get("revisionName") or self.configuration.get("latestReady")
            if name not in self.revisions or not self.revisions[name].is_ready:
                return  # "traffic targets aren't ready": the ingress keeps what it has
            targets.append((name, entry))
        traffic = []
        for name, entry in targets:
            if entry.get("latestRevision") and entry.get("percent"):
                traffic += self._move_gradually(name, entry["percent"])
            else:
                is_latest = bool(entry.get("latestRevision"))
                tag = {"tag": entry["tag"]} if "tag" in entry else {}
                percent = entry.get("percent") or 0
                traffic.append({"revisionName": name, "percent": percent, "latestRevision": is_latest, **tag})
        if self.status.get("traffic") != traffic:
            self._traffic_tick = self.tick_number  # the ingress follows at the next tick
        self.status["traffic"] = traffic
        self.status["isRouted"] = True

    def _move_gradually(self, name, percent):
        """Return the entries of a target of the latest revision, which `rollout-duration` moves step by step."""
        entry = {"revisionName": name, "percent": percent, "latestRevision": True}
        duration = self.service["metadata"].get("annotations", {}).get("serving.knative.dev/rollout-duration")
        before = [old for old in self.status.get("traffic", []) if old["latestRevision"] and old["percent"]]
        olds = [old for old in before if old["revisionName"] != name]
        if not duration or not olds:
            return [entry]  # also after a pin: nothing was the latest revision before
        reached = sum(old["percent"] for old in before if old["revisionName"] == name)
        reached = min(percent, reached + GRADUAL_STEP)
        rest = percent - reached
        return [{**olds[0], "percent": rest}] * bool(rest) + [{**entry, "percent": reached}]
