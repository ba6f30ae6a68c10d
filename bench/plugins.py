"""Objectives, data sets and metrics from outside the tree.

A plug-in is a file, with module-level lists ``OBJECTIVES``, ``DATASETS`` and ``METRICS``, or an installed package with
entry points in the groups ``bench.objectives``, ``bench.datasets`` and ``bench.metrics``, each of which loads one
objective, data set or metric. What they bring joins the tree's own tables before a grid is read, once in every process;
nothing that is registered can be replaced.

The word for an objective or a metric is its name; that for a data set comes from its class: ``TwoRings`` is
``two_rings``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import linecache
import re
import sys
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import records, sources
from bench.errors import UserError, first_line
from bench.evaluation import SECONDS
from bench.metrics import FLOOR, METRICS, Metric, all_columns
from bench.sources import DATASET, KINDS, OBJECTIVE, Kind
from datasets.presets import PRESETS
from objectives.base import Objective

ROW = frozenset({*records.IDENTITY, *records.TEXT, *records.FLAGS}) | {
    "step", "replicas", "wall_seconds", "cpu_seconds", "metric_seconds", "replica_steps_per_second",
    "generator_steps_done", "critic_steps_done", "critic_loss", "generator_loss", "score_gap",
    "critic_gradient_norm", "generator_gradient_norm", "critic_update_ratio", "generator_update_ratio",
    "critic_update_cosine", "generator_update_cosine", "saturated_real", "saturated_fake", "critic_accuracy",
    "critic_auc", "js_estimate", "slope_real", "slope_fake", "slope_between", "critic_loss_fresh", "modes_occupied",
    "modes_visited", "judge_accuracy", "judge_n", "part_train", "part_evaluation", "part_judge",
}  # fmt: skip
"""Columns without a dot that a row has beside its settings and metrics."""


@dataclass(frozen=True)
class File:
    """A plug-in file as it was when the command began, so that all processes of the command run the same code."""

    path: Path
    source: bytes

    @property
    def module(self) -> str:
        """What it is imported as; equal content, equal name, wherever it lies."""
        return f"_bench_plugin_{self.path.stem}_{hashlib.sha256(self.source).hexdigest()[:10]}"


@dataclass(frozen=True)
class Entry:
    """One thing that a plug-in has brought."""

    kind: Kind
    name: str
    thing: Any
    place: str
    """The file, or the entry point and its package, for a person."""
    module: str
    """Where it was found."""


_loaded: set[str] = set()
"""Groups of entry points, and files by what they are imported as."""

_entries: dict[tuple[str, str], Entry] = {}


def read(paths: Iterable[Path]) -> tuple[File, ...]:
    """The files, each once. Raises an OSError that names the file which cannot be read."""
    return tuple(File(path, path.read_bytes()) for path in {path.resolve(): path for path in paths}.values())


def load(files: Sequence[File] = ()) -> None:
    """Register what installed packages and these files bring; what this process has loaded is not loaded again.

    Raises:
        UserError: a plug-in cannot be imported, or what it brings cannot be registered: one line that names it.
    """
    for kind in KINDS:
        group = f"bench.{kind.list.lower()}"
        if group not in _loaded:
            _loaded.add(group)
            for point in sorted(metadata.entry_points(group=group), key=lambda point: point.name):
                _load_point(kind, point)
    for file in files:
        if file.module not in _loaded:
            _loaded.add(file.module)
            _load_file(file)


def brought(file: File | None = None) -> list[Entry]:
    """What all plug-ins have brought, or one file."""
    return [entry for entry in _entries.values() if file is None or entry.module == file.module]


def told() -> list[dict[str, str]]:
    """What all plug-ins have brought, for a manifest: no folder is named."""
    return [
        {"kind": e.kind.word, "name": e.name, "from": e.place, "digest": sources.code_digest(e.kind, e.name)}
        for e in brought()
    ]


# Of importing


def _load_point(kind: Kind, point: metadata.EntryPoint) -> None:
    package = point.dist.name if point.dist else "unknown"
    place = f"{package} (entry point {point.name!r} in {point.group})"
    try:
        thing = point.load()
    except (Exception, SystemExit) as error:
        raise UserError(f"{place}: cannot be loaded: {_told(error)}; mend the package, or uninstall it") from error
    _register(kind, thing, place, point.module)


def _load_file(file: File) -> None:
    place = records.printable(file.path.name)
    module = _import(file)
    lists = [(kind, getattr(module, kind.list)) for kind in KINDS if hasattr(module, kind.list)]
    if not lists:
        raise UserError(f"{place}: no plug-in: it has none of the lists {', '.join(kind.list for kind in KINDS)}")
    for kind, things in lists:
        if not isinstance(things, list | tuple):
            raise UserError(f"{place}: {kind.list} must be a list, not {_shown(things)}")
        for thing in things:
            _register(kind, thing, place, file.module)


def _import(file: File) -> ModuleType:
    """The file as a module whose source can be had again, though the file may have changed since."""
    path = str(file.path)
    module = sys.modules[file.module] = ModuleType(file.module)
    module.__file__ = path
    try:
        code = compile(file.source, path, "exec", dont_inherit=True)
        source = importlib.util.decode_source(file.source)
        linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
        exec(code, module.__dict__)
    except (Exception, SystemExit) as error:
        del sys.modules[file.module]
        raise UserError(f"{records.printable(path)}{_line(error, path)}: {_told(error)}") from error
    return module


def _line(error: BaseException, path: str) -> str:
    """``:12``, the line of the file that the error came through last."""
    if isinstance(error, SyntaxError) and error.filename == path and error.lineno:
        return f":{error.lineno}"
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == path]
    return f":{lines[-1]}" if lines else ""


def _told(error: BaseException) -> str:
    return records.printable(first_line(error))


def _shown(thing: object) -> str:
    try:
        return records.printable(repr(thing)[:60])
    except Exception:  # a stranger's
        return f"a {type(thing).__name__}"


# Of registering


def _register(kind: Kind, thing: Any, place: str, module: str) -> None:
    name = _name(kind, thing, place)
    entry = Entry(kind, name, thing, place, module)
    if name in kind.table or (kind is DATASET and name in PRESETS):
        before = _entries.get((kind.list, name))
        whose = f"{before.place} brings" if before else "the project has"
        raise UserError(f"{place}: the {kind.word} {name!r}: {whose} one of this name; choose another")
    try:
        reason = _unusable(entry)
    except Exception as error:  # fields of other types than the record asks for
        reason = _told(error)
    if reason:
        raise UserError(f"{place}: the {kind.word} {name!r}: {reason}")
    kind.table[name] = thing
    _entries[kind.list, name] = entry
    sources.HOMES[kind.list, name] = module


def _name(kind: Kind, thing: Any, place: str) -> str:
    """The word for a thing of the kind; raises a UserError where it is none."""
    if kind is DATASET:
        fits = isinstance(thing, type) and hasattr(thing, "event_shape") and hasattr(thing, "sample")
        due = "a class with event_shape and sample"
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", thing.__name__).lower() if fits else ""
    else:
        fits = isinstance(thing, Objective if kind is OBJECTIVE else Metric)
        due = f"an instance of {'objectives.base.Objective' if kind is OBJECTIVE else 'bench.metrics.Metric'}"
        name = thing.name if fits else ""
    if not fits:
        raise UserError(f"{place}: {_shown(thing)} is no {kind.word}: {due} belongs there")
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
        raise UserError(f"{place}: {_shown(name)} cannot be a name: one word of a-z, 0-9 and _, at most 40 letters")
    return name


def _unusable(entry: Entry) -> str | None:
    """Why a grid could not use the thing; what it computes is looked at by ``python -m bench check`` alone."""
    try:
        sources.digest_of(entry.kind, entry.thing, entry.module)
    except (OSError, KeyError, SyntaxError):
        return "the source of its code cannot be read, and nothing else tells its results from another version's"
    if entry.kind is OBJECTIVE:
        from bench.training_settings import PER_OBJECTIVE

        taken = sorted(set(entry.thing.hparams) & {"name", *PER_OBJECTIVE})
        return f"{taken[0]!r} is a setting of all objectives; call the hyperparameter something else" if taken else None
    if entry.kind is DATASET:
        return _not_settable(entry.thing)
    return _not_settable(entry.thing.settings) or _clash(entry.thing)


def _not_settable(settings: Any) -> str | None:
    """Why a grid could not set the fields of a dataclass, or leave them at their defaults."""
    from bench.settings import SettingError, check_block

    if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
        return "its settings must be a dataclass: @dataclass(frozen=True, kw_only=True)"
    if any(field.name == "name" for field in dataclasses.fields(settings)):
        return "'name' is the word that names it in a grid; call the setting something else"
    try:
        check_block([settings], {})
    except SettingError as error:
        return ": ".join(["its default settings", *map(str, error.path), error.message])
    except (Exception, SystemExit) as error:
        return f"its default settings: {_told(error)}"
    return None


def _clash(metric: Metric) -> str | None:
    """Which column or setting of a metric something else has."""
    from bench.experiments.train import Evaluate
    from bench.training_settings import KEYS

    columns = {*all_columns(), *ROW, *KEYS}
    blocks: list[Any] = [Evaluate, *(other.settings for other in METRICS.values())]
    fields = {field.name for block in blocks for field in dataclasses.fields(block)}
    if f"{metric.name}{SECONDS}" in columns:
        return f"rows have a column {metric.name + SECONDS!r} already; choose another name"
    for name in metric.columns:
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            return f"{_shown(name)} cannot be a column: one word of a-z, 0-9 and _"
        if name in columns or name.endswith((FLOOR, SECONDS)):
            return f"there is, or will be, a column {name!r} of something else; choose another word"
    for field in dataclasses.fields(metric.settings):
        if field.name in fields:
            return f"there is a setting {field.name!r} of evaluate already; choose another word"
    return None
