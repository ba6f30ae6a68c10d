"""Number of statistically different bins: whether samples fall into regions as often as the training images do."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.metrics.base import Array, Column, Metric, Truth, remembered

SIGNIFICANCE = 0.05
"""Of the test of each bin: about so many of them differ by chance alone."""

PER_BIN = 10
"""Training images a bin, on average, at least: with fewer the normal approximation of the test has no ground."""

COLUMNS = MappingProxyType(
    {
        "ndb_share": Column(label="Different bins (NDB / bins)", unit="share of bins", direction="down"),
        "ndb_js": Column(label="JS divergence over bins", unit="nats", direction="down"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Into how many bins the data are cut, at most: one for every ten training images."""

    ndb_bins: int = 100

    def __post_init__(self) -> None:
        if self.ndb_bins < 1:
            raise ValueError(f"ndb_bins is at least 1, not {self.ndb_bins}")


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """Points [N, D] against the training images [T, D] over K bins; the reference samples are not used.

    The bins are the cells of k-means on the training images, K = min(ndb_bins, T / 10, different images), and every
    sample is in that of the nearest centre in Euclidean distance. With p_k the share of the training images in bin k,
    q_k that of the points, and r_k = (T p_k + N q_k) / (T + N),

    - ndb_share: share of bins with (p_k - q_k)^2 / (r_k (1 - r_k) (1/T + 1/N)) > 1.96^2, the two-sided z-test of two
      proportions at 5 %.
    - ndb_js: sum_k [p_k log(p_k / m_k) + q_k log(q_k / m_k)] / 2 with m = (p + q) / 2, in nats: 0 to log 2.

    A copy of the training images has 0 in both. Fresh real samples have less than .05 of different bins as a rule: the
    cells are cut to the training images, which takes from the chance in p. What the test can see rises with N and T, so
    that only values of one N and T can be compared. NaN where a point is not finite.

    Richardson and Weiss 2018, arXiv:1805.12462. Departures: one start of k-means (k-means++, fixed seed) with at most
    100 iterations; all D numbers, not a random sixth of those above 1000; no whitening, as by default in their code.
    """
    from scipy.special import ndtri, rel_entr

    assert truth.training is not None
    if not np.isfinite(points).all():
        return dict.fromkeys(COLUMNS, np.nan)
    t, n = len(truth.training), len(points)
    centres, p = _bins(truth.training, settings.ndb_bins)
    q = _shares(points, centres)
    pooled = (t * p + n * q) / (t + n)
    # Not divided by the variance, which is 0 where one bin has everything.
    different = (p - q) ** 2 > ndtri(1 - SIGNIFICANCE / 2) ** 2 * pooled * (1 - pooled) * (1 / t + 1 / n)
    middle = (p + q) / 2
    return {
        "ndb_share": float(different.mean()),
        "ndb_js": float((rel_entr(p, middle) + rel_entr(q, middle)).sum() / 2),
    }


@remembered
def _bins(images: npt.NDArray[np.floating[Any]], most: int) -> tuple[Array, Array]:
    """Of training images [T, D] the centres of their bins [K, D], and the share of the images in each [K]."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    training = np.asarray(images, dtype=np.float64)
    bins = max(1, min(most, len(training) // PER_BIN, len(np.unique(training, axis=0))))
    with threadpool_limits(1):  # sums over several threads come out in any order
        fit = KMeans(bins, n_init=1, max_iter=100, random_state=0).fit(training)
    centres: Array = fit.cluster_centers_
    return centres, _shares(training, centres)


def _shares(samples: Array, centres: Array) -> Array:
    """Share of the samples [n, D] that each centre [K, D] is nearest to [K]."""
    from scipy.spatial.distance import cdist

    return np.bincount(cdist(samples, centres).argmin(axis=1), minlength=len(centres)) / len(samples)


METRIC = Metric(
    name="ndb",
    version=1,
    reference="Richardson and Weiss 2018, arXiv:1805.12462",
    columns=COLUMNS,
    settings=Settings,
    needs="training",
    compute=compute,
)
