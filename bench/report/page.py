"""The page of a results folder: what was asked, what was found, and how to do it again."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.records import RecordError, printable
from bench.report import cell_settings, html, style
from bench.report.ledger import SIGNS, Ledger, Row, of_grid, rows
from bench.report.tables import ARROWS, Table
from bench.report.view import View

SUMMARY = "summary"
"""The name of the picture that stands first."""

FULL_WIDTH = 1024
"""Pixels of CSS that a picture as wide as a page of a paper is shown in."""

MOST_COLUMNS = 13
"""Of a table that is printed on an upright page; a broader one gets a page that lies on its side."""

FEWEST_LISTED = 4
"""Sections from which on a page has a list of its contents."""


@dataclass(frozen=True)
class Picture:
    """A figure as the pixels of a PNG."""

    name: str
    title: str
    caption: str
    pixels: bytes

    @property
    def source(self) -> str:
        """The pixels as the address of an image."""
        return f"data:image/png;base64,{base64.b64encode(self.pixels).decode()}"

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels of CSS, at one scale for all pictures, by the header of the PNG."""
        scale = FULL_WIDTH / (style.PAGE_WIDTH * style.DPI)
        width, height = (int.from_bytes(self.pixels[start : start + 4], "big") for start in (16, 20))
        return round(width * scale), round(height * scale)


def render(
    view: View,
    tables: Sequence[Table],
    pictures: Sequence[Picture],
    errors: Sequence[RecordError],
    ledger: Ledger | None = None,
) -> str:
    """The page as HTML; every text is escaped by the template."""
    command = view.manifest.get("command")
    summary = next((picture for picture in pictures if picture.name == SUMMARY), None)
    pictures = [picture for picture in pictures if picture is not summary]
    claims = rows(of_grid(ledger, view.folder.resolve().name)) if ledger is not None else []
    sections = _sections(tables, pictures, claims, errors)
    return html.fill(
        "page.html",
        view=view,
        asked=_asked(view),
        description=str(view.manifest.get("description") or ""),
        sections=sections if len(sections) >= FEWEST_LISTED else [],
        summary=summary,
        ledger=ledger,
        claims=claims,
        signs=SIGNS,
        tables=[table.read() for table in tables],
        arrows=ARROWS,
        fit=MOST_COLUMNS,
        pictures=pictures,
        errors=[(_place(error.path, view.folder), printable(error.reason)) for error in errors],
        shared=cell_settings.shared(view),
        differing=cell_settings.differing(view),
        source=str(view.manifest.get("grid_source") or ""),
        facts=_facts(view),
        command=shlex.join(map(str, command)) if isinstance(command, list) else str(command or ""),
    )


def _asked(view: View) -> str:
    """How much was asked for: ``16 cells, 8 seeds each``."""
    counts = sorted({len(cell.seeds) for cell in view.cells})
    seeds = " to ".join(map(str, counts[:1] + counts[1:][-1:]))
    cells = f"{len(view.cells):,} cell{'' if len(view.cells) == 1 else 's'}"
    return f"{cells}, {seeds} seed{'' if seeds == '1' else 's'} each" if counts else "no cells"


def _sections(
    tables: Sequence[Table], pictures: Sequence[Picture], claims: Sequence[Row], errors: Sequence[RecordError]
) -> list[tuple[str, str]]:
    """The anchors and titles of what comes after the summary."""
    return [
        *([("claims", "Claims")] if claims else []),
        *((f"table-{table.name}", table.title) for table in tables),
        *((f"figure-{picture.name}", picture.title) for picture in pictures),
        *([("left-out", "Left out")] if errors else []),
        ("settings", "Settings"),
        ("provenance", "Where the numbers come from"),
        ("again", "How to run this again"),
    ]


def _place(path: Path, folder: Path) -> str:
    return printable(str(path.relative_to(folder) if path.is_relative_to(folder) else path.name))


def _facts(view: View) -> list[tuple[str, str]]:
    """Where the numbers come from: what the manifest and the records say of code, versions and devices."""
    facts = {"grid": view.grid, "experiment": view.experiment, "commit": view.commit}
    seeds = sorted({seed for cell in view.cells for seed in cell.seeds})
    facts["seeds"] = ", ".join(map(str, seeds[:32])) + (", ..." if len(seeds) > 32 else "")
    facts["search"] = _words(view.manifest.get("search"))
    facts["overrides"] = _words(view.manifest.get("overrides"))
    for column in ("device", "device_name", "way", "deterministic", "torch_version", "bench_version"):
        if column in view.rows:
            facts[column.replace("_", " ")] = ", ".join(sorted(map(str, view.rows[column].dropna().unique())))
    facts["versions"] = _words(view.manifest.get("versions"))
    facts["records of other grids, left out"] = str(view.strangers or "")
    facts["schema version"] = _words(view.manifest.get("schema_version"))
    return [(name, text) for name, text in facts.items() if text]


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_words(part)}" for key, part in sorted(value.items()))
    if isinstance(value, list):
        return ", ".join(map(_words, value))
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
