"""Numbers that a grid file quotes from elsewhere, as rows beside the cells that they are of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.report.tables import Entry, Quoted, Row
from bench.report.view import CellView, View


class Published:
    """The manifest's quoted numbers of some columns for some cells: each source has a number, in the file's order."""

    def __init__(self, view: View, cells: Iterable[CellView], columns: Iterable[str]) -> None:
        wanted = set(columns)
        entries = [entry for entry in view.manifest.get("published") or () if wanted & entry["values"].keys()]
        self._of = {cell.id: [entry for entry in entries if matches(entry["where"], cell)] for cell in cells}
        shown = {entry["source"] for found in self._of.values() for entry in found}
        sources = dict.fromkeys(entry["source"] for entry in entries if entry["source"] in shown)
        self._marks = {source: f"({number})" for number, source in enumerate(sources, 1)}
        self._idle = sum(not any(entry in found for found in self._of.values()) for entry in entries)

    def rows(self, cell: CellView, names: Sequence[str], before: int, after: int) -> list[Row]:
        """A row for each entry on the cell, with as many empty entries before and after those of the named columns."""

        def row(entry: Mapping[str, Any]) -> Row:
            values: list[Entry] = [
                Quoted(*entry["values"][name]) if name in entry["values"] else None for name in names
            ]
            return Row(
                (f"published {self._marks[entry['source']]}", *[None] * before, *values, *[None] * after), aside=True
            )

        return [row(entry) for entry in self._of[cell.id]]

    @property
    def caption(self) -> str:
        """Where the numbers are from."""
        told = "; ".join(f"{mark} {source.rstrip('.')}" for source, mark in self._marks.items())
        words = [f"Published: {told}. Their protocols differ from this one as the grid file states."] if told else []
        words += [f"Published numbers that are of no cell here: {self._idle}."] if self._idle else []
        return " ".join(words)


def matches(where: Mapping[str, Any], cell: CellView) -> bool:
    """Whether the cell has all of these settings; numbers are equal as numbers, whatever their type."""
    return all(key in cell.settings and _equal(value, cell.settings[key]) for key, value in where.items())


def _equal(a: object, b: object) -> bool:
    return isinstance(a, bool) == isinstance(b, bool) and a == b
