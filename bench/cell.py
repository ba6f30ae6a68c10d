"""Cells, runs and units of work: frozen data with ids that hash their content, never their position."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby, pairwise
from typing import Any

SCHEMA_VERSION = 1
"""Of the rows and of what is hashed into an id; it rises when the meaning of either changes."""

Settings = Mapping[str, Any]
"""Resolved settings: nested mappings of plain values with every default filled in."""


def canonical(content: object) -> str:
    """JSON with sorted keys and no spaces: equal content, equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(content: object, length: int = 10) -> str:
    """The first hexadecimal digits of the SHA-256 of the canonical text."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:length]


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
        slug = re.sub(r"[^a-z0-9_]+", "-", self.label.lower()).strip("-")[:40]
        return f"{slug}-{digest([SCHEMA_VERSION, self.experiment, self.settings, self.sources])}"


@dataclass(frozen=True)
class Run:
    """A cell with a seed: on the device, one replica."""

    cell: Cell
    seed: int

    @cached_property
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


def cut(runs: Sequence[Run], group_key: Callable[[Cell], str], largest: int, at_least: int) -> list[Unit]:
    """Cut runs into units of at most ``largest`` replicas of one group each.

    Units are halved, the largest first, until there are ``at_least`` of them (one a process) or none can be halved.
    The result depends on the runs and the two numbers alone.
    """
    keys = {cell.id: group_key(cell) for cell in {run.cell.id: run.cell for run in runs}.values()}
    ordered = sorted(runs, key=lambda run: (keys[run.cell.id], run.cell.id, run.seed))
    groups = [list(members) for _, members in groupby(ordered, key=lambda run: keys[run.cell.id])]
    parts = [part for group in groups for part in _even(group, -(-len(group) // largest))]
    while len(parts) < at_least and max(map(len, parts), default=0) > 1:
        widest = max(range(len(parts)), key=lambda index: len(parts[index]))
        parts[widest : widest + 1] = _even(parts[widest], 2)
    return [Unit(tuple(part)) for part in parts]


def _even(items: Sequence[Run], parts: int) -> Iterable[list[Run]]:
    edges = [round(index * len(items) / parts) for index in range(parts + 1)]
    return [list(items[a:b]) for a, b in pairwise(edges)]
