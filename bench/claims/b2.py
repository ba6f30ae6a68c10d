"""B2: does the minimax generator's gradient vanish as its discriminator nears the optimum?"""

from __future__ import annotations

from functools import partial

from bench.claims.base import Asked, Claim, Found, Part, mean_of, pick
from bench.claims.reading import FROZEN, changes, decades

DECADES = 3.0
DEPARTURES = (
    "generators and critics of 3 x 64 for the paper's DCGANs, frozen after 10 to 1,000 steps for its 1 to 25 epochs "
    "of images; gradients in float64 on fresh batches; the paper's 5 decades are its best case, the threshold is 3"
)


def _judge(found: Found, reading: str) -> list[Part]:
    parts = []
    for dataset, steps in FROZEN[reading]:
        cell = pick(found["saturation"], dataset=dataset, frozen__steps=steps, objective="non_saturating")
        parts.append(
            mean_of(
                f"{dataset}, generator frozen at {steps} steps",
                "log10 of the fall of the minimax gradient's norm",
                changes(cell, "gradient_norm[minimax]", decades),
                DECADES,
                "above",
                diverged=cell.outcomes.diverged,
            )
        )
    return parts


def _reading(name: str, words: str) -> Claim:
    return Claim(
        id=f"B2-{name}",
        statement=f"The minimax generator's gradient vanishes as the discriminator nears its optimum, {words}",
        sources=("seed documents 001, 002, 004", "Arjovsky & Bottou 2017, arXiv:1701.04862, figure 2"),
        grids={"cpu": (Asked("saturation"),)},
        rule=(
            "with a frozen generator and a fresh discriminator (trained with the critic's loss that the minimax and "
            "the non-saturating game share): per seed the decimal logarithm of the norm of the minimax generator's "
            "gradient at step 0 over that at step 4,000 has its mean above 3, for each frozen generator; a norm of 0 "
            "counts as 2.2e-308; runs that diverged are left out"
        ),
        judge=partial(_judge, reading=name),
        departures=DEPARTURES,
    )


CLAIMS = (
    _reading("apart", "where the laws hardly meet: samples on a surface in 32 dimensions"),
    _reading("overlap", "where the laws overlap: a ring in the plane"),
)
