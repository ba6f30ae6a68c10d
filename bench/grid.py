"""Grid files: settings in YAML, in which a list multiplies, become a checked `Grid` of cells.

``seeds`` and ``description`` belong to the grid, ``experiment`` says who reads the rest, and every other key is a
setting of that experiment. A list where one setting is expected stands for each of its items: lists multiply. A list
inside a list is one value that is a list. The lists of a block within a list multiply only each other, so that
``objective: [minimax, {name: wgan_clip, clip: [0.01, 0.1]}]`` stands for three objectives.

``union`` is a list of blocks. Each is laid over the rest of the file, and the products of the results are united.
A block is laid over a block key by key. A word is short for a block with that name, and where two names differ the
upper replaces the lower. Over a list of components, a block without a name is laid over each. Anything else replaces.

An override (``--set a.b=value``) is the block ``{a: {b: value}}`` laid over every block of the union, last. It is laid
over objectives with training settings of their own too, since those would win over it.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import yaml_file
from bench.cell import Cell, Run
from bench.errors import UserError, nearest
from bench.settings import SettingError
from bench.yaml_file import Block, Items, shown

if TYPE_CHECKING:
    from bench.experiments import Experiment

MOST_RUNS = 1_000_000

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
_OVERRIDE = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*){0,9})\s*=(.*)", re.DOTALL)

_Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Grid:
    """What a grid file asks for, checked and expanded."""

    name: str
    """The file's stem."""
    path: Path
    source: str
    """The file's text."""
    overrides: tuple[str, ...]
    description: str
    cells: tuple[Cell, ...]
    """In the file's order, the last key varying fastest; their ids do not depend on it."""
    seeds: tuple[int, ...]

    def runs(self) -> list[Run]:
        """Every cell with every seed."""
        return [Run(cell, seed) for cell in self.cells for seed in self.seeds]


def load_grid(path: Path, overrides: Sequence[str] = (), seeds: int | None = None) -> Grid:
    """Read and check a grid file; ``seeds`` replaces its own by 0 … seeds - 1.

    Raises `UserError`, one line that names the file and line or the override, on the first thing that is wrong. Nothing
    is expanded before its size is known, and every value of every list is checked before the product is.
    Cells that the file names twice are refused; cells that only an override made equal are one cell.
    """
    source = yaml_file.read(path)
    if not _NAME.fullmatch(path.stem):
        raise UserError(
            f"{shown(path)}: the file's name becomes the grid's; use letters, digits, . _ and - (64 at most)"
        )
    top = yaml_file.parse(source, shown(path))
    blocks = _blocks(top)
    for override in overrides:
        upper = _override(override)
        blocks = [_set(upper, block) for block in blocks]
    chosen = _seeds(blocks[0]) if seeds is None else _count_of_seeds(seeds, f"--seeds {seeds}")
    description = _description(blocks[0])
    parts = [(_experiment(block), _settings(block)) for block in blocks]
    for _, settings in parts:
        _check_lists(settings)
    size = _check_size([settings for _, settings in parts], len(chosen))
    samples = [(experiment, point) for experiment, settings in parts for point in _samples(settings)]
    for experiment, point in samples if 2 * len(samples) < size else []:
        _cell(experiment, point)
    cells: dict[str, tuple[Cell, Block]] = {}
    for experiment, settings in parts:
        for point in _product(settings):
            cell = _cell(experiment, point)
            if cell.id not in cells:
                cells[cell.id] = cell, point
            elif not overrides:
                raise UserError(_twice(cells[cell.id][1], point))
    return Grid(
        name=path.stem,
        path=path,
        source=source,
        overrides=tuple(overrides),
        description=description,
        cells=tuple(cell for cell, _ in cells.values()),
        seeds=chosen,
    )


# Of the grid as a whole


def _blocks(top: Block) -> list[Block]:
    """The file's settings with each block of its union laid over them."""
    if "union" not in top:
        return [top]
    below, union, mark = _without(top, "union"), top["union"], top.marks["union"]
    if not isinstance(union, Items) or not union:
        raise UserError(f"{mark}: union: a list of blocks belongs here; write one block of settings an item")
    blocks = []
    for block, at in zip(union, union.marks, strict=True):
        if not isinstance(block, Block):
            raise UserError(
                f"{at}: union: an item is a block of settings, not {shown(block)}; write `- {{key: value}}`"
            )
        for key in ("union", "seeds", "description"):
            if key in block:
                raise UserError(f"{block.marks[key]}: union.{key}: belongs to the whole grid; move it out of the union")
        blocks.append(_lay(block, below))
    return blocks


def _without(block: Block, *keys: str) -> Block:
    return Block(block.mark, {key: value for key, value in block.items() if key not in keys}, block.marks)


def _settings(block: Block) -> Block:
    return _without(block, "description", "experiment", "seeds")


