"""C15: is WGAN-GP slower than a standard GAN by the clock?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench.claims.base import Asked, Claim, Found, Part, pick, share_of
from bench.claims.reading import diverged
from bench.claims.training import BySeed

if TYPE_CHECKING:
    from bench.report.view import CellView

TIMES = 2.0
"""The floor, where a run has got there."""


def _judge(found: Found) -> list[Part]:
    parts = []
    for dataset in ("ring", "grid"):
        a, b = (
            pick(found["modes"], dataset=dataset, arm="tuned", objective=name) for name in ("wgan_gp", "non_saturating")
        )
        one, other = arrival(a), arrival(b)
        seeds = sorted(one.keys() | other.keys())
        held = [one.get(seed, math.inf) > other.get(seed, math.inf) for seed in seeds]
        told = "share of seeds in which WGAN-GP takes longer to twice the floor"
        parts.append(share_of(dataset, told, held, 0.5, "above", diverged=diverged(a, b)))
    return parts


def arrival(cell: CellView) -> BySeed:
    """CPU seconds at a run's first observation with an EMD of at most twice its floor; runs without are left out."""
    there = cell.rows[cell.rows["emd"] <= TIMES * cell.rows["emd_floor"]].drop_duplicates("seed")
    return dict(zip(there["seed"].tolist(), there["cpu_seconds"].tolist(), strict=True))


CLAIMS = (
    Claim(
        id="C15",
        statement="WGAN-GP takes longer by the clock than a standard GAN",
        sources=("Gulrajani et al. 2017, arXiv:1704.00028",),
        grids={"cpu": (Asked("modes"),), "gpu": (Asked("modes", ("steps=100000",), 20, "modes_100k"),)},
        rule=(
            "tuned arm, ring and grid: CPU time at a run's first observation with an EMD of at most twice its floor; "
            "of the seeds in which wgan_gp or non_saturating gets there, the share in which wgan_gp does later, or "
            "never: exact binomial interval above .5"
        ),
        judge=_judge,
        departures=(
            "CPU time of runs that train together, shared evenly, where the paper has wall-clock of single runs on a "
            "GPU; tuned settings, of which the grid's wgan_gp has one critic step and non_saturating five; 12 "
            "observations, log-spaced"
        ),
    ),
)
