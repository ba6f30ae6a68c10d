"""Tables as data, and how each format writes them.

Every text is escaped; numbers share their decimals in a column of a part.
"""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from bench.records import printable
from bench.report.latex import latex as latex
from bench.statistics import Estimate


@dataclass(frozen=True)
class Quoted:
    """A number from elsewhere, with all its digits, and its spread where one was given."""

    value: float
    spread: float | None = None


Entry = str | int | float | Estimate | Quoted | None
HUGE = 1e7
TINY = 1e-4
"""From the one on, and below the other where digits count, a number is written with an exponent."""
ARROWS = {"up": "\u2191", "down": "\u2193", "floor": "=", "none": ""}


@dataclass(frozen=True)
class Heading:
    """A column: its name in CSV, its label, and where better is."""

    key: str
    label: str
    direction: Literal["up", "down", "floor", "none"] = "none"
    words: bool = False
    """Whether it holds text, which may take several lines."""
    scale: str = ""
    """Columns of one scale share their decimals; empty for a column of its own."""
    digits: int = 0
    """Significant digits that each number has, whatever the others have; 0 where a column shares its decimals."""
    csv_only: bool = False
    """Whether a person who reads the table does without it."""


@dataclass(frozen=True)
class Row:
    """A line of a table: an entry a heading; the best entries are named by their keys."""

    entries: tuple[Entry, ...]
    best: frozenset[str] = frozenset()
    aside: bool = False
    """Something to read the others against, not one of them."""


@dataclass(frozen=True)
class Part:
    """Rows that are compared with each other."""

    title: str
    rows: tuple[Row, ...]
    key: str = ""
    """The title in as few words as tell it from the others; empty where it is short itself."""


@dataclass(frozen=True)
class Shown:
    """An entry as a person reads it."""

    value: str
    interval: str = ""
    """Or a spread."""
    best: bool = False
    bounds: tuple[str, ...] = ()
    """The numbers of the interval, or the spread."""


@dataclass(frozen=True)
class Table:
    """Headings, parts and a caption; ``name`` is the files' stem."""

    name: str
    caption: str
    headings: tuple[Heading, ...]
    parts: tuple[Part, ...]
    title: str = "Results"
    """Of its section of the page."""
    digits: int | None = None
    """How many digits of the middle interval's half width a column shows, or of each of its numbers where it has digits
    of its own; None for two, and for its own."""

    def read(self) -> Table:
        """Without the columns that only the CSV has."""
        kept = [index for index, heading in enumerate(self.headings) if not heading.csv_only]

        def cut(row: Row) -> Row:
            return replace(row, entries=tuple(row.entries[index] for index in kept))

        parts = tuple(replace(part, rows=tuple(map(cut, part.rows))) for part in self.parts)
        return replace(self, headings=tuple(self.headings[index] for index in kept), parts=parts)

    def shown(self) -> list[tuple[Part, list[tuple[Row, list[Shown]]]]]:
        """Every entry as text, part by part and row by row."""
        return [(part, self._rows(part)) for part in self.parts]

    def _rows(self, part: Part) -> list[tuple[Row, list[Shown]]]:
        scales = [heading.scale or heading.key for heading in self.headings]
        entries: dict[str, list[Entry]] = {scale: [] for scale in scales}
        for row in part.rows:
            for scale, entry in zip(scales, row.entries, strict=True):
                entries[scale].append(entry)
        writers = [
            _writer(heading, entries[scale], self.digits) for heading, scale in zip(self.headings, scales, strict=True)
        ]
        return [
            (
                row,
                [
                    _show(entry, write, heading.key in row.best)
                    for entry, write, heading in zip(row.entries, writers, self.headings, strict=True)
                ],
            )
            for row in part.rows
        ]


def _writer(heading: Heading, entries: Sequence[Entry], digits: int | None) -> Callable[[float], str]:
    """How a column's numbers are written."""
    if heading.digits:
        own = digits or heading.digits
        return lambda value: _significant(value, own)
    decimals = _decimals(entries, digits or 2)
    return lambda value: _number(value, decimals)


def _significant(value: float, digits: int) -> str:
    """So many digits, whatever the size."""
    if value and abs(value) < TINY:
        return f"{value:.{digits - 1}e}"
    return _number(value, _places(value, digits))


def _places(value: float, digits: int) -> int:
    """As many decimals as show so many digits of the value."""
    rounded = float(f"{value:.{digits}g}")
    return max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded and math.isfinite(rounded) else 0


def _decimals(entries: Sequence[Entry], digits: int) -> int:
    """As many decimals as show so many digits of the middle interval's half width, or of the middle number.

    At most two more than there are digits.
    """
    sizes = [(e.high - e.low) / 2 for e in entries if isinstance(e, Estimate) and e.high > e.low]
    sizes = sizes or [abs(e) for e in entries if isinstance(e, float) and math.isfinite(e) and e]
    sizes = sizes or [
        abs(e.value) / 10 for e in entries if isinstance(e, Estimate) and math.isfinite(e.value) and e.value
    ]
    return min(digits + 2, max(0, digits - 1 - math.floor(math.log10(statistics.median(sizes))))) if sizes else 0


