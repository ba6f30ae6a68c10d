"""How far a grid has come, read from its results folder alone, from any machine that sees it.

The folder may be another's, and on a slow file system: what is read is bounded and shown as plain text, several records
are asked for at once, and who goes on looking reads again only what has changed.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench import records
from bench.launch import LOGS, WORK
from bench.launch.at_work import Onlooker, left
from bench.launch.ends import DAMAGED, Cause, End, causes, read_end
from bench.records import printable

T = TypeVar("T")

MOST_SHOWN = 10
"""Causes, units and drivers that are told one by one."""

LARGEST_UNIT = LOG_TAIL = 1 << 20
MOST_LOGS = 64
"""What is read at most: bytes of a unit's file and at the end of a log; logs."""

THREADS, TOGETHER = 8, 64
"""That read records, and how many one takes at a time."""


@dataclass(frozen=True)
class Sight:
    """What one look at a folder showed."""

    text: str
    line: str
    """The text in short."""
    mark: object
    """Changes with what there is to tell, but not as time goes by."""
    over: bool
    """All is done, or nobody is at work."""


def status(folder: Path) -> str:
    """How many runs are done and how they ended, why some failed, what is at work and by whom, and the estimated end.

    Raises:
        RecordError: there is no manifest.
    """
    return Look(folder).see().text


def watch(folder: Path, seconds: float) -> None:
    """Show the status every so many seconds, until all runs are done or nobody is at work.

    A terminal shows it in one place; without one, a line is printed whenever something has changed.

    Raises:
        RecordError: there is no manifest.
    """
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    look, console = Look(folder), Console()
    if console.is_terminal:
        with Live(console=console, auto_refresh=False) as live:
            for sight in _sights(look, seconds):
                live.update(Text(sight.text), refresh=True)
        return
    mark: object = None
    for sight in _sights(look, seconds):
        if sight.mark != mark:
            print(sight.line, flush=True)
        mark = sight.mark


def _sights(look: Look, seconds: float) -> Iterator[Sight]:
    while True:
        sight = look.see()
        yield sight
        if sight.over:
            return
        time.sleep(seconds)


class Look:
    """Looks at a results folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[Path, tuple[object, Any]] = {}
        self._logs: dict[str, str] = {}
        self._onlooker = Onlooker(folder)

    def see(self) -> Sight:
        """How things stand now.

        Raises:
            RecordError: there is no manifest.
        """
        planned = self._once(self._folder / records.MANIFEST, _planned)
        name, wanted = _planned(self._folder / records.MANIFEST) if planned is None else planned
        ends = self._ends(sorted(records.finished(self._folder) & wanted))
        counts = sorted(Counter(end.status for end in ends.values()).items())
        drivers = self._onlooker.look()
        works = [driver for driver in drivers if driver.works]
        head = f"{name}: {len(ends):,} of {len(wanted):,} runs done"
        end = [left(works)] if len(ends) < len(wanted) else []
        lines = [f"  {word}: {count:,}" for word, count in counts] + self._why(causes(ends)) + self._units()
        lines += [f"  {driver}" for driver in drivers[:MOST_SHOWN]]
        if rest := drivers[MOST_SHOWN:]:
            lines.append(f"  {len(rest):,} more drivers, {sum(driver.works for driver in rest):,} of them at work")
        return Sight(
            text="\n".join([head, *lines, *end]),
            line="; ".join([head, *(f"{count:,} {word}" for word, count in counts), *end]),
            mark=(counts, [driver.seen.driver for driver in works]),
            over=not end or all(driver.state == "dead" for driver in drivers),
        )

    def _once(self, path: Path, read: Callable[[Path], T]) -> T | None:
        """What is read of a file, once for each of its sizes and times; None where there is none."""
        try:
            found = path.stat()
        except OSError:
            return None
        stamp = found.st_size, found.st_mtime_ns
        if path not in self._kept or self._kept[path][0] != stamp:
            self._kept[path] = stamp, read(path)
        value: T = self._kept[path][1]
        return value

    def _ends(self, run_ids: Sequence[str]) -> dict[str, End]:
        def some(ids: Sequence[str]) -> list[End | None]:
            return [self._once(self._folder / records.RUNS / f"{run_id}.parquet", read_end) for run_id in ids]

        parts = [run_ids[start : start + TOGETHER] for start in range(0, len(run_ids), TOGETHER)]
        with ThreadPoolExecutor(THREADS) as threads:
            found = [end for part in threads.map(some, parts) for end in part]
        return {run_id: end for run_id, end in zip(run_ids, found, strict=True) if end is not None}

    def _why(self, found: Sequence[Cause]) -> list[str]:
        shown, rest = found[:MOST_SHOWN], found[MOST_SHOWN:]
        self._search({cause.traceback for cause in shown if cause.traceback})
        lines = []
        for cause in shown:
            where = "; `doctor` sets it aside" if cause.status == DAMAGED else ""
            if cause.status in records.FAILED:
                where = f"; see {self._logs.get(cause.traceback) or printable(str(self._folder / LOGS))}"
            words = cause.message or "no message"
            lines.append(f"  {cause.runs:,} x {cause.status}: {words} ({cause.example}{where})")
        if rest:
            lines.append(f"  {sum(cause.runs for cause in rest):,} more, for {len(rest):,} other reasons")
        return lines

    def _search(self, tracebacks: Collection[str]) -> None:
        """Find the newest log that has each traceback; once, since a log has it before there is a record."""
        unknown = {name for name in tracebacks if name not in self._logs}
        self._logs.update(dict.fromkeys(unknown, ""))
        logs = sorted((self._folder / LOGS).glob("worker-*.log*"), key=_time, reverse=True) if unknown else []
        for path in logs[:MOST_LOGS]:
            tail = _tail(path, LOG_TAIL)
            found = {name for name in unknown if f"traceback {name}:".encode() in tail}
            self._logs.update(dict.fromkeys(found, printable(str(path))))
            unknown -= found

    def _units(self) -> list[str]:
        units = []
        for path in sorted((self._folder / WORK).glob("*/unit.json")):
            steps = (mark.stem.removeprefix("metrics-") for mark in path.parent.glob("metrics-*.json"))
            marks = [int(step) for step in steps if step.isdecimal()]
            units.append((printable(path.parent.name), self._once(path, _runs) or 0, max(marks, default=0)))
        lines = [
            f"  at work or interrupted: {name}, {runs:,} runs, judged to step {step:,}"
            for name, runs, step in units[:MOST_SHOWN]
        ]
        if rest := units[MOST_SHOWN:]:
            lines.append(f"  and {len(rest):,} more units with {sum(runs for _, runs, _ in rest):,} runs")
        return lines


def _planned(path: Path) -> tuple[str, frozenset[str]]:
    """The grid's name, and the ids of its runs."""
    manifest = records.load_manifest(path.parent)
    wanted = frozenset(f"{cell['cell_id']}-s{seed}" for cell in manifest["cells"] for seed in cell["seeds"])
    return printable(manifest["grid"]), wanted


def _runs(path: Path) -> int:
    """How many runs a unit at work has; 0 where its file does not tell."""
    try:
        return len(json.loads(_tail(path, LARGEST_UNIT)))
    except (ValueError, TypeError, RecursionError):
        return 0


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _tail(path: Path, most: int) -> bytes:
    """The last bytes of a file; none where it is no plain file that can be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - most))
            return file.read(most)
    except OSError:
        return b""
