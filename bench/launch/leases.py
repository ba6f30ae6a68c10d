"""Who is at work on which run: several drivers may share a results folder, on one machine or on many.

A driver is one ``run`` command at work. Its file ``drivers/<driver>.json`` tells how far it is, and changes every few
seconds for as long as it lives. Before it works on a run it takes a lease: a symbolic link ``leases/<run>`` to its own
name, which the file system makes whole and for one driver alone, over NFS too. A lease of a driver that has died is
taken over by exclusive creation again: ``leases/<run>~<the dead one>`` points to the heir, and a run belongs to whoever
stands at the end of the chain that begins at its first link. Names of drivers never come again, so of two heirs one
fails, and a link that comes too late, when the run was finished and let go, hangs from nothing and counts for nothing.

A driver has died when its file is gone; or, on this boot of this machine, when the lock on its file is free; or else
when the file has not changed for ``STALE_SECONDS`` by the clock of whoever looks, so that clocks are never compared.
A lease that is lost all the same costs work done twice, and no wrong row: records are published whole, under one name.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

LEASES = "leases"
DRIVERS = "drivers"

BEAT_SECONDS = 5.0
"""How often a driver's file changes."""

STALE_SECONDS = 60.0
"""How long the file of a living driver on another machine may stay as it is."""

MOST_TOLD = 4096
"""Bytes that are read of a driver's file."""


Made = TypeVar("Made")


class Seen(NamedTuple):
    """A driver as its file tells of it; ``dead`` is None where only waiting would show."""

    driver: str
    told: dict[str, Any]
    age_seconds: float
    """Since the file changed, by this machine's clock."""
    dead: bool | None


def drivers(folder: Path) -> list[Seen]:
    """All that have a file in the results folder, the one that began first in front."""
    found = []
    for path in sorted((folder / DRIVERS).glob("*.json")):
        with contextlib.suppress(OSError):
            age = time.time() - path.stat().st_mtime
            found.append(Seen(path.stem, _told(path), age, _locked_out(path)))
    return sorted(found, key=lambda seen: str(seen.told.get("began")))


def leftovers(folder: Path) -> list[Path]:
    """Files of drivers that have surely died, and the leases that nobody alive holds."""
    dead = {seen.driver for seen in drivers(folder) if seen.dead}
    files = [folder / DRIVERS / f"{driver}.json" for driver in sorted(dead)]
    known = {path.stem for path in (folder / DRIVERS).glob("*.json")} - dead
    held: set[Path] = set()
    links = sorted((folder / LEASES).glob("*"))
    for path in links:
        if "~" not in path.name:
            chain = _chain(folder, path.name)
            held |= {link.path for link in chain if chain[-1].driver in known}
    return files + [path for path in links if path not in held]


def remove(paths: Collection[Path], folder: Path) -> None:
    """Remove such leftovers, and the folders of drivers and leases where nothing is left in them."""
    for path in paths:
        path.unlink(missing_ok=True)
    for name in (LEASES, DRIVERS):
        with contextlib.suppress(OSError):
            (folder / name).rmdir()


