"""Which comparisons of two laws are distances? The axioms of a metric, on random triples of discrete laws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from bench import seeding
from bench.cell import Settings
from bench.distances import Array, divergences
from bench.experiments.base import Row
from bench.metrics.emd import earth_movers_distance

FUNCTIONS = (
    "wasserstein", "wasserstein_line", "cross_entropy", "kullback_leibler", "jensen_shannon", "jensen_shannon_root",
)  # fmt: skip
"""What is compared; see ``between``."""

ROUNDING = 1e-9
"""A violation is more than that: values are of the order of 1, and the solver's are good to 1e-15."""


@dataclass(frozen=True, kw_only=True)
class Axioms:
    """Triples of laws on the same random points of the plane, N(0, I): weights uniform on the simplex, all above 0.

    Of every function d in ``FUNCTIONS`` over all its values between laws of a triple, each also against itself, how far
    it is off at most, and the share of triples in which it is by more than ``ROUNDING``:

    - ``<function>_negativity``: -d(p, q), and ``<function>_sign_violations``.
    - ``<function>_self_distance``: abs(d(p, p)), and ``<function>_identity_violations``, which counts too where
      d(p, q) = 0 for p other than q.
    - ``<function>_asymmetry``: abs(d(p, q) - d(q, p)), and ``<function>_symmetry_violations``.
    - ``<function>_triangle_excess``: d(p, r) - d(p, q) - d(q, r), and ``<function>_triangle_violations``.

    What is off by less than nothing is 0.
    """

    trains: ClassVar[bool] = False

    triples: Annotated[int, Field(ge=1, le=10**5)] = 1000
    points: Annotated[int, Field(ge=2, le=100)] = 5

    def rows(self, settings: Settings, seed: int, device: str) -> list[Row]:
        """See ``Check.rows``."""
        rng = np.random.default_rng(seeding.seed_of(seed, "laws"))
        tables = np.empty((self.triples, 3, 3, len(FUNCTIONS)))
        for table in tables:
            x, laws = rng.normal(size=(self.points, 2)), rng.dirichlet(np.ones(self.points), size=3)
            for a, p in enumerate(laws):
                for b, q in enumerate(laws):
                    table[a, b] = [*between(x, p, q).values()]
        row: Row = {"step": 0}
        for index, name in enumerate(FUNCTIONS):
            row |= {f"{name}_{axiom}": value for axiom, value in violations(tables[..., index]).items()}
        return [row]

    def work(self, settings: Settings) -> float:
        """See ``Check.work``."""
        return float(1e8 * self.triples * (1 + (self.points / 50) ** 2.5))


def between(x: Array, p: Array, q: Array) -> dict[str, float]:
    """Of laws p and q [K] on the points x [K, 2] every one of ``FUNCTIONS``, in that order.

    - wasserstein: W1 in the plane, the exact earth mover's distance.
    - wasserstein_line: W1 of the first coordinate alone, the area between the distribution functions.
    - cross_entropy: H(p, q) = -sum_k p_k log q_k, in nats as the rest.
    - kullback_leibler, jensen_shannon: see ``divergences``.
    - jensen_shannon_root: the square root of the latter, a metric (Endres & Schindelin 2003).
    """
    found = divergences(p, q)
    order = np.argsort(x[:, 0])
    above = np.cumsum((p - q)[order])[:-1]
    return {
        "wasserstein": earth_movers_distance(x, x, norm="euclidean", x_weights=p, y_weights=q),
        "wasserstein_line": float((np.abs(above) * np.diff(x[order, 0])).sum()),
        "cross_entropy": float(-(p * np.log(q)).sum()),
        "kullback_leibler": found["kullback_leibler"],
        "jensen_shannon": found["jensen_shannon"],
        "jensen_shannon_root": math.sqrt(found["jensen_shannon"]),
    }


def violations(values: Array) -> dict[str, float]:
    """Of one function, values [triples, 3, 3]: by how much it is off at most, and in which share of triples."""
    itself = np.abs(np.diagonal(values, axis1=1, axis2=2))
    other = values[:, ~np.eye(3, dtype=bool)]
    routes = np.stack([values[:, a, c] - values[:, a, b] - values[:, b, c] for a, b, c in permutations(range(3))], 1)
    off = {
        ("negativity", "sign"): -values.reshape(-1, 9),
        ("self_distance", "identity"): itself,
        ("asymmetry", "symmetry"): np.abs(values - values.transpose(0, 2, 1)).reshape(-1, 9),
        ("triangle_excess", "triangle"): routes,
    }
    found = {}
    for (amount, axiom), sizes in off.items():
        violated = ~(sizes <= ROUNDING).all(axis=1)  # as is what is not a number
        if axiom == "identity":
            violated |= (other <= ROUNDING).any(axis=1)
        found[amount] = float(np.maximum(sizes.max(), 0))
        found[f"{axiom}_violations"] = float(violated.mean())
    return found
