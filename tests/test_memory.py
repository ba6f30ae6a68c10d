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
