"""Grid files: settings in YAML, in which a list multiplies, become a checked `Grid` of cells.

``seeds``, ``description``, ``search`` and ``published`` belong to the grid, ``experiment`` says who reads the rest, and
every other key is a setting of that experiment. A list where one setting is expected stands for each of its items:
lists multiply. A list inside a list is one value that is a list. The lists of a block within a list multiply only each
other, so that ``objective: [minimax, {name: wgan_clip, clip: [0.01, 0.1]}]`` stands for three objectives.

``union`` is a list of blocks. Each is laid over the rest of the file, and the products of the results are united.
A block is laid over a block key by key. A word is short for a block with that name, and where two names differ the
upper replaces the lower. Over a list of components, a block without a name is laid over each. Anything else replaces.

A block such as ``{log_uniform: [1.0e-5, 1.0e-2]}`` in the place of a value is a draw (`bench.search` has the laws), and
``search: {settings: 128, seed: 0}`` says how often it is drawn: every point of the product that has draws stands for
128 cells, one a draw index, and a point without draws for one. A draw is one value to everything above, save that a
block without a name is laid over each component of a ``choice``, as over those of a list.

``published`` is a list of what sources report for cells of the grid (`bench.published`); it changes no cell.

An override (``--set a.b=value``) is the block ``{a: {b: value}}`` laid over every block of the union, last. It is laid
over objectives with training settings of their own too, since those would win over it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import yaml_file
from bench.cell import Cell, Run, canonical
from bench.errors import UserError, nearest
from bench.product import MOST_RUNS, UNDRAWN, Named, check_lists, check_size, dotted, expand, samples
from bench.published import Published, read_published
from bench.search import Draw, Search, draws, read_draws
from bench.settings import SettingError, build, check_block, remembering
from bench.yaml_file import Block, Items, shown

if TYPE_CHECKING:
    from bench.experiments import Experiment

WHOLE = ("union", "seeds", "description", "search", "published")
"""Keys of the grid as a whole: no settings, and not for a block of its union."""

LARGEST_SEED = 999_999_999
"""With which the longest id of a cell still makes the name of a record."""

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
    search: Search | None
    """How settings were drawn, if any were."""
    draws: Mapping[str, int]
    """Id -> draw index of the cells with settings that were drawn."""
    published: tuple[Published, ...]

    def runs(self) -> list[Run]:
        """Every cell with every seed."""
        return [Run(cell, seed) for cell in self.cells for seed in self.seeds]

    def missing_files(self) -> list[str]:
        """Of each data set whose files nobody has brought: what is missing, and how to get it, in one line."""
        from datasets import DATASETS
        from datasets.images import NeedsFiles

        found = (cell.settings.get("dataset") for cell in self.cells)
        named = {canonical(block): block for block in found if isinstance(block, Mapping)}  # else a mere name
        sets = [build(settings, DATASETS) for settings in named.values()]
        words = [dataset.missing() for dataset in sets if isinstance(dataset, NeedsFiles)]
        return [line for line in words if line is not None]


def load_grid(path: Path, overrides: Sequence[str] = (), seeds: int | None = None) -> Grid:
    """Read and check a grid file; ``seeds`` replaces its own by 0 … seeds - 1.

    Raises `UserError`, one line that names the file and line or the override, on the first thing that is wrong. Nothing
    is expanded before its size is known, and every value of every list and both ends of every draw are checked before
    the product is. Cells that the file names twice are refused; cells that only an override or a draw made equal are
    one cell.
    """
    source = yaml_file.read(path)
    if not _NAME.fullmatch(path.stem):
        raise UserError(
            f"{shown(path)}: the file's name becomes the grid's; use letters, digits, . _ and - (64 at most)"
        )
    blocks = _blocks(yaml_file.parse(source, shown(path)))
    searched = any(True for block in blocks for _ in draws(block))
    for override in overrides:
        upper = _override(override)
        blocks = [_set(upper, block) for block in blocks]
    whole = blocks[0]
    chosen = _seeds(whole) if seeds is None else _count_of_seeds(seeds, f"--seeds {seeds}")
    description = _description(whole)
    parts = [(_experiment(block), _settings(block)) for block in blocks]
    for _, settings in parts:
        check_lists(settings)
    search = _search(whole, [settings for _, settings in parts], strict=not searched)
    size = check_size([settings for _, settings in parts], len(chosen), search, whole)
    extremes = [(experiment, point) for experiment, settings in parts for point in samples(settings)]
    with remembering():
        for experiment, point in extremes if search or 2 * len(extremes) < size else []:
            _cell(experiment, point)
        cells, drawn = _cells(parts, search, strict=not overrides)
    expanded = tuple(cells.values())
    published: tuple[Published, ...] = ()
    if "published" in whole:
        published = read_published(whole["published"], whole.marks["published"], expanded, strict=not overrides)
    return Grid(
        name=path.stem,
        path=path,
        source=source,
        overrides=tuple(overrides),
        description=description,
        cells=expanded,
        seeds=chosen,
        search=search,
        draws={name: named.index for name, named in drawn.items() if named.index is not None},
        published=published,
    )


# Of the grid as a whole


def _blocks(top: Block) -> list[Block]:
    """The file's settings with each block of its union laid over them."""
    if "union" not in top:
        return [_read(top)]
    below, union, mark = _read(_without(top, "union")), top["union"], top.marks["union"]
    if not isinstance(union, Items) or not union:
        raise UserError(f"{mark}: union: a list of blocks belongs here; write one block of settings an item")
    blocks = []
    for block, at in zip(union, union.marks, strict=True):
        if not isinstance(block, Block):
            raise UserError(
                f"{at}: union: an item is a block of settings, not {shown(block)}; write `- {{key: value}}`"
            )
        for key in WHOLE:
            if key in block:
                raise UserError(f"{block.marks[key]}: union.{key}: belongs to the whole grid; move it out of the union")
        blocks.append(_lay(_read(block), below))
    return blocks


