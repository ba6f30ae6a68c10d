"""Published numbers that a grid carries, to stand beside its own: what a source reports, and for which cells.

    published:
      - source: "Lin et al. 2018, arXiv:1712.04086, Table 1: mean and standard error of 10 trials"
        where: {dataset: ring, objective: non_saturating, pack: 1}
        values: {modes_covered: [6.3, 0.5], reverse_kl: 0.45}

``where`` names settings as the records have them, resolved; those below others are nested: ``dataset: {name: ring,
std: 0.01}``. Numbers are in the units of the columns, the second of two is the spread that ``source`` names. Lists do
not multiply here, and nothing of this enters an id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.cell import Cell, Settings, flatten
from bench.errors import UserError, nearest
from bench.yaml_file import Block, Items, shown

_KEYS = ("source", "where", "values")


@dataclass(frozen=True)
class Published:
    """What one source reports for the cells that have some settings."""

    source: str
    where: Mapping[str, Any]
    """Settings by dotted name, as in the records; a cell that has them all is meant."""
    values: Mapping[str, tuple[float, float | None]]
    """Column -> number and its spread, where one is given."""


def read_published(found: Any, mark: str, cells: Sequence[Cell], strict: bool) -> tuple[Published, ...]:
    """The published numbers of a grid with these cells.

    An entry that fits no cell is an error if ``strict``, and is left out otherwise: an override changed the cells.

    Raises:
        UserError: one line that names the place, on the first thing that is wrong.
    """
    if not isinstance(found, Items):
        raise UserError(f"{mark}: published: a list belongs here; write `- {{source: …, where: {{…}}, values: {{…}}}}`")
    kept, known = [], _columns(cells)
    for entry, at in zip(found, found.marks, strict=True):
        source, where, values = _parts(entry, at)
        wanted = list(_flat(where))
        read = Published(source, {key: value for key, value, _ in wanted}, dict(_numbers(values, known)))
        if any(all(_has(cell.settings, key, value) for key, value in read.where.items()) for cell in cells):
            kept.append(read)
        elif strict:
            raise UserError(_stranded(wanted, cells, at))
    return tuple(kept)


def _has(settings: Settings, path: str, value: object) -> bool:
    """Whether the setting with this dotted name, as ``flatten`` gives it, is the value."""
    found: Any = settings
    try:
        for key in path.split("."):
            found = found[key]
        return _same(found["name"] if isinstance(found, dict) else found, value)
    except (KeyError, TypeError):
        return False


def _parts(entry: Any, at: str) -> tuple[str, Block, Block]:
    if not isinstance(entry, Block):
        raise UserError(f"{at}: published: an item is a block with {', '.join(_KEYS)}, not {shown(repr(entry))}")
    for key in entry:
        if key not in _KEYS:
            raise UserError(f"{entry.marks[key]}: published.{key}: unknown key; {nearest(key, _KEYS)}")
    for key in _KEYS:
        if not entry.get(key):
            raise UserError(f"{entry.marks.get(key, at)}: published.{key}: missing; an item has {', '.join(_KEYS)}")
    if not isinstance(entry["source"], str):
        raise UserError(f"{entry.marks['source']}: published.source: a text belongs here; put it in quotes")
    for key in ("where", "values"):
        if not isinstance(entry[key], Block):
            words = f"a block belongs here, not {shown(repr(entry[key]))}; write {{key: value}}"
            raise UserError(f"{entry.marks[key]}: published.{key}: {words}")
    return entry["source"], entry["where"], entry["values"]


def _flat(where: Block, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Dotted name as in the records, value and place of every setting."""
    for key, value in where.items():
        path = f"{prefix}{key}"
        if isinstance(value, Block):
            yield from _flat(value, f"{path}.")
        else:
            yield path.removesuffix(".name"), value, where.marks[key]


def _columns(cells: Sequence[Cell]) -> set[str]:
    """What a number can be quoted of: the metrics' columns, and those that an experiment names as its own."""
    from bench.experiments import EXPERIMENTS
    from bench.metrics import all_columns

    own = (getattr(EXPERIMENTS.get(name), "columns", ()) for name in {cell.experiment for cell in cells})
    return {*all_columns(), *(column for columns in own for column in columns)}


def _numbers(values: Block, known: Collection[str]) -> Iterator[tuple[str, tuple[float, float | None]]]:
    for column, value in values.items():
        place = f"{values.marks[column]}: published.values.{column}"
        if column not in known:
            raise UserError(f"{place}: nothing that is measured has this column; {nearest(column, known)}")
        numbers = value if isinstance(value, Items) else [value]
        if not 1 <= len(numbers) <= 2 or any(type(number) not in (int, float) for number in numbers):
            words = f"a number or [number, spread] belongs here, not {shown(repr(value))}; write [6.3, 0.5]"
            raise UserError(f"{place}: {words}")
        number, spread = numbers if len(numbers) == 2 else (numbers[0], None)
        if spread is not None and spread < 0:
            raise UserError(f"{place}: a spread is not below 0, as {spread} is; write [number, spread]")
        yield column, (number, spread)


def _same(one: object, other: object) -> bool:
    """Equal as settings: 1 is 1.0, but not true."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _stranded(wanted: Sequence[tuple[str, Any, str]], cells: Sequence[Cell], at: str) -> str:
    """Why no cell is meant: a setting that none has, a value that none has, or only their combination."""
    rows = [dict(flatten(cell.settings)) for cell in cells]
    known = {key for row in rows for key in row}
    for key, value, mark in wanted:
        place = f"{mark}: published.where.{key}"
        if key not in known:
            return shown(f"{place}: no cell of the grid has this setting; {nearest(key, known)}", 400)
        there = [row[key] for row in rows if key in row]
        if not any(_same(value, other) for other in there):
            return shown(f"{place}: no cell has {value!r} here; {nearest(str(value), set(map(str, there)))}", 400)
    return f"{at}: published.where: no cell of the grid has all of these settings at once; remove or correct some"
