"""What an experiment is: one question, with its settings, what it does with a unit of runs, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.cell import Cell, Run, Settings, Unit, flatten
from bench.errors import nearest
from bench.settings import SettingError

if TYPE_CHECKING:
    import numpy as np

    from bench.engine import Way

Row = dict[str, Any]

GRID_KEYS = ("seeds", "union", "description", "experiment", "search", "published")
"""Keys of a grid that are no settings of a cell, for the nearest right one."""


class Stopped(Exception):  # noqa: N818 - not an error: what was asked for
    """The unit was asked to stop, has saved what it needs to go on, and did."""


@dataclass
class Result:
    """What one run has to show: its rows, and its last samples, from which any metric or figure can be made again."""

    run: Run
    rows: list[Row] = field(default_factory=list)
    samples: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Context:
    """What the launcher offers to a unit at work."""

    work: Path
    """A folder of the unit's own, kept until its runs are published: what is in it survives a kill."""
    device: str
    way: Way | None
    """How to step the replicas; measured where it is None."""
    evaluator: Executor
    """Runs functions beside the training, in a process without torch."""
    progress: Callable[[float], None]
    """To be told, often, which share of the work is done."""
    stopping: Callable[[], bool]
    """To be asked, often, whether to save and raise ``Stopped``."""
    say: Callable[[str], None]
    """For what a person should know once."""


class Experiment(Protocol):
    """One question, asked of a cell."""

    name: str

    def resolve(self, raw: Mapping[str, Any]) -> Settings:
        """Settings with every default filled in; raises ``SettingError``. Loads no torch."""
        ...

    def sources(self, settings: Settings) -> Settings:
        """What else decides the result: hashes of plug-ins' code, versions of metrics."""
        ...

    def label(self, settings: Settings) -> str:
        """The readable part of the cell's id."""
        ...

    def group(self, settings: Settings) -> str:
        """Equal for cells that may train in one unit."""
        ...

    def work(self, settings: Settings) -> float:
        """A rough number of floating-point operations of one run, for plans and for the order of work."""
        ...

    def run(self, unit: Unit, context: Context) -> list[Result]:
        """Do the work, going on from what a killed try left in ``context.work``."""
        ...


def check_keys(
    raw: Mapping[str, Any], known: Sequence[str], path: tuple[str, ...] = (), others: Sequence[str] = GRID_KEYS
) -> None:
    """Refuse a block, which stands at the path, with a key that is not known; ``others`` may be what was meant."""
    for key in raw:
        if key not in known:
            raise SettingError((*path, key), f"unknown setting {key!r}; {nearest(key, {*known, *others})}")


def make_cell(experiment: Experiment, settings: Settings) -> Cell:
    """The cell that resolved settings describe."""
    return Cell(experiment.name, settings, experiment.sources(settings), experiment.label(settings))


def identity_row(run: Run) -> Row:
    """The columns that say whose row it is: names, seed, every setting by its dotted name, and hashes of its code.

    An experiment without an objective or a data set has none in these columns.
    """
    from bench.cell import SCHEMA_VERSION, canonical

    return {
        "schema_version": SCHEMA_VERSION,
        "cell_id": run.cell.id,
        "run_id": run.id,
        "seed": run.seed,
        "experiment": run.cell.experiment,
        "objective": "",
        "dataset": "",
        **dict(flatten(run.cell.settings)),
        **dict(flatten({"sources": run.cell.sources})),
        "settings": canonical(run.cell.settings),
    }


def skipped(run: Run, reason: str) -> Result:
    """What is left of a run that a paper forbids, or that cannot be done here: one row that says why."""
    return Result(run, [{**identity_row(run), "step": 0, "status": "skipped", "message": reason}])
