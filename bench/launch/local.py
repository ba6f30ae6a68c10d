"""Launch on this machine: supervised worker processes, one a core with one thread each, or one for a GPU.

A worker that dies costs the unit it was at, which another takes up from its last checkpoint.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from bench import memory
from bench.cell import Unit
from bench.errors import UserError, without_places
from bench.launch import LOGS
from bench.launch.progress import Display
from bench.launch.queue import Queue
from bench.launch.worker import Done, Failed, Full, Orders, Progress, Quit, Saying, serve

PATIENCE_SECONDS = 15.0
"""How long workers may take to save and end when asked to stop."""

LARGEST_LOG = 4 << 20
"""Bytes of a log before it is put aside; of each worker, what was put aside last is kept too."""

PIECE = 1 << 16
"""Bytes that are read of what a worker prints; a longer line is cut."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}
"""Set before any pool starts: two threads in one process can be ten times slower than one, where others work too."""


class Interrupted(Exception):  # noqa: N818 - a signal, not an error
    """The launch was stopped by a signal; what was finished is published, the rest has been saved."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@dataclass
class Signals:
    """SIGINT, SIGTERM and SIGHUP while the launch lasts: the first asks workers to save, the second ends them."""

    received: list[int] = field(default_factory=list)

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Keep what comes, in place of what would be done with it."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda number, _: self.received.append(number)) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """What processes that are started in it find, and this one does not keep.

    They import nothing from the folder that the command was given in. Python's tracker of semaphores cleans up after
    those that are killed, and need not say so.
    """
    before = dict(os.environ)
    quiet = ",".join(filter(None, (before.get("PYTHONWARNINGS"), "ignore:resource_tracker")))
    os.environ.update({"PYTHONSAFEPATH": "1", "PYTHONWARNINGS": quiet})
    try:
        yield
    finally:
        for name in ("PYTHONSAFEPATH", "PYTHONWARNINGS"):
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]


class Worker:
    """A process that does one unit after another, the line to it, and what writes its log.

    Args:
        orders: what it is told once.
        log: the file that gets all that it prints, whatever becomes of it.
    """

    def __init__(self, orders: Orders, log: Path) -> None:
        os.environ.update(ONE_THREAD)
        context = multiprocessing.get_context("spawn")
        self.line, theirs = context.Pipe()
        read, write = context.Pipe(duplex=False)
        self._process = context.Process(target=serve, args=(theirs, write, orders), name=log.stem)
        with _environment():
            resource_tracker.ensure_running()
            self._process.start()
        theirs.close()
        write.close()
        self.unit: Unit | None = None
        self._heard: float | None = None
        self._out_of_memory = memory.oom_kills()
        self._log = threading.Thread(target=_write_log, args=(read, log), daemon=True)
        self._log.start()

    def give(self, unit: Unit) -> None:
        """Let it begin a unit."""
        self.unit, self._heard = unit, None
        with contextlib.suppress(BrokenPipeError):  # it died idle: ``hear`` will say so
            self.line.send(unit)

    def hear(self) -> Any:
        """The next message; raises EOFError or ConnectionResetError where it has died."""
        message = self.line.recv()
        self._heard = time.monotonic()
        return message

    def death(self) -> str | Failed:
        """Why it is dead: the words for its cause, or the end of its unit where the kernel had no memory for it."""
        self._end()
        code = self._process.exitcode or 0
        if code == -signal.SIGKILL and memory.oom_kills() > self._out_of_memory:
            return Failed("oom", "the system had no memory left and killed the worker")
        return f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"

    def silent_for(self) -> float:
        """Seconds since it last said something of its unit; none have passed while it gets ready."""
        return 0.0 if self.unit is None or self._heard is None else time.monotonic() - self._heard

    @property
    def begun(self) -> bool:
        """It is, or was, at work on its last unit."""
        return self._heard is not None

    def quit(self) -> None:
        """Ask it to save what it has, and to end."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.line.send(Quit())

    def ended(self) -> bool:
        """It has."""
        self._process.join(0.05)
        return self._process.exitcode is not None

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._end()

    def _end(self) -> None:
        self._process.join()
        self.line.close()
        self._log.join(1.0)  # a grandchild may hold its end a little longer


def launch(queue: Queue, orders: Orders, *, workers: int, timeout: float | None, display: Display, driver: str) -> None:
    """Do all units of the queue; one that says nothing for ``timeout`` seconds is ended.

    Raises:
        Interrupted: a signal asked to stop.
        UserError: there is no room for results.
    """
    crew, signals = _Crew(queue, orders, workers, timeout, display, driver), Signals()
    with signals.caught():
        try:
            while not (queue.finished() or signals.received or crew.full):
                crew.attend()
            crew.dismiss(signals.received)
        finally:
            crew.kill()
    if signals.received:
        raise Interrupted(signals.received[0])
    if crew.full:
        raise UserError(f"{crew.full}; what was finished is intact: free some room, and the same command goes on")


