"""Records as a reader wants them: tasks, the cells that are compared on each, and the seeds of each cell."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench import records
from bench.cell import flatten
from bench.metrics import Column, all_columns

TASK_SETTINGS = ("dataset", "pair", "evaluate", "arm")
"""Settings, or blocks of them, that make two results incomparable where they differ."""


@dataclass(frozen=True)
class Outcomes:
    """How the planned runs ended."""

    planned: int
    ok: int
    diverged: int
    failed: int
    """Also those out of memory, out of time, or killed."""
    skipped: int
    missing: int
    """Without a record that can be read."""

    @property
    def lost(self) -> int:
        """Those that tell nothing: neither ended well nor diverged."""
        return self.planned - self.ok - self.diverged

    def __str__(self) -> str:
        parts = ("diverged", "failed", "skipped", "missing")
        rest = [f"{getattr(self, part)} {part}" for part in parts if getattr(self, part)]
        return ", ".join([f"{self.ok} of {self.planned} runs done", *rest])


@dataclass(frozen=True, eq=False)
class CellView:
    """A cell: its planned seeds and what they recorded."""

    id: str
    objective: str
    variant: str
    """The settings in which it differs from the other cells of its objective and task; empty where there are none."""
    seeds: tuple[int, ...]
    rows: pd.DataFrame
    """Every observed step of every run."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All of them, by dotted names."""
    draw: int | None = None
    """Which of a search's random settings it is; None where its settings were chosen by a person."""

    @property
    def label(self) -> str:
        """The name of its line in tables and figures."""
        return f"{self.objective} ({self.variant})" if self.variant else self.objective

    @cached_property
    def last(self) -> pd.DataFrame:
        """The last row of each run, by seed."""
        if not len(self.rows):
            return self.rows
        return self.rows.drop_duplicates("seed", keep="last").set_index("seed").sort_index()

    @cached_property
    def outcomes(self) -> Outcomes:
        """How its runs ended."""
        return outcomes(self.ends, len(self.seeds))

    @property
    def ends(self) -> tuple[str, ...]:
        """The status of each run that has a record, in the order of seeds."""
        return tuple(self._ends.values())

    def ended(self, *statuses: str) -> list[int]:
        """The seeds whose run ended so, or so."""
        return [seed for seed, status in self._ends.items() if status in statuses]

    @cached_property
    def _ends(self) -> dict[int, str]:
        return dict(zip(self.last.index.tolist(), self.last["status"].tolist(), strict=True)) if len(self.last) else {}

    def final(self, column: str) -> Mapping[int, float]:
        """The column at the end of each run that ended well, by seed; runs without a finite value are left out."""
        if column not in self.last:
            return {}
        if column not in self._finals:
            values = zip(self._ends.items(), self.last[column].tolist(), strict=True)
            self._finals[column] = {
                seed: float(value) for (seed, status), value in values if status == "ok" and math.isfinite(value)
            }
        return self._finals[column]

    @cached_property
    def _finals(self) -> dict[str, dict[int, float]]:
        return {}

    @cached_property
    def observed(self) -> list[int]:
        """The steps at which a run was judged; the last row of one that ended badly tells no more than that."""
        return sorted(set(self.rows["step"][self.rows["status"] == "ok"])) if len(self.rows) else []

    def curves(self, column: str) -> pd.DataFrame:
        """The column over steps (index), a run a column by its seed; what is not finite is missing."""
        if column not in self.rows:
            return pd.DataFrame()
        if column not in self._curves:
            first, places, steps, seeds = self._observations
            values = self.rows[column].to_numpy(np.float64, na_value=math.nan)[first]
            table = np.full((len(steps), len(seeds)), math.nan)
            table[places] = np.where(np.isfinite(values), values, math.nan)
            self._curves[column] = pd.DataFrame(table, steps, seeds).dropna(how="all")
        return self._curves[column]

    @cached_property
    def _curves(self) -> dict[str, pd.DataFrame]:
        return {}

    @cached_property
    def _observations(self) -> tuple[npt.NDArray[np.bool_], tuple[npt.NDArray[np.intp], ...], pd.Index, pd.Index]:
        """Which rows are the first of their seed and step, where each of them stands in a table, and its labels."""
        first = ~self.rows.duplicated(["seed", "step"]).to_numpy()
        labels = [self.rows[name].to_numpy()[first] for name in ("step", "seed")]
        (steps, row), (seeds, place) = (np.unique(own, return_inverse=True) for own in labels)
        return first, (row, place), pd.Index(steps, name="step"), pd.Index(seeds, name="seed")

    def median_seed(self, column: str) -> int | None:
        """The run in the (lower) middle by the column of those that ended well; by seed where none has the column."""
        final = self.final(column) or dict.fromkeys(self.ended("ok"), 0.0)
        ranked = sorted(final, key=lambda seed: (final[seed], seed))
        return ranked[(len(ranked) - 1) // 2] if ranked else None


@dataclass(frozen=True, eq=False)
class Task:
    """What cells are compared on: a data set or a pair of laws with its settings, judged in one way."""

    dataset: str
    variant: str
    """The settings in which it differs from the other tasks on its data set; empty where there are none."""
    cells: tuple[CellView, ...]
    arm: str = ""
    """Of a comparison whose arms are not compared with each other."""

    @property
    def label(self) -> str:
        """The name of its panel and of its part of a table."""
        name = f"{self.dataset} ({self.variant})" if self.variant else self.dataset
        return f"{name}, arm: {self.arm}" if self.arm else name

    @property
    def title(self) -> str:
        """The label with the number of modes, where all data of the task have as many."""
        total = self.total("modes_total")
        return f"{self.label}, {total:g} modes" if total else self.label

    @property
    def chosen(self) -> tuple[CellView, ...]:
        """The cells whose settings a person chose."""
        return tuple(cell for cell in self.cells if cell.draw is None)

    @property
    def drawn(self) -> tuple[CellView, ...]:
        """The cells of a search: those whose settings were drawn at random."""
        return tuple(cell for cell in self.cells if cell.draw is not None)

    def only(self, cells: Sequence[CellView]) -> Task:
        """The task with these cells alone."""
        return replace(self, cells=tuple(cells))

    def floor(self, column: str) -> dict[int, float]:
        """The column for real samples against real samples, by seed: the mean over the cells, which share the draws."""
        by_seed: dict[int, list[float]] = {}
        for cell in self.cells:
            for seed, value in cell.final(column).items():
                by_seed.setdefault(seed, []).append(value)
        return {seed: math.fsum(values) / len(values) for seed, values in sorted(by_seed.items())}

    def total(self, column: str) -> float | None:
        """The one value that the column has in all finished runs; None where it has none or several."""
        values = {value for cell in self.cells for value in cell.final(column).values()}
        return values.pop() if len(values) == 1 else None


@dataclass(frozen=True, eq=False)
class View:
    """A results folder, read."""

    folder: Path
    grid: str
    experiment: str
    manifest: Mapping[str, Any]
    rows: pd.DataFrame
    tasks: tuple[Task, ...]
    errors: tuple[records.RecordError, ...]
    """Files that were left out, and why."""
    strangers: int
    """Records that were left out because they are of cells that the manifest does not have."""
    outcomes: Outcomes = field(init=False)

    def __post_init__(self) -> None:
        ends = [status for cell in self.cells for status in cell.ends]
        planned = sum(len(cell.seeds) for cell in self.cells)
        object.__setattr__(self, "outcomes", outcomes(ends, planned))

    @property
    def cells(self) -> tuple[CellView, ...]:
        """The cells of all tasks."""
        return tuple(cell for task in self.tasks for cell in task.cells)

    @property
    def measured(self) -> dict[str, Column]:
        """What the records say of the quality of samples, by column name."""
        return {
            name: column
            for name, column in all_columns().items()
            if column.direction != "none" and name in self.rows.columns
        }

    @property
    def commit(self) -> str:
        """The commit that the numbers come from, short, with a word where the files were not as committed."""
        found = {(a, bool(b)) for a, b in self._commits() if isinstance(a, str) and a}
        texts = sorted(f"{commit[:10]}{' (modified)' if dirty else ''}" for commit, dirty in found)
        return ", ".join(texts) or "unknown"

    def _commits(self) -> Iterator[tuple[Any, Any]]:
        if {"git_commit", "git_dirty"} <= set(self.rows.columns):
            yield from self.rows[["git_commit", "git_dirty"]].drop_duplicates().itertuples(index=False)
        elif "git_commit" in self.manifest:
            yield self.manifest["git_commit"], self.manifest.get("git_dirty")


def outcomes(statuses: Iterable[str], planned: int) -> Outcomes:
    """Count how runs ended, from the status of each."""
    ends = Counter(statuses)
    failed = sum(ends[status] for status in records.FAILED)
    return Outcomes(planned, ends["ok"], ends["diverged"], failed, ends["skipped"], planned - ends.total())


def read(folder: Path) -> View:
    """Read the manifest and the records of a results folder; what cannot be read is named and left out.

    With a manifest, the cells are the manifest's, in its order, and records of other cells are left out: they belong to
    an earlier grid. Without one, the cells are those that have a record.
    """
    manifest: dict[str, Any] = {}
    errors: list[records.RecordError] = []
    try:
        manifest = records.load_manifest(folder)
    except records.RecordError as error:
        errors.append(error)
    planned = {cell["cell_id"]: tuple(cell["seeds"]) for cell in manifest.get("cells", ())}
    draws = {cell["cell_id"]: cell.get("draw") for cell in manifest.get("cells", ())}
    known = {f"{cell_id}-s{seed}" for cell_id, seeds in planned.items() for seed in seeds}
    rows, damaged = records.load(folder, known if manifest else None)
    settings = {cell["cell_id"]: cell["settings"] for cell in manifest.get("cells", ())}
    groups = _by_cell(rows)
    for cell_id, part in groups.items():
        settings.setdefault(cell_id, json.loads(part["settings"].iloc[0]))
        planned.setdefault(cell_id, tuple(sorted(int(seed) for seed in part["seed"].unique())))
    return View(
        folder=folder,
        grid=str(manifest.get("grid") or (rows["grid"].iloc[0] if len(rows) else folder.resolve().name)),
        experiment=str(rows["experiment"].iloc[0]) if len(rows) else "",
        manifest=manifest,
        rows=rows,
        tasks=_tasks(settings, planned, draws, groups, rows.iloc[:0]),
        errors=(*errors, *damaged),
        strangers=len(records.finished(folder) - known) if manifest else 0,
    )


def _by_cell(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each cell, by its id; where they lie together they are not copied."""
    if not len(rows):
        return {}
    if not rows["cell_id"].is_monotonic_increasing:
        rows = rows.sort_values("cell_id", kind="stable")
    starts = np.flatnonzero(~rows["cell_id"].duplicated()).tolist()
    names = rows["cell_id"].iloc[starts].tolist()
    ends = [*starts[1:], len(rows)]
    return {name: rows.iloc[start:end] for name, start, end in zip(names, starts, ends, strict=True)}


def _tasks(
    settings: Mapping[str, Mapping[str, Any]],
    planned: Mapping[str, tuple[int, ...]],
    draws: Mapping[str, int | None],
    groups: Mapping[str, pd.DataFrame],
    none: pd.DataFrame,
) -> tuple[Task, ...]:
    plain = {cell_id: dict(flatten(block)) for cell_id, block in settings.items()}
    flat = {cell_id: {key: _text(value) for key, value in block.items()} for cell_id, block in plain.items()}
    of_task: dict[str, dict[str, str]] = {}
    by_task: dict[str, list[str]] = {}
    for cell_id, block in flat.items():
        own = {key: value for key, value in block.items() if key.split(".")[0] in TASK_SETTINGS}
        name = json.dumps(own, sort_keys=True)
        of_task[name] = own
        by_task.setdefault(name, []).append(cell_id)
    judged = {name: {key: value for key, value in own.items() if key != "arm"} for name, own in of_task.items()}
    about = {name: own.get("dataset", own.get("pair", "")) for name, own in of_task.items()}
    variants = _variants(judged, about)
    tasks = []
    for name, members in by_task.items():
        rest = {i: {k: v for k, v in flat[i].items() if k not in of_task[name]} for i in members}
        objectives = {cell_id: flat[cell_id].get("objective", "") for cell_id in members}
        kinds = {i: (objective, draws.get(i) is None) for i, objective in objectives.items()}
        labels = _variants(rest, kinds, sparing=True)
        order = {objective: index for index, objective in enumerate(dict.fromkeys(objectives.values()))}
        cells = tuple(
            CellView(i, objectives[i], labels[i], planned[i], groups.get(i, none), plain[i], draws.get(i))
            for i in sorted(members, key=lambda i: order[objectives[i]])
        )
        tasks.append(Task(about[name], variants[name], cells, of_task[name].get("arm", "")))
    return tuple(tasks)


def _variants(
    blocks: Mapping[str, Mapping[str, str]], families: Mapping[str, Hashable], *, sparing: bool = False
) -> dict[str, str]:
    """In what each block differs from the others of its family: ``clip=0.1, lr=0.0005``.

    Settings that end in one word and never differ from each other are told once, by that word. Where words are
    spared, a value that more than half of the family have goes without saying.
    """
    result = {}
    for family in dict.fromkeys(families.values()):
        members = [name for name in blocks if families[name] == family]
        keys = dict.fromkeys(key for name in members for key in blocks[name])
        columns = {key: tuple(blocks[name].get(key, "-") for name in members) for key in keys}
        told: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for key, values in columns.items():
            if len(set(values)) > 1:
                told.setdefault((key.rsplit(".", 1)[-1], values), []).append(key)
        shown = [(word, values, Counter(values), same) for (word, values), same in told.items()]
        for index, name in enumerate(members):
            parts: Sequence[str] = [
                f"{same[0] if len(same) == 1 else word}={values[index]}"
                for word, values, counts, same in shown
                if not sparing or 2 * counts[values[index]] <= len(values)
            ]
            result[name] = ", ".join(parts)
    return result


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
