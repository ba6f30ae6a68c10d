"""Readings of records that several claims share."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.claims.base import picks

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.view import CellView, View

TINY = sys.float_info.min
"""The smallest normal float64, 2.2e-308: what a size of 0 counts as where a logarithm is taken."""

Floats = npt.NDArray[np.float64]

FROZEN = {
    "apart": (("random_gaussians", 100), ("random_gaussians", 1000)),
    "overlap": (("ring", 10), ("ring", 100), ("ring", 1000)),
}
"""The generators of grids/saturation.yaml, by whether their samples and the data hardly meet: data and frozen steps."""


def log_ratio(a: float, b: float) -> float:
    """The natural logarithm of ``a / b`` for sizes, which are not negative."""
    return math.log(max(a, TINY)) - math.log(max(b, TINY))


def decades(a: float, b: float) -> float:
    """The same to the base 10."""
    return log_ratio(a, b) / math.log(10)


def paired(a: Mapping[int, float], b: Mapping[int, float], of: Callable[[float, float], float]) -> list[float]:
    """``of(a, b)`` for each seed that both have, in the order of seeds."""
    return [of(a[seed], b[seed]) for seed in sorted(a.keys() & b.keys())]


def at_start(cell: CellView, name: str) -> dict[int, float]:
    """The column at step 0, by seed; runs without a finite value there are left out."""
    if name not in cell.rows:
        return {}
    start = cell.rows[cell.rows["step"] == 0]
    pairs = zip(start["seed"].tolist(), start[name].tolist(), strict=True)
    return {int(seed): float(value) for seed, value in pairs if math.isfinite(value)}


def changes(cell: CellView, name: str, of: Callable[[float, float], float]) -> list[float]:
    """``of(first, last)`` for each run that ended well: the column at step 0 and at the last step."""
    return paired(at_start(cell, name), cell.final(name), of)


def diverged(*cells: CellView) -> int:
    """How many runs of these cells did."""
    return sum(cell.outcomes.diverged for cell in cells)


def column(rows: pd.DataFrame, name: str) -> Floats:
    """A column of records as float64.

    Raises:
        LookupError: there is none, or it has no rows.
    """
    if name not in rows or not len(rows):
        raise LookupError(f"no records of {name}")
    return rows[name].to_numpy(np.float64, na_value=math.nan)


def worst(errors: npt.ArrayLike) -> float:
    """The largest size of these; NaN where one is NaN or there is none, so that it counts as wrong."""
    sizes = np.abs(np.asarray(errors, dtype=np.float64))
    return float(sizes.max()) if sizes.size else math.nan


def among(cells: Iterable[CellView], setting: str) -> list[Any]:
    """The values that a setting has in these cells, in ascending order."""
    return sorted({cell.settings[setting] for cell in cells})


def benchmark(view: View, objective: str) -> list[CellView]:
    """Its critics on laws of known W1 whose weights nothing but the objective constrains, by ascending dimension.

    Raises:
        LookupError: there are none, or several in one dimension.
    """
    cells = picks(view, objective=objective, critic__constraint="none")
    dims = among(cells, "pair.dim")
    if not cells or len(dims) < len(cells):
        raise LookupError(f"{view.grid}: {len(cells)} critics of {objective} in {len(dims)} dimensions")
    return sorted(cells, key=lambda cell: dims.index(cell.settings["pair.dim"]))
