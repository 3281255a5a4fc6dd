"""What a cluster must have before anything is changed."""

from collections.abc import Iterator

from gaze_tools.deploy.kubectl import Kubectl, KubectlError
from gaze_tools.deploy.overlay import KNATIVE_SERVICE, PLACEHOLDER, Overlay, SecretKey

PRINT_KEYS = "go-template={{range $key, $value := .data}}{{$key}} {{end}}"
"""Prints the keys of a secret, never their values."""


def find_problems(kubectl: Kubectl, overlay: Overlay) -> list[str]:
    """Return everything that would make this deployment fail, each with its remedy."""
    problems = list(_check_image(overlay))
    try:
        kubectl.run("version", "--request-timeout=15s")
    except KubectlError as error:
        return [*problems, f"kubectl does not reach a cluster: {error.message.strip()}"]
    problems += [
        *_check_namespace(kubectl, overlay),
        *_check_metrics(kubectl),
    ]
    if overlay.is_knative:
        problems += [*_check_serving(kubectl), *_check_hpa_class(kubectl, overlay)]
    return problems


def _check_image(overlay: Overlay) -> Iterator[str]:
    for image in overlay.images:
        if PLACEHOLDER in image:
            yield (
                f"{overlay.folder} still contains the placeholder digest of {image.partition('@')[0]}: "
                "write the digest of your image into its kustomization.yaml"
            )


def _check_namespace(kubectl: Kubectl, overlay: Overlay) -> Iterator[str]:
    needed = overlay.find_needed_secrets()
    if not exists(kubectl, f"namespace/{overlay.namespace}", "") and (needed or not overlay.namespaces):
        yield f"namespace {overlay.namespace} does not exist: kubectl create namespace {overlay.namespace}"
    for secret in needed:
        yield from _check_secret(kubectl, overlay.namespace, secret)


def _check_secret(kubectl: Kubectl, namespace: str, needed: SecretKey) -> Iterator[str]:
    example = "mongodb://…" if needed.key == "MONGO_URI" else "…"
    remedy = (
        f"kubectl create secret generic {needed.secret} --namespace {namespace} --from-literal={needed.key}='{example}'"
    )
    try:
        keys = kubectl.ask("get", f"secret/{needed.secret}", "--output", PRINT_KEYS).split()
    except KubectlError as error:
        if error.is_not_found:
            yield f"secret {needed.secret} does not exist in namespace {namespace}: {remedy}"
        elif not error.is_forbidden:
            raise
        return
    if needed.key not in keys:
        yield f"secret {needed.secret} in namespace {namespace} has no key {needed.key}; delete it and: {remedy}"


def _check_metrics(kubectl: Kubectl) -> Iterator[str]:
    try:
        service = kubectl.find("apiservice/v1beta1.metrics.k8s.io", namespace="")
    except KubectlError as error:
        if error.is_forbidden:
            return
        raise
    conditions = (service or {}).get("status", {}).get("conditions", [])
    if not any(condition["type"] == "Available" and condition["status"] == "True" for condition in conditions):
        yield (
            "the metrics API is not available, so nothing would scale on CPU: install metrics-server; then "
            "kubectl wait apiservice v1beta1.metrics.k8s.io --for=condition=Available"
        )


def _check_serving(kubectl: Kubectl) -> Iterator[str]:
    try:
        kubectl.find(KNATIVE_SERVICE)
    except KubectlError as error:
        if not error.is_unknown_kind:
            raise
        yield (
            "Knative Serving is not installed: install serving-crds.yaml and serving-core.yaml of a release, "
            "or deploy k8s-hpa/overlays/prod"
        )


def _check_hpa_class(kubectl: Kubectl, overlay: Overlay) -> Iterator[str]:
    if overlay.needs_hpa_class and not exists(kubectl, "deployment/autoscaler-hpa", "knative-serving"):
        yield "Knative's autoscaler of class HPA is not installed: install serving-hpa.yaml of the release of Serving"


def exists(kubectl: Kubectl, resource: str, namespace: str) -> bool:
    """Return whether an object exists; an object that may not be read is assumed to exist."""
    try:
        return kubectl.find(resource, namespace=namespace) is not None
    except KubectlError as error:
        if error.is_forbidden:
            return True
        raise
