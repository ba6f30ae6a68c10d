"""Who is at work on a results folder, as an onlooker sees it, and when they will be done."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.launch.leases import STALE_SECONDS, Seen, drivers
from bench.records import printable

LARGEST_NUMBER = 1e30
LONGEST_SECONDS = 1e9
"""Numbers and times of drivers that are believed."""


class Driver(NamedTuple):
    """A driver and whether it lives: ``alive``, ``dead`` or, where only time will show, ``unknown``."""

    seen: Seen
    state: str

    @property
    def works(self) -> bool:
        """It lives, or its file is so new by this machine's clock that it probably does."""
        return self.state == "alive" or (self.state == "unknown" and self.seen.age_seconds <= STALE_SECONDS)

    def __str__(self) -> str:
        told = defaultdict(lambda: "?", {name: _shown(value) for name, value in self.seen.told.items()})
        beat = f"{self.state}, heartbeat {spell(max(0.0, self.seen.age_seconds))} ago"
        runs = f"{told['runs_done']} of {told['runs_planned']} runs, {told['workers']} workers"
        return f"driver {printable(self.seen.driver)} on {told['host']}, pid {told['pid']}: {beat}; {runs}"


class Onlooker:
    """Looks at the drivers of a folder, one time after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._changes: dict[str, tuple[Mapping[str, Any], float, bool]] = {}

    def look(self) -> list[Driver]:
        """All drivers, those at work first."""
        found = [Driver(seen, self._state(seen)) for seen in drivers(self._folder)]
        return sorted(found, key=lambda driver: (not driver.works, driver.state == "dead"))

    def _state(self, seen: Seen) -> str:
        if seen.dead is not None:
            return "dead" if seen.dead else "alive"
        now = time.monotonic()
        told, since, lives = self._changes.get(seen.driver, (seen.told, now, False))
        if told != seen.told:
            since, lives = now, True
        self._changes[seen.driver] = seen.told, since, lives
        return "dead" if now - since > STALE_SECONDS else "alive" if lives else "unknown"


def left(works: Sequence[Driver]) -> str:
    """When those at work will be done, in words.

    Drivers of one shard, or of none, share what is left: the least that any of them tells, at the speed of all. Shards
    are done side by side.
    """
    if not works:
        return "nobody is at work; `run` goes on"
    shards: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for driver in works:
        shards[str(driver.seen.told.get("shard"))].append(driver.seen.told)
    each = [_seconds(told) for told in shards.values()]
    known = [seconds for seconds in each if seconds is not None and seconds <= LONGEST_SECONDS]
    if len(known) < len(each):
        return "time left: not known yet"
    seconds = max(known)
    end = time.localtime(time.time() + seconds)
    day = "%a" if seconds < 6 * 86400 else "%d %b %Y"
    return f"about {spell(seconds)} left, until {time.strftime(f'{day} %H:%M', end)}"


def _seconds(told: Sequence[Mapping[str, Any]]) -> float | None:
    """Until drivers that share their work are done; None where they do not tell."""
    if len(told) == 1:
        return _number(told[0].get("seconds_left"))
    speed = sum(_number(one.get("speed")) or 0.0 for one in told)
    work = [number for one in told if (number := _number(one.get("work_left"))) is not None]
    return min(work) / speed if work and speed else None


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 <= value < LARGEST_NUMBER else None


def _shown(value: object) -> str:
    return printable(str(value))[:64]


def spell(seconds: float) -> str:
    """A time in the two largest units that say something: ``2 h 10 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    big, small, words = (*divmod(minutes, 60), "h min") if minutes < 48 * 60 else (*divmod(minutes // 60, 24), "d h")
    units = words.split()
    return f"{big} {units[0]}" + (f" {small} {units[1]}" if small else "")
