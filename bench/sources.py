"""The tables that plug-ins may join, and the digests of code by which results tell what they were computed with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from bench.cell import digest, source_digest
from bench.metrics import METRICS
from datasets import DATASETS
from objectives import OBJECTIVES


class Kind(NamedTuple):
    """A kind of thing that a table holds by name."""

    word: str
    list: str
    """What a plug-in file calls its own; in small letters, the end of the entry points' group."""
    table: dict[str, Any]
    parts: Callable[[Any], Iterable[Any]]
    """The functions or classes that a thing is made of."""


OBJECTIVE = Kind(
    "objective", "OBJECTIVES", OBJECTIVES, lambda o: (o.critic_loss, o.generator_loss, o.project, *o.noise.values())
)
DATASET = Kind(
    "data set",
    "DATASETS",
    DATASETS,
    lambda dataset: [part for kind in (dataset, *getattr(dataset, "made_of", ())) for part in kind.__mro__],
)
METRIC = Kind("metric", "METRICS", METRICS, lambda metric: (metric.compute,))
KINDS = (OBJECTIVE, DATASET, METRIC)

HOMES: dict[tuple[str, str], str] = {}
"""Of what came from outside the tree, by the list and the name: the module that it was found in."""

_SHARED = frozenset({"objectives.base", "datasets.base"})
_FOREIGN = sys.stdlib_module_names | {"torch", "numpy"}
"""Modules and packages that are nobody's own code."""


def code_digest(kind: Kind, name: str) -> str:
    """Of the files that a registered thing and its parts are from."""
    return digest_of(kind, kind.table[name], HOMES.get((kind.list, name), f"{kind.list.lower()}.{name}"))


def metric_version(name: str) -> int | str:
    """The version of a metric, for which the project's tests answer; a stranger's with a digest of its code."""
    version = METRICS[name].version
    return f"{version}-{code_digest(METRIC, name)}" if (METRIC.list, name) in HOMES else version


def digest_of(kind: Kind, thing: Any, home: str) -> str:
    """Of the home, where it is loaded, and the files of the thing's parts; that of a single file is the file's own."""
    modules = {home, *(module for part in kind.parts(thing) for module in _modules(part))}
    own = [name for name in modules - _SHARED if name.partition(".")[0] not in _FOREIGN and name in sys.modules]
    digests = sorted(map(source_digest, own))
    return digests[0] if len(digests) == 1 else digest(digests)


def _modules(part: Any) -> Iterator[str]:
    """Of a class, or of a function and those that it wraps."""
    while part is not None:
        yield str(getattr(part, "__module__", ""))
        part = getattr(part, "func", None) or getattr(part, "__wrapped__", None)
