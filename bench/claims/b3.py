"""B3: do the non-saturating generator's gradient and its variance grow as the discriminator nears the optimum?"""

from __future__ import annotations

from functools import partial

from bench.claims.base import Asked, Claim, Found, Part, mean_of, pick
from bench.claims.reading import FROZEN, changes, log_ratio

QUANTITIES = {"gradient_norm": "norm", "gradient_variance": "variance"}


def _growth(first: float, last: float) -> float:
    return log_ratio(last, first)


def _judge(found: Found, reading: str) -> list[Part]:
    parts = []
    for dataset, steps in FROZEN[reading]:
        cell = pick(found["saturation"], dataset=dataset, frozen__steps=steps, objective="non_saturating")
        parts += [
            mean_of(
                f"{dataset}, generator frozen at {steps} steps: {words}",
                f"ln of the growth of the non-saturating gradient's {words}",
                changes(cell, f"{column}[non_saturating]", _growth),
                0.0,
                "above",
                diverged=cell.outcomes.diverged,
            )
            for column, words in QUANTITIES.items()
        ]
    return parts


def _reading(name: str, words: str) -> Claim:
    return Claim(
        id=f"B3-{name}",
        statement=(
            "The non-saturating generator's gradient grows as the discriminator is trained, and so does its variance, "
            f"{words}"
        ),
        sources=("Arjovsky & Bottou 2017, arXiv:1701.04862, figure 3 and theorem 2.6",),
        grids={"cpu": (Asked("saturation"),)},
        rule=(
            "with a frozen generator and a fresh discriminator: per seed the natural logarithm of the value at step "
            "4,000 over that at step 0, of the norm and of the variance (over fresh batches) of the non-saturating "
            "generator's gradient, has its mean above 0, for each frozen generator; a value of 0 counts as 2.2e-308; "
            "runs that diverged are left out"
        ),
        judge=partial(_judge, reading=name),
        departures=(
            "generators and critics of 3 x 64 for the paper's DCGANs, frozen after 10 to 1,000 steps for its 1 to 25 "
            "epochs of images; gradients in float64 on eight fresh batches"
        ),
    )


CLAIMS = (
    _reading("apart", "where the laws hardly meet: samples on a surface in 32 dimensions"),
    _reading("overlap", "where the laws overlap: a ring in the plane"),
)
