"""B4: does the gradient stay where a critic, not a discriminator, is trained to convergence?"""

from __future__ import annotations

from itertools import chain, product

from bench.claims.base import Asked, Claim, Found, Part, mean_of, pick
from bench.claims.reading import FROZEN, changes, decades


def _judge(found: Found) -> list[Part]:
    parts = []
    for objective, (dataset, steps) in product(("wgan_clip", "wgan_gp"), chain(*FROZEN.values())):
        cell = pick(found["saturation"], dataset=dataset, frozen__steps=steps, objective=objective)
        parts.append(
            mean_of(
                f"{objective}: {dataset}, generator frozen at {steps} steps",
                "log10 of the fall of the gradient's norm",
                changes(cell, f"gradient_norm[{objective}]", decades),
                1.0,
                "below",
                diverged=cell.outcomes.diverged,
            )
        )
    return parts


CLAIMS = (
    Claim(
        id="B4",
        statement=(
            "With a critic the generator's gradient does not vanish, so that it can be trained to convergence at once"
        ),
        sources=("seed document 004", "Arjovsky et al. 2017, arXiv:1701.07875, section 3"),
        grids={"cpu": (Asked("saturation"),)},
        rule=(
            "with a frozen generator and a fresh critic under clipping and under the penalty: per seed the decimal "
            "logarithm of the norm of their own generator loss's gradient at step 0 over that at step 4,000 has its "
            "mean below 1, for each of the five frozen generators; a norm of 0 counts as 2.2e-308; runs that "
            "diverged are left out"
        ),
        judge=_judge,
        departures=(
            "generators and critics of 3 x 64, frozen after 10 to 1,000 steps on a ring and in 32 dimensions; the "
            "clipped critic of step 0 is already clipped"
        ),
    ),
)
