"""What a unit at work leaves in files for its next try, none of which is believed before it has been checked.

A file carries a digest of its content and of its place, the unit's folder and its own name in it, so that what is
damaged, of another unit or step, or no checkpoint at all is known for that. Nothing here is ever unpickled.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.cache import content_digest
from bench.records import printable, publish_bytes

if TYPE_CHECKING:
    import numpy as np

UNIT = "unit.json"
"""What stays where it is when a unit begins again: of which runs it is."""

_Made = TypeVar("_Made")


class CheckpointError(Exception):
    """A file that nothing can go on from: one line that names it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return printable(f"{'/'.join(_place(self.path))}: {self.reason}")


def store(path: Path, arrays: Mapping[str, np.ndarray], told: Any = None) -> None:
    """Publish arrays, by name, and plain values that are told beside them."""
    from safetensors.numpy import save

    label = json.dumps([_digest(arrays, path, told), told])
    publish_bytes(save(dict(arrays), metadata={"checkpoint": label}), path)


def load(path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The arrays that were stored, and what was told.

    Raises:
        CheckpointError: they are not what was stored there.
    """
    from safetensors import safe_open

    try:
        if not path.is_file():
            raise ValueError("not a file")
        with safe_open(path, framework="np") as file:
            digest, told = json.loads(file.metadata()["checkpoint"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except Exception as error:  # whatever readers make of what is no checkpoint
        raise CheckpointError(path, f"damaged, or no checkpoint ({str(error)[:120]})") from error
    if digest != _digest(arrays, path, told):
        raise CheckpointError(path, "damaged, or another unit's: the content does not match its digest")
    return arrays, told


def kept(path: Path, make: Callable[[], _Made]) -> _Made:
    """What ``make`` gives, plain values as JSON has them: read where an earlier try has left it, else made and left."""
    with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):  # what is damaged is made again
        if path.is_file():
            digest, found = json.loads(path.read_bytes())
            if digest == _digest({}, path, found):
                made: _Made = found
                return made
    made = make()
    publish_bytes(json.dumps([_digest({}, path, made), made]).encode(), path)
    return made


def go_on(folder: Path, say: Callable[[str], None], work: Callable[[], _Made]) -> _Made:
    """What the work gives, which goes on from the files of a folder; where one cannot be used, it begins again."""
    try:
        return work()
    except CheckpointError as error:
        say(f"{error}; it is set aside, and the unit begins again")
        aside = folder / f"set-aside-{uuid.uuid4().hex[:8]}"
        aside.mkdir()
        for path in list(folder.iterdir()):
            if path.suffix in (".safetensors", ".json") and path.name != UNIT:
                path.rename(aside / path.name)
        return work()


def _digest(arrays: Mapping[str, np.ndarray], path: Path, told: Any) -> str:
    return content_digest(arrays, [*_place(path), told])


def _place(path: Path) -> tuple[str, ...]:
    return path.parts[-2:]
