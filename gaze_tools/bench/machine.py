"""Facts about the machine and the software that a benchmark ran on."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict

import func

PACKAGES = ("ai-edge-litert", "mediapipe", "numpy", "opencv-python-headless", "scikit-learn", "scipy")
"""Packages whose version decides how fast a frame is."""

BUSY_LOAD_PER_CORE = 0.25
"""Load average for each core before the run, from which on wall times are not trusted."""


class MachineFacts(BaseModel):
    """Machine, software and load of a run.

    Attributes:
        cpu: Model name of the CPU.
        cores: Cores that the process may use.
        memory_gb: Memory of the machine.
        kernel: Operating system and its version.
        python: Version of Python.
        packages: Versions of `PACKAGES`; without those that are not installed.
        commit: Git commit; with `+` if files were changed. Empty outside a checkout.
        started_at: Start of the run, UTC.
        load_before: Load average over the minute before the run.
        load_after: Load average over its last minute, the run included.
    """

    model_config = ConfigDict(frozen=True)

    cpu: str
    cores: int
    memory_gb: float
    kernel: str
    python: str
    packages: dict[str, str]
    commit: str
    started_at: str
    load_before: float
    load_after: float

    @property
    def was_busy(self) -> bool:
        """Whether other work kept the machine busy before the run."""
        return self.load_before > BUSY_LOAD_PER_CORE * self.cores


def read_machine_facts() -> MachineFacts:
    """Return the facts at the start of a run; `load_after` is to be replaced at its end."""
    load = os.getloadavg()[0]
    return MachineFacts(
        cpu=_read_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := _find_version(name))},
        commit=_read_commit(Path(func.__file__).parents[1]),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        load_before=round(load, 2),
        load_after=round(load, 2),
    )


def list_differences(one: MachineFacts, other: MachineFacts) -> list[str]:
    """Return in words what differs between two machines or their software, apart from commit, time and load."""
    names = {"cpu": "CPU", "cores": "number of cores", "kernel": "kernel", "python": "Python"}
    found = [
        f"{label}: {getattr(one, name)} and {getattr(other, name)}"
        for name, label in names.items()
        if getattr(one, name) != getattr(other, name)
    ]
    for name in sorted(one.packages | other.packages):
        versions = [facts.packages.get(name, "not installed") for facts in (one, other)]
        if versions[0] != versions[1]:
            found.append(f"{name}: {versions[0]} and {versions[1]}")
    return found


def _read_cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _find_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _read_commit(folder: Path) -> str:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip()
