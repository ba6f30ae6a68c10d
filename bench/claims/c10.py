"""C10: is the exact Wasserstein distance too costly, so that a critic must stand in for it?"""

from __future__ import annotations

from bench.claims.base import Asked, Claim, Found, Part, mean_of
from bench.claims.training import columns, ended, logs, paired

SOURCES = ("seed document 003", "Arjovsky et al. 2017, arXiv:1701.07875, section 3")
DEPARTURES = (
    "POT's network simplex on one thread of a CPU, points in the plane, beside a critic of the same size as in the "
    "toy experiments; with larger networks a critic's step costs more, the solve does not"
)


def _batch(found: Found) -> list[Part]:
    parts = []
    for cell in found["emd_cost"].cells:
        n = int(cell.settings["batch_size"])
        solve, step = (ended(cell, name) for name in ("emd_seconds", "critic_step_seconds"))
        if n not in solve.index:
            raise LookupError(f"{cell.label}: no solve of {n} samples was timed")
        one, other = (logs({seed: value[0] for seed, value in columns(t.loc[[n]]).items()}) for t in (solve, step))
        told = f"ln of seconds of a solve of {n} over those of a critic's update"
        parts.append(paired(cell.label, told, one, other, 0.0, "above"))
    return parts


def _growth(found: Found) -> list[Part]:
    told = "exponent of seconds in n"
    return [
        mean_of(cell.label, told, ended(cell, "emd_exponent").iloc[-1], 1.0, "above")
        for cell in found["emd_cost"].cells
    ]


CLAIMS = (
    Claim(
        id="C10-batch",
        statement="The exact Wasserstein distance of a batch costs more than the critic's step that replaces it",
        sources=SOURCES,
        grids={"cpu": (Asked("emd_cost"),)},
        rule=(
            "ln of the seconds of one exact solve between as many samples as a training batch has, 128, over the "
            "seconds of one update of the critic, timed in turns: mean over seeds above 0"
        ),
        judge=_batch,
        departures=DEPARTURES,
    ),
    Claim(
        id="C10-growth",
        statement="The cost of the exact Wasserstein distance grows faster than the number of samples",
        sources=SOURCES,
        grids={"cpu": (Asked("emd_cost"),)},
        rule=(
            "exponent of the seconds of an exact solve in the number of samples, by least squares on logarithms from "
            "256 samples on: mean over seeds above 1"
        ),
        judge=_growth,
        departures=DEPARTURES,
    ),
)
