"""The settings of a grid's cells: those that all share, once, and what differs, as a table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from bench.report.tables import Entry, Heading, Part, Row, Table
from bench.report.view import CellView, View

MOST_ROWS = 300
"""Cells that a page has rows for; the manifest has all."""

SHORT = 12
"""Characters up to which a number is shown with all its digits."""


def shared(view: View) -> list[tuple[str, str]]:
    """The settings in which no cell differs from another, by block; blocks of one text stand together.

    Of a block that only some cells have, those in which these do not differ, if they differ in others.
    """
    cells = [_texts(cell) for cell in view.cells]
    common = _common(cells)
    rows = []
    for (text,), names in _alike(_blocks(common), [common]):
        some = [name for name in names if not all(_of(name, own) for own in cells)]
        rows.append((f"{', '.join(names)}{' (where there is one)' if some else ''}", text))
    return rows


def differing(view: View) -> Table | None:
    """A row for each cell with its other settings, its draw and its id; None where there are none.

    Settings of a block stand in one column, and blocks that are alike in all cells too.
    """
    cells = [_texts(cell) for cell in view.cells]
    common = _common(cells)
    own = [{key: text for key, text in cell.items() if key not in common} for cell in cells]
    if not any(own):
        return None
    columns = _alike(_blocks(key for block in own for key in block), own)
    headings = [Heading(names[0], ", ".join(names), words=True) for _, names in columns]
    entries: list[list[Entry]] = [list(row) for row in zip(*(texts for texts, _ in columns), strict=True)]
    if any(cell.draw is not None for cell in view.cells):
        headings.append(Heading("draw", "draw"))
        for row, cell in zip(entries, view.cells, strict=True):
            row.append(cell.draw)
    headings.append(Heading("cell", "cell", words=True))
    rows = tuple(Row((*row, cell.id)) for row, cell in zip(entries, view.cells, strict=True))
    caption = (
        "What differs between the cells, long numbers to six digits. A cell's records have names that begin with it."
    )
    if len(rows) > MOST_ROWS:
        caption += f" The first {MOST_ROWS} of {len(rows):,} cells; manifest.json has them all."
    return Table("settings", caption, tuple(headings), (Part("", rows[:MOST_ROWS]),), "What differs")


def _texts(cell: CellView) -> dict[str, str]:
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in cell.settings.items()}
    return {key: text for key, text in texts.items() if text}


def _common(cells: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """See ``shared``."""
    common: dict[str, str] = {}
    for block in _blocks(key for own in cells for key in own):
        having = [part for own in cells if (part := _of(block, own))]
        same = {key: text for key, text in having[0].items() if all(other.get(key) == text for other in having)}
        if len(having) == len(cells) or any(part.keys() - same.keys() for part in having):
            common |= same
    return common


def _blocks(keys: Iterable[str]) -> list[str]:
    """The first words of dotted names, in order."""
    return list(dict.fromkeys(key.partition(".")[0] for key in keys))


def _of(block: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in settings.items() if key.partition(".")[0] == block}


def _short(text: str) -> str:
    """A number with six significant digits; any other text as it is."""
    try:
        return text if len(text) <= SHORT else f"{float(text):.6g}"
    except ValueError:
        return text


def _alike(blocks: Iterable[str], settings: Sequence[Mapping[str, str]]) -> list[tuple[tuple[str, ...], list[str]]]:
    """What each block says in each of the settings, with the names of all blocks of several settings that say so."""
    groups: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for block in blocks:
        texts = tuple(_words(block, own) for own in settings)
        alone = "" if any("=" in text for text in texts) else block
        groups.setdefault((texts, alone), []).append(block)
    return [(texts, names) for (texts, _), names in groups.items()]


def _words(block: str, settings: Mapping[str, str]) -> str:
    """A block's settings: its name's value, then the rest, as in ``ring, std=0.02, modes=8``."""
    own = [_short(settings[block])] if block in settings else []
    rest = [(key.removeprefix(f"{block}."), text) for key, text in settings.items() if key.startswith(f"{block}.")]
    return ", ".join([*own, *(f"{key}={_short(text)}" for key, text in rest)])
