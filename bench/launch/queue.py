"""What is left to do of a plan, for any engine: whose turn it is, what others have at work, what is tried again.

A unit is handed out once its runs are this driver's (see ``bench.launch.leases``). Runs that another driver has stay in
view: they are finished there, or come back here when it dies.

A unit that cannot be done is halved and tried again, so that it costs no more than the runs that are to blame; a run
that cannot be done alone leaves one row that says why.
"""

from __future__ import annotations

import shutil
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence

from bench import records
from bench.cell import Run, Unit
from bench.launch import WORK
from bench.launch.leases import Leases
from bench.launch.progress import Display
from bench.launch.worker import Done, Failed, Orders, failures, publish

TRIES = 3
"""How often a unit is begun whose worker is lost, before it is halved; a half is begun once."""

LOOK_SECONDS = 2.0
"""How often one looks at what others have at work."""


class Queue:
    """The units of a plan, handed out one by one; ``finished`` when all of their runs have a record.

    ``plan`` makes units of runs that others have let go of.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        orders: Orders,
        display: Display,
        leases: Leases,
        plan: Callable[[Sequence[Run]], Sequence[Unit]],
    ) -> None:
        self._waiting, self._plan = deque(units), plan
        self._orders, self._display, self._leases = orders, display, leases
        self._at_work: dict[str, Unit] = {}
        self._elsewhere: dict[str, Run] = {}
        self._losses: Counter[str] = Counter()
        self._halves: set[str] = set()
        self._looked = time.monotonic()

    def next(self) -> Unit | None:
        """A unit to do now, if there is one."""
        if not self._waiting:
            self._look()
        while self._waiting:
            unit = self._ours(self._waiting.popleft())
            if unit is not None:
                self._at_work[unit.id] = unit
                return unit
        return None

    def finished(self) -> bool:
        """Nothing is left to do, here or elsewhere."""
        return not (self._waiting or self._at_work or self._elsewhere)

    def done(self, unit: Unit, end: Done) -> None:
        """A unit has ended, and its records are published."""
        self._let_go(unit)
        self._display.finish(unit, end.statuses, end.message)

    def failed(self, unit: Unit, end: Failed) -> None:
        """A unit cannot be done: its halves are next, or the only run of it leaves a row."""
        shutil.rmtree(self._orders.folder / WORK / unit.id, ignore_errors=True)
        if len(unit.runs) > 1 and end.status != "timeout":
            middle = len(unit.runs) // 2
            halves = [Unit(unit.runs[:middle]), Unit(unit.runs[middle:])]
            del self._at_work[unit.id]
            self._halves |= {half.id for half in halves}
            self._waiting.extendleft(reversed(halves))
            self._display.split(unit, halves, f"{unit.id}: {end.message}; it goes on in halves")
            return
        publish(failures(unit, end), self._orders)
        self._let_go(unit)
        self._display.finish(unit, [end.status] * len(unit.runs), end.message)

    def lost(self, unit: Unit, cause: str) -> None:
        """The worker or the machine that had a unit is gone."""
        self._losses[unit.id] += 1
        count = self._losses[unit.id]
        if count < (1 if unit.id in self._halves else TRIES):
            self._display.say(f"a worker ended {cause}; {unit.id} begins again from its last checkpoint")
            del self._at_work[unit.id]
            self._waiting.appendleft(unit)
        else:
            self.failed(unit, Failed("killed", f"the worker ended {cause}{f', {count} times' if count > 1 else ''}"))

    def tell(self) -> None:
        """Show how things stand, here and to whoever looks into the folder."""
        self._display.refresh(len(self._elsewhere) if not self._at_work else 0)
        self._leases.tell(**self._display.told())

    def _let_go(self, unit: Unit) -> None:
        self._at_work.pop(unit.id, None)
        self._leases.drop([run.id for run in unit.runs])

    def _ours(self, unit: Unit) -> Unit | None:
        """The unit, or what is left of it where runs are finished or another's; None where nothing is."""
        ids = [run.id for run in unit.runs]
        held = self._leases.take(ids)
        done = {run_id for run_id in ids if records.has(self._orders.folder, run_id)}
        self._leases.drop(held & done)
        others = {run.id: run for run in unit.runs if run.id not in held | done}
        self._elsewhere.update(others)
        if not others and (not done or (len(done) < len(ids) and (self._orders.folder / WORK / unit.id).exists())):
            return unit  # a unit that was begun goes on as it was, though some of its records are published
        left = tuple(run for run in unit.runs if run.id in held - done)
        parts = [Unit(left)] if left else []
        self._display.split(unit, parts)
        return parts[0] if parts else None

    def _look(self) -> None:
        """At runs of others: some are finished, and some have been let go of."""
        if not self._elsewhere or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        done = self._elsewhere.keys() & records.finished(self._orders.folder)
        held = self._leases.elsewhere(self._elsewhere.keys() - done)
        free = [run for run_id, run in self._elsewhere.items() if run_id not in done | held]
        self._elsewhere = {run_id: run for run_id, run in self._elsewhere.items() if run_id in held}
        units = self._plan(free)
        self._waiting.extend(units)
        self._display.add(units)
