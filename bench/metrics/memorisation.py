"""Whether samples are nearer to the training images than real images are that no generator was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.metrics.base import Array, Column, Metric, Truth, remembered

NEAREST = 1 / 100
"""The share of real images whose distance to the training images makes a sample a copy."""

COLUMNS = MappingProxyType(
    {
        "train_distance_ratio": Column(label="Training distance ratio", unit="", direction="floor"),
        "copied_share": Column(label="Copied share", unit="share of samples", direction="floor"),
        "memorisation_n": Column(label="Memorisation sample size", unit="samples", direction="none"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side are compared with the training images."""

    memorisation_n: int = 1000

    def __post_init__(self) -> None:
        if self.memorisation_n < 1:
            raise ValueError(f"memorisation_n is at least 1, not {self.memorisation_n}")


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """How the first n of points [N, D] lie to the training images [T, D], against the first n of reference [M, D].

    n = min(memorisation_n, N, M), recorded as ``memorisation_n``. With d(x) the Euclidean distance in pixels from x to
    the training image nearest to it,

    - train_distance_ratio: median of d over the points by median of d over the reference: 0 for copies, about 1 for
      perfect samples, above it for what lies off the images, as noise and a collapsed generator may. NaN where half of
      the reference is among the training images.
    - copied_share: share of points with d(x) <= q, where q is the least distance that at least a hundredth of the
      reference does not exceed: 1 for copies, about .01 for perfect samples. Where a hundredth of the reference is
      among the training images, q is 0 and only copies to the last digit count, real ones as well: read it beside its
      floor.

    The three samples are those of Meehan et al. 2020. Departure: these two numbers instead of their test, a rank test
    within each cell of a partition, and distances in pixels.
    """
    assert truth.training is not None
    n = min(settings.memorisation_n, len(points), len(reference))
    own, real = _distances(points[:n], truth.training), _real_distances(reference[:n], truth.training)
    if not np.isfinite([own, real]).all():
        return {**dict.fromkeys(COLUMNS, np.nan), "memorisation_n": float(n)}
    middle = float(np.median(real))
    return {
        "train_distance_ratio": float(np.median(own)) / middle if middle > 0 else np.nan,
        "copied_share": float((own <= np.quantile(real, NEAREST, method="inverted_cdf")).mean()),
        "memorisation_n": float(n),
    }


def _distances(x: Array, training: npt.NDArray[np.floating[Any]]) -> Array:
    """From each of x [N, D] to the nearest of the training images [T, D]: [N]; NaN where a number is not finite."""
    from sklearn.metrics import pairwise_distances_argmin

    if not np.isfinite(x).all():
        return np.full(len(x), np.nan)
    # Found in blocks by |x|^2 - 2 x.t + |t|^2, which is fast and would leave a rest of 1e-8 where x is a copy.
    nearest = pairwise_distances_argmin(x.astype(training.dtype), training)
    distances: Array = np.linalg.norm(x - training[nearest], axis=1)
    return distances


_real_distances = remembered(_distances)


METRIC = Metric(
    name="memorisation",
    version=1,
    reference="Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675",
    columns=COLUMNS,
    settings=Settings,
    needs="training",
    compute=compute,
)
