"""What is left to do in a results folder, cut into units of work.

A unit that an earlier command began is taken up again as it was, with the same runs: what a run computes may depend in
its last bits on the runs beside it, and a resumed run ends bit-equal to an undisturbed one.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import footprint
from bench.cell import Cell, Run, Unit, cut
from bench.experiments import ALONE, EXPERIMENTS
from bench.launch import WORK
from bench.settings import remembering

LARGEST: Mapping[str, int] = {"cpu": 16, "cuda": 256}
"""Most replicas in a unit, by device: where a CPU's gain from batching has levelled off."""


@dataclass(frozen=True)
class Plan:
    """Units to do, the longest first, and what they take; how many runs are finished, and of how many."""

    units: tuple[Unit, ...]
    finished: int
    total: int
    work: float
    """Of all units, as ``work`` says of one."""
    workers: int
    """Processes that have room at once, and a unit."""
    memory: int
    """Bytes of a process at most; on a GPU the device's."""
    disk: tuple[int, int]
    """Bytes that records and samples take, and what is at work beside them."""


def make_plan(
    runs: Iterable[Run],
    folder: Path,
    done: set[str],
    *,
    device: str,
    workers: int,
    drivers: int = 1,
    limit: int = sys.maxsize,
) -> Plan:
    """The plan for those of the runs that are not done.

    Args:
        runs, folder, done: all runs, where they are recorded, and the ids of those that are.
        device, workers: where, and by how many processes at most.
        drivers: how many such sets of workers share the runs.
        limit: bytes that all processes together may take, by estimate; of a GPU, the device's.
    """
    runs = list(runs)
    everything = {run.id: run for run in runs}
    missing = {name: run for name, run in everything.items() if name not in done}
    units = []
    for path in sorted((folder / WORK).glob("*/unit.json")) if missing else ():
        unit = _restore(path, everything)
        if unit is not None and any(run.id in missing for run in unit.runs):
            units.append(unit)
            for run in unit.runs:
                missing.pop(run.id, None)
    alone = [run for run in missing.values() if run.cell.experiment in ALONE]
    units += cut(alone, _group_key, lambda _: len(alone), 0)
    others = [run for run in missing.values() if run.cell.experiment not in ALONE]
    with remembering():
        groups = {_group_key(cell): cell for cell in {run.cell.id: run.cell for run in others}.values()}
        one = max((footprint.memory(cell.settings, 1, device) for cell in groups.values()), default=0)
        if device == "cpu":
            workers = max(1, min(workers, footprint.processes_that_fit(one, limit))) if one else workers
            each = footprint.share(limit, workers)
        else:
            each = limit // workers

        def largest(cell: Cell) -> int:
            return max(1, min(LARGEST[device], footprint.replicas_that_fit(cell.settings, each, device)))

        units += cut(others, _group_key, largest, workers * drivers - len(units))
        sizes = {unit.id: work(unit) for unit in units}
        needs = [footprint.memory(unit.runs[0].cell.settings, len(unit.runs), device) for unit in units]
        takes = [(footprint.disk(unit.runs[0].cell.settings), len(unit.runs)) for unit in units]
    workers = min(workers, len(units))
    at_work = sorted((disk.unit + count * disk.at_work for disk, count in takes), reverse=True)[:workers]
    return Plan(
        units=tuple(sorted(units, key=lambda unit: (-sizes[unit.id], unit.id))),
        finished=sum(run.id in done for run in runs),
        total=len(runs),
        work=sum(sizes.values()),
        workers=workers,
        memory=max(needs, default=0),
        disk=(sum(count * disk.left for disk, count in takes), sum(at_work)),
    )


def work(unit: Unit) -> float:
    """Rough number of floating-point operations of a unit."""
    return sum(EXPERIMENTS[unit.experiment].work(run.cell.settings) for run in unit.runs)


def remember(unit: Unit, folder: Path) -> Path:
    """Make the unit's own folder, with its composition in it."""
    from bench.records import publish_bytes

    path = folder / WORK / unit.id
    path.mkdir(parents=True, exist_ok=True)
    if not (path / "unit.json").exists():
        publish_bytes(json.dumps([run.id for run in unit.runs]).encode(), path / "unit.json")
    return path


def _restore(path: Path, known: Mapping[str, Run]) -> Unit | None:
    try:
        unit = Unit(tuple(known[run_id] for run_id in json.loads(path.read_text())))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # of another grid, or damaged: the runs are planned anew
    return unit if unit.id == path.parent.name else None


def _group_key(cell: Cell) -> str:
    return cell.experiment + EXPERIMENTS[cell.experiment].group(cell.settings)
