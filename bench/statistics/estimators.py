"""What values are summed up by: locations, shares and comparisons, each a pure function of arrays.

Values of several tasks, data sets for instance, are a table [n runs, m tasks]; ``axis=None`` pools it. Pooled, ``mean``
and ``iqm`` are those of rliable (Agarwal et al. 2021); its median is another, that of the tasks' means:
``median(mean(values, axis=0))``.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Rank = Literal["spearman", "kendall"]

FEWEST_PAIRS = 3
"""That a rank correlation takes."""


class Estimator(Protocol):
    """A location of values along an axis."""

    def __call__(self, values: Array, axis: int = -1) -> Array:
        """Of values [..., n] give [...]."""
        ...


def mean(values: Array, axis: int | None = -1) -> Array:
    """The arithmetic mean."""
    return np.asarray(np.mean(values, axis=axis))


def iqm(values: Array, axis: int | None = -1) -> Array:
    """The interquartile mean: of what is left when floor(n / 4) values are cut from either end."""
    from scipy import stats

    return np.asarray(stats.trim_mean(values, 0.25, axis=axis))


def median(values: Array, axis: int | None = -1) -> Array:
    """The median."""
    return np.asarray(np.median(values, axis=axis))


def probability_of_improvement(a: Array, b: Array, direction: Literal["up", "down"]) -> Array:
    """The chance that a run of a is better than one of b on the same task, the mean over tasks.

    Of values a [..., n, m] and b [..., k, m], whose n and k may differ, as [...]:

        mean over tasks of P(A > B) + P(A = B) / 2,

    over all n k pairs of runs, which is Mann and Whitney's U / (n k); A < B where less is better, ``direction`` down.
    0.5 says that neither is better. NaN is a run without a value, which is in no pair; a task without pairs makes the
    result NaN. After Agarwal et al. 2021 (arXiv:2108.13264).
    """
    if direction == "down":
        a, b = b, a
    left, right = a[..., :, None, :], b[..., None, :, :]
    wins = ((left > right) + 0.5 * (left == right)).sum(axis=(-3, -2))
    pairs = (~np.isnan(a)).sum(axis=-2) * (~np.isnan(b)).sum(axis=-2)
    return np.asarray(np.mean(np.where(pairs > 0, wins, np.nan) / np.maximum(pairs, 1), axis=-1))


def profile(values: npt.ArrayLike, thresholds: npt.ArrayLike, direction: Literal["up", "down"]) -> Array:
    """The performance profile: the share of runs x tasks at or beyond each of thresholds [t], as [t].

    Of values of any shape: at or above where more is better, ``direction`` up, at or below where less is. Agarwal et
    al. 2021 count those strictly above, so that a run that reaches all there is to reach counts nowhere at that
    threshold; here it does.

    NaN is a run without a value and counts nowhere: to have diverged runs count as failures, build the table with their
    worst value. All NaN give NaN.
    """
    flat = np.asarray(values, dtype=np.float64).ravel()
    found = np.sort(flat[~np.isnan(flat)])
    levels = np.asarray(thresholds, dtype=np.float64)
    if not len(found):
        return np.full(levels.shape, np.nan)
    if direction == "down":
        return np.searchsorted(found, levels, side="right") / len(found)
    return 1 - np.searchsorted(found, levels, side="left") / len(found)


def rank_correlation(x: npt.ArrayLike, y: npt.ArrayLike, rank: Rank = "spearman") -> float:
    """Spearman's rho, or Kendall's tau-b, over the pairs of which both are finite.

    NaN where they are fewer than ``FEWEST_PAIRS``, or where either has one value only.
    """
    from scipy import stats

    pairs = np.stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    pairs = pairs[:, np.isfinite(pairs).all(axis=0)]
    if pairs.shape[1] < FEWEST_PAIRS or not np.ptp(pairs, axis=1).all():
        return math.nan
    found = stats.spearmanr(*pairs) if rank == "spearman" else stats.kendalltau(*pairs)
    return float(found.statistic)
