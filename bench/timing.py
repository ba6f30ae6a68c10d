"""How fast: seconds of work that takes turns with other work, and what this machine can do at most beside it.

``torch.utils.benchmark`` times one thing after another, and before each timing calls it at least twice more: with work
of seconds a call, in rounds, that is three times the wait. Hence a clock of our own: on a CPU Python's, on CUDA events.
"""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import torch

Work: TypeAlias = "Callable[[int], object]"
"""Does a thing so many times."""

Named = TypeVar("Named", bound=str)

BURST_SECONDS = 0.03
"""How long a thing is done in a row, at least, to be timed once."""

BLOCK = 64
"""For so many steps, at most, training draws ahead: of bursts that are longer each has its share of the draws."""

FEWEST = 3
"""Rounds at least: a median between two quartiles."""

SIZES: Mapping[str, tuple[int, ...]] = {"cpu": (512, 1024), "cuda": (1024, 4096)}
"""Of the square matrices whose product shows the best rate, by device."""

COPIED = 1 << 26
"""Bytes that the yardstick of bandwidth reads, and writes."""


def seconds_of(work: Work, count: int, device: str) -> float:
    """From when the device is idle to when it has done the work so many times."""
    if device == "cpu":
        start = time.perf_counter()
        work(count)
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    begin.record()
    work(count)
    end.record()
    torch.cuda.synchronize()
    milliseconds: float = begin.elapsed_time(end)
    return milliseconds / 1e3


def burst_of(work: Work, device: str, seconds: float = BURST_SECONDS) -> int:
    """How many times in a row the work takes at least so long, whole blocks if they are many; it is warm after."""
    once = seconds_of(work, 1, device)
    if once < seconds / 10:
        several = math.ceil(seconds / 10 / once)
        once = seconds_of(work, several, device) / several
    count = math.ceil(seconds / once)
    return count if count < BLOCK else math.ceil(count / BLOCK) * BLOCK


def take_turns(
    bursts: Mapping[Named, tuple[Work, int]], device: str, *, rounds: int, seconds: float
) -> Iterator[dict[Named, float]]:
    """The seconds of one call of each work, round by round, each done so many times in a row when it is its turn.

    Ends after so many rounds, or after so many seconds if there have been ``FEWEST``.
    """
    start = time.monotonic()
    for k in range(rounds):
        if k >= FEWEST and time.monotonic() - start > seconds:
            return
        yield {name: seconds_of(work, count, device) / count for name, (work, count) in bursts.items()}


def matrix_product(size: int, device: str) -> Work:
    """Multiplies two square matrices in float32: ``2 size^3`` operations."""
    source = torch.Generator(device).manual_seed(0)
    a, b = (torch.randn(size, size, device=device, generator=source) for _ in range(2))
    result = torch.empty_like(a)

    def multiply(count: int) -> None:
        for _ in range(count):
            torch.mm(a, b, out=result)

    return multiply


def copying(device: str) -> Work:
    """Copies ``COPIED`` bytes: as many are read as are written."""
    source = torch.ones(COPIED // 4, device=device)
    target = torch.empty_like(source)

    def copy(count: int) -> None:
        for _ in range(count):
            target.copy_(source)

    return copy


@dataclass(frozen=True)
class Meter:
    """What counts the energy of a device."""

    read: Callable[[], float]
    """Joules so far."""
    turn: float = math.inf
    """At how many it starts again from 0."""

    def joules_of(self, work: Work, count: int) -> float:
        """Of the work done so many times, whatever else the device does included."""
        before = self.read()
        work(count)
        return (self.read() - before) % self.turn


def meter(device: str, rapl: Path = Path("/sys/class/powercap/intel-rapl:0")) -> Meter | None:
    """The driver's of a CUDA device, through NVML; RAPL's of the first processor package; None where there is none."""
    try:
        return _rapl(rapl) if device == "cpu" else _nvml()
    except (OSError, ValueError, ImportError):
        return None


def _rapl(folder: Path) -> Meter:
    counter, turn = folder / "energy_uj", float((folder / "max_energy_range_uj").read_text()) / 1e6
    counter.read_text()  # it may be there and be root's
    return Meter(lambda: float(counter.read_text()) / 1e6, turn)


def _nvml() -> Meter | None:
    nvml: Any = importlib.import_module("pynvml")
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties().uuid}")
        nvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except nvml.NVMLError:
        return None

    def read() -> float:
        torch.cuda.synchronize()
        return float(nvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3

    return Meter(read)