def _read(block: Block) -> Block:
    """The block with the draws of its settings read."""
    read = {key: value if key in WHOLE else read_draws(value, (key,)) for key, value in block.items()}
    return Block(block.mark, read, block.marks)


def _without(block: Block, *keys: str) -> Block:
    return Block(block.mark, {key: value for key, value in block.items() if key not in keys}, block.marks)


def _settings(block: Block) -> Block:
    return _without(block, "experiment", *WHOLE)


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
    components = _components(lower)
    if components is not None and "name" not in upper and all(isinstance(item, str | Block) for item in components):
        return _each(lower, lambda item: _lay_value(upper, item))
    if isinstance(lower, str):
        lower = Block(upper.mark, {"name": lower}, {"name": upper.mark})
    if isinstance(lower, Block) and upper.get("name", lower.get("name")) == lower.get("name", upper.get("name")):
        return _lay(upper, lower)
    return upper


def _components(node: Any) -> Items | None:
    """The items of a list, or of a draw that chooses."""
    items = node.get("choice") if isinstance(node, Draw) else node
    return items if isinstance(items, Items) else None


def _each(node: Any, change: Callable[[Any], Any]) -> Any:
    """The value, changed item by item if it is a list or a choice."""
    items = _components(node)
    if items is None:
        return change(node)
    changed = items.each(change)
    return Draw("choice", changed, node.mark) if isinstance(node, Draw) else changed


def _set(override: Block, block: Block) -> Block:
    from bench.training_settings import PER_OBJECTIVE

    def own(objective: Any) -> Any:
        wins = isinstance(objective, Block) and not objective.keys().isdisjoint(PER_OBJECTIVE)
        return _lay(override, objective) if wins else objective

    result = _lay(override, block)
    result.mark = block.mark
    if "objective" in result and override.keys() <= set(PER_OBJECTIVE):
        result["objective"] = _each(result["objective"], own)
    return result


