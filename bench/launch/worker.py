"""A worker: a process that does one unit after another, with an evaluator process beside it."""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import hashlib
import multiprocessing
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench import plugins, provenance, records
from bench.cache import cache_folder
from bench.cell import Run, Unit
from bench.engine import Way
from bench.errors import first_line, without_places
from bench.experiments import EXPERIMENTS, Context, Result, Stopped
from bench.experiments.base import identity_row
from bench.launch import evaluator as beside
from bench.launch.plan import remember

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What the system says where there is no room for a file."""


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a worker is told once."""

    folder: Path
    grid: str
    device: str
    way: Way | None
    plugins: Sequence[plugins.File]
    provenance: Mapping[str, Any]


class Begun:
    """The worker is ready, and begins the unit."""


@dataclass(frozen=True)
class Progress:
    """Which share of the unit at hand is done."""

    share: float


@dataclass(frozen=True)
class Saying:
    """Something that a person should know once."""

    text: str


@dataclass(frozen=True)
class Done:
    """The unit at hand has ended: each of its runs has a record, with this status."""

    statuses: Sequence[str]
    message: str = ""


@dataclass(frozen=True)
class Failed:
    """The unit at hand cannot be done; none of its runs that are not finished has a record."""

    status: str
    message: str
    traceback: str = ""
    """Hash of the files and functions that the error came through: equal for equal causes; also in the log."""


@dataclass(frozen=True)
class Full:
    """There is no room for the files of the unit at hand, which stays as its last checkpoint left it."""

    message: str


class Quit:
    """To a worker: save what you have, and end."""


def serve(line: Connection, log: Connection, orders: Orders) -> None:
    """Do the units that come over the line until ``Quit`` or the other end is gone; all that is printed is logged."""
    beside.die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the driver says what to do
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    log.close()
    faulthandler.enable()
    # What is compiled is kept for all workers and all later runs, in a folder that nobody else writes to.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
    import torch

    torch.set_num_threads(1)
    # Adam's squares of small gradients are denormal numbers, which cost a CPU a hundred times; below 1e-38 they are 0.
    torch.set_flush_denormal(True)
    plugins.load(orders.plugins)
    spawn = multiprocessing.get_context("spawn")
    files = [(file.path, file.source) for file in orders.plugins]
    evaluator = ProcessPoolExecutor(1, spawn, initializer=beside.become, initargs=(files,))
    try:
        with contextlib.suppress(EOFError, BrokenPipeError):
            while isinstance(unit := line.recv(), Unit):
                line.send(Begun())
                end = _do(unit, orders, evaluator, line)
                if end is None:
                    # All is saved, and nobody waits for what the evaluator has in hand: it ends with this process.
                    sys.stdout.flush()
                    os._exit(0)
                line.send(end)
    finally:
        # One call, which waits: after one that does not wait, the evaluator is never told to end.
        evaluator.shutdown(cancel_futures=True)


def _do(unit: Unit, orders: Orders, evaluator: ProcessPoolExecutor, line: Connection) -> Done | Failed | Full | None:
    try:
        context = Context(
            work=remember(unit, orders.folder),
            device=orders.device,
            way=orders.way,
            evaluator=evaluator,
            progress=lambda share: line.send(Progress(share)),
            stopping=line.poll,  # the only thing that comes while a unit is at hand is Quit, or the end of the line
            say=lambda text: line.send(Saying(text)),
        )
        _check_code(unit)
        results = EXPERIMENTS[unit.experiment].run(unit, context)
        publish(results, orders)
    except Stopped:
        return None
    except BrokenProcessPool:
        traceback.print_exc()
        sys.exit(1)  # the evaluator was killed: the unit begins again from its last checkpoint, with a new worker
    except Exception as error:
        return _told(error)
    shutil.rmtree(context.work, ignore_errors=True)
    return Done([result.rows[-1]["status"] for result in results])


def _told(error: Exception) -> Failed | Full:
    """What an error says for the table, and its traceback for the log."""
    if isinstance(error, OSError) and error.errno in FULL:
        return Full(f"{error.filename}: {error.strerror}")
    frames = traceback.extract_tb(error.__traceback__)
    path = [type(error).__name__, *(f"{Path(frame.filename).name}:{frame.name}" for frame in frames)]
    name = hashlib.sha256("\n".join(path).encode()).hexdigest()[:10]
    print(f"traceback {name}:", file=sys.stderr)
    traceback.print_exception(error)
    oom = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return Failed("oom" if oom else "failed", without_places(first_line(error)), name)


def _check_code(unit: Unit) -> None:
    """A record names the code that its run was planned with; files may have changed since."""
    for cell in {run.cell.id: run.cell for run in unit.runs}.values():
        if EXPERIMENTS[cell.experiment].sources(cell.settings) != cell.sources:
            raise RuntimeError("the code of an objective, a data set or a metric has changed since the command began")


def publish(results: Sequence[Result], orders: Orders) -> None:
    """Write what is missing; the record comes last, since it is what says that a run is finished."""
    import pandas as pd

    where = {"device_name": provenance.device_name(orders.device)}
    for result in results:
        if records.has(orders.folder, result.run.id):
            continue
        if result.samples:
            records.publish_samples(result.samples, orders.folder, result.run.id)
        rows = [{"grid": orders.grid, **row, **orders.provenance, **where} for row in result.rows]
        records.publish(pd.DataFrame(rows), orders.folder)


def failures(unit: Unit, end: Failed) -> list[Result]:
    """One row a run that could not be finished."""

    def row(run: Run) -> dict[str, Any]:
        told = {"status": end.status, "message": end.message, "traceback": end.traceback}
        return {**identity_row(run), "step": 0, **told}

    return [Result(run, [row(run)]) for run in unit.runs]