class Leases:
    """This driver's leases in a results folder, used as a context; at its end all are let go."""

    def __init__(self, folder: Path) -> None:
        self.driver = uuid.uuid4().hex[:12]
        self._folder = folder
        self._path = folder / DRIVERS / f"{self.driver}.json"
        self._told: dict[str, Any] = {
            "host": socket.gethostname(), "pid": os.getpid(), "boot_id": boot_id(), "began": time.time()
        }  # fmt: skip
        self._beats = 0
        self._held: set[str] = set()
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on_beating, name="heartbeat", daemon=True)

    def __enter__(self) -> Leases:
        # Under another name until it is locked: an unlocked file is that of a driver which has died.
        draft = self._path.with_suffix(".new")
        self._file = _with_folder(lambda: os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), draft)
        with contextlib.suppress(OSError):  # a file system without locks: others have to wait for the heartbeat
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            self._beat()
            draft.rename(self._path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(draft)) from error
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(OSError):
            self.drop(set(self._held))
            self._path.unlink(missing_ok=True)
            remove(leftovers(self._folder), self._folder)
        os.close(self._file)

    def tell(self, **numbers: Any) -> None:
        """What the driver's file says from its next change on."""
        self._told = {**self._told, **numbers}

    def take(self, run_ids: Collection[str]) -> set[str]:
        """Those of the runs that are this driver's now."""
        taken = {run_id for run_id in run_ids if self._take(run_id)}
        self._held |= taken
        return taken

    def drop(self, run_ids: Collection[str]) -> None:
        """Let runs go; those that another has taken over stay as they are."""
        for run_id in run_ids:
            chain = _chain(self._folder, run_id)
            if chain and chain[-1].driver == self.driver:
                for link in chain:  # the first one first: without it, the others count for nothing
                    link.path.unlink(missing_ok=True)
            self._held.discard(run_id)

    def elsewhere(self, run_ids: Collection[str]) -> set[str]:
        """Those of the runs that another driver, which has not died, is at work on."""
        owners = {run_id: chain[-1].driver for run_id in run_ids if (chain := _chain(self._folder, run_id))}
        return {run_id for run_id, owner in owners.items() if owner != self.driver and not self._dead(owner)}

    def alone(self) -> bool:
        """No other driver is known to live, or may."""
        others = (seen for seen in drivers(self._folder) if seen.driver != self.driver)
        return all(self._dead(seen.driver) for seen in others)

    def _take(self, run_id: str) -> bool:
        chain = _chain(self._folder, run_id)
        owner = chain[-1].driver if chain else None
        if owner == self.driver:
            return True
        if owner is not None and not self._dead(owner):
            return False
        path = self._folder / LEASES / (run_id if owner is None else f"{run_id}~{owner}")
        try:
            _with_folder(lambda: path.symlink_to(self.driver), path)
        except FileExistsError:
            return False
        chain = _chain(self._folder, run_id)
        if chain and chain[-1].driver == self.driver:
            return True
        path.unlink(missing_ok=True)  # the run was finished and let go meanwhile
        return False

    def _dead(self, driver: str) -> bool:
        path = self._folder / DRIVERS / f"{driver}.json"
        try:
            data = path.read_bytes()
            surely = _locked_out(path)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        if surely is not None:
            return surely
        now = time.monotonic()
        before, since = self._seen.get(driver, (b"", now))
        if data != before:
            since = now
        self._seen[driver] = (data, since)
        return now - since > STALE_SECONDS

    def _beat(self) -> None:
        self._beats += 1
        text = json.dumps({**self._told, "beats": self._beats})
        # In place and of one length, so that whoever reads sees one beat or the next, and the lock stays.
        os.pwrite(self._file, text.ljust(MOST_TOLD // 4).encode(), 0)

    def _go_on_beating(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):
                self._beat()


def _with_folder(make: Callable[[], Made], path: Path) -> Made:
    """Make what lies at the path; its folder is made where there is none, and another driver's end may remove it."""
    while True:
        try:
            return make()
        except FileNotFoundError:
            path.parent.mkdir(exist_ok=True)


@dataclass(frozen=True)
class _Link:
    path: Path
    driver: str


def _chain(folder: Path, run_id: str) -> list[_Link]:
    """The links of a run, the owner's last; none where nobody has it."""
    chain: list[_Link] = []
    name = run_id
    with contextlib.suppress(OSError):
        while name not in (link.path.name for link in chain):
            path = folder / LEASES / name
            # As a part of names: a link that someone else has put there may point anywhere.
            driver = re.sub("[^A-Za-z0-9_]", "-", str(path.readlink()))[:40]
            chain.append(_Link(path, driver))
            name = f"{run_id}~{driver}"
    return chain


def boot_id() -> str | None:
    """Of this boot of this machine; None where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _locked_out(path: Path) -> bool | None:
    """Whether a driver's file lies there unlocked, which says that it has died; None where locks say nothing."""
    here = boot_id()
    if here is None or _told(path).get("boot_id") != here:
        return None
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
    return True


def _told(path: Path) -> dict[str, Any]:
    try:
        with _opened(path) as file:
            told = json.loads(os.pread(file, MOST_TOLD, 0))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        yield file
    finally:
        os.close(file)