def _override(text: str) -> Block:
    mark = f"--set {shown(text)}"
    match = _OVERRIDE.fullmatch(text)
    if not match or not match[2].strip():
        raise UserError(f"{mark}: not a setting; write key=value, as in --set evaluate.n=1000")
    *outer, last = match[1].split(".")
    first = (outer or [last])[0]
    if first == "union":
        raise UserError(f"{mark}: union: cannot be set from outside; set the settings in it")
    if first == "published":
        raise UserError(f"{mark}: published: cannot be set from outside; change it in the file")
    block = Block(mark, {last: yaml_file.parse_value(match[2], mark)}, {last: mark})
    for key in reversed(outer):
        block = Block(mark, {key: block}, {key: mark})
    return _read(block)


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
        if seed > LARGEST_SEED:
            raise UserError(f"{at}: seeds: {seed} is too large for the name of a run; write at most {LARGEST_SEED:,}")
    check_lists(seeds, ("seeds",))
    return tuple(seeds)


def _count_of_seeds(count: Any, place: str) -> tuple[int, ...]:
    if type(count) is not int or not 0 < count <= MOST_RUNS:
        raise UserError(f"{place}: {shown(repr(count))} is not a number of seeds; write one from 1 to {MOST_RUNS:,}")
    return tuple(range(count))


def _search(block: Block, parts: Sequence[Block], strict: bool) -> Search | None:
    """How often settings are drawn; if ``strict``, a search that draws nothing is an error."""
    found = next((found for part in parts for found in draws(part)), None)
    if "search" not in block:
        if found:
            path, draw = found
            words = "drawn at random; say how often: add `search: {settings: 128, seed: 0}`"
            raise UserError(f"{draw.mark}: {dotted(path)}: {words}")
        return None
    try:
        search = Search(**check_block([Search], block["search"], ("search",)))
    except SettingError as error:
        raise _refusal(block, error) from None
    if found is None and strict:
        words = "nothing is drawn; write a draw, as `lr: {log_uniform: [1.0e-5, 1.0e-2]}`, or remove it"
        raise UserError(f"{block.marks['search']}: search: {words}")
    return search if found else None


# Of cells


def _cells(
    parts: Sequence[tuple[Experiment, Block]], search: Search | None, strict: bool
) -> tuple[dict[str, Cell], dict[str, Named]]:
    """The cells by id, and those with draws as the file names them; if ``strict``, none may be named twice."""
    cells: dict[str, Cell] = {}
    drawn: dict[str, Named] = {}
    for experiment, settings in parts:
        for named in expand(settings, search):
            cell = _cell(experiment, named.values)
            if cell.id not in cells:
                cells[cell.id] = cell
                if named.index is not None:
                    drawn[cell.id] = named
            elif strict and named.origin == (drawn[cell.id].origin if cell.id in drawn else UNDRAWN):
                raise UserError(_twice(_first(parts, search, cell.id), named.point))
    return cells, drawn


def _first(parts: Sequence[tuple[Experiment, Block]], search: Search | None, cell_id: str) -> Block:
    """The point that named the cell first; it is found again, since to keep all points takes more than their cells."""
    return next(
        named.point
        for experiment, settings in parts
        for named in expand(settings, search)
        if _cell(experiment, named.values).id == cell_id
    )


def _cell(experiment: Experiment, point: Block) -> Cell:
    from bench.experiments import make_cell

    try:
        return make_cell(experiment, experiment.resolve(point))
    except SettingError as error:
        raise _refusal(point, error) from None


def _refusal(point: Block, error: SettingError) -> UserError:
    path = _deepest(point, error)
    return UserError(f"{_place(point, path)}: {dotted(path)}: {shown(error.message, 400)}")


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


def _twice(first: Block, second: Block) -> str:
    """Say which two spellings make one cell: two values where there are, or else one value at two places."""
    differences = [*_differences(first, second), ((), ("this", first.mark), ("this", second.mark))]
    path, old, new = max(differences, key=lambda found: found[1][0] != found[2][0])
    return f"{new[1]}: {dotted(path)}: {new[0]} gives the same cell as {old[0]} at {old[1]}; keep one"


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
