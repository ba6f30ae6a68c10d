"""C7: does a Wasserstein GAN do without a careful architecture?"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from bench.claims.base import Asked, Claim, Found, Part, picks
from bench.claims.reading import diverged
from bench.claims.training import BySeed, finals, logs, paired, worst

if TYPE_CHECKING:
    from bench.report.view import View

SHAPES = 6


def _judge(found: Found) -> list[Part]:
    view = found["architectures"]
    parts = []
    for ours, theirs in product(("wgan_clip", "wgan_gp"), ("minimax", "non_saturating")):
        cells = [*picks(view, objective=ours), *picks(view, objective=theirs)]
        parts.append(
            paired(
                f"{ours} less {theirs}", "difference in the std of ln EMD over architectures",
                spread(view, ours), spread(view, theirs), 0.0, "below", diverged=diverged(*cells),
            )
        )  # fmt: skip
    return parts


def spread(view: View, objective: str) -> BySeed:
    """The standard deviation of ln EMD over the architectures, of the seeds that all of them have."""
    cells = picks(view, objective=objective)
    if len(cells) != SHAPES:
        raise LookupError(f"{view.grid}: {len(cells)} architectures of {objective}, not {SHAPES}")
    ends = [logs(finals(cell, 2 * worst(view.cells))) for cell in cells]
    common = set.intersection(*(set(end) for end in ends))
    return {seed: float(np.std([end[seed] for end in ends], ddof=1)) for seed in sorted(common)}


CLAIMS = (
    Claim(
        id="C7",
        statement="What a Wasserstein GAN learns depends less on the architecture than what a standard GAN does",
        sources=("seed document 001", "Arjovsky et al. 2017, arXiv:1701.07875, figures 5 to 7"),
        grids={"cpu": (Asked("architectures"),)},
        rule=(
            "for each seed the standard deviation of ln of the final EMD over six architectures; that of wgan_clip "
            "and of wgan_gp less that of minimax and of non_saturating, paired by seed: mean below 0; a run that "
            "diverged counts as twice the largest final EMD of all runs"
        ),
        judge=_judge,
        departures=(
            "ring instead of LSUN, both players change where the paper changes the generator alone, 2,000 steps; "
            "settings were tuned with one of the six; an objective that fails in all architectures alike has a small "
            "spread too"
        ),
    ),
)
