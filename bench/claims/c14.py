"""C14: does a momentum term harm a clipped critic?"""

from __future__ import annotations

from itertools import product

from bench.claims.base import Asked, Claim, Found, Part, floor_of, pick, picks
from bench.claims.reading import diverged
from bench.claims.training import finals, logs, paired, worst

RATES = (5e-5, 1e-3)


def _judge(found: Found) -> list[Part]:
    view = found["momentum"]
    parts = []
    for rate, beta1 in product(RATES, (0.5, 0.9)):
        a, b = (
            pick(view, critic_optimizer="adam", critic_optimizer__lr=rate, critic_optimizer__beta1=beta)
            for beta in (beta1, 0.0)
        )
        lost = 2 * worst(picks(view, critic_optimizer__lr=rate))
        one, other = (logs(finals(cell, lost)) for cell in (a, b))
        name = f"rate {rate:g}: beta1 {beta1:g} against 0"
        told = "ln of the ratio of final EMD"
        parts.append(paired(name, told, one, other, 0.0, "above", diverged=diverged(a, b), floor=floor_of(a, "emd")))
    return parts


CLAIMS = (
    Claim(
        id="C14",
        statement="A momentum term in the critic's optimiser harms a WGAN with weight clipping",
        sources=("Arjovsky et al. 2017, arXiv:1701.07875, section 4",),
        grids={"cpu": (Asked("momentum"),)},
        rule=(
            "ln of the final EMD with Adam at beta1 .5, and at .9, on the critic over that with Adam at beta1 0, "
            "paired by seed: mean above 0 at both rates, 5e-5 and 1e-3; a run that diverged counts as twice the "
            "largest final EMD at its rate; the floor is that of the EMD itself"
        ),
        judge=_judge,
        departures=(
            "ring, 3,000 steps, networks of 2 x 128, generator trained by RMSProp at the critic's rate; the paper "
            "says that training is unstable at times"
        ),
    ),
)
