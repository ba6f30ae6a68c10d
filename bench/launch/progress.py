"""What a person sees while units are at work: a bar with the time left, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from bench.cell import Unit
from bench.launch.plan import work
from bench.records import printable

PLAIN_SECONDS = 20.0
"""How often a line is printed where there is no terminal."""


class Display:
    """Progress over all units, weighted by their estimated work; used as a context."""

    def __init__(self, units: Sequence[Unit], console: Console) -> None:
        self._console = console
        self._sizes: dict[str, float] = {}
        self._shares: dict[str, float] = {}
        self._first: dict[str, float] = {}
        self._statuses: Counter[str] = Counter()
        self._runs = 0
        self._elsewhere = 0
        self.add(units)
        self._start = self._printed = time.monotonic()
        self._said: set[str] = set()
        self._bar = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[left]}", markup=False),
            console=console, disable=not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task(self._words(), total=1.0, left="")

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def add(self, units: Sequence[Unit]) -> None:
        """Units are to be done."""
        self._sizes.update({unit.id: work(unit) for unit in units})
        self._runs += sum(len(unit.runs) for unit in units)

    def split(self, unit: Unit, parts: Sequence[Unit], text: str = "") -> None:
        """These are to be done in place of the unit, whose other runs are done or at work elsewhere."""
        for known in (self._sizes, self._shares, self._first):
            known.pop(unit.id, None)
        self._runs -= len(unit.runs)
        self.add(parts)
        if text:
            self.say(text)

    def advance(self, unit: Unit, share: float) -> None:
        """A unit has come so far."""
        self._first.setdefault(unit.id, share if share > 0.02 else 0.0)
        self._shares[unit.id] = share

    def finish(self, unit: Unit, statuses: Sequence[str], message: str) -> None:
        """A unit has ended."""
        self.advance(unit, 1.0)
        self._statuses.update(statuses)
        if message:
            self.say(f"{unit.id}: {message}")
        elif not self._console.is_terminal:
            counts = ", ".join(f"{count} {status}" for status, count in Counter(statuses).items())
            self._print(f"{unit.id}: {counts}; {self._words()}; {self._left()}")

    def say(self, text: str) -> None:
        """Something to be known once."""
        if text not in self._said:
            self._said.add(text)
            self._print(text)

    def refresh(self, elsewhere: int) -> None:
        """Show how things stand, if it is time; so many runs are waited for that others have at work."""
        news, self._elsewhere = bool(elsewhere) and not self._elsewhere, elsewhere
        if self._console.is_terminal:
            self._bar.update(self._task, completed=self._share(), description=self._words(), left=self._left())
        elif news or time.monotonic() - self._printed > PLAIN_SECONDS:
            share = "" if elsewhere else f"; {100 * self._share():.0f} %; {self._left()}"
            self._print(f"{self._words()}{share}")

    def told(self) -> dict[str, Any]:
        """Numbers for whoever looks on: runs, work left and its speed (operations a second), seconds left or None."""
        total, speed = sum(self._sizes.values()), self._speed()
        left = total * (1 - self._share())
        return {
            "runs_done": sum(self._statuses.values()),
            "runs_planned": self._runs,
            "work_left": left,
            "speed": speed,
            "seconds_left": left / speed if speed else None,
        }

    def _print(self, text: str) -> None:
        self._printed = time.monotonic()
        self._console.print(printable(text), markup=False, highlight=False, soft_wrap=True)

    def _done(self) -> float:
        return sum(self._sizes[name] * share for name, share in self._shares.items())

    def _share(self) -> float:
        return self._done() / (sum(self._sizes.values()) or 1.0)

    def _speed(self) -> float | None:
        """Work a second since the beginning, without what units had behind them; None while it says little."""
        gained = self._done() - sum(self._sizes[name] * share for name, share in self._first.items())
        return gained / (time.monotonic() - self._start) if gained > 0.005 * sum(self._sizes.values()) else None

    def _words(self) -> str:
        bad = "".join(f", {count} {status}" for status, count in self._statuses.items() if status != "ok")
        waiting = f"; {self._elsewhere} more are at work elsewhere" if self._elsewhere else ""
        return f"{sum(self._statuses.values())} of {self._runs} runs done{bad}{waiting}"

    def _left(self) -> str:
        speed = self._speed()
        if speed is None:
            return "time left: not known yet"
        seconds = sum(self._sizes.values()) * (1 - self._share()) / speed
        return f"about {seconds / 60:.0f} min left" if seconds > 90 else f"about {seconds:.0f} s left"
