"""YAML from strangers: one pass over the parser's events, bounded before it starts, every value with its place.

What is read is YAML 1.2 (core schema) without what an attacker needs and a settings file does not: no anchors, aliases
and merge keys, no tags and directives, one document, plain words as keys, decimal and finite numbers, no dates.
Departures: ``1_000`` is a number, ``0x10`` and ``0o10`` are words, and a bare ``inf`` or ``nan`` is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    CollectionEndEvent,
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)

from bench.errors import UserError, nearest

MOST_BYTES = 64 * 1024
MOST_NODES = 5_000
MOST_LEVELS = 20
MOST_DIGITS = 18
"""Of a whole number: it then fits into 64 bits."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_NULL = re.compile(r"|~|null|Null|NULL")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_WHOLE = re.compile(r"[-+]?[0-9](_?[0-9])*")
_FLOAT = re.compile(r"[-+]?([0-9](_?[0-9])*(\.([0-9](_?[0-9])*)?)?|\.[0-9](_?[0-9])*)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.?(inf|infinity|nan)", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")


class Block(dict[str, Any]):
    """A mapping that knows where it starts (``mark``) and where each of its keys stands (``marks``)."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: str, items: dict[str, Any] | None = None, marks: dict[str, str] | None = None) -> None:
        super().__init__(items or {})
        self.mark = mark
        self.marks = marks or {}

    def put(self, key: str, value: object, mark: str) -> None:
        """Set a key and its place."""
        self[key] = value
        self.marks[key] = mark


class Items(list[Any]):
    """A list that knows where it starts (``mark``) and where each of its items stands (``marks``)."""

    __slots__ = ("mark", "marks")

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.mark = mark
        self.marks: list[str] = []

    def put(self, value: object, mark: str) -> None:
        """Append an item and its place."""
        self.append(value)
        self.marks.append(mark)

    def each(self, change: Callable[[Any], Any]) -> Items:
        """The list with every item changed, at the same places."""
        changed = Items(self.mark)
        for item, mark in zip(self, self.marks, strict=True):
            changed.put(change(item), mark)
        return changed


def read(path: Path) -> str:
    """The text of a small file; anything else there is a `UserError`."""
    name = shown(path)
    try:
        if path.is_dir():
            raise UserError(f"{name}: a folder; name a YAML file in it")
        if path.exists() and not path.is_file():
            raise UserError(f"{name}: not a regular file; name a YAML file")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{name}: no such file; {_remedy(path)}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{name}: cannot be read: {reason}; name a readable YAML file") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{name}: larger than {MOST_BYTES // 1024} KiB; split it into several files")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in data[:2]:
        raise UserError(f"{name}:1: encoded as UTF-16 or UTF-32; save it as UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8") from None


def parse(text: str, name: str) -> Block:
    """The mapping that a file's text holds; places read ``name:LINE``."""
    found = _build(text, lambda line: f"{name}:{line}")
    if found is None:
        raise UserError(f"{name}:1: nothing in it; write settings, one `key: value` a line")
    if not isinstance(found, Block):
        raise UserError(f"{name}:1: a {_kind(found)} where settings belong; write one `key: value` a line")
    return found


def parse_value(text: str, mark: str) -> Any:
    """The one value that a word on the command line holds, ``8``, ``[1, 2]`` or ``{name: ring}``: all at one place."""
    if "\n" in text or "\r" in text:
        raise UserError(f"{mark}: several lines; write the value on one line")
    return _build(text, lambda _: mark)


def shown(text: object, most: int = 200) -> str:
    """A path or word as it may be printed: on one line, without terminal codes, of ``most`` characters."""
    text = str(text)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[1 - most // 2 :]}"


def _remedy(path: Path) -> str:
    """Name the nearest file of its folder and of ``grids``."""
    beside = {str(file) for file in (*path.parent.glob("*.y*ml"), *Path("grids").glob("*.yaml"))}
    same = [file for file in beside if Path(file).stem == path.stem]
    if same:
        return f"did you mean {min(same)!r}?"
    return shown(nearest(str(path), beside)) if beside else "check the path"


def _kind(value: object) -> str:
    return {Items: "list", Block: "block", str: "word", bool: "truth value"}.get(type(value), "number")


def _build(text: str, mark: Callable[[int], str]) -> Any:
    """The tree of the only document, None for nothing at all; iterative, so that no depth can exhaust the stack."""
    _check_characters(text, mark)
    root: Any = None
    open_nodes: list[tuple[Block | Items, list[tuple[str, str]]]] = []  # with the key that waits for its value
    nodes = 0
    for event in _events(text, mark):
        at = mark(event.start_mark.line + 1)
        if isinstance(event, CollectionEndEvent):
            open_nodes.pop()
        elif isinstance(event, DocumentStartEvent):
            if nodes:
                raise UserError(f"{at}: a second document (`---`); keep one a file")
            if event.version or event.tags:
                raise UserError(f"{at}: a directive (`%`); remove the line")
        elif isinstance(event, NodeEvent):
            nodes += 1
            if nodes > MOST_NODES:
                raise UserError(f"{at}: more than {MOST_NODES:,} values; split it into several files")
            _check_features(event, at)
            parent, waiting = open_nodes[-1] if open_nodes else (None, [])
            if isinstance(parent, Block) and not waiting:
                waiting.append((_key(event, parent, at), at))
                continue
            node = _node(event, at)
            if isinstance(parent, Block):
                key, at_key = waiting.pop()
                parent.put(key, node, at_key)
            elif isinstance(parent, Items):
                parent.put(node, at)
            else:
                root = node
            if isinstance(node, Block | Items):
                open_nodes.append((node, []))
            if len(open_nodes) > MOST_LEVELS:
                raise UserError(f"{at}: nested deeper than {MOST_LEVELS} levels; settings need 3 or 4")
    return root


def _events(text: str, mark: Callable[[int], str]) -> Iterator[Event]:
    line = 1
    remedy = "check the colons (a space after each), brackets, quotes and indentation"
    try:
        for event in YAML(typ="safe", pure=True).parse(text):
            line = event.end_mark.line + 1
            yield event
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else line
        context = f"{error.context} that line {error.context_mark.line + 1} begins: " if error.context_mark else ""
        raise UserError(f"{mark(line)}: not YAML: {context}{error.problem}; {remedy}") from None
    except (YAMLError, ValueError, OverflowError) as error:
        raise UserError(f"{mark(line)}: not YAML: {shown(error)}; {remedy}") from None


def _check_characters(text: str, mark: Callable[[int], str]) -> None:
    """Refuse what does not print (NUL, terminal codes, spaces that are none) and tabs that indent."""
    for number, line in enumerate(text.split("\n"), start=1):
        if "\t" in line[: len(line) - len(line.lstrip())]:
            raise UserError(f"{mark(number)}: a tab in the indentation; indent with spaces")
        for letter in line.rstrip("\r"):
            if not (letter.isprintable() or letter == "\t"):
                raise UserError(f"{mark(number)}: character U+{ord(letter):04X} does not print; remove it")


def _check_features(event: NodeEvent, at: str) -> None:
    if event.anchor is not None:  # an alias has one too
        raise UserError(f"{at}: anchors (&) and aliases (*) are not read; write the value out")
    if getattr(event, "tag", None) is not None:
        raise UserError(f"{at}: tags (!) are not read; write a plain value")


def _key(event: NodeEvent, block: Block, at: str) -> str:
    if not isinstance(event, ScalarEvent):
        raise UserError(f"{at}: a list or block as a key; a key is a plain word")
    key = event.value
    if key == "<<":
        raise UserError(f"{at}: merge keys (<<) are not read; write the settings out")
    if not _KEY.fullmatch(key) or (_plain(event) and _value(key, at) != key):
        remedy = "nest the settings: `a: {b: 1}`" if "." in key else "letters, digits, _ and - make one"
        raise UserError(f"{at}: key {shown(repr(key))} is not a plain word; {remedy}")
    if key in block:
        raise UserError(f"{at}: {key}: written before, at {block.marks[key]}; keep one")
    return str(key)


def _node(event: NodeEvent, at: str) -> Any:
    if isinstance(event, MappingStartEvent):
        return Block(at)
    if isinstance(event, ScalarEvent):
        return _value(event.value, at) if _plain(event) else _text(event.value, at)
    return Items(at)


def _plain(event: ScalarEvent) -> bool:
    return bool(event.implicit[0])


def _value(text: str, at: str) -> bool | int | float | str | None:
    """What an unquoted scalar stands for."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text.lower() == "true"
    if _WHOLE.fullmatch(text):
        digits = len(re.sub("[-+_]", "", text))
        if digits > MOST_DIGITS:
            raise UserError(f"{at}: a whole number of {digits} digits; write at most {MOST_DIGITS}")
        return int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise UserError(f"{at}: {shown(text)} is beyond every float; write a smaller number")
        return number
    if _NOT_FINITE.fullmatch(text):
        raise UserError(f"{at}: {text} is not a finite number; write one")
    if _DATE.fullmatch(text):
        raise UserError(f"{at}: {shown(text)} is a date, and no setting is; quote it if a text is meant")
    return text


def _text(text: str, at: str) -> str:
    for letter in text:
        if not (letter.isprintable() or letter in "\n\t"):
            raise UserError(f"{at}: character U+{ord(letter):04X} does not print; remove it")
    return text
