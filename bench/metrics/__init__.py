"""What is read from samples: a metric a file, and their table. Needs numpy; scipy and POT load with the first value."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.errors import nearest
from bench.metrics.base import FLOOR, Array, Column, Metric, Modes, Space, Truth
from bench.metrics.classes import METRIC as CLASSES
from bench.metrics.emd import METRIC as EMD
from bench.metrics.emd_features import METRIC as EMD_FEATURES
from bench.metrics.frechet import METRIC as FRECHET
from bench.metrics.inception import METRIC as INCEPTION
from bench.metrics.kid import METRIC as KID
from bench.metrics.manifold import METRIC as MANIFOLD
from bench.metrics.memorisation import METRIC as MEMORISATION
from bench.metrics.modes import METRIC as MODES
from bench.metrics.ndb import METRIC as NDB
from bench.metrics.prdc import METRIC as PRDC

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (MODES, CLASSES, EMD, PRDC, FRECHET, KID, EMD_FEATURES, NDB, MEMORISATION, MANIFOLD, INCEPTION)
}


class Measurement(NamedTuple):
    """What metrics say of a sample, and what they cost."""

    values: dict[str, float]
    """A number a column."""
    seconds: dict[str, float]
    """Wall time a metric; the first in a process includes loading its libraries."""


def compute_all(
    names: Iterable[str],
    points: Mapping[str, npt.ArrayLike],
    reference: Mapping[str, npt.ArrayLike],
    truth: Truth,
    settings: Mapping[str, Any],
) -> Measurement:
    """The named metrics of points against reference, computed in float64 over flattened events.

    Points [N, *E] and reference [M, *E] are given by the ``Space`` that they stand in. ``settings`` are those of all
    metrics in one block; what it leaves out has the metric's default. ``ValueError`` where a setting is of no metric,
    events differ in size, samples are none, or a metric's space or what it needs to know is not given.
    """
    known = {field.name for metric in METRICS.values() for field in fields(metric.settings)}
    for key in settings.keys() - known:
        raise ValueError(f"no metric has the setting {key!r}; {nearest(key, known)}")
    pairs = {space: (_flat(points[space]), _flat(reference[space])) for space in points}
    for x, y in pairs.values():
        if not x.size or x.shape[1] != y.shape[1]:
            raise ValueError(f"samples of one size are compared, and some of each, not {x.shape} and {y.shape}")
    values: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for name in names:
        metric = METRICS[name]
        if metric.space not in pairs:
            raise ValueError(f"the metric {name!r} looks at {metric.space}, which is not given")
        if metric.needs != "nothing" and getattr(truth, metric.needs) is None:
            raise ValueError(f"the metric {name!r} needs data whose {metric.needs} are known")
        own = metric.settings(**{f.name: settings[f.name] for f in fields(metric.settings) if f.name in settings})
        start = perf_counter()
        values |= metric.compute(*pairs[metric.space], truth, own)
        seconds[name] = perf_counter() - start
    return Measurement(values, seconds)


def as_floor(values: Mapping[str, float]) -> dict[str, float]:
    """The values of fresh real samples under the names of their floor columns; what has no direction has no floor."""
    columns = all_columns()
    return {f"{name}{FLOOR}": value for name, value in values.items() if columns[name].direction != "none"}


def all_columns() -> dict[str, Column]:
    """Every column of every metric, in the order of the table."""
    return {name: column for metric in METRICS.values() for name, column in metric.columns.items()}


def _flat(samples: npt.ArrayLike) -> Array:
    array = np.asarray(samples, dtype=np.float64)
    return array.reshape(len(array), -1) if array.size else np.empty((0, 0))


__all__ = [
    "FLOOR",
    "METRICS",
    "Array",
    "Column",
    "Measurement",
    "Metric",
    "Modes",
    "Space",
    "Truth",
    "all_columns",
    "as_floor",
    "compute_all",
]
