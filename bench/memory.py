"""How much memory is left to a process, before large work begins, and whether any was killed for want of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory.oom_control")
V2 = ("memory.max", "memory.current", "inactive_file", "memory.events")
"""Of a control group, by version: where its limit and its use stand, which of its statistics can be given back, and
where its killed processes are counted."""


def available(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that this process may still take: what the machine has, or one of its control groups is left, if less.

    Files that the kernel keeps at hand count as free. None where the system does not say, as outside Linux.
    """
    return min((*_machine(proc), *_left(proc, groups)), default=None)


def oom_kills(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many processes the kernel has killed for want of memory: of this process's control group, ever.

    A rise of it tells why a child is found dead by SIGKILL. A group counts its own whatever limit they met, the
    machine's too; where no group counts, the whole machine's are given, and 0 where that does not count either.
    """
    files = [group / names[-1] for group, names in _groups(proc, groups)]
    lines = (line.split() for path in (*files, proc / "vmstat") for line in _read(path).splitlines())
    return next((int(words[1]) for words in lines if words[:1] == ["oom_kill"]), 0)


def _machine(proc: Path) -> Iterator[int]:
    for line in _read(proc / "meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield 1024 * int(line.split()[1])


def _left(proc: Path, groups: Path) -> Iterator[int]:
    for group, (limit, used, reclaimable, _) in _groups(proc, groups):
        yield from _of_group(group, limit, used, reclaimable)


def _groups(proc: Path, groups: Path) -> Iterator[tuple[Path, tuple[str, str, str, str]]]:
    """The process's group and all above it, with their files; in a container, where paths are another's, the outermost.

    Folders are given that may not be there.
    """
    for line in _read(proc / "self" / "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(",") or not controllers:
            top, names = (groups / "memory", V1) if controllers else (groups, V2)
            folder = top / path.lstrip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(top):
                    yield group, names


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
