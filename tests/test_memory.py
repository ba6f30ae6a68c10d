"""What is left of memory, as the kernel's files tell it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bench import memory

GB = 10**9


def machine(folder: Path, groups: str, free: int = 8_000_000) -> Path:
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 32000000 kB\nMemFree: 10 kB\nMemAvailable: {free} kB\nBuffers: 5 kB\n")
    (folder / "self" / "cgroup").write_text(groups)
    return folder


def group(folder: Path, **files: str | int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"memory.{name}").write_text(f"{content}\n")


def test_the_machine_where_no_group_has_a_limit(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", "0::/user/own\n")
    group(tmp_path / "groups" / "user" / "own", max="max", current=5 * GB)
    assert memory.available(proc, tmp_path / "groups") == 8_000_000 * 1024


@pytest.mark.parametrize("tight", ["user", "user/own"])
def test_the_tightest_of_the_groups_above(tmp_path: Path, tight: str) -> None:
    proc = machine(tmp_path / "proc", "0::/user/own\n")
    for name in ("user", "user/own"):
        most = 4 * GB if name == tight else 6 * GB
        statistics = f"anon {2 * GB}\ninactive_file {GB}\nactive_file 7"
        group(tmp_path / "groups" / name, max=most, current=3 * GB, stat=statistics)
    assert memory.available(proc, tmp_path / "groups") == (4 - 3 + 1) * GB


def test_groups_of_the_first_version(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", "5:cpu:/own\n4:memory:/own\n0::/\n")
    group(tmp_path / "groups" / "memory", limit_in_bytes=9223372036854771712, usage_in_bytes=7 * GB)
    own = tmp_path / "groups" / "memory" / "own"
    group(own, limit_in_bytes=2 * GB, usage_in_bytes=GB, stat=f"inactive_file 3\ntotal_inactive_file {GB // 2}")
    assert memory.available(proc, tmp_path / "groups") == 1.5 * GB


def test_a_container_sees_its_own_group_as_the_outermost(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", "0::/somewhere/outside\n")
    group(tmp_path / "groups", max=GB, current=GB + 5)
    assert memory.available(proc, tmp_path / "groups") == 0


def test_a_system_that_does_not_say(tmp_path: Path) -> None:
    assert memory.available(tmp_path, tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the files are Linux's")
def test_here() -> None:
    import psutil

    free = memory.available()
    assert free is not None
    assert 0 < free < psutil.virtual_memory().total


def counted(folder: Path, name: str, kills: int, other: str = "oom") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{other} 7\noom_kill_disable 0\noom_kill {kills}\noom_group_kill 9\n")


def test_kills_of_the_own_group(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path / "proc", "0::/user/own\n"), tmp_path / "groups"
    counted(proc, "vmstat", 11, "oom_kill_else")
    counted(groups / "user", "memory.events", 3)
    counted(groups / "user" / "own", "memory.events", 2)
    assert memory.oom_kills(proc, groups) == 2
    counted(groups / "user" / "own", "memory.events", 3)
    assert memory.oom_kills(proc, groups) == 3


def test_kills_of_a_group_of_the_first_version(tmp_path: Path) -> None:
    proc, groups = machine(tmp_path / "proc", "4:memory:/own\n3:cpu:/own\n0::/\n"), tmp_path / "groups"
    counted(groups / "memory" / "own", "memory.oom_control", 4, "under_oom")
    assert memory.oom_kills(proc, groups) == 4


def test_kills_of_a_container_s_outermost_group(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", "0::/somewhere/outside\n")
    counted(tmp_path / "groups", "memory.events", 5)
    assert memory.oom_kills(proc, tmp_path / "groups") == 5


def test_kills_of_the_machine_where_no_group_counts(tmp_path: Path) -> None:
    proc = machine(tmp_path / "proc", "0::/user/own\n")
    (tmp_path / "groups" / "user" / "own").mkdir(parents=True)
    (tmp_path / "groups" / "user" / "own" / "memory.events").write_text("low 0\noom 6\n")  # of an old kernel
    counted(proc, "vmstat", 11)
    assert memory.oom_kills(proc, tmp_path / "groups") == 11


def test_kills_that_nobody_counts(tmp_path: Path) -> None:
    assert memory.oom_kills(tmp_path, tmp_path) == 0
