"""Exact earth mover's distance between samples and a reference in a judge's features, where pixels say little."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from bench.metrics.base import Array, Column, Metric, Truth
from bench.metrics.emd import earth_movers_distance

COLUMNS = MappingProxyType(
    {
        "emd_features": Column(label="EMD (judge)", unit="units of the features", direction="down"),
        "emd_features_n": Column(label="EMD sample size (judge)", unit="samples", direction="none"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side are matched: n^2 in memory, about n^2.5 in time."""

    emd_features_n: int = 1000

    def __post_init__(self) -> None:
        if self.emd_features_n < 1:
            raise ValueError(f"emd_features_n is at least 1, not {self.emd_features_n}")


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """The distance between the first n features of points [N, D] and the first n of reference [M, D], by Euclid's norm.

    n = min(emd_features_n, N, M), recorded as ``emd_features_n``. As with ``emd`` the value falls with n even for
    perfect samples, so that only values of one n can be compared, and only above their floor. A generator that copies
    the training set is not told from a perfect one.
    """
    n = min(settings.emd_features_n, len(points), len(reference))
    value = earth_movers_distance(points[:n], reference[:n], norm="euclidean")
    return {"emd_features": value, "emd_features_n": float(n)}


METRIC = Metric(
    name="emd_features",
    version=1,
    reference="Rubner et al. 2000, doi:10.1023/A:1026543900054; Xu et al. 2018, arXiv:1806.07755",
    columns=COLUMNS,
    settings=Settings,
    space="features",
    compute=compute,
)
