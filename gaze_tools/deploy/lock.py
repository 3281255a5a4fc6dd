"""A lock in the cluster, so that two deployments never move the same traffic."""

import json
import os
import socket
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from gaze_tools.deploy.kubectl import DeployError, Kubectl, KubectlError, Manifest

LEASE_NAME = "gaze-function-deploy"
LEASE_KIND = "leases.coordination.k8s.io"
LEASE_DURATION_S = 120
"""Time after which another deployment may take over the lock of one that was killed."""
RENEW_AFTER_S = 20
OBSERVATIONS = 8
"""Looks at a lock that seems to have ended, 40 s in all: a holder whose clock is behind renews it in that time."""
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class LockLostError(DeployError):
    """Another deployment has taken over the lock."""


class DeployLock:
    """A Lease that is created, renewed and deleted by the deployment that holds it."""

    def __init__(self, kubectl: Kubectl, pause: Callable[[], None]) -> None:
        """Prepare a lock.

        Args:
            kubectl: Program, with the namespace.
            pause: Waits for one poll.
        """
        self._kubectl = kubectl
        self._pause = pause
        self._holder = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._renewed_at = datetime.now(UTC)

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            DeployError: Another deployment holds it.
        """
        try:
            self._kubectl.ask("create", "--filename", "-", text=_as_text(self._describe({})))
        except KubectlError as error:
            if not error.is_conflict:
                raise
            self._take_over()
        self._renewed_at = datetime.now(UTC)

    def _take_over(self) -> None:
        found = self._kubectl.find(f"{LEASE_KIND}/{LEASE_NAME}")
        if found is None:  # just released
            self._kubectl.ask("create", "--filename", "-", text=_as_text(self._describe({})))
            return
        spec = found["spec"]
        renewed_at = datetime.strptime(spec["renewTime"], TIME_FORMAT).replace(tzinfo=UTC)
        has_ended = datetime.now(UTC) >= renewed_at + timedelta(seconds=spec["leaseDurationSeconds"])
        if not has_ended or self._is_renewed(found):
            raise DeployError(
                f"another deployment is running: {spec['holderIdentity']}, last seen {spec['renewTime']}. "
                f"If it was killed, its lock ends {spec['leaseDurationSeconds']} s after that"
            )
        self._replace(found)

    def _is_renewed(self, found: Manifest) -> bool:
        """Return whether the holder of a lock still renews it, whatever its clock says."""
        for _ in range(OBSERVATIONS):
            self._pause()
            now = self._kubectl.find(f"{LEASE_KIND}/{LEASE_NAME}")
            if now is not None and now["spec"]["renewTime"] != found["spec"]["renewTime"]:
                return True
        return False

    def renew(self) -> None:
        """Renew the lock if it was not renewed lately.

        Raises:
            LockLostError: Another deployment has taken it.
        """
        if datetime.now(UTC) - self._renewed_at < timedelta(seconds=RENEW_AFTER_S):
            return
        found = self._kubectl.find(f"{LEASE_KIND}/{LEASE_NAME}")
        if found is None or found["spec"]["holderIdentity"] != self._holder:
            raise LockLostError("another deployment has taken the lock; the traffic is left to it")
        self._replace(found)
        self._renewed_at = datetime.now(UTC)

    def release(self) -> None:
        """Delete the lock if it is still ours."""
        found = self._kubectl.find(f"{LEASE_KIND}/{LEASE_NAME}")
        if found is not None and found["spec"]["holderIdentity"] == self._holder:
            self._kubectl.ask("delete", f"{LEASE_KIND}/{LEASE_NAME}", "--ignore-not-found")

    def _replace(self, found: Manifest) -> None:
        metadata = {"resourceVersion": found["metadata"]["resourceVersion"]}
        try:
            self._kubectl.ask("replace", "--filename", "-", text=_as_text(self._describe(metadata)))
        except KubectlError as error:
            if error.is_conflict:
                raise LockLostError("another deployment has just taken the lock") from error
            raise

    def _describe(self, metadata: dict[str, Any]) -> Manifest:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": LEASE_NAME, "namespace": self._kubectl.namespace, **metadata},
            "spec": {
                "holderIdentity": self._holder,
                "leaseDurationSeconds": LEASE_DURATION_S,
                "renewTime": datetime.now(UTC).strftime(TIME_FORMAT),
            },
        }


def _as_text(manifest: Manifest) -> str:
    return json.dumps(manifest)
