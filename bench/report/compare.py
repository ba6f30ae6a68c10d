"""Results folders side by side: what they were made by, which runs they share, and in what their numbers differ."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench import records
from bench.metrics import all_columns
from bench.report import agreement, captions, merge
from bench.report.captions import BOOTSTRAP
from bench.report.sides import CODE, Pair, Side, as_text, listed, pairs_of, read_sides, refuse_mixing, versions
from bench.report.tables import Entry, Heading, Part, Quoted, Row, Table, csv_text, latex, markdown
from bench.report.view import CellView, View
from bench.statistics import holm, interval, p_value, paired_difference

LEVEL = 0.05
"""Of the family-wise error at which a difference is told from zero."""
DIRECTIONS = {"up": ", more is better", "down": ", less is better"}


@dataclass(frozen=True)
class Comparison:
    """What was found."""

    text: str
    """The tables in Markdown."""
    errors: tuple[records.RecordError, ...]
    """Files that were left out, and why."""


def compare(folders: Sequence[Path], out: Path | None = None, *, mix: bool = False) -> Comparison:
    """Compare two results folders or more by their records, and merge them where a folder ``out`` is given.

    Tables say what each folder is and in which versions and settings they differ; which runs only some have; in which
    columns, steps and runs those differ that two folders have, where times and circumstances do not count; and, cell by
    metric, the final values of both with the difference paired by seed. Cells are matched by their ids, else by their
    settings. The merged folder is one that a report can be made of, with these tables in it.

    Raises:
        UserError: without ``mix``, the folders were made by different code, versions of torch or kinds of device, or
            are to be merged and disagree on a run; a folder has no results; ``out`` is not empty.
    """
    sides = read_sides(folders)
    if out is not None:
        merge.refuse_full(out)
    if not mix:
        refuse_mixing(sides)
    pairs = pairs_of(sides)
    if out is not None and not mix:
        merge.refuse_differing(pairs)
    made = tables(sides, pairs)
    errors = [error for side in sides for error in side.errors]
    if out is not None:
        errors += merge.merge(sides, {run_id for pair in pairs for run_id in pair.agreed.differing}, out)
        for table in made:
            for ending, write in (("md", markdown), ("tex", latex), ("csv", csv_text)):
                records.publish_bytes(write(table).encode(), out / "tables" / f"{table.name}.{ending}")
    return Comparison("\n".join(f"## {table.title}\n\n{markdown(table)}" for table in made), tuple(errors))


def tables(sides: Sequence[Side], pairs: Sequence[Pair]) -> list[Table]:
    """The folders; the runs that not all have; where shared runs differ; and what that makes of cells and metrics."""
    made = (_folders(sides, pairs), _missing(sides), _columns(pairs), _runs(pairs))
    return [*(table for table in made if table.parts), _cells(pairs)]


def _folders(sides: Sequence[Side], pairs: Sequence[Pair]) -> Table:
    """What each folder is, and the versions and settings in which they differ."""
    facts: list[tuple[str, Callable[[Side], str]]] = [
        ("grid", lambda side: side.view.grid),
        ("experiment", lambda side: side.view.experiment),
        ("runs", lambda side: str(side.view.outcomes)),
        ("left out", _left_out),
        *((column, lambda side, of=column: listed(side.values(of))) for column in (*CODE, "device_name", "way")),
    ]
    parts = [Part("Folders", tuple(Row((name, *map(tell, sides))) for name, tell in facts))]
    for title, block in (("Versions and commands that differ", _manifest), ("Settings that differ", _settings)):
        blocks = [block(side) for side in sides]
        keys = dict.fromkeys(key for own in blocks for key in own)
        rows = [(key, *(own.get(key, "-") for own in blocks)) for key in keys]
        parts += [Part(title, told)] if (told := tuple(Row(row) for row in rows if len(set(row[1:])) > 1)) else []
    headings = (Heading("what", ""), *(Heading(f"folder_{i}", s.name, words=True) for i, s in enumerate(sides, 1)))
    caption = captions.sentences(
        "The folders, and in what they differ.",
        *(
            f"Runs that both {pair.name} have: {len(pair.agreed.shared):,}; the same in every value but times: "
            f"{len(pair.agreed.shared) - len(pair.agreed.differing):,}; different: {len(pair.agreed.differing):,}."
            for pair in pairs
        ),
        "Settings: all values that the cells of a folder have.",
    )
    return Table("compare_folders", caption, headings, tuple(parts), "Folders")


def _left_out(side: Side) -> str:
    told = [f"{len(side.errors)} unusable" if side.errors else ""]
    told += [f"{side.view.strangers} of cells that the manifest does not have" if side.view.strangers else ""]
    return ", ".join(filter(None, told)) or "nothing"


def _manifest(side: Side) -> dict[str, str]:
    told = side.view.manifest
    single = {key: told[key] for key in ("description", "overrides", "search") if told.get(key)}
    return {key: as_text(value) for key, value in (single | versions(told)).items()}


def _settings(side: Side) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}
    for cell in side.view.cells:
        for key, value in cell.settings.items():
            found.setdefault(key, {})[as_text(value)] = None
    return {key: listed(sorted(values)) for key, values in found.items()}


def _missing(sides: Sequence[Side]) -> Table:
    """Cells, with their seeds, that some folder has no record of."""
    planned: dict[str, tuple[str, dict[int, None]]] = {}
    for side in sides:
        for task in side.view.tasks:
            for cell in task.cells:
                label = f"{cell.label}, {task.label}" if task.label else cell.label
                planned.setdefault(cell.id, (label, {}))[1].update(dict.fromkeys(cell.seeds))
    rows = []
    for cell_id, (label, seeds) in planned.items():
        owned: dict[tuple[str, ...], list[int]] = {}
        for seed in sorted(seeds):
            owners = tuple(side.name for side in sides if f"{cell_id}-s{seed}" in side.runs)
            owned.setdefault(owners, []).append(seed)
        for owners, own in owned.items():
            if len(owners) < len(sides):
                entries = (label, cell_id, ", ".join(owners) or "none", len(own), ", ".join(map(str, own)))
                rows.append(Row(entries))
    headings = (
        Heading("cell", "Cell"),
        Heading("cell_id", "Id", words=True),
        Heading("folders", "Only in", words=True),
        Heading("runs", "Runs"),
        Heading("seeds", "Seeds", words=True),
    )
    caption = "Runs that a folder planned and not every folder has a record of."
    parts = (Part("Runs that only some have", tuple(rows)),) if rows else ()
    return Table("compare_missing", caption, headings, parts, "Missing")


RELATIVE = (
    "Largest relative difference: |a - b| / max(|a|, |b|), infinite where one has no number, and no number between "
    "texts; it is the one of the run, step and values beside it."
)


def _columns(pairs: Sequence[Pair]) -> Table:
    headings = (
        Heading("column", "Column"),
        Heading("runs", "Runs"),
        Heading("first_step", "From step"),
        Heading("last_step", "To step"),
        *_WORST,
        Heading("run_id", "Run", words=True),
    )
    parts = []
    for pair in pairs:
        rows = []
        for column, part in pair.agreed.found.groupby("column", sort=False):
            worst = _worst(part)
            spread = (part["run_id"].nunique(), int(part["step"].min()), int(part["step"].max()))
            rows.append(Row((str(column), *spread, *_entries(worst), str(worst["run_id"]))))
        parts += [Part(pair.name, tuple(rows))] if rows else []
    return Table("compare_columns", RELATIVE, headings, tuple(parts), "Columns that differ")


def _runs(pairs: Sequence[Pair]) -> Table:
    headings = (
        Heading("run_id", "Run"),
        Heading("columns", "Columns"),
        Heading("first_step", "From step"),
        Heading("column", "Column", words=True),
        *_WORST,
        Heading("all_columns", "All columns", words=True, csv_only=True),
    )
    parts = []
    for pair in pairs:
        rows = []
        for run_id, part in pair.agreed.found.groupby("run_id"):
            worst, columns = _worst(part), [str(name) for name in part["column"].unique()]
            about = (str(run_id), len(columns), int(part["step"].min()), str(worst["column"]))
            rows.append(Row((*about, *_entries(worst), ", ".join(columns))))
        parts += [Part(pair.name, tuple(rows))] if rows else []
    caption = f"Every run that two folders have and that is not the same in both. {RELATIVE}"
    return Table("compare_runs", caption, headings, tuple(parts), "Runs that differ")


_WORST = (
    Heading("relative", "Largest relative difference"),
    Heading("step", "At step"),
    Heading("first", "First"),
    Heading("second", "Second"),
)


def _worst(part: pd.DataFrame) -> pd.Series[Any]:
    return part.iloc[int(part["relative"].fillna(-1.0).argmax())]


def _entries(worst: pd.Series[Any]) -> tuple[Entry, ...]:
    return (float(worst["relative"]), int(worst["step"]), _value(worst["first"]), _value(worst["second"]))


def _value(value: Any) -> Entry:
    """With all its digits, since two values may differ in the last."""
    if value is None or value != value:
        return None
    return Quoted(float(value)) if not isinstance(value, str) and math.isfinite(value) else str(value)


@dataclass(frozen=True)
class _Compared:
    """A column of a cell that two folders have, at the end of its runs, by seed."""

    part: str
    label: str
    cells: tuple[CellView, CellView]
    column: str

    @property
    def finals(self) -> tuple[Mapping[int, float], Mapping[int, float]]:
        first, second = self.cells
        return first.final(self.column), second.final(self.column)

    @property
    def same(self) -> bool:
        first, second = self.finals
        return first == second

    @property
    def p(self) -> float:
        a, b = self.finals
        return p_value([b[seed] - a[seed] for seed in sorted(a.keys() & b.keys())], 0.0)

    def row(self, adjusted: float) -> Row:
        a, b = self.finals
        entries: list[Entry] = [self.label]
        for cell, final in zip(self.cells, self.finals, strict=True):
            entries += [cell.outcomes.ok, cell.outcomes.diverged, interval(list(final.values())) if final else None]
        difference = paired_difference(b, a)
        entries += [difference.n, difference if difference.n else None]
        entries += [None, ""] if math.isnan(adjusted) else [adjusted, "yes" if adjusted < LEVEL else "no"]
        return Row(tuple(entries))


def _cells(pairs: Sequence[Pair]) -> Table:
    """Cell by metric: both values, the paired difference, and whether it is told from zero."""
    compared = [one for pair in pairs for one in _compared(pair, len(pairs) > 1)]
    adjusted = holm([one.p for one in compared])
    parts: dict[str, list[Row]] = {}
    for one, p in zip(compared, adjusted, strict=True):
        if not one.same:
            parts.setdefault(one.part, []).append(one.row(p))
    names = ("First", "Second") if len(pairs) > 1 else (pairs[0].first.name, pairs[0].second.name)
    sides = (
        (Heading(f"n_{i}", "n"), Heading(f"diverged_{i}", "Div."), Heading(f"value_{i}", name, scale="value"))
        for i, name in enumerate(names, 1)
    )
    headings = (
        Heading("cell", "Cell"),
        *(heading for own in sides for heading in own),
        Heading("pairs", "Pairs"),
        Heading("difference", "Difference", scale="value"),
        Heading("p", "p (Holm)", digits=2),
        Heading("apart", "Apart"),
    )
    same, tested = sum(one.same for one in compared), sum(not math.isnan(p) for p in adjusted)
    other = {one.cells[0].id: one.label for one in compared if one.cells[0].id != one.cells[1].id}
    caption = captions.sentences(
        f"Final values of the cells that two folders have: the mean over the n runs that ended well, with its "
        f"{BOOTSTRAP}; Div.: runs that diverged, which have no value. Difference: second less first, paired by seed, "
        f"with its {BOOTSTRAP}. p: two-sided paired t-test, adjusted after Holm over all {tested:,} comparisons of a "
        f"cell and a metric with two pairs or more; Apart: whether it is below {LEVEL:g}, so that the difference "
        "leaves out zero.",
        f"The same in both folders for every seed, left out: {same:,}." if same else "",
        f"Cells with the same settings but other code of plug-ins or metrics: {listed(sorted(other.values()))}."
        if other
        else "",
    )
    made = tuple(Part(title, tuple(rows)) for title, rows in parts.items())
    return Table("compare", caption, headings, made, "Cells that differ")


def _compared(pair: Pair, named: bool) -> Iterator[_Compared]:
    first, other = pair.first, pair.second
    by_id = {cell.id: cell for cell in other.view.cells}
    keys = [_key(other, cell) for cell in other.view.cells]
    counts = Counter(keys)
    by_settings = {key: cell for key, cell in zip(keys, other.view.cells, strict=True) if counts[key] == 1}
    columns = _metrics(first.view, other.view)
    for task in first.view.tasks:
        for column in columns:
            known = all_columns().get(column)
            label = f"{known.label}{DIRECTIONS.get(known.direction, '')}" if known else column
            title = ": ".join(filter(None, (pair.name if named else "", task.title, label)))
            for cell in task.cells:
                match = by_id.get(cell.id) or by_settings.get(_key(first, cell))
                if match is not None and (cell.final(column) or match.final(column)):
                    yield _Compared(title, cell.label or cell.id, (cell, match), column)


def _key(side: Side, cell: CellView) -> str:
    """Of cells that are the same but for the code of what they name."""
    return json.dumps([side.view.experiment, dict(cell.settings)], sort_keys=True)


def _metrics(a: View, b: View) -> list[str]:
    """What both measured of samples; where an experiment measures none, all its results that are numbers."""
    if common := [name for name in a.measured if name in b.measured]:
        return common
    numbers = a.rows.select_dtypes("number").columns
    chosen = {key for cell in (*a.cells, *b.cells) for key in cell.settings}
    return [
        name
        for name in numbers
        if name in b.rows and agreement.is_result(name) and name not in chosen and name not in _PLACES
    ]


_PLACES = frozenset({"schema_version", "seed", "step"})
