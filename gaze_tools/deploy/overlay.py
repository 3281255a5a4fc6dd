"""What an overlay asks for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from gaze_tools.deploy.kubectl import DeployError, Kubectl, Manifest

FUNCTION = "gaze-function"
KNATIVE_SERVICE = "services.serving.knative.dev/gaze-function"
PLACEHOLDER = "@sha256:" + "0" * 64


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Key of a secret that a pod needs to start."""

    secret: str
    key: str


@dataclass(frozen=True, slots=True)
class Overlay:
    """Rendered objects of an overlay, divided by when they are applied."""

    folder: str
    namespace: str
    workload: Manifest
    """Knative Service or Deployment of the function."""
    namespaces: tuple[Manifest, ...]
    policies: tuple[Manifest, ...]
    others: tuple[Manifest, ...]

    @property
    def is_knative(self) -> bool:
        """Whether the function is a Knative Service."""
        return str(self.workload["apiVersion"]).startswith("serving.knative.dev/")

    @property
    def images(self) -> tuple[str, ...]:
        """Images of all containers, those of upstream services in the overlay included."""
        templates = (
            manifest["spec"]["template"]
            for manifest in (self.workload, *self.others)
            if isinstance(manifest.get("spec", {}).get("template"), dict)
        )
        return tuple(
            str(container["image"]) for template in templates for container in template["spec"].get("containers", [])
        )

    @property
    def image(self) -> str:
        """Image of the function."""
        return str(find_container(self.workload)["image"])

    @property
    def needs_hpa_class(self) -> bool:
        """Whether the function scales with Knative's autoscaler of class HPA."""
        annotations = self.workload["spec"]["template"]["metadata"].get("annotations", {})
        return bool(annotations.get("autoscaling.knative.dev/class") == "hpa.autoscaling.knative.dev")

    def find_needed_secrets(self) -> tuple[SecretKey, ...]:
        """Return the keys of secrets that the overlay's pods require and the overlay does not contain."""
        own = {manifest["metadata"]["name"] for manifest in self.others if manifest["kind"] == "Secret"}
        needed = {
            SecretKey(reference["name"], reference["key"])
            for manifest in (self.workload, *self.others)
            for reference in _find_secret_references(manifest)
            if not reference.get("optional") and reference["name"] not in own
        }
        return tuple(sorted(needed, key=lambda key: (key.secret, key.key)))


def find_container(workload: Manifest) -> Manifest:
    """Return the function's container; an overlay may add others."""
    containers: list[Manifest] = workload["spec"]["template"]["spec"]["containers"]
    return next((found for found in containers if found.get("name") == "function"), containers[0])


def read_overlay(kubectl: Kubectl, folder: str) -> Overlay:
    """Render an overlay.

    Raises:
        DeployError: It cannot be rendered, or does not contain exactly one function in one namespace.
    """
    # kubectl converts YAML to JSON without a cluster, so that nothing but Python's own modules is needed here.
    text = kubectl.run("kustomize", folder)
    printed = kubectl.run(
        "patch", "--local", "--filename", "-", "--type", "merge", "--patch", "{}", "--output", "json", text=text
    )
    manifests = list(_read_documents(printed))
    workloads = [manifest for manifest in manifests if _is_workload(manifest)]
    namespaces = {manifest["metadata"].get("namespace") for manifest in manifests} - {None}
    if len(workloads) != 1 or len(namespaces) != 1:
        raise DeployError(f"{folder} must have exactly one namespace and one {FUNCTION}")
    return Overlay(
        folder=folder,
        namespace=namespaces.pop(),
        workload=workloads[0],
        namespaces=tuple(manifest for manifest in manifests if manifest["kind"] == "Namespace"),
        policies=tuple(manifest for manifest in manifests if manifest["kind"] == "NetworkPolicy"),
        others=tuple(
            manifest
            for manifest in manifests
            if manifest["kind"] not in {"Namespace", "NetworkPolicy"} and manifest is not workloads[0]
        ),
    )


def _is_workload(manifest: Manifest) -> bool:
    kind = (manifest["apiVersion"].partition("/")[0], manifest["kind"])
    return manifest["metadata"]["name"] == FUNCTION and kind in {
        ("serving.knative.dev", "Service"),
        ("apps", "Deployment"),
    }


def _read_documents(text: str) -> Iterator[Manifest]:
    """Yield the JSON documents of a text that contains several."""
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield from document["items"] if document.get("kind") == "List" else (document,)
        rest = rest[end:].lstrip()


def _find_secret_references(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("secretKeyRef"), dict):
            yield reference
        for child in value.values():
            yield from _find_secret_references(child)
    elif isinstance(value, list):
        for child in value:
            yield from _find_secret_references(child)
