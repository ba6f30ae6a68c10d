"""The same training in several processes at once: what a machine gains by giving each of its cores one."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from types import TracebackType
from typing import TypeAlias

import torch

from bench.cell import Settings
from bench.experiments.entrants import Name, make_work

BURST_SECONDS = 0.3
"""How long processes work at once, at least, to be timed: long beside what it takes to start them."""

PATIENCE_SECONDS = 60.0
"""How long one waits for the others at the start of a burst."""

END_SECONDS = 10.0
"""How long a process may take to end by itself."""

Span: TypeAlias = "tuple[float, float]"
"""Begin and end by the clock that all processes of a machine share."""


def scaling_of(alone: Span, at_once: Sequence[Span]) -> float:
    """Work a second of processes at once, each with the work of the one alone, over the work a second of that one."""
    begin, end = min(start for start, _ in at_once), max(end for _, end in at_once)
    return len(at_once) * (alone[1] - alone[0]) / (end - begin)


class Together:
    """Processes with one thread each, every one with all the ways of a shape, ready to step; CPU only."""

    def __init__(self, settings: Settings, names: Sequence[Name], replicas: int, processes: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._barrier = spawn.Barrier(processes)  # kept: what it is made of goes with it, and they begin later
        self._processes, self._lines = [], []
        for seed in range(processes):
            ours, theirs = spawn.Pipe()
            words = (theirs, self._barrier, settings, names, replicas, seed)
            process = spawn.Process(target=_serve, args=words, daemon=True)
            process.start()
            theirs.close()
            self._processes.append(process)
            self._lines.append(ours)

    def __enter__(self) -> Together:
        for line in self._lines:
            line.recv()  # it is ready
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for line in self._lines:
            line.close()  # which ends them, with what a compiler started beside them
        for process in self._processes:
            process.join(END_SECONDS)
            process.kill()
            process.join()

    def scaling(self, name: Name, count: int) -> float:
        """Of so many steps: first one process alone, then all at once."""
        first, *_ = self._lines
        first.send((name, count, False))
        alone = first.recv()
        for line in self._lines:
            line.send((name, count, True))
        return scaling_of(alone, [line.recv() for line in self._lines])


def _serve(
    line: Connection, barrier: Barrier, settings: Settings, names: Sequence[Name], replicas: int, seed: int
) -> None:
    """Step when told to, until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the worker is told by its driver
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    works = {name: make_work(settings, name, replicas, seed, "cpu") for name in names}
    for work in works.values():
        work(2)
    line.send(None)
    while True:
        try:
            name, count, at_once = line.recv()
        except EOFError:
            return
        if at_once:
            barrier.wait(PATIENCE_SECONDS)
        start = time.perf_counter()
        works[name](count)
        line.send((start, time.perf_counter()))
