"""How much of the machine's CPU time this run, other work and the host use."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuUse:
    """CPU time of all cores since the machine started, in seconds.

    Attributes:
        total_s: All of it, idle or not.
        busy_s: What all processes have used.
        stolen_s: What the host of a virtual machine has given to others.
        own_s: What this process and its processes that have ended have used.
    """

    total_s: float
    busy_s: float
    stolen_s: float
    own_s: float

    def percent_of_others(self, before: "CpuUse") -> float:
        """Return the share of other processes between an earlier moment and this one, in percent of all cores."""
        others_s = (self.busy_s - before.busy_s) - (self.own_s - before.own_s)
        return self._percent(max(0.0, others_s), before)

    def percent_stolen(self, before: "CpuUse") -> float:
        """Return the share of the host between an earlier moment and this one, in percent of all cores."""
        return self._percent(self.stolen_s - before.stolen_s, before)

    def _percent(self, spent_s: float, before: "CpuUse") -> float:
        total_s = self.total_s - before.total_s
        return 100 * spent_s / total_s if total_s > 0 else 0.0


def read_cpu_use() -> CpuUse | None:
    """Return the CPU time until now; None if the system does not report it."""
    try:
        line = Path("/proc/stat").read_text().partition("\n")[0]
    except OSError:
        return None
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return parse_cpu_use(line, own_s=sum(each.ru_utime + each.ru_stime for each in own))


def parse_cpu_use(line: str, *, own_s: float) -> CpuUse | None:
    """Parse the first line of `/proc/stat`; None if it is malformed.

    Args:
        line: Line with `cpu` and the ticks of all cores together.
        own_s: CPU time of this run.
    """
    name, *values = line.split()
    if name != "cpu" or len(values) < 8:
        return None
    user, nice, system, idle, waiting, interrupts, soft_interrupts, stolen = map(int, values[:8])
    busy = user + nice + system + interrupts + soft_interrupts
    total = busy + idle + waiting + stolen
    return CpuUse(total / _TICKS_A_SECOND, busy / _TICKS_A_SECOND, stolen / _TICKS_A_SECOND, own_s)
