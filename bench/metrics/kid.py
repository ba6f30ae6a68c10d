"""How far apart samples and a reference are to a judge by a cubic kernel: a distance that has no bias."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.metrics.base import Array, Column, Metric, Truth

COLUMNS = MappingProxyType(
    {
        "kid": Column(label="KID (judge)", unit="", direction="down"),
        "kid_n": Column(label="KID sample size", unit="samples", direction="none"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side are compared, each with each: n^2 in memory and time."""

    kid_n: int = 1000

    def __post_init__(self) -> None:
        if self.kid_n < 2:
            raise ValueError(f"kid_n is at least 2, not {self.kid_n}")


def kernel_distance(x: Array, y: Array) -> float:
    """The unbiased estimate of the squared maximum mean discrepancy between the laws of x [N, D] and y [M, D].

    sum_{i != j} k(x_i, x_j) / N(N - 1) + sum_{i != j} k(y_i, y_j) / M(M - 1) - 2 sum_ij k(x_i, y_j) / NM with the
    kernel k(x, y) = (x.y / D + 1)^3 of Bińkowski et al. 2018. Its mean is 0 for two samples of one law, so that values
    below 0 are common there.

    NaN where a number is not finite or either side has one sample only.
    """
    if min(len(x), len(y)) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return np.nan
    return _among(x) + _among(y) - 2 * float(_kernel(x, y).mean())


def _among(x: Array) -> float:
    """Mean kernel of two different samples."""
    values = _kernel(x, x)
    np.fill_diagonal(values, 0)
    return float(values.sum()) / (len(x) * (len(x) - 1))


def _kernel(x: Array, y: Array) -> Array:
    values: Array = (x @ y.T / x.shape[1] + 1) ** 3
    return values


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """``kernel_distance`` of the first n features of points [N, D] and the first n of reference [M, D].

    n = min(kid_n, N, M), recorded as ``kid_n``: it decides how far the value scatters, and not where about. A generator
    that copies the training set is not told from a perfect one.

    Departure from Bińkowski et al. 2018: one estimate from n samples instead of the mean over random subsets.
    """
    n = min(settings.kid_n, len(points), len(reference))
    return {"kid": kernel_distance(points[:n], reference[:n]), "kid_n": float(n)}


METRIC = Metric(
    name="kid",
    version=1,
    reference="Bińkowski et al. 2018, arXiv:1801.01401",
    columns=COLUMNS,
    settings=Settings,
    space="features",
    compute=compute,
)
