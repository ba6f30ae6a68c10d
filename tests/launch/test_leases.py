"""Who is at work on what, with real processes that die, stop and come late."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest
from table import told

from bench import ROOT
from bench.launch import leases
from bench.launch.leases import Leases, drivers, leftovers, remove

HOLD = """
import sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from bench.launch.leases import Leases
with Leases(Path({folder!r})) as leases:
    print(leases.driver, *sorted(leases.take({runs!r})), flush=True)
    time.sleep(600)
"""


class Holder:
    """Another process with leases."""

    def __init__(self, folder: Path, *runs: str) -> None:
        code = HOLD.format(root=str(ROOT), folder=str(folder), runs=runs)
        self.process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        self.driver, *self.runs = self.process.stdout.readline().split()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def hold(tmp_path: Path) -> object:
    holders = []

    def begin(*runs: str) -> Holder:
        holders.append(Holder(tmp_path, *runs))
        return holders[-1]

    yield begin
    for holder in holders:
        holder.kill()


Hold = Callable[..., Holder]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_is_one_drivers_until_it_is_let_go_or_the_driver_dies(tmp_path: Path, hold: Hold) -> None:
    other = hold("a", "b")
    assert other.runs == ["a", "b"]
    with Leases(tmp_path) as ours:
        assert ours.take(["a", "b", "c"]) == {"c"}
        assert ours.elsewhere(["a", "b", "c", "d"]) == {"a", "b"}
        assert not ours.alone()
        assert [seen.dead for seen in drivers(tmp_path)] == [False, False]
        other.kill()
        assert ours.elsewhere(["a", "b", "c", "d"]) == set()
        assert ours.take(["a", "b"]) == {"a", "b"}
        assert ours.take(["a"]) == {"a"}
        third = hold("a", "b", "c", "d")
        assert third.runs == ["d"]  # from the heir nothing is to be had either
        ours.drop(["a", "b", "c"])
        assert names(tmp_path / "leases") == ["d"]
        third.kill()
    assert {path.name for path in tmp_path.iterdir()} == set()


def test_a_driver_that_is_stopped_keeps_its_runs(tmp_path: Path, hold: Hold) -> None:
    other = hold("a")
    other.process.send_signal(signal.SIGSTOP)
    with Leases(tmp_path) as ours:
        assert ours.take(["a"]) == set()


@pytest.mark.parametrize("granularity", ["exact", "seconds"])
def test_of_another_machine_only_the_lack_of_change_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, granularity: str
) -> None:
    """R15: clocks that jump, coarse times of files: what counts is the time that passes here without a change."""
    path = tmp_path / "drivers" / "elsewhere.json"
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    injected = 0
    with Leases(tmp_path) as ours:
        (tmp_path / "leases").mkdir()
        (tmp_path / "leases" / "a").symlink_to("elsewhere")
        for beat in range(40):
            path.write_text(json.dumps({"boot_id": "of another", "beats": beat}))
            jump = random.Random(beat).choice([0.0, -3600.0, 3600.0])  # the other machine's clock, or the server's
            stamp = time.time() + jump
            os.utime(path, (stamp, stamp) if granularity == "exact" else (int(stamp), int(stamp)))
            injected += bool(jump)
            now += leases.STALE_SECONDS / 2
            assert ours.take(["a"]) == set()
            assert ours.elsewhere(["a"]) == {"a"}
            assert {seen.driver: seen.dead for seen in drivers(tmp_path)}["elsewhere"] is None
        now += leases.STALE_SECONDS + 1
        assert ours.elsewhere(["a"]) == set()
        assert ours.take(["a"]) == {"a"}
    assert injected >= 10
    told(
        "R15", injected, injected, f"jumps of a clock by an hour, times of files {granularity}; no live lease was taken"
    )


def test_leftovers_are_what_nobody_alive_holds(tmp_path: Path, hold: Hold) -> None:
    dead, alive = hold("a", "b"), hold("c")
    dead.kill()
    heir = hold("b")
    (tmp_path / "leases" / f"z~{alive.driver}").symlink_to(alive.driver)  # hangs from nothing
    found = leftovers(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in found} == {
        f"drivers/{dead.driver}.json", "leases/a", f"leases/z~{alive.driver}",
    }  # fmt: skip
    remove(found, tmp_path)
    assert names(tmp_path / "leases") == ["b", f"b~{dead.driver}", "c"]
    alive.kill()
    heir.kill()
    remove(leftovers(tmp_path), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"boot_id": 3}', "[" * 4000, '{"began": {}}'])
def test_a_driver_of_nonsense_harms_nobody(tmp_path: Path, text: str) -> None:
    with Leases(tmp_path) as ours:
        (tmp_path / "drivers" / "strange.json").write_text(text)
        (tmp_path / "leases").mkdir()
        (tmp_path / "leases" / "a").symlink_to("strange")
        (tmp_path / "leases" / "b").symlink_to("../../../etc/passwd")
        (tmp_path / "leases" / "d").symlink_to("x")
        (tmp_path / "leases" / "d~x").symlink_to("x")  # a chain without an end
        assert ours.take(["a", "b", "c", "d"]) == {"b", "c"}
        assert len(drivers(tmp_path)) == 2


def _contend(folder: str, number: int, rounds: int) -> list[str]:
    """Take runs, hold each for a moment, tell whether anybody else had it meanwhile, and let it go."""
    chance, seen = random.Random(number), []
    with Leases(Path(folder)) as ours:
        for _ in range(rounds):
            run = chance.choice("abc")
            if ours.take([run]):
                mark = Path(folder) / f"held-{run}"
                try:
                    os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
                    time.sleep(0.0005)
                    mark.unlink()
                    seen.append("alone")
                except FileExistsError:
                    seen.append("together")
                ours.drop([run])
    return seen


def test_no_two_hold_a_run_at_once(tmp_path: Path) -> None:
    """With leases of the dead lying about, which all would inherit."""
    (tmp_path / "leases").mkdir()
    for run in "abc":
        (tmp_path / "leases" / run).symlink_to("dead")
        (tmp_path / "leases" / f"{run}~dead").symlink_to("too")
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        counts = Counter(chain.from_iterable(pool.starmap(_contend, [(str(tmp_path), n, 400) for n in range(4)])))
    assert counts["together"] == 0
    assert counts["alone"] > 100
