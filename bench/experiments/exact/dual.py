"""Is the Wasserstein distance a supremum or an infimum over 1-Lipschitz functions? Both, as linear programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from bench import seeding
from bench.cell import Settings
from bench.distances import Array
from bench.experiments.base import Row
from bench.metrics.emd import earth_movers_distance


@dataclass(frozen=True, kw_only=True)
class Dual:
    """Two random laws P, Q on the same n random points of R^d: weights uniform on the simplex, points N(0, I).

    - ``primal``: W1(P, Q) = min over plans of the mean distance, Euclidean.
    - ``dual_supremum``, ``dual_infimum``: the largest and the least value of E_P f - E_Q f over functions with
      f(x_i) - f(x_j) <= abs(x_i - x_j) for all i, j. Each such f is the restriction of a 1-Lipschitz function on R^d
      (McShane 1934), so that this is the dual of Kantorovich and Rubinstein, Villani 2009, equation 5.11.

    Two solvers: the network simplex of POT for the primal, HiGHS by way of scipy for the dual, feasible to 1e-7.
    """

    trains: ClassVar[bool] = False

    points: Annotated[int, Field(ge=2, le=100)] = 20
    dim: Annotated[int, Field(ge=1, le=1000)] = 2

    def rows(self, settings: Settings, seed: int, device: str) -> list[Row]:
        """See ``Check.rows``."""
        rng = np.random.default_rng(seeding.seed_of(seed, "laws"))
        x = rng.normal(size=(self.points, self.dim))
        p, q = rng.dirichlet(np.ones(self.points), size=2)
        lowest, highest = extremes(x, p - q)
        primal = earth_movers_distance(x, x, norm="euclidean", x_weights=p, y_weights=q)
        return [{"step": 0, "primal": primal, "dual_supremum": highest, "dual_infimum": lowest}]

    def work(self, settings: Settings) -> float:
        """See ``Check.work``."""
        return float(1000 * self.points**3)


def extremes(x: Array, difference: Array) -> tuple[float, float]:
    """The least and the largest of sum_i difference_i f(x_i) over 1-Lipschitz f on the points x [n, d].

    The difference [n] sums to 0, so that f counts up to a constant: f(x_0) = 0.

    Raises:
        RuntimeError: the solver did not reach an optimum.
    """
    from scipy.optimize import linprog
    from scipy.spatial.distance import pdist

    n = len(x)
    i, j = np.triu_indices(n, 1)
    rows = np.arange(len(i))
    steeper = np.zeros((len(i), n))
    steeper[rows, i], steeper[rows, j] = 1.0, -1.0
    free = [(0.0, 0.0), *[(None, None)] * (n - 1)]
    apart = pdist(x)
    values = []
    for sign in (1.0, -1.0):
        found = linprog(sign * difference, np.vstack([steeper, -steeper]), np.tile(apart, 2), bounds=free)
        if not found.success or found.fun is None:
            raise RuntimeError(f"no optimum of the dual: {found.message}")
        values.append(sign * float(found.fun))
    return values[0], values[1]
