"""Results folders that are compared: each under a short name, with what made it, and which runs two of them share."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, count
from pathlib import Path
from typing import Any

from bench import records
from bench.errors import UserError
from bench.records import printable
from bench.report import agreement
from bench.report.agreement import Agreement
from bench.report.view import View, read

CODE = ("git_commit", "git_dirty", "bench_version", "torch_version", "device")
"""Columns in which folders must agree to be compared without being told to."""
MOST_VALUES = 6
"""Of a setting that a table tells."""


@dataclass(frozen=True, eq=False)
class Side:
    """A results folder under the name that tables call it by."""

    name: str
    view: View

    @cached_property
    def runs(self) -> frozenset[str]:
        """Ids of the runs with a record."""
        return frozenset(self.view.rows["run_id"].unique()) if len(self.view.rows) else frozenset()

    @property
    def errors(self) -> list[records.RecordError]:
        """Files that cannot be used. A folder without a manifest is one of its records alone."""
        path = self.view.folder / records.MANIFEST
        return [error for error in self.view.errors if error.path != path or path.exists()]

    def values(self, column: str) -> list[str]:
        """What its records have in the column, or its manifest where it has no records."""
        told = self.view.manifest
        if column in self.view.rows:
            found = self.view.rows[column].dropna().unique().tolist()
        else:
            found = [versions(told).get("torch") if column == "torch_version" else told.get(column)]
        return sorted(_short(value) for value in found if value is not None)


def read_sides(folders: Sequence[Path]) -> list[Side]:
    """The folders, each under its last name, or under as many of the last parts of its path as tell it from the others.

    Raises:
        UserError: there are fewer than two, one is named twice, or one has nothing that can be read.
    """
    if len(folders) < 2:
        raise UserError("compare takes two results folders or more")
    for folder in folders:
        if not (folder / records.RUNS).is_dir() and not (folder / records.MANIFEST).is_file():
            raise records.RecordError(folder, f"no results here: neither {records.RUNS}/ nor {records.MANIFEST}")
    places = [folder.resolve() for folder in folders]
    if len(set(places)) < len(places):
        raise UserError(f"{next(f for f, p in zip(folders, places, strict=True) if places.count(p) > 1)}: named twice")
    parts = next(n for n in count(1) if len({place.parts[-n:] for place in places}) == len(places))
    sides = [
        Side(printable("/".join(place.parts[-parts:])), read(folder))
        for place, folder in zip(places, folders, strict=True)
    ]
    for side in sides:
        if not side.runs and side.errors:
            raise side.errors[0]
    return sides


def refuse_mixing(sides: Sequence[Side]) -> None:
    """Refuse folders that were made by different code, versions of torch or kinds of device.

    Files that were not as committed are different code even where the commit is the same: nobody can tell.

    Raises:
        UserError: in one line, which folder was made by what, and the remedy.
    """
    told = []
    for column in CODE:
        found = {side.name: side.values(column) for side in sides}
        values = {value for own in found.values() for value in own}
        if len(values) > 1 or (column == "git_dirty" and values == {"True"}):
            told.append(f"{column} " + ", ".join(f"{'+'.join(own) or '-'} in {name}" for name, own in found.items()))
    if told:
        raise UserError(
            f"different code: {'; '.join(told)}; do one of them again with what made the other, or add --mix"
        )


@dataclass(frozen=True, eq=False)
class Pair:
    """Two folders, and whether the runs that both have are the same."""

    first: Side
    second: Side
    agreed: Agreement

    @property
    def name(self) -> str:
        """Of its parts of tables."""
        return f"{self.first.name} and {self.second.name}"


def pairs_of(sides: Sequence[Side]) -> list[Pair]:
    """Each folder with every later one: two that the first has nothing in common with may still differ."""
    return [Pair(a, b, agreement.compare(a.view.rows, b.view.rows)) for a, b in combinations(sides, 2)]


def versions(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Of Python and packages, as a manifest tells them."""
    return dict(manifest.get("versions") or {})


def as_text(value: Any) -> str:
    """A value as settings and manifests are told."""
    return value if isinstance(value, str) else str(value) if isinstance(value, bool) else json.dumps(value)


def listed(values: Sequence[str]) -> str:
    """Of the values, as many as a person reads."""
    more = f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else ""
    return ", ".join(values[:MOST_VALUES]) + more


def _short(value: Any) -> str:
    text = printable(as_text(value))
    return text[:10] if len(text) == 40 and not text.strip("0123456789abcdef") else text
