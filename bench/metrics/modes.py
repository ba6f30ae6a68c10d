"""How the samples spread over the modes of a known mixture: coverage by two rules, quality, balance."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from bench.metrics.base import Array, Column, Metric, Truth

DUE = 1 / 5
"""The part of its due mass that a mode must receive to count by the mass rule."""

COLUMNS = MappingProxyType(
    {
        "modes_covered": Column(label="Modes (one-sample rule)", unit="modes", direction="up"),
        "modes_covered_by_mass": Column(label="Modes (mass rule)", unit="modes", direction="up"),
        "modes_total": Column(label="Modes in the data", unit="modes", direction="none"),
        "high_quality_share": Column(label="High-quality share", unit="share of samples", direction="up"),
        "reverse_kl": Column(label="Reverse KL", unit="nats", direction="down"),
        "total_variation": Column(label="Total variation", unit="share of mass", direction="down"),
    }
)

Counts: TypeAlias = "npt.NDArray[np.int64]"

_ORDER = {"euclidean": 2, "box": np.inf}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """When a sample is of high quality: within ``radius`` standard deviations of its nearest mode, by ``norm``.

    ``euclidean`` is the length of the offset, ``box`` its largest coordinate. In the plane at radius 3 even perfect
    samples reach only 1 - exp(-9/2) = .9889 and erf(3/sqrt(2))^2 = .9946.
    """

    radius: float = 3.0
    norm: Literal["euclidean", "box"] = "euclidean"

    def __post_init__(self) -> None:
        if not 0 < self.radius < np.inf or self.norm not in _ORDER:
            raise ValueError(f"radius is above 0 and norm one of {', '.join(_ORDER)}, not {self.radius}, {self.norm!r}")


def have_due(received: Counts, n: int, weights: Array) -> npt.NDArray[np.bool_]:
    """Which of K modes have, of n samples, at least ``DUE`` of the share that their weight gives them [K]."""
    # The rounding of a weight must not decide over a mode that has exactly what is asked of it.
    due: npt.NDArray[np.bool_] = received >= DUE * n * weights * (1 - 1e-9)
    return due


def spread(received: Counts, counts: Counts, weights: Array) -> dict[str, float]:
    """Coverage by the samples that each mode has received [K], balance by all that belong to it [K].

    The formulas are those of ``compute`` with h_k received and n_k counted.
    """
    from scipy.special import rel_entr

    n = int(counts.sum())
    shares = counts / n
    return {
        "modes_covered": float((received > 0).sum()),
        "modes_covered_by_mass": float(have_due(received, n, weights).sum()),
        "modes_total": float(len(weights)),
        "reverse_kl": float(rel_entr(shares, weights).sum()),
        "total_variation": float(np.abs(shares - weights).sum() / 2),
    }


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """Coverage, quality and balance of points [N, D] over K modes; the reference samples are not used.

    Every sample belongs to its nearest mode in Euclidean distance. With n_k the samples that belong to mode k, h_k
    those of them of high quality, and w_k the mode's weight,

    - modes_covered: how many modes have h_k >= 1. It flatters a diffuse generator: stray samples do.
    - modes_covered_by_mass: how many modes have h_k / N >= w_k / 5.
    - high_quality_share: sum_k h_k / N.
    - reverse_kl: sum_k q_k log(q_k / w_k), in nats, with q_k = n_k / N over **all** samples, of high quality or not:
      log K where one of K equal modes has everything, about (K - 1) / 2N for a perfect sampler.
    - total_variation: sum_k |q_k - w_k| / 2.

    Rules of Srivastava et al. 2017 (arXiv:1705.07761) for coverage and quality, and of Lin et al. 2018
    (arXiv:1712.04086) for the reverse KL. Departures: a sample on the boundary is of high quality; q is over all
    samples, as in the code of Liu et al. 2020 (arXiv:2006.10728, whose quality test is the box), while that of Lin et
    al. leaves those of low quality out, which is undefined where there are no others. Where modes spread over some axes
    only, offsets along the others count in the same std, as in the code of Lin et al.
    """
    from scipy.spatial.distance import cdist

    assert truth.modes is not None
    modes = truth.modes
    k = len(modes.weights)
    distances = cdist(points, modes.means)
    if not np.isfinite(distances).all():
        return {**dict.fromkeys(COLUMNS, np.nan), "modes_total": float(k)}
    nearest = distances.argmin(axis=1)
    offsets = np.linalg.norm(points - modes.means[nearest], ord=_ORDER[settings.norm], axis=1)
    good = offsets <= settings.radius * modes.std
    high_quality, counts = np.bincount(nearest[good], minlength=k), np.bincount(nearest, minlength=k)
    return {**spread(high_quality, counts, modes.weights), "high_quality_share": float(good.mean())}


METRIC = Metric(
    name="modes",
    version=1,
    reference="Srivastava et al. 2017, arXiv:1705.07761; Lin et al. 2018, arXiv:1712.04086",
    columns=COLUMNS,
    settings=Settings,
    needs="modes",
    compute=compute,
)
