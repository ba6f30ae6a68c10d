"""Tables in LaTeX with booktabs, laid out for a page, for a column of one, or to run over pages.

Neither a line nor a page overflows: widths of text are estimated from those of Computer Modern, of which most other
fonts are narrower, and a table that is too wide is cut into groups of columns, one below the other, each behind the
names of the rows. A float that is too high for a page goes on in another one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from bench.records import printable

if TYPE_CHECKING:
    from bench.report.tables import Heading, Row, Shown, Table

Preset = Literal["double", "single", "long"]
"""Across a page of two columns; one of its columns; a page of one column, and as many of those as it takes."""


@dataclass(frozen=True)
class _Shape:
    environment: str
    line: str
    """What LaTeX calls the width."""
    width: float
    """Points that are there in the narrowest of the common classes."""
    packages: str = "booktabs"


SHAPES: dict[Preset, _Shape] = {
    "double": _Shape("table*", r"\textwidth", 455.0),  # 16 cm
    "single": _Shape("table", r"\columnwidth", 221.0),  # article on A4
    "long": _Shape("longtable", r"\linewidth", 345.0, "booktabs,longtable"),  # article
}
HEIGHT = 600.0
"""Points that a float takes at most, so that it fits a page of A4."""
SEP = 1.0
"""Points on either side of a column, where there is no room for more."""
WORDS = 102.0
"""Points of a column of words, which take several lines."""
STUB = 0.45
"""Share of a line that the names of rows take at most; longer ones take several lines."""
LINE, BELOW, TITLE, RULES = 8.0, 9.0, 15.0, 18.0
"""Points of height: of a line of values or notes, of intervals, of the title of a part, of what else a table takes."""
CAPTION, NORMAL = 16.0, 1.27
"""Points above and below a caption, and how wide its letters are beside those of notes."""
_ARROWS = {"up": r"$\uparrow$", "down": r"$\downarrow$", "floor": "$=$", "none": ""}
_TEXT = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\char34}", "-": r"-{}", "\u2013": "--", "\u00b1": r"$\pm$",
    "\u2264": r"$\leq$",
}  # fmt: skip
_LIGATURE = re.compile("(?<=[`'?!])(?=[`'])")
"""Between characters of which a font makes another one: quotation marks, and marks that stand on their heads."""
_ACCENTS = {"\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0308": '"'}
_WIDTHS = {
    "!',.:;<[]_`il": 2.27, "fj- ": 2.7, "I()rst": 3.17, "cez": 3.56, "0123456789\"$*/\\^ago{}~>?": 4.0, "kqvxy": 4.21,
    "bdhnpuSJ": 4.42, "EFLPZ": 5.4, "#%m": 6.6, "M": 7.2, "W|": 8.1,
}  # fmt: skip
"""Points of characters of cmr7; of others 6.2, as of capitals."""
_BOLD, _TINY = 1.14, 0.865
"""How wide digits of cmbx7 and of cmr5 are beside them."""


@dataclass(frozen=True)
class _Line:
    """A row: what stands in each column, and below it in small print."""

    cells: tuple[str, ...]
    below: tuple[str, ...]
    height: float


@dataclass(frozen=True)
class _Block:
    """Rows below the title of their part."""

    title: str
    lines: tuple[_Line, ...]


def latex(table: Table, preset: Preset = "double") -> str:
    """The table as LaTeX that needs booktabs, and longtable where it runs over pages.

    Intervals stand under values, words wrap. The caption is the first sentence of the table's; the others are notes
    below. The label is ``tab:`` and the table's name, with the preset behind it where that is not ``double``.
    """
    table = table.read()
    shape = SHAPES[preset]
    shown = table.shown()
    rows = [row for _, part in shown for row in part]
    stub = STUB * shape.width if any(_width(e[0].value) > STUB * shape.width for _, e in rows) else None
    widths = [_column(table.headings, [e[i] for _, e in rows], i, stub) for i in range(len(table.headings))]
    groups = _groups(widths, shape.width)
    words = WORDS + _spare(table.headings, widths, shape.width)
    blocks = [_Block(part.title, tuple(_line(table.headings, *row, stub, words) for row in own)) for part, own in shown]
    head, notes = _sentences(table.caption)
    label = f"tab:{table.name}{'' if preset == 'double' else f'-{preset}'}"
    write = _long if preset == "long" else _floats
    body = write(shape, table.headings, blocks, groups, head, notes, label, stub)
    return "\n".join([rf"% needs \usepackage{{{shape.packages}}}", *body, ""])


def _floats(
    shape: _Shape,
    headings: Sequence[Heading],
    blocks: Sequence[_Block],
    groups: Sequence[Sequence[int]],
    head: str,
    notes: str,
    label: str,
    stub: float | None,
) -> Iterator[str]:
    told = CAPTION + 1.5 * LINE * math.ceil(NORMAL * _width(f"Table 10: {head}") / shape.width)
    told += LINE * math.ceil(_width(notes) / shape.width)
    pages = _pages(headings, blocks, groups, HEIGHT - told)
    for number, page in enumerate(pages):
        yield from (rf"\begin{{{shape.environment}}}", r"\centering\sloppy", r"\setlength{\belowcaptionskip}{4pt}")
        if number == 0:
            yield from (rf"\caption{{{text(head)}}}", rf"\label{{{label}}}")
        else:
            yield rf"\caption{{Table~\ref{{{label}}}, continued.}}"
        yield from (r"\scriptsize", rf"\setlength{{\tabcolsep}}{{{SEP}pt}}")
        for at, (group, part) in enumerate(page):
            if at:
                yield r"\par\vspace{6pt}"
            yield rf"\begin{{tabular*}}{{{shape.line}}}{{{_sides(headings, group)}}}"
            yield from (r"\toprule", _heads(headings, group))
            for block in part:
                yield from (r"\midrule", *_body(block, group, shape.line, "", stub))
            yield from (r"\bottomrule", r"\end{tabular*}")
        if number == 0 and notes:
            yield rf"\par\vspace{{3pt}}\parbox{{{shape.line}}}{{\sloppy {text(notes)}}}"
        yield rf"\end{{{shape.environment}}}"


def _long(
    shape: _Shape,
    headings: Sequence[Heading],
    blocks: Sequence[_Block],
    groups: Sequence[Sequence[int]],
    head: str,
    notes: str,
    label: str,
    stub: float | None,
) -> Iterator[str]:
    yield from (r"\begingroup\scriptsize\sloppy", rf"\setlength{{\tabcolsep}}{{{SEP}pt}}")
    yield r"\setlength{\LTleft}{0pt}\setlength{\LTright}{0pt}\setlength{\LTcapwidth}{\linewidth}"
    for at, group in enumerate(groups):
        yield rf"\begin{{longtable}}{{{_sides(headings, group)}}}"
        if at == 0:
            yield rf"\caption{{{text(head)}}}\label{{{label}}}\\"
        heads = _heads(headings, group)
        yield from (r"\toprule", heads, r"\endfirsthead", r"\toprule", heads, r"\midrule", r"\endhead")
        yield from (r"\bottomrule", r"\endfoot")
        for block in blocks:
            yield from (r"\midrule", *_body(block, group, shape.line, "*", stub))
        yield r"\end{longtable}"
        if at:
            yield r"\addtocounter{table}{-1}% a table without a caption counts all the same"
    yield rf"\noindent {text(notes)}" if notes else "%"
    yield r"\par\endgroup"


def _sides(headings: Sequence[Heading], group: Sequence[int]) -> str:
    return rf"@{{\extracolsep{{\fill}}}}{''.join(_side(headings, i) for i in group)}@{{}}"


def _side(headings: Sequence[Heading], index: int) -> str:
    return "l" if index == 0 or headings[index].words else "r"


def _heads(headings: Sequence[Heading], group: Sequence[int]) -> str:
    return " & ".join(_heading(headings[i], _side(headings, i)) for i in group) + r" \\"


def _heading(heading: Heading, side: str) -> str:
    texts = [text(line) for line in _words(heading.label).split("\n")]
    if heading.direction != "none":
        texts[-1] += f" {_ARROWS[heading.direction]}"
    return rf"\shortstack[{side}]{{{(chr(92) * 2).join(texts)}}}"


def _words(label: str) -> str:
    """The label in lines of about ten letters."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(f"{lines[-1]} {word}") > 10:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _body(block: _Block, group: Sequence[int], line: str, keep: str, stub: float | None) -> Iterator[str]:
    """The lines of a part; ``keep`` is what a line ends in that stays on the page of the next."""
    title = rf"\makebox[0pt][l]{{\parbox[b]{{{line}}}{{\raggedright\textit{{{text(block.title)}}}}}}}"
    yield rf"\multicolumn{{{len(group)}}}{{@{{}}l@{{}}}}{{{title}}} \\{keep}[2pt]"
    for row in block.lines:
        below = [row.below[i] for i in group]
        end = keep if any(below) else "[2pt]" if row.height > LINE else ""
        yield " & ".join(row.cells[i] for i in group) + rf" \\{end}"
        if any(below):
            yield " & ".join(below) + r" \\[1pt]"


