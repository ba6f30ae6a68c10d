"""The two scores of images that papers print: Fréchet distance (FID) and KID in features of Inception v3."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

from bench.metrics.base import Array, Column, Metric, Truth
from bench.metrics.frechet import frechet_distance
from bench.metrics.kid import kernel_distance

COLUMNS = MappingProxyType(
    {
        "inception_frechet": Column(label="FID", unit="squared units of the features", direction="down"),
        "inception_kid": Column(label="KID", unit="", direction="down"),
        "inception_n": Column(label="FID sample size", unit="samples", direction="none"),
        "inception_kid_n": Column(label="KID sample size (Inception)", unit="samples", direction="none"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Whether it is measured at all, and of how many samples.

    The features need an extra, a file of weights, and time: on one core of a CPU some tenths of a second an image.
    """

    inception: bool = False
    inception_n: int = 10_000
    inception_kid_n: int = 1000

    def __post_init__(self) -> None:
        if min(self.inception_n, self.inception_kid_n) < 2:
            raise ValueError(
                f"inception_n and inception_kid_n are at least 2, not {self.inception_n}, {self.inception_kid_n}"
            )


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """``frechet_distance`` and ``kernel_distance`` of Inception features of points [N, 2048] and reference [M, 2048].

    Of the first min(inception_n, N, M) of each, recorded as ``inception_n``, and the first min(inception_kid_n, N, M),
    recorded as ``inception_kid_n``. Published values of the Fréchet distance are of 10,000 or 50,000 samples; with
    fewer it is larger even for perfect samples, and below 2,049 the fits have singular covariances: compare values of
    one n, above their floor. A generator that copies the training set is not told from a perfect one.

    Departures: those of ``kid``; real samples are as many as generated ones.
    """
    n, kid_n = (min(most, len(points), len(reference)) for most in (settings.inception_n, settings.inception_kid_n))
    return {
        "inception_frechet": frechet_distance(points[:n], reference[:n]),
        "inception_kid": kernel_distance(points[:kid_n], reference[:kid_n]),
        "inception_n": float(n),
        "inception_kid_n": float(kid_n),
    }


METRIC = Metric(
    name="inception",
    version=1,
    reference="Heusel et al. 2017, arXiv:1706.08500; Bińkowski et al. 2018, arXiv:1801.01401",
    columns=COLUMNS,
    settings=Settings,
    space="inception",
    compute=compute,
)
