"""What it costs to move one heap of earth to another along a line, counted three ways; nothing is random.

The example is a lecture's, which has it from Weng 2019 (arXiv:1904.08994): [3, 2, 1, 4] to [1, 2, 4, 3] costs 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from bench.cell import Settings
from bench.distances import Array
from bench.experiments.base import Row
from bench.metrics.emd import earth_movers_distance

Amounts = Annotated[str, Field(max_length=1000)]
"""Numbers with spaces between them: a list in a grid file would be a choice."""


@dataclass(frozen=True, kw_only=True)
class CarriedEarth:
    """Moving the amounts P_1 ... P_K at the points 1 ... K so that Q_1 ... Q_K lie there: a row a point, in order.

    - ``carried``: d_i = d_(i-1) + P_i - Q_i with d_0 = 0, what is carried from point i to the next one; below 0 it is
      carried the other way.
    - ``cost_recursion``: sum_i abs(d_i), in every row, as the other costs.
    - ``cost_emd``: the least cost over all plans, by the linear program.
    - ``cost_closed_form``: sum_i abs(F_i - G_i), F and G the running sums of P and Q.
    """

    trains: ClassVar[bool] = False

    first: Amounts = "3 2 1 4"
    second: Amounts = "1 2 4 3"

    def __post_init__(self) -> None:
        p, q = self.amounts()
        if len(p) != len(q) or min(p.min(), q.min()) < 0 or not 0 < p.sum() < np.inf or p.sum() != q.sum():
            raise ValueError(
                "first and second are as many amounts, at least 0 and of one sum above 0, "
                f"not {self.first!r} and {self.second!r}"
            )

    def amounts(self) -> tuple[Array, Array]:
        """P and Q [K]; a ValueError where something else than numbers stands there."""
        p, q = (np.array([float(word) for word in text.split()] or [np.nan]) for text in (self.first, self.second))
        return p, q

    def rows(self, settings: Settings, seed: int, device: str) -> list[Row]:
        """See ``Check.rows``."""
        p, q = self.amounts()
        places = np.arange(1.0, len(p) + 1)
        carried = [0.0]
        for before, after in zip(p.tolist(), q.tolist(), strict=True):
            carried.append(carried[-1] + before - after)
        points = places[:, None]
        costs = {
            "cost_recursion": sum(map(abs, carried)),
            "cost_emd": earth_movers_distance(points, points, norm="euclidean", x_weights=p, y_weights=q),
            "cost_closed_form": float(np.abs(np.cumsum(p) - np.cumsum(q)).sum()),
        }
        return [
            {"step": int(place), "before": before, "after": after, "carried": amount, **costs}
            for place, before, after, amount in zip(places, p.tolist(), q.tolist(), carried[1:], strict=True)
        ]

    def work(self, settings: Settings) -> float:
        """See ``Check.work``."""
        return 1e5