def _spare(headings: Sequence[Heading], widths: Sequence[float], line: float) -> float:
    """Points that each column of words may take more, where a line holds all columns; 0 where it does not."""
    wordy = sum(heading.words for heading in headings[1:])
    room = line - sum(widths) - 2 * SEP * (len(widths) - 1)
    return max(0.0, room) / wordy if wordy else 0.0


def _line(headings: Sequence[Heading], row: Row, entries: Sequence[Shown], stub: float | None, words: float) -> _Line:
    cells, below, lines = [], [], 1
    for index, (heading, entry, raw) in enumerate(zip(headings, entries, row.entries, strict=True)):
        value = text(entry.value) if isinstance(raw, str) else number(entry.value)
        value = rf"\textbf{{{value}}}" if entry.best else value
        value = rf"\textit{{{value}}}" if row.aside and index == 0 else value
        width = stub if index == 0 else words if heading.words else None
        if width is not None:
            lines = max(lines, math.ceil(1.1 * _width(entry.value) / width))
            value = _wrapped(value, width)
        cells.append(value)
        below.append(rf"{{\tiny {number(entry.interval)}}}" if entry.interval else "")
    if lines > 1:  # beside words of several lines an interval stands right under its value
        cells = [_stacked(*both) if both[1] else both[0] for both in zip(cells, below, strict=True)]
        return _Line(tuple(cells), ("",) * len(cells), max(LINE * lines, LINE + BELOW))
    return _Line(tuple(cells), tuple(below), LINE * lines + (BELOW if any(below) else 0))


