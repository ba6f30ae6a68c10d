"""Lists that multiply: the points of a block of settings, counted and checked before they are walked."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import UserError
from bench.search import Draw, Search, draws, ends
from bench.settings import Path
from bench.yaml_file import Block, Items, shown

MOST_RUNS = 1_000_000


def check_lists(node: Any, path: Path = ()) -> None:
    """Refuse lists that are empty or say something twice."""
    if isinstance(node, Block):
        for key, value in node.items():
            if isinstance(value, Items) and not value:
                raise UserError(
                    f"{node.marks[key]}: {dotted((*path, key))}: an empty list; give it a value or remove it"
                )
            check_lists(value, (*path, key))
    elif isinstance(node, Items):
        places: dict[str, str] = {}
        for item, mark in zip(node, node.marks, strict=True):
            content = json.dumps(item, sort_keys=True)
            if content in places:
                first = f", first at {places[content]}" if places[content] != mark else ""
                raise UserError(f"{mark}: {dotted(path)}: {shown(repr(item))} is written twice{first}; keep one")
            places[content] = mark
            if isinstance(item, Block):
                check_lists(item, path)
    elif isinstance(node, Draw):
        check_lists(node.get("choice"), path)


def check_size(parts: Sequence[Block], seeds: int, search: Search | None, whole: Block) -> int:
    """The number of cells; ``UserError`` where they are more than ``MOST_RUNS`` with their seeds."""
    drawn = search.settings if search else 1
    undrawn = sum(_size(part, 0) for part in parts)
    cells = undrawn + drawn * (sum(map(_size, parts)) - undrawn)
    if cells * seeds > MOST_RUNS:
        lists = [found for part in parts for found in _lists(part)]
        remedy = "shorten the lists, of which this is the longest ({:,})"
        if search and drawn > max((length for _, _, length in lists), default=0):
            lists, remedy = [(("search",), whole.marks["search"], drawn)], "draw fewer settings than {:,}"
        path, mark, length = max(lists, key=lambda found: found[2])
        raise UserError(
            f"{mark}: {dotted(path)}: {_number(cells)} cells x {seeds:,} seeds are more than {MOST_RUNS:,} runs; "
            f"{remedy.format(length)}"
        )
    return cells


def _number(count: int) -> str:
    return f"{count:,}" if count < 10**15 else f"over 10^{len(str(count)) - 1}"


def _lists(block: Block, path: Path = ()) -> Iterator[tuple[Path, str, int]]:
    """Path, place and length of every list that multiplies."""
    for key, value in block.items():
        here = (*path, key)
        if isinstance(value, Items):
            yield here, block.marks[key], len(value)
        for inner in value if isinstance(value, Items) else [value]:
            if isinstance(inner, Block):
                yield from _lists(inner, here)


def _size(node: Any, draw: int = 1) -> int:
    """How many values a node stands for, where a draw counts as so many."""
    if isinstance(node, Items):
        return sum(1 if isinstance(item, Items) else _size(item, draw) for item in node)
    if isinstance(node, Block):
        return math.prod(_size(value, draw) for value in node.values())
    return draw if isinstance(node, Draw) else 1


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
    axes = dict(zip(block, _axes(block), strict=True))
    lists = {key: axis for key, axis in axes.items() if len(axis) != 1}
    alike = _point(block, [axis[0] for axis in axes.values()])  # what is no list is the same at every point
    for chosen in itertools.product(*lists.values()):
        point = Block(block.mark, alike, dict(alike.marks))
        for key, (value, mark) in zip(lists, chosen, strict=True):
            point[key] = value
            point.marks[key] = mark
        yield point


def samples(block: Block) -> Iterator[Block]:
    """Points of the product that show every value of every key, of a draw its ends: as many as the longest axis has."""
    axes = [[(end, mark) for value, mark in axis for end in ends(value)] for axis in _axes(block)]
    for index in range(max(map(len, axes), default=1)):
        yield _point(block, [axis[index % len(axis)] for axis in axes])


@dataclass(frozen=True, slots=True)
class Named:
    """The settings of a cell as the file names them: a point of the product and, if it has draws, their index."""

    point: Block
    values: Block
    """The point with every draw replaced by its value."""
    index: int | None
    draws: tuple[Any, ...]

    @property
    def origin(self) -> tuple[Any, ...]:
        """Equal for two points that differ at most in what is not drawn."""
        return self.index, self.draws


UNDRAWN = (None, ())
"""The origin of points without draws."""


def expand(block: Block, search: Search | None) -> Iterator[Named]:
    """Every cell of the product, the draws of a point in turn."""
    for point in _product(block):
        found = tuple(draws(point)) if search else ()
        if search and found:
            for index in range(search.settings):
                yield Named(point, search.fill(point, index), index, found)
        else:
            yield Named(point, point, None, ())


def dotted(path: Path) -> str:
    """A setting's path as a person writes it."""
    return ".".join(map(str, path)) or "settings"
