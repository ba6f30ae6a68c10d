"""B9: does a deep clipped critic often fail to converge, where a shallow one does not?"""

from __future__ import annotations

from typing import Literal

from bench.claims.base import Asked, Claim, Found, Part, pick, share_of

CLIPS = (0.01, 0.1)
SIDES: dict[int, Literal["above", "below"]] = {12: "above", 3: "below"}
"""By the number of hidden layers, where the claim has the share that fails."""
HALF = 0.5


def _judge(found: Found) -> list[Part]:
    parts = []
    for clip in CLIPS:
        for depth, side in SIDES.items():
            cell = pick(found["deep_critics"], objective="wgan_clip", hparams__clip=clip, critic__depth=depth)
            separation, exact = cell.final("separation"), cell.final("emd")
            # A separation that is not finite is of a critic without a slope, which separates nothing.
            failed = [not separation.get(seed, 0.0) >= HALF * distance for seed, distance in exact.items()]
            lost = cell.outcomes.diverged
            parts.append(
                share_of(
                    f"clip {clip:g}, {depth} layers", "share of seeds that fail", failed + [True] * lost, HALF, side,
                    diverged=lost,
                )
            )  # fmt: skip
    return parts


CLAIMS = (
    Claim(
        id="B9",
        statement="A very deep clipped critic often fails to converge",
        sources=("seed document 004",),
        grids={"cpu": (Asked("deep_critics"),)},
        rule=(
            "a critic between 8 Gaussians and the same with noise of variance 1 has failed if at its last step the "
            "separation of the laws, the gap of the mean scores over the largest slope, is below half of their exact "
            "EMD, or if it has no slope, or if it diverged. With each clip (.01, .1) the share of seeds that fail is "
            "above .5 at 12 hidden layers and below .5 at 3, by its exact binomial interval"
        ),
        judge=_judge,
        departures=(
            "the source has no number; layers of 32 units, 3,000 steps at a rate that falls to 0; clip .1 beside the "
            "paper's .01"
        ),
    ),
)
