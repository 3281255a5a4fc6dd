"""Write the locks: the Python packages of both images, pinned, with the SHA-256 of each wheel.

    python .ci/lock.py           rewrite requirements.lock and requirements-lite.lock from constraints.txt (network)
    python .ci/lock.py --check   only resolve the pins (network); on x86_64 including all extras but PyTorch's

The versions come from `constraints.txt`. pip decides which packages are needed and which wheel it would choose for each
Python version and platform. The lock contains no addresses: pip uses its configured index.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
LOCK = ROOT / "requirements.lock"
LITE_LOCK = ROOT / "requirements-lite.lock"

PYTHONS = ("3.11", "3.12")
MACHINES = ("x86_64", "aarch64")
UNCHECKED_EXTRA = "eyes"
"""Some package indexes serve PyTorch with CUDA packages and some without: what it needs cannot be pinned for all."""

GLIBC_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_26", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")
"""Platform tags that Debian bookworm (glibc 2.36) accepts."""

NOT_IN_LITE = ("joblib", "scikit-learn")
"""Dependencies that only the gaze model's joblib file needs."""

HEADER = """\
# What an image installs: `pip install --require-hashes --no-deps -r FILE`.
# Made from constraints.txt by `make lock`; do not edit. Linux wheels for Python 3.11 and 3.12, x86_64 and aarch64.
"""


def main() -> None:
    """Write the lock, or only check that the pins resolve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args()
    for lock in (LOCK, LITE_LOCK):
        hashes: dict[str, set[str]] = defaultdict(set)
        for python, machine in itertools.product(PYTHONS, MACHINES):
            # glcontext, which renders the training images, has no wheel for aarch64.
            all_extras = options.check and machine == "x86_64" and lock == LOCK
            requirements = read_requirements(all_extras=all_extras, is_lite=lock == LITE_LOCK)
            report = resolve(requirements, python, machine, with_mediapipe=lock == LOCK)
            for pin, digest in read_report(report):
                hashes[pin].add(digest)
            print(f"{lock.name}, Python {python}, {machine}: {len(report['install'])} wheels")  # noqa: T201
        if not options.check:
            lock.write_text(format_lock(hashes), encoding="utf-8")
            print(f"{lock.name}: {len(hashes)} packages, {lock.stat().st_size} bytes")  # noqa: T201


def read_requirements(*, all_extras: bool = False, is_lite: bool = False) -> list[str]:
    """Return the requirements for building and running the function.

    Args:
        all_extras: Whether to add all extras.
        is_lite: Whether the function runs without MediaPipe and scikit-learn.
    """
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = settings["project"]["optional-dependencies"]
    dependencies = settings["project"]["dependencies"]
    chosen = [extras["serve"], extras["otel"]]
    if all_extras:
        chosen = [packages for name, packages in extras.items() if name != UNCHECKED_EXTRA]
    elif is_lite:
        chosen = [extras["serve"], extras["otel"], extras["lite"]]
        dependencies = [package for package in dependencies if not package.startswith(NOT_IN_LITE)]
    return [*settings["build-system"]["requires"], *dependencies, *itertools.chain(*chosen)]


def resolve(requirements: list[str], python: str, machine: str, *, with_mediapipe: bool) -> dict[str, Any]:
    """Return pip's installation report for one platform; mediapipe comes without its dependencies."""
    with tempfile.TemporaryDirectory() as folder:
        report = run_pip(requirements, python, machine, Path(folder))
        if with_mediapipe:
            report["install"] += run_pip(["--no-deps", "mediapipe"], python, machine, Path(folder))["install"]
    return report


def run_pip(arguments: list[str], python: str, machine: str, folder: Path) -> dict[str, Any]:
    """Resolve the arguments with pip without installing anything. pip prints its own errors."""
    report_path = folder / "report.json"
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
        *("--only-binary=:all:", f"--constraint={CONSTRAINTS}", f"--report={report_path}"),
        *(f"--target={folder / 'none'}", f"--python-version={python}", "--implementation=cp"),
        *(f"--platform={tag}_{machine}" for tag in GLIBC_TAGS),
        *arguments,
    ]
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603 - the arguments are ours
        sys.exit(
            f"constraints.txt does not resolve to wheels for Python {python} on {machine}; see pip's message above"
        )
    report: dict[str, Any] = json.loads(report_path.read_text(encoding="utf-8"))
    return report


def read_report(report: dict[str, Any]) -> Iterable[tuple[str, str]]:
    """Yield each package's pin, spelt as in constraints.txt, and its wheel's SHA-256."""
    spelling = {pin.lower().replace("_", "-"): pin for pin in CONSTRAINTS.read_text(encoding="utf-8").split()}
    for package in report["install"]:
        found = f"{package['metadata']['name']}=={package['metadata']['version']}"
        pin = spelling.get(found.lower().replace("_", "-"))
        if pin is None:
            sys.exit(f"{found} is not pinned in {CONSTRAINTS.name}")
        yield pin, package["download_info"]["archive_info"]["hashes"]["sha256"]


def format_lock(hashes: dict[str, set[str]]) -> str:
    """Return the text of the lock file: one requirement for each pin, with sorted hashes."""
    requirements = (
        " \\\n    ".join([pin, *(f"--hash=sha256:{digest}" for digest in sorted(hashes[pin]))])
        for pin in sorted(hashes, key=str.lower)
    )
    return HEADER + "\n".join(requirements) + "\n"


if __name__ == "__main__":
    main()
