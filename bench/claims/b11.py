"""B11: is a critic's gradient that of the optimal one, under the penalty and under clipping?"""

from __future__ import annotations

from functools import partial

from bench.claims.b10 import CUT, FULL
from bench.claims.base import Asked, Claim, Found, Part, Side, mean_of
from bench.claims.reading import among, benchmark


def _judge(found: Found, objective: str, threshold: float, side: Side) -> list[Part]:
    cells = benchmark(found["w1_benchmark"], objective)
    return [
        mean_of(
            f"{objective}, {dim} dimensions", "cosine with the optimal critic's gradient",
            cell.final("gradient_cosine").values(), threshold, side, diverged=cell.outcomes.diverged,
        )
        for dim, cell in zip(among(cells, "pair.dim"), cells, strict=True)
    ]  # fmt: skip


def _reading(name: str, words: str, objective: str, threshold: float, side: Side, published: str) -> Claim:
    return Claim(
        id=f"B11-{name}",
        statement=f"{words} follows that of optimal transport",
        sources=("Korotin et al. 2022, arXiv:2206.07767, the table of cosines for 4 funnels",),
        grids={"cpu": (Asked("w1_benchmark"),), "gpu": (FULL,)},
        rule=(
            "between two fixed laws whose optimal critic is known (4 funnels), in each number of dimensions, at the "
            "last step: the mean cosine, over samples, of the critic's gradient and the optimal one has its mean "
            f"over seeds {side} {threshold:g} ({published}); runs that diverged are left out"
        ),
        judge=partial(_judge, objective=objective, threshold=threshold, side=side),
        departures=CUT,
    )


CLAIMS = (
    _reading(
        "gp", "Whatever its value, the gradient of a critic under the penalty", "wgan_gp", 0.8, "above",
        "the lowest published is .84",
    ),
    _reading(
        "clip", "The gradient of a clipped critic hardly", "wgan_clip", 0.5, "below", "the highest published is .40"
    ),
)  # fmt: skip
