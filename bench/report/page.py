"""The page: one file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.records import RecordError, printable
from bench.report.tables import ARROWS, Table
from bench.report.view import View


@dataclass(frozen=True)
class Picture:
    """A figure as pixels."""

    name: str
    title: str
    caption: str
    pixels: bytes

    @property
    def source(self) -> str:
        """The pixels as the address of an image."""
        return f"data:image/png;base64,{base64.b64encode(self.pixels).decode()}"


def render(view: View, tables: Sequence[Table], pictures: Sequence[Picture], errors: Sequence[RecordError]) -> str:
    """The page as HTML; every text is escaped by the template."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_readable,
    )
    command = view.manifest.get("command")
    return environment.get_template("page.html").render(
        view=view,
        tables=[table.read() for table in tables],
        arrows=ARROWS,
        pictures=pictures,
        errors=[(_place(error.path, view.folder), printable(error.reason)) for error in errors],
        facts=_facts(view),
        description=str(view.manifest.get("description") or ""),
        command=shlex.join(map(str, command)) if isinstance(command, list) else str(command or ""),
        source=str(view.manifest.get("grid_source") or ""),
    )


def _readable(value: Any) -> Any:
    """Text without characters that are not for reading; the lines of a file stay lines."""
    return "\n".join(map(printable, value.split("\n"))) if type(value) is str else value


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