def _stacked(value: str, interval: str) -> str:
    return rf"\begin{{tabular}}[t]{{@{{}}r@{{}}}}{value} \\[-1pt] {interval}\end{{tabular}}"


def _wrapped(value: str, width: float) -> str:
    value = re.sub(r"=|\\_|/", lambda found: found[0] + r"\allowbreak{}", value)
    return rf"\parbox[t]{{{width:.4g}pt}}{{\raggedright\hangindent=1em {value}}}" if value else ""


def _column(headings: Sequence[Heading], entries: Sequence[Shown], index: int, stub: float | None) -> float:
    """Points that a column takes."""
    heading = headings[index]
    lines = _words(heading.label).split("\n")
    lines[-1] += {"none": "", "floor": " ="}.get(heading.direction, " 0")  # as wide as an arrow
    widths = [_width(line) for line in lines]
    fixed = stub if index == 0 else WORDS if heading.words else None
    if fixed is not None:
        return max(fixed, *widths)
    signed = str.maketrans("-", "=")  # as wide as a minus sign
    widths += [(_BOLD if entry.best else 1) * _width(entry.value.translate(signed)) for entry in entries]
    return max([*widths, *(_TINY * _width(entry.interval.translate(signed)) for entry in entries)])


def _groups(widths: Sequence[float], line: float) -> list[list[int]]:
    """The columns in as few groups as fit a line, as even as may be; the first column stands in all of them."""

    def cut(limit: float) -> list[list[int]]:
        groups: list[list[int]] = []
        taken = math.inf
        for index, width in enumerate(widths[1:], 1):
            if taken + 2 * SEP + width > limit:
                groups.append([0])
                taken = widths[0]
            groups[-1].append(index)
            taken += 2 * SEP + width
        return groups or [[0]]

    fewest = len(cut(line))
    tries = (line * share / 40 for share in range(1, 41))
    return next(groups for limit in tries if len(groups := cut(limit)) <= fewest)


