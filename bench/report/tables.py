"""Tables as data, and how each format writes them. Every text is escaped; numbers share their decimals in a column."""

from __future__ import annotations

import csv
import io
import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bench.records import printable
from bench.statistics import Estimate

Entry = str | int | float | Estimate | None
ARROWS = {"up": "\u2191", "down": "\u2193", "none": ""}
_LATEX_ARROWS = {"up": r"$\uparrow$", "down": r"$\downarrow$", "none": ""}


@dataclass(frozen=True)
class Heading:
    """A column: its name in CSV, its label, and where better is."""

    key: str
    label: str
    direction: Literal["up", "down", "none"] = "none"


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
    best: bool = False


@dataclass(frozen=True)
class Table:
    """Headings, parts and a caption; ``name`` is the files' stem."""

    name: str
    caption: str
    headings: tuple[Heading, ...]
    parts: tuple[Part, ...]

    def shown(self) -> list[tuple[Part, list[tuple[Row, list[Shown]]]]]:
        """Every entry as text, part by part and row by row."""
        rows = [row for part in self.parts for row in part.rows]
        places = [_decimals(row.entries[index] for row in rows) for index in range(len(self.headings))]

        def show(row: Row) -> list[Shown]:
            return [
                _show(entry, decimals, heading.key in row.best)
                for entry, decimals, heading in zip(row.entries, places, self.headings, strict=True)
            ]

        return [(part, [(row, show(row)) for row in part.rows]) for part in self.parts]


def _decimals(entries: Iterable[Entry]) -> int:
    """As many decimals as show two digits of the middle interval's half width, or of the middle number; at most 4."""
    entries = list(entries)
    sizes = [(e.high - e.low) / 2 for e in entries if isinstance(e, Estimate) and e.high > e.low]
    sizes = sizes or [abs(e) for e in entries if isinstance(e, float) and math.isfinite(e) and e]
    sizes = sizes or [
        abs(e.value) / 10 for e in entries if isinstance(e, Estimate) and math.isfinite(e.value) and e.value
    ]
    return min(4, max(0, 1 - math.floor(math.log10(statistics.median(sizes))))) if sizes else 0


def _show(entry: Entry, decimals: int, best: bool) -> Shown:
    if entry is None:
        return Shown("")
    if isinstance(entry, str):
        return Shown(entry)
    if isinstance(entry, Estimate):
        low, high = _number(entry.low, decimals), _number(entry.high, decimals)
        interval = f"[{low}, {high}]" if math.isfinite(entry.low) else ""
        return Shown(_number(entry.value, decimals), interval, best)
    return Shown(f"{entry:,}" if isinstance(entry, int) else _number(entry, decimals))


def _number(value: float, decimals: int) -> str:
    if not math.isfinite(value):
        return "\u2013" if math.isnan(value) else str(value)
    text = f"{value:,.{decimals}f}"
    return f"{value:.1g}" if value and not text.strip("-0.,") else text


def markdown(table: Table) -> str:
    """The parts as GitHub's tables with padded columns, then the caption."""
    heads = [" ".join(filter(None, (_markdown(h.label), ARROWS[h.direction]))) for h in table.headings]
    blocks = []
    for part, rows in table.shown():
        lines = [[_markdown_entry(entry, row) for entry in entries] for row, entries in rows]
        widths = [max(3, len(head), *(len(line[i]) for line in lines)) for i, head in enumerate(heads)]
        rule = [f"{'-' * widths[0]}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
        body = [_padded(heads, widths), rule, *(_padded(line, widths) for line in lines)]
        text = "\n".join(f"| {' | '.join(line)} |" for line in body)
        blocks.append(f"**{_markdown(part.title)}**\n\n{text}\n")
    return "\n".join([*blocks, f"{_markdown(table.caption)}\n"])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True))]


def _markdown_entry(entry: Shown, row: Row) -> str:
    value = _markdown(entry.value)
    value = f"**{value}**" if entry.best else f"*{value}*" if row.aside and value and not entry.interval else value
    return f"{value} {entry.interval}".strip()


def _markdown(text: str) -> str:
    text = re.sub(r"([\\`*\[\]<>|~#$&!])", r"\\\1", printable(text))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "-": r"-{}", "\u2013": "--",
}  # fmt: skip


def _latex(text: str) -> str:
    text = "".join(c if c.isascii() or c == "\u2013" else c.encode("unicode_escape").decode() for c in printable(text))
    return "".join(_LATEX.get(c, c) for c in text)


def latex(table: Table) -> str:
    """A floating table for booktabs; intervals stand under their values, so that the columns fit a page 16 cm wide."""
    columns = "l" + "r" * (len(table.headings) - 1)
    heads = " & ".join(_latex_heading(h, "l" if i == 0 else "r") for i, h in enumerate(table.headings))
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
            lines.append(" & ".join(values) + r" \\")
            if any(entry.interval for entry in entries):
                lines.append(" & ".join(_latex_interval(e.interval) for e in entries) + r" \\[2pt]")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table*}",
            r"\centering",
            r"\setlength{\belowcaptionskip}{4pt}",
            rf"\caption{{{_latex(table.caption)}}}",
            rf"\label{{tab:{table.name}}}",
            r"\scriptsize",
            r"\setlength{\tabcolsep}{2pt}",
            rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            heads + r" \\",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
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


def _latex_interval(interval: str) -> str:
    return rf"{{\tiny {_latex(interval)}}}" if interval else ""


def csv_text(table: Table) -> str:
    """A row a line with full precision: an estimate is four columns, its value, ``_low``, ``_high`` and ``_n``."""
    sink = io.StringIO()
    writer = csv.writer(sink, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    wide = {h.key for i, h in enumerate(table.headings) for p in table.parts for r in p.rows if _is_wide(r.entries[i])}
    head = ["part"]
    for heading in table.headings:
        head += [
            heading.key,
            *([f"{heading.key}{end}" for end in ("_low", "_high", "_n")] if heading.key in wide else []),
        ]
    writer.writerow([_cell(key) for key in head])
    for part in table.parts:
        for row in part.rows:
            line: list[str | int | float] = [_cell(part.title)]
            for heading, entry in zip(table.headings, row.entries, strict=True):
                if isinstance(entry, Estimate):
                    line += [entry.value, entry.low, entry.high, entry.n]
                else:
                    line += [_cell(entry) if isinstance(entry, str) else "" if entry is None else entry]
                    line += [""] * (3 if heading.key in wide else 0)
            writer.writerow(line)
    return sink.getvalue()


def _is_wide(entry: Entry) -> bool:
    return isinstance(entry, Estimate)


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    text = printable(text)
    return f"'{text}" if text.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20") else text
