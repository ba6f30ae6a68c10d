"""B5: do a deep clipped critic's gradients grow or shrink from layer to layer, and a penalised one's not?"""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part, difference, pick, picks


def _judge(found: Found) -> list[Part]:
    view = found["depth"]
    even, clipped = pick(view, objective="wgan_gp"), picks(view, objective="wgan_clip")
    if not clipped:
        raise LookupError("no records of clipped critics")
    return [
        difference(
            f"clip {cell.settings['hparams.clip']:g} against wgan_gp",
            "difference in abs(slope), decades a layer",
            cell,
            even,
            "slope_per_layer",
            "above",
            of=abs,
        )
        for cell in clipped
    ]


CLAIMS = (
    Claim(
        id="B5",
        statement=(
            "Clipping makes the gradients of a 12-layer critic grow or shrink exponentially from layer to layer, the "
            "gradient penalty does not"
        ),
        sources=("seed document 004", "Gulrajani et al. 2017, arXiv:1704.00028, figure 1b"),
        grids={"cpu": (Asked("depth"),)},
        rule=(
            "on the Swiss roll at the last step: the absolute value of the slope of log10 of the gradient's norm by "
            "a layer's activations, in decades a layer, is larger with each clip (.1, .01, .001) than with the "
            "penalty; the mean of the difference, paired by seed, lies above 0; runs that diverged, and those in "
            "which a norm is 0, are left out"
        ),
        judge=_judge,
        departures="critics of width 128, which the paper does not tell; batches of 128; 2,000 updates of the critic",
    ),
)