def _show(entry: Entry, write: Callable[[float], str], best: bool) -> Shown:
    if entry is None:
        return Shown("")
    if isinstance(entry, str):
        return Shown(entry)
    if isinstance(entry, Estimate):
        low, high = write(entry.low), write(entry.high)
        bounds = (low, high) if math.isfinite(entry.low) else ()
        # A mean of values that cancel is 0 but for rounding.
        value = 0.0 if abs(entry.value) < 1e-12 * max(abs(entry.low), abs(entry.high)) else entry.value
        return Shown(write(value), f"[{low}, {high}]" if bounds else "", best, bounds)
    if isinstance(entry, Quoted):
        spread = () if entry.spread is None else (f"{entry.spread:,}",)
        return Shown(f"{entry.value:,}", "".join(f"\u00b1 {one}" for one in spread), bounds=spread)
    return Shown(f"{entry:,}" if isinstance(entry, int) else write(entry), best=best)


def _number(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return "\u2013" if math.isnan(value) else str(value)
    if abs(value) >= HUGE:
        return f"{value:.2e}"
    text = f"{value:,.{decimals}f}"
    return f"{value:.1g}" if value and not text.strip("-0.,") else text


def markdown(table: Table) -> str:
    """The parts as GitHub's tables with padded columns, then the caption."""
    table = table.read()
    heads = [" ".join(filter(None, (escaped(h.label), ARROWS[h.direction]))) for h in table.headings]
    blocks = []
    for part, rows in table.shown():
        lines = [[_markdown_entry(entry) for entry in entries] for _, entries in rows]
        for line, (row, _) in zip(lines, rows, strict=True):
            line[0] = f"*{line[0]}*" if row.aside else line[0]
        widths = [max(3, len(head), *(len(line[i]) for line in lines)) for i, head in enumerate(heads)]
        left = [i == 0 or h.words for i, h in enumerate(table.headings)]
        rule = ["-" * width if words else f"{'-' * (width - 1)}:" for width, words in zip(widths, left, strict=True)]
        body = [_padded(heads, widths, left), rule, *(_padded(line, widths, left) for line in lines)]
        text = "\n".join(f"| {' | '.join(line)} |" for line in body)
        blocks.append(f"**{escaped(part.title)}**\n\n{text}\n")
    return "\n".join([*blocks, f"{escaped(table.caption)}\n"])


def _padded(line: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> list[str]:
    return [t.ljust(width) if first else t.rjust(width) for t, width, first in zip(line, widths, left, strict=True)]


def _markdown_entry(entry: Shown) -> str:
    value = escaped(entry.value)
    return f"{f'**{value}**' if entry.best else value} {entry.interval}".strip()


def escaped(text: str) -> str:
    """Text that Markdown shows as it is."""
    text = re.sub(r"([\\`*\[\]<>|~#$&!])", r"\\\1", printable(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


def csv_text(table: Table) -> str:
    """A row a line with full precision.

    An estimate is four columns, its value, ``_low``, ``_high`` and ``_n``; a column where a spread was given has it as
    ``_spread``.
    """
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    rows = [row for part in table.parts for row in part.rows]
    ends = [_ends([row.entries[index] for row in rows]) for index in range(len(table.headings))]
    head = [f"{h.key}{end}" for h, own in zip(table.headings, ends, strict=True) for end in ("", *own)]
    writer.writerow([safe_cell(key) for key in ("part", *head)])
    for part in table.parts:
        for row in part.rows:
            line: list[str | int | float] = [safe_cell(part.title)]
            for entry, own in zip(row.entries, ends, strict=True):
                told = _parts(entry)
                line += [told.get(end, "") for end in ("", *own)]
            writer.writerow(line)
    return sink.getvalue()


def _ends(entries: Sequence[Entry]) -> tuple[str, ...]:
    """What the further columns of a heading end in."""
    wide = any(isinstance(entry, Estimate) for entry in entries)
    spread = any(isinstance(entry, Quoted) and entry.spread is not None for entry in entries)
    return (*(("_low", "_high", "_n") if wide else ()), *(("_spread",) if spread else ()))


def _parts(entry: Entry) -> dict[str, str | int | float]:
    """An entry's values by the ends of the columns that they stand in."""
    if isinstance(entry, Estimate):
        return {"": entry.value, "_low": entry.low, "_high": entry.high, "_n": entry.n}
    spread = entry.spread if isinstance(entry, Quoted) else None
    told = {"": entry.value if isinstance(entry, Quoted) else entry, "_spread": spread}
    return {end: safe_cell(part) if isinstance(part, str) else part for end, part in told.items() if part is not None}


def safe_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") else text
