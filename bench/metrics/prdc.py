"""Precision, recall, density, coverage: which samples lie among the nearest neighbours of the others, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.metrics.base import Array, Column, Metric, Truth, remembered

BLOCK = 2**23
"""How many distances are found at a time: 64 MB; two such blocks are held at most, however many the samples."""

COLUMNS = MappingProxyType(
    {
        "precision": Column(label="Precision", unit="share of samples", direction="up"),
        "recall": Column(label="Recall", unit="share of real samples", direction="up"),
        "density": Column(label="Density (may exceed 1)", unit="", direction="up"),
        "coverage": Column(label="Coverage", unit="share of real samples", direction="up"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side are compared (n^2 in time), and how many neighbours make a sample's ball.

    Naeem et al. take 10,000 samples and 5 neighbours, Kynkäänniemi et al. 50,000 and 3.
    """

    prdc_n: int = 1000
    prdc_k: int = 5

    def __post_init__(self) -> None:
        if self.prdc_n < 2 or self.prdc_k < 1:
            raise ValueError(f"prdc_n is at least 2 and prdc_k at least 1, not {self.prdc_n}, {self.prdc_k}")


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """Fidelity and diversity of the first n of points [N, D] against the first n of reference [M, D], Euclidean.

    n = min(prdc_n, N, M). The ball of a sample reaches to its k-th nearest neighbour on its own side, itself not
    counted; a sample on the boundary is inside. With x_j the points and y_i the reference,

    - precision: share of the x_j that are in the ball of some y_i.
    - recall: share of the y_i that are in the ball of some x_j.
    - density: sum_j (number of balls of the reference that hold x_j) / (k n).
    - coverage: share of the y_i whose ball holds some x_j.

    Where both sides are of one distribution, density is 1 in expectation and coverage
    1 - (n - 1)...(n - k) / ((2n - 1)...(2n - k)), about 1 - 2^-k, whatever the distribution. One sample far out has a
    ball that holds a great deal, and so can lift recall (a generated one) or precision (a real one); density and
    coverage are made so that it cannot. NaN where a number is not finite, or where n <= k and a ball has no radius.

    Kynkäänniemi et al. 2019 (arXiv:1904.06991) for precision and recall, Naeem et al. 2020 (arXiv:2002.09797) for
    density and coverage. Departures: one k for all four; the boundary is inside for all four as in the code of the
    former, while the code of the latter leaves it out, so that equal samples are in no ball at all.
    """
    n, k = min(settings.prdc_n, len(points), len(reference)), settings.prdc_k
    x, y = points[:n], reference[:n]
    if n <= k or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return dict.fromkeys(COLUMNS, np.nan)
    reach_x, reach_y = _reach(x, k), _real_reach(y, k)
    holders, recalled, covered = np.zeros(n), 0.0, 0.0
    for rows, distances in _distances(y, x):
        held = distances <= reach_y[rows, None]
        holders += held.sum(axis=0)
        covered += held.any(axis=1).sum()
        recalled += (distances <= reach_x).any(axis=1).sum()
    return {
        "precision": float((holders > 0).mean()),
        "recall": float(recalled / n),
        "density": float(holders.sum() / (k * n)),
        "coverage": float(covered / n),
    }


def _reach(samples: Array, k: int) -> Array:
    """Distance of each sample [n, D] to its k-th nearest neighbour [n]: the smallest one is its own, 0."""
    reach = np.empty(len(samples))
    for rows, distances in _distances(samples, samples):
        distances.partition(k, axis=1)
        reach[rows] = distances[:, k]
    return reach


_real_reach = remembered(_reach)


def _distances(a: Array, b: Array) -> Iterator[tuple[slice, Array]]:
    """All distances of a [n, D] to b [m, D], some rows of a at a time: [rows, m].

    Not by |a|^2 - 2ab + |b|^2, which is quicker and gives equal samples a distance above 0.
    """
    from scipy.spatial.distance import cdist

    step = max(1, BLOCK // len(b))
    for start in range(0, len(a), step):
        rows = slice(start, start + step)
        yield rows, cdist(a[rows], b)


METRIC = Metric(
    name="prdc",
    version=1,
    reference="Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem et al. 2020, arXiv:2002.09797",
    columns=COLUMNS,
    settings=Settings,
    space="features",
    compute=compute,
)
