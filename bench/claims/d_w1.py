"""D-w1: two rows of the tables of a benchmark of Wasserstein critics, ours beside theirs."""

from __future__ import annotations

from bench.claims.b10 import FULL
from bench.claims.base import Asked, Claim, Found, Part, pick
from bench.claims.training import quoted

DIMS = (2, 4, 8, 16, 32)
COLUMNS = {"gradient_cosine": "cosine of the gradient with the optimal one", "w1_estimate": "estimate of W1"}


def _judge(found: Found) -> list[Part]:
    view = found["w1_benchmark"]
    cells = [
        pick(view, pair__dim=dim, objective=objective, critic__constraint="none")
        for dim in DIMS
        for objective in ("wgan_clip", "wgan_gp")
    ]
    return quoted(
        view,
        cells,
        COLUMNS,
        name=lambda cell: f"{cell.objective}, {cell.settings['pair.dim']} dimensions",
        order=lambda cell: f"{cell.settings['pair.dim']} dimensions",
    )


CLAIMS = (
    Claim(
        id="D-w1",
        statement="The rows of weight clipping and of the gradient penalty in the tables of the W1 benchmark",
        sources=("Korotin et al. 2022, arXiv:2206.07767, 4 funnels, numbers of seed 2 in their code",),
        grids={"cpu": (Asked("w1_benchmark"),), "gpu": (FULL,)},
        rule=(
            "4 funnels in 2 to 32 dimensions, after training: cosine of the critic's gradient with the optimal one "
            "and estimate of W1, for clipping and the penalty, each within if the printed number, which is of one "
            "critic and has no error, lies in the interval of our mean; same ordering if in each dimension and "
            "column clipping and the penalty are in the printed order; runs that diverged are left out"
        ),
        judge=_judge,
        departures=(
            "theirs is one critic each, without an error; ours 5 seeds of the critic on one drawing of funnels, very "
            "likely theirs; batches of 256 and a quarter of the penalty's steps; clipping is of biases too and after "
            "the step"
        ),
    ),
)
