"""The Dockerfile's images, built and run without a container engine: debootstrap, buildah and chroot.

Debian's own Python stands in for the base image, which cannot be fetched everywhere. The base and the layers, about
3 GB, stay under `.cache/image`: the first run takes three minutes, later ones one.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gaze_tools.stack.processes import await_ready, find_free_port, read_tail, run_process

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache/image"
BASE = "localhost/base"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
ENVIRONMENT = dict(os.environ)
"""Taken before any test: loading MediaPipe in this process sets a proxy that leads nowhere."""

TOOLS = ("buildah", "debootstrap", "unshare", "chroot")
BUILD_TIMEOUT_S = 600


def find_obstacle():
    """Return the reason why images cannot be built on this machine; None if they can."""
    if os.geteuid() != 0:
        return "only root may chroot and mount"
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        return f"not installed: {' '.join(missing)}"
    if not Path("/usr/share/debootstrap/scripts/bookworm").exists():
        return "debootstrap does not know bookworm"
    if not (ROOT / "models/gaze_model.joblib").exists():
        return "models/gaze_model.joblib is not there"
    return None


def run(*command, **kwargs):
    kwargs = {"env": ENVIRONMENT} | kwargs
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S, **kwargs)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout.strip()


@dataclass(frozen=True)
class Builder:
    """buildah with its own storage."""

    folder: Path

    def __call__(self, command, *arguments):
        storage = [f"--root={self.folder}/storage", f"--runroot={self.folder}/run"]
        environment = {**ENVIRONMENT, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(self.folder)}
        return run("nice", "buildah", *storage, command, *arguments, env=environment)

    def import_base(self):
        """Make the base image with debootstrap, from the mirror configured on this machine."""
        if BASE in self("images", "--format={{.Name}}").split():
            return
        mirrors = run(
            "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm"
        )
        system = self.folder / "base"
        shutil.rmtree(system, ignore_errors=True)
        packages = f"--include={BASE_PACKAGES}"
        run("nice", "debootstrap", "--variant=minbase", packages, "bookworm", system, mirrors.splitlines()[0])
        container = self("from", "scratch")
        self("add", "--quiet", container, str(system), "/")
        self("commit", "--quiet", "--rm", container, BASE)
        shutil.rmtree(system)

    def build(self, target):
        """Build a target of the Dockerfile; its layers are shared with the other targets."""
        description = self.build_image(target, tag=target)
        container = self("from", "--pull-never", f"localhost/{target}")
        return Image(Path(self("mount", container)), description["OCIv1"]["config"], self.folder)

    def build_image(self, target, *options, tag):
        """Build a target of the Dockerfile, as `make image` does, and return the image's description."""
        machine = [f"--volume={path}:{path}:ro" for path in ("/etc/ssl/certs", "/etc/pip.conf") if Path(path).exists()]
        self(
            "bud",
            "--layers",
            f"--target={target}",
            f"--build-arg=BASE_IMAGE={BASE}",
            "--build-arg=REVISION=0123abc",
            "--timestamp=0",
            *machine,
            *options,
            f"--tag=localhost/{tag}",
            str(ROOT),
        )
        return json.loads(self("inspect", "--type=image", f"localhost/{tag}"))


ENTER = """
set -eu
mount --bind "$ROOT" "$VIEW"
mount -t proc proc "$VIEW/proc"
mount -t sysfs -o ro sysfs "$VIEW/sys"
mount -t tmpfs -o mode=755 tmpfs "$VIEW/dev"
mkdir "$VIEW/dev/shm"
mount -t tmpfs -o size=64m,mode=1777 tmpfs "$VIEW/dev/shm"
for device in null zero full random urandom; do
  touch "$VIEW/dev/$device"
  mount --bind "/dev/$device" "$VIEW/dev/$device"
done
mount -o remount,bind,ro "$VIEW"
exec chroot --userspec="$IMAGE_USER" "$VIEW" /usr/bin/env --ignore-environment "$@"
"""
"""What a runtime gives a container: the root read-only, /proc, /sys, a few devices, 64 MB of /dev/shm."""


@dataclass(frozen=True)
class Image:
    """File system and configuration of an image."""

    root: Path
    config: dict
    scratch: Path

    def command(self, environment, arguments):
        """Return the command, and its environment, that starts the image's own entry point in a mount namespace."""
        view = self.scratch / "view"
        view.mkdir(exist_ok=True)
        variables = [*self.config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        words = [*self.config["Entrypoint"], *(arguments or self.config.get("Cmd") or [])]
        return (
            ["unshare", "--mount", "--propagation=private", "sh", "-c", ENTER, "enter", *variables, *words],
            {
                "PATH": os.environ["PATH"],
                "ROOT": str(self.root),
                "VIEW": str(view),
                "IMAGE_USER": self.config["User"],
            },
        )

    @contextlib.contextmanager
    def serve(self, log_path, *, ready, environment=None, arguments=()):
        """Run the entry point until the block ends; yield its address and its process."""
        port = find_free_port()
        url = f"http://127.0.0.1:{port}"
        arguments = [argument.format(port=port) for argument in arguments]
        command, outside = self.command({"PORT": port, **(environment or {})}, arguments)
        with run_process(command, log_path=log_path, environment=outside) as process:
            await_ready("the image", process, f"{url}{ready}", log_path=log_path, timeout_s=60)
            yield url, process

    def stop(self, process, log_path):
        """Send SIGTERM as a kubelet does and return the exit status."""
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(45)
        except subprocess.TimeoutExpired:
            pytest.fail(f"still running after 45 s:\n{read_tail(log_path)}")


@pytest.fixture(scope="session")
def builder():
    obstacle = find_obstacle()
    if obstacle:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"cannot build images here: {obstacle}")
    CACHE.mkdir(parents=True, exist_ok=True)
    builder = Builder(CACHE)
    builder("rm", "--all")
    builder.import_base()
    yield builder
    builder("umount", "--all")
    builder("rm", "--all")


@pytest.fixture(scope="session")
def function_image(builder):
    return builder.build("function")


@pytest.fixture(scope="session")
def lite_image(builder, function_image):
    return builder.build("lite")


@pytest.fixture(scope="session")
def upstream_image(builder, function_image):
    return builder.build("upstream")
