"""C6: does a Wasserstein GAN do without a balance between the players?"""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from bench.claims.base import Asked, Claim, Found, Part, floor_of, pick
from bench.claims.reading import diverged
from bench.claims.training import BySeed, columns, ended, finals, logs, paired, worst

if TYPE_CHECKING:
    from bench.report.view import CellView

MORE = 1.1
"""How many times the EMD with the paper's critic steps is still as good."""

PAPERS = 5
RUNS = tuple(product(("wgan_clip", "wgan_gp"), (20, 100)))
SOURCES = (
    "seed documents 001, 004",
    "Arjovsky et al. 2017, arXiv:1701.07875, section 3: the critic can be trained till optimality",
)
LAW = (
    "ln of the final EMD with 20, and with 100, critic steps a generator step over that with 5, paired by seed, for "
    "wgan_clip and wgan_gp: mean below ln 1.1"
)
LOST = "a run that diverged counts as twice the largest final EMD of those compared; the floor is the EMD's"
DEPARTURES = (
    "ring, 2,000 generator steps, networks of 2 x 64; settings tuned with 5 critic steps and larger networks; CPU time "
    "has the compilation in it, and each cell is stepped in the way that the harness finds best for it"
)


def _at_steps(found: Found) -> list[Part]:
    parts = []
    for objective, count in RUNS:
        a, b = (pick(found["balance"], objective=objective, critic_steps=k) for k in (count, PAPERS))
        lost = 2 * worst((a, b))
        parts.append(_part(objective, count, a, b, finals(a, lost), finals(b, lost)))
    return parts


def _at_time(found: Found) -> list[Part]:
    parts = []
    for objective, count in RUNS:
        a, b = (pick(found["balance"], objective=objective, critic_steps=k) for k in (count, PAPERS))
        moment = min(ended(cell, "cpu_seconds").max().min() for cell in (a, b))
        parts.append(_part(objective, count, a, b, *(at_time(cell, moment, 2 * worst((a, b))) for cell in (a, b))))
    return parts


def at_time(cell: CellView, moment: float, lost: float) -> BySeed:
    """EMD at a CPU time, linear in its logarithm between checkpoints; before the first one, the first one's."""
    times, values = columns(ended(cell, "cpu_seconds")), columns(ended(cell, "emd"))
    found = {seed: float(np.interp(math.log(moment), np.log(times[seed]), own)) for seed, own in values.items()}
    return {**found, **dict.fromkeys(cell.ended("diverged"), lost)}


def _part(objective: str, count: int, a: CellView, b: CellView, one: BySeed, other: BySeed) -> Part:
    name = f"{objective}: {count} against {PAPERS} critic steps"
    lost = diverged(a, b)
    floor = floor_of(a, "emd")
    told = "ln of the ratio of EMD"
    return paired(name, told, logs(one), logs(other), math.log(MORE), "below", diverged=lost, floor=floor)


CLAIMS = (
    Claim(
        id="C6-steps",
        statement="More critic steps do a Wasserstein GAN no harm, at equal generator steps",
        sources=SOURCES,
        grids={"cpu": (Asked("balance"),)},
        rule=f"{LAW}; {LOST}",
        judge=_at_steps,
        departures=DEPARTURES,
    ),
    Claim(
        id="C6-time",
        statement="More critic steps do a Wasserstein GAN no harm, at equal time",
        sources=SOURCES,
        grids={"cpu": (Asked("balance"),)},
        rule=(
            f"{LAW}, each run's EMD interpolated between its checkpoints, linearly in the logarithm of CPU time, at "
            "the shortest final CPU time of the runs of the two cells compared (before its first checkpoint, as "
            f"there); {LOST}"
        ),
        judge=_at_time,
        departures=DEPARTURES,
    ),
)
