"""C17: does a better estimate of W1 not mean better samples?"""

from __future__ import annotations

import numpy as np

from bench.claims.base import Asked, Claim, Found, Part, picks
from bench.claims.training import Places, over_settings, spearman
from bench.statistics import Array

WEAK = 0.5


def _judge(found: Found) -> list[Part]:
    parts = []
    for dataset in ("ring", "grid"):
        cells = [
            cell
            for name in ("wgan_clip", "wgan_gp")
            for cell in picks(found["tuning"], dataset=dataset, objective=name)
            if cell.draw is not None
        ]
        rows = [
            (abs(gap - cell.final("emd")[seed]) / cell.final("emd")[seed], cell.final("emd")[seed], modes)
            for cell in cells
            for seed, gap in cell.final("score_gap").items()
            for modes in [cell.final("modes_covered")[seed]]
        ]
        error, emd, modes = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        diverged = sum(cell.outcomes.diverged for cell in cells)
        for values, label in ((emd, "EMD"), (-modes, "modes covered, negated")):

            def rho(places: Places, values: Array = values, error: Array = error) -> Array:
                return spearman(error[places], values[places])

            told = f"Spearman's rho of the estimate's error with {label}"
            parts.append(over_settings(dataset, told, rho, len(error), WEAK, "below", diverged=diverged))
    return parts


CLAIMS = (
    Claim(
        id="C17",
        statement="A better estimate of the Wasserstein distance does not mean better samples",
        sources=("Stanczuk et al. 2021, arXiv:2103.01678", "Mallasto et al. 2019, arXiv:1910.03875"),
        grids={"cpu": (Asked("tuning"),)},
        rule=(
            "over the 32 random settings of wgan_clip and wgan_gp together, on ring and on grid, at the last step: "
            "Spearman's rho of the relative error |score gap - EMD| / EMD with the EMD, and with the number of modes "
            "covered, negated: below .5, an association that is weaker than strong; 95 % percentile bootstrap over "
            "settings, p = min(1, 2 (1 + k) / (1 + B)), with k of the B resamples at or on the rarer side of .5; "
            "settings that diverged are left out"
        ),
        judge=_judge,
        departures=(
            "the papers compare ways to constrain the critic, the c-transform among them, on images; here settings "
            "of two of them on toy mixtures, one seed each; the score gap is not divided by the critic's Lipschitz "
            "constant"
        ),
    ),
)
