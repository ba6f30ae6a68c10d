"""Pages as one file each that needs nothing else, neither network nor scripts: templates, filled and escaped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bench.records import printable


def fill(template: str, **values: Any) -> str:
    """A template of this folder with these values; every text is escaped, and a name that is missing is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_readable,
    )
    return environment.get_template(template).render(values)


def _readable(value: Any) -> Any:
    """Text without characters that are not for reading; the lines of a file stay lines."""
    return "\n".join(map(printable, value.split("\n"))) if type(value) is str else value
