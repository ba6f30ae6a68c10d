"""D-pacgan1: PacGAN's Table 1, ours beside theirs."""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part
from bench.claims.training import quoted

CUT = Asked("papers/pacgan_table1", ("steps=10000", "generator.width=100", "critic.width=50"), 5)
COLUMNS = {
    "modes_covered": "modes covered",
    "high_quality_share": "high-quality share",
    "reverse_kl": "reverse KL",
}


def _judge(found: Found) -> list[Part]:
    view = found["pacgan_table1"]
    return quoted(
        view,
        view.cells,
        COLUMNS,
        name=lambda cell: f"{cell.settings['dataset']}, packs of {cell.settings['pack']}",
        order=lambda cell: str(cell.settings["dataset"]),
    )


CLAIMS = (
    Claim(
        id="D-pacgan1",
        statement="The rows of GAN and of PacGAN 2 to 4 in PacGAN's Table 1",
        sources=("Lin et al. 2018, arXiv:1712.04086, table 1: mean and standard error of 10 trials",),
        grids={"cpu": (CUT,), "gpu": (Asked("papers/pacgan_table1", (), None, "pacgan_table1_full"),)},
        rule=(
            "ring and grid, packs of 1 to 4, at the last step: modes covered, high-quality share and reverse KL, "
            "each within if their number +- 1.96 standard errors meets the interval of our mean; same ordering if on "
            "each data set and in each column packs whose printed numbers differ are in the printed order; runs that "
            "diverged are left out"
        ),
        judge=_judge,
        departures=(
            "on two cores 10,000 of 400,000 steps, a quarter of the widths, 5 of 10 trials; the reverse KL is over "
            "all samples, theirs over those of high quality; latents of each player's own; training samples drawn "
            "with replacement"
        ),
    ),
)
