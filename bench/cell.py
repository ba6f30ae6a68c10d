"""Cells, runs and units of work: frozen data with ids that hash their content, never their position."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from typing import Any

SCHEMA_VERSION = 1
"""Of the rows and of what is hashed into an id; it rises when the meaning of either changes."""

Settings = Mapping[str, Any]
"""Resolved settings: nested mappings of plain values with every default filled in."""


class Shared(dict[str, Any]):
    """A block of resolved settings that many cells have in common; nobody changes it, so its text is made once."""

    __slots__ = ("text",)

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.text = _encode(self)
        """See ``canonical``."""

    def __repr__(self) -> str:
        return self.text


def canonical(content: object) -> str:
    """JSON with sorted keys and no spaces: equal content, equal text."""
    if type(content) is Shared:
        return content.text
    if type(content) is dict and Shared in map(type, content.values()):
        return _join(content)
    return _encode(content)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def _join(settings: dict[str, Any]) -> str:
    """What json would write, put together from the texts that there are: a quarter of the time, and grids are large."""
    order, template = _layout(tuple(settings))
    return template % tuple([
        value.text if type(value) is Shared else value if type(value) is int else _text(value)
        for value in map(settings.__getitem__, order)
    ])  # fmt: skip


@lru_cache(maxsize=1024)
def _layout(keys: tuple[str, ...]) -> tuple[list[str], str]:
    """The keys in order, and their JSON with a place for the text of each value."""
    order = sorted(keys)
    words = [_encode(key).replace("%", "%%") for key in order]
    return order, f"{{{','.join(f'{word}:%s' for word in words)}}}"


def _text(value: Any) -> str:
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return _word(value)
    return repr(value) if kind is float and math.isfinite(value) else canonical(value)


@lru_cache(maxsize=1024, typed=True)
def _word(word: str | bool | None) -> str:
    return _encode(word)


def digest(content: object, length: int = 10) -> str:
    """The first hexadecimal digits of the SHA-256 of the canonical text."""
    return _hash(canonical(content), length)


def _hash(text: str, length: int = 10) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@cache
def source_digest(module: str) -> str:
    """Hash of a module's code without its docstrings and comments, so that a better sentence changes no id."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [part for part in body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return digest(ast.unparse(tree))


def flatten(settings: Settings, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted columns: ``{"dataset": {"name": "ring", "modes": 8}}`` gives ``dataset = ring, dataset.modes = 8``."""
    for key, value in settings.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            if "name" in value:
                yield path, value["name"]
            yield from flatten({k: v for k, v in value.items() if k != "name"}, f"{path}.")
        else:
            yield path, value


@dataclass(frozen=True)
class Cell:
    """One point of a grid, without a seed.

    ``sources`` holds what else decides the result: hashes of the plug-ins' code and the versions of the metrics.
    """

    experiment: str
    settings: Settings
    sources: Settings
    label: str
    """The readable part of the id."""

    @cached_property
    def id(self) -> str:
        """A slug and a hash of the resolved content."""
        content = f"{SCHEMA_VERSION},{_word(self.experiment)},{canonical(self.settings)},{canonical(self.sources)}"
        return f"{_slug(self.label)}-{_hash(f'[{content}]')}"


@lru_cache(maxsize=1024)
def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", label.lower()).strip("-")[:40]


@dataclass(frozen=True, slots=True)
class Run:
    """A cell with a seed: on the device, one replica."""

    cell: Cell
    seed: int

    @property
    def id(self) -> str:
        """The cell's id and the seed; also the name of the record."""
        return f"{self.cell.id}-s{self.seed}"


@dataclass(frozen=True)
class Unit:
    """A chunk of a group: runs that train at once in one process, and are lost or won together."""

    runs: tuple[Run, ...]

    @cached_property
    def id(self) -> str:
        """A slug and a hash of the runs' ids, in order."""
        first = self.runs[0].cell.id.rsplit("-", 1)[0]
        return f"{first}-{digest([run.id for run in self.runs])}"

    @property
    def experiment(self) -> str:
        """The name of the experiment that all runs share."""
        return self.runs[0].cell.experiment


def cut(
    runs: Sequence[Run], group_key: Callable[[Cell], str], largest: Callable[[Cell], int], at_least: int
) -> list[Unit]:
    """Cut runs into units of one group each, of at most as many replicas as ``largest`` says of a cell of the group.

    Units are halved, the largest first, until there are ``at_least`` of them (one a process) or none can be halved.
    The result depends on the runs and the two numbers alone.
    """
    groups: dict[str, list[Run]] = {}
    group_of: dict[str, list[Run]] = {}
    for run in runs:
        cell = run.cell
        if cell.id not in group_of:
            group_of[cell.id] = groups.setdefault(group_key(cell), [])
        group_of[cell.id].append(run)
    ordered = [sorted(groups[key], key=lambda run: (run.cell.id, run.seed)) for key in sorted(groups)]
    parts = [part for group in ordered for part in _even(group, -(-len(group) // largest(group[0].cell)))]
    while len(parts) < at_least and max(map(len, parts), default=0) > 1:
        widest = max(range(len(parts)), key=lambda index: len(parts[index]))
        parts[widest : widest + 1] = _even(parts[widest], 2)
    return [Unit(tuple(part)) for part in parts]


def _even(items: Sequence[Run], parts: int) -> Iterable[list[Run]]:
    edges = [round(index * len(items) / parts) for index in range(parts + 1)]
    return [list(items[a:b]) for a, b in pairwise(edges)]
