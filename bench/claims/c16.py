"""C16: is a batch of images further from another batch than from copies of the mean image?"""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part
from bench.claims.training import ended, paired


def _judge(found: Found) -> list[Part]:
    parts = []
    for cell in found["batches"].cells:
        batches, mean = ended(cell, "w1_batches"), ended(cell, "w1_mean_image")
        parts += [
            paired(
                f"{cell.settings['dataset']}, batches of {n}", "W1 to another batch less W1 to the mean image",
                batches.loc[n].to_dict(), mean.loc[n].to_dict(), 0.0, "above",
            )
            for n in batches.index
        ]  # fmt: skip
    return parts


CLAIMS = (
    Claim(
        id="C16",
        statement="A batch of images is further from another batch of the same law than from copies of the mean image",
        sources=("Stanczuk et al. 2021, arXiv:2103.01678",),
        grids={"cpu": (Asked("batches"),)},
        rule=(
            "exact W1 between two batches of real images less exact W1 between the first and copies of the mean "
            "image, paired by seed, on two sets of digits and at every batch size from 64 to 512: mean above 0"
        ),
        judge=_judge,
        departures="digits of 28x28 and 8x8 pixels; batches are drawn from small sets and share no image",
    ),
)
