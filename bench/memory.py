"""How much memory is left to a process: what large work is measured against before it begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = ("memory.max", "memory.current", "inactive_file")
"""Of a control group, by version: where its limit and its use stand, and which of its statistics can be given back."""


def available(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may still take: what the machine has, or one of its control groups is left, if less.

    Files that the kernel keeps at hand count as free. None where the system does not say, as outside Linux.
    """
    return min((*_machine(proc), *_left(proc, groups)), default=None)


def _machine(proc: Path) -> Iterator[int]:
    for line in _read(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])


def _left(proc: Path, groups: Path) -> Iterator[int]:
    """Of the process's group and of all above it; in a container, where paths are another's, of the outermost."""
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") or not controllers:
            top, names = (groups / "memory", V1) if controllers else (groups, V2)
            folder = top / path.lstrip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(top):
                    yield from _of_group(group, *names)


def _of_group(group: Path, limit: str, used: str, reclaimable: str) -> Iterator[int]:
    most, now = _read(group / limit).strip(), _read(group / used).strip()
    if most.isdigit() and now.isdigit():  # "max" is no limit
        kept = dict(line.split() for line in _read(group / "memory.stat").splitlines())
        yield max(0, int(most) - int(now) + int(kept.get(reclaimable, 0)))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
