"""B1: is the optimal discriminator between two separated Gaussians flat where they lie, and a critic not?"""

from __future__ import annotations

from itertools import product

from bench.claims.base import Asked, Claim, Found, Part, mean_of, pick
from bench.claims.reading import decades, diverged, paired

DECADES = -2.0
CLIPS = (0.01, 0.1)


def _judge(found: Found) -> list[Part]:
    view = found["optimal_critic"]
    flat = pick(view, pair="two_gaussians", objective="minimax")
    critics = {"wgan_gp": pick(view, pair="two_gaussians", objective="wgan_gp")}
    for clip in CLIPS:
        critics[f"clip {clip:g}"] = pick(view, pair="two_gaussians", objective="wgan_clip", hparams__clip=clip)
    return [
        mean_of(
            f"{law} samples: minimax against {name}",
            "log10 of the discriminator's slope over the critic's",
            paired(flat.final(f"probability_slope_{law}"), cell.final(f"slope_{law}"), decades),
            DECADES,
            "below",
            diverged=diverged(flat, cell),
        )
        for (name, cell), law in product(critics.items(), ("real", "fake"))
    ]


CLAIMS = (
    Claim(
        id="B1",
        statement=(
            "Between two separated Gaussians the optimal discriminator is flat on both supports, where a critic has "
            "a slope"
        ),
        sources=("seed document 000", "Arjovsky et al. 2017, arXiv:1701.07875, figure 2"),
        grids={"cpu": (Asked("optimal_critic"),)},
        rule=(
            "for Gaussians 8 standard deviations apart, at the last step: per seed the decimal logarithm of the "
            "median slope of the discriminator's probability over the median slope of the critic's score, at real "
            "samples and at fake ones, has its mean below -2, a hundredth, for the penalty and for each clip (.01, "
            ".1); a slope of 0 counts as 2.2e-308; runs that diverged are left out"
        ),
        judge=_judge,
        departures=(
            "the figure does not say where its Gaussians lie; critics of 3 x 128, 5,000 steps at a rate that falls "
            "to 0; clip .1 beside the paper's .01"
        ),
    ),
)
