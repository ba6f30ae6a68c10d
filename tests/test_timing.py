"""The clock, the turns, the yardsticks and the meters, by a clock that the tests turn and counters that they write."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench import timing


class Clock:
    """Goes only when work is done."""

    def __init__(self) -> None:
        self.now = 100.0
        self.done: list[tuple[str, int]] = []

    def work(self, name: str, seconds: float) -> Callable[[int], None]:
        def work(count: int) -> None:
            self.now += count * seconds
            self.done.append((name, count))

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    now = SimpleNamespace(perf_counter=lambda: found.now, monotonic=lambda: found.now)
    monkeypatch.setattr(timing, "time", now)
    return found


@pytest.mark.parametrize(("once", "count"), [(2.0, 1), (0.25, 1), (0.06, 4), (0.002, 128), (0.0002, 1024)])
def test_a_burst_is_long_enough_and_of_whole_blocks(clock: Clock, once: float, count: int) -> None:
    assert timing.burst_of(clock.work("x", once), "cpu", 0.2) == count


def test_work_takes_turns(clock: Clock) -> None:
    works = {"a": (clock.work("a", 0.5), 3), "b": (clock.work("b", 2.0), 1)}
    found = list(timing.take_turns(works, "cpu", rounds=4, seconds=1000))
    assert clock.done == [("a", 3), ("b", 1)] * 4
    assert found == [{"a": 0.5, "b": 2.0}] * 4


def test_no_round_begins_after_its_time_but_the_first_three(clock: Clock) -> None:
    works = {"a": (clock.work("a", 1.0), 1)}
    assert len(list(timing.take_turns(works, "cpu", rounds=100, seconds=0.5))) == 3
    assert len(list(timing.take_turns(works, "cpu", rounds=100, seconds=7.5))) == 8


class Copies(TorchDispatchMode):
    """Counts the bytes that ``copy_`` writes."""

    written = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func is torch.ops.aten.copy_.default:
            self.written += args[0].nbytes
        return func(*args, **(kwargs or {}))


def test_the_yardsticks_do_what_they_are_taken_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with FlopCounterMode(display=False) as counter:
        timing.matrix_product(32, "cpu")(3)
    assert counter.get_total_flops() == 3 * 2 * 32**3
    monkeypatch.setattr(timing, "COPIED", 4096)
    copy = timing.copying("cpu")
    with Copies() as copies:
        copy(2)
    assert copies.written == 2 * 4096


def test_rapl_is_read_and_may_start_again(tmp_path: Path) -> None:
    (tmp_path / "max_energy_range_uj").write_text("8000000\n")
    counter = tmp_path / "energy_uj"
    counter.write_text("7000000\n")
    found = timing.meter("cpu", tmp_path)
    assert found is not None
    assert found.joules_of(lambda count: counter.write_text(f"{7000000 + count}\n"), 500_000) == pytest.approx(0.5)
    counter.write_text("7000000\n")
    assert found.joules_of(lambda count: counter.write_text("1000000\n"), 1) == pytest.approx(2)


def test_without_a_counter_there_is_no_meter(tmp_path: Path) -> None:
    assert timing.meter("cpu", tmp_path) is None
    (tmp_path / "max_energy_range_uj").write_text("8000000\n")
    assert timing.meter("cpu", tmp_path) is None


class Driver(SimpleNamespace):
    """NVML as ``pynvml`` offers it, with one device that has used 1.5 J."""

    class NVMLError(Exception):
        pass

    def __init__(self, *, counts: bool) -> None:
        def energy(handle: str) -> int:
            if handle != "GPU-some" or not counts:
                raise self.NVMLError
            return 1500

        super().__init__(
            nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=str, nvmlDeviceGetTotalEnergyConsumption=energy
        )


@pytest.mark.parametrize("counts", [True, False])
def test_the_driver_counts_the_energy_of_a_gpu_or_does_not(monkeypatch: pytest.MonkeyPatch, counts: bool) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver(counts=counts))
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: SimpleNamespace(uuid="some"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    found = timing.meter("cuda")
    assert (found.read() if found else None) == (1.5 if counts else None)


def test_a_gpu_without_the_drivers_module_has_no_meter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert timing.meter("cuda") is None
