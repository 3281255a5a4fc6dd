"""The command line of `.ci/deploy`."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from gaze_tools.deploy.cluster import read_cluster
from gaze_tools.deploy.knative import KnativeDeployment, pin_traffic
from gaze_tools.deploy.kubectl import (
    DeployError,
    Kubectl,
    KubectlCall,
    KubectlError,
    apply_options,
    as_list,
    run_program,
)
from gaze_tools.deploy.lock import DeployLock
from gaze_tools.deploy.overlay import Overlay, read_overlay
from gaze_tools.deploy.pace import InterruptedDeployError, Interruption, Pace, Polling
from gaze_tools.deploy.plain import PlainDeployment
from gaze_tools.deploy.preflight import exists, find_problems
from gaze_tools.deploy.rollout import Rollout, RolloutRules
from gaze_tools.deploy.traffic import find_tags

DESCRIPTION = """\
Deploy an overlay. On Knative, the new revision gets the traffic step by step, each time after it has the pods for it.
If it fails or is interrupted, the traffic returns to the revisions that served before. Safe to repeat. On plain
Kubernetes, the Deployment replaces its pods and goes back if the new ones fail."""

LATEST_ROLLBACK = ""


def main(arguments: Sequence[str], call: KubectlCall | None = None) -> int:
    """Deploy and return the exit status: 0, 1 after a failure, 128 + the number of a signal.

    Args:
        arguments: Command line.
        call: Runs kubectl; by default the program that the environment variable KUBECTL names.
    """
    options = parse_arguments(arguments)
    kubectl = Kubectl(call or run_program(os.environ.get("KUBECTL", "kubectl")))
    try:
        overlay = read_overlay(kubectl, options.overlay)
        kubectl.namespace = overlay.namespace
        if options.rollback is None:
            check(kubectl, overlay)
        if options.dry_run:
            print_plan(kubectl, overlay, options.steps)
        else:
            with Interruption() as interruption:
                run_locked(kubectl, overlay, options, interruption)
    except InterruptedDeployError as error:
        report_error(error)
        return error.status
    except DeployError as error:
        report_error(error)
        return 1
    except KeyboardInterrupt:  # during the checks, before anything is changed
        return 130
    return 0


def check(kubectl: Kubectl, overlay: Overlay) -> None:
    """Look at the cluster before anything is changed.

    Raises:
        DeployError: Something is missing that the deployment needs.
    """
    if problems := find_problems(kubectl, overlay):
        raise DeployError("nothing was changed:\n  " + "\n  ".join(problems))


def run_locked(kubectl: Kubectl, overlay: Overlay, options: argparse.Namespace, interruption: Interruption) -> None:
    """Deploy or roll back while holding the lock."""
    is_rollback = options.rollback is not None
    if not is_rollback:
        apply_namespaces(kubectl, overlay)
    pace = read_pace(options)
    lock = DeployLock(kubectl, lambda: interruption.sleep(pace.poll_s))
    lock.acquire()
    try:
        polling = Polling(pace, interruption, lock)
        deployment: KnativeDeployment | PlainDeployment
        if overlay.is_knative:
            # A rollback must not fail, and least of all go back to where it came from, because of an upstream service.
            rules = RolloutRules(
                steps=options.steps,
                max_error_share=1.0 if is_rollback else options.max_errors / 100,
                allows_unreachable=is_rollback or options.allow_unreachable,
            )
            rollout = Rollout(kubectl, rules, polling, report)
            deployment = KnativeDeployment(kubectl, overlay, rollout, options.keep, report)
        else:
            deployment = PlainDeployment(kubectl, overlay, polling, report)
        if is_rollback:
            deployment.roll_back(options.rollback or None)
        else:
            deployment.deploy()
    finally:
        release(lock)


def apply_namespaces(kubectl: Kubectl, overlay: Overlay) -> None:
    """Apply the namespace of the overlay; who may not change an existing one leaves it as it is."""
    try:
        kubectl.apply(overlay.namespaces)
    except KubectlError as error:
        if not error.is_forbidden or not exists(kubectl, f"namespace/{overlay.namespace}", namespace=""):
            raise
        report(f"namespace {overlay.namespace} is left as it is: {error.message.strip()}")


def release(lock: DeployLock) -> None:
    """Release the lock; a failure does not hide how the deployment ended."""
    try:
        lock.release()
    except KubectlError as error:
        report(f"the lock was not released and ends by itself: {error}")


def print_plan(kubectl: Kubectl, overlay: Overlay, steps: tuple[int, ...]) -> None:
    """Print what a deployment would change."""
    workload = overlay.workload
    if overlay.is_knative:
        before = read_cluster(kubectl)
        workload = pin_traffic(workload, before, find_tags(before.spec_traffic, before.latest_ready))
        serving = ", ".join(f"{name} {share} %" for name, share in before.shares.items())
        if serving:
            report(f"serves now: {serving}. Steps for the new revision: {', '.join(map(str, steps))} %")
        else:
            report("nothing serves now: the new revision gets the traffic once it is ready")
    manifests = [*overlay.policies, *overlay.others, workload]
    try:
        changes = kubectl.run("diff", *apply_options(), text=as_list(manifests), statuses=(0, 1))
    except KubectlError as error:
        if not error.is_not_found:
            raise
        names = (f"{item['kind']} {item['metadata']['name']}" for item in (*overlay.namespaces, *manifests))
        changes = "namespace does not exist; everything is created: " + ", ".join(names) + "\n"
    sys.stdout.write(changes or "no differences\n")


def parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        prog=".ci/deploy", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overlay", nargs="?", default="knative/overlays/prod", help="folder; default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="check the cluster and print what would change")
    parser.add_argument(
        "--rollback",
        nargs="?",
        const=LATEST_ROLLBACK,
        metavar="REVISION",
        help="give an earlier revision the traffic at once; default: the one before those that serve",
    )
    parser.add_argument(
        "--steps", type=read_steps, metavar="P,P,…", help="percentages; default: 1,10,50,100, for a rollback 100"
    )
    parser.add_argument(
        "--step-seconds", type=float, default=60, help="how long each step is watched; default: %(default)s"
    )
    parser.add_argument(
        "--timeout-seconds",
        type=float,
        default=600,
        help="how long pods may take to become ready; default: %(default)s",
    )
    parser.add_argument(
        "--max-errors", type=float, default=5, metavar="PERCENT", help="of requests that may fail; default: %(default)s"
    )
    parser.add_argument(
        "--allow-unreachable", action="store_true", help="deploy although an upstream service cannot be reached"
    )
    parser.add_argument(
        "--keep", type=int, default=2, metavar="N", help="old revisions to keep, each with a pod; default: %(default)s"
    )
    parser.add_argument("--poll-seconds", type=float, default=5, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if "/" in (options.rollback or ""):
        parser.error(f"{options.rollback!r} is not a revision; the overlay comes first: .ci/deploy OVERLAY --rollback")
    if options.steps is None:
        options.steps = (1, 10, 50, 100) if options.rollback is None else (100,)
    return options


def read_steps(text: str) -> tuple[int, ...]:
    """Return increasing percentages that end with 100.

    Raises:
        argparse.ArgumentTypeError: The text is something else.
    """
    try:
        steps = tuple(int(part) for part in text.split(","))
    except ValueError:
        steps = ()
    if not steps or steps[-1] != 100 or list(steps) != sorted(set(steps)) or steps[0] < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of increasing percentages up to 100, such as 1,10,50,100"
        )
    return steps


def read_pace(options: argparse.Namespace) -> Pace:
    """Return the times in polls."""
    poll_s = options.poll_seconds
    return Pace(
        poll_s=poll_s,
        step_polls=max(1, round(options.step_seconds / poll_s)),
        grace_polls=GRACE_POLLS,
        timeout_polls=max(1, round(options.timeout_seconds / poll_s)),
    )


GRACE_POLLS = 6
"""30 s at the usual pace: long enough for a registry that hiccups or a pod that is replaced."""


def report(line: str) -> None:
    """Print a line of progress."""
    _write(sys.stdout, line)


def report_error(error: Exception) -> None:
    """Print why deploying failed."""
    _write(sys.stderr, str(error))


def _write(stream: TextIO, line: str) -> None:
    # Ctrl-C also ends the `tee` that reads the output, and a closed terminal reads nothing: the traffic must still be
    # given back.
    try:
        stream.write(f"{line}\n")
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
