"""A cluster that answers kubectl: Knative's part is `FakeServing`, Kubernetes' Deployment `FakeRollout`."""

import copy
import json
from functools import cache

from tests.deploy.fields import OwnedObject, flatten
from tests.deploy.rolling import FakeRollout, RefusedError
from tests.deploy.serving import FakeServing
from tests.manifests.conftest import render_text

SERVING = "serving.knative.dev/"
KSERVICE = "services.serving.knative.dev"
REVISIONS = "revisions.serving.knative.dev"
ROUTES = "routes.serving.knative.dev"
PLACEHOLDER = "sha256:" + "0" * 64
CLUSTER_WIDE = {"namespaces", "apiservices"}
SINGULARS = {name[:-1]: name for name in ("leases", "secrets", "deployments", "namespaces", "apiservices")}
PLURALS = {"networkpolicy": "networkpolicies"}


def name_resource(manifest):
    """Return the plural that kubectl uses, with the group where it is not unique."""
    kind = manifest["kind"].lower()
    plural = PLURALS.get(kind, f"{kind}s")
    return f"{plural}.serving.knative.dev" if manifest["apiVersion"].startswith(SERVING) else plural


class FakeCluster:
    """State of a cluster with one gaze-function. `digest` and `replacements` change what overlays render to."""

    def __init__(self, digest, load_pods=6):
        self.digest = digest
        self.replacements = []
        self.objects = {}
        self.version = 0
        self.has_serving = True
        self.forbidden = ()
        """Beginnings of commands that the user may not run."""
        self.failing_reads = 0
        """How many of the next reads fail."""
        self.unreachable = set()
        """Names of upstream services that no pod reaches."""
        self.failing_images = set()
        """Digests of images whose pods answer every request with 500."""
        self.last_line = "gaze-function cannot start: MONGO_URI is not set"
        """Last line of the log of a pod that crashed."""
        self.log = []
        self.writes = []
        """Commands that changed something, in order."""
        self.on_tick = []
        """Functions that are called at every tick with the cluster."""
        self.serving = FakeServing(load_pods, self.find_secret_keys)
        self.rollout = FakeRollout(self)
        for resource, namespace, name in (
            ("namespaces", "", "gaze"),
            ("namespaces", "", "gaze-hpa"),
            ("deployments", "knative-serving", "autoscaler-hpa"),
            ("apiservices", "", "v1beta1.metrics.k8s.io"),
        ):
            self.add(resource, namespace, name)
        available = [{"type": "Available", "status": "True"}]
        self.objects["apiservices", "", "v1beta1.metrics.k8s.io"].content["status"] = {"conditions": available}
        self.create_secret("gaze-mongo", "gaze")
        self.create_secret("gaze-mongo", "gaze-hpa")

    # What a test does

    def add(self, resource, namespace, name):
        self.objects[resource, namespace, name] = OwnedObject()
        self.objects[resource, namespace, name].content = {"metadata": {"name": name, "namespace": namespace}}

    def create_secret(self, name, namespace="gaze", key="MONGO_URI"):
        self.add("secrets", namespace, name)
        self.objects["secrets", namespace, name].content["data"] = {key: "eA=="}

    def delete(self, resource, name, namespace="gaze"):
        del self.objects[resource, namespace, name]

    def settle(self, ticks=60):
        for _ in range(ticks):
            self.tick()

    def find_secret_keys(self, name, namespace="gaze"):
        found = self.objects.get(("secrets", namespace, name))
        return set(found.content["data"]) if found else set()

    def tick(self):
        self.serving.tick()
        self.rollout.tick()
        for act in self.on_tick:
            act(self)

    def act_once_at(self, ticks, act):
        """Call a function after some more ticks."""
        tick = self.serving.tick_number + ticks
        self.act_once_when(lambda found: found.serving.tick_number >= tick, act)

    def act_once_when(self, is_due, act):
        waiting = [act]

        def check(found):
            if waiting and is_due(found):
                waiting.pop()(found)

        self.on_tick.append(check)

    def apply_overlay(self, folder="knative/overlays/prod"):
        """Do what a plain `kubectl apply --server-side` does."""
        from tests.deploy.fake_kubectl import read_manifests

        self.apply(read_manifests(self.render(folder)), "kubectl", is_forced=False)

    def apply_traffic(self, traffic):
        """Do what `kubectl patch` does."""
        key = (KSERVICE, "gaze", "gaze-function")
        self.objects[key].update({"spec": {"traffic": traffic}}, "kubectl-patch")
        self.note_change(key)

    def add_lease(self, holder, renewed_at):
        key = ("leases", "gaze", "gaze-function-deploy")
        self.add(*key)
        spec = {
            "holderIdentity": holder,
            "leaseDurationSeconds": 120,
            "renewTime": f"{renewed_at:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        self.objects[key].content.update({"kind": "Lease", "spec": spec})
        self.note_change(key)

    # What kubectl does

    def check_rights(self, line):
        if self.failing_reads and line.startswith("get services.serving"):
            self.failing_reads -= 1
            raise RefusedError("Unable to connect to the server: EOF")
        if any(line.startswith(beginning) for beginning in self.forbidden):
            raise RefusedError("Error from server (Forbidden): forbidden")

    def render(self, folder):
        text = _render(folder).replace(PLACEHOLDER, self.digest)
        for old, new in self.replacements:
            assert old in text
            text = text.replace(old, new)
        return text

    def apply(self, manifests, manager, *, is_forced):
        for manifest in manifests:
            self._check_place(manifest)
            if manifest["kind"] == "Service" and manifest["apiVersion"].startswith(SERVING):
                self._check_service(manifest)
            key = self._key_of(manifest)
            owned = self.objects.setdefault(key, OwnedObject())
            fields = self._without_status(manifest)
            if conflicts := owned.apply(fields, manager, is_forced=is_forced):
                raise RefusedError(f"Apply failed with 1 conflict: conflict with {sorted(conflicts)} (Conflict)")
            self.note_change(key)

    def _check_place(self, manifest):
        namespace = manifest["metadata"].get("namespace")
        if namespace and ("namespaces", "", namespace) not in self.objects:
            raise RefusedError(f'Error from server (NotFound): namespaces "{namespace}" not found')

    def _check_service(self, manifest):
        if not self.has_serving:
            raise RefusedError('no matches for kind "Service" in version "serving.knative.dev/v1"')
        self._check_traffic(manifest["spec"]["traffic"])

    @staticmethod
    def _check_traffic(traffic):
        percent = sum(entry.get("percent") or 0 for entry in traffic)
        if percent != 100:
            raise RefusedError(f"admission webhook denied the request: traffic sums to {percent}")
        tags = [entry["tag"] for entry in traffic if "tag" in entry]
        if len(tags) != len(set(tags)):
            raise RefusedError("admission webhook denied the request: Multiple definitions for spec.traffic[1].tag")

    @staticmethod
    def _without_status(manifest):
        fields = copy.deepcopy(manifest)
        for key in ("resourceVersion", "generation"):
            fields["metadata"].pop(key, None)
        fields.pop("status", None)
        return fields

    def _key_of(self, manifest):
        resource = name_resource(manifest)
        namespace = "" if resource in CLUSTER_WIDE else manifest["metadata"]["namespace"]
        return resource, namespace, manifest["metadata"]["name"]

    def note_change(self, key):
        """Give a changed object its new version, and its new generation if its spec is new."""
        content = self.objects[key].content
        self.version += 1
        metadata = content["metadata"]
        metadata["resourceVersion"] = str(self.version)
        spec = json.dumps(content.get("spec"), sort_keys=True)
        if content.get("_spec") != spec:
            metadata["generation"] = metadata.get("generation", 0) + 1
            content["_spec"] = spec
        if key[0] == KSERVICE:
            for entry in content["spec"]["traffic"]:  # Serving's webhook sets defaults
                entry.setdefault("latestRevision", "revisionName" not in entry)
            self.serving.service = content
        if key[0] == "deployments" and key[2] == "gaze-function":
            self.rollout.deployment = content

    def find(self, resource, namespace, name):
        """Return an object as kubectl prints it; it shares parts with the cluster and must not be changed.

        Raises:
            RefusedError: It does not exist, or its kind does not.
        """
        if ".knative.dev" in resource and not self.has_serving:
            raise RefusedError(f'error: the server doesn\'t have a resource type "{resource.partition(".")[0]}"')
        short = resource if resource.endswith(".serving.knative.dev") else resource.partition(".")[0]
        short = SINGULARS.get(short, short)
        if short == REVISIONS:
            found = {item["metadata"]["name"]: item for item in self.list_revisions()}.get(name)
        else:
            owned = self.objects.get((short, "" if short in CLUSTER_WIDE else namespace, name))
            found = self._describe(short, owned.content) if owned else None
        if found is None:
            raise RefusedError(f'Error from server (NotFound): {short} "{name}" not found')
        return found

    def _describe(self, resource, content):
        described = {key: value for key, value in content.items() if key != "_spec"}
        if resource == KSERVICE:
            described = {**described, "status": self._describe_status()}
        if resource == "deployments" and content["metadata"]["name"] == "gaze-function":
            described = self.rollout.describe(described)
        return described

    def _describe_status(self):
        status = dict(self.serving.status)
        is_routed = status.pop("isRouted", False)
        is_ready = self.serving.is_configuration_ready
        conditions = {"ConfigurationsReady": is_ready, "RoutesReady": is_routed, "Ready": is_ready and is_routed}
        status["conditions"] = [
            {"type": kind, "status": "True" if is_true else "Unknown"} for kind, is_true in conditions.items()
        ]
        return {**status, "url": "http://gaze-function.gaze.example.com"}

    def list_kind(self, resource, namespace):
        if ".knative.dev" in resource and not self.has_serving:
            raise RefusedError(f'error: the server doesn\'t have a resource type "{resource.partition(".")[0]}"')
        if resource == "configurations.serving.knative.dev":
            return self.list_configurations()
        if resource == ROUTES:
            return self.list_routes()
        if resource == REVISIONS:
            return self.list_revisions()
        if resource == "pods":
            return self.rollout.list_pods() if namespace == "gaze-hpa" else self.list_pods()
        if resource.startswith("replicasets"):
            return self.rollout.list_replica_sets()
        short = resource if resource == KSERVICE else resource.partition(".")[0]
        return [
            self._describe(short, owned.content)
            for (found, place, _), owned in self.objects.items()
            if found == short and place == namespace
        ]

    def list_configurations(self):
        found = self.serving.configuration
        if found is None:
            return []
        metadata = {"name": "gaze-function", "generation": found["generation"]}
        return [{"kind": "Configuration", "metadata": metadata, "status": {"observedGeneration": found["observed"]}}]

    def list_routes(self):
        if not self.serving.status.get("traffic"):
            return []
        condition = {"type": "IngressReady", "status": "True" if self.serving.is_ingress_ready else "Unknown"}
        return [
            {
                "kind": "Route",
                "metadata": {"name": "gaze-function", "generation": 1},
                "status": {"observedGeneration": 1, "conditions": [condition]},
            }
        ]

    def list_revisions(self):
        return [
            {
                "kind": "Revision",
                "metadata": {
                    "name": revision.name,
                    "labels": {
                        "serving.knative.dev/service": "gaze-function",
                        "serving.knative.dev/configurationGeneration": str(revision.generation),
                    },
                    "annotations": dict(revision.annotations),
                },
                "spec": revision.template["spec"],
                "status": {"conditions": [describe_readiness(revision)]},
            }
            for revision in self.serving.revisions.values()
        ]

    def list_pods(self):
        return [
            describe_pod(pod, {"serving.knative.dev/revision": revision.name})
            for revision in self.serving.revisions.values()
            for pod in revision.pods
        ]

    def annotate(self, resource, name, annotations):
        revision = self.serving.revisions.get(name)
        if revision is None:
            raise RefusedError(f'Error from server (NotFound): {resource} "{name}" not found')
        target = revision.annotations
        if resource.startswith("podautoscalers"):
            # Recent releases overwrite them with the revision's.
            target = {} if self.serving.heeds_revision_annotations else revision.autoscaler_annotations
        for annotation in annotations:
            if annotation.endswith("-"):
                target.pop(annotation[:-1], None)
            else:
                key, _, value = annotation.partition("=")
                target[key] = value

    def delete_revision(self, name):
        self.serving.revisions.pop(name, None)

    def read_page(self, pod, path):
        """Return what a pod of the function answers to itself."""
        revision = next(
            (found for found in self.serving.revisions.values() if any(one.name == pod for one in found.pods)), None
        )
        if revision is None:
            raise RefusedError(f'Error from server (NotFound): pods "{pod}" not found')
        if path == "/health/readiness":
            names = ("session_store", "saliency_maps", "result_sink")
            states = {name: "unreachable" if name in self.unreachable else "reachable" for name in names}
            return json.dumps({"status": "ready", "neighbours": states})
        digest = revision.image.rpartition("@")[2]
        status = "500" if digest in self.failing_images else "200"
        requests = self.serving.tick_number * self.serving.find_shares().get(revision.name, 0)
        return f'gaze_requests_total{{method="POST",route="/gaze",status="{status}"}} {float(requests)}\n'

    def find_differences(self, manifests):
        names = []
        for manifest in manifests:
            self._check_place(manifest)
            owned = self.objects.get(self._key_of(manifest))
            current = dict(flatten(owned.content)) if owned else {}
            if any(current.get(path) != leaf for path, leaf in flatten(manifest)):
                names.append(f"{manifest['kind']}/{manifest['metadata']['name']}")
        return names


@cache
def _render(folder):
    return render_text(folder)


def describe_readiness(revision):
    if revision.failure:
        reason, message = revision.failure
        return {"type": "Ready", "status": "False", "reason": reason, "message": message}
    return {"type": "Ready", "status": "True" if revision.is_ready else "Unknown"}


def describe_pod(pod, labels):
    if pod.waiting == "Unschedulable":
        scheduled = {"type": "PodScheduled", "status": "False", "reason": pod.waiting, "message": pod.message}
        return {
            "kind": "Pod",
            "metadata": {"name": pod.name, "labels": labels},
            "status": {"phase": "Pending", "conditions": [scheduled]},
        }
    waiting = {"waiting": {"reason": pod.waiting, "message": pod.message}} if pod.waiting else {"running": {}}
    ready = "True" if pod.is_ready else "False"
    return {
        "kind": "Pod",
        "metadata": {"name": pod.name, "labels": labels},
        "status": {
            "phase": "Running" if pod.is_ready else "Pending",
            "conditions": [{"type": "Ready", "status": ready}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "function", "restartCount": pod.restarts, "state": waiting}],
        },
    }
