"""What claims on training read off runs: of a cell one number a run, by seed; of settings a bootstrap over them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.claims.base import Part, Side, beside, mean_of
from bench.statistics import RESAMPLES, Array, Estimate, rank_correlation

if TYPE_CHECKING:
    import pandas as pd

    from bench.report.view import CellView, View

BySeed: TypeAlias = Mapping[int, float]
Places: TypeAlias = npt.NDArray[np.intp]

SMOOTHED = 5
"""Checkpoints of a running median."""

LATE = 3
"""The last third of the checkpoints is late."""


def paired(
    name: str, quantity: str, a: BySeed, b: BySeed, threshold: float, side: Side,
    *, diverged: int = 0, floor: float | None = None,
) -> Part:  # fmt: skip
    """The mean of a - b over the seeds that both have."""
    values = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    return mean_of(name, quantity, values, threshold, side, diverged=diverged, floor=floor)


def logs(values: BySeed) -> BySeed:
    """Natural logarithms; of what is not above 0, NaN."""
    return {seed: math.log(value) if value > 0 else math.nan for seed, value in values.items()}


def columns(table: pd.DataFrame) -> dict[int, Array]:
    """Of a table over checkpoints, each run's column by its seed."""
    return {int(seed): table[seed].to_numpy(dtype=np.float64) for seed in table.columns.tolist()}


def ended(cell: CellView, column: str) -> pd.DataFrame:
    """The column over checkpoints (index) of the runs that ended well, by seed.

    Raises:
        LookupError: no run has it.
    """
    table, seeds = cell.curves(column), cell.ended("ok")
    table = table[[seed for seed in table if seed in seeds]]
    if table.empty:
        raise LookupError(f"{cell.label}: no run that ended well has {column}")
    return table


def nearest(cell: CellView, column: str, share: float) -> BySeed:
    """The column at the checkpoint nearest to this share of the steps."""
    table = ended(cell, column)
    step = min(table.index, key=lambda step: abs(step - share * float(cell.settings["steps"])))
    return {seed: float(value[0]) for seed, value in columns(table.loc[[step]]).items() if math.isfinite(value[0])}


def finals(cell: CellView, lost: float, column: str = "emd") -> BySeed:
    """The column at the end of the runs, with ``lost`` for one that diverged."""
    return {**cell.final(column), **dict.fromkeys(cell.ended("diverged"), lost)}


def worst(cells: Iterable[CellView], column: str = "emd") -> float:
    """The largest value at the end of any run that ended well.

    Raises:
        LookupError: none did.
    """
    values = [value for cell in cells for value in cell.final(column).values()]
    if not values:
        raise LookupError(f"no run that ended well has {column}")
    return max(values)


def follows(cell: CellView, signal: str, truth: str = "emd") -> BySeed:
    """Spearman's rho of two columns over the checkpoints of each run; NaN where either has one value only."""
    one = ended(cell, signal)
    other = columns(ended(cell, truth).reindex(one.index))
    return {seed: rank_correlation(values, other[seed]) for seed, values in columns(one).items() if seed in other}


def smoothed(cell: CellView, column: str) -> pd.DataFrame:
    """The running median of ``SMOOTHED`` checkpoints, where there are as many."""
    return ended(cell, column).rolling(SMOOTHED).median().dropna(how="all")


def trend(cell: CellView, column: str) -> BySeed:
    """Kendall's tau-b of the smoothed column with the step, over the checkpoints of each run."""
    table = smoothed(cell, column)
    steps = table.index.to_numpy(dtype=np.float64)
    return {seed: rank_correlation(values, steps, "kendall") for seed, values in columns(table).items()}


def late_spread(cell: CellView, column: str = "emd") -> BySeed:
    """The standard deviation of the column over the last third of the checkpoints of each run."""
    table = ended(cell, column)
    return {seed: float(np.std(values, ddof=1)) for seed, values in columns(table.tail(len(table) // LATE)).items()}


def exponent(cell: CellView, column: str) -> BySeed:
    """Of each run of a path, the least-squares slope of log distance over log offset, all offsets but 0.

    At each offset stands the mean of both sides of the path's middle. NaN where a distance is not above 0.
    """
    rows = cell.rows[(cell.rows["status"] == "ok") & (cell.rows["offset"] != 0)]
    if column not in rows or rows.empty:
        raise LookupError(f"{cell.label}: no {column}")
    table = rows[column].groupby([rows["offset"].abs(), rows["seed"]]).mean().unstack()
    x = np.log(table.index.to_numpy(dtype=float))

    def slope(y: Array) -> float:
        return float(np.polyfit(x, np.log(y), 1)[0]) if np.isfinite(y).all() and (y > 0).all() else math.nan

    return {seed: slope(values) for seed, values in columns(table).items()}


def over_settings(
    name: str, quantity: str, statistic: Callable[[Places], Array], n: int, threshold: float, side: Side,
    *, diverged: int = 0,
) -> Part:  # fmt: skip
    """A number that n settings have together, with its percentile bootstrap interval over them.

    ``statistic`` takes which settings are drawn [B, n] and gives [B]; what is not finite is left out. With k of B
    resamples at the threshold or on its rarer side, p = min(1, 2 (1 + k) / (1 + B)).

    Raises:
        LookupError: fewer than two settings.
    """
    if n < 2:
        raise LookupError(f"{name}: {n} settings are too few")
    value = float(statistic(np.arange(n)[None])[0])
    found = statistic(np.random.default_rng(0).integers(n, size=(RESAMPLES, n)))
    found = found[np.isfinite(found)]
    low, high = np.quantile(found, [0.025, 0.975]) if len(found) else (math.nan, math.nan)
    beyond = min(np.count_nonzero(found <= threshold), np.count_nonzero(found >= threshold))
    p = min(1.0, 2 * (1 + beyond) / (1 + len(found)))
    effect = Estimate(value, float(low), float(high), n)
    return Part(name=name, quantity=quantity, effect=effect, threshold=threshold, side=side, p=p, diverged=diverged)


def spearman(x: Array, y: Array) -> Array:
    """The rank correlation of each row of x and y [B, n] -> [B]; NaN where a row has one value only."""
    from scipy import stats

    ranks = [stats.rankdata(values, axis=-1) for values in (x, y)]
    a, b = (rank - rank.mean(axis=-1, keepdims=True) for rank in ranks)
    scale = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    rho: Array = np.divide((a * b).sum(axis=-1), scale, out=np.full(len(scale), math.nan), where=scale > 0)
    return rho


def quoted(
    view: View, cells: Iterable[CellView], labels: Mapping[str, str], name: Callable[[CellView], str],
    order: Callable[[CellView], str] = lambda cell: "",
) -> list[Part]:  # fmt: skip
    """The numbers that the grid file quotes of these cells in these columns, with their labels, beside ours.

    ``order`` names what of a cell's is comparable: with one word, numbers of a column are in an order.

    Raises:
        LookupError: it quotes none.
    """
    from bench.report.published import matches

    parts = []
    for cell in cells:
        for entry in view.manifest.get("published") or ():
            if matches(entry["where"], cell):
                for column in [name for name in labels if name in entry["values"]]:
                    theirs, error = entry["values"][column]
                    ours, word = cell.final(column).values(), f"{order(cell)}: {column}" if order(cell) else ""
                    lost = cell.outcomes.diverged
                    parts.append(beside(name(cell), labels[column], ours, theirs, error, word, diverged=lost))
    if not parts:
        raise LookupError(f"{view.grid}: nothing is quoted of its cells")
    return parts