def _lay(upper: Block, lower: Block) -> Block:
    result = Block(upper.mark, dict(lower), dict(lower.marks))
    for key, value in upper.items():
        result.put(key, _lay_value(value, lower[key]) if key in lower else value, upper.marks[key])
    return result


def _lay_value(upper: Any, lower: Any) -> Any:
    if isinstance(upper, str) and isinstance(lower, Block):
        return lower if lower.get("name") == upper else upper
    if not isinstance(upper, Block):
        return upper
    if isinstance(lower, Items) and "name" not in upper and all(isinstance(item, str | Block) for item in lower):
        return _each(lower, lambda item: _lay_value(upper, item))
    if isinstance(lower, str):
        lower = Block(upper.mark, {"name": lower}, {"name": upper.mark})
    if isinstance(lower, Block) and upper.get("name", lower.get("name")) == lower.get("name", upper.get("name")):
        return _lay(upper, lower)
    return upper


def _each(items: Items, change: Callable[[Any], Any]) -> Items:
    changed = Items(items.mark)
    for item, mark in zip(items, items.marks, strict=True):
        changed.put(change(item), mark)
    return changed


def _set(override: Block, block: Block) -> Block:
    from bench.training_settings import PER_OBJECTIVE

    def own(objective: Any) -> Any:
        wins = isinstance(objective, Block) and not objective.keys().isdisjoint(PER_OBJECTIVE)
        return _lay(override, objective) if wins else objective

    result = _lay(override, block)
    result.mark = block.mark
    if "objective" in result and override.keys() <= set(PER_OBJECTIVE):
        objective = result["objective"]
        result["objective"] = _each(objective, own) if isinstance(objective, Items) else own(objective)
    return result


def _override(text: str) -> Block:
    mark = f"--set {shown(text)}"
    match = _OVERRIDE.fullmatch(text)
    if not match or not match[2].strip():
        raise UserError(f"{mark}: not a setting; write key=value, as in --set evaluate.n=1000")
    *outer, last = match[1].split(".")
    if (outer or [last])[0] == "union":
        raise UserError(f"{mark}: union: cannot be set from outside; set the settings in it")
    block = Block(mark, {last: yaml_file.parse_value(match[2], mark)}, {last: mark})
    for key in reversed(outer):
        block = Block(mark, {key: block}, {key: mark})
    return block


def _experiment(block: Block) -> Experiment:
    from bench.experiments import EXPERIMENTS

    name = block.get("experiment", "train")
    if not isinstance(name, str) or name not in EXPERIMENTS:
        raise UserError(
            f"{block.marks['experiment']}: experiment: unknown experiment {shown(repr(name))}; "
            f"{nearest(str(name), EXPERIMENTS)}"
        )
    return EXPERIMENTS[name]


def _description(block: Block) -> str:
    text = block.get("description", "")
    if not isinstance(text, str):
        raise UserError(f"{block.marks['description']}: description: a text belongs here; put it in quotes")
    return text


def _seeds(block: Block) -> tuple[int, ...]:
    if "seeds" not in block:
        raise UserError(f"{block.mark}: seeds: missing; write how many, `seeds: 8`, or which, `seeds: [0, 1]`")
    seeds, mark = block["seeds"], block.marks["seeds"]
    if not isinstance(seeds, Items):
        return _count_of_seeds(seeds, f"{mark}: seeds")
    if not seeds:
        raise UserError(f"{mark}: seeds: an empty list; write how many, `seeds: 8`, or which, `seeds: [0, 1]`")
    for seed, at in zip(seeds, seeds.marks, strict=True):
        if type(seed) is not int or seed < 0:
            raise UserError(f"{at}: seeds: {shown(repr(seed))} is not a seed; write whole numbers from 0")
    _check_lists(seeds, ("seeds",))
    return tuple(seeds)


def _count_of_seeds(count: Any, place: str) -> tuple[int, ...]:
    if type(count) is not int or not 0 < count <= MOST_RUNS:
        raise UserError(f"{place}: {shown(repr(count))} is not a number of seeds; write one from 1 to {MOST_RUNS:,}")
    return tuple(range(count))


# Of lists and products


def _check_lists(node: Any, path: _Path = ()) -> None:
    """Refuse lists that are empty or say something twice."""
    if isinstance(node, Block):
        for key, value in node.items():
            if isinstance(value, Items) and not value:
                raise UserError(
                    f"{node.marks[key]}: {_dotted((*path, key))}: an empty list; give it a value or remove it"
                )
            _check_lists(value, (*path, key))
    elif isinstance(node, Items):
        places: dict[str, str] = {}
        for item, mark in zip(node, node.marks, strict=True):
            content = json.dumps(item, sort_keys=True)
            if content in places:
                first = f", first at {places[content]}" if places[content] != mark else ""
                raise UserError(f"{mark}: {_dotted(path)}: {shown(repr(item))} is written twice{first}; keep one")
            places[content] = mark
            if isinstance(item, Block):
                _check_lists(item, path)