def _pages(
    headings: Sequence[Heading], blocks: Sequence[_Block], groups: Sequence[Sequence[int]], first: float
) -> list[list[tuple[Sequence[int], list[_Block]]]]:
    """The columns and rows of each float, the first so high; a part stays together where it can."""
    top = RULES + LINE * max(_words(heading.label).count("\n") + 1 for heading in headings)
    room = max(first, HEIGHT / 2) - top - TITLE
    pieces = [piece for block in blocks for piece in _pieces(block, room)]
    if not pieces:
        return [[(group, []) for group in groups]]
    pages: list[list[tuple[Sequence[int], list[_Block]]]] = [[]]
    left = first
    for group in groups:
        opened = False
        for piece in pieces:
            height = TITLE + sum(line.height for line in piece.lines)
            if pages[-1] and height + (0 if opened else top) > left:
                pages.append([])
                left, opened = HEIGHT - CAPTION - 1.5 * LINE, False
            if not opened:
                pages[-1].append((group, []))
                left, opened = left - top, True
            pages[-1][-1][1].append(piece)
            left -= height
    return pages


def _pieces(block: _Block, room: float) -> Iterator[_Block]:
    """The part in pieces so high, each with its title."""
    lines: list[_Line] = []
    for line in block.lines:
        if lines and sum(one.height for one in lines) + line.height > room:
            yield _Block(block.title, tuple(lines))
            lines = []
        lines.append(line)
    yield _Block(block.title, tuple(lines))


def _sentences(caption: str) -> tuple[str, str]:
    """The first sentence, and the others."""
    head, *rest = re.split(r"(?<=\.) (?=[A-Z=])", caption, maxsplit=1)
    return head, "".join(rest)


def _width(words: str) -> float:
    """Points of a line of text in cmr7, about."""
    return sum(map(_character, words))


@cache
def _character(character: str) -> float:
    return next((width for characters, width in _WIDTHS.items() if character in characters), 6.2)


def text(words: str) -> str:
    """Text with every character that LaTeX reads as a command escaped, and those it cannot set named."""
    written = _LIGATURE.sub("{}", "".join(map(_escaped, printable(words))))
    return f"{{}}{written}" if written.startswith(("[", "*")) else written  # behind a line's end they are its options


def number(words: str) -> str:
    """A number, or an interval, with signs of subtraction for its minus signs."""
    written = "".join(map(_escaped, printable(words)))
    return re.sub(r"(?<!e)-\{\}(?=[\d.i])", "$-$", written)


@cache
def _escaped(character: str) -> str:
    if character in _TEXT or character.isascii():
        return _TEXT.get(character, character)
    base, *marks = list(unicodedata.normalize("NFD", character))
    if len(marks) == 1 and marks[0] in _ACCENTS and base.isascii():
        return rf"\{_ACCENTS[marks[0]]}{{{base}}}"
    return "".join(_TEXT.get(c, c) for c in character.encode("unicode_escape").decode())
