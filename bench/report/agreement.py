"""Whether runs that two results folders both have are the same, value by value, and where they are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench import records
from bench.statistics import Array

TIMES = ("_seconds", "_per_second")
"""How columns end that differ whenever a run is done again."""

CIRCUMSTANCES = frozenset(
    {"grid", "device", "device_name", "way", "replicas", "deterministic"}
    | {"torch_version", "bench_version", "git_commit", "git_dirty"}
)
"""Where, how and by what code a run was done: told of folders, not of runs."""

PLACE = ["run_id", "step", "nth"]


@dataclass(frozen=True, eq=False)
class Agreement:
    """Of two folders: the runs that both have, and every value in which they differ."""

    shared: Sequence[str]
    """Ids of the runs that both have."""
    found: pd.DataFrame
    """A row a differing value: ``run_id``, ``step``, ``column``, ``relative``, ``first``, ``second``."""

    @property
    def differing(self) -> list[str]:
        """Ids of the shared runs that are not the same."""
        return sorted(self.found["run_id"].unique())


def is_result(column: str) -> bool:
    """Whether equal code on equal machines gives equal values: not of times, circumstances and single settings.

    A column with a dot is a setting or a digest of sources; the text of all ``settings`` stands for those.
    """
    return "." not in column and column not in CIRCUMSTANCES and not column.endswith(TIMES)


def compare(first: pd.DataFrame, second: pd.DataFrame) -> Agreement:
    """Compare the rows of two folders, run by run, in all columns of results that both have.

    Numbers are the same where all bits are, or where both are missing; the relative difference is
    |a - b| / max(|a|, |b|), infinite where one is missing or infinite, NaN between texts. A step that one alone
    observed differs in the column ``step``.
    """
    if not len(first) or not len(second):
        return Agreement([], _found([]))
    shared = sorted(set(first["run_id"]) & set(second["run_id"]))
    a, b = (_placed(rows, shared) for rows in (first, second))
    alone = [_alone(a.index.difference(b.index), 0), _alone(b.index.difference(a.index), 1)]
    both = a.index.intersection(b.index)
    a, b = a.loc[both], b.loc[both]
    columns = [name for name in a.columns if name in b.columns and is_result(name)]
    return Agreement(shared, _found([*alone, *(_column(name, a[name], b[name]) for name in columns)]))


def _placed(rows: pd.DataFrame, shared: Sequence[str]) -> pd.DataFrame:
    own = rows[rows["run_id"].isin(shared)]
    return own.assign(nth=own.groupby(["run_id", "step"]).cumcount()).set_index(PLACE)


def _found(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    kept = [part for part in parts if len(part)]
    names = ["run_id", "step", "column", "relative", "first", "second"]
    return pd.concat(kept, ignore_index=True)[names] if kept else pd.DataFrame(columns=names)


def _alone(places: pd.Index[Any], side: int) -> pd.DataFrame:
    """Steps that one side alone has."""
    part = places.to_frame(index=False).assign(column="step", relative=np.inf)
    own, other = ("first", "second") if side == 0 else ("second", "first")
    return part.assign(**{own: part["step"].astype(object), other: None})


def _column(name: str, a: pd.Series[Any], b: pd.Series[Any]) -> pd.DataFrame:
    if name in records.TEXT:
        differ = (a.fillna("") != b.fillna("")).to_numpy()
        relative = np.full(differ.sum(), np.nan)
    else:
        x, y = (values.to_numpy(np.float64, na_value=np.nan) for values in (a, b))
        differ = (x.view(np.int64) != y.view(np.int64)) & ~(np.isnan(x) & np.isnan(y))
        relative = _relative(x[differ], y[differ])
    if not differ.any():
        return _found([])
    part = a.index[differ].to_frame(index=False)
    values = {"first": a.to_numpy(object)[differ], "second": b.to_numpy(object)[differ]}
    return part.assign(column=name, relative=relative, **values)


def _relative(x: Array, y: Array) -> Array:
    larger = np.maximum(np.abs(x), np.abs(y))
    known = np.isfinite(larger) & (larger > 0)
    scale = np.where(known, larger, 1.0)  # before the difference, which could be too large for a number
    relative = np.abs(np.where(known, x, 0.0) / scale - np.where(known, y, 0.0) / scale)
    return np.where(known | (larger == 0), relative, np.inf)