def _check_size(parts: Sequence[Block], seeds: int) -> int:
    """The number of cells."""
    cells = sum(map(_size, parts))
    if cells * seeds > MOST_RUNS:
        lists = [found for part in parts for found in _lists(part)]
        path, mark, length = max(lists, key=lambda found: found[2])
        raise UserError(
            f"{mark}: {_dotted(path)}: {_number(cells)} cells x {seeds:,} seeds are more than {MOST_RUNS:,} runs; "
            f"shorten the lists, of which this is the longest ({length:,})"
        )
    return cells


def _number(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"over 10^{len(str(count)) - 1}"


def _lists(block: Block, path: _Path = ()) -> Iterator[tuple[_Path, str, int]]:
    """Path, place and length of every list that multiplies."""
    for key, value in block.items():
        here = (*path, key)
        if isinstance(value, Items):
            yield here, block.marks[key], len(value)
        for inner in value if isinstance(value, Items) else [value]:
            if isinstance(inner, Block):
                yield from _lists(inner, here)


def _size(node: Any) -> int:
    """How many values a node stands for."""
    if isinstance(node, Items):
        return sum(1 if isinstance(item, Items) else _size(item) for item in node)
    return math.prod(map(_size, node.values())) if isinstance(node, Block) else 1


def _choices(node: Any, mark: str) -> Iterator[tuple[Any, str]]:
    """The values that a node stands for, each with its place."""
    if isinstance(node, Items):
        for item, at in zip(node, node.marks, strict=True):
            yield from [(item, at)] if isinstance(item, Items) else _choices(item, at)
    elif isinstance(node, Block):
        yield from ((point, mark) for point in _product(node))
    else:
        yield node, mark


def _axes(block: Block) -> list[list[tuple[Any, str]]]:
    return [list(_choices(value, block.marks[key])) for key, value in block.items()]


def _point(block: Block, chosen: Sequence[tuple[Any, str]]) -> Block:
    point = Block(block.mark)
    for key, (value, mark) in zip(block, chosen, strict=True):
        point.put(key, value, mark)
    return point


def _product(block: Block) -> Iterator[Block]:
    for chosen in itertools.product(*_axes(block)):
        yield _point(block, chosen)


def _samples(block: Block) -> Iterator[Block]:
    """Points of the product that show every value of every key: only as many as the longest of its axes has."""
    axes = _axes(block)
    for index in range(max(map(len, axes), default=1)):
        yield _point(block, [axis[index % len(axis)] for axis in axes])


# Of cells


def _cell(experiment: Experiment, point: Block) -> Cell:
    from bench.experiments import make_cell

    try:
        return make_cell(experiment, experiment.resolve(point))
    except SettingError as error:
        path = _deepest(point, error)
        raise UserError(f"{_place(point, path)}: {_dotted(path)}: {shown(error.message, 400)}") from None


def _deepest(point: Block, error: SettingError) -> _Path:
    """The error's path and, where it names a block and its message begins with one of the block's keys, that key."""
    node: Any = point
    for part in error.path:
        node = node.get(str(part)) if isinstance(node, Block) else None
    word = error.message.partition(" ")[0]
    return (*error.path, word) if isinstance(node, Block) and word in node else error.path


def _place(point: Block, path: _Path) -> str:
    """Where the deepest part of the path that was written stands."""
    node: Any = point
    mark = point.mark
    for part in path:
        if not isinstance(node, Block) or part not in node:
            break
        mark, node = node.marks[str(part)], node[str(part)]
    return mark


def _dotted(path: _Path) -> str:
    return ".".join(map(str, path)) or "settings"


def _twice(first: Block, second: Block) -> str:
    """Say which two spellings make one cell: two values where there are, or else one value at two places."""
    differences = [*_differences(first, second), ((), ("this", first.mark), ("this", second.mark))]
    path, old, new = max(differences, key=lambda found: found[1][0] != found[2][0])
    return f"{new[1]}: {_dotted(path)}: {new[0]} gives the same cell as {old[0]} at {old[1]}; keep one"


_Spelt = tuple[str, str]
"""What is written, and its place."""


def _differences(first: Block, second: Block, path: _Path = ()) -> Iterator[tuple[_Path, _Spelt, _Spelt]]:
    for key in {**first, **second}:
        here = (*path, key)
        a, b = first.get(key), second.get(key)
        if isinstance(a, Block) and isinstance(b, Block):
            yield from _differences(a, b, here)
        old, new = (
            (shown(repr(block[key])), block.marks[key]) if key in block else ("its default", block.mark)
            for block in (first, second)
        )
        if old != new:
            yield here, old, new
