"""The machine as far as it explains figures, and how much of it others used meanwhile.

No host name, user or path is recorded: results are published.
"""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


def describe(servers: dict[str, str]) -> dict[str, Any]:
    """Cores, memory and the versions of what was measured."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": _cpu_model(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        **servers,
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return " ".join(line.partition(":")[2].split())
    return platform.processor()


class Company:
    """The share of the machine's CPU time that programs other than ours took since `start`."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        self._at = monotonic()
        self._others = _busy() - _ours()

    def share(self) -> float:
        """0 is an idle machine but for us, 1 one that others filled."""
        seconds = monotonic() - self._at
        others = _busy() - _ours() - self._others
        return max(0.0, others / (seconds * (os.cpu_count() or 1))) if seconds else 0.0


def _busy() -> float:
    """Seconds that all cores together were busy."""
    user, nice, system, _idle, _wait, irq, softirq, steal = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _ours() -> float:
    """Seconds that this process and everything it started were busy."""
    parents: dict[int, list[int]] = defaultdict(list)
    spent: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            # The name of the program, in parentheses, may hold anything.
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(folder.name)
        parents[int(fields[1])].append(pid)
        spent[pid] = sum(map(int, fields[11:15]))
    total, waiting = 0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        total += spent.get(pid, 0)
        waiting += parents[pid]
    return total / _TICKS