class _Crew:
    def __init__(
        self, queue: Queue, orders: Orders, most: int, timeout: float | None, display: Display, driver: str
    ) -> None:
        self.queue, self.orders, self.display, self.driver = queue, orders, display, driver
        self.most, self.timeout = most, timeout
        self.workers: dict[int, Worker] = {}
        self.full = ""

    def attend(self) -> None:
        """Hand out work, hear what workers have to say, and see to the dead and to those that hang."""
        while (index := self.free()) is not None and (unit := self.queue.next()) is not None:
            self.worker(index).give(unit)
        lines = {worker.line: index for index, worker in self.workers.items()}
        for line in wait(list(lines), timeout=0.2):
            index = lines[line]  # type: ignore[index]
            try:
                self.hear(self.workers[index])
            except (EOFError, ConnectionResetError):
                self.bury(index)
        for index, worker in list(self.workers.items()):
            if self.timeout and worker.silent_for() > self.timeout:
                self.end_hanging(index)
        self.queue.tell()

    def free(self) -> int | None:
        """The first place for a worker without a unit, hired or not."""
        return next((i for i in range(self.most) if i not in self.workers or not self.workers[i].unit), None)

    def worker(self, index: int) -> Worker:
        if index not in self.workers:
            self.workers[index] = Worker(self.orders, self.log(index))
        return self.workers[index]

    def log(self, index: int) -> Path:
        return self.orders.folder / LOGS / f"worker-{self.driver}-{index}.log"

    def hear(self, worker: Worker) -> None:
        unit = worker.unit
        match worker.hear():
            case Progress(share) if unit:
                self.display.advance(unit, share)
            case Saying(text):
                self.display.say(text)
            case Full(message):
                self.full = message
                worker.unit = None
            case Done() as end if unit:
                worker.unit = None
                self.queue.done(unit, end)
            case Failed() as end if unit:
                worker.unit = None
                self.queue.failed(unit, end)

    def bury(self, index: int) -> None:
        worker = self.workers.pop(index)
        end = worker.death()
        if worker.unit and isinstance(end, Failed):
            self.queue.failed(worker.unit, end)
        elif worker.unit:
            self.queue.lost(worker.unit, str(end))

    def end_hanging(self, index: int) -> None:
        worker = self.workers.pop(index)
        worker.kill()
        if worker.unit:
            self.queue.failed(worker.unit, Failed("timeout", f"no progress for {self.timeout:g} s"))

    def dismiss(self, signals: list[int]) -> None:
        """Let workers save and end; a second signal, or too long a wait, ends the patience."""
        for index, worker in list(self.workers.items()):
            if worker.begun:
                worker.quit()
            else:
                self.workers.pop(index).kill()  # it has nothing to save
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.workers and time.monotonic() < deadline and len(signals) < 2:
            for index, worker in list(self.workers.items()):
                # What is still said is heard, so that nobody waits for a full pipe and no finished unit goes uncounted.
                with contextlib.suppress(EOFError, ConnectionResetError):
                    while worker.line.poll():
                        self.hear(worker)
                if worker.ended():
                    self.workers.pop(index).kill()

    def kill(self) -> None:
        for worker in self.workers.values():
            worker.kill()
        self.workers.clear()


def _write_log(read: Connection, path: Path) -> None:
    """Write what comes to the file, which is begun anew when it is large, until the other end is gone.

    By whole lines, since of what is read in two pieces no folder could be told. What the disk has no room for is lost:
    nobody waits for a log.
    """
    size, file, rest, last = 0, None, b"", False
    while not last:
        try:
            data = os.read(read.fileno(), PIECE)
        except OSError:
            data = b""
        last, rest = not data, rest + data
        end = len(rest) if last or len(rest) > PIECE else rest.rfind(b"\n") + 1
        data, rest = without_places(os.fsdecode(rest[:end])).encode(errors="surrogateescape"), rest[end:]
        if not data:
            continue
        with contextlib.suppress(OSError):
            if file is not None and size > LARGEST_LOG:
                file.close()
                path.replace(path.with_suffix(".log.1"))
                size, file = 0, None
            if file is None:
                path.parent.mkdir(exist_ok=True)
                file = path.open("ab", buffering=0)
            size += file.write(data)
    if file is not None:
        file.close()
    read.close()
