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
from bench.statistics import Estimate


@dataclass(frozen=True)
class Quoted:
    """A number from elsewhere, with all its digits, and its spread where one was given."""

    value: float
    spread: float | None = None


Entry = str | int | float | Estimate | Quoted | None
HUGE = 1e7
"""From here on a number is written with an exponent."""
ARROWS = {"up": "\u2191", "down": "\u2193", "floor": "=", "none": ""}
_LATEX_ARROWS = {"up": r"$\uparrow$", "down": r"$\downarrow$", "floor": "$=$", "none": ""}


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


@dataclass(frozen=True)
class Shown:
    """An entry as a person reads it."""

    value: str
    interval: str = ""
    """Or a spread."""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Headings, parts and a caption; ``name`` is the files' stem."""

    name: str
    caption: str
    headings: tuple[Heading, ...]
    parts: tuple[Part, ...]
    title: str = "Results"
    """Of its section of the page."""

    def read(self) -> Table:
        """Without the columns that only the CSV has."""
        kept = [index for index, heading in enumerate(self.headings) if not heading.csv_only]

        def cut(row: Row) -> Row:
            return replace(row, entries=tuple(row.entries[index] for index in kept))

        parts = tuple(Part(part.title, tuple(map(cut, part.rows))) for part in self.parts)
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
        writers = [_writer(heading, entries[scale]) for heading, scale in zip(self.headings, scales, strict=True)]
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


def _writer(heading: Heading, entries: Sequence[Entry]) -> Callable[[float], str]:
    """How a column's numbers are written."""
    if heading.digits:
        return lambda value: _number(value, _places(value, heading.digits))
    decimals = _decimals(entries)
    return lambda value: _number(value, decimals)


def _places(value: float, digits: int) -> int:
    """As many decimals as show so many digits of the value."""
    rounded = float(f"{value:.{digits}g}")
    return max(0, digits - 1 - math.floor(math.log10(abs(rounded)))) if rounded and math.isfinite(rounded) else 0


def _decimals(entries: Sequence[Entry]) -> int:
    """As many decimals as show two digits of the middle interval's half width, or of the middle number; at most 4."""
    sizes = [(e.high - e.low) / 2 for e in entries if isinstance(e, Estimate) and e.high > e.low]
    sizes = sizes or [abs(e) for e in entries if isinstance(e, float) and math.isfinite(e) and e]
    sizes = sizes or [
        abs(e.value) / 10 for e in entries if isinstance(e, Estimate) and math.isfinite(e.value) and e.value
    ]
    return min(4, max(0, 1 - math.floor(math.log10(statistics.median(sizes))))) if sizes else 0


def _show(entry: Entry, write: Callable[[float], str], best: bool) -> Shown:
    if entry is None:
        return Shown("")
    if isinstance(entry, str):
        return Shown(entry)
    if isinstance(entry, Estimate):
        low, high = write(entry.low), write(entry.high)
        interval = f"[{low}, {high}]" if math.isfinite(entry.low) else ""
        # A mean of values that cancel is 0 but for rounding.
        value = 0.0 if abs(entry.value) < 1e-12 * max(abs(entry.low), abs(entry.high)) else entry.value
        return Shown(write(value), interval, best)
    if isinstance(entry, Quoted):
        return Shown(f"{entry.value:,}", "" if entry.spread is None else f"\u00b1 {entry.spread:,}")
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
    heads = [" ".join(filter(None, (_markdown(h.label), ARROWS[h.direction]))) for h in table.headings]
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
        blocks.append(f"**{_markdown(part.title)}**\n\n{text}\n")
    return "\n".join([*blocks, f"{_markdown(table.caption)}\n"])


def _padded(line: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> list[str]:
    return [t.ljust(width) if first else t.rjust(width) for t, width, first in zip(line, widths, left, strict=True)]


def _markdown_entry(entry: Shown) -> str:
    value = _markdown(entry.value)
    return f"{f'**{value}**' if entry.best else value} {entry.interval}".strip()


def _markdown(text: str) -> str:
    text = re.sub(r"([\\`*\[\]<>|~#$&!])", r"\\\1", printable(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "-": r"-{}", "\u2013": "--", "\u00b1": r"$\pm$",
}  # fmt: skip


def _latex(text: str) -> str:
    text = "".join(c if c.isascii() or c in _LATEX else c.encode("unicode_escape").decode() for c in printable(text))
    return "".join(_LATEX.get(c, c) for c in text)


def latex(table: Table) -> str:
    """A floating table for booktabs; intervals stand under values and words wrap, to fit a page 16 cm wide."""
    table = table.read()
    sides = ["l" if i == 0 or h.words else "r" for i, h in enumerate(table.headings)]
    columns = "".join(sides)
    heads = " & ".join(_latex_heading(h, side) for h, side in zip(table.headings, sides, strict=True))
    lines = []
    for part, rows in table.shown():
        lines += [
            r"\midrule",
            rf"\multicolumn{{{len(table.headings)}}}{{l}}{{\textit{{{_latex(part.title)}}}}} \\[2pt]",
        ]
        for row, entries in rows:
            values = [rf"\textbf{{{_latex(e.value)}}}" if e.best else _latex(e.value) for e in entries]
            if row.aside:
                values[0] = rf"\textit{{{values[0]}}}"
            values = [_latex_words(v) if h.words else v for v, h in zip(values, table.headings, strict=True)]
            lines.append(" & ".join(values) + r" \\")
            if any(entry.interval for entry in entries):
                lines.append(" & ".join(_latex_below(e.interval) for e in entries) + r" \\[2pt]")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering",
            r"\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{_latex(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{1.4pt}",
            rf"\begin{{tabular*}}{{\textwidth}}{{@{{\extracolsep{{\fill}}}}{columns}@{{}}}}",
            r"\toprule",
            heads + r" \\",
            *lines,
            r"\bottomrule",
            r"\end{tabular*}",
            r"\end{table*}",
            "",
        ]
    )


def _latex_heading(heading: Heading, side: str) -> str:
    lines = [""]
    for word in heading.label.split():
        if lines[-1] and len(f"{lines[-1]} {word}") > 10:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    texts = [_latex(line) for line in lines]
    if heading.direction != "none":
        texts[-1] += f" {_LATEX_ARROWS[heading.direction]}"
    return rf"\shortstack[{side}]{{{(chr(92) * 2).join(texts)}}}"


def _latex_below(text: str) -> str:
    return rf"{{\tiny {_latex(text)}}}" if text else ""


def _latex_words(text: str) -> str:
    text = text.replace("=", r"=\allowbreak{}")
    return rf"\parbox[t]{{3.6cm}}{{\raggedright\hangindent=1em {text}}}" if text else ""


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
    writer.writerow([_cell(key) for key in ("part", *head)])
    for part in table.parts:
        for row in part.rows:
            line: list[str | int | float] = [_cell(part.title)]
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
    return {end: _cell(part) if isinstance(part, str) else part for end, part in told.items() if part is not None}


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") else text
