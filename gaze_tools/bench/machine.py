"""Facts about the machine and the software that a benchmark ran on."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

import func
from gaze_tools.bench.cpu_use import CpuUse, read_cpu_use

PACKAGES = ("ai-edge-litert", "mediapipe", "numpy", "opencv-python-headless", "scikit-learn", "scipy")
"""Packages whose version decides how fast a frame is."""

BUSY_PERCENT = 10.0
"""Share of other work and of the host in the CPU time of all cores, from which on wall times are not trusted."""

BUSY_LOAD_PER_CORE = 0.25
"""Load average for each core before the run that stands for it where the share is unknown."""


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
        others_percent: Share of other processes in the CPU time of all cores during the run; None if unknown.
        stolen_percent: The same for the host of a virtual machine, which gave that time to others.
        use_before: CPU time at the start of the run; not stored.
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
    others_percent: float | None = None
    stolen_percent: float | None = None
    use_before: CpuUse | None = Field(default=None, exclude=True)

    @property
    def was_busy(self) -> bool:
        """Whether other work kept the machine busy."""
        if self.others_percent is not None:
            return self.others_percent + (self.stolen_percent or 0.0) > BUSY_PERCENT
        return self.load_before > BUSY_LOAD_PER_CORE * self.cores

    @property
    def load(self) -> str:
        """How busy the machine was, in words."""
        load = f"load average {self.load_before:g} before, {self.load_after:g} after"
        if self.others_percent is None:
            return load
        return f"{load}; other work took {self.others_percent:g} % of the CPU time, the host {self.stolen_percent:g} %"

    def at_end(self) -> "MachineFacts":
        """Return the facts at the end of a run whose processes have ended."""
        update: dict[str, object] = {"load_after": _read_load(), "use_before": None}
        use = read_cpu_use()
        if use is not None and self.use_before is not None:
            update["others_percent"] = round(use.percent_of_others(self.use_before), 1)
            update["stolen_percent"] = round(use.percent_stolen(self.use_before), 1)
        return self.model_copy(update=update)


def read_machine_facts() -> MachineFacts:
    """Return the facts at the start of a run."""
    load = _read_load()
    return MachineFacts(
        cpu=_read_cpu_name(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        kernel=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=platform.python_version(),
        packages={name: version for name in PACKAGES if (version := _find_version(name))},
        commit=_read_commit(Path(func.__file__).parents[1]),
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        load_before=load,
        load_after=load,
        use_before=read_cpu_use(),
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


def _read_load() -> float:
    return round(os.getloadavg()[0], 2)


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
