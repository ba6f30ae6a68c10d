"""C8: is the training of standard GANs unstable?"""

from __future__ import annotations

from functools import partial
from itertools import product

from bench.claims.base import Asked, Claim, Found, Part, pick
from bench.claims.reading import diverged
from bench.claims.training import late_spread, logs, paired


def _judge(found: Found, arm: str) -> list[Part]:
    parts = []
    for standard, other in product(("minimax", "non_saturating"), ("wgan_clip", "wgan_gp")):
        a, b = (pick(found["estimate"], arm=arm, objective=name) for name in (standard, other))
        one, two = (logs(late_spread(cell)) for cell in (a, b))
        name = f"{standard} against {other}"
        parts.append(paired(name, "ln of the ratio of late spreads", one, two, 0.0, "above", diverged=diverged(a, b)))
    return parts


def _reading(arm: str, words: str) -> Claim:
    return Claim(
        id=f"C8-{arm}",
        statement=f"The training of standard GANs is unstable, where that of Wasserstein GANs settles, {words}",
        sources=("seed document 002",),
        grids={"cpu": (Asked("estimate"),)},
        rule=(
            "late spread of a run: standard deviation of the EMD over the last third of its checkpoints; ln of that "
            "of minimax and of non_saturating over that of wgan_clip and of wgan_gp, paired by seed: mean above 0; "
            "runs that diverged have no late spread, are left out of the means, and are counted"
        ),
        judge=partial(_judge, arm=arm),
        departures=(
            "ring, 5,000 steps; the source compares with nothing; a run that still improves has a late spread too, "
            "and one that has collapsed for good has little"
        ),
    )


CLAIMS = (
    _reading("reference", "each at its reference's recipe"),
    _reading("tuned", "each at the best of 16 random settings"),
)
