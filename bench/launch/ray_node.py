"""What runs on the nodes of a Ray cluster: the tasks of ``on_ray``, and the worker that each Ray process keeps."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import records
from bench.cell import Unit
from bench.launch import LOGS
from bench.launch.leases import DRIVERS
from bench.launch.local import PATIENCE_SECONDS, Worker
from bench.launch.worker import Begun, Done, Failed, Full, Orders, Progress, Saying

PULSE_SECONDS = 0.5
"""How often, at most, a task tells how far it is and hears whether to stop."""

LARGEST_TAIL = 1 << 16
"""Bytes of a log that come back from a node which does not see the results folder."""


@dataclass(frozen=True)
class Files:
    """What a node hands back that does not see the results folder."""

    runs: Mapping[str, tuple[bytes, bytes | None]] = field(default_factory=dict)
    """The record of each run, and its samples."""
    log: tuple[str, bytes] = ("", b"")
    """The end of a log, by the file's name."""


class Office:
    """Where tasks tell how far they are, and hear whether to stop: a Ray actor beside the driver."""

    def __init__(self) -> None:
        self._told: list[tuple[str, Progress | Saying]] = []
        self._stopping = False
        self._places = 0

    def place(self) -> int:
        """A number that no other place of this launch has."""
        self._places += 1
        return self._places

    def tell(self, name: str, messages: Sequence[Progress | Saying]) -> bool:
        """News of a unit; gives whether to stop."""
        self._told += [(name, message) for message in messages]
        return self._stopping

    def hear(self) -> list[tuple[str, Progress | Saying]]:
        """What was told since one last heard, each with the id of its unit."""
        told, self._told = self._told, []
        return told

    def stop(self) -> None:
        """From now on, whoever tells something is to stop."""
        self._stopping = True


_place: _Place | None = None
"""In a Ray process, which does one task after another: what it keeps."""


def do(unit: Unit, orders: Orders, driver: str, office: Any, timeout: float | None) -> tuple[Any, Files]:
    """The task of a unit: an ending of its worker's; the words for a loss; or None where it was stopped."""
    import ray
    from ray.exceptions import ActorUnavailableError, RayError

    global _place
    if _place is None:
        _place = _Place(orders, driver, ray.get(office.place.remote()))

    def tell(messages: Sequence[Progress | Saying]) -> bool:
        try:
            return bool(ray.get(office.tell.remote(unit.id, messages)))
        except ActorUnavailableError:
            return False  # it may be back for the next news
        except RayError:
            return True  # there is nobody to work for

    return _place.do(unit, tell, timeout)


class _Place:
    """Room for a worker, which is kept from unit to unit: to begin one takes longer than many a unit."""

    def __init__(self, orders: Orders, driver: str, number: int) -> None:
        self.shared = (orders.folder / DRIVERS / f"{driver}.json").exists()
        folder = orders.folder if self.shared else Path(tempfile.mkdtemp(prefix="bench-"))
        self.orders = replace(orders, folder=folder)
        self.log = folder / LOGS / f"worker-{driver}-{number}.log"
        self.worker: Worker | None = None
        self.devices: str | None = None
        # A spawned process imports the main file of its parent again, which is Ray's here, and of no use to it.
        vars(sys.modules["__main__"]).pop("__file__", None)
        atexit.register(self.close)

    def do(self, unit: Unit, tell: Any, timeout: float | None) -> tuple[Any, Files]:
        """See ``do``."""
        devices = os.environ.get("CUDA_VISIBLE_DEVICES")
        if self.worker is not None and devices != self.devices:  # the share of another GPU than the last task's
            self.end()
        if tell([] if self.shared else [Saying("a node does not see the results folder: records are sent back whole")]):
            return None, Files()
        if self.worker is None:
            self.worker, self.devices = Worker(self.orders, self.log), devices
        self.worker.give(unit)
        end = self.attend(self.worker, tell, timeout)
        self.worker.unit = None
        if end is None or isinstance(end, str) or (isinstance(end, Failed) and end.status in ("timeout", "oom")):
            self.end()
        return end, Files() if self.shared else self.files(unit, end)

    def attend(self, worker: Worker, tell: Any, timeout: float | None) -> Any:
        """Hear the worker until the unit ends, or must."""
        news: list[Progress | Saying] = []
        share: Progress | None = None
        told, stopped = time.monotonic(), 0.0
        while True:
            try:
                if worker.line.poll(PULSE_SECONDS):
                    match worker.hear():
                        case Progress() as progress:
                            share = progress
                        case Saying() as saying:
                            news.append(saying)
                        case Begun():
                            pass
                        case Done() | Failed() | Full() as end:
                            return end
            except (EOFError, ConnectionResetError):
                return None if stopped else worker.death()
            now = time.monotonic()
            if timeout and not stopped and worker.silent_for() > timeout:
                return Failed("timeout", f"no progress for {timeout:g} s")
            if stopped and now - stopped > PATIENCE_SECONDS:
                return None
            if not stopped and now - told > PULSE_SECONDS:
                told = now
                if tell([*news, share] if share else news):
                    stopped = now
                    worker.quit()
                share, news = None, []

    def files(self, unit: Unit, end: Any) -> Files:
        """What the results folder must have; nothing of it is kept."""
        folder, runs = self.orders.folder, {}
        for run in unit.runs if isinstance(end, Done) else ():
            samples = folder / records.SAMPLES / f"{run.id}.safetensors"
            record = (folder / records.RUNS / f"{run.id}.parquet").read_bytes()
            runs[run.id] = record, samples.read_bytes() if samples.exists() else None
        for name in (records.RUNS, records.SAMPLES):
            shutil.rmtree(folder / name, ignore_errors=True)
        tail = b""
        if self.log.exists() and not isinstance(end, Done):
            tail = self.log.read_bytes()[-LARGEST_TAIL:]
            os.truncate(self.log, 0)
        return Files(runs, (self.log.name, tail))

    def end(self) -> None:
        if self.worker is not None:
            self.worker.kill()
            self.worker = None

    def close(self) -> None:
        self.end()
        if not self.shared:
            shutil.rmtree(self.orders.folder, ignore_errors=True)
