"""Calls of kubectl, and its errors."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FIELD_MANAGER = "kubectl"
"""Field manager of a plain `kubectl apply --server-side`, so that it never conflicts with a deployment."""

CALL_TIMEOUT_S = 120
REQUEST_TIMEOUT = "--request-timeout=30s"

Manifest = dict[str, Any]


class DeployError(Exception):
    """Deploying failed, and why."""


class KubectlError(DeployError):
    """A call of kubectl failed."""

    def __init__(self, arguments: Sequence[str], message: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments[:4])}: {message.strip() or 'failed without a message'}")
        self.message = message

    @property
    def is_not_found(self) -> bool:
        """Whether the object does not exist."""
        return "(NotFound)" in self.message

    @property
    def is_unknown_kind(self) -> bool:
        """Whether the cluster does not know the kind of the object."""
        return "doesn't have a resource type" in self.message or "no matches for kind" in self.message

    @property
    def is_forbidden(self) -> bool:
        """Whether the caller lacks the right."""
        return "Forbidden" in self.message or "forbidden" in self.message

    @property
    def is_conflict(self) -> bool:
        """Whether the object has changed since it was read, or already exists."""
        return "Conflict" in self.message or "AlreadyExists" in self.message


@dataclass(frozen=True, slots=True)
class KubectlAnswer:
    """What a call of kubectl printed, and its exit status."""

    status: int
    output: str
    error: str


KubectlCall = Callable[[Sequence[str], str | None], KubectlAnswer]
"""Runs kubectl with arguments and standard input."""


def run_program(program: str) -> KubectlCall:
    """Return a function that runs a program as kubectl."""

    def call(arguments: Sequence[str], text: str | None) -> KubectlAnswer:
        try:
            # A session of its own: Ctrl-C must not stop a call in the middle.
            done = subprocess.run(
                [program, *arguments],
                input=text,
                capture_output=True,
                text=True,
                check=False,
                timeout=CALL_TIMEOUT_S,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise DeployError(f"{program} is not installed; KUBECTL=path names another kubectl") from error
        except subprocess.TimeoutExpired as error:
            raise KubectlError(arguments, f"no answer within {CALL_TIMEOUT_S} s") from error
        return KubectlAnswer(done.returncode, done.stdout, done.stderr)

    return call


class Kubectl:
    """The program kubectl, with the namespace of the overlay once it is known."""

    def __init__(self, call: KubectlCall) -> None:
        self._call = call
        self.namespace = ""

    def run(self, *arguments: str, text: str | None = None, statuses: Sequence[int] = (0,)) -> str:
        """Return what kubectl prints.

        Raises:
            KubectlError: It ended with a status that is not listed, or not at all.
        """
        answer = self._call(arguments, text)
        if answer.status not in statuses:
            raise KubectlError(arguments, answer.error or answer.output)
        return answer.output

    def ask(self, *arguments: str, text: str | None = None) -> str:
        """Call the cluster, in the namespace of the overlay."""
        return self.run(*arguments, "--namespace", self.namespace, REQUEST_TIMEOUT, text=text)

    def get(self, *resources: str, namespace: str | None = None) -> Manifest:
        """Return an object, or the list of all objects of some kinds."""
        place = self.namespace if namespace is None else namespace
        scope = ["--namespace", place] if place else []
        printed = self.run("get", *resources, *scope, "--output", "json", REQUEST_TIMEOUT)
        found: Manifest = json.loads(printed)
        return found

    def find(self, resource: str, namespace: str | None = None) -> Manifest | None:
        """Return an object, or None if it does not exist."""
        try:
            return self.get(resource, namespace=namespace)
        except KubectlError as error:
            if error.is_not_found:
                return None
            raise

    def apply(self, manifests: Sequence[Manifest]) -> None:
        """Apply objects on the server's side, also where another field manager set their fields."""
        if manifests:
            self.run("apply", *apply_options(), REQUEST_TIMEOUT, text=as_list(manifests))

    def apply_one(self, manifest: Manifest) -> Manifest:
        """Apply an object and return it as the cluster now has it."""
        printed = self.run("apply", *apply_options(), "--output", "json", REQUEST_TIMEOUT, text=json.dumps(manifest))
        applied: Manifest = json.loads(printed)
        return applied

    def patch(self, resource: str, patch: Mapping[str, Any]) -> Manifest:
        """Merge a patch into an object and return the object."""
        options = ("--type", "merge", "--field-manager", FIELD_MANAGER, "--output", "json")
        patched: Manifest = json.loads(self.ask("patch", resource, *options, "--patch", json.dumps(patch)))
        return patched

    def annotate(self, resource: str, *annotations: str) -> None:
        """Set annotations (`key=value`) or remove them (`key-`)."""
        self.ask("annotate", resource, *annotations, "--overwrite", "--field-manager", FIELD_MANAGER)


def apply_options() -> tuple[str, ...]:
    """Return the options of `kubectl apply` and `kubectl diff`."""
    return ("--server-side", "--force-conflicts", f"--field-manager={FIELD_MANAGER}", "--filename", "-")


def as_list(manifests: Sequence[Manifest]) -> str:
    """Return objects as one document."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)})
