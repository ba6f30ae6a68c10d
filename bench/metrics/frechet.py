"""How far apart samples and a reference are to a judge, if both were Gaussian: the Fréchet distance of the two fits."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from bench.metrics.base import Array, Column, Metric, Truth

COLUMNS = MappingProxyType(
    {
        "frechet": Column(label="Fréchet distance (judge)", unit="squared units of the features", direction="down"),
        "frechet_n": Column(label="Fréchet sample size", unit="samples", direction="none"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side a Gaussian is fitted to."""

    frechet_n: int = 10_000

    def __post_init__(self) -> None:
        if self.frechet_n < 2:
            raise ValueError(f"frechet_n is at least 2, not {self.frechet_n}")


def frechet_distance(x: Array, y: Array) -> float:
    """Between the Gaussians of x [N, D] and y [M, D]: |m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2)).

    Means m and unbiased covariances S, divided by N - 1 and M - 1. This is the square of the Wasserstein-2 distance of
    the two Gaussians (Dowson and Landau 1982), called FID in features of Inception (Heusel et al. 2017).

    No matrix root is taken. With S_x = A'A and S_y = B'B, where A and B are triangles of QR decompositions of the
    centred samples, tr((S_x S_y)^(1/2)) is the sum of the singular values of AB': real and at least 0 even where
    covariances are singular, as they are with fewer samples than features. Rounding below 0 is cut off.

    NaN where a number is not finite or either side has one sample only.
    """
    if min(len(x), len(y)) < 2 or not (np.isfinite(x).all() and np.isfinite(y).all()):
        return np.nan
    means, roots = zip(*map(_fitted, (x, y)), strict=True)
    shared = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    spread = sum(np.square(root).sum() for root in roots)
    return max(float(np.square(means[0] - means[1]).sum() + spread - 2 * shared), 0.0)


def _fitted(x: Array) -> tuple[Array, Array]:
    """Mean [D] of x [N, D], and R [min(N, D), D] such that R'R is its covariance."""
    mean = x.mean(axis=0)
    return mean, np.linalg.qr(x - mean, mode="r") / np.sqrt(len(x) - 1)


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """``frechet_distance`` of the first n features of points [N, D] and the first n of reference [M, D].

    n = min(frechet_n, N, M), recorded as ``frechet_n``: the value falls with n even for perfect samples, more so the
    more features there are, so that only values of one n can be compared, and only above their floor. A generator that
    copies the training set is not told from a perfect one.
    """
    n = min(settings.frechet_n, len(points), len(reference))
    return {"frechet": frechet_distance(points[:n], reference[:n]), "frechet_n": float(n)}


METRIC = Metric(
    name="frechet",
    version=1,
    reference="Dowson and Landau 1982, doi:10.1016/0047-259X(82)90077-X; Heusel et al. 2017, arXiv:1706.08500",
    columns=COLUMNS,
    settings=Settings,
    space="features",
    compute=compute,
)
