"""The numbers of tables as LaTeX commands, so that a paper's text quotes them and nobody types one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from bench.cell import flatten
from bench.report.latex import number, text
from bench.report.tables import Entry, Part, Quoted, Row, Shown, Table
from bench.report.view import View
from bench.statistics import Estimate

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
ABOUT = r"""
% Every number of the tables as a command: \input this file before \begin{document}.
%
% A name is the grid, the table, the part, the row and the column as in the CSV, in letters alone: each word with a
% capital, each digit as a word. The value is rounded as in the table. With an end it is, where there are such: Low and
% High, the bounds of the interval; N, how many runs the number is of; Spread, what a published number was given with.
% Where two names would be the same, that of the later one in the table has B, C and so on before these ends.
%
% Last comes what holds for the grid: how many runs and cells it has, how many modes the data, the settings that all
% cells share, the commit.
""".strip()


def numbers(view: View, tables: Sequence[Table]) -> str:
    """A file that defines a command for every number of the tables, and for what all runs of the grid share.

    The same records give the same file.
    """
    taken: set[str] = set()
    lines = [ABOUT]
    for table in map(Table.read, tables):
        lines.append(f"\n% {text(table.title)} ({text(table.name)})")
        for words, values in _of_table(table):
            lines += _commands([view.grid, table.name, *words], values, taken)
    lines.append("\n% The grid")
    for words, value in _of_grid(view):
        lines += _commands([view.grid, *words], {"": value}, taken)
    return "\n".join([*lines, ""])


def _of_table(table: Table) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The words of each number's name, and what is told of it by the ends of the names."""
    for part, rows in table.shown():
        names = _names(part)
        for name, (row, shown) in zip(names, rows, strict=True):
            for heading, entry, told in zip(table.headings, row.entries, shown, strict=True):
                values = _values(entry, told)
                if values:
                    yield [part.key or part.title, name, heading.key], values


def _names(part: Part) -> list[str]:
    """A name for each row: as many of its first words and counts as tell the rows apart.

    Published numbers have the name of the row that they stand under before their own.
    """
    wide = max((len(row.entries) for row in part.rows), default=0)
    names: list[str] = []
    for count in range(1, wide + 1):
        names, above = [], ""
        for row in part.rows:
            name = _name(row, count)
            quoted = any(isinstance(entry, Quoted) for entry in row.entries)
            names.append(f"{above} {name}" if quoted else name)
            above = above if quoted else name
        if len(set(names)) == len(names):
            return names
    return names


def _name(row: Row, count: int) -> str:
    return " ".join(str(entry) for entry in row.entries[:count] if isinstance(entry, str | int))


def _values(entry: Entry, shown: Shown) -> dict[str, str]:
    """What is told of a number by the end of the name; nothing of words."""
    if entry is None or isinstance(entry, str):
        return {}
    ends = ("Spread",) if isinstance(entry, Quoted) else ("Low", "High")
    counted = {"N": f"{entry.n:,}"} if isinstance(entry, Estimate) else {}
    return {"": shown.value, **dict(zip(ends, shown.bounds, strict=False)), **counted}


def _of_grid(view: View) -> Iterator[tuple[list[str], str]]:
    ends = view.outcomes
    counts = {"planned": ends.planned, "ok": ends.ok, "diverged": ends.diverged, "lost": ends.lost}
    for name, count in counts.items():
        yield ["runs", name], f"{count:,}"
    yield ["cells"], f"{len(view.cells):,}"
    for task in view.tasks:
        total = task.total("modes_total")
        if total is not None:
            yield [f"{task.dataset} {task.variant} {task.arm}", "modes_total"], f"{total:,g}"
    settings = [dict(flatten(cell.settings)) for cell in view.cells]
    for key, value in (settings[0] if settings else {}).items():
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if plain and all(key in own and own[key] == value for own in settings):
            yield ["setting", key], f"{value:,}"
    yield ["commit"], view.commit


def _commands(words: Sequence[str], values: dict[str, str], taken: set[str]) -> list[str]:
    """The definitions, under names that nothing has yet."""
    base = command(words)
    own, count = base, 1
    while taken & {own + end for end in values}:
        count += 1
        own = base + _letters(count)
    taken |= {own + end for end in values}
    return [rf"\newcommand{{\{own}{end}}}{{{_value(value)}}}" for end, value in values.items()]


def command(words: Sequence[str]) -> str:
    """The name of a command: the words in letters alone, the first in small ones, the others with a capital.

    Digits are words; letters lose their accents, and those that are not of Latin are left out.
    """
    plain = unicodedata.normalize("NFKD", " ".join(words)).encode("ascii", "ignore").decode()
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]", plain)
    spelled = [DIGITS[int(part)] if part.isdigit() else part.capitalize() for part in parts]
    name = "".join(spelled) or "Number"
    name = name[0].lower() + name[1:]
    return f"grid{name[0].upper()}{name[1:]}" if name.startswith("end") else name  # LaTeX keeps those to itself


def _letters(count: int) -> str:
    """A, B and so on, then AA."""
    count, last = divmod(count - 1, 26)
    return (_letters(count) if count else "") + chr(ord("A") + last)


def _value(words: str) -> str:
    """A number as it stands in text and in formulas."""
    power = re.fullmatch(r"(-?[\d.]+)e([+-]\d+)", words)
    if power:
        return rf"\ensuremath{{{power[1]}\times10^{{{int(power[2])}}}}}"
    return rf"\ensuremath{{-}}{number(words[1:])}" if words.startswith("-") else number(words)
