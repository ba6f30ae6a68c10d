"""Exact earth mover's distance between samples and a reference: the optimum of the linear program, not an estimate."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from bench.memory import available
from bench.metrics.base import Array, Column, Metric, Truth

Norm = Literal["euclidean", "cityblock"]

MAX_PIVOTS = 1_000_000_000
"""Bound on the steps of the network simplex: far above what any solve needs, so that none stops early."""

BYTES_PER_PAIR = 49
"""Of memory that a solve takes for each sample of one side with each of the other.

The costs 8; in the solver ends 4 and 4, costs 8, flows 8, a state 1; the plan that it gives back 8: 41 in all, as
measured with POT 0.9.7. Newer sources hold the costs a third time.
"""

COLUMNS = MappingProxyType(
    {
        "emd": Column(label="EMD", unit="units of the data", direction="down"),
        "emd_n": Column(label="EMD sample size", unit="samples", direction="none"),
    }
)


class SolveError(RuntimeError):
    """The solver did not reach the optimum, so there is no number."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many samples of each side are matched (n^2 in memory, about n^2.5 in time), and by what norm."""

    emd_n: int = 1000
    emd_norm: Norm = "euclidean"

    def __post_init__(self) -> None:
        if self.emd_n < 1 or self.emd_norm not in get_args(Norm):
            raise ValueError(
                f"emd_n is at least 1 and emd_norm one of {', '.join(get_args(Norm))}, "
                f"not {self.emd_n}, {self.emd_norm!r}"
            )


def memory(n: int, m: int | None = None) -> int:
    """Bytes that a solve of n samples against m, or as many, takes at most; in n alone it takes next to nothing."""
    return BYTES_PER_PAIR * n * (n if m is None else m)


def earth_movers_distance(
    x: Array, y: Array, *, norm: Norm, x_weights: Array | None = None, y_weights: Array | None = None
) -> float:
    """The cheapest way to move the mass at x [N, D] onto y [M, D]: min over plans P of sum_ij P_ij |x_i - y_j|.

    P >= 0 has the weights as its margins, by default 1/N and 1/M; with unit mass this is the Wasserstein-1 distance of
    the two samples. Weights of another sum give the whole cost, not the cost a unit. Solved in float64 by the network
    simplex of POT (Bonneel et al. 2011; Flamary et al. 2021).

    NaN where a distance is not finite. ``ValueError`` where weights are negative or their sums unequal; ``SolveError``
    where the solver gives up; ``MemoryError``, before any is taken, where there is less than ``memory`` says.
    """
    from scipy.spatial.distance import cdist

    need, free = memory(len(x), len(y)), available()
    if free is not None and need > free:
        raise MemoryError(
            f"an EMD of {max(len(x), len(y)):,} samples takes up to {need / 1e9:.2g} GB, and {free / 1e9:.2g} GB are "
            "free here; ask for fewer samples (emd_n, emd_features_n) or for fewer --workers"
        )
    cost = cdist(x, y, norm)
    a, b = (
        np.full(size, 1 / size) if weights is None else np.asarray(weights, dtype=np.float64)
        for weights, size in zip((x_weights, y_weights), cost.shape, strict=True)
    )
    if min(a.min(), b.min()) < 0 or not 0 < a.sum() < np.inf or not np.isclose(a.sum(), b.sum(), rtol=1e-9, atol=0):
        raise ValueError(f"weights are at least 0 with equal sums above 0, not sums of {a.sum()} and {b.sum()}")
    if not np.isfinite(cost).all():
        return np.nan
    # The solver's tolerance is absolute: below costs of 1e-9 it calls wrong plans optimal. A power of 2 rounds nothing.
    exponent = np.frexp(cost.max())[1]
    try:
        value, log = _pot().emd2(a, b, np.ldexp(cost, -exponent, out=cost), numItermax=MAX_PIVOTS, log=True)
    except UserWarning as warning:  # where the caller has made warnings errors
        raise SolveError(str(warning)) from warning
    if log["warning"]:
        raise SolveError(log["warning"])
    return float(np.ldexp(value, exponent))


def _pot() -> Any:
    """POT without its other array libraries, which it would import only to offer them: seconds and 600 MB for torch."""
    if "torch._C" not in sys.modules:
        os.environ.setdefault("POT_BACKEND_DISABLE_PYTORCH", "1")
    import ot

    return ot


def compute(points: Array, reference: Array, truth: Truth, settings: Settings) -> dict[str, float]:
    """The distance between the first n of points [N, D] and the first n of reference [M, D], uniform weights.

    n = min(emd_n, N, M), recorded as ``emd_n``: the value falls with n even for perfect samples, so that only values of
    one n can be compared, and only above their floor.
    """
    n = min(settings.emd_n, len(points), len(reference))
    return {"emd": earth_movers_distance(points[:n], reference[:n], norm=settings.emd_norm), "emd_n": float(n)}


METRIC = Metric(
    name="emd",
    version=1,
    reference="Rubner et al. 2000, doi:10.1023/A:1026543900054; Bonneel et al. 2011, doi:10.1145/2070781.2024192",
    columns=COLUMNS,
    settings=Settings,
    compute=compute,
)
