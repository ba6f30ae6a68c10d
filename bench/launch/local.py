"""Launch on this machine: supervised worker processes, one a core with one thread each, or one for a GPU.

A worker that dies costs the unit it was at, which another takes up from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from bench.cell import Unit
from bench.launch.progress import Display
from bench.launch.worker import Done, Orders, Progress, Quit, Saying, failures, publish, serve

TRIES = 3
"""How often a unit is begun whose worker died, before its runs are recorded as killed."""

PATIENCE_SECONDS = 15.0
"""How long workers may take to save and end when asked to stop."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}
"""Set before any pool starts: two threads in one process can be ten times slower than one, where others work too."""


class Interrupted(Exception):  # noqa: N818 - a signal, not an error
    """The launch was stopped by a signal; what was finished is published, the rest has been saved."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class _Worker:
    index: int
    process: SpawnProcess
    line: Connection
    unit: Unit | None = None


@dataclass
class _Signals:
    """SIGINT, SIGTERM and SIGHUP while the launch lasts: the first asks workers to save, the second ends them."""

    received: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda number, _: self.received.append(number)) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def launch(units: Sequence[Unit], orders: Orders, *, workers: int, display: Display) -> list[str]:
    """Do all units and give the statuses of their runs.

    Raises:
        Interrupted: a signal asked to stop.
    """
    supervisor = _Supervisor(units, orders, display)
    signals = _Signals()
    with signals.caught():
        try:
            for index in range(min(workers, len(units))):
                supervisor.hire(index)
            while supervisor.unfinished() and not signals.received:
                supervisor.attend()
            supervisor.dismiss(signals.received)
        finally:
            supervisor.kill()
    if signals.received:
        raise Interrupted(signals.received[0])
    return supervisor.statuses


class _Supervisor:
    def __init__(self, units: Sequence[Unit], orders: Orders, display: Display) -> None:
        self.waiting = deque(units)
        self.orders, self.display = orders, display
        self.workers: list[_Worker] = []
        self.statuses: list[str] = []
        self.tries: dict[str, int] = {}
        self.context = multiprocessing.get_context("spawn")
        os.environ.update(ONE_THREAD)

    def hire(self, index: int) -> None:
        ours, theirs = self.context.Pipe()
        process = self.context.Process(target=serve, args=(theirs, self.orders, index), name=f"worker-{index}")
        process.start()
        theirs.close()
        self.workers.append(_Worker(index, process, ours))

    def unfinished(self) -> bool:
        return bool(self.waiting) or any(worker.unit for worker in self.workers)

    def attend(self) -> None:
        """Hand out work, hear what workers have to say, and replace the dead."""
        for worker in self.workers:
            if worker.unit is None and self.waiting:
                worker.unit = self.waiting.popleft()
                with contextlib.suppress(BrokenPipeError):  # it died idle: seen below
                    worker.line.send(worker.unit)
        for line in wait([worker.line for worker in self.workers], timeout=0.2):
            worker = next(worker for worker in self.workers if worker.line is line)
            try:
                self.hear(worker, worker.line.recv())
            except (EOFError, ConnectionResetError):
                self.bury(worker)
        self.display.refresh()

    def hear(self, worker: _Worker, message: Any) -> None:
        match message:
            case Progress(share) if worker.unit:
                self.display.advance(worker.unit, share)
            case Saying(text):
                self.display.say(text)
            case Done(statuses, text) if worker.unit:
                self.statuses += statuses
                self.display.finish(worker.unit, statuses, text)
                worker.unit = None

    def bury(self, worker: _Worker) -> None:
        worker.process.join()
        worker.line.close()
        self.workers.remove(worker)
        unit = worker.unit
        if unit is not None:
            code = worker.process.exitcode or 0
            cause = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
            self.tries[unit.id] = self.tries.get(unit.id, 0) + 1
            if self.tries[unit.id] < TRIES:
                self.display.say(f"a worker ended {cause}; {unit.id} begins again from its last checkpoint")
                self.waiting.appendleft(unit)
            else:
                results = failures(unit, "killed", f"the worker ended {cause}, {TRIES} times")
                publish(results, self.orders)
                self.statuses += ["killed"] * len(results)
                self.display.finish(unit, ["killed"] * len(results), results[0].rows[0]["message"])
        if self.waiting:
            self.hire(worker.index)

    def dismiss(self, signals: list[int]) -> None:
        """Let workers save and end; a second signal, or too long a wait, ends the patience."""
        for worker in self.workers:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                worker.line.send(Quit())
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.workers and time.monotonic() < deadline and len(signals) < 2:
            for worker in list(self.workers):
                self.drain(worker)
                worker.process.join(0.05)
                if worker.process.exitcode is not None:
                    self.workers.remove(worker)

    def drain(self, worker: _Worker) -> None:
        """Hear what is still said, so that nobody waits for a full pipe and no finished unit goes uncounted."""
        with contextlib.suppress(EOFError, ConnectionResetError):
            while worker.line.poll():
                self.hear(worker, worker.line.recv())

    def kill(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
        self.workers.clear()
