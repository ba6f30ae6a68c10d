"""C12: does a GAN learn parallel lines, although the Jensen-Shannon divergence is constant there?"""

from __future__ import annotations

import math
from functools import partial

from bench.claims.base import Asked, Claim, Found, Part, floor_of, mean_of, pick
from bench.claims.reading import diverged
from bench.claims.training import columns, ended

HALVED = 1.0
TINY = Asked("lines", ("steps=300", "evaluate.observations=3"), 3, "lines_ci")


def _judge(found: Found, objectives: tuple[str, ...]) -> list[Part]:
    parts = []
    for objective in objectives:
        cell = pick(found["lines"], objective=objective)
        falls = [math.log2(emd[0] / emd[-1]) for emd in columns(ended(cell, "emd")).values()] + [0.0] * diverged(cell)
        quantity = "log2 of EMD at the start over EMD at the end"
        parts.append(
            mean_of(objective, quantity, falls, HALVED, "above", diverged=diverged(cell), floor=floor_of(cell, "emd"))
        )
    return parts


def _reading(name: str, statement: str, objectives: tuple[str, ...]) -> Claim:
    return Claim(
        id=f"C12-{name}",
        statement=statement,
        sources=(
            "Fedus et al. 2018, arXiv:1710.08446",
            "Arjovsky et al. 2017, arXiv:1701.07875, example 1, whose argument says no",
        ),
        grids={"ci": (TINY,), "cpu": (Asked("lines"),)},
        rule=(
            f"of {', '.join(objectives)}: log2 of the exact EMD at the first observation (1 % of the steps) over that "
            "at the last, mean over seeds above 1, that is, the EMD is at most half; a run that diverged counts as "
            "no fall; the floor is that of the EMD itself"
        ),
        judge=partial(_judge, objectives=objectives),
        departures=(
            "one segment at distance 1, networks of 2 x 64, 3,000 steps; the records have no observation of the "
            "untrained generator, and the first one, after 1 % of the steps, stands for it"
        ),
    )


CLAIMS = (
    _reading(
        "non_saturating", "The non-saturating GAN learns a line that its generator does not meet, where JS is constant",
        ("non_saturating",),
    ),
    _reading(
        "others", "The minimax GAN, WGAN and WGAN-GP learn a line that their generator does not meet",
        ("minimax", "wgan_clip", "wgan_gp"),
    ),
)  # fmt: skip
