"""Kubernetes' Deployment: replaces its pods by and by, never removing an old one before a new one is ready."""

import copy
import json
import math

from tests.deploy.serving import FakePod

START_TICKS = 3
MIN_REPLICAS = 3


class RefusedError(Exception):
    """What kubectl prints before it ends with status 1."""


class FakeRollout:
    """The controllers of one Deployment and its ReplicaSets."""

    def __init__(self, cluster):
        self._cluster = cluster
        self.deployment = None
        self.sets = []
        """Dictionaries with template, revision, hash and pods, in order of creation."""
        self.history = []
        self._observed = 0
        self._created = 0

    def tick(self):
        if self.deployment is None:
            return
        self._observed = self.deployment["metadata"]["generation"]
        template = self.deployment["spec"]["template"]
        current = next((found for found in self.sets if found["template"] == template), None)
        number = max((found["revision"] for found in self.sets), default=0)
        if current is None:
            current = {
                "template": copy.deepcopy(template),
                "revision": number + 1,
                "hash": f"h{number + 1}",
                "pods": [],
            }
            self.sets.append(current)
        elif current["revision"] != number:
            current["revision"] = number + 1
        pods = [pod for found in self.sets for pod in found["pods"]]
        if len(current["pods"]) < MIN_REPLICAS and len(pods) < MIN_REPLICAS + math.ceil(MIN_REPLICAS * 0.25):
            self._created += 1
            current["pods"].append(FakePod(f"gaze-function-{current['hash']}-{self._created}"))
        for found in self.sets:
            for pod in found["pods"]:
                self._run_pod(found, pod)
        olds = [found for found in self.sets if found is not current and found["pods"]]
        ready = sum(pod.is_ready for found in self.sets for pod in found["pods"])
        for found in olds:
            unready = [pod for pod in found["pods"] if not pod.is_ready]
            if unready:
                found["pods"].remove(unready[0])
            elif ready > MIN_REPLICAS:
                found["pods"].pop()
                ready -= 1
        self.history.append({found["hash"]: sum(pod.is_ready for pod in found["pods"]) for found in self.sets})

    def _run_pod(self, found, pod):
        pod.age += 1
        image = found["template"]["spec"]["containers"][0]["image"]
        if self._cluster.serving.faults.get(image.rpartition("@")[2]) == "pull":
            pod.waiting, pod.message = "ImagePullBackOff", f"Back-off pulling image {image!r}"
        else:
            pod.waiting = "" if pod.age >= START_TICKS else "ContainerCreating"
        pod.is_ready = not pod.waiting

    def undo(self, number):
        earlier = sorted(self.sets, key=lambda found: found["revision"])[:-1]
        wanted = [found for found in earlier if number in {None, str(found["revision"])}]
        if not wanted:
            raise RefusedError("error: no rollout history found for deployment gaze-function")
        chosen = wanted[-1]
        self.deployment["spec"]["template"] = copy.deepcopy(chosen["template"])

    def describe(self, described):
        template = described["spec"]["template"]
        current = next((found for found in self.sets if found["template"] == template), None)
        pods = [pod for found in self.sets for pod in found["pods"]]
        new = current["pods"] if current else []
        described = json.loads(json.dumps(described))
        described["kind"] = "Deployment"
        described["spec"]["replicas"] = MIN_REPLICAS
        described["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = str(
            max((found["revision"] for found in self.sets), default=0)
        )
        described["status"] = {
            "observedGeneration": self._observed,
            "replicas": len(pods),
            "updatedReplicas": len(new),
            "availableReplicas": sum(pod.is_ready for pod in pods),
        }
        return described

    def list_replica_sets(self):
        return [
            {
                "kind": "ReplicaSet",
                "metadata": {
                    "name": f"gaze-function-{found['hash']}",
                    "labels": {"app.kubernetes.io/name": "gaze-function", "pod-template-hash": found["hash"]},
                    "annotations": {"deployment.kubernetes.io/revision": str(found["revision"])},
                },
            }
            for found in self.sets
        ]

    def list_pods(self):
        from tests.deploy.fake_cluster import describe_pod

        return [describe_pod(pod, {"pod-template-hash": found["hash"]}) for found in self.sets for pod in found["pods"]]
